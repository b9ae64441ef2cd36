//! A trunk's profile: the preset's values with the file's put over them.

use std::sync::Arc;
use std::time::Duration;

use b2bua::profile::{Advertised, OptionsPing, PeerProfile, Preset, TrunkProfile};
use ipnet::IpNet;
use sip_msg::TransportKind;
use sip_msg::wire::{ListenerId, TrunkName};

use super::trunk::Peer;
use super::{Config, connection, features};
use crate::config::diagnostic::Findings;
use crate::config::raw;

const CODECS: [&str; 7] = ["PCMU", "PCMA", "G722", "G729", "SILK", "opus", "iLBC"];

/// What the file says of a trunk's surroundings, already resolved.
pub(super) struct Surroundings<'a> {
    pub(super) preset: Preset,
    pub(super) peers: &'a [Peer],
    pub(super) allow: Vec<IpNet>,
    pub(super) listeners: &'a [ListenerId],
    pub(super) interface: usize,
    pub(super) fqdn: Option<&'a str>,
}

/// The trunk's profile; the advertised address is filled in by the machine it runs on.
pub(super) fn profile(
    raw: &raw::Trunk,
    around: Surroundings<'_>,
    config: &Config,
    findings: &mut Findings,
) -> TrunkProfile {
    let mut profile = preset(raw, &around, config);
    profile.listeners = around.listeners.to_vec();
    profile.allow = around.allow;
    // Interfaces are limited to what this can count when they are read.
    profile.media_interface = u16::try_from(around.interface).unwrap_or(u16::MAX);
    if let Some(srtp) = &raw.srtp {
        profile.srtp = *srtp.get_ref();
    }
    let busy = raw.connection.leave_when_busy;
    profile.close_when_busy = busy.unwrap_or(profile.close_when_busy);
    profile.codecs = codecs(raw, findings);
    profile.datagrams = connection::datagrams(&raw.connection, &profile.name, findings);
    let limit = |value: &Option<toml::Spanned<u32>>| value.as_ref().map(|value| *value.get_ref());
    profile.limits.calls = limit(&raw.calls);
    profile.limits.calls_per_second = limit(&raw.calls_per_second);
    if !raw.peer_names.0.is_empty() {
        profile.expected_names = raw
            .peer_names
            .0
            .iter()
            .map(|name| Arc::from(name.get_ref().to_ascii_lowercase()))
            .collect();
    }
    options(raw, &mut profile, findings);
    let timers = &mut profile.timers;
    let set = |timer: &mut Duration, value: Option<raw::Span>| {
        if let Some(span) = value {
            *timer = span.0;
        }
    };
    set(&mut timers.attempt_timeout, raw.attempt_timeout);
    set(&mut timers.connect, raw.connection.connect);
    set(&mut timers.setup_budget, raw.setup_budget);
    set(&mut timers.no_answer, raw.no_answer);
    set(&mut timers.timer_c, raw.timer_c);
    if let Some(span) = raw.max_duration {
        timers.max_duration = Some(span.0);
    }
    timers.media_inactivity = Some(
        raw.media_inactivity
            .map_or(Duration::from_secs(300), |span| span.0),
    );
    features::apply(raw, &mut profile, findings);
    profile
}

/// The preset, told who is there.
fn preset(raw: &raw::Trunk, around: &Surroundings<'_>, config: &Config) -> TrunkProfile {
    let wanted = around
        .peers
        .first()
        .map_or(TransportKind::Udp, |peer| peer.transport);
    let listener_of = |id: &ListenerId| &config.listeners[usize::from(id.0)];
    // What peers are told to call back is the listener that speaks what they are called by.
    let listener = around
        .listeners
        .iter()
        .map(listener_of)
        .find(|listener| listener.transport == wanted)
        .or_else(|| around.listeners.first().map(listener_of));
    let (id, transport, port) = listener.map_or((ListenerId(0), wanted, 0), |listener| {
        (listener.id, listener.transport, listener.bind.port())
    });
    let name = TrunkName::from(raw.name.get_ref().as_str());
    let advertised = Advertised {
        host: Arc::from(around.fqdn.unwrap_or_default()),
        port,
    };
    let peers: Vec<PeerProfile> = around
        .peers
        .iter()
        .map(|peer| {
            let host = if peer.host.contains(':') {
                format!("[{}]", peer.host)
            } else {
                peer.host.clone()
            };
            PeerProfile::new(&host, peer.port, peer.transport)
        })
        .collect();
    let mut profile = match around.preset {
        Preset::Acs => TrunkProfile::acs(name, advertised, id),
        Preset::Teams => TrunkProfile::teams(name, advertised, id),
        Preset::Carrier => TrunkProfile::carrier(name, advertised, id, peers.clone()),
        Preset::Pbx => TrunkProfile::pbx(name, advertised, id, peers.clone()),
    };
    if around.preset.is_microsoft() {
        profile.pinned_hop = peers.first().map(|peer| peer.uri.clone());
    }
    profile.peers = peers;
    profile.transport = transport;
    for other in around.listeners.iter().map(listener_of) {
        let known = |(kind, _): &(TransportKind, u16)| *kind == other.transport;
        if other.transport != transport && !profile.also_at.iter().any(known) {
            profile.also_at.push((other.transport, other.bind.port()));
        }
    }
    profile
}

fn options(raw: &raw::Trunk, profile: &mut TrunkProfile, findings: &mut Findings) {
    let table = raw.options.clone().unwrap_or_default();
    let options = &mut profile.options;
    if let Some(interval) = table.interval.map(|span| span.0) {
        if interval.is_zero() && profile.preset.is_microsoft() {
            let name = raw.name.get_ref();
            findings.error(
                raw.name.span(),
                format!(
                    "trunk {name}: Microsoft sends no calls to a gateway that sends no OPTIONS"
                ),
            );
        }
        options.enabled = !interval.is_zero();
        options.interval = interval;
        options.jitter = interval / 10;
        options.interval_down = options.interval_down.min(interval);
    }
    if let Some(jitter) = table.jitter {
        if jitter.0 > options.interval {
            let name = raw.name.get_ref();
            findings.error(
                raw.name.span(),
                format!("trunk {name}: options: `jitter` is longer than `interval`"),
            );
        }
        options.jitter = jitter.0;
    }
    if let Some(interval) = table.interval_down {
        options.interval_down = interval.0;
    }
    if let Some(silence) = table.expect_inbound {
        options.expect_inbound = Some(silence.0).filter(|silence| !silence.is_zero());
    }
    if let Some(window) = table.expired_after {
        options.expired_after = window.0;
    }
    if let Some(losses) = &table.losses {
        options.losses = u8::try_from((*losses.get_ref()).max(1)).unwrap_or(u8::MAX);
    }
    options.enabled &= !profile.peers.is_empty();
    aside(raw, &table, options, findings);
}

/// How long peers that have too much to do are left alone.
fn aside(
    raw: &raw::Trunk,
    table: &raw::Options,
    options: &mut OptionsPing,
    findings: &mut Findings,
) {
    if let Some(longest) = &table.aside_max {
        options.aside_max = longest.get_ref().0;
        // The default pause is not to contradict what was written.
        options.aside = options.aside.min(options.aside_max);
    }
    if let Some(pause) = &table.aside {
        options.aside = pause.get_ref().0;
        if options.aside > options.aside_max {
            let name = raw.name.get_ref();
            findings.error(
                pause.span(),
                format!("trunk {name}: options: `aside` is longer than `aside_max`"),
            );
        }
    }
}

fn codecs(raw: &raw::Trunk, findings: &mut Findings) -> Vec<Arc<str>> {
    let mut codecs = Vec::new();
    for text in &raw.codecs.0 {
        match CODECS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(text.get_ref()))
        {
            Some(known) => codecs.push(Arc::from(*known)),
            None => {
                let name = raw.name.get_ref();
                findings
                    .error(
                        text.span(),
                        format!("trunk {name}: codec `{}` is not known", text.get_ref()),
                    )
                    .help(format!("one of {}", CODECS.join(", ")));
            }
        }
    }
    codecs
}
