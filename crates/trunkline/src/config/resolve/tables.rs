//! `[[number_list]]`, `[inventory]` and `[[rates]]`: files read line by line.

use std::path::Path;

use routing::{LineError, NumberList, NumberOwners, RateTable};
use toml::Spanned;

use crate::config::diagnostic::Findings;
use crate::config::load::Document;

/// Reads every file. One with a broken line is told line by line, and stands as if it were empty;
/// whether all could be taken is the answer.
pub(super) fn resolve(
    document: &Document,
    base: &Path,
    routing: &mut routing::Document,
    findings: &mut Findings,
) -> bool {
    let mut whole = true;
    for raw in &document.number_lists {
        let name = raw.name.get_ref().clone();
        let what = format!("number_list {name}");
        let read = file(&what, base, &raw.file, NumberList::read, findings);
        whole &= read.is_some();
        let empty = || NumberList::read("").ok();
        routing
            .lists
            .extend(read.or_else(empty).map(|list| (name, list)));
    }
    if let Some(path) = &document.inventory.file {
        let read = file("inventory", base, path, NumberOwners::read, findings);
        whole &= read.is_some();
        routing.owners = read.unwrap_or_default();
    }
    for raw in &document.rates {
        let name = raw.name.get_ref().clone();
        let what = format!("rates {name}");
        let read = file(&what, base, &raw.file, RateTable::read, findings);
        whole &= read.is_some();
        routing.rates.push((name, read.unwrap_or_default()));
    }
    whole
}

fn file<T>(
    what: &str,
    base: &Path,
    path: &Spanned<String>,
    read: fn(&str) -> Result<T, Vec<LineError>>,
    findings: &mut Findings,
) -> Option<T> {
    let shown = path.get_ref();
    let text = match std::fs::read_to_string(base.join(shown)) {
        Ok(text) => text,
        Err(error) => {
            findings.error(path.span(), format!("{what}: {shown}: {error}"));
            return None;
        }
    };
    match read(&text) {
        Ok(table) => Some(table),
        Err(errors) => {
            for LineError { line, fault } in errors {
                findings.error(path.span(), format!("{what}: {shown}:{line}: {fault}"));
            }
            None
        }
    }
}
