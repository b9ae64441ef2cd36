//! Links with a delay, and on datagram transports with loss, duplication and reordering.

use std::collections::BTreeSet;
use std::time::Duration;

use ambient::TokenRng;

/// A direction of a link, by its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Toward {
    /// From a party to the gateway.
    Gateway,
    /// From the gateway to a party.
    Party,
}

/// How one direction of a link treats messages.
#[derive(Clone, Debug)]
pub struct Lane {
    /// How long every message takes at least.
    pub delay: Duration,
    /// The most that chance adds to it; more than the gap between two messages reorders them.
    pub jitter: Duration,
    /// Of a hundred datagrams, how many are lost.
    pub loss: u8,
    /// Of a hundred datagrams, how many come twice.
    pub duplication: u8,
    /// Datagrams that are lost whatever chance says, counted from 1.
    pub drop: BTreeSet<u64>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            drop: BTreeSet::new(),
        }
    }
}

/// Both directions of a link.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// From the party to the gateway.
    pub toward_gateway: Lane,
    /// From the gateway to the party.
    pub toward_party: Lane,
}

impl Link {
    /// Ten milliseconds each way, nothing lost.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }

    /// Loses `loss` of a hundred datagrams in each direction, repeats half as many, and reorders.
    #[must_use]
    pub fn lossy(loss: u8) -> Self {
        let lane = Lane {
            jitter: Duration::from_millis(40),
            loss,
            duplication: loss / 2,
            ..Lane::default()
        };
        Self {
            toward_gateway: lane.clone(),
            toward_party: lane,
        }
    }

    /// Loses the datagram number `nth`, counted from 1, of one direction.
    #[must_use]
    pub fn drop_nth(mut self, toward: Toward, nth: u64) -> Self {
        self.lane_mut(toward).drop.insert(nth);
        self
    }

    fn lane_mut(&mut self, toward: Toward) -> &mut Lane {
        match toward {
            Toward::Gateway => &mut self.toward_gateway,
            Toward::Party => &mut self.toward_party,
        }
    }

    pub(crate) fn lane(&self, toward: Toward) -> &Lane {
        match toward {
            Toward::Gateway => &self.toward_gateway,
            Toward::Party => &self.toward_party,
        }
    }
}

/// The chance of one direction, and what it has decided so far.
#[derive(Debug)]
pub(crate) struct Fate {
    chance: TokenRng,
    sent: u64,
}

impl Fate {
    pub(crate) fn new(chance: TokenRng) -> Self {
        Self { chance, sent: 0 }
    }

    /// After how long a message arrives: not at all, once or twice. A reliable transport delivers
    /// everything once and in order.
    pub(crate) fn deliveries(&mut self, lane: &Lane, reliable: bool) -> Vec<Duration> {
        self.sent += 1;
        if reliable {
            return vec![lane.delay];
        }
        let lost = self.chance.below(100) < u64::from(lane.loss);
        let doubled = self.chance.below(100) < u64::from(lane.duplication);
        if lost || lane.drop.contains(&self.sent) {
            return Vec::new();
        }
        let copies = if doubled { 2 } else { 1 };
        (0..copies)
            .map(|_| lane.delay + self.below(lane.jitter))
            .collect()
    }

    fn below(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.chance.below(micros + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_datagram_is_lost_and_the_next_one_arrives() {
        let link = Link::good().drop_nth(Toward::Party, 2);
        let mut fate = Fate::new(TokenRng::from_seed([1; 32]));
        let lane = link.lane(Toward::Party);
        let counts: Vec<usize> = (0..3).map(|_| fate.deliveries(lane, false).len()).collect();
        assert_eq!(counts, [1, 0, 1]);
    }

    #[test]
    fn a_reliable_transport_loses_nothing() {
        let link = Link::lossy(100);
        let mut fate = Fate::new(TokenRng::from_seed([1; 32]));
        assert_eq!(fate.deliveries(link.lane(Toward::Party), true).len(), 1);
        assert_eq!(fate.deliveries(link.lane(Toward::Party), false).len(), 0);
    }
}
