//! The same INVITE once more, because the called party said what it lacks: the attempt goes on, with
//! its Call-ID, From and offer, and the next CSeq (RFC 3261 §8.1.3.5).

use sip_msg::{HeaderName, Headers, Method, Response, StatusCode};

use super::attempt::Trying;
use super::refresh;
use super::{Head, Timer};
use crate::core::Core;
use crate::index::Owner;

impl Trying {
    /// Sends the INVITE again as a refusal asks for it; `false` if it asks for nothing that can be
    /// given, or asked before.
    pub(super) fn try_again(&mut self, core: &mut Core, head: &Head, refusal: &Response) -> bool {
        if refusal.status != StatusCode::SESSION_INTERVAL_TOO_SMALL {
            return false;
        }
        let asked = self.request.headers.session_expires().ok().flatten();
        let named = asked.map(|asked| asked.interval).unwrap_or_default();
        // A second 422 contradicts the first one (RFC 4028 §7.3).
        let longer = refresh::longer(&refusal.headers, named).filter(|_| !self.raised);
        let Some(interval) = longer else {
            return false;
        };
        let Ok(refused) = refusal.headers.cseq() else {
            return false;
        };
        self.raised = true;
        self.send_again(core, head, refused.seq, |headers| {
            refresh::propose_longer(interval, headers);
        });
        true
    }

    /// `refused` is the number of the INVITE that was refused, which is not the first one's where
    /// a challenge was answered meanwhile.
    fn send_again(
        &mut self,
        core: &mut Core,
        head: &Head,
        refused: u32,
        change: impl FnOnce(&mut Headers),
    ) {
        let headers = &mut self.request.headers;
        change(headers);
        let next = refused.saturating_add(1);
        headers.set(HeaderName::CSeq, format!("{next} {}", Method::Invite));
        let mut out = core.outgoing(self.request.clone(), &self.trunk, self.peer);
        core.aim(&mut out, &self.trunk, &self.attempt);
        self.client = core.send(out, Owner::Call(head.key));
        core.arm(head.key, Timer::Attempt, self.trunk.timers.attempt_timeout);
    }
}
