//! The pairs of ports of a shard whose datagrams are steered to it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use media_relay::{Fetch, PortPair, PortPairId, ShardId, Slots};

use super::Common;
use super::reserve::Hold;
use crate::MediaIoConfig;
use crate::link::next_hop::HopId;
use crate::ports::Range;
use crate::sys::steer::Port;

/// The place of no pair.
const NONE: u32 = u32::MAX;

/// A pair of ports; dropping it closes them.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(super) ports: PortPair,
    pub(super) rtp: Half,
    pub(super) rtcp: Half,
    _hold: Hold,
}

/// One port of a pair.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) port: Port,
    /// Whom packets were last carried from.
    pub(super) heard: Option<SocketAddr>,
    /// The way to whom was last sent to, as this shard knows it.
    pub(super) way: Option<Leaving>,
    /// Datagrams turned away that have been told of.
    told: u64,
}

/// How packets leave a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// Whom they are for.
    pub(super) to: IpAddr,
    /// The address that they leave from.
    pub(super) from: IpAddr,
    pub(super) hop: Option<HopId>,
}

impl Leaving {
    /// From an address of this host or, where it is unspecified, from the one that the kernel
    /// would choose. `None` where there is no way.
    pub(super) fn new(mut from: IpAddr, to: SocketAddr) -> Option<Self> {
        if from.is_unspecified() {
            // Connecting sends nothing, and asks just that.
            let socket = UdpSocket::bind((from, 0)).ok()?;
            socket.connect(to).ok()?;
            from = socket.local_addr().ok()?.ip();
        }
        let (to, hop) = (to.ip(), None);
        Some(Self { to, from, hop })
    }
}

impl Half {
    fn new(port: Port) -> Self {
        let told = port.turned_away();
        Self {
            port,
            heard: None,
            way: None,
            told,
        }
    }

    /// Forgets whom it heard and how it answered; whether there was somebody.
    pub(super) fn forget_peer(&mut self) -> bool {
        self.way = None;
        self.port.set_heard(None);
        self.heard.take().is_some()
    }

    fn turned_away(&mut self) -> u64 {
        let all = self.port.turned_away();
        all - std::mem::replace(&mut self.told, all)
    }
}

impl Pair {
    pub(super) fn half(&mut self, rtcp: bool) -> &mut Half {
        if rtcp { &mut self.rtcp } else { &mut self.rtp }
    }

    pub(super) fn local(&self, rtcp: bool) -> SocketAddr {
        if rtcp {
            self.ports.rtcp()
        } else {
            self.ports.rtp()
        }
    }

    /// Datagrams turned away since this was last asked.
    pub(super) fn turned_away(&mut self) -> u64 {
        self.rtp.turned_away() + self.rtcp.turned_away()
    }

    /// Has both ports lead to a shard.
    pub(super) fn move_to(&mut self, shard: ShardId) {
        for half in [&mut self.rtp, &mut self.rtcp] {
            half.way = None;
            half.port.move_to(shard.0);
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.rtp.port.close();
        self.rtcp.port.close();
    }
}

/// The pairs of one shard, found by number and by port.
pub(super) struct Pairs {
    shard: ShardId,
    ranges: Vec<Served>,
    slots: Vec<Option<Pair>>,
    /// The numbers of the pairs, close together.
    ids: Vec<PortPairId>,
    free: Vec<u32>,
    by_id: Slots,
    /// Pairs bound so far: the number of the next one.
    numbers: u32,
    /// Where the survey goes on.
    surveyed: usize,
}

/// A range, and the slots of its pairs by their first port.
struct Served {
    range: Range,
    first: u16,
    slots: Vec<u32>,
}

impl Pairs {
    pub(super) fn new(shard: ShardId, config: &MediaIoConfig) -> Self {
        let serve = |interface: &crate::MediaInterface| {
            let first = (*interface.ports.start()).next_multiple_of(2);
            let pairs = interface.ports.end().saturating_sub(first).div_ceil(2);
            Served {
                range: Range::new(interface.clone(), shard, config.shards),
                first,
                slots: vec![NONE; pairs.into()],
            }
        };
        Self {
            shard,
            ranges: config.interfaces.iter().map(serve).collect(),
            slots: Vec::new(),
            ids: Vec::new(),
            free: Vec::new(),
            by_id: Slots::default(),
            numbers: 0,
            surveyed: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn slot(&self, ports: PortPairId) -> Option<u32> {
        self.by_id.get(ports)
    }

    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Pair> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The number of the pair that a port belongs to.
    pub(super) fn ports_at(&self, port: SocketAddr) -> Option<PortPairId> {
        let (slot, _) = self.at(port)?;
        self.ids.get(slot as usize).copied()
    }

    /// Names what sending from a pair, or receiving for it, reads.
    pub(super) fn foresee(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        // Whether it holds a pair is not looked at: that would wait for it.
        let slot = self.slot(ports).map(|slot| slot as usize);
        if let Some(slot) = slot.and_then(|slot| self.slots.get(slot)) {
            fetch.fetch(slot);
        }
    }

    pub(super) fn by_id(&mut self, ports: PortPairId) -> Option<&mut Pair> {
        let slot = self.slot(ports)?;
        self.get(slot)
    }

    /// The slot of the pair that a port belongs to, and whether it is that of RTCP.
    pub(super) fn at(&self, port: SocketAddr) -> Option<(u32, bool)> {
        let serves = |served: &&Served| {
            let interface = &served.range.interface;
            let any = interface.bind.is_unspecified() && interface.bind.is_ipv4() == port.is_ipv4();
            (any || interface.bind == port.ip()) && interface.ports.contains(&port.port())
        };
        let served = self.ranges.iter().find(serves)?;
        let place = port.port().checked_sub(served.first)?;
        let slot = *served.slots.get(usize::from(place / 2))?;
        (slot != NONE).then_some((slot, place % 2 == 1))
    }

    /// Takes the next pair of an interface that nobody has, and opens it.
    pub(super) fn bind(&mut self, interface: u16, common: &Common) -> io::Result<PortPair> {
        let mut ranges = self.ranges.iter_mut().enumerate();
        let found = ranges.find(|(_, served)| served.range.interface.id == interface);
        let (place, served) = found.ok_or(io::ErrorKind::NotFound)?;
        let address = served.range.interface.bind;
        for _ in 0..served.range.len() {
            let port = served.range.next();
            // One that is open is this process's own. Looked at first: to ask the system takes time,
            // and in a range that is used up all are to be asked for.
            let half = |port| common.steering.port(place, port).map(Half::new);
            let (Some(rtp), Some(rtcp)) = (half(port), half(port + 1)) else {
                continue;
            };
            if rtp.port.shard().is_some() {
                continue;
            }
            let hold = match common.blocks.reserve(address, served.first, port) {
                Ok(hold) => hold,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => {
                    served.range.back(port);
                    return Err(error);
                }
            };
            let ports = PortPair {
                id: PortPairId(u32::from(self.shard.0) << 24 | self.numbers & 0x00ff_ffff),
                shard: self.shard,
                interface,
                address,
                port,
            };
            self.numbers = self.numbers.wrapping_add(1);
            for half in [&rtp, &rtcp] {
                half.port.open(self.shard.0);
            }
            let _hold = hold;
            self.insert(Pair {
                ports,
                rtp,
                rtcp,
                _hold,
            });
            return Ok(ports);
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    pub(super) fn insert(&mut self, pair: Pair) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.ids.push(pair.ports.id);
            u32::try_from(self.slots.len() - 1).expect("pairs are bounded far below 2^32")
        });
        if let Some(place) = self.place(&pair.ports) {
            *place = slot;
        }
        self.by_id.insert(pair.ports.id, slot);
        self.ids[slot as usize] = pair.ports.id;
        self.slots[slot as usize] = Some(pair);
    }

    pub(super) fn remove(&mut self, ports: PortPairId) -> Option<Pair> {
        let slot = self.by_id.remove(ports)?;
        let pair = self.slots.get_mut(slot as usize)?.take()?;
        if let Some(place) = self.place(&pair.ports) {
            *place = NONE;
        }
        self.free.push(slot);
        Some(pair)
    }

    /// Some of the pairs, the next ones each time.
    pub(super) fn some(&mut self, number: usize) -> impl Iterator<Item = &mut Pair> {
        if self.surveyed >= self.slots.len() {
            self.surveyed = 0;
        }
        let from = self.surveyed;
        self.surveyed += number;
        let rest = self.slots.iter_mut().skip(from);
        rest.take(number).flatten()
    }

    fn place(&mut self, ports: &PortPair) -> Option<&mut u32> {
        let mut ranges = self.ranges.iter_mut();
        let served = ranges.find(|served| served.range.interface.id == ports.interface)?;
        let place = ports.rtp().port().checked_sub(served.first)? / 2;
        served.slots.get_mut(usize::from(place))
    }
}
