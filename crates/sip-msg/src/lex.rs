//! The lexical rules of RFC 3261 §25.1 that more than one grammar uses.

/// One bit for each class a byte can be in.
const TOKEN: u8 = 1;
const USER: u8 = 2;
const PARAM: u8 = 4;
const WORD: u8 = 8;
const HEADER: u8 = 16;
const HOST: u8 = 32;
const VALUE: u8 = 64;

const fn classes(byte: u8) -> u8 {
    let unreserved = byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        );
    let mut class = 0;
    if byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
    {
        class |= TOKEN | WORD;
    }
    if matches!(
        byte,
        b'(' | b')'
            | b'<'
            | b'>'
            | b':'
            | b'\\'
            | b'"'
            | b'/'
            | b'['
            | b']'
            | b'?'
            | b'{'
            | b'}'
            | b'@'
    ) {
        class |= WORD;
    }
    // `#` is not in the grammar; Microsoft and PBXs send it unescaped. `:` separates a password.
    if unreserved
        || matches!(
            byte,
            b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'%' | b'#' | b':'
        )
    {
        class |= USER;
    }
    if unreserved
        || matches!(
            byte,
            b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' | b'%' | b'#'
        )
    {
        class |= PARAM;
    }
    if unreserved
        || matches!(
            byte,
            b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$' | b'%' | b'&' | b'=' | b';'
        )
    {
        class |= HEADER;
    }
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
        class |= HOST;
    }
    if !matches!(
        byte,
        b';' | b',' | b'"' | b'<' | b'>' | b'\\' | 0..=0x20 | 0x7F
    ) {
        class |= VALUE;
    }
    class
}

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes(byte as u8);
        byte += 1;
    }
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// `gen-value`, and the other characters found in unquoted values, such as `@` and `=`.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    is(byte, VALUE)
}

/// `token`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// `word`, of which Call-IDs are made.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    is(byte, WORD)
}

/// `user` and `password`, and `#`.
pub(crate) fn is_user_byte(byte: u8) -> bool {
    is(byte, USER)
}

/// `paramchar` of a URI, and `#`.
pub(crate) fn is_uri_param_byte(byte: u8) -> bool {
    is(byte, PARAM)
}

/// `hnv-unreserved` and the separators of URI headers.
pub(crate) fn is_uri_header_byte(byte: u8) -> bool {
    is(byte, HEADER)
}

/// `hostname`, and `_`, which is found in the names of real hosts.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    is(byte, HOST)
}

/// `text` if it is one token, not empty.
pub(crate) fn token(text: &[u8]) -> Option<&str> {
    if text.is_empty() || !text.iter().all(|&byte| is_token_byte(byte)) {
        return None;
    }
    str::from_utf8(text).ok()
}

/// Linear white space within a line. Folds are replaced by spaces before anything is parsed.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `text` without white space around it.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// `text` without white space before it.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    text
}

/// `text` without white space behind it.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// The length of the quoted string `text` begins with, both quotes included; `None` if it does not
/// end.
pub(crate) fn quoted_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What a quoted string stands for: without its quotes, escapes resolved. Other text as it is.
pub(crate) fn unquote(text: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = text else {
        return text.to_vec();
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    out
}

/// `text` as a quoted string; control characters become spaces.
pub(crate) fn quote(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..=0x1F | 0x7F => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

/// The position of the first `separator` outside quoted strings and outside `<>`.
///
/// An unbalanced quote or bracket reaches to the end of `text`.
pub(crate) fn find_outside(text: &[u8], separator: u8) -> Option<usize> {
    // Most texts have none at all, or one before anything that could hide it.
    let first = memchr::memchr(separator, text)?;
    if memchr::memchr2(b'"', b'<', &text[..first]).is_none() {
        return Some(first);
    }
    let mut at = 0;
    let mut bracketed = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' if !bracketed => {
                at += quoted_string(&text[at..])?;
                continue;
            }
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ if byte == separator && !bracketed => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The items of a comma separated list, each trimmed; empty ones are left out (RFC 3261 §7.3.1
/// gives them no meaning).
#[derive(Clone, Debug)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let end = find_outside(self.0, b',').unwrap_or(self.0.len());
            let item = trim(&self.0[..end]);
            self.0 = self.0.get(end + 1..).unwrap_or_default();
            if !item.is_empty() {
                return Some(item);
            }
        }
        None
    }
}

/// A decimal number, nothing else around it; `None` if it does not fit.
pub(crate) fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = 0u64;
    for digit in text {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    T::try_from(value).ok()
}
