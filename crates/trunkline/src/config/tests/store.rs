//! `[store]`.

use std::time::Duration;

use store::inventory::{Inventory, Origin, list};

use super::{RIGHT, errors, planted, read};
use crate::config::{Reading, read_text};

#[test]
fn a_store_has_a_file_and_keeps_for_a_year_and_a_month() {
    let added = "[store]\npath = \"calls.db\"\n[admin]";
    let reading = read(&RIGHT.replacen("[admin]", added, 1));
    assert_eq!(errors(&reading), []);
    let store = reading.config.store.unwrap();
    assert!(store.path.ends_with("calls.db"));
    assert_eq!(store.keep, Duration::from_secs(400 * 24 * 3600));
    let added = "[store]\npath = \"calls.db\"\nkeep = \"30d\"\n[admin]";
    let reading = read(&RIGHT.replacen("[admin]", added, 1));
    let store = reading.config.store.unwrap();
    assert_eq!(store.keep, Duration::from_secs(30 * 24 * 3600));
}

#[test]
fn a_store_without_a_file_is_told() {
    planted(
        "[admin]",
        "[store]\nkeep = \"1d\"\n[admin]",
        "`path` is required",
    );
}

#[test]
fn owners_come_from_the_store_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let with = |tables: &str| {
        let text = RIGHT.replacen("[admin]", &format!("{tables}\n[admin]"), 1);
        read_text(folder.path().join("trunkline.toml"), text, &|_| None)
    };
    let tables = "[store]\npath = \"calls.db\"\n[inventory]\nstore = true";
    let reading = with(tables);
    assert_eq!(errors(&reading), []);
    let warned = |reading: &Reading| {
        let mut found = reading.findings.0.iter();
        found.any(|finding| finding.message.contains("is not there yet"))
    };
    assert!(warned(&reading), "{:?}", reading.findings);
    let path = folder.path().join("calls.db");
    let text = "number,owner\n+14255550100,carrier\n+18005550100,microsoft\n";
    let rows = list::read(text).unwrap().rows;
    let origin = Origin::File {
        name: "carrier.csv".to_owned(),
        complete: false,
    };
    let mut inventory = Inventory::open(&path).unwrap();
    inventory.import(&origin, rows, 1, false).unwrap();
    drop(inventory);
    let reading = with(tables);
    assert_eq!(errors(&reading), []);
    assert!(!warned(&reading));
    let expected = routing::NumberOwners::read(text).unwrap();
    assert_eq!(reading.config.routing.owners, expected);
    let reading = with(&tables.replace("true", "false"));
    assert_eq!(
        reading.config.routing.owners,
        routing::NumberOwners::default()
    );
    std::fs::write(
        &path,
        "no database, but as long as the head of one would have to be, and more",
    )
    .unwrap();
    let found = errors(&with(tables));
    assert!(found[0].1.contains("inventory: calls.db: "), "{found:?}");
}

#[test]
fn a_store_of_numbers_must_be_there_and_alone() {
    for (tables, line, says) in [
        ("[inventory]\nstore = true", 1, "there is no [store]"),
        (
            "[store]\npath = \"calls.db\"\n[inventory]\nstore = true\nfile = \"calls.csv\"",
            3,
            "either `file` or `store`",
        ),
        (
            "[cloud_calling]\nconnection_string = \"hello\"",
            1,
            "cloud_calling: connection_string",
        ),
    ] {
        let text = RIGHT.replacen("[admin]", &format!("{tables}\n[admin]"), 1);
        let at = RIGHT.find("[admin]").unwrap();
        let first = RIGHT[..at].matches('\n').count() + 1;
        let found = errors(&read(&text));
        let found: Vec<_> = found.iter().filter(|(_, why)| why.contains(says)).collect();
        assert_eq!(found.len(), 1, "{says}");
        assert_eq!(found[0].0, first + line, "{found:?}");
    }
}
