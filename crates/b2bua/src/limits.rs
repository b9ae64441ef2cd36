//! Admission: calls at once and calls per second, for the gateway and for each trunk.
//!
//! A [`Permit`] is a value that is held exactly once and handed back to the [`Gate`]. The gate's
//! state lives under the trunk's name, so a reload changes limits and never the count in use.

use std::collections::BTreeMap;
use std::time::Duration;

use ambient::Moment;
use sip_msg::wire::TrunkName;
use thiserror::Error;

/// Limits of the gateway as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// Calls at once.
    pub calls: u32,
    /// New calls a second, with a burst of as many; `None` for no limit.
    pub calls_per_second: Option<u32>,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            calls: 10_000,
            calls_per_second: None,
        }
    }
}

/// Limits of one trunk; each leg on the trunk counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkLimits {
    /// Legs at once; `None` for no limit beyond the gateway's.
    pub calls: Option<u32>,
    /// New legs a second, with a burst of as many; `None` for no limit.
    pub calls_per_second: Option<u32>,
}

/// What a permit counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// The A leg: one call of the gateway and one leg of its trunk.
    Call,
    /// A B leg: one leg of its trunk.
    Leg,
}

/// The right to one leg. Give it back with [`Gate::release`] when the leg ends.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is lost shrinks the gateway for good"]
pub struct Permit {
    trunk: TrunkName,
    share: Share,
}

impl Permit {
    /// The trunk whose room it takes.
    #[must_use]
    pub fn trunk(&self) -> &TrunkName {
        &self.trunk
    }

    /// What it counts against.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// Each counts against what the other did; the sums stay the same.
    pub(crate) fn exchange_shares(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.share, &mut other.share);
    }
}

/// Why a leg is not admitted. Policy, never the peer, is the culprit; a caller sees 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The gateway carries as many calls as it may.
    #[error("the gateway carries as many calls as it may")]
    GatewayFull,
    /// The trunk carries as many legs as it may.
    #[error("the trunk carries as many calls as it may")]
    TrunkFull,
    /// The gateway starts as many calls a second as it may.
    #[error("the gateway starts as many calls a second as it may")]
    GatewayRate,
    /// The trunk starts as many legs a second as it may.
    #[error("the trunk starts as many calls a second as it may")]
    TrunkRate,
    /// A limit beside those of gateway and trunk is used up; routing says which.
    #[error("a limit is used up")]
    NamedLimit,
    /// Every number that Azure may show has as many calls as it may.
    #[error("every caller id has as many calls as it may")]
    CallerIds,
}

impl Refused {
    /// When the caller may try again, for `Retry-After` (RFC 3261 §20.33), in whole seconds.
    #[must_use]
    pub fn retry_after(self) -> Duration {
        match self {
            Self::GatewayRate | Self::TrunkRate => Duration::from_secs(1),
            Self::GatewayFull | Self::TrunkFull | Self::NamedLimit | Self::CallerIds => {
                Duration::from_secs(5)
            }
        }
    }

    /// The name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayFull => "gateway-full",
            Self::TrunkFull => "trunk-full",
            Self::GatewayRate => "gateway-rate",
            Self::TrunkRate => "trunk-rate",
            Self::NamedLimit => "limit",
            Self::CallerIds => "caller-ids",
        }
    }
}

/// How full something is, for metrics: visible before the limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Permits out.
    pub in_use: u32,
    /// The most there ever were.
    pub peak: u32,
    /// How many there may be.
    pub limit: Option<u32>,
    /// Permits given since the start.
    pub admitted: u64,
    /// Permits refused since the start.
    pub refused: u64,
}

/// Hands out permits. See the module's documentation.
#[derive(Debug)]
pub struct Gate {
    gateway: Counter,
    trunks: BTreeMap<TrunkName, Counter>,
}

impl Gate {
    /// A gate with nothing admitted.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        let gateway = Counter::new(Some(limits.calls), limits.calls_per_second);
        Self {
            gateway,
            trunks: BTreeMap::new(),
        }
    }

    /// Takes over the limits of a reload. Legs beyond a lowered limit stay; no new one gets in
    /// until enough have ended. Trunks not named keep counting down to their end.
    pub fn reload<'a>(
        &mut self,
        gateway: GateLimits,
        trunks: impl IntoIterator<Item = (&'a TrunkName, TrunkLimits)>,
    ) {
        self.gateway
            .relimit(Some(gateway.calls), gateway.calls_per_second);
        let mut present = BTreeMap::new();
        for (name, limits) in trunks {
            present.insert(name.clone(), limits);
        }
        self.trunks
            .retain(|name, counter| present.contains_key(name) || counter.usage.in_use > 0);
        for (name, limits) in present {
            self.trunks
                .entry(name)
                .or_default()
                .relimit(limits.calls, limits.calls_per_second);
        }
    }

    /// Admits a call that arrives on `trunk`.
    ///
    /// # Errors
    /// Which limit is reached. Nothing is counted against a limit then, except as refused.
    pub fn admit_call(&mut self, now: Moment, trunk: &TrunkName) -> Result<Permit, Refused> {
        self.gateway.check(now).map_err(|full| match full {
            Full::InUse => Refused::GatewayFull,
            Full::Rate => Refused::GatewayRate,
        })?;
        let permit = self.admit(now, trunk, Share::Call)?;
        self.gateway.take();
        Ok(permit)
    }

    /// Admits a further leg of an admitted call, toward `trunk`.
    ///
    /// # Errors
    /// Which limit of the trunk is reached.
    pub fn admit_leg(&mut self, now: Moment, trunk: &TrunkName) -> Result<Permit, Refused> {
        self.admit(now, trunk, Share::Leg)
    }

    fn admit(&mut self, now: Moment, trunk: &TrunkName, share: Share) -> Result<Permit, Refused> {
        let counter = self.trunks.entry(trunk.clone()).or_default();
        counter.check(now).map_err(|full| match full {
            Full::InUse => Refused::TrunkFull,
            Full::Rate => Refused::TrunkRate,
        })?;
        counter.take();
        Ok(Permit {
            trunk: trunk.clone(),
            share,
        })
    }

    /// The permit of a leg that was admitted by an earlier process and is restored from its
    /// checkpoint. A limit never drops a call that exists.
    pub fn readmit(&mut self, trunk: &TrunkName, share: Share) -> Permit {
        if share == Share::Call {
            self.gateway.take();
        }
        self.trunks.entry(trunk.clone()).or_default().take();
        Permit {
            trunk: trunk.clone(),
            share,
        }
    }

    /// The permit of an emergency call or of a leg of one: it counts, and no limit holds for it.
    pub fn admit_emergency(&mut self, trunk: &TrunkName, share: Share) -> Permit {
        self.readmit(trunk, share)
    }

    /// Takes a permit back.
    pub fn release(&mut self, permit: Permit) {
        let Permit { trunk, share } = permit;
        if share == Share::Call {
            self.gateway.give_back();
        }
        if let Some(counter) = self.trunks.get_mut(&trunk) {
            counter.give_back();
        }
    }

    /// How many more legs `trunk` may have now; `None` without a limit. One of the facts that
    /// routing decides on.
    #[must_use]
    pub fn room(&self, trunk: &TrunkName) -> Option<u32> {
        let usage = self.trunks.get(trunk)?.usage;
        usage.limit.map(|limit| limit.saturating_sub(usage.in_use))
    }

    /// Use of the gateway as a whole.
    #[must_use]
    pub fn gateway_usage(&self) -> Usage {
        self.gateway.usage
    }

    /// Use of every trunk that has limits or legs.
    pub fn trunk_usage(&self) -> impl Iterator<Item = (&TrunkName, Usage)> {
        self.trunks
            .iter()
            .map(|(name, counter)| (name, counter.usage))
    }
}

enum Full {
    InUse,
    Rate,
}

#[derive(Debug, Default)]
struct Counter {
    usage: Usage,
    rate: Option<TokenBucket>,
}

impl Counter {
    fn new(limit: Option<u32>, per_second: Option<u32>) -> Self {
        let usage = Usage {
            limit,
            ..Usage::default()
        };
        Self {
            usage,
            rate: per_second.map(TokenBucket::new),
        }
    }

    fn relimit(&mut self, limit: Option<u32>, per_second: Option<u32>) {
        self.usage.limit = limit;
        if self.rate.as_ref().map(|bucket| bucket.per_second) != per_second {
            self.rate = per_second.map(TokenBucket::new);
        }
    }

    fn check(&mut self, now: Moment) -> Result<(), Full> {
        let full = if self
            .usage
            .limit
            .is_some_and(|limit| self.usage.in_use >= limit)
        {
            Full::InUse
        } else if self
            .rate
            .as_mut()
            .is_some_and(|bucket| !bucket.has_token(now))
        {
            Full::Rate
        } else {
            return Ok(());
        };
        self.usage.refused += 1;
        Err(full)
    }

    fn take(&mut self) {
        if let Some(bucket) = &mut self.rate {
            bucket.take();
        }
        self.usage.in_use += 1;
        self.usage.admitted += 1;
        self.usage.peak = self.usage.peak.max(self.usage.in_use);
    }

    fn give_back(&mut self) {
        self.usage.in_use = self.usage.in_use.saturating_sub(1);
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A token bucket that holds one second's worth. Counts in billionths of a token, so that no
/// rounding makes it drift.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_second: u32,
    billionths: u64,
    refilled: Option<Moment>,
}

impl TokenBucket {
    pub(crate) fn new(per_second: u32) -> Self {
        let billionths = u64::from(per_second) * NANOS_PER_SECOND;
        Self {
            per_second,
            billionths,
            refilled: None,
        }
    }

    pub(crate) fn per_second(&self) -> u32 {
        self.per_second
    }

    fn has_token(&mut self, now: Moment) -> bool {
        self.tokens(now) > 0
    }

    /// Whole tokens there are now.
    pub(crate) fn tokens(&mut self, now: Moment) -> u32 {
        let full = u64::from(self.per_second) * NANOS_PER_SECOND;
        if let Some(before) = self.refilled {
            let elapsed = now.saturating_since(before).as_nanos();
            let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
            let gained = elapsed.saturating_mul(u64::from(self.per_second));
            self.billionths = self.billionths.saturating_add(gained).min(full);
        }
        self.refilled = Some(now);
        u32::try_from(self.billionths / NANOS_PER_SECOND).unwrap_or(u32::MAX)
    }

    pub(crate) fn take(&mut self) {
        self.billionths = self.billionths.saturating_sub(NANOS_PER_SECOND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_nanos(milliseconds * 1_000_000)
    }

    fn gate(calls: u32, trunk: TrunkLimits) -> (Gate, TrunkName) {
        let name = TrunkName::from("carrier");
        let mut gate = Gate::new(GateLimits {
            calls,
            calls_per_second: None,
        });
        gate.reload(
            GateLimits {
                calls,
                calls_per_second: None,
            },
            [(&name, trunk)],
        );
        (gate, name)
    }

    #[test]
    fn a_released_permit_makes_room_again() {
        let (mut gate, name) = gate(
            10,
            TrunkLimits {
                calls: Some(1),
                calls_per_second: None,
            },
        );
        let permit = gate.admit_call(at(0), &name).unwrap();
        assert_eq!(gate.room(&name), Some(0));
        assert_eq!(gate.admit_leg(at(0), &name), Err(Refused::TrunkFull));
        gate.release(permit);
        assert_eq!(gate.room(&name), Some(1));
        let again = gate.admit_leg(at(0), &name).unwrap();
        gate.release(again);
        assert_eq!(gate.gateway_usage().in_use, 0);
    }

    #[test]
    fn a_trunk_that_refuses_takes_nothing_of_the_gateway() {
        let (mut gate, name) = gate(
            1,
            TrunkLimits {
                calls: Some(0),
                calls_per_second: None,
            },
        );
        assert_eq!(gate.admit_call(at(0), &name), Err(Refused::TrunkFull));
        let other = TrunkName::from("pbx");
        let permit = gate.admit_call(at(0), &other).unwrap();
        assert_eq!(gate.admit_call(at(0), &other), Err(Refused::GatewayFull));
        gate.release(permit);
    }

    #[test]
    fn calls_per_second_allow_a_burst_and_then_the_rate() {
        let (mut gate, name) = gate(
            100,
            TrunkLimits {
                calls: None,
                calls_per_second: Some(2),
            },
        );
        let mut held = Vec::new();
        held.extend(gate.admit_leg(at(0), &name));
        held.extend(gate.admit_leg(at(0), &name));
        assert_eq!(gate.admit_leg(at(499), &name), Err(Refused::TrunkRate));
        held.extend(gate.admit_leg(at(500), &name));
        assert_eq!(gate.admit_leg(at(999), &name), Err(Refused::TrunkRate));
        held.extend(gate.admit_leg(at(1_000), &name));
        assert_eq!(held.len(), 4);
        held.into_iter().for_each(|permit| gate.release(permit));
    }

    #[test]
    fn a_reload_keeps_what_is_in_use() {
        let (mut gate, name) = gate(
            10,
            TrunkLimits {
                calls: Some(5),
                calls_per_second: None,
            },
        );
        let permits: Vec<Permit> = (0..3)
            .map(|_| gate.admit_leg(at(0), &name).unwrap())
            .collect();
        let fewer = TrunkLimits {
            calls: Some(2),
            calls_per_second: None,
        };
        gate.reload(GateLimits::default(), [(&name, fewer)]);
        assert_eq!(gate.admit_leg(at(0), &name), Err(Refused::TrunkFull));
        gate.reload(GateLimits::default(), []);
        permits.into_iter().for_each(|permit| gate.release(permit));
        let (_, usage) = gate.trunk_usage().next().unwrap();
        assert_eq!((usage.in_use, usage.peak), (0, 3));
        gate.reload(GateLimits::default(), []);
        assert_eq!(
            gate.trunk_usage().count(),
            0,
            "a removed trunk goes when it is empty"
        );
    }

    #[test]
    fn a_restored_call_is_never_refused() {
        let (mut gate, name) = gate(
            0,
            TrunkLimits {
                calls: Some(0),
                calls_per_second: None,
            },
        );
        let permit = gate.readmit(&name, Share::Call);
        assert_eq!(gate.gateway_usage().in_use, 1);
        gate.release(permit);
        assert_eq!(gate.gateway_usage().in_use, 0);
    }
}
