//! `[trunk.connection]`: how a trunk's connections are kept.

use std::time::Duration;

use b2bua::profile::{DatagramPolicy, Preset};
use sip_msg::wire::TrunkName;
use sip_transport::{FlowPolicy, TrunkFlow};

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// From what every host takes (RFC 8200 §5, RFC 791) to what fits into one datagram.
const DATAGRAMS: std::ops::RangeInclusive<u32> = 500..=65_000;

const POLICIES: [&str; 3] = ["one-way", "reuse", "client-flow"];

/// The trunk's flows, `called_back` if it is called on connections it opened only; identities, sockets and local addresses are the machine's to fill in.
pub(super) fn flow(
    raw: &raw::Connection,
    name: &TrunkName,
    (preset, called_back): (Preset, bool),
    findings: &mut Findings,
) -> TrunkFlow {
    let what = format!("trunk {}: connection: flows", name.as_str());
    let policy = match choice(raw.flows.as_ref(), &what, &POLICIES, findings).as_deref() {
        Some("one-way") => FlowPolicy::OneWay,
        Some("client-flow") => FlowPolicy::ClientFlow,
        Some(_) => FlowPolicy::Reuse,
        None if preset.is_microsoft() => FlowPolicy::OneWay,
        None if called_back => FlowPolicy::ClientFlow,
        None => FlowPolicy::Reuse,
    };
    if preset.is_microsoft()
        && policy != FlowPolicy::OneWay
        && let Some(flows) = &raw.flows
    {
        findings.warning(
            flows.span(),
            format!(
                "trunk {}: Microsoft ignores requests on connections it opened",
                name.as_str()
            ),
        );
    }
    let mut flow = TrunkFlow::new(name.clone(), policy);
    let set = |time: &mut Duration, value: Option<raw::Span>| {
        if let Some(span) = value {
            *time = span.0;
        }
    };
    // Zero switches a clock off.
    let switch = |time: &mut Option<Duration>, value: Option<raw::Span>| {
        if let Some(span) = value {
            *time = Some(span.0).filter(|time| !time.is_zero());
        }
    };
    set(&mut flow.connect_timeout, raw.connect);
    switch(&mut flow.keep_alive, raw.keep_alive);
    switch(&mut flow.idle, raw.idle);
    switch(&mut flow.renewal, raw.renewal);
    set(&mut flow.reconnect.first, raw.backoff);
    set(&mut flow.reconnect.longest, raw.backoff_max);
    flow
}

/// How requests too long for a datagram travel.
pub(super) fn datagrams(
    raw: &raw::Connection,
    name: &TrunkName,
    findings: &mut Findings,
) -> DatagramPolicy {
    let mut policy = DatagramPolicy::default();
    if let Some(longest) = &raw.longest_datagram {
        policy.longest = usize::try_from(*longest.get_ref()).unwrap_or(usize::MAX);
        if !DATAGRAMS.contains(longest.get_ref()) {
            let (least, most) = (DATAGRAMS.start(), DATAGRAMS.end());
            let name = name.as_str();
            findings.error(
                longest.span(),
                format!("trunk {name}: connection: `longest_datagram` is {least} to {most}"),
            );
        }
    }
    policy.streams = raw.tcp_for_long.unwrap_or(policy.streams);
    policy
}
