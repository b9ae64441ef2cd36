//! What real peers send and the grammar does not allow, made grammatical before it is parsed.

use crate::print::Digits;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was put behind the text.
    Line,
    /// It is left out.
    Nothing,
}

/// Puts the line `raw` behind `text`, without its end: `o=` reduced to the grammar; empty lines and
/// malformed `b=` are left out.
pub(crate) fn put_line(text: &mut String, raw: &str) -> Kept {
    let line = raw.trim_end_matches(['\r', ' ', '\t']);
    match line.split_at_checked(2) {
        _ if line.is_empty() => return Kept::Nothing,
        Some(("o=", value)) => push_origin(text, value),
        Some(("b=", value)) if !is_bandwidth(value) => return Kept::Nothing,
        _ => text.push_str(line),
    }
    Kept::Line
}

/// User names with spaces come from real exchanges; an origin that cannot be read at all is
/// replaced, since nothing of it is ever used.
fn push_origin(text: &mut String, value: &str) {
    let mut fields = value.split_ascii_whitespace().rev();
    let (address, address_type, net) = (fields.next(), fields.next(), fields.next());
    let (version, id) = (fields.next(), fields.next());
    let mut user = fields;
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (id, version, net, kind, address) = match (id, version, net, address_type, address) {
        (Some(id), Some(version), Some(net), Some(kind), Some(address))
            if numeric(version) && is_token(net) && is_token(kind) =>
        {
            (id, version.parse().unwrap_or(u64::MAX), net, kind, address)
        }
        _ => return text.push_str("o=- 0 0 IN IP4 0.0.0.0"),
    };
    text.push_str("o=");
    match user.next_back() {
        None => text.push('-'),
        Some(first) => text.push_str(first),
    }
    while let Some(part) = user.next_back() {
        text.push('_');
        text.push_str(part);
    }
    for field in [id, Digits::of(version).as_str(), net, kind, address] {
        text.push(' ');
        text.push_str(field);
    }
}

fn is_token(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

fn is_bandwidth(value: &str) -> bool {
    value
        .split_once(':')
        .is_some_and(|(kind, amount)| !kind.is_empty() && amount.parse::<u64>().is_ok())
}
