//! Speech that is converted on its way, as a shell does it.

use std::ops::Range;

use rtp::ExtendedSequence;
use voice::Transcoder;

use super::*;

const ULAW: Speech = Speech::G711(Law::Ulaw);

/// Legs of which one speaks µ-law as 0 and the other G.722 as 9, both with events.
fn legs() -> (LegParams, LegParams) {
    let event = |pt| {
        Some(TelephoneEvent {
            heard: pt,
            sent: pt,
            clock: 8000,
        })
    };
    let conversion = |from, arriving, to, payload_type| {
        Some(Box::new(Conversion {
            from: vec![(arriving, from)],
            to,
            payload_type,
        }))
    };
    let a = LegParams {
        pt_map: PtMap::empty(),
        conversion: conversion(Speech::G722, 9, ULAW, 0),
        telephone_event: event(96),
        ..plain(1)
    };
    let b = LegParams {
        pt_map: PtMap::empty(),
        conversion: conversion(ULAW, 0, Speech::G722, 9),
        telephone_event: event(101),
        ..secure(2, 10, 20)
    };
    (a, b)
}

/// A packet of `payload_type` with this payload.
fn sound(payload_type: u8, index: u64, payload: &[u8]) -> Vec<u8> {
    let mut packet = with_payload_type(packet(7, index), payload_type);
    packet.truncate(12);
    packet.extend(payload);
    packet
}

impl World {
    /// Hands over a packet that must be converted.
    fn ticket(&mut self, n: u64, datagram: &[u8]) -> (Ticket, Vec<u8>) {
        let mut buf = datagram.to_vec();
        buf.resize(datagram.len() + TAILROOM, 0xcc);
        let arrival = Arrival {
            ports: PortPairId(n as u32),
            rtcp: false,
            source: party(n),
        };
        match self
            .relay
            .forward(self.now, &arrival, &mut buf, datagram.len())
        {
            Verdict::Convert(ticket) => (ticket, buf),
            other @ (Verdict::Drop(_) | Verdict::Send(_)) => panic!("{other:?}"),
        }
    }

    /// Converts and carries on.
    fn converted(&mut self, ticket: &Ticket, buf: &mut Vec<u8>) -> Result<Transmit, DropReason> {
        self.converter.convert(ticket, buf);
        match self.relay.handle_converted(self.now, ticket, buf) {
            Verdict::Send(transmit) => {
                buf.truncate(transmit.len);
                Ok(transmit)
            }
            Verdict::Drop(reason) => Err(reason),
            other @ Verdict::Convert(_) => panic!("{other:?}"),
        }
    }
}

fn sine(n: u64) -> Vec<i16> {
    let sample = |at: u64| {
        let phase = std::f64::consts::TAU * 440.0 * at as f64 / 8000.0;
        (8000.0 * phase.sin()) as i16
    };
    (n * 160..(n + 1) * 160).map(sample).collect()
}

#[test]
fn speech_arrives_in_the_codec_of_the_other_leg_in_its_place() {
    let (a, b) = legs();
    let mut world = World::joined(a, b);
    let mut reader = context(20);
    let mut decoder = voice::g722::Decoder::default();
    let (mut power, mut error) = (0.0, 0.0);
    for n in 0..100 {
        world.pass_ms(20);
        let samples = sine(n);
        let payload: Vec<u8> = samples.iter().map(|s| Law::Ulaw.encode(*s)).collect();
        let (ticket, mut buf) = world.ticket(1, &sound(0, 65_500 + n, &payload));
        assert_eq!((ticket.packet_len(), ticket.payload()), (172, 12..172));
        let transmit = world.converted(&ticket, &mut buf).unwrap();
        assert_eq!((transmit.ports, transmit.to), (PortPairId(2), party(2)));
        let seen = reader.decrypt_rtp(&buf).unwrap();
        let head = header(&seen);
        assert_eq!((head.payload_type, head.ssrc), (9, 0x1002));
        let place = ExtendedSequence(65_500 + n).sequence();
        assert_eq!(head.sequence, place);
        assert_eq!(head.timestamp, (65_500 + n as u32) * 160);
        for (octet, sample) in seen[12..].iter().zip(samples) {
            let heard = f64::from(decoder.decode(*octet));
            if n >= 5 {
                power += f64::from(sample).powi(2);
                error += (heard - f64::from(sample)).powi(2);
            }
        }
    }
    let ratio = 10.0 * f64::log10(power / error);
    assert!(ratio > 28.0, "{ratio:.1} dB");
    // Back, from SRTP into the clear.
    let mut writer = context(10);
    let protected = writer.encrypt_rtp(&sound(9, 5, &[0x3e; 160])).unwrap();
    let (ticket, mut buf) = world.ticket(2, &protected);
    world.converted(&ticket, &mut buf).unwrap();
    assert_eq!((header(&buf).payload_type, buf.len()), (0, 172));
    let (a, b) = (world.stats(A), world.stats(B));
    assert_eq!((a.sent, b.sent, a.dropped.total()), (1, 100, 0));
    assert_eq!(b.sent_octets, 16_000);
}

#[test]
fn what_overtakes_speech_keeps_its_place() {
    let (a, b) = legs();
    let mut world = World::joined(a, b);
    let mut reader = context(20);
    let (first, mut speech) = world.ticket(1, &sound(0, 100, &[0xff; 160]));
    let event = world.rtp(1, &sound(96, 101, &[5, 10, 0, 160])).unwrap();
    let seen = reader.decrypt_rtp(&event).unwrap();
    let head = header(&seen);
    assert_eq!((head.payload_type, head.sequence), (101, 101));
    world.converted(&first, &mut speech).unwrap();
    let seen = reader.decrypt_rtp(&speech).unwrap();
    assert_eq!(
        (header(&seen).payload_type, header(&seen).sequence),
        (9, 100)
    );
}

#[test]
fn what_comes_back_too_late_is_dropped_and_counted() {
    let (a, b) = legs();
    let mut world = World::joined(a.clone(), b.clone());
    let ticket = |world: &mut World, index| world.ticket(1, &sound(0, index, &[0xff; 160]));
    // The other leg is held, has agreed on something else, is gone; then this one is.
    let (held, mut buf) = ticket(&mut world, 1);
    let inactive = LegParams {
        send: false,
        ..b.clone()
    };
    world.update(B, inactive);
    assert_eq!(world.converted(&held, &mut buf), Err(DropReason::Direction));
    world.update(B, b.clone());
    let (other, mut buf) = ticket(&mut world, 2);
    let shared = LegParams {
        conversion: None,
        pt_map: PtMap::identity(),
        ..b.clone()
    };
    world.update(B, shared);
    assert_eq!(
        world.converted(&other, &mut buf),
        Err(DropReason::PayloadType)
    );
    assert!(
        world.rtp(1, &sound(0, 3, &[0xff; 160])).is_ok(),
        "nothing to convert now"
    );
    world.update(B, b);
    let (alone, mut buf) = ticket(&mut world, 4);
    world.command(MediaCommand::Split { leg: A });
    assert_eq!(
        world.converted(&alone, &mut buf),
        Err(DropReason::NotJoined)
    );
    world.command(MediaCommand::Join { a: A, b: B });
    let (busy, _) = ticket(&mut world, 5);
    let refused = world.relay.refuse_conversion(&busy);
    assert_eq!(refused, Verdict::Drop(DropReason::ConverterBusy));
    let (gone, mut buf) = ticket(&mut world, 6);
    let dropped = world.stats(A).dropped;
    assert_eq!(dropped[DropReason::ConverterBusy], 1);
    assert_eq!(dropped.total(), 4);
    world.command(MediaCommand::CloseLeg { leg: A });
    assert_eq!(world.converted(&gone, &mut buf), Err(DropReason::NoLeg));
    assert_eq!(world.relay.dropped()[DropReason::NoLeg], 1);
}

/// Packet `n` of a stream of µ-law.
fn payload(n: u64) -> Vec<u8> {
    let samples = sine(n);
    samples.iter().map(|s| Law::Ulaw.encode(*s)).collect()
}

/// What packets become in one stream, of which the first is the beginning.
fn stream(packets: Range<u64>) -> Vec<Vec<u8>> {
    let mut transcoder = Transcoder::default();
    let convert = |n| {
        let mut octets = payload(n);
        transcoder.convert(ULAW, Speech::G722, &mut octets);
        octets
    };
    packets.map(convert).collect()
}

/// Legs as [`legs`] makes them, without SRTP, for the parties `n` and `n + 1`.
fn plain_legs(n: u64) -> (LegParams, LegParams) {
    let (a, b) = legs();
    let with = |n, params: LegParams| LegParams {
        conversion: params.conversion,
        pt_map: params.pt_map,
        ..plain(n)
    };
    (with(n, a), with(n + 1, b))
}

impl World {
    /// What packets of leg `n` become.
    fn carried(&mut self, n: u64, packets: Range<u64>) -> Vec<Vec<u8>> {
        let carry = |packet| {
            self.pass_ms(20);
            let (ticket, mut buf) = self.ticket(n, &sound(0, packet, &payload(packet)));
            self.converted(&ticket, &mut buf).unwrap();
            buf[12..172].to_vec()
        };
        packets.map(carry).collect()
    }
}

#[test]
fn a_stream_goes_on_until_something_else_is_signalled_or_another_leg_takes_its_place() {
    let (a, b) = plain_legs(1);
    let mut world = World::joined(a, b.clone());
    assert_eq!(world.carried(1, 0..10), stream(0..10));
    // The same again, and a hold in between, are no new stream.
    let held = LegParams {
        send: false,
        ..b.clone()
    };
    world.update(B, held);
    world.update(B, b.clone());
    assert_eq!(world.carried(1, 10..20), stream(0..20)[10..]);
    // Another codec and back is.
    let shared = LegParams {
        conversion: None,
        ..b.clone()
    };
    world.update(B, shared);
    world.update(B, b.clone());
    assert_eq!(world.carried(1, 20..30), stream(20..30));
    // So is another leg where that one was.
    world.command(MediaCommand::CloseLeg { leg: B });
    for (n, packets) in [(3, 30..40), (4, 40..50)] {
        let next = LegId(n);
        world.open(next, b.clone());
        world.command(MediaCommand::Join { a: A, b: next });
        assert_eq!(world.carried(1, packets.clone()), stream(packets));
        world.command(MediaCommand::CloseLeg { leg: next });
    }
}

#[test]
fn a_leg_that_moves_to_another_shard_is_converted_for_there() {
    let (a, b) = plain_legs(1);
    let mut here = World::joined(a.clone(), b);
    here.carried(1, 0..10);
    let mut there = World::new();
    there.open(A, a);
    let moving = here.relay.export_leg(B).unwrap();
    there.relay.import_leg(moving);
    there.command(MediaCommand::Join { a: A, b: B });
    assert_eq!(there.carried(1, 10..20), stream(10..20));
}

#[test]
fn streams_of_several_calls_do_not_mix() {
    let (a, b) = plain_legs(1);
    let mut world = World::joined(a, b);
    let (c, d) = plain_legs(3);
    world.open(LegId(3), c);
    world.open(LegId(4), d);
    world.command(MediaCommand::Join {
        a: LegId(3),
        b: LegId(4),
    });
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for n in 0..20 {
        first.extend(world.carried(1, n..n + 1));
        second.extend(world.carried(3, 50 + n..51 + n));
    }
    assert_eq!((first, second), (stream(0..20), stream(50..70)));
}
