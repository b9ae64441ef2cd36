//! Whom any certificate will do for, in either role of TLS. Signatures are checked all the same.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// What looks at a server's chain, leaf first, and lets the handshake go on or not.
type Look = dyn Fn(Vec<CertificateDer<'static>>) -> Result<(), Error> + Send + Sync;

/// Believes every certificate of a server that is let pass by who looks at it, and every client
/// with a certificate or without.
pub(super) struct Believing {
    provider: Arc<CryptoProvider>,
    look: Box<Look>,
}

impl Believing {
    /// Believes everybody.
    #[must_use]
    pub(super) fn everybody(provider: Arc<CryptoProvider>) -> Self {
        Self::looking(provider, |_| Ok(()))
    }

    /// Believes every server that `look` lets pass.
    pub(super) fn looking(
        provider: Arc<CryptoProvider>,
        look: impl Fn(Vec<CertificateDer<'static>>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            provider,
            look: Box::new(look),
        }
    }
}

impl fmt::Debug for Believing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believing").finish_non_exhaustive()
    }
}

/// What both roles ask for in the same words.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, dss, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, dss, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = &self.provider.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(leaf).chain(intermediates);
        (self.look)(chain.map(|one| one.clone().into_owned()).collect())?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Believing {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}
