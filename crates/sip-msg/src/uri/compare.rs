//! When two URIs are one, RFC 3261 §19.1.4 and RFC 3966 §4.

use super::{Scheme, Uri};

/// Parameters that make two URIs different where only one of them has it.
const SIGNIFICANT: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri {
    /// Whether both name the same resource: RFC 3261 §19.1.4 for `sip:` and `sips:`, RFC 3966 §4
    /// for `tel:`; unknown schemes are compared byte for byte.
    pub fn equivalent(&self, other: &Self) -> bool {
        // A parameter given twice, which is not legal, would make a URI differ from itself.
        if self == other {
            return true;
        }
        if self.scheme() != other.scheme() {
            return false;
        }
        match self.scheme() {
            Scheme::Sip | Scheme::Sips => self.equivalent_sip(other),
            Scheme::Tel => self.equivalent_tel(other),
            Scheme::Other => false,
        }
    }

    fn equivalent_sip(&self, other: &Self) -> bool {
        let hosts = match (
            self.host().and_then(|h| h.ip()),
            other.host().and_then(|h| h.ip()),
        ) {
            (Some(one), Some(two)) => one == two,
            (None, None) => self.host_str().eq_ignore_ascii_case(other.host_str()),
            _ => false,
        };
        hosts
            && self.port() == other.port()
            && same_escaped(self.user(), other.user(), false)
            && same_escaped(self.password(), other.password(), false)
            && self.agrees_with_params_of(other)
            && other.agrees_with_params_of(self)
            && same_headers(self.headers(), other.headers())
    }

    fn agrees_with_params_of(&self, other: &Self) -> bool {
        self.params().all(|(name, value)| match other.param(name) {
            Some(theirs) => same_escaped(value, theirs, true),
            None => !SIGNIFICANT
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name)),
        })
    }

    fn equivalent_tel(&self, other: &Self) -> bool {
        fn digits(uri: &Uri) -> impl Iterator<Item = u8> {
            uri.user()
                .unwrap_or_default()
                .bytes()
                .filter(|byte| !matches!(byte, b'-' | b'.' | b'(' | b')'))
                .map(|byte| byte.to_ascii_lowercase())
        }
        let has_all_of = |one: &Self, two: &Self| {
            two.params().all(|(name, value)| {
                one.param(name)
                    .is_some_and(|ours| same_escaped(ours, value, true))
            })
        };
        digits(self).eq(digits(other)) && has_all_of(self, other) && has_all_of(other, self)
    }
}

/// Headers are a set; the order does not matter.
fn same_headers(one: Option<&str>, two: Option<&str>) -> bool {
    fn sorted(headers: Option<&str>) -> Vec<&str> {
        let mut headers: Vec<_> = headers.unwrap_or_default().split('&').collect();
        headers.sort_unstable();
        headers
    }
    sorted(one) == sorted(two)
}

/// A character and its escape are the same, unless the character is reserved.
fn same_escaped(one: Option<&str>, two: Option<&str>, any_case: bool) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => normal(one, any_case).eq(normal(two, any_case)),
        (None, None) => true,
        _ => false,
    }
}

/// Each character with whether it was an escape that must stay one.
fn normal(text: &str, any_case: bool) -> impl Iterator<Item = (u8, bool)> {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        let (byte, escaped) = if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = bytes.next().and_then(digit)? * 16 + bytes.next().and_then(digit)?;
            let byte = u8::try_from(value).ok()?;
            let unreserved = byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
            (byte, !unreserved)
        } else {
            (byte, false)
        };
        Some((
            if any_case {
                byte.to_ascii_lowercase()
            } else {
                byte
            },
            escaped,
        ))
    })
}
