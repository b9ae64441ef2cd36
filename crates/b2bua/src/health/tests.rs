use sip_msg::TransportKind;
use sip_msg::wire::ListenerId;

use super::*;
use crate::limits::GateLimits;
use crate::profile::{Advertised, PeerProfile};

const LISTENER: ListenerId = ListenerId(0);

fn at(milliseconds: u64) -> Now {
    let nanos = milliseconds * 1_000_000;
    Now {
        moment: Moment::from_nanos(nanos),
        wall: WallTime::from_unix_micros(nanos / 1_000),
    }
}

fn advertised() -> Advertised {
    Advertised {
        host: Arc::from("sbc1.example.com"),
        port: 5061,
    }
}

fn acs() -> TrunkProfile {
    TrunkProfile::acs(TrunkName::from("acs"), advertised(), LISTENER)
}

fn carrier() -> TrunkProfile {
    let peers = vec![PeerProfile::new(
        "198.51.100.7",
        Some(5060),
        TransportKind::Udp,
    )];
    TrunkProfile::carrier(TrunkName::from("carrier"), advertised(), LISTENER, peers)
}

fn monitor(trunk: TrunkProfile) -> TrunkMonitor {
    let profiles = Profiles::new([trunk], GateLimits::default());
    let tokens = TokenRng::from_seed([7; 32]);
    TrunkMonitor::new(at(0), &profiles, Arc::from("Trunkline/0.1.0"), tokens)
}

/// Runs the clock to `until` and gives the probes sent on the way with their time in ms.
fn probes(monitor: &mut TrunkMonitor, until: u64) -> Vec<(u64, Probe)> {
    probes_and(monitor, until, |_, _, _| {})
}

/// The same, each probe being answered 200 at once.
fn answered_probes(monitor: &mut TrunkMonitor, until: u64) -> Vec<(u64, Probe)> {
    probes_and(monitor, until, |monitor, time, probe| {
        monitor.handle_answer(at(time), probe.id, &answer(probe, 200));
    })
}

fn probes_and(
    monitor: &mut TrunkMonitor,
    until: u64,
    mut then: impl FnMut(&mut TrunkMonitor, u64, &Probe),
) -> Vec<(u64, Probe)> {
    let mut sent = Vec::new();
    while let Some(next) = monitor
        .poll_timeout()
        .filter(|&next| next <= at(until).moment)
    {
        let milliseconds = next.as_nanos().div_ceil(1_000_000);
        monitor.handle_timeout(at(milliseconds));
        while let Some(output) = monitor.poll_output() {
            if let MonitorOutput::Probe(probe) = output {
                then(monitor, milliseconds, &probe);
                sent.push((milliseconds, *probe));
            }
        }
    }
    sent
}

fn answer(probe: &Probe, code: u16) -> Response {
    Response::to_request(&probe.request, StatusCode::new(code).unwrap(), None)
}

fn facts(monitor: &TrunkMonitor, milliseconds: u64) -> BTreeMap<(TrunkName, usize), bool> {
    let all: Vec<&TrunkName> = monitor.trunks.keys().collect();
    monitor.facts(at(milliseconds).moment, all)
}

fn changes(monitor: &mut TrunkMonitor) -> Vec<bool> {
    let outputs = std::iter::from_fn(|| monitor.poll_output());
    outputs
        .filter_map(|output| match output {
            MonitorOutput::Changed(change) => Some(change.up),
            MonitorOutput::Probe(_) => None,
        })
        .collect()
}

fn health(monitor: &TrunkMonitor, milliseconds: u64) -> TrunkHealth {
    monitor
        .views(at(milliseconds).moment)
        .next()
        .unwrap()
        .health
}

#[test]
fn each_microsoft_name_is_probed_on_a_schedule_of_its_own() {
    let mut monitor = monitor(acs());
    let mut times: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for (time, probe) in answered_probes(&mut monitor, 600_000) {
        times.entry(probe.peer).or_default().push(time);
    }
    assert_eq!(times.len(), 3);
    for times in times.values() {
        assert!(times[0] <= 500, "the gateway must start (P-01)");
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((54_000..=66_000).contains(&gap), "{gap} ms");
        }
    }
    let firsts: Vec<&u64> = times.values().map(|times| &times[3]).collect();
    assert!(
        firsts[0] != firsts[1] && firsts[1] != firsts[2],
        "not in step: {firsts:?}"
    );
}

#[test]
fn a_probe_names_the_gateway_as_microsoft_knows_it() {
    let mut monitor = monitor(acs());
    let (_, probe) = probes(&mut monitor, 500).remove(0);
    let headers = &probe.request.headers;
    let text = |name| headers.get_str(&name).unwrap_or_default().to_owned();
    assert_eq!(
        text(HeaderName::Contact),
        "<sip:sbc1.example.com:5061;transport=tls>"
    );
    assert!(text(HeaderName::From).starts_with("<sip:sbc1.example.com:5061>;tag="));
    assert!(text(HeaderName::To).starts_with("<sip:sip"));
    assert_eq!(text(HeaderName::CSeq), "1 OPTIONS");
    assert!(text(HeaderName::Allow).contains("NOTIFY"));
    assert!(text(HeaderName::XMsSbc).ends_with("Trunkline/0.1.0"));
    assert_eq!(headers.get_all(&HeaderName::Contact).count(), 1);
    assert!(!headers.contains(&HeaderName::RecordRoute));
}

#[test]
fn a_carrier_that_refuses_options_is_alive_and_a_microsoft_that_does_is_not() {
    for code in [200, 405, 404, 481, 403, 501] {
        let mut monitor = monitor(carrier());
        let (time, probe) = probes(&mut monitor, 500).remove(0);
        monitor.handle_answer(at(time), probe.id, &answer(&probe, code));
        assert_eq!(changes(&mut monitor), [true], "{code}");
        assert_eq!(health(&monitor, time), TrunkHealth::Up, "{code}");
    }
    let mut monitor = monitor(acs());
    for (time, probe) in probes(&mut monitor, 500) {
        monitor.handle_answer(at(time), probe.id, &answer(&probe, 403));
    }
    assert_eq!(changes(&mut monitor), [false, false, false]);
    assert_eq!(health(&monitor, 500), TrunkHealth::Down);
}

#[test]
fn a_peer_is_down_after_three_losses_and_up_after_one_answer() {
    let mut monitor = monitor(carrier());
    let mut seen = Vec::new();
    for minute in 1..=3 {
        for (time, probe) in probes(&mut monitor, minute * 66_500) {
            monitor.handle_failure(at(time + 10), probe.id, ProbeFailure::TimedOut);
            seen.extend(changes(&mut monitor));
        }
        let facts = facts(&monitor, minute * 66_500);
        let down = facts.get(&(TrunkName::from("carrier"), 0)) == Some(&false);
        assert_eq!(down, minute >= 3, "minute {minute}: {facts:?}");
    }
    assert_eq!(seen, [false]);
    let (time, probe) = probes(&mut monitor, 260_000).remove(0);
    monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    assert_eq!(changes(&mut monitor), [true]);
}

#[test]
fn a_refused_connection_marks_a_peer_down_at_once() {
    let mut monitor = monitor(carrier());
    let (time, probe) = probes(&mut monitor, 500).remove(0);
    let refused = ProbeFailure::Transport(TransportError::Refused);
    monitor.handle_failure(at(time), probe.id, refused);
    assert_eq!(changes(&mut monitor), [false]);
    let next = probes(&mut monitor, 40_000);
    assert_eq!(next.len(), 1, "a peer that is down is asked more often");
}

#[test]
fn retry_after_puts_a_peer_aside_for_so_long() {
    let mut monitor = monitor(carrier());
    let (time, probe) = probes(&mut monitor, 500).remove(0);
    monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    let name = TrunkName::from("carrier");
    monitor.handle_overload(at(1_000), &name, 0, Some(30));
    let up = |milliseconds| facts(&monitor, milliseconds)[&(name.clone(), 0)];
    assert!(!up(1_000) && !up(30_999) && up(31_000));
}

#[test]
fn a_rest_is_as_long_as_the_trunk_grants() {
    let name = TrunkName::from("carrier");
    // Without a wish the pause; a wish up to the limit; more than the limit never.
    for (asked, rests) in [(None, 4_000), (Some(2), 2_000), (Some(30), 20_000)] {
        let mut trunk = carrier();
        trunk.options.aside = Duration::from_secs(4);
        trunk.options.aside_max = Duration::from_secs(20);
        let mut monitor = monitor(trunk);
        let (time, probe) = probes(&mut monitor, 500).remove(0);
        monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
        monitor.handle_overload(at(1_000), &name, 0, asked);
        let up = |milliseconds| facts(&monitor, milliseconds)[&(name.clone(), 0)];
        assert!(!up(1_000 + rests - 1), "{asked:?}");
        assert!(up(1_000 + rests), "{asked:?}");
    }
}

#[test]
fn a_trunk_that_says_nothing_grants_a_second_and_five_minutes_at_most() {
    let name = TrunkName::from("carrier");
    for (asked, rests) in [(None, 1_000), (Some(u32::MAX), 300_000)] {
        let mut monitor = monitor(carrier());
        let (time, probe) = probes(&mut monitor, 500).remove(0);
        monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
        monitor.handle_overload(at(1_000), &name, 0, asked);
        let up = |milliseconds| facts(&monitor, milliseconds)[&(name.clone(), 0)];
        assert!(!up(1_000 + rests - 1) && up(1_000 + rests), "{asked:?}");
    }
}

#[test]
fn an_answered_probe_does_not_end_the_rest_that_a_peer_asked_for() {
    let mut monitor = monitor(carrier());
    let (time, probe) = probes(&mut monitor, 500).remove(0);
    monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    let name = TrunkName::from("carrier");
    monitor.handle_overload(at(1_000), &name, 0, Some(300));
    answered_probes(&mut monitor, 200_000);
    monitor.handle_call_answered(at(200_500), &name, 0, StatusCode::RINGING);
    let up = |milliseconds| facts(&monitor, milliseconds)[&(name.clone(), 0)];
    assert!(!up(200_500) && !up(300_999) && up(301_000));
}

#[test]
fn a_call_that_fails_counts_and_makes_the_next_probe_come_soon() {
    let mut monitor = monitor(carrier());
    let (time, probe) = probes(&mut monitor, 500).remove(0);
    monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    changes(&mut monitor);
    let name = TrunkName::from("carrier");
    monitor.handle_call_failure(at(5_000), &name, 0, ProbeFailure::Unresolved);
    assert_eq!(changes(&mut monitor), [false]);
    assert_eq!(probes(&mut monitor, 6_000).len(), 1);
    monitor.handle_call_answered(at(6_100), &name, 0, StatusCode::RINGING);
    assert_eq!(changes(&mut monitor), [true]);
}

#[test]
fn answered_pings_without_any_from_the_other_side_are_half_a_health() {
    let mut monitor = monitor(acs());
    answered_probes(&mut monitor, 100_000);
    assert_eq!(
        health(&monitor, 100_000),
        TrunkHealth::Up,
        "there was no time for it yet"
    );
    let time = answered_probes(&mut monitor, 600_000).last().unwrap().0;
    assert_eq!(
        health(&monitor, 100_000),
        TrunkHealth::Up,
        "there was no time for it yet"
    );
    assert_eq!(health(&monitor, time), TrunkHealth::InboundMissing);
    let remote = (TransportKind::Tls, "52.114.132.46:40000".parse().unwrap());
    let reply = monitor.handle_inbound(at(time), &acs(), remote, None);
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(health(&monitor, time + 1_000), TrunkHealth::Up);
    let view = monitor.views(at(time).moment).next().unwrap();
    assert_eq!(view.last_inbound.map(|(_, by)| by), Some(remote.1));
}

#[test]
fn inbound_options_are_answered_here_and_draining_says_so() {
    let mut monitor = monitor(acs());
    let remote = (TransportKind::Tls, "52.114.132.46:40000".parse().unwrap());
    let reply = monitor.handle_inbound(at(0), &acs(), remote, None);
    let value = |name: &HeaderName| {
        let found = reply.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(
        value(&HeaderName::Contact),
        Some("<sip:sbc1.example.com:5061;transport=tls>")
    );
    assert!(value(&HeaderName::Allow).unwrap().contains("NOTIFY"));
    let policy = DrainPolicy { retry_after: 17 };
    let reply = monitor.handle_inbound(at(0), &acs(), remote, Some(policy));
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let wait = (HeaderName::RetryAfter, "17".to_owned());
    assert!(reply.headers.contains(&wait), "{:?}", reply.headers);
}

#[test]
fn the_answer_to_options_names_the_transport_they_came_by() {
    let mut trunk = carrier();
    trunk.also_at = vec![(TransportKind::Tcp, 5062)];
    let mut monitor = monitor(trunk.clone());
    for (transport, contact) in [
        (
            TransportKind::Udp,
            "<sip:sbc1.example.com:5061;transport=udp>",
        ),
        (
            TransportKind::Tcp,
            "<sip:sbc1.example.com:5062;transport=tcp>",
        ),
    ] {
        let from = (transport, "198.51.100.7:40000".parse().unwrap());
        let reply = monitor.handle_inbound(at(0), &trunk, from, None);
        let expected = (HeaderName::Contact, contact.to_owned());
        assert!(reply.headers.contains(&expected), "{:?}", reply.headers);
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_peers_that_stay() {
    let mut monitor = monitor(acs());
    for (time, probe) in probes(&mut monitor, 500) {
        monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    }
    let mut fewer = acs();
    fewer.peers.remove(0);
    monitor.reload(at(1_000), &Profiles::new([fewer], GateLimits::default()));
    let facts = facts(&monitor, 1_000);
    assert_eq!(facts.len(), 2);
    assert!(facts.values().all(|up| *up));
    assert!(
        probes(&mut monitor, 30_000).is_empty(),
        "the schedule stays too"
    );
    monitor.reload(at(31_000), &Profiles::default());
    assert_eq!(monitor.poll_timeout(), None);
}

#[test]
fn a_late_answer_to_a_forgotten_probe_changes_nothing() {
    let mut monitor = monitor(carrier());
    let (time, probe) = probes(&mut monitor, 500).remove(0);
    monitor.reload(at(time), &Profiles::default());
    monitor.handle_answer(at(time), probe.id, &answer(&probe, 200));
    monitor.handle_failure(at(time), ProbeId(99), ProbeFailure::TimedOut);
    assert!(monitor.poll_output().is_none());
}
