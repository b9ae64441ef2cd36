//! A certificate authority for one demo or one test run: a root, an intermediate, leaves.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// `serverAuth` alone, as public authorities issue it since 2026 (C-17, C-18).
    ServerOnly,
    /// `serverAuth` and `clientAuth`.
    ServerAndClient,
}

/// Leaf and intermediates with the leaf's key, PEM.
#[derive(Clone)]
pub struct Leaf {
    /// The leaf, then the intermediate.
    pub chain: String,
    /// The leaf's key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

/// The authority; it lives as long as the process and is never written down with its keys.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A fresh root and intermediate.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let root = CertifiedIssuer::self_signed(issuer_params("Demo root"), KeyPair::generate()?)?;
        let intermediate = CertifiedIssuer::signed_by(
            issuer_params("Demo intermediate"),
            KeyPair::generate()?,
            &root,
        )?;
        Ok(Self { root, intermediate })
    }

    /// The root, PEM: what peers are told to trust.
    pub fn root(&self) -> String {
        self.root.pem()
    }

    /// A leaf with an RSA key for `names`, the first of which is its common name.
    ///
    /// # Errors
    /// A name is not a DNS name, or there is no randomness.
    pub fn issue(&self, names: &[&str], usage: Usage) -> Result<Leaf, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone())?;
        if let Some(name) = names.first() {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = match usage {
            Usage::ServerOnly => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::ServerAndClient => {
                vec![
                    ExtendedKeyUsagePurpose::ServerAuth,
                    ExtendedKeyUsagePurpose::ClientAuth,
                ]
            }
        };
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let leaf = params.signed_by(&key, &self.intermediate)?;
        Ok(Leaf {
            chain: leaf.pem() + &self.intermediate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn issuer_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
