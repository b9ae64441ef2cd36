//! Tables that are files of lines: what their mistakes have in common.

use thiserror::Error;

/// Most mistakes told of one file.
pub(crate) const MOST_ERRORS: usize = 100;

/// One line of a file that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct LineError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineFault {
    /// No number, prefix or range.
    #[error("not a number, a prefix such as +1800*, or a range such as +14255550100-+14255550199")]
    Number,
    /// A wildcard elsewhere than at the end.
    #[error("a list has numbers, prefixes and ranges; `?` and `*` elsewhere stand in routes only")]
    Wildcard,
    /// Nobody of that name can own a number.
    #[error("the owner is microsoft, carrier or ported")]
    Owner,
    /// The header line is missing or lacks a column.
    #[error("the first line names the columns; `{0}` is missing")]
    Column(&'static str),
    /// A line with fewer or more fields than columns.
    #[error("{found} fields where there are {columns} columns")]
    Fields {
        /// Fields of the line.
        found: usize,
        /// Columns of the header.
        columns: usize,
    },
    /// Not a prefix of telephone numbers.
    #[error("a prefix is 1 to 15 digits, with or without `+`")]
    Prefix,
    /// Not a price.
    #[error("a price is written 0.0130: at most six decimals, less than 4000")]
    Price,
    /// Not a currency, or another one than the lines before have.
    #[error("a currency is three letters, and the same in the whole table")]
    Currency,
    /// Not an increment.
    #[error("an increment is 1 to 3600 seconds")]
    Increment,
    /// Not a date, or an end before its beginning.
    #[error("a date is written 2026-12-31, and the end is not before the beginning")]
    Date,
    /// Another line says something else of the same.
    #[error("contradicts line {0}")]
    Contradicts(usize),
    /// Another line has a rate of the same prefix for some of the same days.
    #[error("overlaps line {0}: two rates for one prefix at one time")]
    Overlap(usize),
    /// Between this line and the one before there are days without a rate.
    #[error("leaves a gap behind line {0}: days without a rate for the prefix")]
    Gap(usize),
    /// More lines than a file may have.
    #[error("too many lines: at most {0}")]
    TooMany(usize),
    /// Further mistakes are not told.
    #[error("and more mistakes than these")]
    More,
}

/// Mistakes of a file, as many as are told.
#[derive(Debug, Default)]
pub(crate) struct LineErrors(Vec<LineError>);

impl LineErrors {
    pub(crate) fn add(&mut self, line: usize, fault: LineFault) {
        if self.0.len() < MOST_ERRORS {
            self.0.push(LineError { line, fault });
        } else if self.0.len() == MOST_ERRORS {
            let fault = LineFault::More;
            self.0.push(LineError { line, fault });
        }
    }

    /// `Err` where there is a mistake, in the order of the lines.
    pub(crate) fn or<T>(mut self, read: T) -> Result<T, Vec<LineError>> {
        self.0
            .sort_by_key(|error| (error.fault == LineFault::More, error.line));
        if self.0.is_empty() {
            Ok(read)
        } else {
            Err(self.0)
        }
    }
}

/// The lines of a text that say something, with their numbers from 1: no empty ones, and no
/// comments, which start with `#`.
pub(crate) fn telling(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // What editors put before the first line.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The fields of a line, separated by commas, with or without quotes around them.
pub(crate) fn fields(line: &str) -> Vec<&str> {
    line.split(',')
        .map(|field| {
            let field = field.trim();
            let quoted = field
                .strip_prefix('"')
                .and_then(|field| field.strip_suffix('"'));
            quoted.unwrap_or(field)
        })
        .collect()
}

/// Where the columns of that name are.
pub(crate) fn column(header: &[&str], name: &str) -> Option<usize> {
    header
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))
}

/// The beginning of a content hash, as people compare it.
pub(crate) fn short(hash: &[u8; 32]) -> String {
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
