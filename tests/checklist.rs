//! The conformance suite's rows and the known causes of failure, each a test; `tests/run
//! conformance` prints the rows as a table.

use trunkline_tests::conformance::failures::{self, FAILURES};
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
            let known: Vec<String> = (1..=98).map(|number| format!("CK-{number:02}")).collect();
            assert_eq!(rows, known);
        }
    };
}

checklist! {
    ck_01 ck_02 ck_03 ck_04 ck_05 ck_06 ck_07 ck_08 ck_09 ck_10 ck_11 ck_12 ck_13 ck_14 ck_15 ck_16
    ck_17 ck_18 ck_19 ck_20 ck_21 ck_22 ck_23 ck_24 ck_25 ck_26 ck_27 ck_28 ck_29 ck_30 ck_31 ck_32
    ck_33 ck_34 ck_35 ck_36 ck_37 ck_38 ck_39 ck_40 ck_41 ck_42 ck_43 ck_44 ck_45 ck_46 ck_47 ck_48
    ck_49 ck_50 ck_51 ck_52 ck_53 ck_54 ck_55 ck_56 ck_57 ck_58 ck_59 ck_60 ck_61 ck_62 ck_63 ck_64
    ck_65 ck_66 ck_67 ck_68 ck_69 ck_70 ck_71 ck_72 ck_73 ck_74 ck_75 ck_76 ck_77 ck_78 ck_79 ck_80
    ck_81 ck_82 ck_83 ck_84 ck_85 ck_86 ck_87 ck_88 ck_89 ck_90 ck_91 ck_92 ck_93 ck_94 ck_95 ck_96
    ck_97 ck_98
}

/// The cause that a test is named after: `f_05_no_options_come_in` is for F-05.
fn cause_of(name: &str) -> String {
    name[..4].to_uppercase().replace('_', "-")
}

fn is_shown(name: &str) {
    let failure = failures::find(&cause_of(name)).expect("the cause is listed");
    failures::shows(failure).expect(failure.cause);
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
            let names = [$(stringify!($name)),*].map(cause_of);
            let causes: Vec<&str> = FAILURES.iter().map(|failure| failure.id).collect();
            assert_eq!(causes, names);
            let known: Vec<String> = (1..=30).map(|number| format!("F-{number:02}")).collect();
            assert_eq!(causes, known);
        }
    };
}

failures! {
    f_01_403_on_options_address_in_contact
    f_02_never_online_no_client_certificate
    f_03_tls_fails_overnight_root_is_missing
    f_04_microsoft_is_refused_for_its_key_usage
    f_05_no_options_come_in
    f_06_inactive_now_and_then
    f_07_calls_from_some_regions_fail
    f_08_504_569016_only_a_txt_record
    f_09_still_expiring_after_the_renewal
    f_10_480_one_name_for_teams_and_acs
    f_11_403_511532_name_is_not_registered
    f_12_488_srtp_encryption_required
    f_13_488_payload_type_twice
    f_14_hold_kills_the_call
    f_15_one_way_audio_after_22_minutes
    f_16_hang_up_after_20_minutes
    f_17_silence_instead_of_ringing
    f_18_transfer_does_nothing
    f_19_call_drops_in_a_transfer
    f_20_420_replaces_is_not_supported
    f_21_audio_lost_after_hold_or_resume
    f_22_bye_on_microsofts_connection
    f_23_several_missed_calls_for_one_decline
    f_24_wrong_or_withheld_caller
    f_25_long_or_lost_failover
    f_26_digits_ignored
    f_27_parser_stumbles_over_microsofts_texture
    f_28_large_invite_is_cut_off
    f_29_options_storms_are_banned
    f_30_408_after_the_answer
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
