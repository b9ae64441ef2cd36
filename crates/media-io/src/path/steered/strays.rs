//! Datagrams that were steered to a shard just before their ports moved to another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::sys::eventfd::EventFd;

use super::{HEADROOM, STRAY, Steered};
use crate::counters::count;
use crate::path::{Datagram, Path as _};
use crate::wake;

/// Strays that may wait for their ports to arrive at another shard.
const LIMBO: usize = 64;
/// Strays that may wait for a shard.
const MOST: usize = 256;

/// A datagram on its way to the shard that has its port by now.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) truncated: bool,
    pub(super) octets: Vec<u8>,
}

/// Where a shard is sent its strays.
#[derive(Debug, Default)]
pub(super) struct Letterbox {
    strays: Mutex<VecDeque<Stray>>,
    /// Spares the shard the lock as long as there are none.
    some: AtomicBool,
    wake: OnceLock<Arc<EventFd>>,
}

impl Letterbox {
    /// Says how its shard is woken.
    pub(super) fn belongs_to(&self, shard: &Arc<EventFd>) {
        let _ = self.wake.set(Arc::clone(shard));
    }

    /// Leaves a stray; whether there was room.
    pub(super) fn leave(&self, stray: Stray) -> bool {
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        if strays.len() >= MOST {
            return false;
        }
        strays.push_back(stray);
        self.some.store(true, Ordering::Release);
        drop(strays);
        if let Some(shard) = self.wake.get() {
            wake(shard);
        }
        true
    }

    /// Takes the oldest stray.
    pub(super) fn take(&self) -> Option<Stray> {
        if !self.some.load(Ordering::Acquire) {
            return None;
        }
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        let stray = strays.pop_front();
        self.some.store(!strays.is_empty(), Ordering::Release);
        stray
    }
}

impl Steered {
    /// Sends a datagram after its port, which has moved.
    pub(super) fn send_after(&mut self, stray: Stray) {
        let steering = &self.common.steering;
        let range = steering.range_of(stray.destination);
        let port = range.and_then(|range| steering.port(range, stray.destination.port()));
        let kept = match port.and_then(|port| port.shard()) {
            // It has left and is not yet there; or it is back.
            Some(shard) if shard == self.shard.0 && self.pairs.at(stray.destination).is_none() => {
                let room = self.limbo.len() < LIMBO;
                if room {
                    self.limbo.push(stray);
                }
                room
            }
            Some(shard) => {
                let letterbox = self.common.letterboxes.get(usize::from(shard));
                letterbox.is_some_and(|letterbox| letterbox.leave(stray))
            }
            None => false, // closed in the meantime
        };
        if !kept {
            count(&self.counters.received);
            count(&self.counters.dropped);
            count(&self.counters.no_leg);
        }
    }

    /// The next datagram that was sent after its port to here.
    pub(super) fn next_stray(&mut self) -> Option<Datagram> {
        loop {
            let stray = self.common.letterboxes[usize::from(self.shard.0)].take()?;
            let Some(arrival) = self.arrived(stray.source, stray.destination) else {
                self.send_after(stray);
                continue;
            };
            // The slot may still be waiting to be sent.
            self.flush();
            let len = stray.octets.len();
            self.slots.slot(STRAY)[HEADROOM..][..len].copy_from_slice(&stray.octets);
            self.current = STRAY as u16;
            return Some(Datagram {
                arrival,
                len,
                cut: stray.truncated,
            });
        }
    }
}
