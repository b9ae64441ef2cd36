//! Sources that scan or guess, and are not heard for a while.
//!
//! | what a source does | counts against it |
//! | --- | --- |
//! | shows wrong credentials for a nonce it was sent | always: nobody else can look like it |
//! | asks for what needs credentials, and shows none | unless it proved lately who it is, or is a trunk's own address |
//! | sends a request that belongs to no trunk | unless it is a trunk's own address |
//!
//! Enough of that in a minute, and nothing but messages of its dialogs and answers to requests of
//! ours is read from it for some time. A source that shows right credentials starts anew. An IPv6
//! source is its /64 network: whoever has one address there has all.
//!
//! The table is bounded: of the sources that are remembered, the one that was heard longest ago
//! makes room.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ambient::Moment;

/// When a source is no longer heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanPolicy {
    /// Failures within [`BanPolicy::window`] after which it is banned; 0 bans nobody. Default 20.
    pub failures: u32,
    /// Default 1 min.
    pub window: Duration,
    /// How long a ban lasts. Default 10 min.
    pub duration: Duration,
    /// Sources that are remembered at once. Default 4096.
    pub sources: usize,
}

impl Default for BanPolicy {
    fn default() -> Self {
        Self {
            failures: 20,
            window: Duration::from_secs(60),
            duration: Duration::from_secs(600),
            sources: 4096,
        }
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BanCounts {
    /// Failures that counted against a source.
    pub failures: u64,
    /// Bans.
    pub bans: u64,
    /// Messages of banned sources that were not read.
    pub unheard: u64,
    /// Sources that were forgotten for want of room.
    pub forgotten: u64,
}

/// A source that is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanView {
    /// Its address; of an IPv6 network the first.
    pub source: IpAddr,
    /// How much longer it is not heard.
    pub left: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    /// When it was heard last, as a place in the order of all.
    heard: u64,
    /// When its first failure that still counts was.
    since: Moment,
    failures: u32,
    banned_until: Option<Moment>,
    /// It showed right credentials.
    proven: Option<Moment>,
}

/// The sources that failed lately. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Bans {
    policy: BanPolicy,
    sources: BTreeMap<IpAddr, Source>,
    order: BTreeMap<u64, IpAddr>,
    heard: u64,
    pub(crate) counts: BanCounts,
}

impl Bans {
    pub(crate) fn new(policy: BanPolicy) -> Self {
        Self {
            policy,
            sources: BTreeMap::new(),
            order: BTreeMap::new(),
            heard: 0,
            counts: BanCounts::default(),
        }
    }

    /// Whether nothing is to be read from this address; a message that is not is counted.
    pub(crate) fn is_banned(&mut self, now: Moment, address: IpAddr) -> bool {
        let key = network(address);
        let banned = self
            .sources
            .get(&key)
            .is_some_and(|source| source.banned_until.is_some_and(|until| now < until));
        if banned {
            self.hear(now, key);
            self.counts.unheard += 1;
        }
        banned
    }

    /// Whether this address showed right credentials lately.
    pub(crate) fn is_proven(&self, now: Moment, address: IpAddr) -> bool {
        let source = self.sources.get(&network(address));
        let proven = source.and_then(|source| source.proven);
        proven.is_some_and(|at| now.saturating_since(at) <= self.policy.duration)
    }

    /// Counts a failure; tells whether the address is banned for it.
    pub(crate) fn fail(&mut self, now: Moment, address: IpAddr) -> bool {
        let BanPolicy {
            failures,
            window,
            duration,
            ..
        } = self.policy;
        if failures == 0 {
            return false;
        }
        self.counts.failures += 1;
        let Some(source) = self.hear(now, network(address)) else {
            return false;
        };
        if now.saturating_since(source.since) > window {
            source.since = now;
            source.failures = 0;
        }
        source.failures += 1;
        if source.failures < failures {
            return false;
        }
        source.failures = 0;
        source.since = now;
        source.banned_until = Some(now + duration);
        self.counts.bans += 1;
        true
    }

    /// The address showed right credentials.
    pub(crate) fn prove(&mut self, now: Moment, address: IpAddr) {
        if self.policy.failures == 0 {
            return;
        }
        if let Some(source) = self.hear(now, network(address)) {
            source.failures = 0;
            source.proven = Some(now);
        }
    }

    /// The row of a source, which is now the last to be forgotten.
    fn hear(&mut self, now: Moment, key: IpAddr) -> Option<&mut Source> {
        self.heard += 1;
        let heard = self.heard;
        match self.sources.get(&key) {
            Some(known) => {
                self.order.remove(&known.heard);
            }
            None => {
                while self.sources.len() >= self.policy.sources.max(1) {
                    let (_, oldest) = self.order.pop_first()?;
                    self.sources.remove(&oldest);
                    self.counts.forgotten += 1;
                }
            }
        }
        self.order.insert(heard, key);
        let source = self.sources.entry(key).or_insert(Source {
            heard,
            since: now,
            failures: 0,
            banned_until: None,
            proven: None,
        });
        source.heard = heard;
        Some(source)
    }

    /// Who is banned, in the order of addresses.
    pub(crate) fn views(&self, now: Moment) -> impl Iterator<Item = BanView> + '_ {
        self.sources.iter().filter_map(move |(source, state)| {
            let left = state.banned_until?.saturating_since(now);
            (!left.is_zero()).then_some(BanView {
                source: *source,
                left,
            })
        })
    }
}

/// What one sender can have: its IPv4 address, or the /64 of its IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
