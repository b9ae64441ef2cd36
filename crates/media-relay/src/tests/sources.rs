use super::*;

pub(super) fn tone_leg(n: u64) -> LegParams {
    LegParams {
        tone: Some(ToneCodec {
            law: Law::Ulaw,
            payload_type: 0,
        }),
        ..plain(n)
    }
}

pub(super) fn rtp_only(sent: Vec<(Moment, Transmit, Vec<u8>)>) -> Vec<(Moment, Transmit, Vec<u8>)> {
    sent.into_iter()
        .filter(|(_, transmit, _)| !transmit.rtcp)
        .collect()
}

#[test]
fn a_tone_is_paced_and_the_stream_goes_on_around_it() {
    let mut world = World::joined(plain(1), tone_leg(2));
    let before = header(&world.rtp(1, &packet(7, 500)).unwrap());
    world.pass_ms(20);
    let source = Source::Tone(Cadence::RINGBACK);
    world.command(MediaCommand::Source { leg: B, source });
    let start = world.now.moment;
    let sent = rtp_only(world.run(Duration::from_secs(2)));
    assert_eq!(sent.len(), 101);
    for (n, (at, transmit, datagram)) in (0u32..).zip(&sent) {
        assert_eq!(
            at.saturating_since(start),
            Duration::from_millis(20 * u64::from(n))
        );
        assert_eq!((transmit.to, datagram.len()), (party(2), 172));
        let head = header(datagram);
        assert_eq!(head.ssrc, 0x1002);
        assert_eq!(head.sequence, before.sequence + 1 + n as u16);
        assert_eq!(head.timestamp, before.timestamp + 160 * (n + 1));
        assert_eq!(head.marker, n == 0);
        assert!(n >= 100 || datagram[12..].iter().any(|byte| *byte != 0xff));
    }
    assert_eq!(world.rtp(1, &packet(7, 600)), Err(DropReason::Replaced));
    world.command(MediaCommand::Source {
        leg: B,
        source: Source::Off,
    });
    world.pass_ms(20);
    let after = header(&world.rtp(1, &packet(7, 601)).unwrap());
    assert_eq!(after.sequence, before.sequence + 102);
    assert_eq!(after.timestamp, before.timestamp + 160 * 102);
    assert!(after.marker);
    assert_eq!(rtp_only(world.run(Duration::from_secs(1))), []);
}

#[test]
fn silence_keeps_a_secure_stream_alive_and_nothing_sounds_on_hold() {
    let tone = Some(ToneCodec {
        law: Law::Alaw,
        payload_type: 8,
    });
    let mut world = World::new();
    world.open(
        B,
        LegParams {
            tone,
            ..secure(2, 1, 2)
        },
    );
    world.command(MediaCommand::Source {
        leg: B,
        source: Source::Silence,
    });
    let mut reader = context(2);
    for (_, _, datagram) in rtp_only(world.run(Duration::from_secs(3))) {
        let clear = reader.decrypt_rtp(&datagram).unwrap();
        assert!(clear[12..].iter().all(|byte| *byte == 0xd5));
    }
    assert_eq!(world.stats(B).sent, 151);
    world.update(
        B,
        LegParams {
            tone,
            send: false,
            ..secure(2, 1, 2)
        },
    );
    assert_eq!(rtp_only(world.run(Duration::from_secs(1))), []);
}

#[test]
fn tones_want_a_codec() {
    let mut world = World::joined(plain(1), plain(2));
    world.command(MediaCommand::Source {
        leg: B,
        source: Source::Silence,
    });
    let error = MediaError::ToneUnsupported;
    assert_eq!(world.events(), [MediaEvent::Failed { leg: B, error }]);
}

#[test]
fn a_long_sleep_is_not_made_up_for() {
    let mut world = World::joined(plain(1), tone_leg(2));
    world.command(MediaCommand::Source {
        leg: B,
        source: Source::Silence,
    });
    world.run(Duration::from_secs(1));
    world.pass(Duration::from_secs(60));
    world.relay.handle_timeout(world.now);
    assert!(rtp_only(world.run(Duration::ZERO)).len() <= 11);
}

pub(super) fn told(events: Vec<MediaEvent>) -> Vec<MediaEvent> {
    let rare = |event: &MediaEvent| {
        !matches!(
            event,
            MediaEvent::Stats { .. } | MediaEvent::LegState { .. }
        )
    };
    events.into_iter().filter(rare).collect()
}

#[test]
fn silence_is_told_once_and_knows_hold() {
    let after = Some(Duration::from_secs(10));
    let mut world = World::joined(
        LegParams {
            silence_after: after,
            ..plain(1)
        },
        plain(2),
    );
    world.run(Duration::from_millis(9_999));
    assert_eq!(told(world.events()), []);
    world.run(Duration::from_millis(20_001));
    let silence = |duration| MediaEvent::Silence { leg: A, duration };
    assert_eq!(told(world.events()), [silence(Duration::from_secs(10))]);

    world.rtp(1, &packet(7, 1)).unwrap();
    let first = MediaEvent::FirstPacket {
        leg: A,
        source: party(1),
    };
    assert_eq!(
        told(world.events()),
        [first, MediaEvent::Resumed { leg: A }]
    );
    world.run(Duration::from_secs(9));
    world.rtp(1, &packet(7, 2)).unwrap();
    world.run(Duration::from_secs(9));
    assert_eq!(told(world.events()), []);

    world.update(
        A,
        LegParams {
            silence_after: after,
            receive: false,
            ..plain(1)
        },
    );
    world.run(Duration::from_secs(600));
    assert_eq!(told(world.events()), []);
    world.update(
        A,
        LegParams {
            silence_after: after,
            ..plain(1)
        },
    );
    world.run(Duration::from_secs(9));
    assert_eq!(told(world.events()), []);
    world.run(Duration::from_secs(2));
    assert_eq!(told(world.events()), [silence(Duration::from_secs(10))]);
}

#[test]
fn counters_are_told_now_and_then_and_at_the_end() {
    let mut world = World::joined(plain(1), plain(2));
    for index in 0..50 {
        world.rtp(1, &packet(7, 2 * index)).unwrap();
        assert!(world.rtp(2, &[0; 3]).is_err());
    }
    world.run(Duration::from_secs(21));
    let told = world.events();
    let mut stats = Vec::new();
    for event in &told {
        if let MediaEvent::Stats {
            leg,
            stats: counters,
        } = event
        {
            stats.push((*leg, counters));
        }
    }
    // Four times five seconds, but told to one who asks late: once for each leg.
    assert_eq!(stats.len(), 2, "{stats:?}");
    let (_, a) = stats.iter().find(|(leg, _)| *leg == A).unwrap();
    assert_eq!((a.received, a.lost, a.ssrc), (50, 49, Some(7)));
    world.command(MediaCommand::CloseLeg { leg: B });
    let closed = world.events();
    let Some(MediaEvent::Closed { leg: B, stats }) = closed.last() else {
        panic!("{closed:?}")
    };
    assert_eq!((stats.sent, stats.sent_octets), (50, 8000));
    assert_eq!(stats.dropped[DropReason::NotRtp], 50);
    assert_eq!(format!("{:?}", stats.dropped), "{\"not_rtp\": 50}");
}
