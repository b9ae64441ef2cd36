//! How much of the machine handshakes may take.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use tokio::sync::Semaphore;

/// Lets only so many handshakes compute at the same time. A handshake that waits for the
/// network holds no place, so that slow peers cannot keep quick ones out, and a thousand
/// reconnecting peers leave the other workers of the runtime to everyone else.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeGate(Arc<Semaphore>);

impl HandshakeGate {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places.max(1))))
    }

    /// Runs a handshake, taking a place for each step it computes.
    pub(crate) async fn run<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        let mut place = Box::pin(Arc::clone(&self.0).acquire_owned());
        poll_fn(move |context| {
            let _held = ready!(place.as_mut().poll(context));
            let step = handshake.as_mut().poll(context);
            if step.is_pending() {
                place = Box::pin(Arc::clone(&self.0).acquire_owned());
            }
            match step {
                Poll::Ready(output) => Poll::Ready(output),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_handshake_that_waits_leaves_its_place_to_others() {
        let gate = HandshakeGate::new(1);
        let stuck = {
            let gate = gate.clone();
            tokio::spawn(async move { gate.run(pending::<()>()).await })
        };
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert_eq!(gate.run(std::future::ready(7)).await, 7);
        }
        stuck.abort();
    }

    #[tokio::test]
    async fn only_so_many_compute_at_once() {
        let gate = HandshakeGate::new(1);
        let held = Arc::clone(&gate.0).acquire_owned().await.unwrap();
        let mut waiting = Box::pin(gate.run(std::future::ready(7)));
        let first = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
        assert!(first.is_pending());
        drop(held);
        assert_eq!(waiting.await, 7);
    }
}
