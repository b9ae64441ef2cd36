//! The conformance suite's rows, each a test; `tests/run conformance` prints them as a table.

use trunkline_tests::conformance::failures::{self, FAILURES, Proof};
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
            let mut rows: Vec<&str> = rows::all().iter().map(|row| row.id).collect();
            rows.retain(|id| !AWAITED.contains(id));
            assert_eq!(rows, names);
        }
    };
}

/// Rows that are written and not met yet: `tests/run conformance` shows them red.
const AWAITED: &[&str] = &[
    "CK-41", "CK-48", "CK-61", "CK-70", "CK-71", "CK-72", "CK-73", "CK-74", "CK-75", "CK-76",
    "CK-77", "CK-78", "CK-83", "CK-85",
];

checklist! {
    ck_01 ck_02 ck_03 ck_04 ck_05 ck_06 ck_07 ck_08 ck_09 ck_10 ck_11 ck_12 ck_13 ck_14 ck_15 ck_16 ck_17
    ck_18 ck_19 ck_20 ck_21 ck_22 ck_23 ck_24 ck_25 ck_26 ck_27 ck_28 ck_29 ck_30 ck_31 ck_32 ck_33
    ck_34 ck_35 ck_36 ck_37 ck_38 ck_39 ck_40 ck_42 ck_43 ck_44 ck_45 ck_46 ck_47 ck_49 ck_50 ck_51 ck_52
    ck_53 ck_55 ck_56 ck_57 ck_58 ck_62 ck_63 ck_64 ck_65 ck_66 ck_67 ck_68 ck_69 ck_79 ck_80 ck_81 ck_82
    ck_84 ck_86 ck_87 ck_88 ck_89 ck_90 ck_91 ck_92 ck_93 ck_95 ck_96 ck_97
}

/// Each known cause of failure by its own name; most are a row of the checklist.
fn is_shown(name: &str) {
    let id = name.to_uppercase().replace('_', "-");
    let failure = failures::find(&id).expect("the cause is listed");
    for proof in failure.proofs {
        match proof {
            Proof::Rows(rows) => {
                let met = rows
                    .iter()
                    .filter(|row| !AWAITED.contains(row) && rows::find(row).is_some());
                met.for_each(|row| passes(row));
            }
            Proof::Check(check) => failures::check(*check).expect(failure.cause),
        }
    }
}

macro_rules! failures {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                is_shown(stringify!($name));
            }
        )*

        #[test]
        fn every_cause_is_a_test() {
            let names = [$(stringify!($name)),*].map(|name| name.to_uppercase().replace('_', "-"));
            let causes: Vec<&str> = FAILURES.iter().map(|failure| failure.id).collect();
            assert_eq!(causes, names);
        }
    };
}

failures! {
    f_01 f_02 f_03 f_04 f_05 f_06 f_07 f_08 f_09 f_10 f_22 f_25 f_27 f_28 f_29
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
        let number: u32 = id
            .strip_prefix("CK-")
            .and_then(|id| id.parse().ok())
            .expect(id);
        assert!((1..=98).contains(&number), "{id}");
    }
}
