//! Asking for a transfer (RFC 3515) and hearing what became of it.

use std::net::IpAddr;
use std::time::Duration;

use sip_msg::{HeaderName, Request};

use crate::call::Notified;
use crate::dialog::raw;

/// When whoever asked for a transfer ends the old call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leave {
    /// With the NOTIFY of success, as Microsoft does.
    #[default]
    OnSuccess,
    /// As soon as the REFER is accepted.
    AtOnce,
    /// Not by itself.
    Never,
}

/// A transfer to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Value of Refer-To, as written.
    pub refer_to: String,
    /// Value of Referred-By (RFC 3892), as written.
    pub referred_by: Option<String>,
    /// Header fields added as written: name and value.
    pub headers: Vec<(String, String)>,
    /// Send the REFER on a connection of its own from this address.
    pub from: Option<IpAddr>,
    /// When the old call is ended.
    pub leave: Leave,
}

impl Transfer {
    /// To this URI, without Referred-By.
    pub fn to(uri: &str) -> Self {
        Self {
            refer_to: format!("<{uri}>"),
            ..Self::default()
        }
    }

    /// Sends it on a connection of its own from this address.
    #[must_use]
    pub fn from(self, address: IpAddr) -> Self {
        Self {
            from: Some(address),
            ..self
        }
    }

    /// The URI in [`Self::refer_to`].
    pub fn uri(&self) -> &str {
        let after = self.refer_to.split_once('<').map(|(_, rest)| rest);
        after
            .and_then(|rest| rest.rsplit_once('>'))
            .map_or(self.refer_to.as_str(), |(uri, _)| uri)
    }
}

/// What a NOTIFY says.
pub(crate) fn notified(request: &Request, after: Duration) -> Notified {
    Notified {
        status: fragment(&request.body).unwrap_or_default(),
        state: raw(&request.headers, &HeaderName::SubscriptionState),
        after,
    }
}

/// The status of a `message/sipfrag` (RFC 3420) that is a status line.
fn fragment(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let mut words = text.lines().next()?.split(' ');
    (words.next()? == "SIP/2.0").then(|| words.next()?.parse().ok())?
}

/// What is wrong with a NOTIFY that follows `before`, if anything (X-02, RFC 3515 §2.4.4).
pub(crate) fn fault(request: &Request, before: &[Notified]) -> Option<String> {
    let headers = &request.headers;
    let event = raw(headers, &HeaderName::Event);
    if event.split(';').next().map(str::trim) != Some("refer") {
        return Some(format!("NOTIFY of event {event:?}"));
    }
    let kind = raw(headers, &HeaderName::ContentType).to_ascii_lowercase();
    if !kind.starts_with("message/sipfrag") {
        return Some(format!("NOTIFY with a body of type {kind:?}"));
    }
    let Some(status) = fragment(&request.body) else {
        return Some("NOTIFY whose body is no status line".to_owned());
    };
    let state = raw(headers, &HeaderName::SubscriptionState);
    let terminated = state.to_ascii_lowercase().starts_with("terminated");
    if terminated != (status >= 200) {
        return Some(format!(
            "NOTIFY of {status} with Subscription-State {state:?}"
        ));
    }
    match before.last() {
        None if status != 100 => Some(format!("the first NOTIFY says {status}, not 100")),
        Some(last) if last.status >= 200 => {
            Some(format!("a NOTIFY of {status} after the final one"))
        }
        Some(last) if status < last.status => {
            Some(format!("a NOTIFY of {status} after one of {}", last.status))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_is_what_the_brackets_hold() {
        for (written, uri) in [
            ("<sip:a.example;x-m=8:b>;p=1", "sip:a.example;x-m=8:b"),
            ("\"x\" <sip:a.example>", "sip:a.example"),
            ("sip:a.example", "sip:a.example"),
        ] {
            let transfer = Transfer {
                refer_to: written.to_owned(),
                ..Transfer::default()
            };
            assert_eq!(transfer.uri(), uri);
        }
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(fragment(b"SIP/2.0 180 Ringing\r\n"), Some(180));
        assert_eq!(fragment(b"SIP/2.0 200 OK"), Some(200));
        assert_eq!(fragment(b"INVITE sip:a SIP/2.0"), None);
        assert_eq!(fragment(b""), None);
    }
}
