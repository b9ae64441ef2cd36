//! What a carrier charges, by the beginning of the called number.

use std::fmt;
use std::sync::Arc;

use ambient::WallTime;
use fst::raw::Output;
use sha2::{Digest as _, Sha256};

use crate::lines::{LineError, LineErrors, LineFault, column, fields, short, telling};
use crate::money::{Currency, Money, Tariff, micros};
use crate::schedule::start_of;

/// Most lines of one table.
const MOST_RATES: usize = 4_000_000;
/// Dearer than this a minute, in millionths, is a mistake.
const DEAREST: u64 = 4_000_000_000;
/// The longest increment.
const LONGEST_INCREMENT: u16 = 3_600;
const SECONDS_OF_DAY: i64 = 86_400;
/// Bits of an entry of the automaton that say how many rates a prefix has; the rest says where.
const COUNT_BITS: u32 = 24;

/// The rates of one carrier in one currency: an automaton of prefixes, asked one digit at a time,
/// so that a look-up costs the same whatever the table's size. Cheap to clone.
#[derive(Clone)]
pub struct RateTable(Arc<Table>);

struct Table {
    prefixes: fst::Map<Vec<u8>>,
    rates: Vec<Rate>,
    currency: Option<Currency>,
    hash: [u8; 32],
}

/// One rate, from its first second to before its last, since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    from: i64,
    to: i64,
    per_minute: u32,
    initial: u16,
    subsequent: u16,
}

/// A line that was read.
struct Row {
    prefix: Box<str>,
    rate: Rate,
    line: usize,
}

impl PartialEq for RateTable {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for RateTable {}

impl fmt::Debug for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RateTable({} rates, {})",
            self.len(),
            short(&self.0.hash)
        )
    }
}

impl Default for RateTable {
    fn default() -> Self {
        Self::compile(Vec::new(), None)
    }
}

impl RateTable {
    /// Reads comma-separated values. The first line names the columns, in any order: `prefix`,
    /// `rate_per_minute` and `currency`; where they are wanted `initial` and `subsequent` (seconds,
    /// default 1), `valid_from` and `valid_to` (dates in UTC, the last day included; default: for
    /// ever). Other columns are passed over.
    ///
    /// # Errors
    /// Every line that cannot be, and every one that overlaps another of its prefix or leaves days
    /// without a rate behind it.
    pub fn read(text: &str) -> Result<Self, Vec<LineError>> {
        let mut errors = LineErrors::default();
        let mut lines = telling(text);
        let (at, header) = lines.next().unwrap_or((1, ""));
        let header = fields(header);
        let columns = match Columns::read(&header) {
            Ok(columns) => columns,
            Err(missing) => {
                errors.add(at, LineFault::Column(missing));
                return errors.or(Self::compile(Vec::new(), None));
            }
        };
        let (mut rows, mut currency) = (Vec::new(), None);
        for (line, text) in lines {
            if rows.len() == MOST_RATES {
                errors.add(line, LineFault::TooMany(MOST_RATES));
                break;
            }
            let cells = fields(text);
            let found = cells.len();
            if found != header.len() {
                let columns = header.len();
                errors.add(line, LineFault::Fields { found, columns });
                continue;
            }
            match columns.row(&cells, line, &mut currency) {
                Ok(row) => rows.push(row),
                Err(fault) => errors.add(line, fault),
            }
        }
        rows.sort_by(|a, b| {
            (&a.prefix, a.rate.from, a.line).cmp(&(&b.prefix, b.rate.from, b.line))
        });
        for pair in rows.windows(2) {
            let [before, after] = pair else { continue };
            if before.prefix != after.prefix {
                continue;
            }
            if after.rate.from < before.rate.to {
                errors.add(after.line, LineFault::Overlap(before.line));
            } else if after.rate.from > before.rate.to {
                errors.add(after.line, LineFault::Gap(before.line));
            }
        }
        // What has mistakes is not built: a prefix may be in it too often.
        errors.or(())?;
        Ok(Self::compile(rows, currency))
    }

    /// Rows sorted by prefix and time.
    fn compile(rows: Vec<Row>, currency: Option<Currency>) -> Self {
        let mut hash = Sha256::new();
        hash.update(currency.map_or([0; 3], |currency| {
            currency
                .as_str()
                .as_bytes()
                .try_into()
                .expect("three letters")
        }));
        let mut prefixes = fst::MapBuilder::memory();
        let mut rates = Vec::with_capacity(rows.len());
        for group in rows.chunk_by(|a, b| a.prefix == b.prefix) {
            let (start, count) = (rates.len() as u64, group.len() as u64);
            prefixes
                .insert(&*group[0].prefix, start << COUNT_BITS | count)
                .expect("sorted, and each once");
            for Row { prefix, rate, .. } in group {
                hash.update(prefix.as_bytes());
                hash.update([0]);
                hash.update(rate.from.to_be_bytes());
                hash.update(rate.to.to_be_bytes());
                hash.update(rate.per_minute.to_be_bytes());
                hash.update(rate.initial.to_be_bytes());
                hash.update(rate.subsequent.to_be_bytes());
                rates.push(*rate);
            }
        }
        Self(Arc::new(Table {
            prefixes: prefixes.into_map(),
            rates,
            currency,
            hash: hash.finalize().into(),
        }))
    }

    /// How many rates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.rates.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.rates.is_empty()
    }

    /// What all prices are in; `None` in an empty table.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.0.currency
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// What a call to `digits`, country code first and without `+`, costs at that time: the rate
    /// of the longest prefix that has one then.
    #[must_use]
    pub fn tariff(&self, digits: &str, wall: WallTime) -> Option<Tariff> {
        let now = i64::try_from(wall.as_unix_micros() / 1_000_000).unwrap_or(i64::MAX);
        let automaton = self.0.prefixes.as_fst();
        let (mut node, mut sum, mut found) = (automaton.root(), Output::zero(), None);
        for digit in digits.bytes() {
            let Some(at) = node.find_input(digit) else {
                break;
            };
            let transition = node.transition(at);
            sum = sum.cat(transition.out);
            node = automaton.node(transition.addr);
            if node.is_final() {
                let entry = sum.cat(node.final_output()).value();
                found = self.at(entry, now).or(found);
            }
        }
        let (rate, currency) = (found?, self.0.currency?);
        Some(Tariff {
            per_minute: Money {
                micros: u64::from(rate.per_minute),
                currency,
            },
            initial: rate.initial,
            subsequent: rate.subsequent,
        })
    }

    fn at(&self, entry: u64, now: i64) -> Option<Rate> {
        let start = usize::try_from(entry >> COUNT_BITS).ok()?;
        let count = usize::try_from(entry & ((1 << COUNT_BITS) - 1)).ok()?;
        let rates = self.0.rates.get(start..start + count)?;
        let behind = rates.partition_point(|rate| rate.from <= now);
        let rate = rates.get(behind.checked_sub(1)?)?;
        (now < rate.to).then_some(*rate)
    }
}

/// Where the columns of a table are.
struct Columns {
    prefix: usize,
    rate: usize,
    currency: usize,
    initial: Option<usize>,
    subsequent: Option<usize>,
    from: Option<usize>,
    to: Option<usize>,
}

impl Columns {
    fn read(header: &[&str]) -> Result<Self, &'static str> {
        let needed = |name| column(header, name).ok_or(name);
        Ok(Self {
            prefix: needed("prefix")?,
            rate: needed("rate_per_minute")?,
            currency: needed("currency")?,
            initial: column(header, "initial"),
            subsequent: column(header, "subsequent"),
            from: column(header, "valid_from"),
            to: column(header, "valid_to"),
        })
    }

    /// One line; the first one's currency is that of all.
    fn row(
        &self,
        cells: &[&str],
        line: usize,
        currency: &mut Option<Currency>,
    ) -> Result<Row, LineFault> {
        let prefix = cells[self.prefix];
        let prefix = prefix.strip_prefix('+').unwrap_or(prefix);
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !(1..=15).contains(&prefix.len()) {
            return Err(LineFault::Prefix);
        }
        let price = micros(cells[self.rate]).filter(|price| *price < DEAREST);
        let price = price.and_then(|price| u32::try_from(price).ok());
        let per_minute = price.ok_or(LineFault::Price)?;
        let own = Currency::parse(cells[self.currency]).ok_or(LineFault::Currency)?;
        if *currency.get_or_insert(own) != own {
            return Err(LineFault::Currency);
        }
        let given = |at: Option<usize>| at.map(|at| cells[at]).filter(|cell| !cell.is_empty());
        let increment = |at| match given(at) {
            None => Ok(1),
            Some(cell) => {
                let seconds = cell.parse().ok();
                let known = |seconds: &u16| (1..=LONGEST_INCREMENT).contains(seconds);
                seconds.filter(known).ok_or(LineFault::Increment)
            }
        };
        let day = |at| {
            given(at)
                .map(|cell| start_of(cell).ok_or(LineFault::Date))
                .transpose()
        };
        let from = day(self.from)?.unwrap_or(i64::MIN);
        let to = day(self.to)?.map_or(i64::MAX, |last| last + SECONDS_OF_DAY);
        if to <= from {
            return Err(LineFault::Date);
        }
        Ok(Row {
            prefix: prefix.into(),
            rate: Rate {
                from,
                to,
                per_minute,
                initial: increment(self.initial)?,
                subsequent: increment(self.subsequent)?,
            },
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "prefix,rate_per_minute,currency,initial,subsequent,valid_from,valid_to\n";

    fn wall(day: &str) -> WallTime {
        let seconds = u64::try_from(start_of(day).unwrap()).unwrap();
        WallTime::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_longest_prefix_with_a_rate_of_the_day_counts() {
        let table = RateTable::read(&format!(
            "{HEADER}1,0.0100,USD,60,60,,\n\
             +1425,0.02,usd,30,6,2026-01-01,2026-06-30\n\
             1425,0.03,USD,,,2026-07-01,\n\
             44,\"0.5\",USD,1,1,,2026-12-31\n"
        ))
        .unwrap();
        let price = |digits, day| {
            let tariff = table.tariff(digits, wall(day));
            tariff.map(|tariff| (tariff.per_minute.micros, tariff.initial, tariff.subsequent))
        };
        assert_eq!(price("12065550123", "2026-03-01"), Some((10_000, 60, 60)));
        assert_eq!(price("14255550123", "2026-06-30"), Some((20_000, 30, 6)));
        assert_eq!(price("14255550123", "2026-07-01"), Some((30_000, 1, 1)));
        assert_eq!(price("14255550123", "2025-12-31"), Some((10_000, 60, 60)));
        assert_eq!(price("442079460123", "2026-12-31"), Some((500_000, 1, 1)));
        assert_eq!(price("442079460123", "2027-01-01"), None);
        assert_eq!(price("33123456789", "2026-12-31"), None);
    }

    #[test]
    fn overlaps_gaps_and_broken_lines_are_named_all_at_once() {
        let text = format!(
            "{HEADER}1,0.01,USD,1,1,2026-01-01,2026-03-31\n\
             1,0.02,USD,1,1,2026-03-31,\n\
             44,0.01,USD,1,1,,2026-01-31\n\
             44,0.01,USD,1,1,2026-02-02,\n\
             44x,0.01,USD,1,1,,\n\
             49,1.0000001,USD,1,1,,\n\
             49,0.01,EUR,1,1,,\n\
             49,0.01,USD,0,1,,\n\
             49,0.01,USD,1,1,2026-02-30,\n\
             49,0.01,USD,1,1,2026-02-02,2026-02-01\n\
             49,0.01\n"
        );
        let errors = RateTable::read(&text).unwrap_err();
        let found: Vec<_> = errors.into_iter().map(|e| (e.line, e.fault)).collect();
        let expected = [
            (3, LineFault::Overlap(2)),
            (5, LineFault::Gap(4)),
            (6, LineFault::Prefix),
            (7, LineFault::Price),
            (8, LineFault::Currency),
            (9, LineFault::Increment),
            (10, LineFault::Date),
            (11, LineFault::Date),
            (
                12,
                LineFault::Fields {
                    found: 2,
                    columns: 7,
                },
            ),
        ];
        assert_eq!(found, expected);
        let errors = RateTable::read("prefix,currency\n").unwrap_err();
        assert_eq!(errors[0].fault, LineFault::Column("rate_per_minute"));
    }

    proptest! {
        #[test]
        fn the_automaton_is_the_table(
            rows in prop::collection::btree_map("[1-3]{1,5}", 0..4_000_u32, 0..40),
            number in "[1-3]{1,8}",
        ) {
            let mut text = "prefix,rate_per_minute,currency\n".to_owned();
            for (prefix, rate) in &rows {
                text.push_str(&format!("{prefix},0.{rate:04},EUR\n"));
            }
            let table = RateTable::read(&text).unwrap();
            let longest = |rows: &BTreeMap<String, u32>| {
                let mut all = rows.iter().filter(|(prefix, _)| number.starts_with(&***prefix));
                all.by_ref().max_by_key(|(prefix, _)| prefix.len()).map(|(_, rate)| u64::from(*rate) * 100)
            };
            let found = table.tariff(&number, WallTime::from_unix_micros(0));
            prop_assert_eq!(found.map(|tariff| tariff.per_minute.micros), longest(&rows));
        }
    }
}
