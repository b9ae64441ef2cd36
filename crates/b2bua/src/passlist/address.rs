//! Addresses of one side rewritten so that the other side learns numbers and no hosts.

use std::fmt::Write as _;

use sip_msg::{NameAddr, Scheme, Uri};

use crate::profile::TrunkProfile;

/// Parameters of an address that cross: RFC 7044's, RFC 5806's, and no others.
const PARAMS: [&str; 7] = ["index", "rc", "mp", "np", "reason", "counter", "privacy"];

/// Fields embedded in a URI that cross (RFC 7044 §9).
const URI_HEADERS: [&str; 2] = ["Reason", "Privacy"];

/// One item of History-Info, Diversion or P-Asserted-Identity as the trunk `to` may see it; `None`
/// if it is malformed or names nobody but a host.
pub(super) fn rehost_name_addr(item: &[u8], to: &TrunkProfile) -> Option<String> {
    let parsed = NameAddr::parse(item.to_vec()).ok()?;
    let uri = rehost_uri(&parsed.uri, to)?;
    let mut value = String::new();
    if let Some(display) = parsed.display.as_deref().filter(|name| is_harmless(name)) {
        let _ = write!(value, "\"{display}\" ");
    }
    let _ = write!(value, "<{uri}>");
    for name in PARAMS {
        match parsed.param(name) {
            Some(Some(text)) if is_token_like(text) => {
                let _ = write!(value, ";{name}={text}");
            }
            Some(None) => {
                let _ = write!(value, ";{name}");
            }
            Some(Some(_)) | None => {}
        }
    }
    Some(value)
}

/// The same user at this gateway, as text; a `tel` URI keeps its number alone.
pub(super) fn rehost_uri(uri: &Uri, to: &TrunkProfile) -> Option<String> {
    // Parameters inside the user part, such as `phone-context`, can name hosts.
    let user = uri
        .user()?
        .split(';')
        .next()
        .filter(|user| !user.is_empty())?;
    match uri.scheme() {
        Scheme::Tel => Uri::tel(user).map(|uri| uri.to_string()),
        Scheme::Sip | Scheme::Sips => {
            let mut own = Uri::sip(Some(user), &to.advertised.host, None);
            for name in ["user", "cause"] {
                if let Some(Some(value)) = uri.param(name)
                    && is_token_like(value)
                {
                    own = own.with_param(name, Some(value));
                }
            }
            let mut text = own.to_string();
            let mut separator = '?';
            for header in uri.headers().unwrap_or_default().split('&') {
                let name = header.split_once('=').map_or(header, |(name, _)| name);
                if URI_HEADERS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
                {
                    text.push(separator);
                    text.push_str(header);
                    separator = '&';
                }
            }
            Some(text)
        }
        Scheme::Other => None,
    }
}

pub(super) fn is_harmless(display: &str) -> bool {
    display.len() <= 128
        && display
            .chars()
            .all(|c| !c.is_control() && c != '"' && c != '\\')
}

pub(super) fn is_token_like(value: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+%!*_`'~".contains(&byte);
    !value.is_empty() && value.len() <= 64 && value.bytes().all(fits)
}
