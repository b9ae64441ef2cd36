//! The lines of a message's head, RFC 3261 §7 and §25.1.

use std::ops::Range;

/// What is wrong with a line, though it can be told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// CR or LF alone.
    LineEnd,
    /// NUL outside a quoted pair.
    Nul,
}

/// One line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: Range<usize>,
    pub(crate) flaw: Option<Flaw>,
}

/// The physical lines of `text` from `at` on, up to the first that has no end.
///
/// Lines end with CRLF. A bare LF ends one too, but is a flaw: elements that disagree about it
/// see different messages.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) at: usize,
}

impl Lines<'_> {
    /// Whether the next line continues the one before (RFC 3261 §7.3.1).
    pub(crate) fn is_folded(&self) -> bool {
        matches!(self.text.get(self.at), Some(b' ' | b'\t'))
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let start = self.at;
        let mut flaw = None;
        let mut from = start;
        loop {
            let at = from + memchr::memchr3(b'\r', b'\n', 0, self.text.get(from..)?)?;
            from = at + 1;
            match self.text[at] {
                b'\r' if self.text.get(at + 1) == Some(&b'\n') => {
                    self.at = at + 2;
                    return Some(Line {
                        text: start..at,
                        flaw,
                    });
                }
                b'\n' => {
                    self.at = at + 1;
                    return Some(Line {
                        text: start..at,
                        flaw: flaw.or(Some(Flaw::LineEnd)),
                    });
                }
                // intmeth of RFC 4475: `\` NUL is a quoted pair.
                0 if at > start && self.text[at - 1] == b'\\' => {}
                0 => flaw = flaw.or(Some(Flaw::Nul)),
                _ => flaw = flaw.or(Some(Flaw::LineEnd)),
            }
        }
    }
}
