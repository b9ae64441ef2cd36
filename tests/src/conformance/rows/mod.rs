//! The checklist, in its own order; one module a subject.

pub mod caller;
pub mod certificates;
pub mod codecs;
pub mod connections;
pub mod elsewhere;
pub mod headers;
pub mod hosting;
pub mod identity;
pub mod media;
pub mod operation;
pub mod options;
pub mod progress;
pub mod refusals;
pub mod renewal;
pub mod sessions;
pub mod setup;
pub mod srtp;
pub mod tls;
pub mod transfers;

use super::Row;

/// Every row, in the checklist's order.
#[must_use]
pub fn all() -> Vec<&'static Row> {
    let modules = [
        tls::ROWS,
        certificates::ROWS,
        connections::ROWS,
        renewal::ROWS,
        headers::ROWS,
        hosting::ROWS,
        operation::ROWS,
        options::ROWS,
        setup::ROWS,
        progress::ROWS,
        refusals::ROWS,
        sessions::ROWS,
        identity::ROWS,
        caller::ROWS,
        media::ROWS,
        srtp::ROWS,
        codecs::ROWS,
        transfers::ROWS,
        elsewhere::ROWS,
    ];
    let mut rows: Vec<&'static Row> = modules.into_iter().flatten().collect();
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
