use super::sources::{rtp_only, told, tone_leg};
use super::*;

const EVENT: TelephoneEvent = TelephoneEvent {
    heard: 101,
    sent: 96,
    clock: 8000,
};

#[test]
fn digits_are_told_once_and_carried_whole() {
    let a = LegParams {
        telephone_event: Some(EVENT),
        ..plain(1)
    };
    let b = LegParams {
        pt_map: PtMap::empty().with(0, 0).with(101, 96),
        ..plain(2)
    };
    let mut world = World::joined(a, b);
    let mut index = 0;
    let mut carried = 0;
    for (digit, start) in [(1u8, 1600u32), (2, 8000), (2, 16_000), (11, 24_000)] {
        for n in 0..10u16 {
            world.pass_ms(20);
            let mut event = with_payload_type(packet(7, index), 101);
            event[4..8].copy_from_slice(&start.to_be_bytes());
            event.truncate(12);
            let duration = (160 * (n.min(7) + 1)).to_be_bytes();
            event.extend([digit, u8::from(n >= 7) << 7, duration[0], duration[1]]);
            index += 1;
            // The first two of three end packets are lost once.
            if start == 8000 && (n == 7 || n == 8) {
                continue;
            }
            let seen = world.rtp(1, &event).unwrap();
            assert_eq!(
                (header(&seen).payload_type, &seen[12..]),
                (96, &event[12..])
            );
            carried += 1;
        }
    }
    assert_eq!(carried, 38);
    let mut digits = Vec::new();
    for event in world.events() {
        if let MediaEvent::Dtmf {
            leg: A,
            digit,
            duration_ms,
            in_band: false,
        } = event
        {
            digits.push((digit.as_char(), duration_ms));
        }
    }
    assert_eq!(digits, [('1', 160), ('2', 160), ('2', 160), ('#', 160)]);
    assert_eq!(world.stats(A).dtmf, 4);
}

/// What an event packet says: (code, ended, duration).
fn event_of(datagram: &[u8]) -> (u8, bool, u16) {
    let &[code, flags, high, low] = &datagram[12..] else {
        panic!("{} octets are no event", datagram.len() - 12);
    };
    (code, flags & 0x80 != 0, u16::from_be_bytes([high, low]))
}

fn send(world: &mut World, digit: char, millis: u64) {
    world.command(MediaCommand::SendDtmf {
        leg: B,
        digit: Digit::from_char(digit).unwrap(),
        duration: Duration::from_millis(millis),
    });
}

#[test]
fn a_digit_of_ours_is_an_event_in_the_stream() {
    let b = LegParams {
        telephone_event: Some(EVENT),
        ..plain(2)
    };
    let mut world = World::joined(plain(1), b);
    let before = header(&world.rtp(1, &packet(7, 500)).unwrap());
    world.pass_ms(20);
    send(&mut world, '7', 100);
    send(&mut world, '#', 40);
    let first = rtp_only(world.run(Duration::from_millis(60)));
    assert_eq!(world.rtp(1, &packet(7, 505)), Err(DropReason::Replaced));
    let sent: Vec<_> = first
        .into_iter()
        .chain(rtp_only(world.run(Duration::from_secs(1))))
        .collect();
    let events: Vec<_> = sent.iter().map(|(_, _, packet)| event_of(packet)).collect();
    let seven = (1..5).map(|n| (7, false, 160 * n));
    let seven = seven.chain([(7, true, 800); 3]);
    let hash = [
        (11, false, 160),
        (11, true, 320),
        (11, true, 320),
        (11, true, 320),
    ];
    assert_eq!(events, seven.chain(hash).collect::<Vec<_>>());
    for (n, (_, transmit, datagram)) in (1u16..).zip(&sent) {
        let head = header(datagram);
        assert_eq!((head.payload_type, transmit.to), (96, party(2)));
        assert_eq!(head.sequence, before.sequence + n);
        assert_eq!(head.marker, n == 1 || n == 8, "{n}");
        // Both begin when they begin: the second one 60 ms after the first one's last packet.
        let start = if n < 8 { 160 } else { 160 + 160 * 6 + 480 };
        assert_eq!(head.timestamp, before.timestamp + start, "{n}");
    }
    // Speech goes on where the time is, not where the event began.
    let elapsed = world.now.moment.saturating_since(sent[7].0).as_millis() as u32;
    let after = header(&world.rtp(1, &packet(7, 600)).unwrap());
    assert_eq!(after.sequence, before.sequence + 12);
    assert_eq!(
        after.timestamp,
        before.timestamp + 160 + 960 + 480 + 8 * elapsed
    );
}

#[test]
fn a_digit_held_long_is_sent_in_segments() {
    let event = TelephoneEvent {
        clock: 48_000,
        ..EVENT
    };
    let b = LegParams {
        telephone_event: Some(event),
        clock: 48_000,
        ..plain(2)
    };
    let mut world = World::joined(plain(1), b);
    send(&mut world, '5', 3000);
    let sent = rtp_only(world.run(Duration::from_secs(4)));
    let first = header(&sent[0].2).timestamp;
    let mut reached = 0;
    for (_, _, datagram) in &sent {
        let begins = header(datagram).timestamp.wrapping_sub(first);
        let (code, _, duration) = event_of(datagram);
        assert_eq!((code, begins % 0xffff), (5, 0));
        let end = begins + u32::from(duration);
        assert!(
            end == reached + 960 || end == reached,
            "{end} after {reached}"
        );
        reached = end;
    }
    assert_eq!(reached, 144_000);
    assert_eq!(sent.iter().filter(|(.., d)| event_of(d).1).count(), 3);
}

#[test]
fn where_there_are_no_events_a_digit_is_its_tones() {
    let mut world = World::joined(plain(1), tone_leg(2));
    send(&mut world, '3', 100);
    let sent = rtp_only(world.run(Duration::from_secs(1)));
    assert_eq!(sent.len(), 5);
    let mut detector = voice::dtmf::ToneDetector::default();
    let sound = sent.iter().flat_map(|(.., datagram)| &datagram[12..]);
    let silence = std::iter::repeat_n(&0xff, 400);
    let heard: Vec<_> = sound
        .chain(silence)
        .filter_map(|octet| detector.hear(Law::Ulaw.decode(*octet)))
        .map(|heard| heard.digit.as_char())
        .collect();
    assert_eq!(heard, ['3']);
    let mut deaf = World::joined(plain(1), plain(2));
    send(&mut deaf, '3', 100);
    let error = MediaError::DtmfUnsupported;
    assert_eq!(deaf.events(), [MediaEvent::Failed { leg: B, error }]);
}

fn sounding(index: u64, sample: impl Fn(u64) -> i16) -> Vec<u8> {
    let mut packet = packet(7, index);
    packet.truncate(12);
    packet.extend((0..160).map(|n| Law::Ulaw.encode(sample(index * 160 + n))));
    packet
}

#[test]
fn tones_are_taken_out_and_told() {
    let a = LegParams {
        listen: Listen {
            ulaw: Some(0),
            digits: true,
            ..Listen::default()
        },
        ..plain(1)
    };
    let mut world = World::joined(a, plain(2));
    let nine = Digit::from_char('9').unwrap();
    let mut leaked = 0;
    for index in 0..30 {
        let sounds = (5..10).contains(&index);
        let datagram = sounding(index, |at| {
            if sounds {
                voice::tone::of_digit(nine, at)
            } else {
                0
            }
        });
        let seen = world.rtp(1, &datagram).unwrap();
        leaked += usize::from(seen[12..].iter().any(|octet| *octet != 0xff));
        world.pass_ms(20);
    }
    // What passes before it is known to be a digit is too short to be one (Q.24).
    assert!(leaked <= 1, "{leaked} packets with tones");
    let digits: Vec<_> = told(world.events())
        .into_iter()
        .filter(|event| matches!(event, MediaEvent::Dtmf { .. }))
        .collect();
    let [
        MediaEvent::Dtmf {
            digit,
            duration_ms,
            in_band: true,
            ..
        },
    ] = digits[..]
    else {
        panic!("{digits:?}");
    };
    assert!(
        digit == nine && (75..=115).contains(&duration_ms),
        "{duration_ms}"
    );
}

#[test]
fn the_first_sound_is_told_once_and_silence_is_none() {
    let a = LegParams {
        listen: Listen {
            ulaw: Some(0),
            comfort_noise: Some(13),
            first_audio: true,
            ..Listen::default()
        },
        ..plain(1)
    };
    let mut world = World::joined(a, plain(2));
    let hear = |world: &mut World, from: u64, level: i16| {
        for index in from..from + 10 {
            let square = |at| if at % 16 < 8 { level } else { -level };
            world.rtp(1, &sounding(index, square)).unwrap();
        }
        let events = told(world.events()).into_iter();
        events
            .filter(|event| *event == MediaEvent::FirstAudio { leg: A })
            .count()
    };
    assert_eq!(hear(&mut world, 0, 0), 0);
    assert_eq!(hear(&mut world, 10, 60), 0);
    let noise = with_payload_type(packet(7, 20), 13);
    world.rtp(1, &noise[..13]).unwrap();
    assert_eq!(hear(&mut world, 30, 1000), 1);
    assert_eq!(hear(&mut world, 40, 1000), 0);
}
