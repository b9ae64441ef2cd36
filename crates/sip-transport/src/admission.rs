//! Which accepted connections are kept when there are more than can be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::config::TransportLimits;
use crate::counters::{Counter, Tally};

/// Counts accepted connections in all and by source. A connection is half open until it has
/// shown a certificate or a message; when there are too many of those the oldest gives way, so
/// that peers who stall never keep out one who does not.
#[derive(Debug)]
pub(crate) struct Admission {
    sources: Mutex<Sources>,
    tally: Arc<Tally>,
    connections: usize,
    per_stranger: usize,
    per_known: usize,
    half_open: usize,
    half_open_per_source: usize,
}

#[derive(Debug, Default)]
struct Sources {
    by_address: BTreeMap<IpAddr, Source>,
    connections: usize,
    half_open: usize,
    next: u64,
}

#[derive(Debug, Default)]
struct Source {
    half_open: BTreeMap<u64, Arc<Notify>>,
    established: BTreeSet<u64>,
}

impl Source {
    fn connections(&self) -> usize {
        self.half_open.len() + self.established.len()
    }
}

impl Sources {
    /// Ends the oldest half-open connection of a source and frees its place at once.
    fn evict(&mut self, source: IpAddr) {
        let theirs = self.by_address.get_mut(&source);
        if let Some((_, evicted)) = theirs.and_then(|theirs| theirs.half_open.pop_first()) {
            self.half_open -= 1;
            self.connections -= 1;
            evicted.notify_one();
        }
    }

    /// The source with the most half-open connections.
    fn most_crowded(&self) -> Option<IpAddr> {
        let crowded = self
            .by_address
            .iter()
            .max_by_key(|(_, theirs)| theirs.half_open.len());
        crowded.map(|(address, _)| *address)
    }
}

impl Admission {
    pub(crate) fn new(limits: &TransportLimits, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            sources: Mutex::default(),
            tally,
            connections: limits.connections,
            per_stranger: limits.connections_per_stranger,
            per_known: limits.connections_per_known_source,
            half_open: limits.half_open.max(1),
            half_open_per_source: limits.half_open_per_source.max(1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources
            .lock()
            .expect("no holder of the sources can panic")
    }

    /// A place for one more accepted connection, or the reason there is none.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr, known: bool) -> Result<Place, Counter> {
        let mut sources = self.lock();
        let crowded =
            sources.half_open >= self.half_open || sources.connections >= self.connections;
        if sources.connections >= self.connections && sources.half_open == 0 {
            return Err(Counter::TooManyConnections);
        }
        let theirs = sources.by_address.entry(source).or_default();
        let full = theirs.connections()
            >= if known {
                self.per_known
            } else {
                self.per_stranger
            };
        if full && theirs.half_open.is_empty() {
            return Err(Counter::TooManyFromSource);
        }
        let give_way = if full || theirs.half_open.len() >= self.half_open_per_source {
            Some(source)
        } else if crowded {
            sources.most_crowded()
        } else {
            None
        };
        if let Some(give_way) = give_way {
            sources.evict(give_way);
            self.tally.add(Counter::HalfOpenEvicted);
        }
        let number = sources.next;
        sources.next += 1;
        sources.connections += 1;
        sources.half_open += 1;
        let evicted = Arc::new(Notify::new());
        let theirs = sources.by_address.entry(source).or_default();
        theirs.half_open.insert(number, Arc::clone(&evicted));
        Ok(Place {
            admission: Arc::clone(self),
            source,
            number,
            evicted,
        })
    }
}

/// The place of one accepted connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    source: IpAddr,
    number: u64,
    evicted: Arc<Notify>,
}

impl Place {
    /// The connection has shown that somebody is there.
    pub(crate) fn establish(&self) {
        let mut sources = self.admission.lock();
        let Some(theirs) = sources.by_address.get_mut(&self.source) else {
            return;
        };
        if theirs.half_open.remove(&self.number).is_some() {
            theirs.established.insert(self.number);
            sources.half_open -= 1;
        }
    }

    /// Returns once the connection has to give way.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.admission.lock();
        let Some(theirs) = sources.by_address.get_mut(&self.source) else {
            return;
        };
        let was_half_open = theirs.half_open.remove(&self.number).is_some();
        let was_established = theirs.established.remove(&self.number);
        if theirs.connections() == 0 {
            sources.by_address.remove(&self.source);
        }
        // An evicted connection gave its place back when it was told to end.
        sources.half_open -= usize::from(was_half_open);
        sources.connections -= usize::from(was_half_open || was_established);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn admission(limits: TransportLimits) -> (Arc<Admission>, Arc<Tally>) {
        let tally = Arc::new(Tally::new());
        (Admission::new(&limits, Arc::clone(&tally)), tally)
    }

    fn is_evicted(place: &Place) -> bool {
        pin!(place.evicted())
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_oldest_that_proved_nothing_gives_way() {
        let (admission, tally) = admission(TransportLimits {
            half_open_per_source: 2,
            ..TransportLimits::default()
        });
        let first = admission.admit(PEER, true).unwrap();
        first.establish();
        let second = admission.admit(PEER, true).unwrap();
        let third = admission.admit(PEER, true).unwrap();
        let _fourth = admission.admit(PEER, true).unwrap();
        assert!(is_evicted(&second));
        assert!(!is_evicted(&first) && !is_evicted(&third));
        assert_eq!(tally.snapshot().count(Counter::HalfOpenEvicted), 1);
    }

    #[test]
    fn a_crowd_gives_way_to_a_newcomer_from_elsewhere() {
        let (admission, _) = admission(TransportLimits {
            half_open: 3,
            ..TransportLimits::default()
        });
        let crowd: Vec<_> = (0..3)
            .map(|_| admission.admit(PEER, true).unwrap())
            .collect();
        let newcomer = admission.admit(OTHER, false).unwrap();
        assert!(is_evicted(&crowd[0]));
        assert!(!is_evicted(&newcomer));
    }

    #[test]
    fn established_connections_are_bounded_and_places_come_back() {
        let (admission, _) = admission(TransportLimits {
            connections: 3,
            connections_per_stranger: 2,
            ..TransportLimits::default()
        });
        let places: Vec<_> = (0..2)
            .map(|_| admission.admit(PEER, false).unwrap())
            .collect();
        places.iter().for_each(Place::establish);
        assert_eq!(
            admission.admit(PEER, false).unwrap_err(),
            Counter::TooManyFromSource
        );
        let other = admission.admit(OTHER, false).unwrap();
        other.establish();
        assert_eq!(
            admission.admit(OTHER, false).unwrap_err(),
            Counter::TooManyConnections
        );
        drop((places, other));
        assert_eq!(admission.lock().connections, 0);
        assert_eq!(admission.lock().half_open, 0);
        assert!(admission.lock().by_address.is_empty());
    }
}
