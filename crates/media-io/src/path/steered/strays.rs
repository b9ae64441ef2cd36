//! Datagrams that were steered to a shard just before their ports moved to another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::sys::eventfd::EventFd;

use crate::wake;

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
