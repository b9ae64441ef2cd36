//! Telephone numbers: E.164 numbers as values, and the number plans in which trunks write them.
//!
//! [`NumberPlan::normalise`] turns what a trunk wrote into an [`E164Number`], or says that it is not
//! one: short codes and emergency numbers stay exactly as dialled. [`NumberPlan::write`] is the way
//! back. A number is never completed by guessing: what is ambiguous stays [`Normalised::Other`].
//!
//! The country table is this crate's own, from the numbering plans that national regulators
//! publish through ITU-T E.164 and E.164.1.
#![forbid(unsafe_code)]

mod countries;
mod kinds;
mod normalise;
mod number;
mod plan;
mod rewrite;

#[cfg(test)]
mod tests;

pub use countries::Country;
pub use kinds::{NumberClass, NumberType, country_of_numbers, prepare};
pub use normalise::{Normalised, may_be_emergency};
pub use number::{E164Number, NumberError};
pub use plan::{NumberPlan, PlanError, WrittenAs};
pub use rewrite::{Rewrite, RewriteError};
