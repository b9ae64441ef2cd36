//! Datagrams from the UDP listeners to the core, on the core's own thread: a task of their own
//! would cost a wake-up for each datagram, which is more than all else that is done with it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sip_msg::wire::{Arrival, FlowId};
use sip_msg::{Framing, TransportKind};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::counters::Counter;
use crate::lanes::{Full, Held, Lane, lane_of};
use crate::network;
use crate::shared::{Listener, Shared};
use crate::shed;
use crate::udp::{BATCH, Datagram, Slots, UdpFlow};

/// Local addresses that one wildcard socket is called at.
const LOCAL_ADDRESSES: usize = 1024;

/// Batches taken from one socket before the next one's turn.
const BATCHES: usize = 8;

/// All UDP listeners.
pub(crate) struct Datagrams {
    shared: Arc<Shared>,
    sockets: Vec<Inbound>,
    slots: Slots,
    batch: Vec<Datagram>,
}

impl Datagrams {
    /// For those of the listeners that are UDP.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let sockets: Vec<_> = shared
            .listeners
            .iter()
            .filter_map(|listener| Inbound::new(shared, listener))
            .collect();
        let largest = if sockets.is_empty() {
            0
        } else {
            shared.limits.datagram_bytes
        };
        Self {
            shared: Arc::clone(shared),
            sockets,
            slots: Slots::new(largest),
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what the sockets hold, within bounds; how many datagrams that were.
    pub(crate) fn gather(&mut self, held: &mut Held) -> usize {
        let mut taken = 0;
        for socket in &mut self.sockets {
            for _ in 0..BATCHES {
                let listener = &socket.own.listener;
                if let Err(error) = listener.receive(&mut self.slots, &mut self.batch) {
                    tracing::warn!(local = %listener.local, %error, "receive failed");
                    break;
                }
                for (number, datagram) in self.batch.iter().enumerate() {
                    let bytes = self.slots.datagram(number, datagram.length);
                    socket.handle(&self.shared, held, bytes, datagram);
                }
                taken += self.batch.len();
                if self.batch.len() < BATCH {
                    break;
                }
            }
        }
        taken
    }

    /// Ready when a socket may hold something that no [`Datagrams::gather`] has found yet.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = false;
        for socket in &mut self.sockets {
            ready |= socket.poll_ready(context);
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// One UDP listener.
struct Inbound {
    listener: Arc<Listener>,
    own: UdpFlow,
    own_id: FlowId,
    /// On a wildcard socket, one flow for each address we were called at.
    called: BTreeMap<IpAddr, FlowId>,
    /// Watched by the runtime in which it was waited for first.
    watched: Option<UdpSocket>,
}

impl Inbound {
    fn new(shared: &Shared, listener: &Arc<Listener>) -> Option<Self> {
        let own = listener.udp.clone()?;
        Some(Self {
            listener: Arc::clone(listener),
            own_id: shared.flows.enter_udp(own.clone()),
            own,
            called: BTreeMap::new(),
            watched: None,
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> bool {
        if self.watched.is_none() {
            match self.own.listener.watch() {
                Ok(watched) => self.watched = Some(watched),
                Err(error) => {
                    let local = self.listener.local;
                    tracing::error!(%local, %error, "a socket cannot be watched");
                }
            }
        }
        let Some(watched) = &self.watched else {
            return false;
        };
        // Cleared here, since every readiness that is told leads to a look at the socket; what
        // comes after that look makes it ready again.
        let mut ready = false;
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        while let Poll::Ready(Ok(())) = watched.poll_recv_ready(context) {
            let _ = watched.try_io(Interest::READABLE, nothing);
            ready = true;
        }
        ready
    }

    fn handle(&mut self, shared: &Shared, held: &mut Held, bytes: &[u8], datagram: &Datagram) {
        let tally = &shared.tally;
        if !network::is_allowed(&self.listener.networks.load(), datagram.remote.ip()) {
            tally.add(Counter::UnknownSourceUdp);
            return;
        }
        if datagram.truncated || bytes.len() > shared.limits.datagram_bytes {
            tally.add(Counter::DatagramTooLarge);
            return;
        }
        // Keep-alives that need no answer: line ends, and the zero bytes some peers send.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            tally.add(Counter::PingsIn);
            return;
        }
        let arrival = Arrival {
            flow: self.flow(shared, datagram.local),
            listener: Some(self.listener.id),
            opened_for: None,
            transport: TransportKind::Udp,
            local: (datagram.local, self.listener.local.port()).into(),
            remote: datagram.remote,
            server_name: None,
            identity: None,
        };
        let flow = arrival.flow;
        let message = Bytes::copy_from_slice(bytes);
        let parsed = sip_msg::parse(message, &shared.limits.message, Framing::Datagram);
        tally.add(if parsed.is_ok() {
            Counter::MessagesIn
        } else {
            Counter::MessagesRejected
        });
        let lane = lane_of(&parsed);
        let Err(Full(full)) = held.take(lane, arrival, parsed) else {
            return;
        };
        match lane {
            // Retransmitted by its sender, like any datagram that was lost on the way.
            Lane::First => tally.add(Counter::LaneFull),
            Lane::Second => {
                if let Some(refusal) = shed::refusal(shared, &full)
                    && let Some(flow) = shared.flows.udp(flow)
                {
                    let _ = flow.queue(None, refusal, datagram.remote);
                    shared.flush_udp(&flow.listener);
                }
            }
        }
    }

    fn flow(&mut self, shared: &Shared, local: IpAddr) -> FlowId {
        if !self.own.listener.is_wildcard() {
            return self.own_id;
        }
        if let Some(id) = self.called.get(&local) {
            return *id;
        }
        if self.called.len() >= LOCAL_ADDRESSES {
            return self.own_id;
        }
        let id = shared.flows.enter_udp(UdpFlow {
            source: Some(local),
            ..self.own.clone()
        });
        self.called.insert(local, id);
        id
    }
}
