//! Which ports are this process's: steered ports are not bound one by one, so something else must
//! keep two processes apart.
//!
//! A range is cut into blocks of [`BLOCK`] ports. Who uses a port of a block has a socket bound to
//! the block's first one, so a block belongs to one process at a time and costs one descriptor. A
//! port that some other program has bound is passed over.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::sys::steer::keep_nothing;

/// Ports of a block.
const BLOCK: u16 = 64;

/// A block that is held as long as this lives.
pub(super) type Hold = Arc<UdpSocket>;

/// The blocks that this process holds.
#[derive(Debug, Default)]
pub(super) struct Blocks(Mutex<BTreeMap<SocketAddr, Weak<UdpSocket>>>);

impl Blocks {
    /// Reserves two ports from `port` on, in a range of `address` that begins at `first`.
    ///
    /// # Errors
    /// `AddrInUse` where somebody else has them; what the system refuses otherwise.
    pub(super) fn reserve(&self, address: IpAddr, first: u16, port: u16) -> io::Result<Hold> {
        let start = first + (port - first) / BLOCK * BLOCK;
        let hold = self.hold(SocketAddr::new(address, start))?;
        for port in [port, port + 1].into_iter().filter(|port| *port != start) {
            UdpSocket::bind((address, port))?;
        }
        Ok(hold)
    }

    fn hold(&self, start: SocketAddr) -> io::Result<Hold> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hold) = blocks.get(&start).and_then(Weak::upgrade) {
            return Ok(hold);
        }
        let hold = Arc::new(UdpSocket::bind(start)?);
        keep_nothing(hold.as_fd())?;
        blocks.retain(|_, hold| hold.strong_count() > 0);
        blocks.insert(start, Arc::downgrade(&hold));
        Ok(hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_block_has_one_owner_as_long_as_a_port_of_it_is_used() {
        let (ours, theirs) = (Blocks::default(), Blocks::default());
        let one = ours.reserve(HERE, 28_500, 28_502).unwrap();
        let two = ours.reserve(HERE, 28_500, 28_562).unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        let refused = theirs.reserve(HERE, 28_500, 28_510).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let other = theirs.reserve(HERE, 28_500, 28_564).unwrap();
        assert_eq!(other.local_addr().unwrap().port(), 28_564);
        drop(one);
        assert!(theirs.reserve(HERE, 28_500, 28_510).is_err());
        drop(two);
        assert!(theirs.reserve(HERE, 28_500, 28_510).is_ok());
    }

    #[test]
    fn a_port_that_another_program_has_is_passed_over() {
        let blocks = Blocks::default();
        let _other = UdpSocket::bind((HERE, 28_605)).unwrap();
        let refused = blocks.reserve(HERE, 28_600, 28_604).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(blocks.reserve(HERE, 28_600, 28_606).is_ok());
    }
}
