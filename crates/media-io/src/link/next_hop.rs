//! The way to each peer: the interface, and the header of the link in front of the packet.
//!
//! What is known is used without a question, what is not yet known goes by the kernel, which finds
//! out by that. Questions are asked between batches, a few at a time, and again every second.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use media_relay::Moment;
use nix::errno::Errno;

use super::headers::ETHER;
use super::netlink::{Link, LinkKind, Netlink, RouteKind};

/// How long an answer is believed.
pub const BELIEVED: Duration = Duration::from_secs(1);
/// Peers whose way is kept; beyond, those that were not sent to for [`IDLE`] make room, and where
/// there are none, packets go by the kernel.
pub const KEPT: usize = 1 << 16;
/// After this time without a packet a way may be forgotten.
pub const IDLE: Duration = Duration::from_secs(10);
/// Questions asked at once: some 20 µs each.
const QUESTIONS: usize = 8;

/// How a packet gets to its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The kernel finds it.
    Kernel,
    /// By this interface, behind this header.
    Frame {
        /// The interface's index.
        interface: u32,
        /// The header of Ethernet.
        header: [u8; ETHER],
        /// Octets of the longest packet.
        mtu: u32,
    },
}

/// A way that is kept; good for [`NextHops::way`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopId {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Hop {
    from: IpAddr,
    to: IpAddr,
    way: Way,
    asked: Option<Moment>,
    used: Moment,
    /// Waits for its question.
    queued: bool,
    /// The next packet goes by the kernel, so that it asks the neighbour whether he is still there.
    probe: bool,
    generation: u32,
}

/// The ways of one shard.
#[derive(Debug)]
pub struct NextHops {
    netlink: Netlink,
    hops: Vec<Hop>,
    by_pair: HashMap<(IpAddr, IpAddr), u32>,
    queue: VecDeque<u32>,
    links: BTreeMap<u32, (Moment, Link)>,
    loopback: Loopback,
    most: usize,
}

/// Which packets of IPv4 the kernel takes from itself as frames: it distrusts its own addresses on
/// what comes in, unless told otherwise.
#[derive(Clone, Copy, Debug)]
struct Loopback {
    accept_local: bool,
    route_localnet: bool,
}

impl Loopback {
    fn read() -> Self {
        let set = |name: &str| {
            ["all", "lo"].iter().any(|interface| {
                let file = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
                std::fs::read_to_string(file).is_ok_and(|text| text.trim() == "1")
            })
        };
        Self {
            accept_local: set("accept_local"),
            route_localnet: set("route_localnet"),
        }
    }

    fn takes(self, from: IpAddr, to: IpAddr) -> bool {
        let v6 = from.is_ipv6();
        let localnet = from.is_loopback() || to.is_loopback();
        v6 || self.accept_local && (self.route_localnet || !localnet)
    }
}

impl NextHops {
    /// No way is known yet. The ways are those of the network namespace of this thread.
    pub fn open() -> Result<Self, Errno> {
        Self::with_room_for(KEPT)
    }

    fn with_room_for(most: usize) -> Result<Self, Errno> {
        Ok(Self {
            netlink: Netlink::open()?,
            hops: Vec::new(),
            by_pair: HashMap::new(),
            queue: VecDeque::new(),
            links: BTreeMap::new(),
            loopback: Loopback::read(),
            most,
        })
    }

    /// The way from one address to another; allocates where it is new. `None` where no room is
    /// left: such a packet goes by the kernel.
    pub fn find(&mut self, from: IpAddr, to: IpAddr, now: Moment) -> Option<HopId> {
        let index = match self.by_pair.get(&(from, to)) {
            Some(index) => *index,
            None => self.add(from, to, now)?,
        };
        let generation = self.hops.get(index as usize)?.generation;
        Some(HopId { index, generation })
    }

    /// How the next packet goes; `None` where the way was forgotten and has to be found again.
    pub fn way(&mut self, id: HopId, now: Moment) -> Option<Way> {
        let hop = self.hops.get_mut(id.index as usize)?;
        if hop.generation != id.generation {
            return None;
        }
        hop.used = now;
        let old = |asked| now.saturating_since(asked) >= BELIEVED;
        if !hop.queued && hop.asked.is_none_or(old) {
            hop.queued = true;
            self.queue.push_back(id.index);
        }
        if std::mem::take(&mut hop.probe) {
            return Some(Way::Kernel);
        }
        Some(hop.way)
    }

    /// Asks about ways that were used and are new or old, a few at a time; whether more wait.
    pub fn refresh(&mut self, now: Moment) -> bool {
        for _ in 0..QUESTIONS {
            let Some(index) = self.queue.pop_front() else {
                return false;
            };
            let Some(hop) = self.hops.get(index as usize) else {
                continue;
            };
            let (way, probe) = match self.ask(hop.from, hop.to, now) {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::debug!(%error, "no way to a peer");
                    (Way::Kernel, false)
                }
            };
            let hop = &mut self.hops[index as usize];
            (hop.way, hop.probe) = (way, probe);
            (hop.asked, hop.queued) = (Some(now), false);
        }
        !self.queue.is_empty()
    }

    /// Believes nothing any more about ways by this interface: sending by it has failed.
    pub fn distrust(&mut self, failed: u32) {
        self.links.remove(&failed);
        for hop in &mut self.hops {
            if matches!(hop.way, Way::Frame { interface, .. } if interface == failed) {
                (hop.way, hop.asked) = (Way::Kernel, None);
            }
        }
    }

    fn add(&mut self, from: IpAddr, to: IpAddr, now: Moment) -> Option<u32> {
        let mut hop = Hop {
            from,
            to,
            way: Way::Kernel,
            asked: None,
            used: now,
            queued: false,
            probe: false,
            generation: 0,
        };
        let index = if self.hops.len() < self.most {
            self.hops.push(hop);
            (self.hops.len() - 1) as u32
        } else {
            let idle = |hop: &Hop| !hop.queued && now.saturating_since(hop.used) >= IDLE;
            let index = self.hops.iter().position(idle)?;
            let gone = &self.hops[index];
            self.by_pair.remove(&(gone.from, gone.to));
            hop.generation = gone.generation.wrapping_add(1);
            self.hops[index] = hop;
            index as u32
        };
        self.by_pair.insert((from, to), index);
        Some(index)
    }

    /// The way, and whether the kernel wants to hear from the neighbour.
    fn ask(&mut self, from: IpAddr, to: IpAddr, now: Moment) -> Result<(Way, bool), Errno> {
        let by_kernel = Ok((Way::Kernel, false));
        let route = self.netlink.route(from, to)?;
        let link = self.link(route.interface, now)?;
        let mtu = route.mtu.unwrap_or(link.mtu).min(link.mtu);
        let ethertype = if to.is_ipv4() { 0x0800 } else { 0x86dd };
        let frame = |header| Way::Frame {
            interface: route.interface,
            header,
            mtu,
        };
        if !link.up {
            return by_kernel;
        }
        match (route.kind, link.kind) {
            (RouteKind::Local, LinkKind::Loopback) if self.loopback.takes(from, to) => {
                Ok((frame(ether([0; 6], [0; 6], ethertype)), false))
            }
            (RouteKind::Unicast, LinkKind::Ethernet(own)) => {
                let next = route.gateway.unwrap_or(to);
                match self.netlink.neighbour(route.interface, next)? {
                    Some(neighbour) => {
                        let header = ether(neighbour.address, own, ethertype);
                        Ok((frame(header), neighbour.doubtful))
                    }
                    None => by_kernel,
                }
            }
            (
                RouteKind::Unicast | RouteKind::Local | RouteKind::Other,
                LinkKind::Ethernet(_) | LinkKind::Loopback | LinkKind::Other,
            ) => by_kernel,
        }
    }

    fn link(&mut self, interface: u32, now: Moment) -> Result<Link, Errno> {
        if let Some((asked, link)) = self.links.get(&interface)
            && now.saturating_since(*asked) < BELIEVED
        {
            return Ok(*link);
        }
        let link = self.netlink.link(interface)?;
        self.links.insert(interface, (now, link));
        Ok(link)
    }
}

fn ether(to: [u8; 6], from: [u8; 6], ethertype: u16) -> [u8; ETHER] {
    let mut header = [0; ETHER];
    header[..6].copy_from_slice(&to);
    header[6..12].copy_from_slice(&from);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000 + 1)
    }

    fn ip(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn a_peer_is_found_again_and_a_full_table_forgets_the_idle() {
        let mut hops = NextHops::with_room_for(2).unwrap();
        let one = hops.find(ip(1), ip(2), at(0)).unwrap();
        assert_eq!(hops.find(ip(1), ip(2), at(0)), Some(one));
        let two = hops.find(ip(1), ip(3), at(0)).unwrap();
        assert_eq!(hops.find(ip(1), ip(4), at(5)), None, "neither is idle");
        assert_eq!(hops.way(two, at(5)), Some(Way::Kernel));
        let four = hops.find(ip(1), ip(4), at(10)).unwrap();
        assert_eq!(hops.way(one, at(10)), None, "was idle and is forgotten");
        assert_eq!(hops.way(four, at(10)), Some(Way::Kernel));
        assert_eq!(hops.find(ip(1), ip(3), at(10)), Some(two));
        assert_eq!(hops.by_pair.len(), 2);
    }

    #[test]
    fn a_question_is_asked_once_a_second() {
        let mut hops = NextHops::with_room_for(2).unwrap();
        let hop = hops.find(ip(1), ip(2), at(0)).unwrap();
        for (time, waiting) in [(0, 1), (0, 0), (1, 1), (1, 0)] {
            assert!(hops.way(hop, at(time)).is_some());
            assert!(hops.way(hop, at(time)).is_some());
            assert_eq!(hops.queue.len(), waiting, "at {time}");
            assert!(!hops.refresh(at(time)));
        }
    }
}
