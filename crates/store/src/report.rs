//! The reading half: totals by day and kind of call.

use std::path::Path;

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::schema::{self, StoreError};

/// Calls that ended in a stretch of time: from the first microsecond to before the second, both
/// since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// The first that counts.
    pub from: i64,
    /// The first that does not count any more.
    pub until: i64,
}

impl Between {
    /// Everything.
    pub const ALWAYS: Self = Self {
        from: i64::MIN,
        until: i64::MAX,
    };
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// Rows of `ACSCallSummary`, as Azure's guide has it: each participant counts, with the length
    /// of the whole call.
    Participants,
    /// Calls, each once.
    Calls,
}

/// What happened on one day (UTC) in calls of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// `YYYY-MM-DD`.
    pub day: String,
    /// `P2P` or `Group`.
    pub call_type: String,
    /// How many.
    pub total: u64,
    /// Mean length in seconds.
    pub average_seconds: f64,
    /// Length of all of them, in minutes.
    pub minutes: f64,
}

/// Reads a store that another process may be writing.
#[derive(Debug)]
pub struct Reader(Connection);

impl Reader {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// There is none, it is no database, or it is of a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        schema::open_read_only(path).map(Self)
    }

    /// Totals by day and kind of call, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn by_day(&self, counting: Counting, between: Between) -> Result<Vec<Day>, StoreError> {
        let rows = match counting {
            Counting::Participants => {
                "SELECT s.TimeGenerated AS at, s.CallType AS kind, s.CallDuration AS length
                 FROM calls AS c JOIN ACSCallSummary AS s ON s.CorrelationId = c.call
                 WHERE c.ended >= ?1 AND c.ended < ?2"
            }
            Counting::Calls => {
                "SELECT min(s.TimeGenerated) AS at, s.CallType AS kind,
                     max(s.CallDuration) AS length
                 FROM calls AS c JOIN ACSCallSummary AS s ON s.CorrelationId = c.call
                 WHERE c.ended >= ?1 AND c.ended < ?2
                 GROUP BY s.CorrelationId, s.CallType"
            }
        };
        let sql = format!(
            "SELECT date(at), kind, count(*), avg(length), sum(length) / 60.0 FROM ({rows})
             GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let mut statement = self.0.prepare(&sql)?;
        let days = statement.query_map(params![between.from, between.until], |row| {
            Ok(Day {
                day: row.get(0)?,
                call_type: row.get(1)?,
                total: row.get::<_, i64>(2)?.unsigned_abs(),
                average_seconds: row.get(3)?,
                minutes: row.get(4)?,
            })
        })?;
        Ok(days.collect::<Result<_, _>>()?)
    }

    /// How many calls there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn count(&self, between: Between) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM calls WHERE ended >= ?1 AND ended < ?2";
        let bounds = params![between.from, between.until];
        let count: i64 = self.0.query_row(sql, bounds, |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Hands the JSON record of each call to `each`, in the order in which they ended, until it
    /// says to stop.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(
        &self,
        between: Between,
        mut each: impl FnMut(&str) -> std::ops::ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT record FROM calls WHERE ended >= ?1 AND ended < ?2 ORDER BY ended";
        let mut statement = self.0.prepare(sql)?;
        let mut rows = statement.query(params![between.from, between.until])?;
        while let Some(row) = rows.next()? {
            let record = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            if each(record).is_break() {
                break;
            }
        }
        Ok(())
    }
}
