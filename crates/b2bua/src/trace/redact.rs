//! Taking secrets out of messages, well-formed or not.

use std::io::BufRead as _;
use std::ops::Range;

use bytes::Bytes;

const MASK: &[u8] = b"[redacted]";

/// `message` without SRTP master keys (`a=crypto`, RFC 4568; `a=key-mgmt`, RFC 4567; `k=`,
/// RFC 4566 §5.12) and without credentials (`Authorization`, `Proxy-Authorization`: the Digest
/// response and the whole of any other scheme), and without the nonces of calls that Microsoft
/// carries. It works on bytes, not on parsed messages, because
/// malformed ones are traced as well; identity headers stay.
#[must_use]
pub fn redact(message: Bytes) -> Bytes {
    if !may_hold_secrets(&message) {
        return message;
    }
    let secrets = secrets(&message);
    if secrets.is_empty() {
        return message;
    }
    let mut clean = Vec::with_capacity(message.len());
    let mut kept = 0;
    for secret in secrets {
        // Ranges are sorted by their start and may overlap.
        if secret.end <= kept {
            continue;
        }
        if secret.start >= kept {
            clean.extend_from_slice(&message[kept..secret.start]);
            clean.extend_from_slice(MASK);
        }
        kept = secret.end;
    }
    clean.extend_from_slice(&message[kept..]);
    Bytes::from(clean)
}

/// Whether a closer look is worth its while: this runs over every octet of every message, and finds
/// in nearly all of them neither `inline` nor a line that begins as one with a secret does, nor any
/// line that ends oddly or continues another.
pub(super) fn may_hold_secrets(message: &[u8]) -> bool {
    let is = |byte: u8, lower: u8| byte | 0x20 == lower;
    // Without a branch, so that it is done for many octets at once.
    let inline = message.windows(4).fold(false, |found, four| {
        found | (is(four[0], b'n') & is(four[1], b'l') & is(four[2], b'i') & is(four[3], b'n'))
    });
    let ends = message.iter().filter(|byte| **byte == b'\r').count();
    let mut whole = 0;
    let mut rest = message;
    while !rest.is_empty() {
        let line = rest;
        let length = rest.skip_until(b'\n').unwrap_or(line.len());
        let line = &line[..length];
        whole += usize::from(line.ends_with(b"\r\n"));
        let odd = line.starts_with(b" ") || line.starts_with(b"\t");
        if odd || begins_a_secret(line) {
            return true;
        }
    }
    inline || whole != ends
}

/// Whether a line begins as one of those do that [`line_secrets`] looks into.
fn begins_a_secret(line: &[u8]) -> bool {
    match line {
        [b'k' | b'K', b'=', ..] => true,
        [b'a' | b'A', b'=', second, ..] => matches!(second | 0x20, b'k' | b'c'),
        [b'a' | b'A', ..] => starts(line, b"authorization"),
        [b'p' | b'P', ..] => starts(line, b"proxy-authorization"),
        [b'x' | b'X', ..] => starts(line, b"x-ms-custom-trunkline-nonce"),
        [first, ..] => first.is_ascii_whitespace() && *first != b'\r' && *first != b'\n',
        [] => false,
    }
}

pub(super) fn secrets(message: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    inline_keys(message, &mut found);
    let mut start = 0;
    while start < message.len() {
        let end = logical_line_end(message, start);
        line_secrets(message, start..end, &mut found);
        start = end.max(start + 1);
    }
    found.sort_by_key(|range| (range.start, range.end));
    found
}

/// Every key after `inline:`, wherever it stands: a message may carry SDP in places nobody
/// expects, such as a multipart body or a URI header.
fn inline_keys(message: &[u8], found: &mut Vec<Range<usize>>) {
    const WORD: &[u8] = b"inline";
    let mut from = 0;
    while let Some(at) = find(&message[from..], WORD) {
        from += at + WORD.len();
        let rest = &message[from..];
        let colon = [&b":"[..], b"%3a"].into_iter().find(|c| starts(rest, c));
        if let Some(colon) = colon {
            let start = from + colon.len();
            let end = start + span(&message[start..], |byte| !byte.is_ascii_control());
            found.push(start..end);
        }
    }
}

/// The end of the line at `start` with the folded lines that continue it (RFC 3261 §7.3.1).
fn logical_line_end(message: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        let rest = &message[at..];
        let line = span(rest, |byte| byte != b'\n' && byte != b'\r');
        let ending = span(&rest[line..], |byte| byte == b'\n' || byte == b'\r').min(2);
        at += line + ending;
        let folded = matches!(message.get(at), Some(b' ' | b'\t'));
        if !folded {
            return at;
        }
    }
}

fn line_secrets(message: &[u8], line: Range<usize>, found: &mut Vec<Range<usize>>) {
    let text = &message[line.clone()];
    let value_of = |prefix: &[u8]| starts(text, prefix).then(|| line.start + prefix.len());
    let text_end = line.start + trimmed(text);
    for prefix in [
        &b"k="[..],
        b"a=key-mgmt:",
        b"a=crypto:",
        b"x-ms-custom-trunkline-nonce:",
    ] {
        let Some(value) = value_of(prefix) else {
            continue;
        };
        // A crypto line keeps its tag and suite: they are what a ladder is read for.
        let words = if prefix == b"a=crypto:" { 2 } else { 0 };
        let secret = value + skip_words(&message[value..text_end], words);
        if secret < text_end {
            found.push(secret..text_end);
        }
    }
    if let Some(value) = credentials(text) {
        credential_secrets(message, line.start + value..text_end, found);
    }
}

/// Where the value of an `Authorization` or `Proxy-Authorization` field begins.
fn credentials(line: &[u8]) -> Option<usize> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = line[..colon].trim_ascii();
    let secret = name.eq_ignore_ascii_case(b"authorization")
        || name.eq_ignore_ascii_case(b"proxy-authorization");
    secret.then_some(colon + 1)
}

fn credential_secrets(message: &[u8], value: Range<usize>, found: &mut Vec<Range<usize>>) {
    let text = &message[value.clone()];
    let scheme = span(text, |byte| byte.is_ascii_whitespace());
    if !starts(&text[scheme..], b"digest") {
        found.push(value);
        return;
    }
    let mut from = 0;
    while let Some(at) = find(&text[from..], b"response") {
        let start = from + at + b"response".len();
        let end = start + span(&text[start..], |byte| byte != b',');
        found.push(value.start + start..value.start + end);
        from = start;
    }
}

fn span(text: &[u8], mut holds: impl FnMut(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| !holds(byte))
        .unwrap_or(text.len())
}

fn skip_words(text: &[u8], words: usize) -> usize {
    let mut at = 0;
    for _ in 0..words {
        at += span(&text[at..], |byte| !byte.is_ascii_whitespace());
        at += span(&text[at..], |byte| byte.is_ascii_whitespace());
    }
    at
}

fn trimmed(line: &[u8]) -> usize {
    line.trim_ascii_end().len()
}

fn starts(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = position_of(&text[from..], first) {
        if starts(&text[from + at..], needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Where the letter stands first, in either case: this runs over every octet of every message.
fn position_of(text: &[u8], lower: u8) -> Option<usize> {
    text.iter()
        .position(|byte| byte.to_ascii_lowercase() == lower)
}
