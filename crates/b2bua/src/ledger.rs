//! The limits of `[[limit]]`: who counts against which, and what is left of each.
//!
//! A call counts from its first attempt to its end, against the limits of the attempt that is under
//! way or was answered. Minutes and money are charged when it ends, to the day (of UTC) it ends
//! on. What a process has counted of the day goes with it, unless its successor is told by
//! [`Spent`]; calls that are restored count on.

use std::collections::BTreeMap;
use std::sync::Arc;

use ambient::{Now, WallTime};
use routing::{LimitDoc, Remaining};

use crate::key::CallKey;
use crate::limits::{Refused, TokenBucket};
use crate::record::CallRecord;

const MICROS_OF_DAY: u64 = 86_400_000_000;
const SECONDS_OF_MINUTE: u64 = 60;

/// All limits, and the calls that count. Bounded by the limits of the routing snapshot and the
/// calls of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: BTreeMap<Arc<str>, Account>,
    calls: BTreeMap<CallKey, Vec<Arc<str>>>,
}

/// One limit.
#[derive(Debug, Default)]
struct Account {
    calls: Option<u32>,
    starts: Option<TokenBucket>,
    seconds: Option<u64>,
    spend: Option<u64>,
    in_use: u32,
    /// Days since the Unix epoch that the sums below are of.
    day: u64,
    seconds_used: u64,
    spent: u64,
}

impl Account {
    fn relimit(&mut self, limit: &LimitDoc) {
        self.calls = limit.calls;
        if self.starts.as_ref().map(TokenBucket::per_second) != limit.calls_per_second {
            self.starts = limit.calls_per_second.map(TokenBucket::new);
        }
        let seconds = |minutes: u32| u64::from(minutes) * SECONDS_OF_MINUTE;
        self.seconds = limit.minutes_per_day.map(seconds);
        self.spend = limit.spend_per_day.map(|spend| spend.micros);
    }

    fn begin_day(&mut self, wall: WallTime) {
        let day = wall.as_unix_micros() / MICROS_OF_DAY;
        if day != self.day {
            self.day = day;
            self.seconds_used = 0;
            self.spent = 0;
        }
    }

    fn charge(&mut self, seconds: u64, micros: u64) {
        self.seconds_used = self.seconds_used.saturating_add(seconds);
        self.spent = self.spent.saturating_add(micros);
    }

    fn remaining(&mut self, now: Now) -> Remaining {
        self.begin_day(now.wall);
        Remaining {
            calls: self.calls.map(|most| most.saturating_sub(self.in_use)),
            starts: self.starts.as_mut().map(|bucket| bucket.tokens(now.moment)),
            seconds: self
                .seconds
                .map(|most| most.saturating_sub(self.seconds_used)),
            spend: self.spend.map(|most| most.saturating_sub(self.spent)),
        }
    }

    fn is_used_up(&mut self, now: Now) -> bool {
        let left = self.remaining(now);
        left.calls == Some(0)
            || left.starts == Some(0)
            || left.seconds == Some(0)
            || left.spend == Some(0)
    }

    fn take(&mut self, starts: bool) {
        if let Some(bucket) = self.starts.as_mut().filter(|_| starts) {
            bucket.take();
        }
        self.in_use += 1;
    }
}

/// What a limit was charged on one day by calls that have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The limit.
    pub limit: Arc<str>,
    /// The day (of UTC), in days since the Unix epoch.
    pub day: u64,
    /// Time talked, in seconds.
    pub seconds: u64,
    /// Money, in millionths of the limit's currency.
    pub micros: u64,
}

impl Ledger {
    /// Charges what earlier processes have counted of this day; sums of other days are over.
    pub(crate) fn refill(&mut self, now: Now, spent: &[Spent]) {
        for one in spent {
            let Some(account) = self.accounts.get_mut(&one.limit) else {
                continue;
            };
            account.begin_day(now.wall);
            if account.day == one.day {
                account.charge(one.seconds, one.micros);
            }
        }
    }

    /// Takes over the limits of a snapshot; what counts against one goes on under its name.
    pub(crate) fn reload<'a>(&mut self, limits: impl Iterator<Item = &'a LimitDoc>) {
        let mut before = std::mem::take(&mut self.accounts);
        for limit in limits.filter(|limit| limit.counts()) {
            let name: Arc<str> = limit.name.as_str().into();
            let mut account = before.remove(&name).unwrap_or_default();
            account.relimit(limit);
            self.accounts.insert(name, account);
        }
    }

    /// What is left of these limits: facts of routing. A call that counts already leaves room for
    /// itself.
    pub(crate) fn remaining<'a>(
        &mut self,
        now: Now,
        names: impl IntoIterator<Item = &'a Arc<str>>,
        own: Option<CallKey>,
    ) -> BTreeMap<Arc<str>, Remaining> {
        let held = own.and_then(|call| self.calls.get(&call));
        let left = names.into_iter().filter_map(|name| {
            let account = self.accounts.get_mut(name)?;
            let mut left = account.remaining(now);
            if held.is_some_and(|held| held.contains(name)) {
                left.calls = left.calls.map(|calls| calls.saturating_add(1));
                left.starts = left.starts.map(|starts| starts.max(1));
            }
            Some((name.clone(), left))
        });
        left.collect()
    }

    /// Counts an attempt of a call against these limits, instead of the attempt before.
    ///
    /// # Errors
    /// One of them is used up; the call counts against none of them then.
    pub(crate) fn take(
        &mut self,
        now: Now,
        call: CallKey,
        names: Vec<Arc<str>>,
    ) -> Result<(), Refused> {
        let before = self.give_back(call);
        let used_up = |name: &Arc<str>| {
            let account = self.accounts.get_mut(name);
            account.is_some_and(|account| account.is_used_up(now))
        };
        // What the call started with, it need not start with again.
        let mut new = names.iter().filter(|name| !before.contains(name));
        if new.any(used_up) {
            return Err(Refused::NamedLimit);
        }
        for name in &names {
            if let Some(account) = self.accounts.get_mut(name) {
                account.take(!before.contains(name));
            }
        }
        self.hold(call, names);
        Ok(())
    }

    /// A call of an earlier process counts on; no limit drops a call that exists.
    pub(crate) fn retake(&mut self, call: CallKey, record: &CallRecord) {
        let names = record.attempts.last().map(|attempt| &attempt.limits);
        let names = names.into_iter().flatten();
        let names: Vec<Arc<str>> = names.map(|name| Arc::from(name.as_str())).collect();
        for name in &names {
            if let Some(account) = self.accounts.get_mut(name) {
                account.take(false);
            }
        }
        self.hold(call, names);
    }

    fn hold(&mut self, call: CallKey, names: Vec<Arc<str>>) {
        if !names.is_empty() {
            self.calls.insert(call, names);
        }
    }

    /// A call has ended: it counts no more, and its minutes and price are charged.
    pub(crate) fn settle(&mut self, now: Now, record: &CallRecord) {
        let names = self.give_back(record.call);
        if record.answered.is_none() {
            return;
        }
        for name in &names {
            if let Some(account) = self.accounts.get_mut(name) {
                account.begin_day(now.wall);
                let price = record.price().map_or(0, |price| price.micros);
                account.charge(record.talk_time().as_secs(), price);
            }
        }
    }

    fn give_back(&mut self, call: CallKey) -> Vec<Arc<str>> {
        let names = self.calls.remove(&call).unwrap_or_default();
        for name in &names {
            if let Some(account) = self.accounts.get_mut(name) {
                account.in_use = account.in_use.saturating_sub(1);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use ambient::Moment;
    use routing::{Currency, Money, Tariff};
    use sip_msg::wire::TrunkName;

    use super::*;
    use crate::record::{AttemptRecord, Begin, Number};

    fn at(seconds: u64) -> Now {
        Now {
            moment: Moment::from_nanos(seconds * 1_000_000_000),
            wall: WallTime::from_unix_micros(seconds * 1_000_000),
        }
    }

    fn usd(micros: u64) -> Money {
        let currency = Currency::parse("USD").unwrap();
        Money { micros, currency }
    }

    fn ledger() -> (Ledger, Vec<Arc<str>>) {
        let limit = LimitDoc {
            name: "l".to_owned(),
            calls: Some(2),
            calls_per_second: Some(2),
            minutes_per_day: Some(3),
            spend_per_day: Some(usd(500_000)),
            ..LimitDoc::default()
        };
        let mut ledger = Ledger::default();
        ledger.reload(std::iter::once(&limit));
        (ledger, vec![Arc::from("l")])
    }

    fn record(call: u64, talked: u64, ended: u64) -> CallRecord {
        let wall = |seconds| at(seconds).wall;
        let mut record = CallRecord::begin(Begin {
            call: CallKey(call),
            from_trunk: TrunkName::from("pbx"),
            call_id: "".into(),
            from_address: "192.0.2.1:5060".parse().unwrap(),
            called: Number::new("+14255550123"),
            calling: None,
            started: wall(0),
        });
        let carrier = TrunkName::from("carrier");
        let number = Number::new("+14255550123");
        let mut attempt = AttemptRecord::begin(carrier, 0, String::new(), number, wall(0));
        attempt.limits = vec!["l".to_owned()];
        attempt.tariff = Some(Tariff {
            per_minute: usd(100_000),
            initial: 60,
            subsequent: 60,
        });
        record.attempts.push(attempt);
        record.answered = (talked > 0).then(|| wall(ended - talked));
        record.ended = wall(ended);
        record
    }

    #[test]
    fn calls_at_once_are_given_back() {
        let (mut ledger, names) = ledger();
        ledger.take(at(0), CallKey(1), names.clone()).unwrap();
        // Another attempt of the same call counts once.
        ledger.take(at(0), CallKey(1), names.clone()).unwrap();
        ledger.take(at(0), CallKey(2), names.clone()).unwrap();
        let refused = ledger.take(at(5), CallKey(3), names.clone());
        assert_eq!(refused, Err(Refused::NamedLimit));
        let left = ledger.remaining(at(5), &names, None)[&names[0]];
        assert_eq!((left.calls, left.starts), (Some(0), Some(2)));
        // Where one of them is sent elsewhere, it is not in its own way.
        let left = ledger.remaining(at(5), &names, Some(CallKey(2)))[&names[0]];
        assert_eq!((left.calls, left.starts), (Some(1), Some(2)));
        ledger.settle(at(6), &record(1, 0, 6));
        ledger.take(at(6), CallKey(3), names).unwrap();
    }

    #[test]
    fn minutes_and_money_are_of_a_day() {
        let (mut ledger, names) = ledger();
        ledger.take(at(0), CallKey(1), names.clone()).unwrap();
        ledger.settle(at(130), &record(1, 130, 130));
        let left = ledger.remaining(at(130), &names, None)[&names[0]];
        assert_eq!((left.seconds, left.spend), (Some(50), Some(200_000)));
        ledger.take(at(200), CallKey(2), names.clone()).unwrap();
        ledger.settle(at(300), &record(2, 60, 300));
        let left = ledger.remaining(at(300), &names, None)[&names[0]];
        assert_eq!((left.seconds, left.spend), (Some(0), Some(100_000)));
        let refused = ledger.take(at(301), CallKey(3), names.clone());
        assert_eq!(refused, Err(Refused::NamedLimit));
        ledger.take(at(86_400), CallKey(3), names).unwrap();
    }

    #[test]
    fn what_an_earlier_process_charged_counts_on_that_day() {
        let (mut ledger, names) = ledger();
        let spent = |limit: &str, day| Spent {
            limit: limit.into(),
            day,
            seconds: 130,
            micros: 200_000,
        };
        let told = [spent("l", 1), spent("l", 0), spent("gone", 1)];
        ledger.refill(at(86_400), &told);
        let left = ledger.remaining(at(86_400), &names, None)[&names[0]];
        assert_eq!((left.seconds, left.spend), (Some(50), Some(300_000)));
        let left = ledger.remaining(at(2 * 86_400), &names, None)[&names[0]];
        assert_eq!((left.seconds, left.spend), (Some(180), Some(500_000)));
    }

    #[test]
    fn a_restored_call_counts_on() {
        let (mut ledger, names) = ledger();
        ledger.retake(CallKey(1), &record(1, 10, 10));
        ledger.retake(CallKey(2), &record(2, 10, 10));
        ledger.retake(CallKey(3), &record(3, 10, 10));
        let left = ledger.remaining(at(11), &names, None)[&names[0]];
        assert_eq!(left.calls, Some(0));
        ledger.settle(at(11), &record(3, 10, 11));
        ledger.settle(at(11), &record(2, 10, 11));
        let left = ledger.remaining(at(11), &names, None)[&names[0]];
        assert_eq!(left.calls, Some(1));
    }
}
