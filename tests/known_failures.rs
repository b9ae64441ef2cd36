//! What is known to have broken gateways between a carrier and Microsoft, each a regression test:
//! the failure, and the row of the conformance suite that plays it.

use trunkline_tests::conformance::rows;
use trunkline_tests::conformance::suite::{self, Verdict};
use trunkline_tests::conformance::trial::Interference;

fn plays(ids: &[&str]) {
    for id in ids {
        let row = rows::find(id).expect("the row exists");
        let report = suite::play(row, Interference::None);
        let line = suite::line(&report);
        assert_eq!(report.verdict, Verdict::Pass, "{line}\n{}", report.log);
    }
}

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident: $($row:literal)*;)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                plays(&[$($row),*]);
            }
        )*
    };
}

failures! {
    /// Plain RTP was offered to Microsoft, which takes none.
    f_12_488_srtp_encryption_required: "CK-80";
    /// A payload type was listed twice after a codec had been put in.
    f_13_488_on_calls_to_microsoft: "CK-84";
    /// Hold was written with 0.0.0.0 or sendonly.
    f_14_hold_kills_the_call: "CK-66";
    /// The rollover counter was not kept, or not reset, around a re-INVITE.
    f_15_one_way_audio_after_22_minutes: "CK-81" "CK-82";
    /// The carrier's session refresh went on to Microsoft.
    f_16_hang_up_after_20_minutes: "CK-64";
    /// The media address changed in a re-INVITE.
    f_21_audio_lost_after_hold_or_resume: "CK-65";
    /// 603 was tried again elsewhere.
    f_23_several_missed_calls_for_one_decline: "CK-50";
    /// ACK was lost: on a wrong connection, by a wrong route, to a wrong endpoint.
    f_30_408_after_the_answer: "CK-49" "CK-46" "CK-68";
}
