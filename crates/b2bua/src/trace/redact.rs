//! Taking secrets out of messages, well-formed or not.

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

/// Octets looked at in one go, and those that stand behind them.
const GO: usize = 64;
const AHEAD: usize = 3;

/// Whether a closer look is worth its while: this runs over every octet of every message, and finds
/// in nearly all of them neither `inline` nor a line that begins as one with a secret does, nor one
/// that continues another.
pub(super) fn may_hold_secrets(message: &[u8]) -> bool {
    if begins_a_secret(message) {
        return true;
    }
    let mut at = 0;
    while let Some(octets) = message[at..].first_chunk() {
        if is_odd(octets) && holds_a_beginning(message, at..at + GO) {
            return true;
        }
        at += GO;
    }
    // What is left is looked at with what stands before it, so that it is one go more.
    if let Some(octets) = message.last_chunk()
        && !is_odd(octets)
    {
        at = message.len() - AHEAD;
    }
    holds_a_beginning(message, at..message.len())
}

/// Whether anything in the first octets could be the `nlin` of `inline`, or the end of a line before
/// one that begins with a secret. Sums of differences without a branch, so that the compiler does
/// many octets at once: 0 is a match, and the least of all says whether there was one.
fn is_odd(octets: &[u8; GO + AHEAD]) -> bool {
    let mut least = u8::MAX;
    for at in 0..GO {
        let (p, a, b, c) = (octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
        let (lower_a, lower_b, lower_c) = (a | 0x20, b | 0x20, c | 0x20);
        let inline = (p | 0x20) ^ b'n' | lower_a ^ b'l' | lower_b ^ b'i' | lower_c ^ b'n';
        let end = (p ^ b'\r').min(p ^ b'\n');
        let key = lower_a ^ b'k' | b ^ b'=';
        let attribute = lower_a ^ b'a' | b ^ b'=' | (lower_c ^ b'k').min(lower_c ^ b'c');
        let field = (lower_a ^ b'a' | lower_b ^ b'u')
            .min(lower_a ^ b'p' | lower_b ^ b'r')
            .min(lower_a ^ b'x' | b ^ b'-');
        let blank = (a ^ b' ').min(a ^ b'\t').min(a ^ 0x0c);
        let line = end | key.min(attribute).min(field).min(blank);
        least = least.min(inline).min(line);
    }
    least == 0
}

/// The same, octet by octet and to the end of each word.
fn holds_a_beginning(message: &[u8], range: Range<usize>) -> bool {
    range.into_iter().any(|at| match message[at] {
        b'\r' | b'\n' => begins_a_secret(&message[at + 1..]),
        b'n' | b'N' => starts(&message[at..], b"nlin"),
        _ => false,
    })
}

/// Whether a line begins as one of those do that [`line_secrets`] looks into, or with a blank.
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
