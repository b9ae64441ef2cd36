//! Random operations against a model that knows only what must hold.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Close(u64),
    Join(u64, u64),
    Open(u64),
    Packet { leg: u64, skip: u64, stranger: bool },
    Source(u64, bool),
    Split(u64),
    Time(u64),
    Update { leg: u64, send: bool, receive: bool },
}

const LEGS: u64 = 4;

fn op() -> impl Strategy<Value = Op> {
    let leg = 1..=LEGS;
    prop_oneof![
        1 => leg.clone().prop_map(Op::Close),
        3 => (leg.clone(), leg.clone()).prop_map(|(a, b)| Op::Join(a, b)),
        4 => leg.clone().prop_map(Op::Open),
        20 => (leg.clone(), prop_oneof![9 => Just(0u64), 1 => 1..10u64], any::<bool>())
            .prop_map(|(leg, skip, stranger)| Op::Packet { leg, skip, stranger }),
        1 => (leg.clone(), any::<bool>()).prop_map(|(leg, on)| Op::Source(leg, on)),
        1 => leg.clone().prop_map(Op::Split),
        2 => (0..3000u64).prop_map(Op::Time),
        1 => (leg, any::<bool>(), any::<bool>())
            .prop_map(|(leg, send, receive)| Op::Update { leg, send, receive }),
    ]
}

/// What the model knows of a leg.
#[derive(Clone, Debug)]
struct Model {
    peer: Option<u64>,
    send: bool,
    receive: bool,
    source: bool,
    last_sequence: Option<u16>,
}

fn params(leg: u64) -> LegParams {
    let tone = Some(ToneCodec {
        law: Law::Ulaw,
        payload_type: 0,
    });
    // Two legs are plain, two are secure.
    let base = if leg <= 2 {
        plain(leg)
    } else {
        secure(leg, leg as u8, 10 + leg as u8)
    };
    LegParams { tone, ..base }
}

struct Parties {
    next: [u64; 5],
    out: Vec<Context>,
}

impl Parties {
    fn new() -> Self {
        Self {
            next: [0; 5],
            out: (0..=LEGS as u8).map(context).collect(),
        }
    }

    fn speak(&mut self, leg: u64, skip: u64) -> Vec<u8> {
        let next = &mut self.next[leg as usize];
        *next += 1 + skip;
        let packet = packet(leg as u32, *next);
        if leg <= 2 {
            packet
        } else {
            self.out[leg as usize]
                .encrypt_rtp(&packet)
                .unwrap()
                .to_vec()
        }
    }
}

fn note_sent(models: &mut [Option<Model>; 5], leg: u64, datagram: &[u8]) {
    let head = header(datagram);
    assert_eq!(
        head.ssrc,
        0x1000 + leg as u32,
        "the SSRC towards a leg never changes"
    );
    let model = models[leg as usize].as_mut().unwrap();
    let last = model.last_sequence.replace(head.sequence);
    if let Some(last) = last {
        assert!(
            (1..=3000).contains(&head.sequence.wrapping_sub(last)),
            "sequence numbers go on"
        );
    }
}

fn check(ops: Vec<Op>) {
    let mut world = World::new();
    let mut parties = Parties::new();
    let mut models: [Option<Model>; 5] = Default::default();
    let unjoin = |models: &mut [Option<Model>; 5], leg: u64| {
        let peer = models[leg as usize]
            .as_mut()
            .and_then(|model| model.peer.take());
        if let Some(peer) = peer.and_then(|peer| models[peer as usize].as_mut()) {
            peer.peer = None;
        }
    };
    for op in ops {
        match op {
            Op::Open(leg) => {
                world.open(LegId(leg), params(leg));
                models[leg as usize].get_or_insert(Model {
                    peer: None,
                    send: true,
                    receive: true,
                    source: false,
                    last_sequence: None,
                });
            }
            Op::Close(leg) => {
                world.command(MediaCommand::CloseLeg { leg: LegId(leg) });
                unjoin(&mut models, leg);
                models[leg as usize] = None;
                // The next leg of this name is a new call with new keys.
                parties.out[leg as usize] = context(leg as u8);
            }
            Op::Join(a, b) => {
                world.command(MediaCommand::Join {
                    a: LegId(a),
                    b: LegId(b),
                });
                if a != b && models[a as usize].is_some() && models[b as usize].is_some() {
                    for (leg, peer) in [(a, b), (b, a)] {
                        unjoin(&mut models, leg);
                        let _ = peer;
                    }
                    models[a as usize].as_mut().unwrap().peer = Some(b);
                    models[b as usize].as_mut().unwrap().peer = Some(a);
                }
            }
            Op::Split(leg) => {
                world.command(MediaCommand::Split { leg: LegId(leg) });
                unjoin(&mut models, leg);
            }
            Op::Source(leg, on) => {
                let source = if on { Source::Silence } else { Source::Off };
                world.command(MediaCommand::Source {
                    leg: LegId(leg),
                    source,
                });
                if let Some(model) = models[leg as usize].as_mut() {
                    model.source = on;
                }
            }
            Op::Update { leg, send, receive } => {
                world.update(
                    LegId(leg),
                    LegParams {
                        send,
                        receive,
                        ..params(leg)
                    },
                );
                if let Some(model) = models[leg as usize].as_mut() {
                    (model.send, model.receive) = (send, receive);
                }
            }
            Op::Time(millis) => {
                for (_, transmit, datagram) in world.run(Duration::from_millis(millis)) {
                    if !transmit.rtcp {
                        note_sent(&mut models, transmit.ports.0.into(), &datagram);
                    }
                }
            }
            Op::Packet {
                leg,
                skip,
                stranger,
            } => {
                world.pass_ms(1);
                let datagram = parties.speak(leg, skip);
                let spoof = SocketAddr::from(([203, 0, 113, 1], 1));
                let source = if stranger { spoof } else { party(leg) };
                let result = world.give(leg, false, source, &datagram);
                let model = models[leg as usize].clone();
                let peer = model.as_ref().and_then(|model| model.peer);
                let expected = match (&model, peer.and_then(|peer| models[peer as usize].clone())) {
                    (None, _) => Err(DropReason::NoLeg),
                    (Some(_), _) if stranger && leg <= 2 => Err(DropReason::Stranger),
                    (Some(model), _) if !model.receive => Err(DropReason::Direction),
                    (Some(_), None) => Err(DropReason::NotJoined),
                    (Some(_), Some(peer)) if !peer.send => Err(DropReason::Direction),
                    (Some(_), Some(peer)) if peer.source => Err(DropReason::Replaced),
                    (Some(_), Some(_)) => Ok(()),
                };
                assert_eq!(
                    result.as_ref().map(|_| ()).map_err(|reason| *reason),
                    expected
                );
                if let Ok((transmit, datagram)) = result {
                    assert_eq!(u64::from(transmit.ports.0), peer.unwrap());
                    note_sent(&mut models, peer.unwrap(), &datagram);
                }
            }
        }
        assert_eq!(world.relay.len(), models.iter().flatten().count());
        world.events();
    }
}

proptest! {
    #[test]
    fn random_operations_agree_with_the_model(ops in proptest::collection::vec(op(), 1..200)) {
        check(ops);
    }

    #[test]
    fn any_datagram_is_carried_or_counted(
        datagrams in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), 0x80u8..0xc0,
             proptest::collection::vec(any::<u8>(), 0..100)),
            1..50,
        ),
    ) {
        let a = LegParams { rtcp_mux: true, telephone_event: Some(TelephoneEvent { heard: 101, sent: 101, clock: 8000 }), ..plain(1) };
        let mut world = World::joined(a, secure(2, 1, 2));
        for (leg, rtcp, first, mut bytes) in datagrams {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let n = if leg { 2 } else { 1 };
            let before = world.stats(LegId(n)).dropped.total();
            let result = world.give(n, rtcp, party(n), &bytes);
            let after = world.stats(LegId(n)).dropped.total();
            prop_assert_eq!(after - before, u64::from(result.is_err()));
        }
    }
}
