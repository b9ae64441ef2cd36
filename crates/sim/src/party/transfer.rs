//! Transfers that a party asks for, and what it is told of them.

use sip_msg::{HeaderName, Method, Request};

use super::Party;
use super::call::Call;

/// What a party does when it is told that its transfer went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Farewell {
    /// It sends BYE, as Microsoft does.
    #[default]
    HangUp,
    /// It says nothing.
    Silence,
}

/// One NOTIFY of the subscription that REFER makes (RFC 3515 §2.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The status in its body.
    pub status: u16,
    /// Whether it ends the subscription.
    pub last: bool,
    /// Its Event.
    pub event: String,
}

impl Party {
    /// Asks for a transfer within a call; `headers` are Refer-To and the like.
    pub(crate) fn refer(&mut self, number: u32, headers: &[(String, String)]) {
        if !self.calls.get(&number).is_some_and(Call::is_up) {
            return;
        }
        let Some(seq) = self.next_seq(number) else {
            return;
        };
        let Some(mut refer) = self.in_dialog(number, Method::Refer, seq) else {
            return;
        };
        self.identify(&mut refer.headers, false);
        for (name, value) in headers {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                refer.headers.push(name, value);
            }
        }
        self.send_request(refer, Some(number));
    }

    /// A REFER was answered.
    pub(super) fn settle_refer(&mut self, number: u32, status: u16) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.refers.push(status);
        }
    }

    /// Takes a NOTIFY in; the party may hang up after its answer.
    pub(super) fn notified(&mut self, number: u32, request: &Request) {
        let headers = &request.headers;
        let text = |name| headers.get_str(&name).unwrap_or_default().to_owned();
        let state = text(HeaderName::SubscriptionState);
        let last = state.starts_with("terminated");
        let kind = text(HeaderName::ContentType);
        if kind != "message/sipfrag;version=2.0" {
            self.fault(format!("NOTIFY with {kind}"));
        }
        if !last && !state.starts_with("active;expires=") {
            self.fault(format!("Subscription-State: {state}"));
        }
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let status = body.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        let Some(status) = status.and_then(|code| code.parse().ok()) else {
            self.fault(format!("NOTIFY of {body:?}"));
            return;
        };
        let event = text(HeaderName::Event);
        if let Some(call) = self.calls.get_mut(&number) {
            let over = call.notified.last().is_some_and(|before| before.last);
            if over
                && call
                    .notified
                    .last()
                    .is_some_and(|before| before.event == event)
            {
                self.faults.push("NOTIFY after the last one".to_owned());
            }
            if let Some(call) = self.calls.get_mut(&number) {
                call.notified.push(Notified {
                    status,
                    last,
                    event,
                });
            }
        }
        if last && status == 200 && self.farewell == Farewell::HangUp {
            self.hang_up(number);
        }
    }
}
