//! Transfers through the gateway on a virtual clock, one module for each way to ask for one.

mod attended;
mod microsoft;
mod pbx;
mod refused;
mod replaces;

use std::path::PathBuf;
use std::time::Duration;

use sim::{Handle, Ladder, Sim};

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";

/// Where Microsoft refers to: itself, and nobody by name.
const BACK: &str =
    "<sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:OrgId:dFCb%3D;x-t=4dCa>";

/// Compares a ladder with the one that is kept.
fn check(name: &str, ladder: &Ladder) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transfer/ladders");
    let file = folder.join(format!("{name}.txt"));
    let drawn = ladder.to_string();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        std::fs::write(&file, &drawn).expect("the file is ours");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        drawn,
        expected,
        "{} differs, and is\n{drawn}",
        file.display()
    );
}

/// A call that both ends have answered: the caller's end and the called one.
fn up(sim: &mut Sim, from: &str, number: &str, to: &str) -> (Handle, Handle) {
    let caller = sim.call(from, number);
    sim.run_until_quiet();
    let called = sim.called(to);
    assert!(
        sim.view(caller).is_up() && sim.view(called).is_up(),
        "{}",
        sim.ladder()
    );
    (caller, called)
}

/// Packets of other parties, and of ringing, that an end has heard.
fn heard(sim: &Sim, end: Handle) -> (u64, u64) {
    let heard = sim.heard(end);
    assert_eq!((heard.elsewhere, heard.corrupt), (0, 0), "{heard:?}");
    let again = u64::from(heard.repeated);
    (heard.numbers.len() as u64 + again, u64::from(heard.tones))
}

/// Both ends talk for three seconds, and hear every packet of the other and nothing else.
fn both_hear(sim: &mut Sim, ends: [Handle; 2]) {
    let before = ends.map(|end| heard(sim, end));
    ends.into_iter().for_each(|end| sim.talk(end, 150));
    sim.run_for(Duration::from_secs(4));
    for (end, (packets, others)) in ends.into_iter().zip(before) {
        assert_eq!(heard(sim, end), (packets + 150, others), "{}", sim.ladder());
        let sources = &sim.heard(end).sources;
        assert_eq!(sources.len(), 1, "one SSRC for all its life: {sources:?}");
    }
}

/// The statuses that an end was told of its transfers.
fn told(sim: &Sim, end: Handle) -> Vec<u16> {
    sim.view(end)
        .notified
        .iter()
        .map(|notified| notified.status)
        .collect()
}

/// Lets everything end that still waits, and looks for what is left in any table.
fn nothing_is_left(sim: &mut Sim) {
    sim.run_for(Duration::from_secs(140));
    sim.assert_clean();
    let metrics = sim.core().metrics();
    assert_eq!(metrics.stages, [0; 4], "{}", sim.ladder());
    assert_eq!(
        (metrics.ports.leased, metrics.gateway.in_use),
        (0, 0),
        "{metrics:?}"
    );
    assert_eq!(metrics.load.dialogs, 0, "{metrics:?}\n{}", sim.ladder());
    assert_eq!(
        metrics.counts.unexpected,
        0,
        "{metrics:?}\n{}",
        sim.ladder()
    );
    assert_eq!(sim.core().audit(), Ok(()));
}
