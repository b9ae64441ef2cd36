//! Anything in any order, against a model that only counts: whatever parties, links and restarts
//! do, the tables agree with each other at every step and are empty in the end.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::{Handle, Link, Reach, Script, Sim, World};

use crate::{APPLICATION, SUBSCRIBER};

const PARTIES: [&str; 5] = ["carrier", "pbx", "acs", "acs2", "acs3"];

#[derive(Clone, Debug)]
enum Op {
    /// One of three ways through the gateway.
    Call(usize),
    /// At the end of that number, of all ends there ever were.
    HangUp(usize),
    Cancel(usize),
    Hold(usize),
    Resume(usize),
    Refresh(usize),
    /// What a party does with calls that come.
    Behave(usize, usize),
    /// Milliseconds.
    Wait(u64),
    Restore,
}

fn op() -> impl Strategy<Value = Op> {
    let end = 0..64_usize;
    prop_oneof![
        4 => (0..3_usize).prop_map(Op::Call),
        3 => end.clone().prop_map(Op::HangUp),
        2 => end.clone().prop_map(Op::Cancel),
        2 => end.clone().prop_map(Op::Hold),
        2 => end.clone().prop_map(Op::Resume),
        1 => end.prop_map(Op::Refresh),
        2 => (0..PARTIES.len(), 0..9_usize).prop_map(|(party, how)| Op::Behave(party, how)),
        6 => (0..3_000_u64).prop_map(Op::Wait),
        1 => (3_000..30_000_u64).prop_map(Op::Wait),
        1 => Just(Op::Restore),
    ]
}

fn behave(sim: &mut Sim, party: usize, how: usize) {
    let party = sim.party_mut(PARTIES[party]);
    party.reach = Reach::Here;
    let soon = Duration::from_millis(300);
    party.script = match how {
        0 => Script::new()
            .ring()
            .wait(soon)
            .progress()
            .wait(soon)
            .answer(),
        1 => Script::new().answer(),
        2 => Script::new()
            .ring_as(1)
            .progress_as(2)
            .wait(soon)
            .answer_as(3),
        3 => Script::reject(486),
        4 => Script::reject(503).with_header("Retry-After", "5"),
        5 => Script::silent(),
        6 => Script::new().ring(),
        7 => Script::default().wait(soon).hold().wait(soon).hang_up(),
        _ => {
            party.reach = Reach::Refuses;
            Script::default()
        }
    };
}

/// What must be true of any run.
#[derive(Default)]
struct Model {
    /// Calls that parties made.
    made: usize,
    callers: Vec<Handle>,
}

impl Model {
    fn apply(&mut self, sim: &mut Sim, op: &Op) {
        match *op {
            Op::Call(way) => {
                let (from, to) = [
                    ("carrier", APPLICATION),
                    ("acs", SUBSCRIBER),
                    ("pbx", SUBSCRIBER),
                ][way];
                self.callers.push(sim.call(from, to));
                self.made += 1;
            }
            Op::HangUp(end) => self.at(sim, end, Sim::hang_up),
            Op::Cancel(end) => self.at(sim, end, Sim::cancel),
            Op::Hold(end) => self.at(sim, end, Sim::hold),
            Op::Resume(end) => self.at(sim, end, Sim::resume),
            Op::Refresh(end) => self.at(sim, end, Sim::refresh),
            Op::Behave(party, how) => behave(sim, party, how),
            Op::Wait(time) => sim.run_for(Duration::from_millis(time)),
            // What is not confirmed or under way ends with the process, and without a record.
            Op::Restore => {
                if sim.is_quiet() && sim.core().call_count() == sim.checkpoints() {
                    sim.restore();
                }
            }
        }
    }

    fn at(&self, sim: &mut Sim, end: usize, act: impl FnOnce(&mut Sim, Handle)) {
        let mut ends = self.callers.clone();
        ends.extend(PARTIES.iter().flat_map(|name| sim.ends(name)));
        if !ends.is_empty() {
            act(sim, ends[end % ends.len()]);
        }
    }

    /// The tables at any moment.
    fn check(&self, sim: &Sim) -> Result<(), TestCaseError> {
        prop_assert_eq!(sim.core().audit(), Ok(()), "{}", sim.ladder());
        let metrics = sim.core().metrics();
        let [setup, answered, established, ending] = metrics.stages;
        let live = setup + answered + established;
        prop_assert!(live + ending + sim.records().len() <= self.made);
        prop_assert_eq!(metrics.gateway.in_use as usize, live, "{}", sim.ladder());
        // A call that is set up has one leg or two, an answered one two, one that ends none.
        let legs = sim.media_legs();
        let answered = 2 * (answered + established);
        prop_assert!(
            (setup + answered..=2 * setup + answered).contains(&legs),
            "{legs} legs of {:?}\n{}",
            metrics.stages,
            sim.ladder()
        );
        prop_assert_eq!(metrics.ports.leased, legs, "{}", sim.ladder());
        let permits: u32 = metrics.trunks.iter().map(|(_, usage)| usage.in_use).sum();
        prop_assert_eq!(permits as usize, legs, "{}", sim.ladder());
        prop_assert!(sim.checkpoints() <= established + answered);
        Ok(())
    }

    /// Everybody hangs up and every timer fires.
    fn check_end(&self, sim: &mut Sim, lossless: bool) -> Result<(), TestCaseError> {
        for _ in 0..3 {
            for name in PARTIES {
                for end in sim.ends(name) {
                    sim.cancel(end);
                    sim.hang_up(end);
                }
            }
            sim.run_for(Duration::from_secs(70));
        }
        sim.run_for(Duration::from_secs(200));
        self.check(sim)?;
        let metrics = sim.core().metrics();
        prop_assert_eq!(metrics.stages, [0; 4], "{}", sim.ladder());
        prop_assert_eq!(metrics.load.dialogs, 0, "{}", sim.ladder());
        prop_assert_eq!(metrics.load.clients, 0, "{}", sim.ladder());
        prop_assert_eq!(metrics.load.servers, 0, "{}", sim.ladder());
        prop_assert_eq!(sim.media_legs() + sim.checkpoints(), 0, "{}", sim.ladder());
        let mut up = Vec::new();
        for name in PARTIES {
            up.extend(
                sim.ends(name)
                    .into_iter()
                    .filter(|end| sim.view(*end).is_up()),
            );
        }
        prop_assert_eq!(up, Vec::new(), "{}", sim.ladder());
        if lossless {
            prop_assert_eq!(metrics.counts.unexpected, 0, "{}", sim.ladder());
            prop_assert_eq!(sim.records().len(), self.made, "{}", sim.ladder());
        }
        Ok(())
    }
}

fn run(seed: u64, loss: u8, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut world = World::new(seed).without_pings();
    if loss > 0 {
        let lossy = || Link::lossy(loss);
        world = world.link("carrier", lossy()).link("pbx", lossy());
    }
    let mut sim = world.start();
    let mut model = Model::default();
    for op in ops {
        model.apply(&mut sim, op);
        model.check(&sim)?;
    }
    model.check_end(&mut sim, loss == 0)
}

#[test]
fn the_tables_agree_whatever_happens() {
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, chance);
    let cases = (
        any::<u64>(),
        prop_oneof![Just(0_u8), Just(15)],
        vec(op(), 1..40),
    );
    let outcome = runner.run(&cases, |(seed, loss, ops)| run(seed, loss, &ops));
    if let Err(found) = outcome {
        panic!("{found}");
    }
}
