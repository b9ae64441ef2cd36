//! Text rewritten by a pattern with wildcards: number rules and header rules.

use std::fmt;

use thiserror::Error;

/// Octets of the longest pattern and the longest replacement.
const LONGEST: usize = 256;
/// Most wildcards of a pattern.
const MOST_WILDCARDS: usize = 9;
/// Octets of the longest text that is looked at; matching takes at most this times [`LONGEST`]
/// steps.
const LONGEST_INPUT: usize = 4096;

/// Why a rewriting rule cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// Empty, or longer than 256 octets.
    #[error("a pattern has 1 to 256 characters, its replacement at most 256")]
    Length,
    /// More wildcards than can be named.
    #[error("a pattern has at most 9 wildcards")]
    Wildcards,
    /// Two wildcards side by side: nobody can tell where one ends.
    #[error("`*` stands next to another wildcard")]
    Adjacent,
    /// `$` before something other than `$` and the number of a wildcard of the pattern.
    #[error("`$` is followed by the number of a wildcard of the pattern, or by another `$`")]
    Reference,
    /// A control character.
    #[error("control characters cannot stand here")]
    Control,
}

/// One piece of a pattern.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// `*`: any characters, as few as will do.
    Any,
    /// This many `?` in a row: as many characters.
    Exactly(usize),
}

/// One piece of a replacement.
#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    /// What the wildcard of that index matched.
    Matched(usize),
}

/// A pattern and what takes its place: `9*` and `$1`, `0???*` and `+49$1$2`.
///
/// The pattern is compared with the whole text. `*` is any sequence, a run of `?` as many
/// characters; each such wildcard is named in the replacement by its number, `$1` to `$9`, and
/// `$$` is a dollar sign. Matching never takes more than pattern length times text length steps.
#[derive(Clone, PartialEq, Eq)]
pub struct Rewrite {
    pattern: Box<str>,
    replacement: Box<str>,
    pieces: Vec<Piece>,
    parts: Vec<Part>,
}

impl Rewrite {
    /// Reads a pattern and its replacement.
    ///
    /// # Errors
    /// [`RewriteError`], the first rule broken.
    pub fn parse(pattern: &str, replacement: &str) -> Result<Self, RewriteError> {
        if pattern.is_empty() || pattern.len() > LONGEST || replacement.len() > LONGEST {
            return Err(RewriteError::Length);
        }
        if pattern
            .chars()
            .chain(replacement.chars())
            .any(char::is_control)
        {
            return Err(RewriteError::Control);
        }
        let pieces = pieces(pattern)?;
        let wildcards = pieces.iter().filter(|piece| is_wildcard(piece)).count();
        if wildcards > MOST_WILDCARDS {
            return Err(RewriteError::Wildcards);
        }
        Ok(Self {
            pattern: pattern.into(),
            replacement: replacement.into(),
            parts: parts(replacement, wildcards)?,
            pieces,
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The replacement as written.
    #[must_use]
    pub fn replacement(&self) -> &str {
        &self.replacement
    }

    /// Whether the replacement holds nothing of the text it replaces.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self
            .parts
            .iter()
            .any(|part| matches!(part, Part::Matched(_)))
    }

    /// `text` rewritten; `None` where the pattern does not match it.
    #[must_use]
    pub fn apply(&self, text: &str) -> Option<String> {
        if text.len() > LONGEST_INPUT {
            return None;
        }
        let matched = matched(&self.pieces, text)?;
        let mut out = String::with_capacity(text.len() + self.replacement.len());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => out.push_str(literal),
                Part::Matched(index) => out.push_str(matched.get(*index).copied().unwrap_or("")),
            }
        }
        Some(out)
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rewrite({} -> {})", self.pattern, self.replacement)
    }
}

fn is_wildcard(piece: &Piece) -> bool {
    !matches!(piece, Piece::Literal(_))
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, RewriteError> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let same = match first {
            '*' => 1,
            '?' => rest.len() - rest.trim_start_matches('?').len(),
            _ => rest.find(['*', '?']).unwrap_or(rest.len()),
        };
        let (text, behind) = rest.split_at(same);
        let piece = match first {
            '*' => Piece::Any,
            '?' => Piece::Exactly(same),
            _ => Piece::Literal(text.into()),
        };
        if pieces.last() == Some(&Piece::Any) && is_wildcard(&piece) {
            return Err(RewriteError::Adjacent);
        }
        pieces.push(piece);
        rest = behind;
    }
    Ok(pieces)
}

fn parts(replacement: &str, wildcards: usize) -> Result<Vec<Part>, RewriteError> {
    let mut parts = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Literal(rest[..at].into()));
        }
        let named = rest[at + 1..].chars().next();
        parts.push(match named {
            Some('$') => Part::Literal("$".into()),
            Some(digit) => {
                let number = digit.to_digit(10).map_or(0, |digit| digit as usize);
                if number == 0 || number > wildcards {
                    return Err(RewriteError::Reference);
                }
                Part::Matched(number - 1)
            }
            None => return Err(RewriteError::Reference),
        });
        rest = &rest[at + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    Ok(parts)
}

/// What each wildcard matches. Every literal is taken at the first place behind a `*` where it
/// stands, the last one at the end: no way back is ever needed but for fixed pieces, so one pass
/// with one search a `*` decides.
fn matched<'t>(pieces: &[Piece], text: &'t str) -> Option<Vec<&'t str>> {
    // Pieces between two `*` form a block of fixed shape.
    let mut blocks = pieces.split(|piece| *piece == Piece::Any);
    let first = blocks.next().unwrap_or_default();
    let mut captures = Vec::new();
    let mut at = block_at(first, text, 0, &mut captures)?;
    let rest: Vec<&[Piece]> = blocks.collect();
    let Some((last, middle)) = rest.split_last() else {
        return (at == text.len()).then_some(captures);
    };
    for block in middle {
        at = search(block, text, at, &mut captures)?;
    }
    let length = length_from_end(last, text)?;
    let start = text
        .len()
        .checked_sub(length)
        .filter(|start| *start >= at)?;
    captures.push(&text[at..start]);
    let end = block_at(last, text, start, &mut captures)?;
    (end == text.len()).then_some(captures)
}

/// The first place from `at` on where `block` matches; where it ends.
fn search<'t>(
    block: &[Piece],
    text: &'t str,
    at: usize,
    captures: &mut Vec<&'t str>,
) -> Option<usize> {
    for (offset, _) in text[at..].char_indices() {
        let mut found = Vec::new();
        if let Some(end) = block_at(block, text, at + offset, &mut found) {
            captures.push(&text[at..at + offset]);
            captures.append(&mut found);
            return Some(end);
        }
    }
    None
}

/// Matches pieces of fixed shape at `at`; where they end.
fn block_at<'t>(
    block: &[Piece],
    text: &'t str,
    mut at: usize,
    captures: &mut Vec<&'t str>,
) -> Option<usize> {
    for piece in block {
        match piece {
            Piece::Literal(literal) => {
                text[at..].starts_with(&**literal).then_some(())?;
                at += literal.len();
            }
            Piece::Exactly(count) => {
                let taken = text[at..].chars().take(*count);
                let (chars, octets) = taken.fold((0, 0), |(chars, octets), c| {
                    (chars + 1, octets + c.len_utf8())
                });
                (chars == *count).then_some(())?;
                captures.push(&text[at..at + octets]);
                at += octets;
            }
            Piece::Any => return None,
        }
    }
    Some(at)
}

/// How many octets at the end of `text` pieces of fixed shape take.
fn length_from_end(block: &[Piece], text: &str) -> Option<usize> {
    let mut end = text.len();
    for piece in block.iter().rev() {
        let taken = match piece {
            Piece::Literal(literal) => literal.len(),
            Piece::Exactly(count) => {
                let octets = text.get(..end)?.chars().rev().take(*count);
                octets.map(char::len_utf8).sum()
            }
            Piece::Any => return None,
        };
        end = end
            .checked_sub(taken)
            .filter(|end| text.is_char_boundary(*end))?;
    }
    Some(text.len() - end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewrite(pattern: &str, replacement: &str) -> Rewrite {
        Rewrite::parse(pattern, replacement).unwrap()
    }

    #[test]
    fn what_wildcards_match_is_put_in_the_replacement() {
        for (pattern, replacement, text, expected) in [
            ("9*", "$1", "914255550123", Some("14255550123")),
            ("9*", "$1", "14255550123", None),
            ("0???*", "+49$1$2", "0301234567", Some("+49301234567")),
            ("????", "+1425555$1", "0123", Some("+14255550123")),
            ("????", "+1425555$1", "01234", None),
            ("*77*", "$2$1", "**77##", Some("##**")),
            ("a*b*c", "$2-$1", "aXbYbZc", Some("YbZ-X")),
            ("*", "$1", "", Some("")),
            ("x", "$$", "x", Some("$")),
            ("*ü", "$1", "grün", None),
            ("?n", "$1", "ün", Some("ü")),
        ] {
            let rule = rewrite(pattern, replacement);
            assert_eq!(rule.apply(text).as_deref(), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        for (pattern, replacement, error) in [
            ("", "", RewriteError::Length),
            ("**", "", RewriteError::Adjacent),
            ("*?", "", RewriteError::Adjacent),
            ("9*", "$2", RewriteError::Reference),
            ("9*", "$", RewriteError::Reference),
            ("9*", "$0", RewriteError::Reference),
            ("9", "a\r\nb", RewriteError::Control),
            ("1*2*3*4*5*6*7*8*9*0*", "", RewriteError::Wildcards),
        ] {
            assert_eq!(
                Rewrite::parse(pattern, replacement),
                Err(error),
                "{pattern}"
            );
        }
        assert_eq!(
            Rewrite::parse(&"9".repeat(257), ""),
            Err(RewriteError::Length)
        );
    }

    #[test]
    fn a_replacement_without_captures_is_constant() {
        assert!(rewrite("9*", "+1$$").is_constant());
        assert!(!rewrite("9*", "+1$1").is_constant());
    }

    proptest! {
        #[test]
        fn any_text_is_matched_in_bounded_time(pattern in "[a*?]{1,12}", text in "[ab*ü]{0,40}") {
            if let Ok(rule) = Rewrite::parse(&pattern, "x") {
                let _ = rule.apply(&text);
            }
        }

        #[test]
        fn wildcards_give_the_text_back(text in "[a-c]{0,20}", cut in "[a-c]{1,2}") {
            if let Some((before, behind)) = text.split_once(&cut) {
                let rule = rewrite(&format!("*{cut}*"), "$1|$2");
                prop_assert_eq!(rule.apply(&text), Some(format!("{before}|{behind}")));
            }
        }
    }
}
