//! How calls are set up and handed over: `[trunk.transfer]`, `[trunk.early]`, `[trunk.redirect]`.

use std::time::Duration;

use b2bua::profile::{EarlyPolicy, Reliable, TransferPolicy, TrunkProfile};
use sip_msg::{StatusCode, TransportKind};

use super::{RIGHT, errors, read};

const CARRIER: &str = "preset = \"carrier\"\n";

fn text(added: &str) -> String {
    RIGHT.replacen(CARRIER, &format!("{CARRIER}{added}\n"), 1)
}

/// The carrier's profile, with `added`.
fn carrier(added: &str) -> TrunkProfile {
    let reading = read(&text(added));
    assert_eq!(errors(&reading), [], "{added}");
    let profiles = crate::daemon::wiring::profiles(&reading.config).unwrap();
    profiles
        .trunks
        .values()
        .find(|trunk| trunk.preset.as_str() == "carrier")
        .map(|trunk| TrunkProfile::clone(trunk))
        .unwrap()
}

#[test]
fn transfers_are_what_the_table_says() {
    let default = carrier("").transfer;
    let presets = TransferPolicy {
        refer: false,
        replaces: false,
        ..TransferPolicy::default()
    };
    assert_eq!(default, presets, "a carrier transfers at your expense");
    let added = "transfer = { refer = true, replaces = true, timeout = \"20s\", \
                 departure = \"3s\", ringback = false }";
    let trunk = carrier(added);
    let expected = TransferPolicy {
        refer: true,
        replaces: true,
        timeout: Duration::from_secs(20),
        departure: Duration::from_secs(3),
        ringback: false,
    };
    assert_eq!(trunk.transfer, expected);
    assert!(trunk.allow_value().contains("REFER"));
    assert!(!carrier("").allow_value().contains("REFER"));
    assert!(
        trunk
            .supported_value()
            .is_some_and(|tags| tags.contains("replaces"))
    );
}

#[test]
fn early_media_and_redirections_are_what_the_tables_say() {
    let trunk = carrier(
        "setup_budget = \"7s\"\n\
         early = { policy = \"ringing\", reliable = \"preferred\", timeout_status = 408, \
         tone = \"de\", ring_here = true, p_early_media = false }\n\
         redirect = { follow = false, max = 2, announce = true }",
    );
    let early = &trunk.early;
    assert_eq!(early.policy, EarlyPolicy::ALL[2]);
    assert_eq!(early.policy.as_str(), "ringing");
    assert_eq!(early.reliable, Reliable::Preferred);
    assert_eq!(early.timeout_status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(&*early.tone_country, "DE");
    assert!(early.ring_here && !early.p_early_media);
    assert_eq!(trunk.timers.setup_budget, Duration::from_secs(7));
    assert!(!trunk.redirect.follow && trunk.redirect.announce);
    assert_eq!(trunk.redirect.max, 2);
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    for (added, says) in [
        ("transfer = { timeout = \"0s\" }", "`timeout` is 1s to 10m"),
        ("transfer = { timeout = \"1h\" }", "`timeout` is 1s to 10m"),
        (
            "transfer = { departure = \"2m\" }",
            "`departure` is at most 1m",
        ),
        (
            "transfer = { timeout = \"soon\" }",
            "`soon` is not a length of time",
        ),
        ("transfer = { refer = \"yes\" }", "expected a boolean"),
        ("transfer = { reffer = true }", "reffer"),
        ("early = { policy = \"second\" }", "`second` is not known"),
        ("early = { reliable = \"always\" }", "`always` is not known"),
        ("early = { timeout_status = 503 }", "503 is not known"),
        ("early = { tone = \"Germany\" }", "`Germany` is no country"),
        ("redirect = { max = 21 }", "max"),
        ("redirect = { allow = \"not a host\" }", "not a host"),
    ] {
        let found = errors(&read(&text(added)));
        let line = 1 + RIGHT[..RIGHT.find(CARRIER).unwrap()].matches('\n').count() + 1;
        let named = |(at, text): &(usize, String)| *at == line && text.contains(says);
        assert!(found.iter().any(named), "{added}: {found:?}");
    }
}

#[test]
fn a_trunk_that_listens_to_two_transports_says_each_where_it_is() {
    let trunk = carrier("");
    assert_eq!(trunk.transport, TransportKind::Udp, "as its peers");
    assert_eq!(trunk.also_at, [(TransportKind::Tcp, 5060)]);
    let contact = trunk.contact_over(None, TransportKind::Tcp);
    assert_eq!(contact.as_str(), "sip:127.0.0.1:5060;transport=tcp");
}
