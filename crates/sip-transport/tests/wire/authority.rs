//! Certificates made for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm,
    date_time_ymd,
};
use sip_transport::{Identity, Roots};

pub(crate) use ExtendedKeyUsagePurpose::{ClientAuth, EmailProtection, ServerAuth};

/// A root with one intermediate that signs everything.
pub(crate) struct Authority {
    root_pem: String,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    algorithm: &'static SignatureAlgorithm,
}

/// What a certificate says.
pub(crate) struct Leaf {
    pub(crate) names: Vec<&'static str>,
    pub(crate) common_name: Option<&'static str>,
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) expired: bool,
    pub(crate) with_intermediate: bool,
}

impl Leaf {
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            names: vec![name],
            common_name: None,
            purposes: vec![ServerAuth, ClientAuth],
            expired: false,
            with_intermediate: true,
        }
    }

    pub(crate) fn for_purposes(name: &'static str, purposes: &[ExtendedKeyUsagePurpose]) -> Self {
        Self {
            purposes: purposes.to_vec(),
            ..Self::of(name)
        }
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(&PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn p384() -> Self {
        Self::with(&PKCS_ECDSA_P384_SHA384)
    }

    fn with(algorithm: &'static SignatureAlgorithm) -> Self {
        // Names of their own: a stranger's root must be unknown, not merely another key.
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root_key = KeyPair::generate_for(algorithm).unwrap();
        let root_params = ca(&format!("Example Root {number}"));
        let root_pem = root_params.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root_params, root_key);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = ca(&format!("Example Issuing CA {number}"));
        let intermediate_pem = params.signed_by(&key, &root).unwrap().pem();
        Self {
            root_pem,
            intermediate_pem,
            issuer: Issuer::new(params, key),
            algorithm,
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(self.root_pem.as_bytes()).unwrap()
    }

    pub(crate) fn identity(&self, name: &'static str) -> Identity {
        self.issue(&Leaf::of(name))
    }

    pub(crate) fn issue(&self, leaf: &Leaf) -> Identity {
        let names: Vec<String> = leaf.names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = leaf.purposes.clone();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = leaf.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        if leaf.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        let mut chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        if leaf.with_intermediate {
            chain.push_str(&self.intermediate_pem);
        }
        Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}
