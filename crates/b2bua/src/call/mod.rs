//! A call: a relation between two legs, in one of three phases.
//!
//! ```text
//!  INVITE ─▶ Setup ──2xx of B──▶ Talking ──BYE, limit, fault──▶ Ending ─▶ record, gone
//!              └── CANCEL, final failure, limit ──────────────────┘
//! ```
//! Each phase is a type and a transition consumes it: what only exists while a caller waits (its
//! server transaction, the plan, the attempt under way) is a field of [`Setup`] and of nothing else.

mod event;

pub(crate) use event::{Event, Timer};
