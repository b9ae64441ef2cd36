//! What Microsoft's side checks in session descriptions of the gateway.

use super::Microsoft;
use super::report::Ledger;
use super::texture::reason;
use crate::manner::{Described, Refusal, Role};
use crate::sdp::{Direction, Remote};
use crate::srtp::SUITE;

fn unacceptable(status: u16, code: u32, phrase: &str) -> Refusal {
    Refusal {
        reason: Some(reason(88, code, phrase)),
        ..Refusal::status(status)
    }
}

impl Microsoft {
    pub(crate) fn check_description(&self, described: &Described<'_>) -> Option<Refusal> {
        let mut ledger = self.ledger();
        if described.body.is_empty() {
            if described.role == Role::Offer {
                ledger.note("M-03", "an INVITE without an offer".to_owned());
                return Some(unacceptable(488, 531_000, "DelayedOfferNotSupported"));
            }
            return None;
        }
        let remote = match described.parsed {
            Ok(remote) => remote,
            Err(error) => {
                ledger.note("D-01", format!("an unusable session description: {error}"));
                return Some(unacceptable(410, 531_000, "SdpParseFailure"));
            }
        };
        self.check_lines(&mut ledger, described);
        self.check_keys(&mut ledger, remote, described.role)
            .or_else(|| check_formats(&mut ledger, remote))
            .or_else(|| check_hold(&mut ledger, remote))
    }

    fn check_lines(&self, ledger: &mut Ledger, described: &Described<'_>) {
        let text = String::from_utf8_lossy(described.body);
        let has = |prefix: &str| text.lines().any(|line| line.starts_with(prefix));
        if has("a=candidate") || has("a=ice-") {
            ledger.note(
                "D-14",
                "ICE is offered on a trunk without media bypass".to_owned(),
            );
        }
        if has("a=fingerprint") {
            ledger.note("D-01", "DTLS-SRTP is offered".to_owned());
        }
        if has("m=image") {
            ledger.note("D-19", "T.38 is passed on to Microsoft".to_owned());
        }
        if let (Some(before), Ok(now)) = (described.previous, described.parsed)
            && !now.black_hole()
            && before.rtp != now.rtp
        {
            let text = format!("media moved from {} to {}", before.rtp, now.rtp);
            ledger.note("G-03", text);
        }
    }

    fn check_keys(&self, ledger: &mut Ledger, remote: &Remote, role: Role) -> Option<Refusal> {
        if remote.profile != "RTP/SAVP" {
            ledger.note("D-01", format!("audio is {}, not RTP/SAVP", remote.profile));
            return Some(unacceptable(488, 531_000, "SrtpEncryptionRequired"));
        }
        if remote.usable_crypto().is_none() {
            ledger.note("D-01", format!("no crypto line of {SUITE}"));
            return Some(unacceptable(488, 531_000, "SrtpEncryptionRequired"));
        }
        if role == Role::Answer && remote.crypto.len() != 1 {
            ledger.note(
                "D-03",
                format!("{} crypto lines in an answer", remote.crypto.len()),
            );
            return Some(unacceptable(488, 531_000, "OnlyOneSrtpCryptoKeyExpected"));
        }
        None
    }
}

fn check_formats(ledger: &mut Ledger, remote: &Remote) -> Option<Refusal> {
    if !remote.duplicate_formats {
        return None;
    }
    ledger.note("D-08", "a payload type is listed twice".to_owned());
    Some(unacceptable(488, 531_000, "DuplicatePayloadType"))
}

fn check_hold(ledger: &mut Ledger, remote: &Remote) -> Option<Refusal> {
    if remote.black_hole() {
        ledger.note("G-04", "the connection address is 0.0.0.0".to_owned());
        return Some(unacceptable(488, 531_052, "InvalidConnectionAddress"));
    }
    if matches!(remote.direction, Direction::SendOnly | Direction::RecvOnly) {
        // Not understood, hence not obeyed: media goes on as before.
        ledger.note(
            "G-04",
            "sendonly or recvonly where only inactive is understood".to_owned(),
        );
    }
    None
}
