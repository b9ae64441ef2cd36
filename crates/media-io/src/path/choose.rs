//! Which path the media plane takes, and why.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_relay::{PortPair, ShardId, Transmit};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Epolled, Path, Setup, Uring};
use crate::counters::CountersHandle;
use crate::{MediaInterface, MediaIoConfig};

/// How datagrams travel between the kernel and the media plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// A socket a port, watched by epoll: what every kernel has.
    Epoll,
    /// A socket a port, served by io_uring: fewer system calls.
    Uring,
    /// A socket a shard, to which the kernel steers the datagrams of all its ports, and frames
    /// past the kernel's IP stack: far fewer system calls and descriptors. Takes rights.
    Steered,
}

impl PathKind {
    /// All, the portable ones first.
    pub const ALL: [Self; 3] = [Self::Epoll, Self::Uring, Self::Steered];

    /// The name in the configuration, in reports and as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "io_uring",
            Self::Steered => "steered",
        }
    }

    /// The path of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which path is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathChoice {
    /// The one that is possible here and costs least.
    #[default]
    Auto,
    /// This one, or, where it is impossible, another.
    Prefer(PathKind),
}

/// Which path was taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// The path.
    pub kind: PathKind,
    /// Why, in words: what was measured, what the system refused.
    pub reason: String,
}

/// The paths to be tried, in this order, with what speaks for each; the last one always works. What
/// costs time to find out is found out only when it is asked for.
pub(crate) fn choose(config: &MediaIoConfig) -> Box<dyn Iterator<Item = PathReport> + '_> {
    let report = |kind, reason: &str| PathReport {
        kind,
        reason: reason.to_owned(),
    };
    match config.path {
        PathChoice::Prefer(PathKind::Epoll) => {
            Box::new(std::iter::once(report(PathKind::Epoll, "configured")))
        }
        PathChoice::Prefer(kind) => Box::new(
            [
                report(kind, "configured"),
                report(PathKind::Epoll, "the configured path is not possible here"),
            ]
            .into_iter(),
        ),
        PathChoice::Auto => match unsteered(config) {
            Some(why) => Box::new(portable(config).into_iter().map(move |mut report| {
                report.reason = format!("{}; not steered: {why}", report.reason);
                report
            })),
            None => {
                let reason = "the process has the rights that it takes";
                let portable = std::iter::once_with(|| portable(config)).flatten();
                Box::new(std::iter::once(report(PathKind::Steered, reason)).chain(portable))
            }
        },
    }
}

/// Why steering is not tried unasked: frames past the kernel's stack gain nothing on the loopback,
/// and where every address of the host is meant the operator is to say so.
fn unsteered(config: &MediaIoConfig) -> Option<&'static str> {
    let any = |is: fn(&IpAddr) -> bool| config.interfaces.iter().any(|one| is(&one.bind));
    if any(IpAddr::is_loopback) {
        Some("a media address is on the loopback")
    } else if any(IpAddr::is_unspecified) {
        Some("a media address is unspecified")
    } else {
        None
    }
}

/// The two paths that need no rights, the cheaper one first.
fn portable(config: &MediaIoConfig) -> Vec<PathReport> {
    let epoll = measure::<Epolled>(config);
    let uring = measure::<Uring>(config);
    let tell = |kind, reason: String| PathReport { kind, reason };
    let fallback = "io_uring is not possible here";
    match (epoll, uring) {
        (Ok(epoll), Ok(uring)) => {
            let measured = format!(
                "a packet took {:.1} µs by io_uring and {:.1} µs by epoll when measured at start",
                micros(uring),
                micros(epoll)
            );
            if uring < epoll {
                vec![
                    tell(PathKind::Uring, measured),
                    tell(PathKind::Epoll, fallback.to_owned()),
                ]
            } else {
                vec![tell(PathKind::Epoll, measured)]
            }
        }
        (_, Err(refused)) => vec![tell(PathKind::Epoll, refused)],
        (Err(refused), Ok(_)) => vec![
            tell(
                PathKind::Uring,
                format!("epoll could not be measured: {refused}"),
            ),
            tell(PathKind::Epoll, fallback.to_owned()),
        ],
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Ports of a measurement: enough that one wait serves several.
const PORTS: u16 = 32;
/// Packets through each port before the measurement: sockets are connected by then.
const WARM: usize = 40;
/// Times that a packet through each port is measured; the shortest counts, since anything else that
/// runs here only makes it longer.
const ROUNDS: usize = 40;
/// A measurement that takes longer than this is given up: somebody else has the machine.
const PATIENCE: Duration = Duration::from_millis(250);

/// What one packet costs on a path: received, and sent on through another port.
fn measure<P: Path>(config: &MediaIoConfig) -> Result<Duration, String> {
    let words = |error: &dyn fmt::Display| error.to_string();
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ports = config
        .interfaces
        .first()
        .map_or(20_000..=29_999, |interface| interface.ports.clone());
    let config = MediaIoConfig {
        shards: 1,
        interfaces: vec![MediaInterface {
            id: 0,
            bind: ip,
            ports,
        }],
        ..config.clone()
    };
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let wake = Arc::new(EventFd::from_flags(flags).map_err(|error| words(&error))?);
    let counters = CountersHandle::new(1).shard(0);
    let shared = P::share(&config)?;
    let setup = Setup {
        shard: ShardId(0),
        config: &config,
        wake: &wake,
        counters: &counters,
    };
    let mut path = P::open(&setup, &shared)?;
    path.begin().map_err(|error| words(&error))?;
    let bound = path.bind(0, PORTS);
    if bound.len() < usize::from(PORTS) {
        return Err("no ports on the loopback address to measure with".to_owned());
    }
    let party = UdpSocket::bind((ip, 0)).map_err(|error| words(&error))?;
    party.set_nonblocking(true).map_err(|error| words(&error))?;
    let start = Instant::now();
    let mut best = Duration::MAX;
    for round in 0..WARM + ROUNDS {
        let time = relay_once(&mut path, &bound, &party).map_err(|error| words(&error))?;
        if round >= WARM {
            best = best.min(time);
        }
        if start.elapsed() > PATIENCE && best < Duration::MAX {
            break;
        }
    }
    Ok(best / PORTS.into())
}

/// Sends a packet to each port and has it sent back; how long the path took for that.
fn relay_once<P: Path>(
    path: &mut P,
    bound: &[PortPair],
    party: &UdpSocket,
) -> std::io::Result<Duration> {
    let to = party.local_addr()?;
    let packet = [0x55; 172];
    for pair in bound {
        party.send_to(&packet, pair.rtp())?;
    }
    let start = Instant::now();
    let mut relayed = 0;
    while relayed < bound.len() && start.elapsed() < PATIENCE {
        path.wait(None, Duration::from_millis(10))?;
        while let Some(datagram) = path.next() {
            relayed += 1;
            path.note_carried(&datagram.arrival);
            path.send_current(&Transmit {
                ports: datagram.arrival.ports,
                rtcp: false,
                to,
                len: datagram.len,
            });
        }
        path.flush();
    }
    // What is handed in with the next wait belongs to this round.
    path.wait(None, Duration::ZERO)?;
    let time = start.elapsed();
    let mut buf = [0; 256];
    while party.recv(&mut buf).is_ok() {}
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in PathKind::ALL {
            assert_eq!(PathKind::named(kind.name()), Some(kind));
        }
        assert_eq!(PathKind::named("dpdk"), None);
    }
}
