//! Peers that cannot be reached: told when it begins and when it is over, and not at every try
//! between.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustls::{CertificateError, Error};
use sip_msg::wire::{Hop, TransportError};

use crate::stream::CloseReason;

/// Why a connection did not come up, or was of no use.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Nobody listens there.
    Refused,
    /// The network knows no way, or something on the way says no.
    Unreachable(io::Error),
    /// It took longer than the trunk allows.
    Late(Duration),
    /// The trunk has no TLS settings, or the peer no name to ask for.
    NoTls,
    /// The TLS handshake failed.
    Handshake(io::Error),
    /// It came up, and ended before the peer said anything.
    Ended(CloseReason),
}

impl Cause {
    /// What a message that waited for the connection is told.
    pub(crate) fn as_error(&self) -> TransportError {
        match self {
            Self::Refused => TransportError::Refused,
            Self::Unreachable(_) => TransportError::Unreachable,
            Self::Late(_) => TransportError::ConnectTimeout,
            Self::NoTls | Self::Handshake(_) => TransportError::Tls,
            Self::Ended(reason) => reason.as_error(),
        }
    }

    /// The cause for an operator, as a sentence whose subject is the peer or the connection.
    fn words(&self, hop: &Hop) -> String {
        match self {
            Self::Refused => "it refuses the connection: nobody listens there".to_owned(),
            Self::Unreachable(error) => format!("there is no way to it: {error}"),
            Self::Late(limit) => format!("it does not answer within {limit:?}"),
            Self::NoTls => "the trunk has no TLS settings, or the peer no name".to_owned(),
            Self::Handshake(error) => handshake(error, &hop.server_name),
            Self::Ended(CloseReason::TlsAlert) => {
                "it ended TLS with an alert: it may not accept our certificate".to_owned()
            }
            Self::Ended(CloseReason::Stalled) => "it does not read what it is sent".to_owned(),
            Self::Ended(CloseReason::Framing) => "what it sends is no SIP".to_owned(),
            Self::Ended(_) => "it closes the connection before it says anything".to_owned(),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds variants in minor releases; what is not named here is told in its words"
)]
fn handshake(error: &io::Error, name: &str) -> String {
    let inner = error.get_ref();
    let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<Error>()) else {
        return "it ended the TLS handshake without a word".to_owned();
    };
    match tls {
        Error::InvalidMessage(_) => "it does not speak TLS there".to_owned(),
        Error::PeerIncompatible(_) => {
            "it has no TLS version or cipher suite in common with us".to_owned()
        }
        Error::AlertReceived(alert) => {
            format!("it refused the TLS handshake ({alert:?}): it may not accept our certificate")
        }
        Error::InvalidCertificate(fault) => certificate(fault, name),
        other => format!("the TLS handshake failed: {other}"),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds variants in minor releases; what is not named here is told in its words"
)]
fn certificate(fault: &CertificateError, name: &str) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its certificate leads to no root that is trusted here".to_owned()
        }
        CertificateError::BadSignature => {
            "the signature of its certificate is not its issuer's".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate does not name {name}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not meant for a server".to_owned()
        }
        other => format!("its certificate is not valid: {other}"),
    }
}

/// The hops that cannot be reached at the moment.
#[derive(Debug)]
pub(crate) struct Outages {
    begun: Mutex<BTreeSet<Hop>>,
    most: usize,
}

impl Outages {
    /// None yet; of more than `most` one is forgotten, and told once more when it fails again.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            begun: Mutex::default(),
            most,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Hop>> {
        self.begun.lock().expect("no holder of the set can panic")
    }

    /// A try has failed. Tells of the first.
    pub(crate) fn begin(&self, hop: &Hop, cause: &Cause) {
        let first = {
            let mut begun = self.lock();
            if begun.len() >= self.most && !begun.contains(hop) {
                begun.pop_first();
            }
            begun.insert(hop.clone())
        };
        let words = cause.words(hop);
        let (trunk, peer, name) = (&hop.trunk, hop.addr, &hop.server_name);
        if first {
            tracing::warn!(%trunk, %peer, %name, cause = words, "peer cannot be reached");
        } else {
            tracing::debug!(%trunk, %peer, %name, cause = words, "peer still cannot be reached");
        }
    }

    /// The peer has said something.
    pub(crate) fn end(&self, hop: &Hop) {
        if self.lock().remove(hop) {
            let (trunk, peer, name) = (&hop.trunk, hop.addr, &hop.server_name);
            tracing::info!(%trunk, %peer, %name, "peer can be reached again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_msg::TransportKind;

    #[test]
    fn the_set_of_outages_is_bounded() {
        let outages = Outages::new(8);
        for port in 1..100 {
            let hop = Hop {
                trunk: "carrier".into(),
                transport: TransportKind::Tcp,
                addr: ([192, 0, 2, 1], port).into(),
                server_name: "carrier.example".into(),
            };
            outages.begin(&hop, &Cause::Refused);
        }
        assert_eq!(outages.lock().len(), 8);
    }
}
