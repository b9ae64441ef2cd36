//! Certificates and TLS settings of a simulated peer.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    KeyLog, OtherError, RootCertStore, ServerConfig, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};
use webpki::{EndEntityCert, KeyUsage};

static TLS12_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// A leaf, its intermediates, its key.
pub struct Identity {
    /// Leaf first, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// The protocol versions spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 alone: what Microsoft documents.
    Tls12,
}

/// How a simulated peer speaks TLS, as client and as server.
#[derive(Clone)]
pub struct TlsSettings {
    /// Presented in both roles.
    pub identity: Identity,
    /// Trust anchors for the other side's certificate.
    pub roots: Vec<CertificateDer<'static>>,
    /// As a server, refuse a client that shows no certificate.
    pub require_client_certificate: bool,
    /// Protocol versions spoken.
    pub versions: Versions,
    /// Cipher suites spoken; empty means every one the library has.
    pub suites: Vec<CipherSuite>,
    /// Receives the secrets of every session, for captures.
    pub key_log: Option<Arc<dyn KeyLog>>,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("identity", &self.identity)
            .field("roots", &self.roots.len())
            .field(
                "require_client_certificate",
                &self.require_client_certificate,
            )
            .field("versions", &self.versions)
            .field("suites", &self.suites)
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// Mutual TLS with this identity and these roots, in every protocol version.
    pub fn new(identity: Identity, roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            identity,
            roots,
            require_client_certificate: true,
            versions: Versions::Both,
            suites: Vec::new(),
            key_log: None,
        }
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        match self.versions {
            Versions::Both => rustls::ALL_VERSIONS,
            Versions::Tls12 => TLS12_ONLY,
        }
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            let wanted = |suite: &SupportedCipherSuite| self.suites.contains(&suite.suite());
            provider.cipher_suites.retain(wanted);
        }
        Arc::new(provider)
    }

    fn store(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            store.add(root.clone())?;
        }
        Ok(store)
    }

    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(self.versions())?
            .with_root_certificates(self.store()?)
            .with_client_auth_cert(self.identity.chain.clone(), self.identity.key.clone_key())?;
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log);
        }
        Ok(Arc::new(config))
    }

    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        let provider = self.provider();
        let verifier = EitherUsage {
            roots: self.store()?,
            algorithms: provider.signature_verification_algorithms,
            mandatory: self.require_client_certificate,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions())?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(self.identity.chain.clone(), self.identity.key.clone_key())?;
        if let Some(key_log) = &self.key_log {
            config.key_log = Arc::clone(key_log);
        }
        Ok(Arc::new(config))
    }
}

/// The names in a certificate's subjectAltName; empty when it has none or cannot be read.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    EndEntityCert::try_from(certificate)
        .map(|leaf| {
            leaf.valid_dns_names()
                .map(str::to_ascii_lowercase)
                .collect()
        })
        .unwrap_or_default()
}

/// Whether a certificate with these names stands for `host`: equal, or a wildcard of one label
/// (RFC 2818 §3.1).
pub(crate) fn covers(names: &[String], host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => *name == host,
    })
}

/// Accepts a client's certificate that chains to a root and may be used by a server or by a
/// client: public CAs no longer issue for clients, so telephony peers present what they have.
#[derive(Debug)]
struct EitherUsage {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
    mandatory: bool,
}

impl ClientCertVerifier for EitherUsage {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let leaf = EndEntityCert::try_from(end_entity).map_err(refused)?;
        let verify = |usage| {
            leaf.verify_for_usage(
                self.algorithms.all,
                &self.roots.roots,
                intermediates,
                now,
                usage,
                None,
                None,
            )
            .map(|_| ClientCertVerified::assertion())
        };
        verify(KeyUsage::server_auth())
            .or_else(|_| verify(KeyUsage::client_auth()))
            .map_err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the library's list is long and open"
)]
fn refused(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = vec![
            "*.contoso.example".to_owned(),
            "sbc.other.example".to_owned(),
        ];
        for (host, covered) in [
            ("sbc1.contoso.example", true),
            ("SBC1.Contoso.Example", true),
            ("contoso.example", false),
            ("sbc.test.contoso.example", false),
            ("sbc.other.example", true),
            ("sbc2.other.example", false),
        ] {
            assert_eq!(covers(&names, host), covered, "{host}");
        }
    }
}
