//! Whole calls on a virtual clock: the gateway between scripted parties, over links that lose.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! let mut sim = sim::World::new(7).start();
//! let caller = sim.call("carrier", "+14255550123");
//! sim.run_until_quiet();
//! assert!(sim.view(caller).is_up());
//! sim.talk(caller, 150);
//! sim.run_for(Duration::from_secs(4));
//! assert_eq!(sim.heard(sim.called("acs")).numbers.len(), 150);
//! sim.hang_up(caller);
//! sim.run_until_quiet();
//! sim.assert_clean();
//! println!("{}", sim.ladder());
//! ```
//!
//! A run is a function of its seed. Parties are endpoints of their own: they share the grammar of
//! SIP messages with the gateway and nothing else, so that a mistake is not made at both ends.
//! Microsoft's side is as strict as the real one, and every message is searched for what must not
//! cross from one trunk to another.
#![forbid(unsafe_code)]

mod description;
pub mod endurance;
mod gateway;
mod ladder;
mod link;
mod media;
pub mod operations;
mod party;
mod sim;
mod world;

pub use description::{Description, Direction};
pub use ladder::Ladder;
pub use link::{Lane, Link, Toward};
pub use media::{Heard, MediaEnd};
pub use party::{
    Account, Call, Dial, Farewell, Guard, Haste, Notified, Party, Pong, Prack, Reach, Role, Script,
    State, Style,
};
pub use sim::{Handle, Sim};
pub use world::World;
