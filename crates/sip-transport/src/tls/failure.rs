//! Which side of a failed handshake is to blame, and for what.

use std::io;

use rustls::{CertificateError, Error};

use crate::counters::Counter;

/// The reason behind the error of a handshake.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enums are open"
)]
pub(crate) fn classify(error: &io::Error) -> Counter {
    let Some(error) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    else {
        // The peer went away without a word of TLS.
        return Counter::TlsRefusedByPeer;
    };
    match error {
        Error::InvalidMessage(_) => Counter::TlsNotTls,
        Error::PeerIncompatible(_) => Counter::TlsNothingInCommon,
        Error::NoCertificatesPresented => Counter::TlsNoCertificate,
        Error::AlertReceived(_) => Counter::TlsRefusedByPeer,
        Error::InvalidCertificate(certificate) => {
            match certificate {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Counter::TlsExpired,
                CertificateError::UnknownIssuer => Counter::TlsUnknownIssuer,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Counter::TlsWrongName,
                CertificateError::InvalidPurpose
                | CertificateError::InvalidPurposeContext { .. } => Counter::TlsWrongUsage,
                _ => Counter::TlsBadCertificate,
            }
        }
        _ => Counter::TlsOther,
    }
}
