//! Lists of numbers that are too long for a route, and who owns which number.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::lines::{LineError, LineErrors, LineFault, column, fields, short, telling};
use crate::pattern::{Kind, Pattern};

/// Most lines of one file.
const MOST_LINES: usize = 1_000_000;

/// Numbers, prefixes and ranges, one a line. Cheap to clone.
#[derive(Clone)]
pub struct NumberList {
    pub(crate) patterns: Arc<[Pattern]>,
    pub(crate) hash: [u8; 32],
}

impl fmt::Debug for NumberList {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NumberList({} lines, {})", self.len(), short(&self.hash))
    }
}

impl PartialEq for NumberList {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for NumberList {}

impl NumberList {
    /// Reads a list: `+14255550100`, `+1800*` or `+14255550100-+14255550199` on each line; empty
    /// lines and what follows `#` at the beginning of a line are passed over.
    ///
    /// # Errors
    /// Every line that is none of these.
    pub fn read(text: &str) -> Result<Self, Vec<LineError>> {
        let (mut errors, mut patterns) = (LineErrors::default(), Vec::new());
        for (line, text) in telling(text) {
            if patterns.len() == MOST_LINES {
                errors.add(line, LineFault::TooMany(MOST_LINES));
                break;
            }
            match pattern(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(fault) => errors.add(line, fault),
            }
        }
        let hash = hash(patterns.iter().map(|pattern| (pattern.as_str(), "")));
        errors.or(Self {
            patterns: patterns.into(),
            hash,
        })
    }

    /// How many lines say something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether the list holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// Whose a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Bought from Microsoft: it can be the caller of calls that Microsoft carries.
    Microsoft,
    /// The carrier's.
    Carrier,
    /// Ported from one to the other.
    Ported,
}

impl Owner {
    /// Every owner.
    pub const ALL: [Self; 3] = [Self::Microsoft, Self::Carrier, Self::Ported];

    /// The owner's name in configurations and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Carrier => "carrier",
            Self::Ported => "ported",
        }
    }

    /// Reads an owner's name; `None` when there is none such.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// Who owns which numbers. Cheap to clone.
#[derive(Clone)]
pub struct NumberOwners {
    pub(crate) entries: Arc<[(Pattern, Owner)]>,
    pub(crate) hash: [u8; 32],
}

impl Default for NumberOwners {
    fn default() -> Self {
        Self {
            entries: Arc::new([]),
            hash: hash(std::iter::empty()),
        }
    }
}

impl fmt::Debug for NumberOwners {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.entries.len();
        write!(f, "NumberOwners({count} lines, {})", short(&self.hash))
    }
}

impl PartialEq for NumberOwners {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for NumberOwners {}

impl NumberOwners {
    /// Reads comma-separated values with the columns `number` and `owner` and any others, in any
    /// order. A number is written as in a [`NumberList`]; the most special line holds: a number
    /// before a range, a narrow range before a wide one, a range before a prefix, a long prefix
    /// before a short one.
    ///
    /// # Errors
    /// Every line that cannot be, and every one that contradicts another.
    pub fn read(text: &str) -> Result<Self, Vec<LineError>> {
        let mut errors = LineErrors::default();
        let mut lines = telling(text);
        let (at, header) = lines.next().unwrap_or((1, ""));
        let header = fields(header);
        let (number, owner) = (column(&header, "number"), column(&header, "owner"));
        let (Some(number), Some(owner)) = (number, owner) else {
            let missing = if number.is_none() { "number" } else { "owner" };
            errors.add(at, LineFault::Column(missing));
            return errors.or(Self::default());
        };
        let mut entries: Vec<(Pattern, Owner, usize)> = Vec::new();
        for (line, text) in lines {
            if entries.len() == MOST_LINES {
                errors.add(line, LineFault::TooMany(MOST_LINES));
                break;
            }
            let cells = fields(text);
            let (found, columns) = (cells.len(), header.len());
            if found != columns {
                errors.add(line, LineFault::Fields { found, columns });
                continue;
            }
            match (pattern(cells[number]), Owner::from_name(cells[owner])) {
                (Ok(pattern), Some(owner)) => entries.push((pattern, owner, line)),
                (Err(fault), _) => errors.add(line, fault),
                (_, None) => errors.add(line, LineFault::Owner),
            }
        }
        entries.sort_by(|a, b| (a.0.as_str(), a.2).cmp(&(b.0.as_str(), b.2)));
        for pair in entries.windows(2) {
            if pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1 {
                errors.add(pair[1].2, LineFault::Contradicts(pair[0].2));
            }
        }
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(pattern, owner, _)| (pattern, owner))
            .collect();
        let texts = entries.iter();
        let hash = hash(texts.map(|(pattern, owner)| (pattern.as_str(), owner.as_str())));
        errors.or(Self {
            entries: entries.into(),
            hash,
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, LineFault> {
    if !text.starts_with(|c: char| c == '+' || c.is_ascii_digit()) {
        return Err(LineFault::Number);
    }
    let pattern = Pattern::parse(text).map_err(|_| LineFault::Number)?;
    match pattern.kind {
        Kind::Exact | Kind::Prefix(_) | Kind::Range(_) => Ok(pattern),
        Kind::Glob(_) => Err(LineFault::Wildcard),
    }
}

fn hash<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (one, other) in lines {
        hash.update(one);
        hash.update(",");
        hash.update(other);
        hash.update("\n");
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(errors: Vec<LineError>) -> Vec<(usize, LineFault)> {
        errors
            .into_iter()
            .map(|error| (error.line, error.fault))
            .collect()
    }

    #[test]
    fn every_broken_line_of_a_list_is_named() {
        let text = "# numbers\n+14255550100\n\nhello\n+1800*\n+1?00\n+14255550199-+14255550100\n";
        let found = faults(NumberList::read(text).unwrap_err());
        let expected = [
            (4, LineFault::Number),
            (6, LineFault::Wildcard),
            (7, LineFault::Number),
        ];
        assert_eq!(found, expected);
        let list = NumberList::read("\u{FEFF}+14255550100\r\n911\r\n").unwrap();
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn owners_that_contradict_each_other_are_named() {
        let text = "owner,number,note\n\
                    microsoft,+14255550100,a\n\
                    carrier,+1425555*,b\n\
                    carrier,+14255550100,c\n\
                    nobody,+14255550101,d\n\
                    carrier,+14255550102\n";
        let found = faults(NumberOwners::read(text).unwrap_err());
        let expected = [
            (4, LineFault::Contradicts(2)),
            (5, LineFault::Owner),
            (
                6,
                LineFault::Fields {
                    found: 2,
                    columns: 3,
                },
            ),
        ];
        assert_eq!(found, expected);
        let found = faults(NumberOwners::read("number\n").unwrap_err());
        assert_eq!(found, [(1, LineFault::Column("owner"))]);
    }

    #[test]
    fn no_more_mistakes_are_told_than_can_be_read() {
        let errors = NumberList::read(&"x\n".repeat(5_000)).unwrap_err();
        assert_eq!(errors.len(), 101);
        assert_eq!(errors[100].fault, LineFault::More);
    }
}
