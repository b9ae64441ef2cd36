//! The way up from the shards: a bounded queue, and a bell that is rung only for who waits.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use media_relay::MediaEvent;

/// Where events come out.
#[derive(Debug)]
pub struct Events {
    queue: Receiver<MediaEvent>,
    bell: Arc<Bell>,
}

/// Where shards put them.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    queue: SyncSender<MediaEvent>,
    /// After the queue, so that who is woken by the last shard's going finds it gone.
    bell: Ringer,
}

/// Rings when something was put into the queue, and when it goes.
#[derive(Clone, Debug)]
struct Ringer(Arc<Bell>);

/// Wakes whoever waits, once for all that came since he began to.
#[derive(Debug, Default)]
struct Bell {
    awaited: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A queue for so many events.
pub(crate) fn events(room: usize) -> (EventSender, Events) {
    let (sender, receiver) = sync_channel(room);
    let bell = Arc::<Bell>::default();
    let sender = EventSender {
        queue: sender,
        bell: Ringer(Arc::clone(&bell)),
    };
    let queue = receiver;
    (sender, Events { queue, bell })
}

impl EventSender {
    /// Hands an event over, if there is room for it.
    #[allow(
        clippy::result_large_err,
        reason = "an event that found no room is kept for later"
    )]
    pub(crate) fn try_send(&self, event: MediaEvent) -> Result<(), TrySendError<MediaEvent>> {
        self.queue.try_send(event)?;
        self.bell.0.ring();
        Ok(())
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl Bell {
    fn ring(&self) {
        // Either this sees that somebody waits, or he sees what was put into the queue.
        fence(Ordering::SeqCst);
        if !self.awaited.load(Ordering::Relaxed) || !self.awaited.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }

    fn wait(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        self.awaited.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

impl Events {
    /// Waits for the next event; `None` once the media plane has stopped.
    pub fn recv(&self) -> Option<MediaEvent> {
        self.queue.recv().ok()
    }

    /// Waits for the next event, `time` at most.
    pub fn recv_timeout(&self, time: Duration) -> Option<MediaEvent> {
        self.queue.recv_timeout(time).ok()
    }

    /// The next event if there is one.
    pub fn try_recv(&self) -> Option<MediaEvent> {
        self.queue.try_recv().ok()
    }

    /// The next event; where there is none, the task is woken when there is, or when the media
    /// plane has stopped, for which `None` stands. Events that come while nobody waits wake nobody.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<MediaEvent>> {
        for waited in [false, true] {
            match self.queue.try_recv() {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(TryRecvError::Disconnected) => return Poll::Ready(None),
                Err(TryRecvError::Empty) if !waited => self.bell.wait(context.waker()),
                Err(TryRecvError::Empty) => {}
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use media_relay::{LegId, MediaError};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn event(leg: u64) -> MediaEvent {
        MediaEvent::Failed {
            leg: LegId(leg),
            error: MediaError::NoLeg,
        }
    }

    #[test]
    fn the_bell_rings_once_for_who_waits_and_for_nobody_else() {
        let (sender, mut events) = events(8);
        let counted = Arc::<Counted>::default();
        let waker = Waker::from(Arc::clone(&counted));
        let mut context = Context::from_waker(&waker);
        let rung = || counted.0.load(Ordering::SeqCst);
        sender.try_send(event(1)).unwrap();
        assert_eq!(rung(), 0);
        assert!(events.poll_recv(&mut context).is_ready());
        assert!(events.poll_recv(&mut context).is_pending());
        for leg in 2..5 {
            sender.try_send(event(leg)).unwrap();
        }
        assert_eq!(rung(), 1);
        for _ in 2..5 {
            assert!(events.try_recv().is_some());
        }
        assert!(events.poll_recv(&mut context).is_pending());
        drop(sender);
        assert_eq!(rung(), 2);
        assert!(matches!(events.poll_recv(&mut context), Poll::Ready(None)));
    }
}
