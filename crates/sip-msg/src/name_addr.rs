use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::text::decode;
use crate::uri::Parts;
use crate::{Params, Rule, Uri, lex};

/// `name-addr` or `addr-spec` with parameters: From, To, Contact, Route and their like
/// (RFC 3261 §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name, without quotes and escapes. Latin-1 has become UTF-8.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header field's parameters, not the URI's.
    pub params: Params,
}

struct Spans {
    display: Range<usize>,
    uri: Range<usize>,
    /// Where the parts of that are.
    parts: Parts,
    params: Range<usize>,
}

impl Spans {
    fn scan(text: &[u8]) -> Result<Self, Rule> {
        let end = lex::trim_end(text).len();
        let start = (text.len() - lex::trim_start(text).len()).min(end);
        let after_display = match text.get(start) {
            Some(b'"') => {
                let quoted = lex::quoted_string(&text[start..]).ok_or(Rule::Quote)?;
                let behind = lex::trim_start(&text[start + quoted..]);
                if behind.first() != Some(&b'<') {
                    return Err(Rule::Bracket);
                }
                text.len() - behind.len()
            }
            _ => match memchr::memchr(b'<', &text[start..]) {
                Some(at) => start + at,
                None => return Self::scan_addr_spec(text, start, end),
            },
        };
        let display = start..start + lex::trim_end(&text[start..after_display]).len();
        let unquoted = text[start] != b'"';
        if unquoted
            && !text[display.clone()]
                .iter()
                .all(|&byte| is_display_byte(byte))
        {
            return Err(Rule::DisplayName);
        }
        let close = memchr::memchr(b'>', &text[after_display..]).ok_or(Rule::Bracket)?;
        let uri = after_display + 1..after_display + close;
        let parts = Parts::scan(&text[uri.clone()])?;
        let params = uri.end + 1..end.max(uri.end + 1);
        match lex::trim_start(&text[params.clone()]).first() {
            None | Some(b';') => Params::check(&text[params.clone()])?,
            Some(_) => return Err(Rule::Bracket),
        }
        Ok(Self {
            display,
            uri,
            parts,
            params,
        })
    }

    /// Without angle brackets, parameters are the header's, and the URI may have neither
    /// parameters nor headers (RFC 3261 §20.10).
    fn scan_addr_spec(text: &[u8], start: usize, end: usize) -> Result<Self, Rule> {
        let params = memchr::memchr(b';', &text[start..end]).map_or(end, |at| start + at);
        let uri = start..start + lex::trim_end(&text[start..params]).len();
        let parts = Parts::scan(&text[uri.clone()])?;
        if parts.has_headers(uri.len()) {
            return Err(Rule::Bracket);
        }
        Params::check(&text[params..end])?;
        Ok(Self {
            display: start..start,
            uri,
            parts,
            params: params..end,
        })
    }
}

/// Tokens and blanks by the grammar; also the harmless characters real senders do not quote, and
/// everything that is not ASCII.
fn is_display_byte(byte: u8) -> bool {
    !matches!(byte, b'"' | b'<' | b'>' | b',' | b';' | b':' | b'\\' | 0..=8 | 10..=0x1F | 0x7F)
}

impl NameAddr {
    /// The same address in memory of its own: to be kept longer than the message it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            display: self.display.clone(),
            uri: self.uri.detached(),
            params: self.params.detached(),
        }
    }

    /// An address without display name and parameters.
    pub fn new(uri: Uri) -> Self {
        Self {
            display: None,
            uri,
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
            display,
            uri,
            parts,
            params,
        } = Spans::scan(&text)?;
        let display = (!display.is_empty()).then(|| {
            decode(lex::unquote(&text[display]).into())
                .as_str()
                .to_owned()
        });
        Ok(Self {
            display,
            uri: Uri::scanned(text.slice(uri), parts)?,
            params: Params::checked(text.slice(params)),
        })
    }

    /// Whether [`Self::parse`] would take `text`, without allocating.
    pub(crate) fn check(text: &[u8]) -> Result<(), Rule> {
        Spans::scan(text).map(|_| ())
    }

    /// The `tag` parameter of a value that [`Self::parse`] would take; `None` also where it is not
    /// UTF-8, which takes a closer look.
    pub(crate) fn tag_in(text: &[u8]) -> Option<Option<&str>> {
        let quoted = match lex::trim_start(text) {
            [b'"', ..] => {
                let lead = text.len() - lex::trim_start(text).len();
                lead + lex::quoted_string(&text[lead..])?
            }
            _ => 0,
        };
        let rest = &text[quoted..];
        let params = match memchr::memchr(b'<', rest) {
            Some(open) => open + memchr::memchr(b'>', &rest[open..])? + 1,
            None => memchr::memchr(b';', rest).unwrap_or(rest.len()),
        };
        let params = str::from_utf8(&rest[params..]).ok()?;
        if params.is_empty() {
            return Some(None);
        }
        Some(match crate::params::lone_value_in(params, "tag") {
            Some(tag) => Some(tag),
            None => crate::params::value_in(params, "tag"),
        })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten()
    }

    /// The first header parameter `name` (in any case): `Some(None)` if it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.get(name)
    }

    /// This address with a display name.
    #[must_use]
    pub fn with_display(mut self, display: impl Into<String>) -> Self {
        self.display = Some(display.into());
        self
    }

    /// This address with the header parameter `name` set.
    #[must_use]
    pub fn with_param<'v>(mut self, name: &str, value: impl Into<Option<&'v str>>) -> Self {
        self.params.set(name, value);
        self
    }

    /// This address with a `tag` parameter.
    #[must_use]
    pub fn with_tag(self, tag: &str) -> Self {
        self.with_param("tag", tag)
    }
}

impl From<Uri> for NameAddr {
    fn from(uri: Uri) -> Self {
        Self::new(uri)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let quoted = lex::quote(display.as_bytes());
            write!(f, "{} ", String::from_utf8_lossy(&quoted))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static [u8]) -> Result<NameAddr, Rule> {
        NameAddr::parse(text)
    }

    #[test]
    fn display_names_lose_quotes_and_get_them_back() {
        let addr = parse(b" \"Quoted \\\"Joe\\\", <x>\"  <sip:joe@example.org> ; tag = 9").unwrap();
        assert_eq!(addr.display.as_deref(), Some("Quoted \"Joe\", <x>"));
        assert_eq!(addr.tag(), Some("9"));
        assert_eq!(
            addr.to_string(),
            "\"Quoted \\\"Joe\\\", <x>\" <sip:joe@example.org> ; tag = 9"
        );
        assert_eq!(NameAddr::parse(addr.to_string()).unwrap(), addr);
    }

    #[test]
    fn latin_1_display_names_become_utf_8() {
        for text in [
            &b"J\xF6rg <sip:j@example.org>"[..],
            b"\"J\xF6rg\" <sip:j@example.org>",
        ] {
            assert_eq!(
                parse(text).unwrap().to_string(),
                "\"J\u{f6}rg\" <sip:j@example.org>"
            );
        }
    }

    #[test]
    fn parameters_of_an_addr_spec_are_the_headers() {
        let addr = parse(b"sip:joe@example.org;tag=1").unwrap();
        assert_eq!(addr.tag(), Some("1"));
        assert_eq!(addr.uri.as_str(), "sip:joe@example.org");
        let addr = parse(b"<sip:joe@example.org;tag=1>").unwrap();
        assert_eq!((addr.tag(), addr.uri.param("tag")), (None, Some(Some("1"))));
    }

    #[test]
    fn malformed_values_are_refused() {
        for (text, rule) in [
            (&b"\"Joe <sip:joe@example.org>"[..], Rule::Quote),
            (b"\"Joe\" sip:joe@example.org", Rule::Bracket),
            (b"<sip:joe@example.org", Rule::Bracket),
            (b"<sip:joe@example.org> x", Rule::Bracket),
            (b"Bell, Joe <sip:joe@example.org>", Rule::DisplayName),
            (b"sip:joe@example.org?Route=x", Rule::Bracket),
            (b"<sip:joe@example.org>;;", Rule::Parameter),
            (
                b"< sip:joe@example.org >",
                Rule::Uri(crate::UriError::Scheme),
            ),
            (b"", Rule::Uri(crate::UriError::Scheme)),
            (b"\t\t", Rule::Uri(crate::UriError::Scheme)),
            (b" <> ", Rule::Uri(crate::UriError::Scheme)),
        ] {
            assert_eq!(
                parse(text).unwrap_err(),
                rule,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
