use std::time::Duration;

use sip_msg::dns::{DnsError, Naptr, RecordType, Records, Srv};

use super::*;

struct Zone(Vec<(&'static str, Records)>);

impl Zone {
    fn answer(&self, query: &Query) -> Result<Records, DnsError> {
        let kind = |records: &Records| match records {
            Records::Addresses(ips) if ips[0].is_ipv4() => RecordType::A,
            Records::Addresses(_) => RecordType::Aaaa,
            Records::Srv(_) => RecordType::Srv,
            Records::Naptr(_) => RecordType::Naptr,
        };
        let found = self
            .0
            .iter()
            .find(|(name, records)| *name == &*query.name && kind(records) == query.kind);
        found
            .map(|(_, records)| records.clone())
            .ok_or(DnsError::NoData)
    }
}

fn uri(text: &str) -> Uri {
    Uri::parse(text.to_owned()).unwrap()
}

fn ips(texts: &[&str]) -> Records {
    Records::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv {
        priority,
        weight,
        port,
        target: target.into(),
    }
}

fn naptr(order: u16, service: &str, replacement: &str) -> Naptr {
    Naptr {
        order,
        preference: 0,
        flags: "s".into(),
        service: service.into(),
        replacement: replacement.into(),
    }
}

/// Looks up, answering every query from `zone`; the endpoints and the queries in order.
fn resolve(zone: &Zone, text: &str, seed: u8) -> (Result<Vec<String>, LookupError>, Vec<String>) {
    let mut resolver = Resolver::new(&ResolverConfig::default(), 0);
    let mut rng = TokenRng::from_seed([seed; 32]);
    let mut asked = Vec::new();
    loop {
        match resolver.lookup(Moment::ZERO, &uri(text), false, Missing::Wait, &mut rng) {
            Err(error) => return (Err(error), asked),
            Ok(Lookup::Ready(endpoints)) => {
                let show = |end: Endpoint| format!("{} {}", end.transport, end.addr);
                return (Ok(endpoints.into_iter().map(show).collect()), asked);
            }
            Ok(Lookup::Waiting(queries)) => {
                for query in queries {
                    asked.push(format!("{:?} {}", query.kind, query.name));
                    let result = zone.answer(&query);
                    let answer = DnsAnswer {
                        query,
                        result,
                        ttl: Duration::from_secs(60),
                    };
                    resolver.handle_answer(Moment::ZERO, answer);
                }
            }
        }
        assert!(asked.len() < 50, "the lookup does not end: {asked:?}");
    }
}

#[track_caller]
fn check(zone: &Zone, text: &str, endpoints: &[&str], queries: &[&str]) {
    let (found, asked) = resolve(zone, text, 1);
    assert_eq!(found.unwrap(), endpoints);
    assert_eq!(asked, queries);
}

#[test]
fn rfc_3263_4_1_a_numeric_host_needs_no_records() {
    let zone = Zone(vec![]);
    check(&zone, "sip:192.0.2.1", &["udp 192.0.2.1:5060"], &[]);
    check(
        &zone,
        "sip:192.0.2.1:5070;transport=tcp",
        &["tcp 192.0.2.1:5070"],
        &[],
    );
    check(&zone, "sips:192.0.2.1", &["tls 192.0.2.1:5061"], &[]);
    check(
        &zone,
        "sips:[2001:db8::1]",
        &["tls [2001:db8::1]:5061"],
        &[],
    );
    check(
        &zone,
        "sip:b@example.net;maddr=192.0.2.9",
        &["udp 192.0.2.9:5060"],
        &[],
    );
}

#[test]
fn rfc_3263_4_2_an_explicit_port_asks_for_addresses_only() {
    let zone = Zone(vec![
        ("example.net", ips(&["192.0.2.1", "192.0.2.2"])),
        ("example.net", ips(&["2001:db8::1"])),
    ]);
    check(
        &zone,
        "sip:EXAMPLE.net:5070",
        &[
            "udp 192.0.2.1:5070",
            "udp 192.0.2.2:5070",
            "udp [2001:db8::1]:5070",
        ],
        &["A example.net", "Aaaa example.net"],
    );
}

#[test]
fn rfc_3263_4_2_a_transport_without_a_port_asks_for_its_srv_then_for_addresses() {
    let zone = Zone(vec![("example.net", ips(&["192.0.2.1"]))]);
    check(
        &zone,
        "sip:example.net;transport=tls",
        &["tls 192.0.2.1:5061"],
        &[
            "Srv _sips._tcp.example.net",
            "A example.net",
            "Aaaa example.net",
        ],
    );
}

#[test]
fn rfc_3263_4_1_naptr_chooses_the_transport() {
    let zone = Zone(vec![
        (
            "example.net",
            Records::Naptr(vec![
                naptr(50, "SIP+D2U", "_sip._udp.example.net"),
                naptr(20, "SIPS+D2T", "_sips._tcp.example.net"),
                naptr(10, "E2U+sip", "nonsense.example.net"),
            ]),
        ),
        (
            "_sips._tcp.example.net",
            Records::Srv(vec![srv(0, 0, 5061, "a.example.net")]),
        ),
        (
            "_sip._udp.example.net",
            Records::Srv(vec![srv(0, 0, 5060, "b.example.net")]),
        ),
        ("a.example.net", ips(&["192.0.2.1"])),
        ("b.example.net", ips(&["192.0.2.2"])),
    ]);
    let (found, _) = resolve(&zone, "sip:example.net", 1);
    assert_eq!(found.unwrap(), ["tls 192.0.2.1:5061", "udp 192.0.2.2:5060"]);
    let (found, _) = resolve(&zone, "sips:example.net", 1);
    assert_eq!(
        found.unwrap(),
        ["tls 192.0.2.1:5061"],
        "sips goes nowhere else"
    );
}

#[test]
fn rfc_3263_4_1_without_naptr_each_transport_is_asked_and_last_the_host() {
    let zone = Zone(vec![
        (
            "_sip._tcp.example.net",
            Records::Srv(vec![srv(0, 0, 5060, "a.example.net")]),
        ),
        ("a.example.net", ips(&["192.0.2.1"])),
        ("bare.example.net", ips(&["192.0.2.3"])),
    ]);
    let (found, asked) = resolve(&zone, "sip:example.net", 1);
    assert_eq!(found.unwrap(), ["tcp 192.0.2.1:5060"]);
    assert_eq!(asked[0], "Naptr example.net");
    let (found, _) = resolve(&zone, "sip:bare.example.net", 1);
    assert_eq!(found.unwrap(), ["udp 192.0.2.3:5060"]);
}

#[test]
fn rfc_2782_a_target_of_dot_says_the_service_is_not_offered() {
    let zone = Zone(vec![(
        "_sip._udp.example.net",
        Records::Srv(vec![srv(0, 0, 0, "")]),
    )]);
    let (found, _) = resolve(&zone, "sip:example.net;transport=udp", 1);
    assert_eq!(found, Err(LookupError::NoAddress));
}

#[test]
fn a_uri_that_names_no_sip_server_is_refused() {
    let zone = Zone(vec![]);
    for (text, error) in [
        ("tel:+14255550123", LookupError::NotSip),
        ("sip:192.0.2.1;transport=sctp", LookupError::Transport),
        ("sips:192.0.2.1;transport=udp", LookupError::Transport),
    ] {
        assert_eq!(resolve(&zone, text, 1).0, Err(error), "{text}");
    }
}

#[test]
fn rfc_2782_weights_share_the_load_in_proportion() {
    let mut rng = TokenRng::from_seed([3; 32]);
    let records = [
        srv(1, 10, 1, "light"),
        srv(1, 30, 2, "heavy"),
        srv(0, 0, 3, "first"),
    ];
    let mut heavy = 0;
    for _ in 0..2000 {
        let ordered = srv::order(records.to_vec(), &mut rng);
        assert_eq!(ordered.len(), 3);
        assert_eq!(&*ordered[0].target, "first", "priority comes before weight");
        heavy += u32::from(&*ordered[1].target == "heavy");
    }
    assert!(
        (1400..1600).contains(&heavy),
        "three in four expected, got {heavy} of 2000"
    );
}

#[test]
fn answers_live_for_their_ttl_within_bounds() {
    let mut cache = Cache::new(2, 0);
    let query = |name: &str| Query {
        name: name.into(),
        kind: RecordType::A,
    };
    let answer = |name: &str, seconds| DnsAnswer {
        query: query(name),
        result: Ok(ips(&["192.0.2.1"])),
        ttl: Duration::from_secs(seconds),
    };
    let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
    cache.insert(at(0), answer("a", 10));
    assert!(cache.lookup(at(9), &query("a")).is_some());
    assert!(cache.lookup(at(10), &query("a")).is_none());
    cache.insert(at(0), answer("b", 0));
    assert!(
        cache.lookup(at(0), &query("b")).is_some(),
        "at least a second"
    );
    cache.insert(at(0), answer("c", 20));
    assert_eq!(cache.len(), 2);
    assert!(
        cache.lookup(at(0), &query("b")).is_none(),
        "what would go first makes room"
    );
    let missing = DnsAnswer {
        result: Err(DnsError::NoSuchName),
        ..answer("d", 86_400)
    };
    cache.insert(at(0), missing);
    assert!(cache.lookup(at(29), &query("d")).is_some());
    assert!(cache.lookup(at(30), &query("d")).is_none());
}

#[test]
fn the_quarantine_is_bounded_in_time_and_number() {
    let mut quarantine = Quarantine::new(Duration::from_secs(30), 2);
    let addr = |last: u8| SocketAddr::from(([192, 0, 2, last], 5060));
    let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
    for last in 1..=3 {
        quarantine.put(at(u64::from(last)), TransportKind::Udp, addr(last));
    }
    assert_eq!(quarantine.len(), 2);
    assert!(!quarantine.holds(at(4), TransportKind::Udp, addr(1)));
    assert!(quarantine.holds(at(4), TransportKind::Udp, addr(3)));
    assert!(
        !quarantine.holds(at(4), TransportKind::Tcp, addr(3)),
        "each transport by itself"
    );
    assert!(!quarantine.holds(at(33), TransportKind::Udp, addr(3)));
}
