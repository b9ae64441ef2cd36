use super::*;

const MOVED: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 5555);
const STRANGER: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66)), 4000);

/// Sends 20 ms packets of leg 1 from `source` for `millis`; when was the first one carried?
fn heard_after(world: &mut World, source: SocketAddr, first: u64, millis: u64) -> Option<u64> {
    let mut heard = None;
    for n in 0..millis / 20 {
        world.pass_ms(20);
        if world.give(1, false, source, &packet(7, first + n)).is_ok() {
            heard = heard.or(Some((n + 1) * 20));
        }
    }
    heard
}

fn destination(world: &mut World) -> SocketAddr {
    let index = world.stats(B).received;
    world
        .give(2, false, party(2), &packet(9, index))
        .unwrap()
        .0
        .to
}

#[test]
fn a_port_that_moves_is_heard_again_in_time() {
    let mut world = World::joined(plain(1), plain(2));
    assert_eq!(heard_after(&mut world, party(1), 0, 1000), Some(20));
    assert!(heard_after(&mut world, MOVED, 50, 1000).is_some_and(|after| after <= 300));
    assert_eq!(destination(&mut world), MOVED);
    assert_eq!(world.stats(A).moves, 1);
    // And back to the signalled one at once.
    assert_eq!(heard_after(&mut world, party(1), 100, 200), Some(20));
    assert_eq!(destination(&mut world), party(1));
}

#[test]
fn an_authenticated_source_that_moves_is_heard_at_once_and_sent_to_soon() {
    let mut world = World::joined(secure(1, 1, 2), plain(2));
    let mut out = context(1);
    for index in 0..50 {
        world.pass_ms(20);
        world
            .rtp(1, &out.encrypt_rtp(&packet(7, index)).unwrap())
            .unwrap();
    }
    for index in 50..60 {
        world.pass_ms(20);
        let protected = out.encrypt_rtp(&packet(7, index)).unwrap();
        world.give(1, false, STRANGER, &protected).unwrap();
        let expected = if index >= 52 { STRANGER } else { party(1) };
        assert_eq!(destination(&mut world), expected, "{index}");
    }
}

#[test]
fn the_first_authenticated_source_wins() {
    let mut world = World::joined(secure(1, 1, 2), plain(2));
    let protected = context(1).encrypt_rtp(&packet(7, 0)).unwrap();
    assert_eq!(destination(&mut world), party(1));
    world.give(1, false, MOVED, &protected).unwrap();
    assert_eq!(destination(&mut world), MOVED);
}

#[test]
fn strangers_are_neither_carried_nor_answered() {
    for policy in [
        LatchPolicy::Signalled,
        LatchPolicy::SameHost,
        LatchPolicy::Authenticated,
    ] {
        let mut world = World::joined(
            LegParams {
                latch: policy,
                ..plain(1)
            },
            plain(2),
        );
        let mut sent = Vec::new();
        // Before, during and after; with the right SSRC and sequence numbers even.
        assert_eq!(heard_after(&mut world, STRANGER, 0, 1000), None);
        for index in 0..200 {
            world.pass_ms(20);
            world.rtp(1, &packet(7, index)).unwrap();
            for stranger in [STRANGER, MOVED] {
                for guess in [index, index + 1, index + 2] {
                    let result = world.give(1, false, stranger, &packet(7, guess));
                    assert_eq!(result, Err(DropReason::Stranger), "{policy:?}");
                }
                let rtcp = [0x80, 201, 0, 1, 0, 0, 0, 7];
                assert_eq!(
                    world.give(1, true, stranger, &rtcp),
                    Err(DropReason::Stranger)
                );
            }
            sent.extend(world.run(Duration::ZERO));
            assert_eq!(destination(&mut world), party(1));
        }
        world.pass_ms(1000);
        assert_eq!(heard_after(&mut world, STRANGER, 200, 1000), None);
        sent.extend(world.run(Duration::from_secs(20)));
        let known = [party(1), party_rtcp(1), party(2), party_rtcp(2)];
        assert!(
            sent.iter()
                .all(|(_, transmit, _)| known.contains(&transmit.to))
        );
    }
}

#[test]
fn another_stream_from_another_port_is_not_a_move() {
    let mut world = World::joined(plain(1), plain(2));
    heard_after(&mut world, party(1), 0, 200);
    world.pass_ms(1000);
    for index in 10..100 {
        world.pass_ms(20);
        let result = world.give(1, false, MOVED, &packet(8, index));
        assert_eq!(result, Err(DropReason::Stranger));
        let result = world.give(1, false, MOVED, &packet(7, index + 30_000));
        assert_eq!(result, Err(DropReason::Stranger));
    }
}

#[test]
fn policies_differ_in_what_may_come_first() {
    for (policy, heard) in [
        (LatchPolicy::Signalled, None),
        (LatchPolicy::SameHost, Some(60)),
        (LatchPolicy::Authenticated, None),
    ] {
        let mut world = World::joined(
            LegParams {
                latch: policy,
                ..plain(1)
            },
            plain(2),
        );
        assert_eq!(heard_after(&mut world, MOVED, 0, 200), heard, "{policy:?}");
    }
}

#[test]
fn what_is_signalled_anew_holds_at_once() {
    let mut world = World::joined(plain(1), plain(2));
    heard_after(&mut world, party(1), 0, 200);
    let mut params = plain(1);
    params.remotes[0].rtp = MOVED;
    world.update(A, params);
    assert_eq!(destination(&mut world), MOVED);
    assert_eq!(world.rtp(1, &packet(7, 10)), Err(DropReason::Stranger));
    assert_eq!(heard_after(&mut world, MOVED, 11, 100), Some(20));
}
