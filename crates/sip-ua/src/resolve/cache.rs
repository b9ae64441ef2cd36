//! DNS answers kept for their TTL, in a table of bounded size.

use std::collections::BTreeMap;
use std::time::Duration;

use ambient::{Deadlines, Moment, Secret};
use sip_msg::dns::{DnsAnswer, DnsError, Query, Records};

/// A TTL of zero would leave the lookup that asked without its answer.
const TTL_MIN: Duration = Duration::from_secs(1);
/// No record is believed longer than this, whatever its TTL.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// A name that does not exist is asked for again after at most this.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(30);
/// A server that failed is asked again after this.
const FAILURE_TTL: Duration = Duration::from_secs(2);

/// What is known of the names asked for.
#[derive(Debug)]
pub(super) struct Cache {
    entries: BTreeMap<Query, Result<Records, DnsError>>,
    expiry: Deadlines<Query, Secret>,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize, secret: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            expiry: Deadlines::keyed(secret),
            capacity,
        }
    }

    /// `None`: not known, or not any more.
    pub(super) fn lookup(&self, now: Moment, query: &Query) -> Option<&Result<Records, DnsError>> {
        let fresh = self.expiry.deadline(query).is_some_and(|at| at > now);
        fresh.then(|| self.entries.get(query)).flatten()
    }

    pub(super) fn insert(&mut self, now: Moment, answer: DnsAnswer) {
        while let Some(expired) = self.expiry.pop_due(now) {
            self.entries.remove(&expired);
        }
        let DnsAnswer { query, result, ttl } = answer;
        while self.entries.len() >= self.capacity && !self.entries.contains_key(&query) {
            self.evict_soonest();
        }
        let life = match &result {
            Ok(_) => ttl.clamp(TTL_MIN, TTL_MAX),
            Err(DnsError::NoSuchName | DnsError::NoData) => ttl.clamp(TTL_MIN, NEGATIVE_TTL_MAX),
            Err(DnsError::ServerFailure | DnsError::Timeout) => FAILURE_TTL,
        };
        self.expiry.set(query.clone(), now + life);
        self.entries.insert(query, result);
    }

    /// The entry that would have gone first makes room.
    fn evict_soonest(&mut self) {
        let Some(at) = self.expiry.next() else { return };
        if let Some(query) = self.expiry.pop_due(at) {
            self.entries.remove(&query);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
