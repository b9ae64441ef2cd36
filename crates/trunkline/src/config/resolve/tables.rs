//! `[[number_list]]`, `[inventory]` and `[[rates]]`: files read line by line.

use std::path::Path;

use routing::{LineError, NumberList, NumberOwners, RateTable};
use store::inventory::Inventory;
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
    if let Some(wanted) = document.inventory.store.as_ref()
        && *wanted.get_ref()
    {
        let read = stored(document, base, wanted, findings);
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

/// Who owns which number, by the store.
fn stored(
    document: &Document,
    base: &Path,
    wanted: &Spanned<bool>,
    findings: &mut Findings,
) -> Option<NumberOwners> {
    if document.inventory.file.is_some() {
        let why = "inventory: either `file` or `store`, not both";
        findings
            .error(wanted.span(), why)
            .help("trunkline numbers import FILE brings the file into the store");
        return None;
    }
    let Some(store) = &document.store else {
        findings
            .error(wanted.span(), "inventory: there is no [store]")
            .help("write [store] with path = \"trunkline.db\"");
        return None;
    };
    let shown = store.path.get_ref();
    let path = base.join(shown);
    if !path.exists() {
        findings
            .warning(
                wanted.span(),
                format!("inventory: {shown} is not there yet; nobody owns any number"),
            )
            .help("trunkline numbers import makes it");
        return Some(NumberOwners::default());
    }
    match Inventory::read(&path).and_then(|inventory| inventory.owners()) {
        Ok(Ok(owners)) => Some(owners),
        Ok(Err(errors)) => {
            for LineError { fault, .. } in errors {
                findings.error(wanted.span(), format!("inventory: {shown}: {fault}"));
            }
            None
        }
        Err(error) => {
            findings.error(wanted.span(), format!("inventory: {shown}: {error}"));
            None
        }
    }
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
