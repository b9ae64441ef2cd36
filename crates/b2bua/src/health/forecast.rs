//! What Azure says of a trunk, foretold from what can be seen from here (H-01, H-02).
//!
//! Azure's own pages judge by three things: when a TLS handshake was last made, when OPTIONS were
//! last exchanged, and how long the certificate lasts. All three are seen here too, so that an
//! operator learns of a trunk that is about to be called expired before the portal says so.
//!
//! | seen here | Azure says |
//! | --- | --- |
//! | no handshake within the window | TLS unknown |
//! | certificate ended, or ends within 30 days | certExpired, certExpiring |
//! | no OPTIONS of ours ever answered | ping unknown |
//! | the last OPTIONS was refused, by either side | ping error |
//! | none answered within the window | ping expired |
//!
//! The trunk is active while its ping is ok. Otherwise it is inactive, with the absence of calls
//! as a second reason where there were none within the window either.

use std::time::Duration;

use ambient::WallTime;

/// What is known of one name of this gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When a TLS handshake with Microsoft last succeeded, in either direction.
    pub handshake: Option<WallTime>,
    /// When an OPTIONS of ours was last answered, and with which status.
    pub outbound: Option<(WallTime, u16)>,
    /// When an OPTIONS of Microsoft's last came, and the status it was answered with.
    pub inbound: Option<(WallTime, u16)>,
    /// When a call last used the trunk.
    pub call: Option<WallTime>,
    /// When our certificate ends.
    pub certificate_end: Option<WallTime>,
}

/// `tls.status` of Azure's trunk health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVerdict {
    /// No handshake within the window.
    Unknown,
    /// All is well.
    Ok,
    /// The certificate ends within 30 days.
    CertificateExpiring,
    /// The certificate has ended.
    CertificateExpired,
}

/// `ping.status` of Azure's trunk health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingVerdict {
    /// OPTIONS were never exchanged.
    Unknown,
    /// They were, within the window.
    Ok,
    /// They were, but not within the window.
    Expired,
    /// The last one was refused.
    Error,
}

/// `overall.status` of Azure's trunk health, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// Nothing was ever seen.
    Unknown,
    /// Calls are sent.
    Active,
    /// No OPTIONS within the window, although there were calls.
    NoRecentPings,
    /// Neither OPTIONS nor calls within the window.
    NoRecentCallsAndPings,
}

/// Azure's judgement of one trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// TLS.
    pub tls: TlsVerdict,
    /// OPTIONS.
    pub ping: PingVerdict,
    /// Both, and calls.
    pub overall: Overall,
}

/// Azure warns this long before a certificate ends (H-03).
const EXPIRING: Duration = Duration::from_secs(30 * 24 * 3600);

/// What Azure says at `now`, with its `window` of 15 minutes or as configured.
#[must_use]
pub fn forecast(now: WallTime, seen: &Seen, window: Duration) -> Forecast {
    let recent = |at: WallTime| now.saturating_since(at) < window;
    let tls = match (seen.certificate_end, seen.handshake) {
        (Some(end), _) if end <= now => TlsVerdict::CertificateExpired,
        (_, None) => TlsVerdict::Unknown,
        (_, Some(at)) if !recent(at) => TlsVerdict::Unknown,
        (Some(end), Some(_)) if end.saturating_since(now) < EXPIRING => {
            TlsVerdict::CertificateExpiring
        }
        (_, Some(_)) => TlsVerdict::Ok,
    };
    let ok = |status: u16| (200..300).contains(&status);
    let refused =
        |seen: Option<(WallTime, u16)>| seen.is_some_and(|(at, status)| recent(at) && !ok(status));
    let ping = match seen.outbound {
        _ if refused(seen.outbound) || refused(seen.inbound) => PingVerdict::Error,
        None => PingVerdict::Unknown,
        Some((at, _)) if recent(at) => PingVerdict::Ok,
        Some(_) => PingVerdict::Expired,
    };
    let overall = match ping {
        PingVerdict::Ok => Overall::Active,
        PingVerdict::Unknown if seen.call.is_none() => Overall::Unknown,
        PingVerdict::Unknown | PingVerdict::Expired | PingVerdict::Error => {
            if seen.call.is_some_and(recent) {
                Overall::NoRecentPings
            } else {
                Overall::NoRecentCallsAndPings
            }
        }
    };
    Forecast { tls, ping, overall }
}

impl TlsVerdict {
    /// Azure's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::CertificateExpiring => "certExpiring",
            Self::CertificateExpired => "certExpired",
        }
    }
}

impl PingVerdict {
    /// Azure's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Error => "error",
        }
    }
}

impl Overall {
    /// Azure's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::NoRecentPings | Self::NoRecentCallsAndPings => "inactive",
        }
    }

    /// Azure's reason, where there is one.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::NoRecentPings => Some("noRecentPings"),
            Self::NoRecentCallsAndPings => Some("noRecentCallsAndPings"),
            Self::Unknown | Self::Active => None,
        }
    }
}

impl Forecast {
    /// The portal's one word (H-02).
    #[must_use]
    pub fn portal(&self) -> &'static str {
        match (self.overall, self.tls, self.ping) {
            (Overall::Unknown, ..) => "Unknown",
            (Overall::Active, TlsVerdict::Ok | TlsVerdict::Unknown, _) => "Online",
            (Overall::Active, ..) | (Overall::NoRecentPings, ..) | (_, _, PingVerdict::Expired) => {
                "Warning"
            }
            (Overall::NoRecentCallsAndPings, ..) => "Inactive",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_micros((1_000_000 + seconds) * 1_000_000)
    }

    /// What Azure says at `seconds`, all having been well at 0 with a certificate of 90 days.
    fn later(seconds: u64, change: impl FnOnce(&mut Seen)) -> (&'static str, &'static str, String) {
        let mut seen = Seen {
            handshake: Some(at(0)),
            outbound: Some((at(0), 200)),
            inbound: Some((at(0), 200)),
            call: None,
            certificate_end: Some(at(90 * DAY)),
        };
        change(&mut seen);
        let told = forecast(at(seconds), &seen, Duration::from_secs(15 * MINUTE));
        let reason = told.overall.reason().unwrap_or("-");
        let overall = format!("{} {reason}", told.overall.as_str());
        (told.tls.as_str(), told.ping.as_str(), overall)
    }

    #[test]
    fn fifteen_minutes_of_silence_expire_a_trunk() {
        assert_eq!(later(0, |_| {}), ("ok", "ok", "active -".into()));
        assert_eq!(later(15 * MINUTE - 1, |_| {}).1, "ok");
        assert_eq!(
            later(15 * MINUTE, |_| {}),
            (
                "unknown",
                "expired",
                "inactive noRecentCallsAndPings".into()
            )
        );
        let called = |seen: &mut Seen| seen.call = Some(at(14 * MINUTE));
        assert_eq!(later(16 * MINUTE, called).2, "inactive noRecentPings");
        let nothing = |seen: &mut Seen| *seen = Seen::default();
        assert_eq!(
            later(0, nothing),
            ("unknown", "unknown", "unknown -".into())
        );
    }

    #[test]
    fn a_refused_ping_is_an_error_until_it_is_forgotten() {
        let refused_there = |seen: &mut Seen| seen.outbound = Some((at(60), 403));
        assert_eq!(later(61, refused_there).1, "error");
        let refused_here = |seen: &mut Seen| seen.inbound = Some((at(60), 503));
        assert_eq!(later(61, refused_here).1, "error");
        assert_eq!(later(16 * MINUTE, refused_here).1, "expired");
    }

    #[test]
    fn thirty_days_before_its_end_a_certificate_is_expiring() {
        let days = |left: u64| move |seen: &mut Seen| seen.certificate_end = Some(at(left * DAY));
        assert_eq!(later(0, days(31)).0, "ok");
        assert_eq!(later(0, days(30)).0, "ok");
        assert_eq!(later(0, days(29)).0, "certExpiring");
        assert_eq!(later(0, days(0)).0, "certExpired");
        let portal = |left: u64| {
            let seen = Seen {
                handshake: Some(at(0)),
                outbound: Some((at(0), 200)),
                certificate_end: Some(at(left * DAY)),
                ..Seen::default()
            };
            forecast(at(1), &seen, Duration::from_secs(900)).portal()
        };
        assert_eq!((portal(90), portal(29)), ("Online", "Warning"));
    }
}
