//! Structured logs of the daemon's own doings, to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::resolve::Log;

/// Sets up logging for this process; a second call in one process changes nothing.
pub fn start(log: &Log) {
    // Libraries speak up only about what is wrong; the level asked for is ours.
    let filter = EnvFilter::new(format!(
        "warn,trunkline={0},sip_transport={0},media_io={0},acs_sim={0}",
        log.level
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let _ = if log.json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder.finish().try_init()
    };
}
