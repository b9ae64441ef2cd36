//! An authority of one test's own, and certificates with exactly the faults a test wants.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
};

use crate::lab::Lab;

/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// `serverAuth` alone, as public authorities issue it.
    Server,
    /// `clientAuth` alone.
    Client,
    /// Both.
    Both,
    /// It does not say.
    Unsaid,
}

/// What kind of key a leaf has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2048 bits: what Microsoft's documented cipher suites need.
    Rsa,
    /// ECDSA on P-256: quickly made.
    P256,
}

/// What a leaf is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Its subjectAltName; the first name is its common name as well.
    pub names: &'a [&'a str],
    /// Its extended key usage.
    pub usage: Usage,
    /// Its key.
    pub key: KeyKind,
    /// How long it is still good, or `Err` of how long it has been out of date.
    pub left: Result<Duration, Duration>,
}

impl<'a> Wish<'a> {
    /// Nothing is wrong with it: `serverAuth` alone, good for 90 days.
    #[must_use]
    pub fn good(names: &'a [&'a str]) -> Self {
        Self {
            names,
            usage: Usage::Server,
            key: KeyKind::Rsa,
            left: Ok(DAY * 90),
        }
    }
}

/// A leaf, PEM.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The leaf alone.
    pub leaf: String,
    /// The leaf, then the intermediate.
    pub chain: String,
    /// The leaf's key.
    pub key: String,
}

impl Leaf {
    /// Writes `<name>.pem` and `<name>.key`, the key readable by its owner alone.
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn write(&self, lab: &Lab, name: &str) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::PermissionsExt as _;
        let chain = lab.write(&format!("{name}.pem"), &self.chain);
        let key = lab.write(&format!("{name}.key"), &self.key);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))
            .expect("the key is ours");
        (chain, key)
    }
}

/// A root and an intermediate.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A fresh root and intermediate.
    ///
    /// # Panics
    /// There is no randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::with_keys(|| KeyPair::generate().expect("there is randomness"))
    }

    /// A fresh root and intermediate with ECDSA keys on P-384.
    ///
    /// # Panics
    /// There is no randomness.
    #[must_use]
    pub fn p384() -> Self {
        Self::with_keys(|| {
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("there is randomness")
        })
    }

    fn with_keys(key: impl Fn() -> KeyPair) -> Self {
        let root =
            CertifiedIssuer::self_signed(issuer("Lab root"), key()).expect("a root signs itself");
        let intermediate = CertifiedIssuer::signed_by(issuer("Lab intermediate"), key(), &root)
            .expect("a root signs");
        Self { root, intermediate }
    }

    /// The root, PEM.
    #[must_use]
    pub fn root(&self) -> String {
        self.root.pem()
    }

    /// The intermediate, PEM.
    #[must_use]
    pub fn intermediate(&self) -> String {
        self.intermediate.pem()
    }

    /// A leaf as wished.
    ///
    /// # Panics
    /// A name is no DNS name.
    #[must_use]
    pub fn issue(&self, wish: Wish<'_>) -> Leaf {
        let key = match wish.key {
            KeyKind::Rsa => rsa(),
            KeyKind::P256 => KeyPair::generate().expect("there is randomness"),
        };
        let leaf = leaf(wish)
            .signed_by(&key, &self.intermediate)
            .expect("an intermediate signs")
            .pem();
        Leaf {
            chain: format!("{leaf}{}", self.intermediate.pem()),
            leaf,
            key: key.serialize_pem(),
        }
    }

    /// A good leaf for `names`.
    #[must_use]
    pub fn good(&self, names: &[&str]) -> Leaf {
        self.issue(Wish::good(names))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A leaf that signed itself.
///
/// # Panics
/// A name is no DNS name.
#[must_use]
pub fn self_signed(wish: Wish<'_>) -> Leaf {
    let key = rsa();
    let leaf = leaf(wish)
        .self_signed(&key)
        .expect("a key signs its own certificate")
        .pem();
    Leaf {
        chain: leaf.clone(),
        leaf,
        key: key.serialize_pem(),
    }
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("there is randomness")
}

fn leaf(wish: Wish<'_>) -> CertificateParams {
    let names: Vec<String> = wish.names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are DNS names");
    params
        .distinguished_name
        .push(DnType::CommonName, wish.names[0]);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = match wish.usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ],
        Usage::Unsaid => Vec::new(),
    };
    let now = SystemTime::now();
    params.not_before = (now - DAY * 60).into();
    params.not_after = match wish.left {
        Ok(left) => now + left,
        Err(gone) => now - gone,
    }
    .into();
    params.use_authority_key_identifier_extension = true;
    params
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
