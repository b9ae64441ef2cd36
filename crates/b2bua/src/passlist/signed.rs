//! Signed identities: `Identity` (RFC 8224) with the `Date` it was signed at, and `verstat`.

use sip_msg::{HeaderName, Headers, NameAddr, Subscriber};

use super::address::is_token_like;
use crate::profile::{Signatures, TrunkProfile, Trust};

/// Most Identity fields of one message: an attestation, a diversion for each redirection, rich
/// call data (RFC 8224, RFC 8946, RFC 9795).
const MOST: usize = 8;

/// Octets of the longest Identity.
const LONGEST: usize = 8 * 1024;

/// Whether signed identities come from a trunk and go to it.
pub(super) fn may_cross(trunk: &TrunkProfile) -> bool {
    match trunk.identity.signatures {
        Signatures::ByTrust => trunk.trust == Trust::Trusted,
        Signatures::Pass => true,
        Signatures::Strip => false,
    }
}

/// Copies the signatures octet for octet, with the Date that the compact form needs (RFC 8224
/// §4.1).
pub(super) fn carry(source: &Headers, into: &mut Headers) {
    if !is_signed(source) {
        return;
    }
    for value in fitting(source) {
        into.push(HeaderName::Identity, value);
    }
    if let Some(date) = source
        .get(&HeaderName::Date)
        .filter(|_| source.date().is_some())
    {
        into.push(HeaderName::Date, date);
    }
}

/// Whether there is a signature that can cross.
pub(crate) fn is_signed(source: &Headers) -> bool {
    fitting(source).next().is_some()
}

fn fitting(source: &Headers) -> impl Iterator<Item = &[u8]> {
    source
        .get_all(&HeaderName::Identity)
        .filter(|value| !value.is_empty() && value.len() <= LONGEST)
        .take(MOST)
}

/// What an address says of its number's verification, for the user part of the same address on
/// the other leg: `;verstat=TN-Validation-Passed` (ATIS-1000074, 3GPP TS 24.229 §7.2A.20).
pub(super) fn verstat(address: &NameAddr) -> Option<String> {
    let subscriber = Subscriber::of(&address.uri)?;
    let said = subscriber.value("verstat");
    let said = said.or_else(|| address.uri.param("verstat").flatten());
    said.filter(|said| is_token_like(said))
        .map(|said| format!(";verstat={said}"))
}
