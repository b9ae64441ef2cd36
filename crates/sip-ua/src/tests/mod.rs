//! The user agent as a whole, on a virtual clock.

mod bench;
//mod cancel;
//mod dialogs;
//mod failover;
//mod forks;
//mod ladders;
//mod limits;
//mod matching;
//mod net;
//mod seeds;
mod timers;
