use std::time::Duration;

use proptest::prelude::*;
use sip_msg::Method;
use sip_msg::wire::{FlowId, ListenerId};

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn arrival(port: u16) -> Arrival {
    Arrival {
        flow: FlowId(1),
        listener: Some(ListenerId(0)),
        opened_for: None,
        transport: TransportKind::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: (std::net::Ipv4Addr::new(203, 0, 113, 5), port).into(),
        server_name: None,
        identity: None,
    }
}

/// A REGISTER of `user` with these fields: `name: value`.
fn request(user: &str, call_id: &str, seq: u32, fields: &[&str]) -> Request {
    let uri = "sip:192.0.2.1".parse().unwrap();
    let mut request = Request::new(Method::Register, uri);
    let headers = &mut request.headers;
    headers.push(HeaderName::To, format!("<sip:{user}@192.0.2.1>"));
    headers.push(HeaderName::From, format!("<sip:{user}@192.0.2.1>;tag=f"));
    headers.push(HeaderName::CallId, call_id);
    headers.push(HeaderName::CSeq, format!("{seq} REGISTER"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        headers.push_raw(name.as_bytes(), value);
    }
    request
}

struct Bench {
    registrar: Registrar,
    policy: RegistrarPolicy,
    port: u16,
}

impl Bench {
    fn new() -> Self {
        Self {
            registrar: Registrar::default(),
            policy: RegistrarPolicy::default(),
            port: 5060,
        }
    }

    fn send(&mut self, seconds: u64, request: &Request) -> Result<Vec<String>, Refused> {
        let by = Registering {
            request,
            arrival: &arrival(self.port),
            proven: None,
        };
        self.registrar
            .register(at(seconds), &"pbx".into(), &self.policy, &by)
    }

    /// Where a call to this user goes: the Request-URIs.
    fn called(&self, seconds: u64, user: &str) -> Vec<String> {
        let uri = Uri::sip(Some(user), "192.0.2.1", None);
        let places = self.registrar.places(at(seconds), &"pbx".into(), &uri);
        let text = |place: Place| place.request_uri.to_string();
        places.into_iter().map(text).collect()
    }
}

#[test]
fn a_contact_is_called_by_the_way_it_came_until_it_ends() {
    let mut bench = Bench::new();
    bench.port = 40_001;
    let register = request(
        "pbx1",
        "a",
        1,
        &["Contact: <sip:pbx1@10.0.0.5:5070>;expires=120"],
    );
    assert_eq!(
        bench.send(0, &register),
        Ok(vec!["<sip:pbx1@10.0.0.5:5070>;expires=120".to_owned()])
    );
    let uri = Uri::sip(Some("+14255550123"), "192.0.2.1", None);
    let places = bench.registrar.places(at(119), &"pbx".into(), &uri);
    let expected = Place {
        request_uri: "sip:+14255550123@10.0.0.5:5070".parse().unwrap(),
        hop: "sip:203.0.113.5:40001;transport=udp".parse().unwrap(),
    };
    assert_eq!(places, [expected]);
    assert!(bench.registrar.has_any(at(119), &"pbx".into()));
    assert!(!bench.registrar.has_any(at(120), &"pbx".into()));
    assert_eq!(bench.called(120, "pbx1"), [""; 0]);
    assert_eq!(bench.registrar.views(at(120)).count(), 0);
}

#[test]
fn the_interval_is_held_within_its_bounds() {
    let mut bench = Bench::new();
    let contact = "Contact: <sip:pbx1@10.0.0.5>";
    let brief = request("pbx1", "a", 1, &[contact, "Expires: 59"]);
    assert_eq!(bench.send(0, &brief), Err(Refused::TooBrief(60)));
    assert_eq!(bench.called(0, "pbx1"), [""; 0]);
    for (seq, expires, granted) in [(2, "Expires: 60", 60), (3, "Expires: 99999", 3600)] {
        let register = request("pbx1", "a", seq, &[contact, expires]);
        let fields = bench.send(0, &register).unwrap();
        assert_eq!(fields, [format!("<sip:pbx1@10.0.0.5>;expires={granted}")]);
    }
    let silent = request("pbx1", "a", 4, &[contact, "Expires: soon"]);
    assert!(bench.send(0, &silent).unwrap()[0].ends_with("expires=3600"));
}

#[test]
fn a_star_removes_everything_and_only_with_expires_0() {
    let mut bench = Bench::new();
    let two = ["Contact: <sip:pbx1@10.0.0.5>, <sip:pbx1@10.0.0.6>"];
    assert_eq!(
        bench.send(0, &request("pbx1", "a", 1, &two)).unwrap().len(),
        2
    );
    for wrong in [
        &["Contact: *"][..],
        &["Contact: *", "Expires: 60"],
        &["Contact: *", "Expires: 0", "Contact: <sip:pbx1@10.0.0.7>"],
        &["Contact: <sip:pbx1@10.0.0.7>, *", "Expires: 0"],
    ] {
        let refused = bench.send(0, &request("pbx1", "a", 2, wrong));
        assert_eq!(refused, Err(Refused::Contact), "{wrong:?}");
    }
    let star = ["Contact: *", "Expires: 0"];
    let older = request("pbx1", "a", 1, &star);
    assert_eq!(bench.send(0, &older), Err(Refused::OutOfOrder));
    assert_eq!(bench.called(0, "pbx1").len(), 2);
    assert_eq!(
        bench.send(0, &request("pbx1", "a", 2, &star)),
        Ok(Vec::new())
    );
    assert_eq!(bench.called(0, "pbx1"), [""; 0]);
}

#[test]
fn what_is_older_changes_nothing_and_another_call_id_does() {
    let mut bench = Bench::new();
    let contact = ["Contact: <sip:pbx1@10.0.0.5>"];
    let gone = ["Contact: <sip:pbx1@10.0.0.5>;expires=0"];
    bench.send(0, &request("pbx1", "a", 7, &contact)).unwrap();
    for seq in [6, 7] {
        let late = request("pbx1", "a", seq, &gone);
        assert_eq!(bench.send(1, &late), Err(Refused::OutOfOrder));
    }
    // All or nothing: the new one of this request is not taken either.
    let mixed = ["Contact: <sip:pbx1@10.0.0.9>, <sip:pbx1@10.0.0.5>;expires=0"];
    assert_eq!(
        bench.send(1, &request("pbx1", "a", 7, &mixed)),
        Err(Refused::OutOfOrder)
    );
    assert_eq!(bench.called(1, "pbx1"), ["sip:pbx1@10.0.0.5"]);
    assert_eq!(
        bench.send(2, &request("pbx1", "rebooted", 1, &gone)),
        Ok(Vec::new())
    );
    // A query changes nothing.
    assert_eq!(bench.send(3, &request("pbx1", "a", 8, &[])), Ok(Vec::new()));
}

#[test]
fn the_best_contact_is_first_and_the_newest_of_equals() {
    let mut bench = Bench::new();
    let low = ["Contact: <sip:a@10.0.0.1>;q=0.2"];
    let plain = ["Contact: <sip:b@10.0.0.2>"];
    let high = ["Contact: <sip:c@10.0.0.3>;q=1.0"];
    for (seq, contact) in [(1, low), (2, plain), (3, high)] {
        bench
            .send(u64::from(seq), &request("pbx1", "a", seq, &contact))
            .unwrap();
    }
    let best = ["sip:c@10.0.0.3", "sip:b@10.0.0.2", "sip:a@10.0.0.1"];
    assert_eq!(bench.called(3, "pbx1"), best);
}

#[test]
fn a_registered_number_is_called_by_its_contact_and_others_go_to_whoever_is_there() {
    let mut bench = Bench::new();
    let phone = |user: &str, host: u8| {
        let contact = format!("Contact: <sip:line-{host}@10.0.0.{host};ob>");
        request(user, &format!("call-{host}"), 1, &[&contact])
    };
    bench.send(0, &phone("+14255550101", 1)).unwrap();
    bench.send(1, &phone("+14255550102", 2)).unwrap();
    assert_eq!(bench.called(2, "+14255550101"), ["sip:line-1@10.0.0.1;ob"]);
    assert_eq!(
        bench.called(2, "+14255550199"),
        [
            "sip:+14255550199@10.0.0.2;ob",
            "sip:+14255550199@10.0.0.1;ob"
        ]
    );
}

#[test]
fn a_user_has_so_many_contacts_and_the_oldest_makes_room() {
    let mut bench = Bench::new();
    bench.policy.contacts = 2;
    for host in 1..=3_u32 {
        let contact = format!("Contact: <sip:pbx1@10.0.0.{host}>");
        bench
            .send(u64::from(host), &request("pbx1", "a", host, &[&contact]))
            .unwrap();
    }
    assert_eq!(
        bench.called(3, "pbx1"),
        ["sip:pbx1@10.0.0.3", "sip:pbx1@10.0.0.2"]
    );
    assert_eq!(bench.registrar.displaced, 1);
    let three = ["Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>, <sip:c@10.0.0.1>"];
    let refused = bench.send(4, &request("pbx1", "a", 4, &three));
    assert_eq!(refused, Err(Refused::TooManyContacts));
}

#[test]
fn nobody_registers_for_another_nor_without_a_name_nor_a_telephone_number_alone() {
    let mut bench = Bench::new();
    let register = request("pbx2", "a", 1, &["Contact: <sip:pbx1@10.0.0.5>"]);
    let by = Registering {
        request: &register,
        arrival: &arrival(5060),
        proven: Some("pbx1"),
    };
    let refused = bench
        .registrar
        .register(at(0), &"pbx".into(), &bench.policy, &by);
    assert_eq!(refused, Err(Refused::NotTheirs));
    let tel = request("pbx1", "a", 1, &["Contact: <tel:+14255550100>"]);
    assert_eq!(bench.send(0, &tel), Err(Refused::Contact));
    let mut nameless = request("pbx1", "a", 1, &["Contact: <sip:pbx1@10.0.0.5>"]);
    nameless.headers.set(HeaderName::To, "<sip:192.0.2.1>");
    assert_eq!(bench.send(0, &nameless), Err(Refused::NoUser));
}

#[test]
fn a_source_is_known_by_its_registration() {
    let mut bench = Bench::new();
    bench.port = 40_001;
    let register = request("pbx1", "a", 1, &["Contact: <sip:pbx1@10.0.0.5>;expires=60"]);
    bench.send(0, &register).unwrap();
    let trunk = TrunkName::from("pbx");
    assert_eq!(
        bench.registrar.trunk_at(at(59), &arrival(40_001)),
        Some(&trunk)
    );
    assert_eq!(bench.registrar.trunk_at(at(59), &arrival(40_002)), None);
    assert_eq!(bench.registrar.trunk_at(at(60), &arrival(40_001)), None);
}

/// The trunk that a search through everything finds.
fn searched(registrar: &Registrar, now: Moment, from: &Arrival) -> Option<TrunkName> {
    let here = |binding: &Binding| {
        binding.received == from.remote
            && binding.transport == from.transport
            && now < binding.until
    };
    let at = |users: &BTreeMap<String, Vec<Binding>>| users.values().flatten().any(here);
    let found = registrar.trunks.iter().find(|(_, users)| at(users));
    found.map(|(name, _)| name.clone())
}

proptest! {
    /// Users come, move, renew and go, time passes, trunks are reloaded away: a source is found
    /// where a search through all bindings finds it, and nothing is left when all are gone.
    #[test]
    fn the_index_of_sources_finds_what_a_search_finds(
        steps in prop::collection::vec((0u8..3, 0u8..3, 0u16..4, 0u8..4, 0u64..90), 1..80)
    ) {
        let names = ["a", "b", "c"].map(TrunkName::from);
        let policy = RegistrarPolicy { contacts: 2, ..RegistrarPolicy::default() };
        let (mut registrar, mut now) = (Registrar::default(), 0);
        for (seq, (trunk, user, port, kind, passes)) in (1..).zip(steps) {
            now += passes;
            let contact = format!("Contact: <sip:u@10.0.0.{port}>");
            let fields = match kind {
                0 => ["Contact: *", "Expires: 0"],
                1 => [contact.as_str(), "Expires: 0"],
                2 => [contact.as_str(), "Expires: 60"],
                _ => [contact.as_str(), "Expires: 120"],
            };
            let from = arrival(40_000 + port);
            let by = Registering {
                request: &request(&format!("u{user}"), "c", seq, &fields),
                arrival: &from,
                proven: None,
            };
            registrar.register(at(now), &names[usize::from(trunk)], &policy, &by).unwrap();
            for port in 0..4 {
                let from = arrival(40_000 + port);
                let found = registrar.trunk_at(at(now), &from).cloned();
                prop_assert_eq!(found, searched(&registrar, at(now), &from));
            }
        }
        registrar.reload(&Profiles::default());
        prop_assert!(registrar.sources.is_empty());
    }
}
