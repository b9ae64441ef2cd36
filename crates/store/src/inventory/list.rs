//! Lists of numbers as comma-separated values (RFC 4180).
//!
//! The first line names the columns, in any order: `number`, `type`, `owner`, `country`,
//! `calling`, `sms`, `assignment`, `monthly_cost`, `currency`, `state`. An empty cell says nothing.
//! Lines that begin with `#` are passed over.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Terminator, Trim, WriterBuilder};
use e164::E164Number;
use routing::{Currency, Money, Owner, micros};
use thiserror::Error;

use super::entry::{Assignment, Capability, Field, Listed, State, kind_from_name};
use super::rules::{Broken, is_short_code};
use super::table::{MOST, Stored};

/// Most mistakes told of one list.
pub const MOST_MISTAKES: usize = 100;

/// A line that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{line}: {fault}")]
pub struct Mistake {
    /// Which line, from 1; for a list that has none, which of its numbers.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A column that must be there.
    #[error("the first line names the columns; `{0}` is missing")]
    NoColumn(&'static str),
    /// A column named twice.
    #[error("the first line names `{0}` twice")]
    ColumnTwice(&'static str),
    /// More or fewer cells than columns.
    #[error("{found} cells where there are {columns} columns")]
    Cells {
        /// Cells of the line.
        found: usize,
        /// Columns of the list.
        columns: usize,
    },
    /// A word nobody knows.
    #[error("{column}: `{word}` is none of {known}")]
    Word {
        /// The column.
        column: &'static str,
        /// The word, cut.
        word: String,
        /// What it may be.
        known: &'static str,
    },
    /// No amount, or one that is not exact.
    #[error("monthly_cost: an amount is written 1.50, with at most six decimals")]
    Amount,
    /// An amount without its currency, or a currency without its amount.
    #[error("monthly_cost and currency (three letters of ISO 4217) go together")]
    Currency,
    /// Nobody says whose it is.
    #[error("owner: microsoft, carrier or ported; neither this list nor the inventory says which")]
    NoOwner,
    /// Nobody knows where it is.
    #[error("country: the number does not show which; write one")]
    NoCountry,
    /// The number is on another line too.
    #[error("the number is on line {0} already")]
    Twice(u64),
    /// A rule is broken.
    #[error("{0}")]
    Rule(#[from] Broken),
    /// More numbers than an inventory holds.
    #[error("an inventory holds at most {MOST} numbers")]
    TooMany,
    /// Not readable as comma-separated values.
    #[error("not readable: {0}")]
    Unreadable(String),
    /// Further mistakes are not told.
    #[error("and more mistakes than these")]
    More,
}

/// Mistakes in the order of their lines, no more than can be read.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, line: u64, fault: impl Into<Fault>) {
        let fault = match self.0.len() {
            MOST_MISTAKES => Fault::More,
            more if more > MOST_MISTAKES => return,
            _ => fault.into(),
        };
        self.0.push(Mistake { line, fault });
    }

    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}

/// A list that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What its columns speak of.
    pub fields: Vec<Field>,
    /// Its numbers with their lines.
    pub rows: Vec<(u64, Listed)>,
    /// Columns that mean nothing here.
    pub ignored: Vec<String>,
}

const NUMBER: &str = "number";
const CURRENCY: &str = "currency";
/// Columns of an export that an import does not read: they are of the inventory itself.
const OWN: [&str; 2] = ["source", "last_seen"];

/// Where the columns are.
struct Columns {
    count: usize,
    number: usize,
    currency: Option<usize>,
    fields: Vec<(Field, usize)>,
}

/// Reads a list.
///
/// # Errors
/// Every line that cannot be; the first hundred are told.
pub fn read(text: &str) -> Result<List, Vec<Mistake>> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    let mut lines = Lines::new(&text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut mistakes = Mistakes::default();
    let mut list = List::default();
    let mut columns: Option<Columns> = None;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = lines.at(error.position());
                mistakes.add(line, Fault::Unreadable(error.to_string()));
                break;
            }
        }
        let line = lines.at(record.position());
        let Some(columns) = &columns else {
            columns = header(&record, line, &mut list, &mut mistakes);
            if columns.is_none() {
                return mistakes.or(list);
            }
            continue;
        };
        if list.rows.len() == MOST {
            mistakes.add(line, Fault::TooMany);
            break;
        }
        let Some(listed) = row(&record, line, columns, &mut mistakes) else {
            continue;
        };
        match seen.get(&listed.number) {
            Some(first) => mistakes.add(line, Fault::Twice(*first)),
            None => {
                seen.insert(listed.number.clone(), line);
                list.rows.push((line, listed));
            }
        }
    }
    if columns.is_none() {
        mistakes.add(1, Fault::NoColumn(NUMBER));
    }
    mistakes.or(list)
}

/// Which line a record begins on. The reader's own count takes the empty lines and comments before
/// a record for its beginning.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of a record behind the last one asked for.
    fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.and_then(|position| usize::try_from(position.byte()).ok());
        let until = byte.unwrap_or(self.at);
        while let Some(rest) = self.text.get(self.at..) {
            let Some(length) = rest.find('\n') else {
                break;
            };
            let line = rest[..length].trim();
            let telling = !line.is_empty() && !line.starts_with('#');
            if self.at >= until && telling {
                break;
            }
            self.at += length + 1;
            self.line += 1;
        }
        self.line
    }
}

fn header(
    record: &StringRecord,
    line: u64,
    list: &mut List,
    mistakes: &mut Mistakes,
) -> Option<Columns> {
    let (mut number, mut currency, mut fields) = (None, None, Vec::new());
    for (at, name) in record.iter().enumerate() {
        let name = name.to_ascii_lowercase();
        let field = Field::from_name(&name);
        let twice = match (name.as_str(), field) {
            (NUMBER, _) => number.replace(at).map(|_| NUMBER),
            (CURRENCY, _) => currency.replace(at).map(|_| CURRENCY),
            (_, Some(field)) => {
                let known = fields.iter().any(|(other, _)| *other == field);
                fields.push((field, at));
                known.then_some(field.as_str())
            }
            (other, None) => {
                if !OWN.contains(&other) {
                    list.ignored.push(name);
                }
                None
            }
        };
        if let Some(name) = twice {
            mistakes.add(line, Fault::ColumnTwice(name));
        }
    }
    let Some(number) = number else {
        mistakes.add(line, Fault::NoColumn(NUMBER));
        return None;
    };
    list.fields = fields.iter().map(|(field, _)| *field).collect();
    Some(Columns {
        count: record.len(),
        number,
        currency,
        fields,
    })
}

fn row(
    record: &StringRecord,
    line: u64,
    columns: &Columns,
    mistakes: &mut Mistakes,
) -> Option<Listed> {
    let (found, wanted) = (record.len(), columns.count);
    if found != wanted {
        let columns = wanted;
        mistakes.add(line, Fault::Cells { found, columns });
        return None;
    }
    let number = &record[columns.number];
    if E164Number::parse(number).is_err() && !is_short_code(number) {
        mistakes.add(line, Broken::Number);
        return None;
    }
    let mut listed = Listed {
        number: number.to_owned(),
        ..Listed::default()
    };
    let currency = columns.currency.map(|at| &record[at]);
    let currency = currency.filter(|text| !text.is_empty());
    for &(field, at) in &columns.fields {
        let text = &record[at];
        if text.is_empty() {
            continue;
        }
        match field {
            Field::Cost => listed.cost = cost(text, currency, line, mistakes),
            Field::Type
            | Field::Owner
            | Field::Country
            | Field::Calling
            | Field::Sms
            | Field::Assignment
            | Field::State => word(&mut listed, field, text, line, mistakes),
        }
    }
    if currency.is_some() {
        let costs = columns
            .fields
            .iter()
            .find(|(field, _)| *field == Field::Cost);
        if costs.is_none_or(|(_, at)| record[*at].is_empty()) {
            mistakes.add(line, Fault::Currency);
        }
    }
    Some(listed)
}

fn word(listed: &mut Listed, field: Field, text: &str, line: u64, mistakes: &mut Mistakes) {
    let known = match field {
        Field::Type => {
            listed.kind = kind_from_name(text);
            listed.kind.is_some()
        }
        Field::Owner => {
            listed.owner = Owner::from_name(text);
            listed.owner.is_some()
        }
        Field::Country => {
            listed.country = Some(text.to_ascii_uppercase());
            true
        }
        Field::Calling => {
            listed.calling = Capability::read(text);
            listed.calling.is_some()
        }
        Field::Sms => {
            listed.sms = Capability::read(text);
            listed.sms.is_some()
        }
        Field::Assignment => {
            listed.assignment = Assignment::from_name(text);
            listed.assignment.is_some()
        }
        Field::State => {
            listed.state = State::from_name(text);
            listed.state.is_some()
        }
        Field::Cost => true,
    };
    if !known {
        let fault = Fault::Word {
            column: field.as_str(),
            word: text.chars().take(40).collect(),
            known: known_words(field),
        };
        mistakes.add(line, fault);
    }
}

fn known_words(field: Field) -> &'static str {
    match field {
        Field::Type => {
            "geographic, toll-free, mobile, short-code, premium, shared-cost, voip, personal, \
             pager, company, voicemail"
        }
        Field::Owner => "microsoft, carrier, ported",
        Field::Calling | Field::Sms => "none, inbound, outbound, both",
        Field::Assignment => "person, application",
        Field::State => "active, porting, suspended, released",
        Field::Country | Field::Cost => "",
    }
}

fn cost(amount: &str, currency: Option<&str>, line: u64, mistakes: &mut Mistakes) -> Option<Money> {
    let micros = micros(amount).filter(|micros| i64::try_from(*micros).is_ok());
    if micros.is_none() {
        mistakes.add(line, Fault::Amount);
    }
    let currency = currency.and_then(Currency::parse);
    if currency.is_none() {
        mistakes.add(line, Fault::Currency);
    }
    Some(Money {
        micros: micros?,
        currency: currency?,
    })
}

/// Writes numbers as a list that [`read`] understands. `seen` writes a time, given in
/// microseconds since the Unix epoch.
#[must_use]
pub fn write(numbers: &[Stored], seen: impl Fn(i64) -> String) -> String {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    let mut line = vec![NUMBER];
    let fields = Field::ALL.iter().filter(|field| **field != Field::Cost);
    let fields: Vec<Field> = fields.copied().collect();
    line.extend(fields.iter().map(|field| field.as_str()));
    line.extend([Field::Cost.as_str(), CURRENCY, OWN[0], OWN[1]]);
    // Writing to memory cannot fail.
    let _ = writer.write_record(&line);
    for stored in numbers {
        let entry = &stored.entry;
        let mut cells = vec![entry.number.clone()];
        cells.extend(fields.iter().map(|field| entry.text(*field)));
        match &entry.cost {
            Some(cost) => {
                cells.extend([routing::decimal(cost.micros), cost.currency.to_string()]);
            }
            None => cells.extend([String::new(), String::new()]),
        }
        cells.extend([stored.source.clone(), seen(stored.seen)]);
        let _ = writer.write_record(&cells);
    }
    let octets = writer.into_inner().unwrap_or_default();
    String::from_utf8(octets).unwrap_or_default()
}
