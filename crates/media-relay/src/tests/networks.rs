//! Media that may come from and go to some networks alone.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;

use super::*;

/// The party of `secure(1, …)` is inside, everything else is not.
fn inside() -> Arc<[IpNet]> {
    ["192.0.2.1/32".parse().unwrap()].into()
}

#[test]
fn packets_from_elsewhere_are_dropped_whatever_key_they_have() {
    let elsewhere = SocketAddr::from(([203, 0, 113, 9], 4000));
    for mut params in [plain(1), secure(1, 1, 2)] {
        let keyed = params.outbound.is_some();
        params.networks = inside();
        let mut world = World::joined(params, plain(2));
        let mut sender = context(1);
        let mut packet = |index| {
            let packet = packet(7, index);
            match keyed {
                true => sender.encrypt_rtp(&packet).unwrap().to_vec(),
                false => packet,
            }
        };
        for index in 0..10 {
            let given = world.give(1, false, elsewhere, &packet(index));
            assert_eq!(given, Err(DropReason::Network));
        }
        let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
        let given = world.give(1, true, elsewhere, &report);
        assert_eq!(given, Err(DropReason::Network));
        assert!(world.give(1, false, party(1), &packet(10)).is_ok());
        let stats = world.stats(A);
        assert_eq!(stats.dropped[DropReason::Network], 11);
        assert_eq!(stats.destination, Some(party(1)));
    }
}

#[test]
fn nothing_is_sent_elsewhere_although_it_was_signalled() {
    let mut params = plain(1);
    params.networks = ["203.0.113.0/24".parse().unwrap()].into();
    let mut world = World::joined(params, plain(2));
    let given = world.rtp(2, &packet(7, 0));
    assert_eq!(given, Err(DropReason::NoDestination));
    let sent = world.run(Duration::from_secs(20));
    let strayed = |(_, transmit, _): &(_, Transmit, _)| transmit.to.ip() == party(1).ip();
    assert!(!sent.iter().any(strayed));
}

#[test]
fn an_address_of_the_other_family_is_the_same_address() {
    let mut params = plain(1);
    params.networks = inside();
    let mapped = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 4000));
    assert!(params.reaches(mapped.ip()));
    assert!(!params.reaches("192.0.2.2".parse().unwrap()));
    assert!(!params.reaches("2001:db8::1".parse().unwrap()));
}
