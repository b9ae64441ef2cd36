//! The bounded queue of bytes between the core and one stream.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use sip_msg::wire::{TransmitId, TransportError};
use tokio::sync::Notify;

use crate::flow::is_to_be_answered;

/// One message waiting to be written. `id` is absent for bytes of the transport's own.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: Option<TransmitId>,
    pub(crate) bytes: Bytes,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unqueued {
    /// The stream has ended.
    Closed,
    /// The peer does not read: the bound is reached.
    Full,
}

#[derive(Debug)]
struct Queue {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    end: Option<TransportError>,
    /// Whether the peer has said anything.
    proven: bool,
    /// What was written last and is to be answered, and of what was written while the peer had said
    /// nothing yet, all: a peer that refuses our certificate under TLS 1.3 does so after we may
    /// write. A connection may end with these unread.
    written: VecDeque<TransmitId>,
}

/// What a stream leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Why it ended; the first reason given wins.
    pub(crate) error: TransportError,
    /// Whether the peer ever said anything.
    pub(crate) proven: bool,
    /// What was not written.
    pub(crate) unsent: Vec<TransmitId>,
    /// What was written and may not have been read.
    pub(crate) written: Vec<TransmitId>,
}

/// How many messages that were written are remembered, the last ones.
const WRITTEN: usize = 1024;

/// A queue that never blocks its writer: it takes a message, or says why not.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    limit: usize,
    changed: Notify,
    emptied: Notify,
    overflow: Notify,
}

impl Outbox {
    /// A queue of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let queue = Queue {
            messages: VecDeque::new(),
            bytes: 0,
            end: None,
            proven: false,
            written: VecDeque::new(),
        };
        Self {
            queue: Mutex::new(queue),
            limit,
            changed: Notify::new(),
            emptied: Notify::new(),
            overflow: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the queue can panic")
    }

    /// Queues a message and has it written. When the bound is reached the whole stream is at its
    /// end: what it has is of no use to a peer that does not read.
    pub(crate) fn push(&self, id: Option<TransmitId>, bytes: Bytes) -> Result<(), Unqueued> {
        self.put(id, bytes)?;
        self.wake();
        Ok(())
    }

    /// Has what is queued written.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// As [`Outbox::push`], but the message waits for the next [`Outbox::wake`]: who writes several
    /// need not be woken for each.
    pub(crate) fn put(&self, id: Option<TransmitId>, bytes: Bytes) -> Result<(), Unqueued> {
        let mut queue = self.lock();
        if queue.end.is_some() {
            return Err(Unqueued::Closed);
        }
        if queue.bytes + bytes.len() > self.limit {
            queue.end = Some(TransportError::Stalled);
            drop(queue);
            self.changed.notify_one();
            self.overflow.notify_one();
            return Err(Unqueued::Full);
        }
        queue.bytes += bytes.len();
        queue.messages.push_back(Outgoing { id, bytes });
        Ok(())
    }

    /// The next messages to write, as many as fit into `room` octets and one at least, or why there
    /// are none any more. They stay queued until [`Outbox::written`], so that a stream that ends
    /// meanwhile still reports them. Only one task may wait here.
    pub(crate) async fn next(&self, room: usize) -> Result<Vec<Outgoing>, TransportError> {
        loop {
            {
                let queue = self.lock();
                if let Some(end) = queue.end {
                    return Err(end);
                }
                let mut octets = 0;
                let fits = |message: &&Outgoing| {
                    let first = octets == 0;
                    octets += message.bytes.len();
                    first || octets <= room
                };
                let next: Vec<_> = queue.messages.iter().take_while(fits).cloned().collect();
                if !next.is_empty() {
                    return Ok(next);
                }
            }
            self.changed.notified().await;
        }
    }

    /// The first `count` messages, which [`Outbox::next`] gave, have been written.
    pub(crate) fn written(&self, count: usize) {
        let mut queue = self.lock();
        for _ in 0..count {
            let Some(message) = queue.messages.pop_front() else {
                break;
            };
            queue.bytes -= message.bytes.len();
            if queue.proven && !is_to_be_answered(&message.bytes) {
                continue;
            }
            if queue.written.len() == WRITTEN {
                queue.written.pop_front();
            }
            queue.written.extend(message.id);
        }
        if queue.messages.is_empty() {
            self.emptied.notify_one();
        }
    }

    /// Returns once the bound has been reached. Only one task may wait here: not the writer, which
    /// is stuck in the middle of a message then.
    pub(crate) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// Returns once everything queued has been written. Only one task may wait here.
    pub(crate) async fn drained(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    /// The peer has said something: it reads what is written.
    pub(crate) fn prove(&self) {
        self.lock().proven = true;
    }

    /// Whether everything queued has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Ends the queue and returns what has to be reported.
    pub(crate) fn close(&self, error: TransportError) -> Ending {
        let mut queue = self.lock();
        let error = *queue.end.get_or_insert(error);
        let unsent = queue.messages.drain(..).filter_map(|message| message.id);
        let unsent = unsent.collect();
        queue.bytes = 0;
        Ending {
            error,
            proven: queue.proven,
            unsent,
            written: std::mem::take(&mut queue.written).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    fn ids(ids: &[u64]) -> Vec<TransmitId> {
        ids.iter().copied().map(TransmitId).collect()
    }

    #[tokio::test]
    async fn the_bound_counts_bytes_until_they_are_written() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.push(Some(TransmitId(1)), message(6)), Ok(()));
        assert_eq!(outbox.next(9).await.unwrap()[0].id, Some(TransmitId(1)));
        assert!(!outbox.is_empty());
        outbox.written(1);
        assert!(outbox.is_empty());
        assert_eq!(outbox.push(Some(TransmitId(2)), message(10)), Ok(()));
        assert_eq!(
            outbox.push(Some(TransmitId(3)), message(1)),
            Err(Unqueued::Full)
        );
        assert_eq!(
            outbox.push(Some(TransmitId(4)), message(1)),
            Err(Unqueued::Closed)
        );
        assert_eq!(outbox.next(9).await.unwrap_err(), TransportError::Stalled);
        let ending = outbox.close(TransportError::Closed);
        assert_eq!(ending.error, TransportError::Stalled);
        assert_eq!(ending.unsent, vec![TransmitId(2)]);
        assert_eq!(ending.written, vec![TransmitId(1)]);
    }

    #[tokio::test]
    async fn of_what_a_peer_that_spoke_was_sent_the_requests_may_be_unread() {
        let sent = [
            "BYE a",
            "ACK b",
            "SIP/2.0 200 OK",
            "SIP/2.0 180 R",
            "OPTIONS e",
            "BYE f",
        ];
        for (spoke, unread) in [(true, &[1, 5][..]), (false, &[1, 2, 3, 4, 5])] {
            let outbox = Outbox::new(100);
            if spoke {
                outbox.prove();
            }
            for (id, start) in (1..).zip(sent) {
                outbox.push(Some(TransmitId(id)), start.into()).unwrap();
            }
            outbox.next(100).await.unwrap();
            outbox.written(5);
            let ending = outbox.close(TransportError::Closed);
            assert_eq!(ending.written, ids(unread));
            assert_eq!(ending.unsent, ids(&[6]));
            assert_eq!(ending.proven, spoke);
        }
    }

    #[tokio::test]
    async fn of_what_was_written_the_last_is_remembered() {
        let outbox = Outbox::new(100);
        let most = WRITTEN as u64;
        for id in 1..=most + 2 {
            outbox.push(Some(TransmitId(id)), message(6)).unwrap();
            outbox.next(100).await.unwrap();
            outbox.written(1);
        }
        let ending = outbox.close(TransportError::Closed);
        let last: Vec<_> = (3..=most + 2).map(TransmitId).collect();
        assert_eq!(ending.written, last);
    }

    #[tokio::test]
    async fn what_is_queued_together_is_written_together_as_far_as_there_is_room() {
        let outbox = Outbox::new(1000);
        for (id, length) in (1..).zip([300, 6, 6, 6, 6]) {
            outbox.push(Some(TransmitId(id)), message(length)).unwrap();
        }
        let mut given = Vec::new();
        while !outbox.is_empty() {
            let next = outbox.next(18).await.unwrap();
            outbox.written(next.len());
            given.push(
                next.iter()
                    .filter_map(|message| message.id)
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(given, [ids(&[1]), ids(&[2, 3, 4]), ids(&[5])]);
    }
}
