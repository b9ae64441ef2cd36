//! Digest authentication and registration of a trunk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sip_msg::Uri;
use sip_ua::auth::{Algorithm, AuthenticatorConfig, Credentials, Password};

/// Who each side of a trunk has to prove to be (RFC 3261 §22).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkAuth {
    /// What challenges of the trunk's peers are answered with; nothing where it is empty.
    pub credentials: Vec<Credentials>,
    /// What requests outside of dialogs must prove; `None` where address or certificate is proof.
    pub demand: Option<Arc<Demand>>,
}

/// The users of a trunk, and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The realm they know this gateway by.
    pub realm: Arc<str>,
    /// User names and passwords.
    pub users: BTreeMap<String, Password>,
    /// The algorithms that are offered. Default SHA-256 and MD5 (RFC 8760 §2.4).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used. Default 5 minutes.
    pub nonce_lifetime: Duration,
}

impl Demand {
    /// Asks these users for their passwords, with the default algorithms.
    #[must_use]
    pub fn new(realm: &str, users: BTreeMap<String, Password>) -> Self {
        let AuthenticatorConfig {
            algorithms,
            lifetime,
            ..
        } = AuthenticatorConfig::new(realm);
        Self {
            realm: Arc::from(realm),
            users,
            algorithms,
            nonce_lifetime: lifetime,
        }
    }
}

/// Registration of this gateway with a trunk's registrar (RFC 3261 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registering {
    /// The address of record that is registered.
    pub aor: Uri,
    /// Where REGISTER goes: the first that answers is kept, the next is tried when it fails.
    pub registrars: Vec<Uri>,
    /// How long a registration is asked to hold; the registrar may grant less. Default 1 h.
    pub expires: Duration,
    /// The wait after all registrars have failed once; doubled each time. Default 30 s.
    pub retry: Duration,
    /// The longest wait, and the one after a refusal of the credentials. Default 10 min.
    pub retry_max: Duration,
    /// Calls go to the trunk only while it is registered. Default `false`: they go anyway, and the
    /// trunk says what it thinks of them.
    pub required: bool,
}

impl Registering {
    /// The registration of `aor` with these registrars, with the default times.
    #[must_use]
    pub fn new(aor: Uri, registrars: Vec<Uri>) -> Self {
        Self {
            aor,
            registrars,
            expires: Duration::from_secs(3600),
            retry: Duration::from_secs(30),
            retry_max: Duration::from_secs(600),
            required: false,
        }
    }
}

/// Registrations that a trunk's exchange or telephones make here (RFC 3261 §10.3); calls to the
/// trunk go to where they registered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarPolicy {
    /// Less is refused with 423. Default 60 s.
    pub min_expires: Duration,
    /// More is granted as this. Default 1 h.
    pub max_expires: Duration,
    /// Contacts that one user may have at once; a further one takes the place of the one that was
    /// refreshed longest ago. Default 4.
    pub contacts: usize,
}

impl Default for RegistrarPolicy {
    fn default() -> Self {
        Self {
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            contacts: 4,
        }
    }
}
