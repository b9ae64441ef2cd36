//! Looking ahead in what has come in, so that nobody waits for memory.

use super::Shard;
use crate::path::Path;
use crate::sys::prefetch::Prefetch;

/// How many datagrams ahead a walk's memory is named, step by step.
const AHEAD: [usize; 3] = [12, 8, 4];

impl<P: Path> Shard<P> {
    /// Has the memory of walks to come fetched while those before them are taken.
    pub(super) fn look_ahead(&self) {
        for (step, ahead) in AHEAD.into_iter().enumerate() {
            self.name(step, ahead);
        }
    }

    /// The same for the first datagrams of a batch, which nothing comes before.
    pub(super) fn look_ahead_from_start(&self) {
        for (step, ahead) in AHEAD.into_iter().enumerate() {
            (0..ahead).for_each(|ahead| self.name(step, ahead));
        }
    }

    fn name(&self, step: usize, ahead: usize) {
        let Some(ports) = self.path.coming(ahead) else {
            return;
        };
        let (relay, path, fetch) = (&self.relay, &self.path, &mut Prefetch);
        match step {
            0 => {
                path.foresee(ports, fetch);
                relay.foresee_hearing(ports, fetch);
            }
            1 => relay.foresee_sending(ports, fetch),
            _ => {
                if let Some(leaving) = relay.foresee_sealing(ports, fetch) {
                    path.foresee(leaving, fetch);
                }
            }
        }
    }
}
