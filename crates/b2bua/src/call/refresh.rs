//! Session timers (RFC 4028): what is agreed with the party of each leg. None is ever relayed.

use std::time::Duration;

use sip_msg::{HeaderName, Headers, Method, Refresher, Response, SessionExpires};

use crate::profile::{RefresherChoice, SessionPolicy};

/// Longest time by which a session is ended before its interval is over (RFC 4028 §10).
const MARGIN: Duration = Duration::from_secs(32);

/// The session timer of one leg, in force since the last refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    /// The session interval.
    pub(crate) interval: Duration,
    /// Whether we send the refreshes, and not the party.
    pub(crate) ours: bool,
}

/// An interval is too short to be accepted: 422 with `Min-SE` answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooShort(Duration);

impl TooShort {
    pub(crate) fn min_se(self) -> (HeaderName, String) {
        (HeaderName::MinSe, self.0.as_secs().to_string())
    }
}

impl SessionTimer {
    /// What the answer to a request of the party agrees to (RFC 4028 §9).
    pub(crate) fn answering(
        request: &Headers,
        policy: &SessionPolicy,
    ) -> Result<Option<Self>, TooShort> {
        let asked = request.session_expires().ok().flatten();
        let interval = match asked.map(|asked| asked.interval).or(policy.expires) {
            None => return Ok(None),
            Some(asked_for) if asked.is_some() && asked_for < policy.min_se => {
                return Err(TooShort(policy.min_se));
            }
            Some(interval) => interval.max(least(request)),
        };
        let ours = match asked.and_then(|asked| asked.refresher) {
            // Only a proxy can have asked on behalf of a party that knows no session timers.
            _ if !knows_timers(request) => true,
            Some(refresher) => refresher == Refresher::Uas,
            None => policy.refresher == RefresherChoice::Us,
        };
        Ok(Some(Self { interval, ours }))
    }

    /// What the party's 2xx to a request of ours agrees to (RFC 4028 §7.2). Without a word from
    /// it, we go on refreshing if we want a timer and it need not do anything for it.
    pub(crate) fn answered(
        response: &Response,
        policy: &SessionPolicy,
        before: Option<Self>,
    ) -> Option<Self> {
        match response.headers.session_expires().ok().flatten() {
            Some(agreed) => Some(Self {
                interval: agreed.interval.max(SessionPolicy::LEAST),
                ours: agreed.refresher != Some(Refresher::Uas),
            }),
            None if policy.refresher == RefresherChoice::Peer => None,
            None => {
                let interval = before
                    .filter(|timer| timer.ours)
                    .map(|timer| timer.interval);
                let interval = interval.or(policy.expires)?;
                Some(Self {
                    interval,
                    ours: true,
                })
            }
        }
    }

    /// Header fields of our 2xx (RFC 4028 §9).
    pub(crate) fn write_answer(self, headers: &mut Headers) {
        let refresher = if self.ours {
            Refresher::Uas
        } else {
            Refresher::Uac
        };
        headers.push(HeaderName::SessionExpires, self.written(Some(refresher)));
        if !self.ours {
            headers.push(HeaderName::Require, "timer");
        }
    }

    /// Header fields of a request of ours that refreshes the session (RFC 4028 §7.4).
    ///
    /// `raised` says that a 422 asked for this interval.
    pub(crate) fn write_request(self, policy: &SessionPolicy, raised: bool, headers: &mut Headers) {
        let refresher = if self.ours {
            Refresher::Uac
        } else {
            Refresher::Uas
        };
        headers.push(HeaderName::SessionExpires, self.written(Some(refresher)));
        let least = if raised {
            self.interval
        } else {
            policy.min_se.min(self.interval)
        };
        write_least(least, headers);
    }

    fn written(self, refresher: Option<Refresher>) -> String {
        let interval = self.interval;
        SessionExpires {
            interval,
            refresher,
        }
        .to_string()
    }

    /// When a session that was not refreshed is ended (RFC 4028 §10): before the interval is over
    /// by a third of it, or 32 s if that is less.
    pub(crate) fn deadline(self) -> Duration {
        self.interval
            .saturating_sub((self.interval / 3).min(MARGIN))
    }

    /// When we refresh (RFC 4028 §7.4), if it is ours to do.
    pub(crate) fn refresh_after(self) -> Option<Duration> {
        self.ours.then_some(self.interval / 2)
    }
}

/// Header fields of our first INVITE on a trunk.
pub(crate) fn propose(policy: &SessionPolicy, headers: &mut Headers) {
    let Some(interval) = policy.expires else {
        return;
    };
    let timer = SessionTimer {
        interval,
        ours: true,
    };
    let refresher = match policy.refresher {
        RefresherChoice::Auto => None,
        RefresherChoice::Us => Some(Refresher::Uac),
        RefresherChoice::Peer => Some(Refresher::Uas),
    };
    headers.push(HeaderName::SessionExpires, timer.written(refresher));
    write_least(policy.min_se, headers);
}

/// Proposes again what a 422 asks for: the same request, for the longer interval.
pub(crate) fn propose_longer(interval: Duration, headers: &mut Headers) {
    let refresher = headers.session_expires().ok().flatten();
    let expires = SessionExpires {
        interval,
        refresher: refresher.and_then(|asked| asked.refresher),
    };
    headers.set(HeaderName::SessionExpires, expires.to_string());
    headers.set(HeaderName::MinSe, interval.as_secs().to_string());
}

/// `Min-SE` is left out at its default (RFC 4028 §5).
fn write_least(least: Duration, headers: &mut Headers) {
    if least > SessionPolicy::LEAST {
        headers.push(HeaderName::MinSe, least.as_secs().to_string());
    }
}

/// The interval that a 422 asks for instead of the one we named; `None` if it is no longer.
pub(crate) fn longer(refusal: &Headers, named: Duration) -> Option<Duration> {
    let least = refusal.min_se().ok().flatten()?;
    (least > named).then_some(least)
}

/// Whether the sender's `Allow` names UPDATE (RFC 3311 §5).
pub(crate) fn takes_updates(headers: &Headers) -> bool {
    headers.allow().contains(&Method::Update)
}

fn least(headers: &Headers) -> Duration {
    headers.min_se().ok().flatten().unwrap_or_default()
}

fn knows_timers(headers: &Headers) -> bool {
    let knows = |tag: &String| tag.eq_ignore_ascii_case("timer");
    headers.supported().iter().any(knows) || headers.require().iter().any(knows)
}

#[cfg(test)]
mod tests;
