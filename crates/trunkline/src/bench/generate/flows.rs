//! What comes back, flow by flow.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use webrtc_srtp::context::Context;

use super::packet::{self, ALL};
use super::side;
use crate::bench::wire::{Key, Plan};

/// A packet of ours that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The packet that `call` was sent in this round.
    Packet { call: usize, round: u64 },
    /// The same once more.
    Again,
    /// Not what was sent, or from a port of no call.
    Wrong,
}

/// What one side hears of each call.
pub(super) struct Flows {
    /// The side that sent what this one hears.
    sender: usize,
    sender_seals: bool,
    flows: Vec<Flow>,
    /// For each address of the relay, the call of each port.
    ports: Vec<(IpAddr, Vec<u32>)>,
    verify: u64,
    /// Packets until the next one is verified.
    next: u64,
    /// Packets that were verified.
    pub(super) verified: u64,
}

struct Flow {
    key: Option<Key>,
    /// Made when the first packet has come.
    context: Option<Context>,
    last: Option<Last>,
}

/// The latest round heard of a flow.
#[derive(Clone, Copy)]
struct Last {
    round: u64,
    sequence: u16,
    /// Which of the 128 rounds up to this one were heard; the lowest bit is this one.
    seen: u128,
}

const NOBODY: u32 = u32::MAX;

impl Flows {
    /// What `side` hears of the calls of a plan.
    pub(super) fn new(side: usize, plan: &Plan) -> Self {
        let sender = 1 - side;
        let mut all = Self {
            sender,
            sender_seals: plan.kind.secure()[sender],
            flows: Vec::with_capacity(plan.calls.len()),
            ports: Vec::new(),
            verify: 1,
            next: 0,
            verified: 0,
        };
        for (number, call) in plan.calls.iter().enumerate() {
            let (from, key) = [(call.a, &call.key_a), (call.b, &call.key_b)][side];
            all.flows.push(Flow {
                key: key.clone(),
                context: None,
                last: None,
            });
            all.table(from.ip())[usize::from(from.port())] = number as u32;
        }
        all
    }

    /// Verifies every n-th packet from now on.
    pub(super) fn verify_every(&mut self, verify: u64) {
        self.verify = verify.max(1);
        self.next = 0;
        self.verified = 0;
    }

    fn table(&mut self, address: IpAddr) -> &mut [u32] {
        let at = match self.ports.iter().position(|(ip, _)| *ip == address) {
            Some(at) => at,
            None => {
                self.ports.push((address, vec![NOBODY; 1 << 16]));
                self.ports.len() - 1
            }
        };
        &mut self.ports[at].1
    }

    /// Takes a datagram.
    pub(super) fn hear(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<Heard> {
        let table = self.ports.iter().find(|(ip, _)| *ip == source.ip());
        let call = table.map_or(NOBODY, |(_, calls)| calls[usize::from(source.port())]);
        let (Some(sequence), true) = (packet::sequence_of(datagram), call != NOBODY) else {
            return Ok(Heard::Wrong);
        };
        let number = call as usize;
        self.next = self.next.saturating_sub(1);
        let last = self.flows[number].last;
        let verified = if last.is_none() || self.next == 0 {
            self.next = self.verify;
            match self.verify(number, datagram)? {
                Some(round) => Some(round),
                None => return Ok(Heard::Wrong),
            }
        } else {
            None
        };
        let flow = &mut self.flows[number];
        let Some(last) = &mut flow.last else {
            let round = verified.unwrap_or_default();
            flow.last = Some(Last {
                round,
                sequence,
                seen: 1,
            });
            return Ok(Heard::Packet {
                call: number,
                round,
            });
        };
        let ahead = i64::from(sequence.wrapping_sub(last.sequence) as i16);
        let round = last.round.wrapping_add_signed(ahead);
        if verified.is_some_and(|verified| verified != round) {
            return Ok(Heard::Wrong);
        }
        Ok(if last.takes(ahead, round, sequence) {
            Heard::Packet {
                call: number,
                round,
            }
        } else {
            Heard::Again
        })
    }

    /// Authenticates a packet and compares all of it; the round it was sent in.
    fn verify(&mut self, call: usize, datagram: &[u8]) -> Result<Option<u64>> {
        let flow = &mut self.flows[call];
        let name = if self.sender_seals { ALL } else { call as u32 };
        self.verified += 1;
        let Some(key) = &flow.key else {
            return Ok(packet::round_of(datagram, self.sender, name)
                .filter(|_| datagram.len() == packet::LEN));
        };
        let context = match &mut flow.context {
            Some(context) => context,
            empty => empty.insert(side::context(key)?),
        };
        let clear = context.decrypt_rtp(datagram).ok();
        Ok(clear.and_then(|clear| packet::round_of(&clear, self.sender, name)))
    }
}

impl Last {
    /// Whether this packet is heard for the first time.
    fn takes(&mut self, ahead: i64, round: u64, sequence: u16) -> bool {
        if ahead > 0 {
            self.seen = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.seen.checked_shl(by))
                .unwrap_or(0)
                | 1;
            (self.round, self.sequence) = (round, sequence);
            return true;
        }
        // What is older than the window cannot be told from what came twice.
        let Some(bit) = 1u128.checked_shl(ahead.unsigned_abs() as u32) else {
            return false;
        };
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::wire::{Call, Kind};

    fn plan(kind: Kind) -> Plan {
        let call = |n: u16| Call {
            a: SocketAddr::from(([127, 0, 0, 1], 10_000 + 2 * n)),
            b: SocketAddr::from(([127, 0, 0, 1], 20_000 + 2 * n)),
            key_a: None,
            key_b: kind.secure()[1].then_some(Key([n as u8; 30])),
        };
        Plan {
            kind,
            calls: (0..3).map(call).collect(),
        }
    }

    fn sent(side: usize, round: u64, name: u32) -> Vec<u8> {
        let mut packet = packet::head(side, round).to_vec();
        packet.extend(name.to_be_bytes());
        packet
    }

    #[test]
    fn packets_are_counted_once_each_in_any_order() {
        let mut flows = Flows::new(1, &plan(Kind::RtpRtp));
        flows.verify_every(2);
        let from = SocketAddr::from(([127, 0, 0, 1], 20_002));
        let packet = |round| Heard::Packet { call: 1, round };
        let rounds = [5, 7, 6, 7, 5, 300, 299, 300, 100];
        let again = [3, 4, 7, 8];
        for (n, round) in rounds.into_iter().enumerate() {
            let heard = flows.hear(from, &sent(0, round, 1)).unwrap();
            let expected = match n {
                _ if again.contains(&n) => Heard::Again,
                _ => packet(round),
            };
            assert_eq!(heard, expected, "{n}: {round}");
        }
        assert!(flows.verified >= 2);
    }

    #[test]
    fn a_packet_of_another_call_side_or_port_is_wrong() {
        let mut flows = Flows::new(1, &plan(Kind::RtpRtp));
        flows.verify_every(1);
        let from = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let wrong = [
            (from(20_000), sent(0, 1, 1)),
            (from(20_000), sent(1, 1, 0)),
            (from(20_001), sent(0, 1, 0)),
            (from(20_000), sent(0, 1, 0)[..171].to_vec()),
            (SocketAddr::from(([127, 0, 0, 2], 20_000)), sent(0, 1, 0)),
        ];
        for (n, (from, packet)) in wrong.iter().enumerate() {
            assert_eq!(flows.hear(*from, packet).unwrap(), Heard::Wrong, "{n}");
        }
        let right = flows.hear(from(20_000), &sent(0, 1, 0)).unwrap();
        assert_eq!(right, Heard::Packet { call: 0, round: 1 });
    }

    #[test]
    fn srtp_is_authenticated_with_the_call_s_own_key() {
        let mut flows = Flows::new(1, &plan(Kind::RtpSrtp));
        flows.verify_every(1);
        let from = SocketAddr::from(([127, 0, 0, 1], 20_004));
        let sealed = |key: u8| {
            let mut context = side::context(&Key([key; 30])).unwrap();
            context.encrypt_rtp(&sent(0, 9, 2)).unwrap()
        };
        assert_eq!(flows.hear(from, &sealed(1)).unwrap(), Heard::Wrong);
        let right = flows.hear(from, &sealed(2)).unwrap();
        assert_eq!(right, Heard::Packet { call: 2, round: 9 });
        let clear = flows.hear(from, &sent(0, 9, 2)).unwrap();
        assert_eq!(clear, Heard::Wrong);
    }
}
