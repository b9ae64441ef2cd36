//! `[store]`.

use std::time::Duration;

use super::{RIGHT, errors, planted, read};

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
