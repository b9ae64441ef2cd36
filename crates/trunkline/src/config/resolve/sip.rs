//! `[sip]`, `[limits]`, `[dns]` and what TLS is spoken with: the clocks and bounds of signalling.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use b2bua::bans::BanPolicy;
use b2bua::profile::{CoreBounds, DrainPolicy};
use sip_transport::{ResolverConfig, TlsPolicy, TlsVersion, TransportLimits};
use sip_ua::TimerConfig;
use toml::Spanned;

use super::choice;
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// Clocks, bounds and name servers, every default filled in. Static: a reload leaves them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signalling {
    /// The clocks of RFC 3261.
    pub timers: TimerConfig,
    /// Bounds of the core's tables.
    pub bounds: CoreBounds,
    /// Bounds and times of the transport.
    pub transport: TransportLimits,
    /// Who answers DNS queries.
    pub resolver: ResolverConfig,
    /// What TLS is spoken with.
    pub tls: TlsPolicy,
    /// When sources that scan or guess are no longer heard.
    pub bans: BanPolicy,
    /// What those are told who come during a drain.
    pub drain: DrainPolicy,
}

const PORT: u16 = 53;

/// At once is no pause, and a drain longer than a day is none.
const DRAIN_RETRY_AFTER: std::ops::RangeInclusive<u32> = 1..=86_400;

pub(super) fn resolve(document: &Document, findings: &mut Findings) -> Signalling {
    let mut signalling = Signalling::default();
    timers(&document.sip, &mut signalling.timers);
    limits(&document.limits, &mut signalling, findings);
    servers(&document.dns, &mut signalling, findings);
    if let Some(span) = document.dns.timeout {
        signalling.transport.dns_timeout = span.0;
    }
    signalling.tls = policy(&document.tls, findings);
    bans(&document.bans, &mut signalling.bans, findings);
    signalling
}

fn timers(raw: &raw::Sip, timers: &mut TimerConfig) {
    let set = |timer: &mut Duration, value: Option<raw::Span>| {
        if let Some(span) = value {
            *timer = span.0;
        }
    };
    set(&mut timers.t1, raw.t1);
    set(&mut timers.t2, raw.t2);
    set(&mut timers.t4, raw.t4);
    set(&mut timers.provisional_refresh, raw.provisional_refresh);
    set(&mut timers.lookup, raw.lookup);
}

fn limits(raw: &raw::Limits, signalling: &mut Signalling, findings: &mut Findings) {
    let Signalling {
        bounds,
        transport,
        drain,
        ..
    } = signalling;
    let mut count = |bound: &mut usize, value: &Option<Spanned<u32>>, name: &str| {
        let Some(value) = value else { return };
        if *value.get_ref() == 0 {
            findings.error(
                value.span(),
                format!("limits: `{name}` of 0 would refuse everything"),
            );
        }
        *bound = usize::try_from(*value.get_ref()).unwrap_or(usize::MAX);
    };
    count(&mut bounds.transactions, &raw.transactions, "transactions");
    count(&mut bounds.remembered, &raw.remembered, "remembered");
    count(&mut bounds.dialogs, &raw.dialogs, "dialogs");
    count(
        &mut bounds.attempts_per_call,
        &raw.attempts_per_call,
        "attempts_per_call",
    );
    count(
        &mut bounds.forks_per_leg,
        &raw.forks_per_attempt,
        "forks_per_attempt",
    );
    count(&mut bounds.trace_bytes, &raw.trace_bytes, "trace_bytes");
    count(
        &mut transport.message.message_bytes,
        &raw.message_bytes,
        "message_bytes",
    );
    count(&mut transport.connections, &raw.connections, "connections");
    count(
        &mut transport.connections_per_stranger,
        &raw.connections_per_stranger,
        "connections_per_stranger",
    );
    count(
        &mut transport.connections_per_known_source,
        &raw.connections_per_known_source,
        "connections_per_known_source",
    );
    count(&mut transport.half_open, &raw.half_open, "half_open");
    count(
        &mut transport.half_open_per_source,
        &raw.half_open_per_source,
        "half_open_per_source",
    );
    count(
        &mut transport.handshake_workers,
        &raw.handshake_workers,
        "handshake_workers",
    );
    count(&mut transport.dns_queries, &raw.dns_queries, "dns_queries");
    let set = |limit: &mut Duration, value: Option<raw::Span>| {
        if let Some(span) = value {
            *limit = span.0;
        }
    };
    set(&mut transport.handshake_timeout, raw.handshake_timeout);
    set(&mut transport.message_time, raw.message_time);
    set(&mut transport.first_message, raw.first_message);
    set(&mut transport.accepted_idle, raw.accepted_idle);
    set(&mut transport.stall, raw.stall);
    set(&mut transport.retired_quiet, raw.retired);
    if let Some(seconds) = &raw.retry_after {
        transport.retry_after = *seconds.get_ref();
    }
    if let Some(seconds) = &raw.drain_retry_after {
        drain.retry_after = *seconds.get_ref();
        if !DRAIN_RETRY_AFTER.contains(&drain.retry_after) {
            findings.error(
                seconds.span(),
                "limits: `drain_retry_after` is a number of seconds from 1 to 86400",
            );
        }
    }
    if let Some(dscp) = &raw.dscp {
        match u8::try_from(*dscp.get_ref()).ok().filter(|code| *code < 64) {
            Some(code) => transport.dscp = code,
            None => {
                findings.error(dscp.span(), "limits: `dscp` is a number from 0 to 63");
            }
        }
    }
}

fn bans(raw: &raw::Bans, policy: &mut BanPolicy, findings: &mut Findings) {
    if let Some(failures) = &raw.failures {
        policy.failures = *failures.get_ref();
    }
    if let Some(sources) = &raw.sources {
        if *sources.get_ref() == 0 {
            let fault = "bans: `sources` of 0 would remember nobody; `failures` of 0 bans nobody";
            findings.error(sources.span(), fault);
        }
        policy.sources = usize::try_from(*sources.get_ref()).unwrap_or(usize::MAX);
    }
    policy.window = raw.window.map_or(policy.window, |span| span.0);
    policy.duration = raw.duration.map_or(policy.duration, |span| span.0);
}

fn servers(raw: &raw::Dns, signalling: &mut Signalling, findings: &mut Findings) {
    let mut servers = Vec::new();
    for text in &raw.servers.0 {
        let address = text.get_ref().parse::<SocketAddr>().ok().or_else(|| {
            let ip = text.get_ref().parse::<IpAddr>().ok()?;
            Some(SocketAddr::new(ip, PORT))
        });
        match address {
            Some(address) => servers.push(address),
            None => {
                findings.error(
                    text.span(),
                    "dns: a server is written 192.0.2.53 or 192.0.2.53:5353",
                );
            }
        }
    }
    if !servers.is_empty() {
        signalling.resolver = ResolverConfig::Servers(servers);
    }
}

fn policy(raw: &raw::Tls, findings: &mut Findings) -> TlsPolicy {
    let mut policy = TlsPolicy::default();
    let mut versions = Vec::new();
    for text in &raw.versions.0 {
        match choice(Some(text), "tls: versions", &["1.2", "1.3"], findings).as_deref() {
            Some("1.2") => versions.push(TlsVersion::Tls12),
            Some(_) => versions.push(TlsVersion::Tls13),
            None => {}
        }
    }
    if !versions.is_empty() {
        policy.versions = versions;
    }
    let known = TlsPolicy::suites_known();
    for text in &raw.suites.0 {
        if known.contains(text.get_ref()) {
            policy.suites.push(text.get_ref().clone());
            continue;
        }
        let meant = nearest(text.get_ref(), known.iter().map(String::as_str));
        let finding = findings.error(
            text.span(),
            format!("tls: suites: there is no `{}` here", text.get_ref()),
        );
        finding.help(match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("one of {}", known.join(", ")),
        });
    }
    policy
}
