//! Custom context: `X-MS-Custom-…` (U-11) and `User-To-User` (RFC 7433), within a trunk's limits.

use sip_msg::{HeaderField, HeaderName, Headers};

use crate::profile::{TrunkProfile, Trust};

/// What the names of custom context begin with.
pub(super) const PREFIX: &str = "X-MS-Custom-";

/// Whether custom context comes from a trunk and goes to it.
pub(super) fn may_cross(trunk: &TrunkProfile) -> bool {
    trunk.context.pass.unwrap_or(trunk.trust == Trust::Trusted)
}

/// Whether a field is custom context.
pub(crate) fn is_context(field: &HeaderField<'_>) -> bool {
    is_custom(field) || field.is(&HeaderName::UserToUser)
}

fn is_custom(field: &HeaderField<'_>) -> bool {
    let name = field.raw_name();
    name.len() > PREFIX.len() && name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX.as_bytes())
}

/// Whether an INVITE says the same without the field: custom context and the history of
/// redirections are for the benefit of whoever takes them, and long.
pub(crate) fn is_dispensable(field: &HeaderField<'_>) -> bool {
    let history = [HeaderName::HistoryInfo, HeaderName::Diversion];
    is_context(field) || history.iter().any(|name| field.is(name))
}

/// Copies what fits; what does not is left out.
pub(super) fn carry(source: &Headers, to: &TrunkProfile, into: &mut Headers) {
    for field in fitting(source, to) {
        into.push(field.name(), field.value());
    }
    let values = source.items(&HeaderName::UserToUser);
    let fitting = values.filter(|value| fits_user_to_user(value, to));
    for value in fitting.take(to.context.user_to_user) {
        into.push(HeaderName::UserToUser, value);
    }
}

fn fitting<'h>(source: &'h Headers, to: &TrunkProfile) -> impl Iterator<Item = HeaderField<'h>> {
    let limits = to.context;
    source
        .iter()
        .filter(is_custom)
        .filter(move |field| {
            field.raw_name().len() <= limits.name && field.value().len() <= limits.value
        })
        .take(limits.fields)
}

/// How many fields and values of `source` the limits of `to` leave out.
#[must_use]
pub(crate) fn left_out(source: &Headers, to: &TrunkProfile) -> usize {
    if !may_cross(to) {
        return 0;
    }
    let custom = source.iter().filter(is_custom).count();
    let values = source.items(&HeaderName::UserToUser);
    let fits = source
        .items(&HeaderName::UserToUser)
        .filter(|value| fits_user_to_user(value, to))
        .take(to.context.user_to_user)
        .count();
    custom - fitting(source, to).count() + values.count() - fits
}

/// `uui-value` of RFC 7433 §4.1: data as a token or quoted string, with generic parameters. Data
/// that says of itself to be hexadecimal is so.
fn fits_user_to_user(value: &[u8], to: &TrunkProfile) -> bool {
    if value.is_empty() || value.len() > to.context.value {
        return false;
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let (data, params) = match text.strip_prefix('"') {
        Some(rest) => {
            let Some((data, params)) = rest.split_once('"') else {
                return false;
            };
            (data, params)
        }
        None => text
            .split_once(';')
            .map_or((text, ""), |(data, params)| (data, params)),
    };
    let params = params.trim_start().trim_start_matches(';');
    let mut encoding = params.split(';').filter_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("encoding")
            .then(|| value.trim())
    });
    let hexadecimal = encoding
        .next()
        .is_some_and(|how| how.eq_ignore_ascii_case("hex"));
    let data = data.trim();
    !data.is_empty()
        && (!hexadecimal
            || data.len() % 2 == 0 && data.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
