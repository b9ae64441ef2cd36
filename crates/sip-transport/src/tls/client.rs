//! The calling side: our certificate, and the name the server must prove.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use super::{Identity, Roots, Terms, TlsError};

/// TLS of the connections opened for one trunk. The server must prove the name of the hop.
#[derive(Clone, Debug)]
pub struct TlsClientSettings {
    /// The certificate shown when the server asks for one, with its whole chain.
    pub identity: Option<Identity>,
    /// The roots of servers' chains.
    pub roots: Roots,
}

pub(crate) fn client_config(
    settings: &TlsClientSettings,
    terms: &Terms,
) -> Result<ClientConfig, TlsError> {
    if settings.roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let provider = Arc::clone(&terms.provider);
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::clone(settings.roots.store()),
        Arc::clone(&provider),
    )
    .build()
    .map_err(|_| TlsError::NoRoots)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&terms.versions)?
        .with_webpki_verifier(verifier);
    let mut config = match &settings.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(Always(identity.certified()))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.key_log = Arc::clone(&terms.key_log);
    Ok(config)
}

/// Shows our certificate whatever issuers the server names: a trunk has one identity, and to
/// withhold it would only turn a clear refusal into a puzzling one.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
