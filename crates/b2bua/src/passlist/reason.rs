//! Why a call ended, between trunks (RFC 3326, RFC 6432).

use sip_msg::{HeaderName, Headers};

use super::Taken;
use crate::failure::Cause;
use crate::profile::{ReasonMap, TrunkProfile, Trust};

/// The longest text of a Reason that crosses, in octets.
const TEXT_MAX: usize = 128;

/// Most values of Reason that cross.
const MOST: usize = 8;

/// Copies protocol and cause of every value that is known here, one of each protocol
/// (RFC 3326 §2); the text too if the receiving trunk is trusted.
pub(super) fn carry(source: &Taken<'_>, to: &TrunkProfile, into: &mut Headers) {
    let mut told = Vec::new();
    for reason in source.headers().reason().into_iter().take(MOST) {
        let known = ["SIP", "Q.850"]
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(&reason.protocol));
        let (Some(protocol), Some(cause)) = (known, reason.cause) else {
            continue;
        };
        if told.contains(&protocol) {
            continue;
        }
        told.push(protocol);
        let mut value = format!("{protocol};cause={cause}");
        let text = reason.text.as_deref().filter(|text| {
            let plain = text
                .chars()
                .all(|c| !c.is_control() && c != '"' && c != '\\');
            to.trust == Trust::Trusted && plain && text.len() <= TEXT_MAX
        });
        if let Some(text) = text {
            value.push_str(";text=\"");
            value.push_str(text);
            value.push('"');
        }
        into.push(HeaderName::Reason, value);
    }
}

/// Reads the Q.850 causes of a trunk as its map says. A text that belonged to another cause goes.
pub(super) fn translate(map: &ReasonMap, headers: &mut Headers) {
    let values: Vec<String> = headers
        .items(&HeaderName::Reason)
        .map(|item| String::from_utf8_lossy(item).into_owned())
        .collect();
    let causes = headers.reason();
    // Values that cannot be read are not among `causes`; then nothing is certain of any.
    if values.len() != causes.len() {
        return;
    }
    headers.remove(&HeaderName::Reason);
    for (value, reason) in values.into_iter().zip(causes) {
        let cause = reason
            .protocol
            .eq_ignore_ascii_case("Q.850")
            .then_some(reason.cause)
            .flatten()
            .and_then(|cause| Cause::new(u8::try_from(cause).ok()?));
        match cause {
            Some(cause) if map.cause(cause) != cause => {
                headers.push(HeaderName::Reason, map.cause(cause).reason_value());
            }
            _ => headers.push(HeaderName::Reason, value),
        }
    }
}
