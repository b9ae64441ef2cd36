//! Trunkline's binary as a library: configuration, wiring, the daemon, every subcommand.
//!
//! Read top down: [`cli`] takes the command line apart; [`config`] turns a file into a
//! configuration in which nothing is left to check; [`daemon`] wires transport, core and media
//! together and runs the one loop in which they meet; [`demo`] does the same with parties around
//! it; [`explain`] asks the routing engine without placing a call; [`operate`] asks a running
//! daemon; [`acs`] compares Azure's SIP routing with a configuration and sets it
//! from there; [`numbers`] keeps the inventory and buys, changes and gives up numbers.

pub mod acs;
mod azure;
mod bench;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod explain;
pub mod numbers;
pub mod operate;
pub mod output;
pub mod replay;
pub mod report;
pub mod sim;
