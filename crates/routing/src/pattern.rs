//! Patterns of numbers.

use std::fmt;

use thiserror::Error;

/// Octets of the longest pattern.
const LONGEST: usize = 64;

/// Why text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Empty, or longer than 64 octets.
    #[error("a pattern has 1 to 64 characters")]
    Length,
    /// A number with something in it that no normalised number has.
    #[error("a number pattern has digits, ? and * only")]
    Character,
    /// A range whose ends differ in length or `+`, or whose first is the greater.
    #[error("a range has two ends of equal length, the smaller first")]
    Range,
}

/// A pattern of normalised numbers: `+14255550100` or `911` exactly, `+1800*` by prefix,
/// `+14255550100-+14255550199` by range (both ends included), `?` for any one character and `*` for
/// any sequence, anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    pub(crate) kind: Kind,
}

/// What a pattern does.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Exact,
    /// Literal text before the one `*` at the end.
    Prefix(Box<str>),
    Range(Range),
    /// Wildcards elsewhere, after a literal beginning.
    Glob(Box<str>),
}

/// Numbers of one length between two ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) shape: Shape,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// What two numbers share when they can be compared as numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) plus: bool,
    pub(crate) digits: u8,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`], the first rule broken.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err(PatternError::Length);
        }
        let range = text
            .split_once('-')
            .map(|(first, last)| (numeric(first.trim()), last.trim()));
        let kind = if let Some((Some((shape, first)), last)) = range {
            let (other, last) = numeric(last).ok_or(PatternError::Range)?;
            if shape != other || first > last {
                return Err(PatternError::Range);
            }
            Kind::Range(Range { shape, first, last })
        } else {
            let number = text.starts_with(|c: char| c == '+' || c.is_ascii_digit());
            let known = |(at, c): (usize, char)| {
                c.is_ascii_digit() || c == '?' || c == '*' || (at == 0 && c == '+')
            };
            if number && !text.char_indices().all(known) {
                return Err(PatternError::Character);
            }
            match text.find(['?', '*']) {
                None => Kind::Exact,
                Some(at) if &text[at..] == "*" => Kind::Prefix(text[..at].into()),
                Some(at) => Kind::Glob(text[..at].into()),
            }
        };
        Ok(Self {
            text: text.into(),
            kind,
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a normalised number matches.
    #[must_use]
    pub fn matches(&self, number: &str) -> bool {
        match &self.kind {
            Kind::Exact => *self.text == *number,
            Kind::Prefix(prefix) => number.starts_with(&**prefix),
            Kind::Range(range) => numeric(number).is_some_and(|(shape, value)| {
                shape == range.shape && (range.first..=range.last).contains(&value)
            }),
            Kind::Glob(prefix) => {
                number.starts_with(&**prefix) && glob(self.text.as_bytes(), number.as_bytes())
            }
        }
    }

    /// Whether every number matches.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(&self.kind, Kind::Prefix(prefix) if prefix.is_empty())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

/// A number that can be compared as one: up to 19 digits, with or without `+`.
pub(crate) fn numeric(text: &str) -> Option<(Shape, u64)> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || digits.len() > 19 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let shape = Shape {
        plus: digits.len() < text.len(),
        digits: u8::try_from(digits.len()).expect("at most 19"),
    };
    Some((shape, digits.parse().ok()?))
}

/// Matches `?` and `*`, going back to the last `*` only: pattern length times number length at most.
pub(crate) fn glob(pattern: &[u8], number: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < number.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == number[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    p = after;
                    n = from + 1;
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}
