//! What a list does to the inventory, decided without it.

use std::collections::BTreeMap;

use routing::Owner;

use super::entry::{Entry, Field, Listed, State};
use super::list::{Fault, Mistake, Mistakes};
use super::rules;
use super::table::{MOST, Stored};

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From Azure: what it does not name any more was given up.
    Azure,
    /// From a file of this name.
    File {
        /// The name.
        name: String,
        /// Whether the file has everything its source has: what it does not name any more was
        /// given up.
        complete: bool,
    },
}

/// The name of Azure as a source.
const AZURE: &str = "azure";

impl Origin {
    /// The name numbers keep as their source.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Azure => AZURE,
            Self::File { name, .. } => name,
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Azure => true,
            Self::File { complete, .. } => *complete,
        }
    }
}

/// A property of a number that is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The number.
    pub number: String,
    /// The property.
    pub field: Field,
    /// What it was; empty for unknown.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// What a list did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Numbers that are new.
    pub added: Vec<String>,
    /// What is different about the others.
    pub changed: Vec<Change>,
    /// Numbers their source has no more.
    pub released: Vec<String>,
    /// Numbers that are as they were.
    pub same: usize,
    /// What Azure says and this program's rules do not know: taken, and told.
    pub odd: Vec<Mistake>,
}

/// The rows that are to be written, and what they change.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) rows: Vec<Stored>,
    pub(super) changes: Changes,
}

/// Puts a list over the inventory.
///
/// # Errors
/// Every number that would break a rule; then nothing is to be written. Azure's own numbers are
/// taken as they are.
pub(super) fn merge(
    inventory: &BTreeMap<String, Stored>,
    origin: &Origin,
    rows: Vec<(u64, Listed)>,
    now: i64,
) -> Result<Merged, Vec<Mistake>> {
    let (mut mistakes, mut odd) = (Mistakes::default(), Mistakes::default());
    let mut merged = Vec::new();
    let mut changes = Changes::default();
    let mut total = inventory.len();
    let mut named = std::collections::BTreeSet::new();
    for (line, mut listed) in rows {
        named.insert(listed.number.clone());
        let before = inventory.get(&listed.number);
        keep_ported(origin, before, &mut listed);
        let number = listed.number.clone();
        let owner_known = listed.owner.is_some() || before.is_some();
        let Some(entry) = listed.over(before.map(|stored| &stored.entry)) else {
            let fault = if owner_known {
                Fault::NoCountry
            } else {
                Fault::NoOwner
            };
            mistakes.add(line, fault);
            continue;
        };
        for broken in rules::check(&entry) {
            match origin {
                Origin::Azure if broken != rules::Broken::Number => odd.add(line, broken),
                Origin::Azure | Origin::File { .. } => mistakes.add(line, broken),
            }
        }
        match before {
            None => {
                total += 1;
                changes.added.push(number);
            }
            Some(before) => compare(&before.entry, &entry, &mut changes),
        }
        let azures = before.is_some_and(|stored| stored.source == AZURE);
        let source = if azures { AZURE } else { origin.name() };
        merged.push(Stored {
            entry,
            source: source.to_owned(),
            seen: now,
        });
    }
    if total > MOST {
        mistakes.add(0, Fault::TooMany);
    }
    if origin.is_complete() {
        for stored in inventory.values() {
            let entry = &stored.entry;
            let gone = stored.source == origin.name() && !named.contains(&entry.number);
            if gone && entry.state != State::Released {
                changes.released.push(entry.number.clone());
                let mut released = stored.clone();
                released.entry.state = State::Released;
                merged.push(released);
            }
        }
    }
    changes.odd = odd.or(()).err().unwrap_or_default();
    mistakes.or(Merged {
        rows: merged,
        changes,
    })
}

/// Azure does not say which of its numbers were ported to it; who knows it keeps it.
fn keep_ported(origin: &Origin, before: Option<&Stored>, listed: &mut Listed) {
    let ported = before.is_some_and(|stored| stored.entry.owner == Owner::Ported);
    if ported && *origin == Origin::Azure {
        listed.owner = Some(Owner::Ported);
    }
}

fn compare(before: &Entry, after: &Entry, changes: &mut Changes) {
    let mut same = true;
    for &field in Field::ALL {
        let (from, to) = (before.text(field), after.text(field));
        if from != to {
            same = false;
            changes.changed.push(Change {
                number: after.number.clone(),
                field,
                from,
                to,
            });
        }
    }
    changes.same += usize::from(same);
}
