//! The conformance suite's rows, each a test; `tests/run conformance` prints them as a table.

use trunkline_tests::conformance::suite::{self, Verdict};
use trunkline_tests::conformance::trial::Interference;
use trunkline_tests::conformance::{Play, rows};

fn passes(name: &str) {
    let row = rows::find(&name.replace('_', "-")).expect("the row exists");
    if matches!(row.play, Play::Impossible(_)) {
        return;
    }
    let report = suite::play(row, Interference::None);
    let line = suite::line(&report);
    assert_eq!(report.verdict, Verdict::Pass, "{line}\n{}", report.log);
}

macro_rules! checklist {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                passes(stringify!($name));
            }
        )*

        #[test]
        fn every_row_is_a_test() {
            let names = [$(stringify!($name)),*].map(|name| name.to_uppercase().replace('_', "-"));
            let rows: Vec<&str> = rows::all().iter().map(|row| row.id).collect();
            assert_eq!(rows, names);
        }
    };
}

checklist! {
    ck_04 ck_24 ck_29 ck_32
}

#[test]
fn every_row_can_fail() {
    for row in rows::all() {
        assert!(
            !matches!(row.play, Play::Wire(_)) || !row.mutants.is_empty(),
            "{} has no mutant",
            row.id
        );
    }
}

#[test]
fn groups_name_rows() {
    let mutants = rows::all().into_iter().flat_map(|row| row.mutants);
    for id in mutants.flat_map(|mutant| mutant.group) {
        assert!(rows::find(id).is_some(), "{id}");
    }
}
