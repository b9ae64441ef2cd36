//! Many calls, one batch after the other. `tests/run full` makes a million of them.

use sim::endurance::{Kind, run};

/// The calls of a run: as many as asked for in the environment, or a fraction of that.
fn calls(normal: u64) -> u64 {
    let asked = std::env::var("TRUNKLINE_CALLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(normal)
}

#[test]
fn many_calls_leak_nothing() {
    let count = calls(20_000);
    let tally = run(1, count, Kind::Mixed).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(tally.calls, count);
    assert!(tally.answered > count / 5, "{tally:?}");
    assert!(tally.transfers > count / 100, "{tally:?}");
}

#[test]
fn a_bye_with_the_ack_leaves_no_leg() {
    let count = calls(50_000) / 10;
    let tally = run(2, count, Kind::Hasty).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(tally.answered, count);
}
