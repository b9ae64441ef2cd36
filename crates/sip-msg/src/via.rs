use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::text::{Text, decode};
use crate::uri::{Host, host_length, ipv6};
use crate::{Params, Rule, lex};

/// A transport SIP messages are carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportKind {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket, RFC 7118.
    Ws,
    /// Secure WebSocket, RFC 7118.
    Wss,
}

impl TransportKind {
    /// As written in a Via: `UDP`.
    pub const fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// As written in a URI's `transport` parameter: `udp`.
    pub const fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The transport a `transport` parameter or a Via names, in any case.
    pub fn from_uri_token(token: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|kind| kind.uri_token().eq_ignore_ascii_case(token))
    }

    /// Whether bytes arrive in order and none are lost: anything but UDP.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether the transport is encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The port where none is written, RFC 3261 §19.1.2 and RFC 7118 §8.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.uri_token())
    }
}

/// The transport a Via names: one we know, or any other token, which is legal too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViaTransport {
    /// One we know.
    Known(TransportKind),
    /// Any other token, as written.
    Other(Text),
}

impl ViaTransport {
    /// The token as on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(kind) => kind.via_token(),
            Self::Other(token) => token,
        }
    }

    /// The transport, if it is one we know.
    pub fn kind(&self) -> Option<TransportKind> {
        match self {
            Self::Known(kind) => Some(*kind),
            Self::Other(_) => None,
        }
    }
}

impl From<TransportKind> for ViaTransport {
    fn from(kind: TransportKind) -> Self {
        Self::Known(kind)
    }
}

/// One hop a request took, RFC 3261 §20.42.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The transport the request was sent by.
    pub transport: ViaTransport,
    /// The sent-by host as written, an IPv6 address in its brackets.
    pub host: Text,
    /// The sent-by port, if written.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params,
}

struct Spans {
    transport: Range<usize>,
    host: Range<usize>,
    port: Option<u16>,
    params: Range<usize>,
}

impl Spans {
    fn scan(text: &[u8]) -> Result<Self, Rule> {
        let mut at = 0;
        expect_word(text, &mut at, b"SIP")?;
        expect_byte(text, &mut at, b'/')?;
        expect_word(text, &mut at, b"2.0")?;
        expect_byte(text, &mut at, b'/')?;
        skip_blanks(text, &mut at);
        let start = at;
        while text.get(at).is_some_and(|&byte| lex::is_token_byte(byte)) {
            at += 1;
        }
        let transport = start..at;
        skip_blanks(text, &mut at);
        if transport.is_empty() || at == transport.end {
            return Err(Rule::Protocol);
        }
        let length = host_length(&text[at..])?;
        let host = at..at + length;
        at = host.end;
        skip_blanks(text, &mut at);
        let mut port = None;
        if text.get(at) == Some(&b':') {
            at += 1;
            skip_blanks(text, &mut at);
            let digits = text[at..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            port = Some(lex::number(&text[at..at + digits]).ok_or(Rule::Number)?);
            at += digits;
        }
        Params::check(&text[at..])?;
        Ok(Self {
            transport,
            host,
            port,
            params: at..text.len(),
        })
    }
}

fn skip_blanks(text: &[u8], at: &mut usize) {
    while text.get(*at).is_some_and(|&byte| lex::is_blank(byte)) {
        *at += 1;
    }
}

fn expect_word(text: &[u8], at: &mut usize, word: &[u8]) -> Result<(), Rule> {
    skip_blanks(text, at);
    let found = text.get(*at..*at + word.len()).ok_or(Rule::Protocol)?;
    *at += word.len();
    if found.eq_ignore_ascii_case(word) {
        Ok(())
    } else {
        Err(Rule::Protocol)
    }
}

fn expect_byte(text: &[u8], at: &mut usize, byte: u8) -> Result<(), Rule> {
    expect_word(text, at, &[byte])
}

impl Via {
    /// A Via without parameters. An IPv6 address gets its brackets; a host that is none becomes
    /// `invalid`.
    pub fn new(transport: impl Into<ViaTransport>, host: &str, port: Option<u16>) -> Self {
        let host = crate::Uri::sip(None, host, None).host_str().into();
        Self {
            transport: transport.into(),
            host,
            port,
            params: Params::new(),
        }
    }

    /// Reads one value: all of `text`, blanks around it allowed.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, Rule> {
        let text = text.into();
        let Spans {
            transport,
            host,
            port,
            params,
        } = Spans::scan(&text)?;
        let known = str::from_utf8(&text[transport.clone()]).ok();
        Ok(Self {
            transport: known.and_then(TransportKind::from_uri_token).map_or_else(
                || ViaTransport::Other(decode(text.slice(transport))),
                ViaTransport::Known,
            ),
            host: decode(text.slice(host)),
            port,
            params: Params::checked(text.slice(params)),
        })
    }

    /// Whether [`Self::parse`] would take `text`, without allocating.
    pub(crate) fn check(text: &[u8]) -> Result<(), Rule> {
        Spans::scan(text).map(|_| ())
    }

    /// What can be read of a malformed field, so that a request of another version or with broken
    /// parameters can be answered: sent-by, and the parameters if they are in order.
    pub(crate) fn repair(value: &[u8]) -> Option<Self> {
        let item = lex::Items(value).next()?;
        let (head, params) = item.split_at(memchr::memchr(b';', item).unwrap_or(item.len()));
        let slash = memchr::memrchr(b'/', head)?;
        let mut text = b"SIP/2.0".to_vec();
        text.extend_from_slice(&head[slash..]);
        if Params::check(params).is_ok() {
            text.extend_from_slice(params);
        }
        Self::parse(text).ok()
    }

    /// This Via with the parameter `name` set.
    #[must_use]
    pub fn with_param<'v>(mut self, name: &str, value: impl Into<Option<&'v str>>) -> Self {
        self.params.set(name, value);
        self
    }

    /// This Via with a `branch` parameter.
    #[must_use]
    pub fn with_branch(self, branch: &str) -> Self {
        self.with_param("branch", branch)
    }

    /// The `branch` parameter, as written.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// The branch, if it is unique as RFC 3261 §8.1.1.7 demands: the magic cookie and something
    /// behind it.
    pub fn rfc3261_branch(&self) -> Option<&str> {
        const COOKIE: &str = "z9hG4bK";
        let branch = self.branch()?;
        let cookie = branch.get(..COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(COOKIE) && branch.len() > COOKIE.len()).then_some(branch)
    }

    /// The sent-by host.
    pub fn sent_by_host(&self) -> Option<Host<'_>> {
        Host::parse(&self.host)
    }

    /// The sent-by port, the transport's default where none is written.
    pub fn sent_by_port(&self) -> u16 {
        self.port.unwrap_or_else(|| {
            self.transport
                .kind()
                .map_or(5060, TransportKind::default_port)
        })
    }

    /// The `received` parameter. An IPv6 address may be in brackets or not (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        let bare = value
            .strip_prefix('[')
            .and_then(|v| v.strip_suffix(']'))
            .unwrap_or(value);
        bare.parse().ok().or_else(|| ipv6(bare).map(IpAddr::V6))
    }

    /// The `rport` parameter, RFC 3581: `Some(None)` is a client's question, `Some(Some(port))`
    /// the server's answer. A value that is no port is `None`.
    pub fn rport(&self) -> Option<Option<u16>> {
        match self.params.get("rport")? {
            None | Some("") => Some(None),
            Some(port) => lex::number(port.as_bytes()).map(Some),
        }
    }

    /// The `maddr` parameter.
    pub fn maddr(&self) -> Option<&str> {
        self.params.value("maddr")
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport.as_str(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_ipv6_and_unknown_transports_are_read() {
        let via = Via::parse("SIP / 2.0\t/ SCTP [2001:db8::9]: 5070 ; branch=z9hG4bKx;lr").unwrap();
        assert_eq!(via.transport.as_str(), "SCTP");
        assert_eq!((&*via.host, via.port), ("[2001:db8::9]", Some(5070)));
        assert_eq!(via.branch(), Some("z9hG4bKx"));
        assert_eq!(Via::parse(via.to_string()).unwrap(), via);
    }

    #[test]
    fn received_takes_ipv6_with_and_without_brackets() {
        for text in ["[2001:db8::1]", "2001:db8::1"] {
            let via = Via::parse(format!("SIP/2.0/TLS h.example;received={text};rport=5061"));
            let via = via.unwrap();
            assert_eq!(via.received(), Some("2001:db8::1".parse().unwrap()));
            assert_eq!(via.rport(), Some(Some(5061)));
        }
    }

    #[test]
    fn the_cookie_alone_is_no_branch() {
        let via = Via::new(TransportKind::Tls, "2001:db8::1", None).with_branch("z9hG4bK");
        assert_eq!(via.to_string(), "SIP/2.0/TLS [2001:db8::1];branch=z9hG4bK");
        assert_eq!(via.rfc3261_branch(), None);
        assert_eq!(
            via.clone().with_branch("Z9HG4BKa").rfc3261_branch(),
            Some("Z9HG4BKa")
        );
        assert_eq!(via.sent_by_port(), 5061);
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "SIP/2.0 h.example",
            "SIP/3.0/UDP h.example",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP h.example:x",
            "SIP/2.0/UDP h.example:99999",
            "SIP/2.0/UDP h.example;;",
            "SIP/2.0/UDP [2001:db8::1",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h.example x",
        ] {
            assert!(Via::parse(text).is_err(), "{text}");
        }
    }
}
