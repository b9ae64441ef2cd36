//! Making URIs: every way in escapes or leaves out what the grammar does not allow.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use super::{Host, Scheme, Uri};
use crate::lex;

/// Octets besides the parts that a URI is made of: separators, a port, a parameter.
const ROOM: usize = 32;
/// What stands in for a host that cannot be written in a URI: a name that never resolves
/// (RFC 6761 §6.4).
const NO_HOST: &str = "invalid";

impl Uri {
    /// A `sip:` URI.
    ///
    /// The user part is escaped where it must be. An IPv6 address gets its brackets if it has
    /// none. A host that is none becomes `invalid`.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self::with_scheme("sip", user, host, port)
    }

    /// A `sips:` URI, made as [`Uri::sip`].
    pub fn sips(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self::with_scheme("sips", user, host, port)
    }

    /// A `tel:` URI; `None` if `number` has other characters than RFC 3966 §3 allows.
    pub fn tel(number: &str) -> Option<Self> {
        Self::parse(format!("tel:{number}"))
            .ok()
            .filter(|uri| uri.user() == Some(number))
    }

    /// As a header field has it: `<` and `>` around it.
    #[must_use]
    pub fn bracketed(&self) -> String {
        ["<", self.as_str(), ">"].concat()
    }

    fn with_scheme(scheme: &str, user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        let user_length = user.map_or(0, str::len);
        let mut text = String::with_capacity(scheme.len() + user_length + host.len() + ROOM);
        text.push_str(scheme);
        text.push(':');
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            escape(&mut text, user, is_user_byte);
            text.push('@');
        }
        push_host(&mut text, host);
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        Self::built(text)
    }

    /// This URI with another user part; `sip:` and `sips:` only, others are returned unchanged.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        self.rebuilt(|text, uri| {
            if !user.is_empty() {
                escape(text, user, is_user_byte);
                text.push('@');
            }
            text.push_str(uri.part(uri.parts.host..uri.parts.params));
            text.push_str(uri.part(uri.parts.params..uri.end()));
        })
    }

    /// This URI with another host and port; `sip:` and `sips:` only.
    #[must_use]
    pub fn with_host(&self, host: &str, port: Option<u16>) -> Self {
        self.rebuilt(|text, uri| {
            text.push_str(uri.part(uri.parts.user..uri.parts.host));
            push_host(text, host);
            if let Some(port) = port {
                text.push(':');
                text.push_str(&port.to_string());
            }
            text.push_str(uri.part(uri.parts.params..uri.end()));
        })
    }

    /// This URI with the parameter `name` set, behind the others; `sip:` and `sips:` only.
    ///
    /// Name and value are escaped where they must be.
    #[must_use]
    pub fn with_param<'v>(&self, name: &str, value: impl Into<Option<&'v str>>) -> Self {
        let value = value.into();
        self.rebuilt(|text, uri| {
            text.push_str(uri.part(uri.parts.user..uri.parts.params));
            uri.push_params_but(text, name);
            if !name.is_empty() {
                text.push(';');
                escape(text, name, lex::is_uri_param_byte);
                if let Some(value) = value {
                    text.push('=');
                    escape(text, value, lex::is_uri_param_byte);
                }
            }
            text.push_str(uri.part(uri.parts.headers..uri.end()));
        })
    }

    /// This URI without the parameter `name`; `sip:` and `sips:` only.
    #[must_use]
    pub fn without_param(&self, name: &str) -> Self {
        self.rebuilt(|text, uri| {
            text.push_str(uri.part(uri.parts.user..uri.parts.params));
            uri.push_params_but(text, name);
            text.push_str(uri.part(uri.parts.headers..uri.end()));
        })
    }

    /// This URI without its headers part, as it may stand in a request line.
    #[must_use]
    pub fn without_headers(&self) -> Self {
        self.rebuilt(|text, uri| text.push_str(uri.part(uri.parts.user..uri.parts.headers)))
    }

    fn rebuilt(&self, rest: impl FnOnce(&mut String, &Self)) -> Self {
        if !matches!(self.scheme(), Scheme::Sip | Scheme::Sips) {
            return self.clone();
        }
        let mut text = String::with_capacity(self.text.len() + ROOM);
        text.push_str(self.part(0..self.parts.user));
        rest(&mut text, self);
        Self::built(text)
    }

    fn push_params_but(&self, text: &mut String, name: &str) {
        for (other, value) in self
            .params()
            .filter(|(other, _)| !other.eq_ignore_ascii_case(name))
        {
            text.push(';');
            text.push_str(other);
            if let Some(value) = value {
                text.push('=');
                text.push_str(value);
            }
        }
    }

    fn end(&self) -> u32 {
        super::offset(self.text.len())
    }

    /// A URI longer than any that is read could be built of parts that are each short enough; it
    /// is cut down to a host that never resolves.
    fn built(text: String) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self::sip(None, NO_HOST, None))
    }
}

/// A `:` would begin a password; a `#` is read where others write it (M-05), and written as the
/// grammar has it.
fn is_user_byte(byte: u8) -> bool {
    lex::is_user_byte(byte) && !matches!(byte, b':' | b'#')
}

/// Writes `part`, keeping the escapes it has.
fn escape(text: &mut String, part: &str, legal: impl Fn(u8) -> bool) {
    let bytes = part.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let escaped = byte == b'%'
            && bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if escaped || (byte != b'%' && legal(byte)) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
}

fn push_host(text: &mut String, host: &str) {
    if host.parse::<Ipv6Addr>().is_ok() {
        text.push('[');
        text.push_str(host);
        text.push(']');
    } else if Host::parse(host).is_some() {
        text.push_str(host);
    } else {
        text.push_str(NO_HOST);
    }
}
