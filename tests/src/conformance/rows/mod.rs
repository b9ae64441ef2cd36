//! The checklist, in its own order; one module a subject.

pub mod headers;
pub mod options;
pub mod tls;

use super::Row;

/// Every row, in the checklist's order.
#[must_use]
pub fn all() -> Vec<&'static Row> {
    let mut rows: Vec<&'static Row> = [tls::ROWS, headers::ROWS, options::ROWS]
        .into_iter()
        .flatten()
        .collect();
    rows.sort_by_key(|row| number(row.id));
    rows
}

fn number(id: &str) -> u32 {
    id.strip_prefix("CK-")
        .and_then(|number| number.parse().ok())
        .unwrap_or(u32::MAX)
}

/// The row of this id, written `CK-05`, `ck-5` or `5`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Row> {
    let digits = id.to_ascii_uppercase();
    let wanted: u32 = digits.trim_start_matches("CK-").parse().ok()?;
    all().into_iter().find(|row| number(row.id) == wanted)
}
