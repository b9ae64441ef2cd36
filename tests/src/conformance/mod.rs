//! The conformance suite: every row of the SIP Interface's checklist played against the gateway
//! as a black box, and every row proven able to fail.
//!
//! A [`Row`] is data: its id, what it asks, how it is played, and the [`Mutant`]s that must turn it
//! red. A row sees the gateway only from outside: the log of Microsoft's side (`acs-sim`), what the
//! carrier hears, and what the gateway documents as its output (commands, metrics, records).
//!
//! A mutant is a gateway with one fault, made without touching the gateway: a man in the middle
//! ([`mitm`]) changes one field, one order or one delay of what passes, or a stand-in takes the
//! place of the executable. Where a mutant changes nothing that a row ever sees, the row is not
//! played again.

mod believing;
pub mod calls;
pub mod dial;
pub mod dns;
pub mod failures;
pub mod mitm;
pub mod mutant;
pub mod rows;
pub mod stage;
pub mod suite;
pub mod trial;

use std::future::Future;
use std::pin::Pin;

pub use mutant::{Change, Mutant};
pub use stage::{Plan, Stage};
pub use suite::Verdict;
pub use trial::Trial;

/// A row being played: what to print beside a pass, or why it fails.
pub type Playing = Pin<Box<dyn Future<Output = anyhow::Result<String>>>>;

/// How a row is played.
#[derive(Clone, Copy)]
pub enum Play {
    /// Over real sockets.
    Wire(fn(Trial) -> Playing),
    /// On virtual time, in the simulator: no mutant goes through it.
    Virtual(fn() -> anyhow::Result<String>),
    /// Not here, and why.
    Impossible(&'static str),
}

/// One row of the checklist.
pub struct Row {
    /// `CK-24`.
    pub id: &'static str,
    /// The requirements it is for and what they ask.
    pub requirement: &'static str,
    /// How it is played.
    pub play: Play,
    /// What must turn it red.
    pub mutants: &'static [Mutant],
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// A row over real sockets: id, requirement, the function that plays it, its mutants.
macro_rules! row {
    ($id:literal, $requirement:literal, $play:path, $mutants:expr) => {
        $crate::conformance::Row {
            id: $id,
            requirement: $requirement,
            play: $crate::conformance::Play::Wire(|trial| Box::pin($play(trial))),
            mutants: $mutants,
        }
    };
}
pub(crate) use row;
