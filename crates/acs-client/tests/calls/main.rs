//! The client against the simulation of a resource and of the SIP Interface under it: calls that
//! come in, are answered, joined with the telephone network and ended, and everything that can go
//! wrong with them.

mod events;
mod joined;
mod stage;
mod taken;
