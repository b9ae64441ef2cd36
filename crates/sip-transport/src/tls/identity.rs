//! Certificates of ours and roots we trust.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{peer, provider};

/// A certificate with its chain and private key. Cloning is cheap; the key is never printed.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate file is no PEM, or holds no certificate.
    #[error("no certificate in the PEM text")]
    NoCertificate,
    /// The key file is no PEM, or holds no unencrypted private key.
    #[error("no private key in the PEM text")]
    NoPrivateKey,
    /// The end-entity certificate cannot be read.
    #[error("the first certificate cannot be read")]
    UnreadableCertificate,
    /// The key cannot be used, or belongs to another certificate.
    #[error("private key and certificate do not go together: {0}")]
    Mismatch(#[from] rustls::Error),
}

impl Identity {
    /// Reads a chain, end-entity certificate first and then its intermediates, and the key. The
    /// whole chain is sent to peers: many do not fetch a missing intermediate.
    pub fn from_pem(certificates: &[u8], private_key: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| IdentityError::NoCertificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(private_key).map_err(|_| IdentityError::NoPrivateKey)?;
        Self::from_der(chain, key)
    }

    /// As [`Identity::from_pem`], from DER.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        private_key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let end_entity = chain.first().ok_or(IdentityError::NoCertificate)?;
        let names = peer::names(end_entity)
            .ok_or(IdentityError::UnreadableCertificate)?
            .into();
        let certified = CertifiedKey::from_der(chain, private_key, &provider())?;
        Ok(Self {
            certified: Arc::new(certified),
            names,
        })
    }

    /// The DNS names of the end-entity certificate, wildcards included.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The chain, end-entity certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The chain with its key, for another server that shows the same certificate.
    #[must_use]
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The roots that peers' chains must lead to. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

/// Why roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The text is no PEM, or holds no certificate.
    #[error("no certificate in the PEM text")]
    NoCertificate,
    /// A certificate cannot serve as a root; counted from 0.
    #[error("certificate {index} cannot serve as a root")]
    Unusable {
        /// Position in the text.
        index: usize,
    },
}

impl Roots {
    /// Trusts nobody: for listeners that ask for no certificate.
    pub fn none() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// The certificates of a PEM text, each of which becomes a root.
    pub fn from_pem(certificates: &[u8]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(certificates).enumerate() {
            let certificate = certificate.map_err(|_| RootsError::NoCertificate)?;
            store
                .add(certificate)
                .map_err(|_| RootsError::Unusable { index })?;
        }
        if store.is_empty() {
            Err(RootsError::NoCertificate)
        } else {
            Ok(Self(Arc::new(store)))
        }
    }

    /// These roots and those the operating system trusts. Certificates of the system that cannot
    /// be read are left out: some systems carry such.
    pub fn with_native(&self) -> Self {
        let mut store = RootCertStore::clone(&self.0);
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self(Arc::new(store))
    }

    /// How many roots are trusted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no root is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn store(&self) -> &Arc<RootCertStore> {
        &self.0
    }
}
