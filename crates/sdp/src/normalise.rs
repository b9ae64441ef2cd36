//! What real peers send and the grammar does not allow, made grammatical before it is parsed.

use crate::error::SdpError;
use crate::print::Digits;

/// The body with one grammatical line for each line of the input: bare LF accepted, Latin-1 octets
/// turned into UTF-8, `o=` reduced to the grammar, malformed `b=` and empty lines dropped.
pub(crate) fn normalise(body: &[u8], max_lines: usize) -> Result<Vec<u8>, SdpError> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for (index, raw) in body.split(|&byte| byte == b'\n').enumerate() {
        if index > max_lines {
            return Err(SdpError::TooManyLines);
        }
        let line = trim(raw);
        if line.is_empty() {
            continue;
        }
        let latin;
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(_) => {
                latin = line
                    .iter()
                    .map(|&byte| char::from(byte))
                    .collect::<String>();
                &latin
            }
        };
        match text.split_at_checked(2) {
            Some(("o=", value)) => push_origin(&mut out, value),
            Some(("b=", value)) if !is_bandwidth(value) => {}
            _ => {
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    Ok(out)
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// User names with spaces come from real exchanges; an origin that cannot be read at all is
/// replaced, since nothing of it is ever used.
fn push_origin(out: &mut Vec<u8>, value: &str) {
    let mut fields = value.split_ascii_whitespace().rev();
    let (address, address_type, net) = (fields.next(), fields.next(), fields.next());
    let (version, id) = (fields.next(), fields.next());
    let user = fields.rev().collect::<Vec<_>>().join("_");
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let line = match (id, version, net, address_type, address) {
        (Some(id), Some(version), Some(net), Some(address_type), Some(address))
            if numeric(version) && is_token(net) && is_token(address_type) =>
        {
            let user = if user.is_empty() { "-" } else { &user };
            let version = Digits::of(version.parse().unwrap_or(u64::MAX));
            [user, id, version.as_str(), net, address_type, address].join(" ")
        }
        _ => "- 0 0 IN IP4 0.0.0.0".to_owned(),
    };
    for part in ["o=", &line, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
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
