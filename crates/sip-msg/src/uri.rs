use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;

use crate::text::Text;
use crate::{TransportKind, UriError, lex};

mod build;
mod compare;
#[cfg(test)]
mod tests;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `sip:`, RFC 3261 §19.1.
    Sip,
    /// `sips:`, RFC 3261 §19.1.
    Sips,
    /// `tel:`, RFC 3966.
    Tel,
    /// Any other; the rest of the URI is opaque.
    Other,
}

/// A host: what to resolve, or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host<'a> {
    /// A name, as written.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, without its brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host name, an IPv4 address, or an IPv6 address in brackets.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(reference) = text.strip_prefix('[') {
            return ipv6(reference.strip_suffix(']')?).map(Self::V6);
        }
        if text.is_empty() || !text.bytes().all(lex::is_host_byte) {
            return None;
        }
        Some(Ipv4Addr::from_str(text).map_or(Self::Name(text), Self::V4))
    }

    /// The address, if it is one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(addr) => Some(addr.into()),
            Self::V6(addr) => Some(addr.into()),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(addr) => write!(f, "{addr}"),
            Self::V6(addr) => write!(f, "[{addr}]"),
        }
    }
}

/// An IPv6 address. Three colons before an embedded IPv4 address, which the grammar of RFC 3261
/// allowed by mistake, are read as two (RFC 5118 §4.10).
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| {
        let (before, behind) = text.split_once(":::")?;
        Ipv4Addr::from_str(behind).ok()?;
        format!("{before}::{behind}").parse().ok()
    })
}

/// A URI, kept byte for byte as it was written. Cloning is cheap.
///
/// Escapes are neither decoded nor added: `%00` stays `%00`. Equality is that of the bytes;
/// [`Uri::equivalent`] is that of RFC 3261 §19.1.4.
#[derive(Clone)]
pub struct Uri {
    text: Text,
    parts: Parts,
}

/// Where the parts of a URI are: offsets into its text, each where the next part begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    scheme: Scheme,
    /// Behind the scheme's colon.
    user: u32,
    /// The end of the user part, `user` if there is none; for `tel:` of the number.
    user_end: u32,
    host: u32,
    host_end: u32,
    port: Option<u16>,
    params: u32,
    headers: u32,
}

/// Longest URI that is read; offsets are 32 bits wide.
const MAX_URI: usize = 1 << 20;

impl Parts {
    /// Finds the parts of the URI in `text`, all of it.
    pub(crate) fn scan(text: &[u8]) -> Result<Self, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError::Character);
        }
        let colon = memchr::memchr(b':', text).ok_or(UriError::Scheme)?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if scheme.eq_ignore_ascii_case(b"sip") {
            Self::scan_sip(Scheme::Sip, text, colon + 1)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Self::scan_sip(Scheme::Sips, text, colon + 1)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            Self::scan_tel(text, colon + 1)
        } else {
            let scheme_byte =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            if !scheme.first().is_some_and(u8::is_ascii_alphabetic)
                || !scheme.iter().all(scheme_byte)
            {
                return Err(UriError::Scheme);
            }
            let opaque = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
            if rest.is_empty() || !rest.iter().all(opaque) {
                return Err(UriError::Character);
            }
            let (at, end) = (offset(colon + 1), offset(text.len()));
            let scheme = Scheme::Other;
            Ok(Self {
                scheme,
                user: at,
                user_end: at,
                host: at,
                host_end: at,
                port: None,
                params: end,
                headers: end,
            })
        }
    }

    fn scan_sip(scheme: Scheme, text: &[u8], start: usize) -> Result<Self, UriError> {
        let (mut user_end, mut host) = (start, start);
        if let Some(at) = memchr::memchr(b'@', &text[start..]) {
            user_end = start + user_length(&text[start..start + at])?;
            host = start + at + 1;
        }
        let host_end = host + host_length(&text[host..])?;
        let (port, behind_port) = scan_port(text, host_end)?;
        let behind = &text[behind_port..];
        let headers = match behind.is_empty() {
            true => text.len(),
            false => memchr::memchr(b'?', behind).map_or(text.len(), |at| behind_port + at),
        };
        check_params(&text[behind_port..headers])?;
        if let [_, headers @ ..] = &text[headers..] {
            if headers.is_empty() || !headers.iter().all(|&byte| lex::is_uri_header_byte(byte)) {
                return Err(UriError::Headers);
            }
            check_escapes(headers)?;
        }
        Ok(Self {
            scheme,
            user: offset(start),
            user_end: offset(user_end),
            host: offset(host),
            host_end: offset(host_end),
            port,
            params: offset(behind_port),
            headers: offset(headers),
        })
    }

    fn scan_tel(text: &[u8], start: usize) -> Result<Self, UriError> {
        let end = memchr::memchr(b';', &text[start..]).map_or(text.len(), |at| start + at);
        let number = &text[start..end];
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let global = digits.len() < number.len();
        let is_digit = |byte: u8| match byte {
            b'0'..=b'9' => true,
            b'A'..=b'F' | b'a'..=b'f' | b'*' | b'#' => !global,
            _ => false,
        };
        let is_separator = |byte: u8| matches!(byte, b'-' | b'.' | b'(' | b')');
        if !digits.iter().any(|&byte| is_digit(byte))
            || !digits
                .iter()
                .all(|&byte| is_digit(byte) || is_separator(byte))
        {
            return Err(UriError::Number);
        }
        check_params(&text[end..])?;
        let all = offset(text.len());
        Ok(Self {
            scheme: Scheme::Tel,
            user: offset(start),
            user_end: offset(end),
            host: offset(end),
            host_end: offset(end),
            port: None,
            params: offset(end),
            headers: all,
        })
    }

    /// Whether there is a headers part, which neither a Request-URI nor an addr-spec may have.
    pub(crate) fn has_headers(&self, length: usize) -> bool {
        offset(length) > self.headers
    }
}

/// Positions are at most [`MAX_URI`].
fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The length of the user that `userinfo` begins with; a password may follow it.
fn user_length(userinfo: &[u8]) -> Result<usize, UriError> {
    let (mut colon, mut escaped) = (None, false);
    for (at, &byte) in userinfo.iter().enumerate() {
        if !lex::is_user_byte(byte) {
            return Err(UriError::User);
        }
        if byte == b':' {
            colon = colon.or(Some(at));
        }
        escaped |= byte == b'%';
    }
    let length = colon.unwrap_or(userinfo.len());
    if length == 0 {
        return Err(UriError::User);
    }
    if escaped {
        check_escapes(userinfo)?;
    }
    Ok(length)
}

/// The length of the host `text` begins with.
pub(crate) fn host_length(text: &[u8]) -> Result<usize, UriError> {
    if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text).ok_or(UriError::Host)?;
        let address = str::from_utf8(&text[1..end]).map_err(|_| UriError::Host)?;
        ipv6(address).ok_or(UriError::Host)?;
        return Ok(end + 1);
    }
    match text
        .iter()
        .position(|&byte| !lex::is_host_byte(byte))
        .unwrap_or(text.len())
    {
        0 => Err(UriError::Host),
        length => Ok(length),
    }
}

/// The port behind a host, and where what follows begins.
fn scan_port(text: &[u8], host_end: usize) -> Result<(Option<u16>, usize), UriError> {
    if text.get(host_end) != Some(&b':') {
        return Ok((None, host_end));
    }
    let digits = text[host_end + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let end = host_end + 1 + digits;
    let port = lex::number(&text[host_end + 1..end]).ok_or(UriError::Port)?;
    Ok((Some(port), end))
}

fn check_params(text: &[u8]) -> Result<(), UriError> {
    let Some((first, params)) = text.split_first() else {
        return Ok(());
    };
    if *first != b';' {
        // What follows the host is neither a port nor a parameter.
        return Err(UriError::Host);
    }
    let (mut name, mut in_value, mut escaped) = (0, false, false);
    for &byte in params {
        match byte {
            b';' if name == 0 => return Err(UriError::Parameter),
            b';' => (name, in_value) = (0, false),
            b'=' => in_value = true,
            _ if !lex::is_uri_param_byte(byte) => return Err(UriError::Parameter),
            _ => {
                name += usize::from(!in_value);
                escaped |= byte == b'%';
            }
        }
    }
    if name == 0 {
        return Err(UriError::Parameter);
    }
    match escaped {
        true => check_escapes(params),
        false => Ok(()),
    }
}

fn check_escapes(text: &[u8]) -> Result<(), UriError> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let Some([high, low]) = rest.get(at + 1..at + 3) else {
            return Err(UriError::Escape);
        };
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return Err(UriError::Escape);
        }
        rest = &rest[at + 3..];
    }
    Ok(())
}

impl Uri {
    /// Reads a URI: all of `text`, nothing around it.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, UriError> {
        let bytes = text.into();
        let parts = Parts::scan(&bytes)?;
        Self::scanned(bytes, parts)
    }

    /// The URI in `bytes`, all of it, whose parts were found.
    pub(crate) fn scanned(bytes: Bytes, parts: Parts) -> Result<Self, UriError> {
        Ok(Self {
            text: Text::new(bytes).ok_or(UriError::Character)?,
            parts,
        })
    }

    /// The same URI in memory of its own: to be kept longer than the message it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            text: self.text.detached(),
            parts: self.parts,
        }
    }

    /// The URI as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// The scheme as written, without the colon.
    pub fn scheme_str(&self) -> &str {
        self.text.slice(0..self.parts.user as usize - 1)
    }

    /// The user part as written, escapes and all, without a password; for `tel:` the number.
    pub fn user(&self) -> Option<&str> {
        (self.parts.user_end > self.parts.user)
            .then(|| self.part(self.parts.user..self.parts.user_end))
    }

    /// The password, which RFC 3261 §19.1.1 advises against.
    pub fn password(&self) -> Option<&str> {
        (self.parts.host > self.parts.user_end + 1)
            .then(|| self.part(self.parts.user_end + 1..self.parts.host - 1))
    }

    /// The user part with its escapes decoded, as text. What is not UTF-8 is shown as U+FFFD.
    pub fn decoded_user(&self) -> Option<String> {
        let user = self.user()?.as_bytes();
        let mut out = Vec::with_capacity(user.len());
        let mut at = 0;
        while let Some(&byte) = user.get(at) {
            let hex = |at| {
                user.get(at)
                    .and_then(|&digit| char::from(digit).to_digit(16))
            };
            match (byte, hex(at + 1), hex(at + 2)) {
                (b'%', Some(high), Some(low)) => {
                    out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                    at += 3;
                }
                _ => {
                    out.push(byte);
                    at += 1;
                }
            }
        }
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    /// The host; `None` for `tel:` and unknown schemes.
    pub fn host(&self) -> Option<Host<'_>> {
        Host::parse(self.host_str())
    }

    /// The host as written, an IPv6 address in its brackets; empty where [`Uri::host`] is `None`.
    pub fn host_str(&self) -> &str {
        self.part(self.parts.host..self.parts.host_end)
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// Every URI parameter as name and value, in order and as written.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let params = self.part(self.parts.params..self.parts.headers);
        params
            .split(';')
            .skip(1)
            .map(|param| match param.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (param, None),
            })
    }

    /// The first parameter `name` (in any case): `Some(None)` if it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The headers part without its `?`.
    pub fn headers(&self) -> Option<&str> {
        let headers = self.part(self.parts.headers..offset(self.text.len()));
        headers.strip_prefix('?')
    }

    /// The `transport` parameter, if it names a transport we know.
    pub fn transport_param(&self) -> Option<TransportKind> {
        TransportKind::from_uri_token(self.param("transport")??)
    }

    fn part(&self, range: Range<u32>) -> &str {
        self.text.slice(range.start as usize..range.end as usize)
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri {}

impl PartialOrd for Uri {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uri {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Uri {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}
