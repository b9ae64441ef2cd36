//! The program that chooses the socket of a datagram, instruction by instruction.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use super::{Allowance, Family, Range};
use crate::sys::bpf::{Alu, Assembler, AssemblyError, Helper, If, Label, Map, Reg, Size};
use crate::sys::table::{Entry, PEERS};

/// Nanoseconds of a tick are two to this: about a millisecond, so that 32 bits last 52 days.
const TICK: i32 = 20;

/// `struct bpf_sk_lookup`.
mod ctx {
    pub(super) const FAMILY: i16 = 8;
    pub(super) const PROTOCOL: i16 = 12;
    pub(super) const REMOTE_IP4: i16 = 16;
    pub(super) const REMOTE_IP6: i16 = 20;
    pub(super) const REMOTE_PORT: i16 = 36;
    pub(super) const LOCAL_IP4: i16 = 40;
    pub(super) const LOCAL_IP6: i16 = 44;
    pub(super) const LOCAL_PORT: i16 = 60;
}

/// Odd numbers nobody knows, by which an address of IPv6 with its port becomes a number. That two
/// peers become the same one matters little: the second would be taken for a peer, as far as the
/// allowance goes and no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixer {
    high: u64,
    low: u64,
    port: u64,
}

impl Mixer {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        let [high, low, port] = [1u8, 2, 3].map(|salt| state.hash_one(salt) | 1);
        Self { high, low, port }
    }

    /// The number of a peer, as the program computes it from a datagram's source.
    pub(super) fn key(self, peer: SocketAddr) -> u64 {
        let port = u64::from(peer.port().to_be());
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => u64::from(u32::from_ne_bytes(ip.octets())) << 16 | port,
            IpAddr::V6(ip) => {
                let octets = ip.octets();
                let word = |n: usize| {
                    let word: [u8; 4] = std::array::from_fn(|at| octets[4 * n + at]);
                    u64::from(u32::from_ne_bytes(word))
                };
                let (high, low) = (word(0) << 32 | word(1), word(2) << 32 | word(3));
                let key = high.wrapping_mul(self.high);
                let key = key.wrapping_add(low.wrapping_mul(self.low));
                key.wrapping_add(port.wrapping_mul(self.port))
            }
        }
    }
}

/// What the program is made of.
pub(super) struct Program<'a> {
    pub(super) ranges: &'a [Range],
    pub(super) ports: &'a Map,
    pub(super) sockets: &'a Map,
    /// Where the sockets for what is turned away begin.
    pub(super) sinks: i32,
    pub(super) mixer: Mixer,
    pub(super) allowance: Allowance,
}

/// Where the program goes on.
struct Labels {
    /// The kernel shall look for a socket itself.
    pass: Label,
    /// The port's place is in R8, the peer's number in R9, the family (0 or 1) in R7.
    found: Label,
}

impl Program<'_> {
    /// R6 is the context all along.
    pub(super) fn assemble(&self) -> Result<Vec<u64>, AssemblyError> {
        let mut code = Assembler::new();
        let labels = Labels {
            pass: code.label(),
            found: code.label(),
        };
        // The kernel takes no program with instructions that nothing leads to.
        let [v4, v6] = [Family::V4, Family::V6].map(|family| {
            let serves = |range: &Range| Family::of(range.address) == family;
            let served = self.ranges.iter().any(serves);
            served.then(|| code.label())
        });
        code.alu(Alu::Mov, Reg::R6, Reg::R1);
        code.load(Size::Word, Reg::R2, Reg::R6, ctx::PROTOCOL);
        code.jump_if_word(If::Differs, Reg::R2, libc::IPPROTO_UDP as u32, labels.pass);
        code.load(Size::Word, Reg::R8, Reg::R6, ctx::LOCAL_PORT);
        code.load(Size::Word, Reg::R2, Reg::R6, ctx::FAMILY);
        for (family, label) in [(libc::AF_INET, v4), (libc::AF_INET6, v6)] {
            if let Some(label) = label {
                code.jump_if_word(If::Equal, Reg::R2, family as u32, label);
            }
        }
        code.jump(labels.pass);
        if let Some(v4) = v4 {
            code.place(v4);
            self.find_v4(&mut code, &labels);
        }
        if let Some(v6) = v6 {
            code.place(v6);
            self.find_v6(&mut code, &labels);
        }
        code.place(labels.found);
        self.choose(&mut code, &labels);
        code.place(labels.pass);
        code.alu_imm(Alu::Mov, Reg::R0, 1); // SK_PASS
        code.exit();
        code.finish()
    }

    fn find_v4(&self, code: &mut Assembler, labels: &Labels) {
        code.load(Size::Word, Reg::R2, Reg::R6, ctx::LOCAL_IP4);
        let here = code.label();
        for range in self.ranges {
            let IpAddr::V4(ip) = range.address else {
                continue;
            };
            let other = code.label();
            if !ip.is_unspecified() {
                let word = u32::from_ne_bytes(ip.octets());
                code.jump_if_word(If::Differs, Reg::R2, word, other);
            }
            in_range(code, range, other, here);
            code.place(other);
        }
        code.jump(labels.pass);
        code.place(here);
        code.load(Size::Word, Reg::R9, Reg::R6, ctx::REMOTE_IP4);
        code.alu_imm(Alu::Shl, Reg::R9, 16);
        code.load(Size::Half, Reg::R2, Reg::R6, ctx::REMOTE_PORT);
        code.alu(Alu::Or, Reg::R9, Reg::R2);
        code.alu_imm(Alu::Mov, Reg::R7, 0);
        code.jump(labels.found);
    }

    fn find_v6(&self, code: &mut Assembler, labels: &Labels) {
        let words = [Reg::R2, Reg::R3, Reg::R4, Reg::R5];
        for (n, word) in (0..).zip(words) {
            code.load(Size::Word, word, Reg::R6, ctx::LOCAL_IP6 + 4 * n);
        }
        let here = code.label();
        for range in self.ranges {
            let IpAddr::V6(ip) = range.address else {
                continue;
            };
            let other = code.label();
            if !ip.is_unspecified() {
                let octets = ip.octets();
                for (n, word) in words.into_iter().enumerate() {
                    let wanted: [u8; 4] = std::array::from_fn(|at| octets[4 * n + at]);
                    code.jump_if_word(If::Differs, word, u32::from_ne_bytes(wanted), other);
                }
            }
            in_range(code, range, other, here);
            code.place(other);
        }
        code.jump(labels.pass);
        code.place(here);
        self.mix(code);
        code.alu_imm(Alu::Mov, Reg::R7, 1);
        code.jump(labels.found);
    }

    /// The number of a peer of IPv6 into R9; see [`Mixer::key`].
    fn mix(&self, code: &mut Assembler) {
        let two_words = |code: &mut Assembler, to: Reg, at: i16| {
            code.load(Size::Word, to, Reg::R6, at);
            code.alu_imm(Alu::Shl, to, 32);
            code.load(Size::Word, Reg::R5, Reg::R6, at + 4);
            code.alu(Alu::Or, to, Reg::R5);
        };
        two_words(code, Reg::R9, ctx::REMOTE_IP6);
        code.load_imm(Reg::R3, self.mixer.high);
        code.alu(Alu::Mul, Reg::R9, Reg::R3);
        two_words(code, Reg::R2, ctx::REMOTE_IP6 + 8);
        code.load_imm(Reg::R3, self.mixer.low);
        code.alu(Alu::Mul, Reg::R2, Reg::R3);
        code.alu(Alu::Add, Reg::R9, Reg::R2);
        code.load(Size::Half, Reg::R2, Reg::R6, ctx::REMOTE_PORT);
        code.load_imm(Reg::R3, self.mixer.port);
        code.alu(Alu::Mul, Reg::R2, Reg::R3);
        code.alu(Alu::Add, Reg::R9, Reg::R2);
    }

    /// Looks at the port and gives the datagram to its shard, or to a sink.
    fn choose(&self, code: &mut Assembler, labels: &Labels) {
        let [take, peer, away, select] = std::array::from_fn(|_| code.label());
        look_up(code, self.ports, Reg::R8);
        code.jump_if_imm(If::Equal, Reg::R0, 0, labels.pass);
        code.alu(Alu::Mov, Reg::R8, Reg::R0);
        code.load(Size::Word, Reg::R1, Reg::R8, offset::STATE);
        code.jump_if_imm(If::Equal, Reg::R1, 0, labels.pass);
        for n in 0..PEERS as i16 {
            code.load(Size::Double, Reg::R2, Reg::R8, offset::PEERS + 8 * n);
            code.jump_if(If::Equal, Reg::R2, Reg::R9, peer);
        }
        let strangers = Purse {
            left: offset::STRANGERS,
            since: offset::STRANGERS_SINCE,
            full: self.allowance.strangers,
            ticks: ticks(20),
        };
        strangers.spend(code, take, away);
        code.place(peer);
        let peers = Purse {
            left: offset::KNOWN,
            since: offset::KNOWN_SINCE,
            full: self.allowance.peers,
            ticks: ticks(100),
        };
        peers.spend(code, take, away);

        code.place(take);
        code.load(Size::Word, Reg::R1, Reg::R8, offset::STATE);
        // Closed a moment ago: the place of no socket, which is passed below.
        code.alu_imm(Alu::Sub, Reg::R1, 1);
        code.alu_imm(Alu::Shl, Reg::R1, 1);
        code.jump(select);
        code.place(away);
        code.alu_imm(Alu::Mov, Reg::R1, 1);
        code.atomic_add(Reg::R8, offset::TURNED_AWAY, Reg::R1);
        code.alu_imm(Alu::Mov, Reg::R1, self.sinks);
        code.place(select);
        code.alu(Alu::Add, Reg::R1, Reg::R7);
        look_up(code, self.sockets, Reg::R1);
        code.jump_if_imm(If::Equal, Reg::R0, 0, labels.pass);
        code.alu(Alu::Mov, Reg::R7, Reg::R0);
        code.alu(Alu::Mov, Reg::R1, Reg::R6);
        code.alu(Alu::Mov, Reg::R2, Reg::R7);
        code.alu_imm(Alu::Mov, Reg::R3, 0);
        code.call(Helper::SkAssign);
        code.alu(Alu::Mov, Reg::R1, Reg::R7);
        code.call(Helper::SkRelease);
    }
}

/// Where the fields of an [`Entry`] are.
mod offset {
    use std::mem::offset_of;

    use super::Entry;

    pub(super) const STATE: i16 = offset_of!(Entry, state) as i16;
    pub(super) const STRANGERS: i16 = offset_of!(Entry, strangers) as i16;
    pub(super) const STRANGERS_SINCE: i16 = offset_of!(Entry, strangers_since) as i16;
    pub(super) const KNOWN: i16 = offset_of!(Entry, known) as i16;
    pub(super) const KNOWN_SINCE: i16 = offset_of!(Entry, known_since) as i16;
    pub(super) const TURNED_AWAY: i16 = offset_of!(Entry, turned_away) as i16;
    pub(super) const PEERS: i16 = offset_of!(Entry, peers) as i16;
}

/// Milliseconds as ticks, rounded up.
const fn ticks(millis: u64) -> u32 {
    (millis * 1_000_000).div_ceil(1 << TICK) as u32
}

/// Goes on at `here` with the port's place in the array in R8, if R8 is a port of the range.
fn in_range(code: &mut Assembler, range: &Range, other: Label, here: Label) {
    let (first, last) = (*range.ports.start(), *range.ports.end());
    code.jump_if_word(If::Less, Reg::R8, first.into(), other);
    code.jump_if_word(If::Greater, Reg::R8, last.into(), other);
    // At most 256 ranges of 65,536 ports: this fits.
    code.alu_imm(Alu::Add, Reg::R8, range.base as i32 - i32::from(first));
    code.jump(here);
}

/// Looks up the number in `key` in `map`; the value's address, or zero, is in R0.
fn look_up(code: &mut Assembler, map: &Map, key: Reg) {
    code.store(Size::Word, Reg::R10, -4, key);
    code.load_map(Reg::R1, map);
    code.alu(Alu::Mov, Reg::R2, Reg::R10);
    code.alu_imm(Alu::Add, Reg::R2, -4);
    code.call(Helper::MapLookup);
}

/// An allowance in the entry that R8 points to.
struct Purse {
    left: i16,
    since: i16,
    full: u32,
    ticks: u32,
}

impl Purse {
    /// Takes one and goes on at `take`; where none is left and it is too early for more, at `away`.
    /// Two processors at once may take the same one: that is one datagram more, and no harm.
    fn spend(&self, code: &mut Assembler, take: Label, away: Label) {
        let enough = code.label();
        code.load(Size::Word, Reg::R2, Reg::R8, self.left);
        code.jump_if_imm(If::Differs, Reg::R2, 0, enough);
        code.call(Helper::CoarseTime);
        code.alu_imm(Alu::Shr, Reg::R0, TICK);
        code.alu(Alu::Mov, Reg::R3, Reg::R0);
        code.load(Size::Word, Reg::R2, Reg::R8, self.since);
        code.alu32(Alu::Sub, Reg::R3, Reg::R2);
        code.jump_if_word(If::Less, Reg::R3, self.ticks, away);
        code.store(Size::Word, Reg::R8, self.since, Reg::R0);
        code.alu_imm(
            Alu::Mov,
            Reg::R2,
            self.full.clamp(1, i32::MAX as u32) as i32,
        );
        code.place(enough);
        code.alu_imm(Alu::Sub, Reg::R2, 1);
        code.store(Size::Word, Reg::R8, self.left, Reg::R2);
        code.jump(take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_become_different_numbers() {
        let mixer = Mixer::random();
        let peers = [
            "192.0.2.1:4000",
            "192.0.2.1:4001",
            "192.0.2.2:4000",
            "[2001:db8::1]:4000",
            "[2001:db8::1]:4001",
            "[2001:db8::2]:4000",
            "[2001:db8:1::1]:4000",
        ];
        let keys: std::collections::BTreeSet<u64> = peers
            .iter()
            .map(|peer| mixer.key(peer.parse().unwrap()))
            .collect();
        assert_eq!(keys.len(), peers.len());
        let mapped = mixer.key("[::ffff:192.0.2.1]:4000".parse().unwrap());
        assert_eq!(mapped, mixer.key("192.0.2.1:4000".parse().unwrap()));
    }
}
