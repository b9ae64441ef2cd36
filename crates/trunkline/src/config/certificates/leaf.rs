//! What an operator wants to know of a certificate: whose it is, which one, and how long it lasts.

use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate_names;

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

/// The end-entity certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The names it stands for.
    pub names: Vec<String>,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Who issued it.
    pub issuer: String,
    /// Seconds of Unix time at which it ends.
    pub not_after: i64,
    /// Certificates sent with it.
    pub intermediates: usize,
}

impl Leaf {
    /// Reads the first certificate of a chain; `None` if it cannot be read.
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(Self {
            names: certificate_names(&leaf),
            serial: leaf.raw_serial_as_string(),
            issuer: leaf.issuer().to_string(),
            not_after: leaf.validity().not_after.timestamp(),
            intermediates: chain.len() - 1,
        })
    }

    /// Whole days left at `now`, seconds of Unix time; negative once it has ended.
    pub fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now).div_euclid(DAY)
    }

    /// The moment it ends, in RFC 3339.
    pub fn ends(&self) -> String {
        Timestamp::from_second(self.not_after)
            .map_or_else(|_| "never".to_owned(), |at| at.to_string())
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (serial {}, ends {})",
            self.names.join(", "),
            self.serial,
            self.ends()
        )
    }
}
