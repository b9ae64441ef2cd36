//! Anything in any order, against a model that only counts: whatever parties, links and restarts
//! do, the tables of the gateway agree with each other at every step and are empty in the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::link::Link;
use crate::party::{Reach, Script};
use crate::sim::{Handle, Sim};
use crate::world::World;

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";

pub(crate) const PARTIES: [&str; 5] = ["carrier", "pbx", "acs", "acs2", "acs3"];

/// Calls that one run may make: its ladder is kept in memory.
const MAX_OPERATIONS: usize = 64;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A call, by one of the ways through the gateway.
    Call(usize),
    /// A party ends its call, if that end is up; ends are counted over all there ever were.
    HangUp(usize),
    /// A caller gives up.
    Cancel(usize),
    /// A party holds its call.
    Hold(usize),
    /// A party resumes its call.
    Resume(usize),
    /// A party sends the re-INVITE of a session timer.
    Refresh(usize),
    /// A party asks for a transfer: to one of a few places.
    Refer(usize, usize),
    /// A party asks to be replaced by the other end of another call, which may be its own.
    Consult(usize, usize),
    /// What a party does from now on with calls that come.
    Behave(usize, usize),
    /// Milliseconds pass.
    Wait(u64),
    /// The process ends and another continues from its checkpoints.
    Restore,
}

impl Operation {
    /// The operation that three octets stand for; every value is one.
    #[must_use]
    pub fn read([kind, first, second]: [u8; 3]) -> Self {
        let end = usize::from(first);
        let time = u64::from(u16::from_be_bytes([first, second]));
        let other = usize::from(second);
        match kind % 28 {
            24 | 25 => Self::Refer(end, other % TARGETS.len()),
            26 | 27 => Self::Consult(end, other),
            0..=3 => Self::Call(usize::from(first) % WAYS.len()),
            4..=6 => Self::HangUp(end),
            7 | 8 => Self::Cancel(end),
            9 | 10 => Self::Hold(end),
            11 | 12 => Self::Resume(end),
            13 => Self::Refresh(end),
            14 | 15 => Self::Behave(end % PARTIES.len(), usize::from(second) % MANNERS),
            16 => Self::Restore,
            17 => Self::Wait(3_000 + time % 27_000),
            _ => Self::Wait(time % 3_000),
        }
    }

    /// The operations that octets stand for, three octets each; a rest of one or two is left out,
    /// and so is what is too much for one run.
    #[must_use]
    pub fn read_all(octets: &[u8]) -> Vec<Self> {
        let (triples, _) = octets.as_chunks::<3>();
        let triples = triples.iter().take(MAX_OPERATIONS);
        triples.map(|triple| Self::read(*triple)).collect()
    }
}

/// Who calls whom.
pub(crate) const WAYS: [(&str, &str); 3] = [
    ("carrier", APPLICATION),
    ("acs", SUBSCRIBER),
    ("pbx", SUBSCRIBER),
];

/// Where transfers go: back to whoever asks, and to numbers on either side of the gateway.
pub(crate) const TARGETS: [&str; 3] = [
    "<sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=1>",
    "<sip:+14255550123@sbc1.example.com>",
    "<sip:+12065550111@sbc1.example.com>",
];

/// Ways of [`behave`].
pub(crate) const MANNERS: usize = 11;

pub(crate) fn behave(sim: &mut Sim, party: usize, how: usize) {
    let party = sim.party_mut(PARTIES[party]);
    party.reach = Reach::Here;
    party.refuses = match how {
        8 => Some(488),
        9 => Some(491),
        _ => None,
    };
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
        8 | 9 => Script::default(),
        _ => {
            party.reach = Reach::Refuses;
            Script::default()
        }
    };
}

/// One end asks that the other ends of its call and of another one be joined.
pub(crate) fn consult(sim: &mut Sim, end: Handle, other: Handle) {
    let escaped = sim.replaces(other).replace(';', "%3B").replace('=', "%3D");
    sim.refer(end, &format!("<sip:sbc1.example.com?Replaces={escaped}>"));
}

/// What was found wrong, with the ladder that led there.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What the model expected.
    pub rule: &'static str,
    /// What was there instead.
    pub found: String,
    /// Every message of the run.
    pub ladder: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n{}", self.rule, self.found, self.ladder)
    }
}

impl std::error::Error for Violation {}

/// Lets the operations happen in the standard world, whose plain links lose `loss` messages of a
/// hundred, and checks what must be true of any run.
///
/// # Errors
///
/// The first rule that does not hold.
pub fn run(seed: u64, loss: u8, operations: &[Operation]) -> Result<(), Violation> {
    let mut world = World::new(seed).without_pings();
    if loss > 0 {
        let lossy = || Link::lossy(loss);
        world = world.link("carrier", lossy()).link("pbx", lossy());
    }
    let mut sim = world.start();
    let mut model = Model::default();
    for operation in operations {
        model.apply(&mut sim, *operation);
        model.check(&sim)?;
    }
    model.check_end(&mut sim, loss == 0)
}

/// What must be true of any run.
#[derive(Default)]
struct Model {
    /// Calls that parties made.
    made: usize,
    callers: Vec<Handle>,
}

impl Model {
    fn apply(&mut self, sim: &mut Sim, operation: Operation) {
        match operation {
            Operation::Call(way) => {
                let (from, to) = WAYS[way % WAYS.len()];
                self.callers.push(sim.call(from, to));
                self.made += 1;
            }
            Operation::HangUp(end) => self.at(sim, end, Sim::hang_up),
            Operation::Cancel(end) => self.at(sim, end, Sim::cancel),
            Operation::Hold(end) => self.at(sim, end, Sim::hold),
            Operation::Resume(end) => self.at(sim, end, Sim::resume),
            Operation::Refresh(end) => self.at(sim, end, Sim::refresh),
            Operation::Refer(end, target) => {
                self.at(sim, end, |sim, end| sim.refer(end, TARGETS[target]));
            }
            Operation::Consult(end, other) => {
                let mut named = None;
                self.at(sim, other, |_, other| named = Some(other));
                if let Some(other) = named {
                    self.at(sim, end, |sim, end| consult(sim, end, other));
                }
            }
            Operation::Behave(party, how) => behave(sim, party % PARTIES.len(), how),
            Operation::Wait(time) => sim.run_for(Duration::from_millis(time)),
            // What is not confirmed or under way ends with the process, and without a record.
            Operation::Restore => {
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
    fn check(&self, sim: &Sim) -> Result<(), Violation> {
        let audit = sim.core().audit();
        rule(
            sim,
            audit.is_ok(),
            "every table knows what the others know",
            || format!("{audit:?}"),
        )?;
        let metrics = sim.core().metrics();
        let [setup, answered, established, ending] = metrics.stages;
        let live = setup + answered + established;
        let stages = || format!("{:?} of {} calls", metrics.stages, self.made);
        let known = live + ending + sim.records().len();
        rule(sim, known <= self.made, "no call is counted twice", stages)?;
        let admitted = metrics.gateway.in_use as usize == live;
        rule(sim, admitted, "each live call has a permit", stages)?;
        // A call that is set up has one leg or two, an answered one two, and a third while one of
        // its parties is being replaced; one that ends has none.
        let legs = sim.media_legs();
        let up = answered + established;
        let fitting = setup + 2 * up..=2 * setup + 3 * up;
        let count = || format!("{legs} legs, {:?}", metrics.stages);
        rule(
            sim,
            fitting.contains(&legs),
            "legs are as many as stages ask for",
            count,
        )?;
        let leased = metrics.ports.leased == legs;
        rule(sim, leased, "each leg has one lease", count)?;
        let permits: u32 = metrics.trunks.iter().map(|(_, usage)| usage.in_use).sum();
        rule(
            sim,
            permits as usize == legs,
            "each leg has one permit",
            count,
        )?;
        let written = sim.checkpoints() <= up;
        rule(sim, written, "only answered calls are written down", stages)
    }

    /// Everybody hangs up and every timer fires.
    fn check_end(&self, sim: &mut Sim, lossless: bool) -> Result<(), Violation> {
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
        let sim = &*sim;
        let metrics = sim.core().metrics();
        let load = &metrics.load;
        let rest = [
            metrics.stages.iter().sum(),
            load.dialogs,
            load.clients,
            load.servers,
            sim.media_legs(),
            sim.checkpoints(),
        ];
        rule(sim, rest == [0; 6], "nothing stays", || {
            format!("calls, dialogs, clients, servers, legs, checkpoints: {rest:?}")
        })?;
        let mut up = String::new();
        for name in PARTIES {
            let ends = sim.ends(name);
            for end in ends.into_iter().filter(|end| sim.view(*end).is_up()) {
                let _ = write!(up, "{end:?} ");
            }
        }
        rule(sim, up.is_empty(), "no party thinks it still talks", || up)?;
        if lossless {
            let counts = &metrics.counts;
            rule(
                sim,
                counts.unexpected == 0,
                "nothing was unexpected",
                || format!("{counts:?}"),
            )?;
            let records = sim.records().len();
            let each = records == self.made;
            rule(sim, each, "each call leaves one record", || {
                format!("{records} records of {} calls", self.made)
            })?;
        }
        Ok(())
    }
}

pub(crate) fn rule(
    sim: &Sim,
    holds: bool,
    rule: &'static str,
    found: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    Err(Violation {
        rule,
        found: found(),
        ladder: sim.ladder().to_string(),
    })
}
