//! The inventory: which numbers there are, whose they are, what they are for and what they cost.
//!
//! Read top down: an [`Entry`] is a number with everything known of it; a [`Listed`] is what one
//! list says of it, which may be less; [`rules`] says which combinations cannot be; [`list`] reads
//! and writes comma-separated values; [`Inventory`] is the table in the store, into which a list
//! goes whole or not at all. Nothing here is asked while a call is routed.

mod entry;
pub mod list;
mod merge;
pub mod rules;
mod table;

#[cfg(test)]
mod tests;

pub use entry::{Assignment, Capability, Entry, Field, Listed, State, kind_from_name};
pub use merge::{Change, Changes, Origin};
pub use table::{Imported, Inventory, MOST, Order, OrderState, Stored};
