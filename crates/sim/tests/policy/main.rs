//! Who calls whom, and who is told: identities, redirections, numbers and calls for help, each
//! between all kinds of trunks.

mod customers;
mod emergency;
mod history;
mod identity;
mod limits;
mod numbers;

use sim::{Dial, Handle, Sim};
use sip_msg::{HeaderName, Headers};

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";

/// A call with these header fields, until everything is quiet.
fn dial(
    sim: &mut Sim,
    from: &str,
    number: &str,
    caller: Option<&str>,
    fields: &[(&str, &str)],
) -> Handle {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let dial = Dial {
        headers: fields.iter().map(owned).collect(),
        from: caller.map(str::to_owned),
        ..Dial::default()
    };
    let call = sim.call_with(from, number, &dial);
    sim.run_until_quiet();
    call
}

fn values(headers: &Headers, name: &str) -> Vec<String> {
    let name = HeaderName::parse(name.as_bytes()).expect("a header name");
    let values = headers.get_all(&name);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// The user part of From in the INVITE that came to `trunk` last.
fn shown(sim: &Sim, trunk: &str) -> String {
    let invite = &sim.view(sim.called(trunk)).invite;
    let from = invite.headers.from().expect("a From");
    from.uri.user().unwrap_or_default().to_owned()
}

/// Ends a call and looks for what is left.
fn end(sim: &mut Sim, call: Handle) {
    if sim.view(call).is_up() {
        sim.hang_up(call);
    }
    sim.run_until_quiet();
    sim.run_for(std::time::Duration::from_secs(64));
    sim.assert_clean();
}
