//! Calls without end, a batch at a time: what the gateway holds after the last one is what it held
//! before the first.

use std::time::Duration;

use ambient::TokenRng;

use crate::operations::{MANNERS, PARTIES, TARGETS, Violation, WAYS, behave, consult, rule};
use crate::party::{Haste, Script};
use crate::sim::{Handle, Sim};
use crate::world::World;

/// Calls at once.
const BATCH: u32 = 40;

/// What the calls of a run are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whatever calls can come to: answered, refused, cancelled, held, transferred, at parties of
    /// every manner.
    Mixed,
    /// A BYE comes in the same instant as what confirms the call: that of the caller behind its
    /// ACK, that of the called party behind its 200.
    Hasty,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that parties made.
    pub calls: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Transfers that were asked for.
    pub transfers: u64,
}

/// Lets parties make that many calls, and checks that nothing is left of them.
///
/// # Errors
/// The first rule that does not hold.
pub fn run(seed: u64, calls: u64, kind: Kind) -> Result<Tally, Violation> {
    let world = World::new(seed).without_pings();
    let mut chance = world.chance("endurance");
    let mut sim = world.start();
    sim.stop_searching();
    let mut tally = Tally::default();
    while tally.calls < calls {
        let count = u32::try_from(calls - tally.calls).map_or(BATCH, |left| left.min(BATCH));
        match kind {
            Kind::Mixed => mixed(&mut sim, &mut chance, count),
            Kind::Hasty => hasty(&mut sim, &mut chance, count)?,
        }
        count_in(&mut tally, &sim);
        sim.forget_the_past();
    }
    sim.run_for(Duration::from_secs(400));
    count_in(&mut tally, &sim);
    nothing_is_left(&sim)?;
    let counted = tally.calls == calls;
    rule(&sim, counted, "each call leaves one record", || {
        format!("{} records of {calls} calls", tally.calls)
    })?;
    Ok(tally)
}

fn count_in(tally: &mut Tally, sim: &Sim) {
    for record in sim.records() {
        tally.calls += 1;
        tally.answered += u64::from(record.answered.is_some());
        tally.transfers += record.transfers.len() as u64;
    }
}

fn draw<T: Copy>(chance: &mut TokenRng, of: &[T]) -> T {
    let at = usize::try_from(chance.below(of.len() as u64)).unwrap_or_default();
    of[at]
}

fn mixed(sim: &mut Sim, chance: &mut TokenRng, count: u32) {
    for party in 0..PARTIES.len() {
        if chance.below(3) == 0 {
            let how = usize::try_from(chance.below(MANNERS as u64)).unwrap_or_default();
            behave(sim, party, how);
        }
    }
    for _ in 0..count {
        let (from, to) = draw(chance, &WAYS);
        sim.call(from, to);
    }
    sim.run_for(Duration::from_millis(chance.below(3_000)));
    for end in ends(sim) {
        act(sim, chance, end);
    }
    sim.run_for(Duration::from_millis(chance.below(5_000)));
    for name in PARTIES {
        sim.party_mut(name).script = Script::default();
    }
    let mut tries = 0;
    while sim.core().call_count() > 0 && tries < 40 {
        for end in ends(sim) {
            sim.cancel(end);
            sim.hang_up(end);
        }
        sim.run_for(Duration::from_secs(5));
        tries += 1;
    }
}

fn ends(sim: &Sim) -> Vec<Handle> {
    let ends = PARTIES.iter().flat_map(|name| sim.ends(name));
    ends.filter(|end| !sim.view(*end).is_over()).collect()
}

/// One end does something.
fn act(sim: &mut Sim, chance: &mut TokenRng, end: Handle) {
    match chance.below(8) {
        0 => sim.hang_up(end),
        1 => sim.cancel(end),
        2 => sim.hold(end),
        3 => sim.refresh(end),
        4 => {
            let target = draw(chance, &TARGETS);
            sim.refer(end, target);
        }
        5 => {
            // Another call of the same party, if it has one: a transfer with consultation.
            let others = ends(sim);
            let other = draw(chance, &others);
            consult(sim, end, other);
        }
        _ => {}
    }
}

fn hasty(sim: &mut Sim, chance: &mut TokenRng, count: u32) -> Result<(), Violation> {
    let caller = chance.below(2) == 0;
    for name in PARTIES {
        let party = sim.party_mut(name);
        (party.haste, party.script) = match caller {
            true => (Haste::HangUp, Script::new().ring().answer()),
            false => (Haste::None, Script::new().ring().answer().hang_up()),
        };
    }
    for _ in 0..count {
        let (from, to) = draw(chance, &WAYS);
        sim.call(from, to);
    }
    sim.run_until_quiet();
    sim.run_for(Duration::from_secs(1));
    let rest = [sim.core().call_count(), sim.media_legs(), ends(sim).len()];
    rule(sim, rest == [0; 3], "no leg outlives a BYE", || {
        format!("calls, legs, parties that think they talk: {rest:?}")
    })
}

fn nothing_is_left(sim: &Sim) -> Result<(), Violation> {
    let metrics = sim.core().metrics();
    let (load, ports) = (&metrics.load, &metrics.ports);
    let permits: u32 = metrics.trunks.iter().map(|(_, usage)| usage.in_use).sum();
    let rest = [
        ("calls", metrics.stages.iter().sum()),
        ("entries", sim.core().entries()),
        ("dialogs", load.dialogs),
        ("clients", load.clients),
        ("servers", load.servers),
        ("messages", load.transmits),
        ("lookups", load.lookups),
        ("ports", ports.leased),
        ("calls admitted", metrics.gateway.in_use as usize),
        ("legs admitted", permits as usize),
        ("media legs", sim.media_legs()),
        ("checkpoints", sim.checkpoints()),
    ];
    let empty = rest.iter().all(|(_, count)| *count == 0);
    rule(sim, empty, "nothing stays", || format!("{rest:?}"))?;
    let counts = &metrics.counts;
    let expected = counts.unexpected == 0 && counts.faults == 0;
    rule(sim, expected, "nothing was unexpected", || {
        format!("{counts:?}")
    })?;
    let audit = sim.core().audit();
    rule(
        sim,
        audit.is_ok(),
        "every table knows what the others know",
        || format!("{audit:?}"),
    )
}
