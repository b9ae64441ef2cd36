//! TLS of both directions: identities, trust, and who the peer turned out to be.
//!
//! Every configuration is built with the aws-lc-rs provider named explicitly, so that no other
//! provider linked into the process can take its place. Sessions are never resumed: after a
//! change of roots or identities each connection is verified anew.

mod client;
mod failure;
mod gate;
mod identity;
mod key_log;
mod peer;
mod server;
mod terms;

use rustls::crypto::CryptoProvider;

pub use client::TlsClientSettings;
pub use identity::{Identity, IdentityError, Roots, RootsError};
pub use server::{ClientAuthentication, TlsServerSettings};
pub use terms::{TlsPolicy, TlsVersion};

pub(crate) use client::client_config;
pub(crate) use failure::classify;
pub(crate) use gate::HandshakeGate;
pub(crate) use key_log::KeyLogFile;
pub(crate) use peer::{bears, peer_identity};
pub(crate) use server::server_config;
pub(crate) use terms::Terms;

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A server needs at least one identity.
    #[error("a TLS listener has no certificate")]
    NoIdentity,
    /// Peers are to be verified but no root is trusted.
    #[error("certificates are to be verified and no root is trusted")]
    NoRoots,
    /// A cipher suite was asked for that does not exist here.
    #[error("there is no cipher suite {0}")]
    UnknownSuite(String),
    /// rustls refuses the settings.
    #[error("TLS settings are refused: {0}")]
    Refused(#[from] rustls::Error),
}
