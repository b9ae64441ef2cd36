//! What TLS of both directions is spoken with: versions and cipher suites.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{KeyLog, SupportedCipherSuite, SupportedProtocolVersion};

use super::TlsError;

/// A version of TLS. Nothing older than 1.2 exists here (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Versions and cipher suites of every TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPolicy {
    /// Versions spoken; not empty. Default: 1.2 and 1.3.
    pub versions: Vec<TlsVersion>,
    /// Suites by their IANA names, in order of preference; empty for all there are, in the
    /// order of [`TlsPolicy::suites_known`].
    pub suites: Vec<String>,
}

impl Default for TlsPolicy {
    fn default() -> Self {
        Self {
            versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            suites: Vec::new(),
        }
    }
}

impl TlsPolicy {
    /// The IANA name of every suite there is, in the order they are preferred by default.
    pub fn suites_known() -> Vec<String> {
        super::provider()
            .cipher_suites
            .iter()
            .map(name_of)
            .collect()
    }
}

/// The registry's name of a suite: the library writes those of TLS 1.3 with a prefix of its own.
fn name_of(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.strip_prefix("TLS13_")
        .map_or_else(|| name.clone(), |rest| format!("TLS_{rest}"))
}

/// What is the same for every TLS connection of one transport.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) key_log: Arc<dyn KeyLog>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
}

impl Terms {
    pub(crate) fn new(policy: &TlsPolicy, key_log: Arc<dyn KeyLog>) -> Result<Self, TlsError> {
        let mut provider = super::provider();
        if !policy.suites.is_empty() {
            let mut chosen = Vec::new();
            for wanted in &policy.suites {
                let suite = provider
                    .cipher_suites
                    .iter()
                    .find(|suite| name_of(suite) == *wanted)
                    .ok_or_else(|| TlsError::UnknownSuite(wanted.clone()))?;
                chosen.push(*suite);
            }
            provider.cipher_suites = chosen;
        }
        let versions = policy
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::Tls12 => &rustls::version::TLS12,
                TlsVersion::Tls13 => &rustls::version::TLS13,
            })
            .collect();
        Ok(Self {
            key_log,
            provider: Arc::new(provider),
            versions,
        })
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}
