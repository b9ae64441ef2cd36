//! Every SIP message a simulated peer sent or received.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use crate::wire::{Link, Transport};

/// Messages kept; the oldest go first.
const KEPT: usize = 50_000;

/// One message as it was on the wire (before TLS).
#[derive(Clone, Debug)]
pub struct Logged {
    /// When.
    pub at: SystemTime,
    /// Sent by this peer, or received.
    pub sent: bool,
    /// What carried it.
    pub transport: Transport,
    /// This peer's address.
    pub local: SocketAddr,
    /// The other side's address.
    pub remote: SocketAddr,
    /// The connection, by the order in which this peer came to know it.
    pub connection: u64,
    /// The message.
    pub bytes: Bytes,
}

impl Logged {
    /// The message as text, undecodable bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The start line.
    pub fn first_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }
}

pub(crate) struct Log {
    kept: Mutex<VecDeque<Logged>>,
    /// Told of each message once it is here.
    news: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new(news: watch::Sender<()>) -> Self {
        Self {
            kept: Mutex::default(),
            news,
        }
    }

    pub(crate) fn note(&self, sent: bool, link: &Link, bytes: &Bytes) {
        let mut entries = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Logged {
            at: SystemTime::now(),
            sent,
            transport: link.transport,
            local: link.local,
            remote: link.remote,
            connection: link.id,
            bytes: bytes.clone(),
        });
        drop(entries);
        self.news.send_replace(());
    }

    pub(crate) fn all(&self) -> Vec<Logged> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}
