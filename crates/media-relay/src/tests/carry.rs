use super::*;

#[test]
fn payload_crosses_between_plain_and_srtp_through_three_wraps() {
    let mut world = World::joined(plain(1), secure(2, 10, 20));
    let (mut party_out, mut party_in) = (context(10), context(20));
    let mut state = 7u64;
    for index in 65_500u64..65_500 + 200_000 {
        world.pass_ms(20);
        let sent = packet(0xaaaa, index);
        let seen = party_in.decrypt_rtp(&world.rtp(1, &sent).unwrap()).unwrap();
        assert_eq!(seen[12..], sent[12..], "{index}");
        assert_eq!(
            (header(&seen).ssrc, header(&seen).sequence),
            (0x1002, index as u16)
        );

        // Back, with one packet in thirty lost on the way.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let sent = packet(0xbbbb, index);
        let protected = party_out.encrypt_rtp(&sent).unwrap();
        if state >> 32 & 31 != 0 {
            let seen = world.rtp(2, &protected).unwrap();
            assert_eq!(seen[12..], sent[12..], "{index}");
            assert_eq!(
                (header(&seen).ssrc, header(&seen).sequence),
                (0x1001, index as u16)
            );
        }
    }
    let (a, b) = (world.stats(A), world.stats(B));
    assert_eq!((a.received, a.lost, b.sent), (200_000, 0, 200_000));
    assert_eq!(b.received + b.lost, 200_000);
    assert_eq!(a.dropped.total() + b.dropped.total(), 0);
}

#[test]
fn repeats_and_forgeries_are_dropped_and_the_call_goes_on() {
    let mut world = World::joined(plain(1), secure(2, 10, 20));
    let mut party_out = context(10);
    let mut wrong = context(99);
    let mut last = Vec::new();
    for index in 0..10_000 {
        world.pass_ms(20);
        let genuine = party_out.encrypt_rtp(&packet(5, index)).unwrap().to_vec();
        let mut forged = genuine.clone();
        *forged.last_mut().unwrap() ^= 1;
        let stranger = SocketAddr::from(([203, 0, 113, 9], 9));
        assert_eq!(
            world.give(2, false, stranger, &forged),
            Err(DropReason::BadTag)
        );
        let keyed = wrong.encrypt_rtp(&packet(5, index)).unwrap();
        assert_eq!(world.rtp(2, &keyed), Err(DropReason::BadTag));
        assert_eq!(world.rtp(2, &packet(5, index)), Err(DropReason::BadTag));
        world.rtp(2, &genuine).unwrap();
        assert_eq!(
            world.give(2, false, stranger, &genuine),
            Err(DropReason::Replay)
        );
        if !last.is_empty() {
            assert_eq!(world.rtp(2, &last), Err(DropReason::Replay));
        }
        last = genuine;
    }
    let stats = world.stats(B);
    assert_eq!((stats.received, stats.moves), (10_000, 0));
    assert_eq!(stats.destination, Some(party(2)));
    assert_eq!(stats.dropped[DropReason::BadTag], 30_000);
    assert_eq!(stats.dropped[DropReason::Replay], 19_999);
}

#[test]
fn repeated_plain_packets_are_sent_once() {
    let mut world = World::joined(plain(1), secure(2, 10, 20));
    for index in [10, 12, 11, 13] {
        world.rtp(1, &packet(5, index)).unwrap();
        assert_eq!(world.rtp(1, &packet(5, index)), Err(DropReason::Duplicate));
    }
    let stats = world.stats(A);
    assert_eq!((stats.duplicates, stats.reordered, stats.lost), (4, 1, 0));
}

#[test]
fn streams_change_without_a_gap_towards_the_other_side() {
    let mut world = World::joined(secure(1, 30, 40), plain(2));
    let mut party_out = context(30);
    let (mut sequence, mut timestamp) = (None, 0);
    for (ssrc, start) in [(1, 60_000), (2, 5), (3, 30_000), (1, 60_050)] {
        for index in start..start + 50 {
            world.pass_ms(20);
            let protected = party_out.encrypt_rtp(&packet(ssrc, index)).unwrap();
            let seen = world.rtp(1, &protected).unwrap();
            let head = header(&seen);
            assert_eq!(head.ssrc, 0x1002);
            if let Some(last) = sequence {
                assert_eq!(head.sequence, u16::wrapping_add(last, 1));
                assert_eq!(head.timestamp.wrapping_sub(timestamp), 160);
            }
            assert_eq!(head.marker, index == start);
            (sequence, timestamp) = (Some(head.sequence), head.timestamp);
        }
        // So that an earlier stream may be heard again.
        world.pass_ms(200);
        timestamp += 1600;
    }
    assert_eq!(world.stats(A).streams, 3);
}

#[test]
fn late_packets_of_the_last_speaker_are_not_mixed_in() {
    let mut world = World::joined(plain(1), plain(2));
    for index in 0..10 {
        world.rtp(1, &packet(7, index)).unwrap();
    }
    world.rtp(1, &packet(8, 500)).unwrap();
    assert_eq!(world.rtp(1, &packet(7, 10)), Err(DropReason::StaleSource));
    world.rtp(1, &packet(8, 501)).unwrap();
}

#[test]
fn a_sender_that_begins_anew_is_heard_from_its_second_packet() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let mut reader = context(2);
    for index in 50_000..50_100 {
        reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
    }
    assert_eq!(world.rtp(1, &packet(7, 20)), Err(DropReason::TooLate));
    for (n, index) in (0u16..).zip(21..121) {
        let seen = reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
        assert_eq!(header(&seen).sequence, 50_100 + n);
    }
}

#[test]
fn a_new_key_starts_at_roc_zero_and_the_same_key_goes_on() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let (mut out, mut reader) = (context(1), context(2));
    let start = 65_500;
    let cross = |world: &mut World, out: &mut Context, reader: &mut Context, index| {
        let seen = reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
        assert_eq!(seen[12..], packet(7, index)[12..]);
        let seen = world
            .rtp(2, &out.encrypt_rtp(&packet(8, index)).unwrap())
            .unwrap();
        assert_eq!(seen[12..], packet(8, index)[12..]);
    };
    for index in start..start + 100 {
        cross(&mut world, &mut out, &mut reader, index);
    }
    world.update(B, secure(2, 1, 2));
    for index in start + 100..start + 200 {
        cross(&mut world, &mut out, &mut reader, index);
    }
    world.update(B, secure(2, 3, 4));
    (out, reader) = (context(3), context(4));
    for index in start + 200..start + 300 {
        cross(&mut world, &mut out, &mut reader, index);
    }
    assert_eq!(
        world.stats(B).dropped.total() + world.stats(A).dropped.total(),
        0
    );
}

#[test]
fn nothing_is_carried_against_what_was_signalled() {
    let mut world = World::joined(plain(1), plain(2));
    let send = |world: &mut World, index| world.rtp(1, &packet(7, index)).map(|_| ());
    assert_eq!(send(&mut world, 0), Ok(()));
    world.update(
        A,
        LegParams {
            receive: false,
            ..plain(1)
        },
    );
    assert_eq!(send(&mut world, 1), Err(DropReason::Direction));
    world.update(A, plain(1));
    world.update(
        B,
        LegParams {
            send: false,
            ..plain(2)
        },
    );
    assert_eq!(send(&mut world, 2), Err(DropReason::Direction));
    world.update(
        B,
        LegParams {
            remotes: vec![],
            ..plain(2)
        },
    );
    assert_eq!(send(&mut world, 3), Err(DropReason::NoDestination));
    world.update(
        B,
        LegParams {
            pt_map: PtMap::empty().with(8, 0),
            ..plain(2)
        },
    );
    assert_eq!(send(&mut world, 4), Err(DropReason::PayloadType));
    world.command(MediaCommand::Split { leg: B });
    assert_eq!(send(&mut world, 5), Err(DropReason::NotJoined));
    world.command(MediaCommand::CloseLeg { leg: A });
    assert_eq!(send(&mut world, 6), Err(DropReason::NoLeg));
    assert_eq!(world.relay.dropped()[DropReason::NoLeg], 1);
}

#[test]
fn payload_types_are_those_of_each_side() {
    let b = LegParams {
        pt_map: PtMap::empty().with(0, 0).with(101, 96),
        ..plain(2)
    };
    let mut world = World::joined(plain(1), b);
    let seen = world.rtp(1, &with_payload_type(packet(7, 1), 101)).unwrap();
    assert_eq!(header(&seen).payload_type, 96);
    let seen = world.rtp(2, &with_payload_type(packet(7, 1), 96)).unwrap();
    assert_eq!(header(&seen).payload_type, 96);
    assert_eq!(
        PtMap::identity().with(200, 1).with(1, 200),
        PtMap::identity()
    );
}

#[test]
fn no_plain_packet_crosses_an_srtp_leg() {
    // Our key is signalled, theirs is not yet.
    let b = LegParams {
        outbound: Some(Box::new(srtp(1))),
        remotes: vec![],
        ..plain(2)
    };
    let mut world = World::joined(plain(1), b);
    assert_eq!(world.rtp(2, &packet(7, 0)), Err(DropReason::BeforeKey));
    assert_eq!(world.rtp(1, &packet(7, 0)), Err(DropReason::NoDestination));
    // They answer without a key, or name a key where none of ours was signalled.
    world.update(
        B,
        LegParams {
            outbound: Some(Box::new(srtp(1))),
            ..plain(2)
        },
    );
    assert_eq!(world.rtp(2, &packet(7, 1)), Err(DropReason::BadTag));
    assert_eq!(world.rtp(1, &packet(7, 1)), Err(DropReason::NoDestination));
    world.update(
        B,
        LegParams {
            outbound: None,
            ..secure(2, 1, 2)
        },
    );
    assert_eq!(world.rtp(2, &packet(7, 2)), Err(DropReason::BadTag));
    assert_eq!(world.rtp(1, &packet(7, 2)), Err(DropReason::NoDestination));
    world.update(B, secure(2, 1, 2));
    assert_ne!(
        world.rtp(1, &packet(7, 3)).unwrap()[12..172],
        packet(7, 3)[12..]
    );
}

#[test]
fn each_early_dialog_is_known_by_its_key() {
    let mut a = secure(1, 10, 20);
    for fork in 1..LegParams::MAX_REMOTES as u8 {
        let rtp = SocketAddr::from(([203, 0, 113, fork], 6000));
        a.remotes.push(RemoteCandidate {
            rtp,
            rtcp: rtp,
            inbound: Some(srtp(10 + fork)),
        });
    }
    let mut world = World::joined(a.clone(), plain(2));
    for fork in 0..LegParams::MAX_REMOTES as u8 {
        world.pass_ms(200);
        let mut out = context(10 + fork);
        let from = a.remotes[usize::from(fork)].rtp;
        let protected = out.encrypt_rtp(&packet(7, 100)).unwrap();
        world.give(1, false, from, &protected).unwrap();
        let (transmit, _) = world
            .give(2, false, party(2), &packet(9, u64::from(fork)))
            .unwrap();
        assert_eq!(transmit.to, from);
    }
    // The fourth answers for good: what it sent before stays its own.
    let mut out = context(13);
    out.encrypt_rtp(&packet(7, 100)).unwrap();
    world.update(
        A,
        LegParams {
            remotes: vec![a.remotes[3].clone()],
            ..a.clone()
        },
    );
    world
        .rtp(1, &out.encrypt_rtp(&packet(7, 101)).unwrap())
        .unwrap();
    assert_eq!(
        world.rtp(1, &context(12).encrypt_rtp(&packet(7, 102)).unwrap()),
        Err(DropReason::BadTag)
    );
}

#[test]
fn noise_is_told_apart() {
    let mut world = World::joined(plain(1), plain(2));
    for (bytes, reason) in [
        (&[0, 1, 0, 0][..], DropReason::NotRtp),
        (&[22, 254, 253, 0], DropReason::NotRtp),
        (&[], DropReason::NotRtp),
        (&[0x80, 0, 1], DropReason::Malformed),
        (&[0x80, 200, 0, 6], DropReason::WrongPort),
    ] {
        assert_eq!(world.rtp(1, bytes), Err(reason), "{bytes:?}");
    }
    assert_eq!(
        world
            .give(1, true, party_rtcp(1), &packet(7, 1))
            .unwrap_err(),
        DropReason::WrongPort
    );
    let mut padded = packet(7, 1);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 200;
    assert_eq!(world.rtp(1, &padded), Err(DropReason::Malformed));
}

#[test]
fn commands_to_what_is_not_there_are_told() {
    let mut world = World::new();
    world.command(MediaCommand::CloseLeg { leg: A });
    world.command(MediaCommand::Join { a: A, b: B });
    world.open(A, plain(1));
    world.open(A, plain(1));
    let params = Box::new(plain(2));
    world.command(MediaCommand::OpenLeg {
        leg: B,
        ports: ports(1),
        params,
    });
    world.command(MediaCommand::Join { a: A, b: A });
    let errors = [
        (A, MediaError::NoLeg),
        (A, MediaError::NoLeg),
        (A, MediaError::LegExists),
        (B, MediaError::PortsInUse),
        (A, MediaError::NoLeg),
    ];
    assert_eq!(
        world.events(),
        errors.map(|(leg, error)| MediaEvent::Failed { leg, error })
    );
    for n in 2..=16 {
        world.open(LegId(n), plain(n));
    }
    world.open(LegId(17), plain(17));
    let (leg, error) = (LegId(17), MediaError::TooManyLegs);
    assert_eq!(world.events(), [MediaEvent::Failed { leg, error }]);
    world.command(MediaCommand::CloseLeg { leg: A });
    assert!(matches!(
        world.events()[..],
        [MediaEvent::Closed { leg: A, .. }]
    ));
    world.open(LegId(17), plain(17));
    assert_eq!(world.events(), []);
}

#[test]
fn a_leg_moves_to_another_shard_with_all_its_state() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let (mut out, mut reader) = (context(1), context(2));
    let mut other = World::new();
    for index in 65_500..65_600 {
        if index == 65_550 {
            for leg in [A, B] {
                let moving = world.relay.export_leg(leg).unwrap();
                assert_eq!((moving.id(), moving.ports()), (leg, ports(leg.0)));
                other.relay.import_leg(moving);
            }
            assert!(world.relay.is_empty());
            std::mem::swap(&mut world, &mut other);
            world.command(MediaCommand::Join { a: B, b: A });
        }
        let seen = reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
        assert_eq!(
            (header(&seen).sequence, &seen[12..]),
            (index as u16, &packet(7, index)[12..])
        );
        world
            .rtp(2, &out.encrypt_rtp(&packet(8, index)).unwrap())
            .unwrap();
    }
    assert_eq!(world.stats(A).received, 100);
}

#[test]
fn nothing_is_sent_to_no_address() {
    let mut world = World::joined(plain(1), plain(2));
    for (index, held) in (1..).zip(["0.0.0.0:4000", "192.0.2.1:0", "[::]:4000"]) {
        let mut params = plain(2);
        params.remotes[0].rtp = held.parse().unwrap();
        params.remotes[0].rtcp = held.parse().unwrap();
        world.update(B, params);
        assert_eq!(
            world.rtp(1, &packet(7, index)),
            Err(DropReason::NoDestination)
        );
    }
    let sent = world.run(Duration::from_secs(30));
    assert!(
        sent.iter()
            .all(|(_, transmit, _)| transmit.ports == PortPairId(1))
    );
}
