//! The listening side: certificate by name, and whose certificates we accept.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::{Identity, Roots, Terms, TlsError, peer};

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// None is asked for.
    None,
    /// One is asked for; if one comes it must be good.
    Optional,
    /// No connection without a good one.
    #[default]
    Required,
}

/// TLS of one listener.
#[derive(Clone, Debug)]
pub struct TlsServerSettings {
    /// Our certificates. The one that bears the name asked for (SNI, RFC 6066 §3) is shown; the
    /// first where none does, or no name was asked for.
    pub identities: Vec<Identity>,
    /// Whether clients must show a certificate.
    pub client_authentication: ClientAuthentication,
    /// The roots of clients' chains.
    pub roots: Roots,
    /// Names of which a client's certificate must bear at least one, such as
    /// `sip.pstnhub.microsoft.com`. Empty: any name.
    pub client_names: Vec<String>,
}

pub(crate) fn server_config(
    settings: &TlsServerSettings,
    terms: &Terms,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::clone(&terms.provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&terms.versions)?;
    let builder = match settings.client_authentication {
        ClientAuthentication::None => builder.with_no_client_auth(),
        ClientAuthentication::Optional | ClientAuthentication::Required => {
            builder.with_client_cert_verifier(Arc::new(AnyTlsPurpose::new(settings, &provider)?))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByServerName::new(&settings.identities)?));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.key_log = Arc::clone(&terms.key_log);
    Ok(config)
}

/// Picks our certificate by the name the client asked for.
#[derive(Debug)]
struct ByServerName {
    default: Arc<CertifiedKey>,
    named: Vec<(String, Arc<CertifiedKey>)>,
}

impl ByServerName {
    fn new(identities: &[Identity]) -> Result<Self, TlsError> {
        let default = identities.first().ok_or(TlsError::NoIdentity)?.certified();
        let mut named = Vec::new();
        for identity in identities {
            for name in identity.names() {
                named.push((name.clone(), identity.certified()));
            }
        }
        // Exact names before wildcards: the more specific certificate is the intended one.
        named.sort_by_key(|(name, _)| name.starts_with('*'));
        Ok(Self { default, named })
    }

    fn choose(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        let found = server_name.and_then(|asked| {
            self.named
                .iter()
                .find(|(name, _)| peer::stands_for(name, asked))
        });
        Arc::clone(found.map_or(&self.default, |(_, certified)| certified))
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name()))
    }
}

/// Verifies a client's chain for either TLS purpose. Public authorities stop issuing
/// certificates with the clientAuth purpose, and SIP peers are clients and servers under one
/// certificate (RFC 5922), so one that may serve may also call: the extended key usage must hold
/// serverAuth or clientAuth, or be absent.
#[derive(Debug)]
struct AnyTlsPurpose {
    roots: Arc<RootCertStore>,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    names: Vec<String>,
    mandatory: bool,
}

impl AnyTlsPurpose {
    fn new(settings: &TlsServerSettings, provider: &CryptoProvider) -> Result<Self, TlsError> {
        if settings.roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(Self {
            roots: Arc::clone(settings.roots.store()),
            // No hints: some peers' stacks show a certificate only if its direct issuer is named.
            subjects: Vec::new(),
            algorithms: provider.signature_verification_algorithms,
            names: settings.client_names.clone(),
            mandatory: settings.client_authentication == ClientAuthentication::Required,
        })
    }

    fn verify_name(&self, end_entity: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if self.names.is_empty() {
            return Ok(());
        }
        let presented = peer::names(end_entity).ok_or(CertificateError::BadEncoding)?;
        let matches = presented.iter().any(|presented| {
            self.names
                .iter()
                .any(|name| peer::stands_for(presented, name))
        });
        if matches {
            Ok(())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }
}

impl ClientCertVerifier for AnyTlsPurpose {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let certificate =
            EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let verify = |purpose| {
            certificate
                .verify_for_usage(
                    self.algorithms.all,
                    &self.roots.roots,
                    intermediates,
                    now,
                    purpose,
                    None,
                    None,
                )
                .map(|_| ())
        };
        match verify(KeyUsage::server_auth()) {
            Err(webpki::Error::RequiredEkuNotFoundContext(_)) => verify(KeyUsage::client_auth()),
            other => other,
        }
        .map_err(certificate_error)?;
        self.verify_name(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The alert the peer sees says what is wrong with its certificate.
#[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn certificate_error(error: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    match error {
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    }
    .into()
}
