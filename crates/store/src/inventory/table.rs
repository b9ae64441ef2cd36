//! The inventory in the store.

use std::collections::BTreeMap;
use std::path::Path;

use e164::NumberType;
use routing::{Currency, LineError, Money, NumberOwners, Owner};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::entry::{Assignment, Capability, Entry, Listed, State};
use super::list::Mistake;
use super::merge::{Changes, Origin, merge};
use crate::schema::{self, StoreError};

/// Most numbers an inventory holds.
pub const MOST: usize = 1_000_000;
/// Orders that are remembered; the oldest are forgotten first.
const MOST_ORDERS: i64 = 10_000;

/// A number in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number and what is known of it.
    pub entry: Entry,
    /// Where it is known from.
    pub source: String,
    /// When that was read last, in microseconds since the Unix epoch.
    pub seen: i64,
}

/// What came of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// Everything is in, in one transaction.
    Whole(Changes),
    /// Nothing is in.
    Refused(Vec<Mistake>),
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It was sent, or is about to be; whether Azure took it is not known.
    Sent,
    /// What it was for is bought.
    Done,
    /// Azure refused it.
    Refused,
}

impl OrderState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sent, Self::Done, Self::Refused]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A purchase by its search: under which name it was sent first, so that sending it again is no
/// second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The search it buys.
    pub search: String,
    /// Its `Repeatability-Request-ID`.
    pub request: String,
    /// Its `Repeatability-First-Sent`, in seconds since the Unix epoch.
    pub first_sent: i64,
    /// Azure's operation, where it is known.
    pub operation: Option<String>,
    /// How far it is.
    pub state: OrderState,
}

/// The inventory of a store.
#[derive(Debug)]
pub struct Inventory(Connection);

impl Inventory {
    /// Opens a store for reading and writing; it is made where there is none.
    ///
    /// # Errors
    /// The file cannot be made, is no database, or is of a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        schema::open(path).map(Self)
    }

    /// Opens a store that exists, for reading.
    ///
    /// # Errors
    /// There is none, it is no database, or it is of a newer version.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        schema::open_read_only(path).map(Self)
    }

    /// Every number, in the order of their digits; none in a store that an earlier version made.
    ///
    /// # Errors
    /// The file cannot be read, or somebody wrote into it what cannot be.
    pub fn numbers(&self) -> Result<Vec<Stored>, StoreError> {
        if schema::version(&self.0)? < schema::NUMBERS {
            return Ok(Vec::new());
        }
        numbers(&self.0)
    }

    /// Who owns which number, as routes ask for it; numbers that were given up are nobody's.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub fn owners(&self) -> Result<Result<NumberOwners, Vec<LineError>>, StoreError> {
        let mut text = "number,owner\n".to_owned();
        for Stored { entry, .. } in self.numbers()? {
            if entry.state != State::Released {
                text.push_str(&entry.number);
                text.push(',');
                text.push_str(entry.owner.as_str());
                text.push('\n');
            }
        }
        Ok(NumberOwners::read(&text))
    }

    /// Puts a list into the inventory, whole or not at all. `now` is in microseconds since the
    /// Unix epoch; with `dry_run` nothing is written.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn import(
        &mut self,
        origin: &Origin,
        rows: Vec<(u64, Listed)>,
        now: i64,
        dry_run: bool,
    ) -> Result<Imported, StoreError> {
        let change = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let all = numbers(&change)?.into_iter();
        let known: BTreeMap<String, Stored> = all
            .map(|stored| (stored.entry.number.clone(), stored))
            .collect();
        let merged = match merge(&known, origin, rows, now) {
            Ok(merged) => merged,
            Err(mistakes) => return Ok(Imported::Refused(mistakes)),
        };
        for stored in &merged.rows {
            put(&change, stored)?;
        }
        if dry_run {
            change.rollback()?;
        } else {
            change.commit()?;
        }
        Ok(Imported::Whole(merged.changes))
    }

    /// The order that buys a search, where one was begun.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn order(&self, search: &str) -> Result<Option<Order>, StoreError> {
        let sql = "SELECT search, request, first_sent, operation, state FROM orders
                   WHERE search = ?1";
        let order = self.0.query_row(sql, [search], |row| {
            Ok(Order {
                search: row.get(0)?,
                request: row.get(1)?,
                first_sent: row.get(2)?,
                operation: row.get(3)?,
                state: named(row, 4, OrderState::from_name)?,
            })
        });
        Ok(order.optional()?)
    }

    /// Keeps an order, new or further on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_order(&mut self, order: &Order) -> Result<(), StoreError> {
        let change = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute(
            "INSERT INTO orders (search, request, first_sent, operation, state)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (search) DO UPDATE SET
                 operation = excluded.operation, state = excluded.state",
            params![
                order.search,
                order.request,
                order.first_sent,
                order.operation,
                order.state.as_str(),
            ],
        )?;
        change.execute(
            "DELETE FROM orders WHERE search IN
                 (SELECT search FROM orders ORDER BY first_sent DESC, rowid DESC LIMIT -1 OFFSET ?1)",
            [MOST_ORDERS],
        )?;
        Ok(change.commit()?)
    }
}

fn numbers(connection: &Connection) -> Result<Vec<Stored>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT number, type, owner, country, calling, sms, assignment, cost_micros, currency,
             state, source, seen
         FROM numbers ORDER BY number",
    )?;
    let rows = statement.query_map([], stored)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let micros: Option<i64> = row.get(7)?;
    let cost = match micros {
        Some(micros) => Some(Money {
            micros: micros.unsigned_abs(),
            currency: named(row, 8, Currency::parse)?,
        }),
        None => None,
    };
    Ok(Stored {
        entry: Entry {
            number: row.get(0)?,
            kind: named(row, 1, NumberType::from_name)?,
            owner: named(row, 2, Owner::from_name)?,
            country: row.get(3)?,
            calling: named(row, 4, Capability::from_name)?,
            sms: named(row, 5, Capability::from_name)?,
            assignment: named(row, 6, Assignment::from_name)?,
            cost,
            state: named(row, 9, State::from_name)?,
        },
        source: row.get(10)?,
        seen: row.get(11)?,
    })
}

/// A cell that holds a name.
fn named<T>(row: &Row<'_>, at: usize, read: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    let unknown =
        || rusqlite::Error::InvalidColumnType(at, text.clone(), rusqlite::types::Type::Text);
    read(&text).ok_or_else(unknown)
}

fn put(change: &Connection, stored: &Stored) -> Result<(), StoreError> {
    let entry = &stored.entry;
    let mut statement = change.prepare_cached(
        "INSERT OR REPLACE INTO numbers (number, type, owner, country, calling, sms, assignment,
             cost_micros, currency, state, source, seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let micros = entry
        .cost
        .map(|cost| i64::try_from(cost.micros).unwrap_or(i64::MAX));
    statement.execute(params![
        entry.number,
        entry.kind.as_str(),
        entry.owner.as_str(),
        entry.country,
        entry.calling.as_str(),
        entry.sms.as_str(),
        entry.assignment.as_str(),
        micros,
        entry.cost.map(|cost| cost.currency.to_string()),
        entry.state.as_str(),
        stored.source,
        stored.seen,
    ])?;
    Ok(())
}
