use sip_msg::Uri;
use sip_msg::wire::FlowId;

use super::*;
use crate::limits::GateLimits;
use crate::profile::Advertised;

const TLS: ListenerId = ListenerId(1);
const UDP: ListenerId = ListenerId(2);

fn advertised(host: &str) -> Advertised {
    Advertised {
        host: Arc::from(host),
        port: 5061,
    }
}

fn carrier(name: &str, allow: &[&str]) -> TrunkProfile {
    let mut trunk = TrunkProfile::carrier(
        TrunkName::from(name),
        advertised("192.0.2.1"),
        UDP,
        Vec::new(),
    );
    trunk.allow = allow.iter().map(|net| net.parse().unwrap()).collect();
    trunk
}

fn profiles(trunks: Vec<TrunkProfile>) -> Profiles {
    Profiles::new(trunks, GateLimits::default())
}

fn microsoft() -> Profiles {
    let acs =
        |name: &str, host: &str| TrunkProfile::acs(TrunkName::from(name), advertised(host), TLS);
    profiles(vec![
        acs("acs", "sbc1.example.com"),
        acs("acs-two", "sbc2.example.com"),
    ])
}

fn arrival(listener: ListenerId, source: &str, certified: &[&str]) -> Arrival {
    let identity = PeerIdentity {
        names: certified.iter().map(|&name| name.to_owned()).collect(),
        subject: String::new(),
        fingerprint_sha256: [0; 32],
    };
    Arrival {
        flow: FlowId(1),
        listener: Some(listener),
        opened_for: None,
        transport: if listener == TLS {
            TransportKind::Tls
        } else {
            TransportKind::Udp
        },
        local: "192.0.2.1:5061".parse().unwrap(),
        remote: format!("{source}:40000").parse().unwrap(),
        server_name: None,
        identity: (!certified.is_empty()).then(|| Arc::new(identity)),
    }
}

fn invite(host: &str) -> Request {
    Request::new(
        sip_msg::Method::Invite,
        Uri::sip(Some("+14255550123"), host, None),
    )
}

fn found(profiles: &Profiles, arrival: &Arrival, host: &str) -> Result<String, Unidentified> {
    identify(profiles, arrival, &invite(host), None).map(|trunk| trunk.name.to_string())
}

const MS: &[&str] = &["sip.pstnhub.microsoft.com"];

#[test]
fn microsoft_trunks_are_told_apart_by_the_host_that_is_called() {
    let arrival = arrival(TLS, "52.114.132.46", MS);
    let acs = microsoft();
    assert_eq!(
        found(&acs, &arrival, "sbc2.example.com").as_deref(),
        Ok("acs-two")
    );
    assert_eq!(
        found(&acs, &arrival, "SBC1.example.com").as_deref(),
        Ok("acs")
    );
    assert_eq!(
        found(&acs, &arrival, "elsewhere.example.com"),
        Err(Unidentified::Ambiguous)
    );
}

#[test]
fn a_right_host_name_lets_no_stranger_in() {
    let acs = microsoft();
    let nobody = arrival(TLS, "52.114.132.46", &[]);
    assert_eq!(
        found(&acs, &nobody, "sbc1.example.com"),
        Err(Unidentified::TlsIdentity)
    );
    let other = arrival(TLS, "52.114.132.46", &["sip.example.net"]);
    assert_eq!(
        found(&acs, &other, "sbc1.example.com"),
        Err(Unidentified::TlsIdentity)
    );
    let far = arrival(TLS, "203.0.113.66", MS);
    assert_eq!(
        found(&acs, &far, "sbc1.example.com"),
        Err(Unidentified::Source)
    );
    let wildcard = arrival(TLS, "52.114.132.46", &["*.pstnhub.microsoft.com"]);
    assert_eq!(
        found(&acs, &wildcard, "sbc1.example.com").as_deref(),
        Ok("acs")
    );
    let too_wide = arrival(TLS, "52.114.132.46", &["*.microsoft.com"]);
    assert_eq!(
        found(&acs, &too_wide, "sbc1.example.com"),
        Err(Unidentified::TlsIdentity)
    );
}

#[test]
fn the_longest_source_prefix_wins() {
    let two = profiles(vec![
        carrier("wide", &["198.51.100.0/24"]),
        carrier("narrow", &["198.51.100.16/28"]),
    ]);
    let at = |source| found(&two, &arrival(UDP, source, &[]), "192.0.2.1");
    assert_eq!(at("198.51.100.17").as_deref(), Ok("narrow"));
    assert_eq!(at("198.51.100.99").as_deref(), Ok("wide"));
    assert_eq!(at("203.0.113.1"), Err(Unidentified::Source));
    let nowhere = arrival(ListenerId(9), "198.51.100.17", &[]);
    assert_eq!(
        found(&two, &nowhere, "192.0.2.1"),
        Err(Unidentified::Listener)
    );
}

#[test]
fn a_connection_we_opened_belongs_to_its_trunk() {
    let acs = microsoft();
    let mut arrival = arrival(TLS, "203.0.113.66", &[]);
    arrival.opened_for = Some(TrunkName::from("acs-two"));
    assert_eq!(
        found(&acs, &arrival, "sbc1.example.com").as_deref(),
        Ok("acs-two")
    );
}

#[test]
fn a_registration_decides_last_and_admits_roaming_sources() {
    let two = profiles(vec![
        carrier("one", &["198.51.100.0/24"]),
        carrier("two", &["198.51.100.0/24"]),
    ]);
    let arrival = arrival(UDP, "198.51.100.5", &[]);
    assert_eq!(
        found(&two, &arrival, "192.0.2.1"),
        Err(Unidentified::Ambiguous)
    );
    let registered = TrunkName::from("two");
    let trunk = identify(&two, &arrival, &invite("192.0.2.1"), Some(&registered)).unwrap();
    assert_eq!(trunk.name, registered);
}

#[test]
fn strangers_get_silence_on_udp_and_403_on_connections() {
    for reason in Unidentified::ALL {
        assert_eq!(reason.answer(TransportKind::Udp), None);
        assert_eq!(
            reason.answer(TransportKind::Tls),
            Some(StatusCode::FORBIDDEN)
        );
        assert_eq!(
            reason.answer(TransportKind::Tcp),
            Some(StatusCode::FORBIDDEN)
        );
    }
    let mut counts = Counts::default();
    counts.add(Unidentified::Source);
    let counted: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Unidentified::Source, 1)]);
}

#[test]
fn check_finds_trunks_that_cannot_be_told_apart() {
    assert_eq!(ambiguities(&microsoft()), []);
    let same = profiles(vec![
        carrier("one", &["198.51.100.0/24"]),
        carrier("two", &["198.51.100.0/24", "203.0.113.0/24"]),
    ]);
    let found = ambiguities(&same);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].first.as_str(), found[0].second.as_str()),
        ("one", "two")
    );
    let nested = profiles(vec![
        carrier("wide", &["198.51.100.0/24"]),
        carrier("narrow", &["198.51.100.16/28"]),
    ]);
    assert_eq!(ambiguities(&nested), []);
    let open = profiles(vec![carrier("one", &[]), carrier("two", &[])]);
    assert_eq!(ambiguities(&open).len(), 1);
}

#[test]
fn a_trunk_that_names_no_host_takes_what_is_addressed_to_nobody() {
    let acs = TrunkProfile::acs(TrunkName::from("acs"), advertised("sbc1.example.com"), UDP);
    let mut named = acs;
    named.expected_names = Vec::new();
    named.allow = vec!["198.51.100.0/24".parse().unwrap()];
    let both = profiles(vec![named, carrier("open", &["198.51.100.0/24"])]);
    assert_eq!(ambiguities(&both), []);
    let at = |host| found(&both, &arrival(UDP, "198.51.100.5", &[]), host);
    assert_eq!(at("sbc1.example.com").as_deref(), Ok("acs"));
    assert_eq!(at("192.0.2.1").as_deref(), Ok("open"));
}
