//! Session timers (RFC 4028), as far as a party asks for them: it refreshes, and when it stops,
//! its call is over. This gateway asks nobody for a session timer and refreshes nobody's.

use std::time::Duration;

use sip_msg::{HeaderName, Headers, Refresher};

/// The smallest session interval that is acceptable (RFC 4028 §4).
pub(crate) const MIN_SE: Duration = Duration::from_secs(90);

/// A session interval that the party of a leg refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    interval: Duration,
}

impl SessionTimer {
    /// The session timer that a request asks for, if it is one that the party keeps up itself.
    pub(crate) fn wanted(headers: &Headers) -> Option<Self> {
        let asked = headers.session_expires().ok().flatten()?;
        let supports = headers
            .supported()
            .iter()
            .any(|tag| tag.eq_ignore_ascii_case("timer"));
        let by_party = asked.refresher != Some(Refresher::Uas);
        (supports && by_party).then_some(Self {
            interval: asked.interval,
        })
    }

    /// Whether a request asks for an interval that is too short, to be answered 422 with `Min-SE`.
    pub(crate) fn too_short(headers: &Headers) -> bool {
        let asked = headers.session_expires().ok().flatten();
        asked.is_some_and(|asked| asked.interval < MIN_SE)
    }

    /// Header fields of the 2xx (RFC 4028 §9).
    pub(crate) fn write(self, headers: &mut Headers) {
        let seconds = self.interval.as_secs();
        headers.push(
            HeaderName::SessionExpires,
            format!("{seconds};refresher=uac"),
        );
        headers.push(HeaderName::Require, "timer");
    }

    /// When a session that was not refreshed is ended (RFC 4028 §10): before the interval is over
    /// by a third of it, or 32 s if that is less.
    pub(crate) fn deadline(self) -> Duration {
        self.interval
            .saturating_sub((self.interval / 3).min(Duration::from_secs(32)))
    }
}
