//! Making URIs: every way in escapes or leaves out what the grammar does not allow.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use super::{Host, MAX_URI, Parts, Scheme, Uri, offset};
use crate::lex;
use crate::text::Digits;

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
        Self::with_scheme(Scheme::Sip, user, host, port, &[])
    }

    /// A `sip:` URI, made as [`Uri::sip`], with parameters, each of another name. Names and values
    /// are escaped where they must be; an empty name is left out.
    pub fn sip_with(
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
        params: &[(&str, &str)],
    ) -> Self {
        Self::with_scheme(Scheme::Sip, user, host, port, params)
    }

    /// A `sips:` URI, made as [`Uri::sip`].
    pub fn sips(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self::with_scheme(Scheme::Sips, user, host, port, &[])
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

    fn with_scheme(
        scheme: Scheme,
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
        params: &[(&str, &str)],
    ) -> Self {
        let written = if scheme == Scheme::Sips {
            "sips:"
        } else {
            "sip:"
        };
        let user_length = user.map_or(0, str::len);
        let mut text = String::with_capacity(written.len() + user_length + host.len() + ROOM);
        text.push_str(written);
        let user_at = text.len();
        let mut user_end = user_at;
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            escape(&mut text, user, is_user_byte);
            user_end = text.len();
            text.push('@');
        }
        let host_at = text.len();
        push_host(&mut text, host);
        let host_end = text.len();
        if let Some(port) = port {
            text.push(':');
            text.push_str(Digits::of(port.into()).as_str());
        }
        let params_at = text.len();
        for (name, value) in params.iter().filter(|(name, _)| !name.is_empty()) {
            text.push(';');
            escape(&mut text, name, lex::is_uri_param_byte);
            text.push('=');
            escape(&mut text, value, lex::is_uri_param_byte);
        }
        if text.len() > MAX_URI {
            return Self::sip(None, NO_HOST, None);
        }
        // Where everything is was seen while it was written: it need not be read again.
        let parts = Parts {
            scheme,
            user: offset(user_at),
            user_end: offset(user_end),
            host: offset(host_at),
            host_end: offset(host_end),
            port,
            params: offset(params_at),
            headers: offset(text.len()),
        };
        Self {
            text: text.into(),
            parts,
        }
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
                text.push_str(Digits::of(port.into()).as_str());
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
        offset(self.text.len())
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
    if bytes.iter().all(|&byte| byte != b'%' && legal(byte)) {
        return text.push_str(part);
    }
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
    if !host.is_empty() && host.bytes().all(lex::is_host_byte) {
        text.push_str(host);
    } else if host.parse::<Ipv6Addr>().is_ok() {
        text.push('[');
        text.push_str(host);
        text.push(']');
    } else if Host::parse(host).is_some() {
        text.push_str(host);
    } else {
        text.push_str(NO_HOST);
    }
}
