//! An internal fault ends one call and no other.

use b2bua::Input;
use b2bua::admin::Command;
use sim::World;

use crate::{APPLICATION, nothing_is_left, up};

#[test]
fn a_fault_in_a_handler_ends_its_call_alone() {
    let mut sim = World::new(41).start();
    let (kept, kept_called) = up(&mut sim, "carrier", APPLICATION, "acs");
    let first = sim.core().calls().next().unwrap().key;
    let (lost, lost_called) = up(&mut sim, "pbx", APPLICATION, "acs");
    let key = sim
        .core()
        .calls()
        .map(|call| call.key)
        .find(|key| *key != first)
        .unwrap();
    assert_eq!(
        sim.fault(key, Input::Admin(Command::HangUp(key))),
        Some(key)
    );
    sim.run_until_quiet();
    assert!(
        sim.view(lost).is_over() && sim.view(lost_called).is_over(),
        "{}",
        sim.ladder()
    );
    assert!(sim.view(kept).is_up() && sim.view(kept_called).is_up());
    assert_eq!(sim.records().len(), 1);
    assert_eq!(sim.core().audit(), Ok(()));
    sim.hang_up(kept);
    nothing_is_left(&mut sim);
    assert_eq!(sim.core().metrics().counts.faults, 1);
}
