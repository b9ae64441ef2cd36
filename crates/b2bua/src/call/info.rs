//! INFO within a call (RFC 6086 and what came before it): digits go on in the manner of the other
//! leg, everything else ends here (M-02).

use std::time::Duration;

use media_relay::{Digit, MediaCommand};
use sip_msg::{HeaderName, Method, Request, StatusCode};
use sip_ua::ServerKey;

use super::talking::Talking;
use crate::core::{Core, Reply};
use crate::index::Owner;
use crate::key::Side;
use crate::profile::DtmfMode;

/// `Signal=` and `Duration=` lines.
const RELAY: &str = "application/dtmf-relay";
/// The digit alone.
const PLAIN: &str = "application/dtmf";

/// How long a digit lasts of which nothing else is said, in milliseconds.
const USUAL: u32 = 160;
/// The shortest that receivers hear for certain (ITU-T Q.24), and the longest that is passed on.
const LASTS: std::ops::RangeInclusive<u32> = 40..=5_000;

/// RFC 6086 §4.2.2.
const BAD_INFO_PACKAGE: u16 = 469;

impl Talking {
    /// The party of one leg sends INFO.
    pub(super) fn informed(
        &mut self,
        core: &mut Core,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) {
        let trunk = std::sync::Arc::clone(&self.leg(side).trunk);
        let kind = request.headers.content_type();
        let is = |name: &str| {
            kind.as_ref()
                .is_some_and(|kind| kind.eq_ignore_ascii_case(name))
        };
        let package = request.headers.iter().any(|field| {
            field
                .name()
                .canonical()
                .eq_ignore_ascii_case("Info-Package")
        });
        let mut reply = Reply::new(StatusCode::OK);
        if package {
            let status = StatusCode::new(BAD_INFO_PACKAGE);
            reply = Reply::new(status.unwrap_or(StatusCode::BAD_REQUEST));
        } else if is(RELAY) || is(PLAIN) {
            match digit(&request.body) {
                Some((digit, duration)) => self.press(core, side.other(), digit, duration),
                None => reply = Reply::new(StatusCode::BAD_REQUEST),
            }
        } else if !request.body.is_empty() {
            reply = Reply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            reply
                .headers
                .push(HeaderName::Accept, format!("{RELAY}, {PLAIN}"));
        }
        core.reply(server, &trunk, reply);
    }

    /// A digit came in the media of `side`. An event is carried over by the relay where the other
    /// leg has events.
    pub(super) fn pressed(
        &mut self,
        core: &mut Core,
        side: Side,
        (digit, duration_ms): (Digit, u32),
        in_band: bool,
    ) {
        let across = self.leg(side.other());
        let events = across.session.negotiated.telephone_event().is_some()
            && across.trunk.dtmf.mode == DtmfMode::Rfc4733;
        if in_band || !events {
            self.press(core, side.other(), digit, duration_ms);
        }
    }

    /// Lets the party of `side` have a digit, in its own manner.
    fn press(&mut self, core: &mut Core, side: Side, digit: Digit, duration_ms: u32) {
        let leg = self.leg(side);
        let lasts = duration_ms.clamp(*LASTS.start(), *LASTS.end());
        if leg.trunk.dtmf.mode != DtmfMode::Info || !leg.trunk.may_send(&Method::Info) {
            core.media(MediaCommand::SendDtmf {
                leg: leg.media.id,
                digit,
                duration: Duration::from_millis(lasts.into()),
            });
            return;
        }
        let body = format!("Signal={}\r\nDuration={lasts}\r\n", digit.as_char());
        let sent = core
            .ua
            .dialog_request(core.now, leg.dialog, Method::Info, |request| {
                request.set_body(RELAY, body);
            });
        match sent {
            // Nobody waits for the answer: a digit that is lost is not made good later.
            Ok(client) => {
                let keep = Some(leg.dialog);
                core.index.own_client(client, Owner::Nobody { keep });
                // The dialog has another CSeq.
                self.changed = true;
            }
            Err(_) => core.metrics.unexpected += 1,
        }
    }
}

/// The digit of a body of either kind, and how many milliseconds it lasts.
fn digit(body: &[u8]) -> Option<(Digit, u32)> {
    let text = std::str::from_utf8(body).ok()?;
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let signal = value("Signal").unwrap_or_else(|| text.trim());
    let mut characters = signal.chars();
    let digit = match (characters.next(), characters.next()) {
        (Some(digit), None) => Digit::from_char(digit)?,
        // Some write the code of RFC 4733 for the star, the hash and the flash.
        (Some(_), Some(_)) => Digit::from_code(signal.parse().ok()?)?,
        (None, _) => return None,
    };
    let duration = value("Duration").and_then(|text| text.parse().ok());
    Some((digit, duration.unwrap_or(USUAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(char, u32)> {
        digit(body.as_bytes()).map(|(digit, lasts)| (digit.as_char(), lasts))
    }

    #[test]
    fn digits_are_read_as_their_senders_write_them() {
        assert_eq!(read("Signal=5\r\nDuration=250\r\n"), Some(('5', 250)));
        assert_eq!(read("Signal= #\nDuration= 100"), Some(('#', 100)));
        assert_eq!(read("signal=*\r\n"), Some(('*', USUAL)));
        assert_eq!(read("Signal=11\r\n"), Some(('#', USUAL)));
        assert_eq!(read("7"), Some(('7', USUAL)));
        assert_eq!(read("D\r\n"), Some(('D', USUAL)));
        for wrong in ["", "Signal=\r\n", "Signal=x", "Signal=123", "Duration=100"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
