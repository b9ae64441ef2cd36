//! Which way a call to a number takes, as Microsoft decides it: a voice route first, whatever the
//! caller id; else the telephone network, where the caller id is the resource's and has room.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::desk::Resource;
use super::network::{FarEnd, Outcome, refused_caller_id};
use super::state::State;
use crate::call::{CallHandle, Ending};
use crate::rest::answer::Answer;
use crate::rest::faults::refusal;
use crate::script::CallOptions;

/// How long it takes Microsoft to refuse what it does not even try.
const AT_ONCE: Duration = Duration::from_millis(20);

/// Which way a call takes.
pub(super) enum Way {
    /// The telephone network behind Microsoft.
    Network(FarEnd),
    /// The trunks of a voice route, in this order.
    Trunks(Vec<String>),
}

impl Way {
    pub(super) fn is_routed(&self) -> bool {
        matches!(self, Self::Trunks(_))
    }
}

impl Inner {
    /// The way to a number; without a caller id nothing about it is checked.
    pub(super) fn way(
        &self,
        state: &State,
        number: &str,
        caller_id: Option<&str>,
        resource: &Resource<'_>,
    ) -> Result<Way, Answer> {
        if let Some(trunks) = resource.sip_routing.trunks_for(number) {
            return Ok(Way::Trunks(trunks));
        }
        let far_end = match state.network.of(number, &self.config.otherwise) {
            FarEnd::Refused {
                status,
                code,
                retry_after,
            } => return Err(refusal(status, &code, retry_after)),
            other @ (FarEnd::Answers { .. } | FarEnd::Fails { .. } | FarEnd::Never) => other,
        };
        let refused = |outcome| FarEnd::Fails {
            after: AT_ONCE,
            outcome,
        };
        let most = self.config.calls_per_number;
        Ok(Way::Network(match caller_id {
            Some(id) if !resource.numbers.may_call(id) => refused(refused_caller_id()),
            Some(id) if state.load(id) >= most => refused(Outcome::network(603, "Decline")),
            Some(_) | None => far_end,
        }))
    }

    /// Calls somebody through the trunks of a voice route; the next one is tried only where one
    /// cannot be reached or says 408, 503 or 504.
    pub(super) async fn ring_trunks(
        self: Arc<Self>,
        id: String,
        invitation: String,
        trunks: Vec<String>,
        limit: Duration,
    ) {
        let why = "There is no SIP trunk for this number.";
        let mut last = Outcome::azure(500, 511_532, why);
        for trunk in trunks {
            let Some((number, caller_id)) = self.invited(&id, &invitation) else {
                return;
            };
            let Some(dialler) = self.dialler.get() else {
                break;
            };
            let options = CallOptions::from(&caller_id);
            let Ok(leg) = dialler.call(&number, &trunk, options).await else {
                continue;
            };
            self.hold(&id, &invitation, &leg);
            match tokio::time::timeout(limit, leg.connected()).await {
                Ok(Ok(_)) => {
                    self.answered(&id, &invitation, super::FarSound::Silence);
                    self.news.send_replace(());
                    leg.ended().await;
                    self.left(&id, &invitation);
                    self.news.send_replace(());
                    return;
                }
                Ok(Err(ending)) => {
                    let status = ending.status().unwrap_or(408);
                    last = outcome(status, &ending);
                    if !matches!(status, 408 | 503 | 504) {
                        break;
                    }
                }
                Err(_) => {
                    leg.cancel();
                    last = Outcome::network(487, "Request Terminated");
                    break;
                }
            }
        }
        self.failed(&id, &invitation, &last);
        self.news.send_replace(());
    }

    /// Who is still to be called: the number and the one shown.
    fn invited(&self, id: &str, invitation: &str) -> Option<(String, String)> {
        let mut state = self.state();
        let member = state.calls.get_mut(id)?.member(invitation)?;
        Some((member.number.clone(), member.caller_id.clone()))
    }

    /// Gives a leg to whom it calls; without them it ends.
    fn hold(&self, id: &str, invitation: &str, leg: &CallHandle) {
        let mut state = self.state();
        let call = state.calls.get_mut(id);
        match call.and_then(|call| call.member(invitation)) {
            Some(member) => member.leg = Some(leg.clone()),
            None => leg.cancel(),
        }
    }
}

fn outcome(status: u16, ending: &Ending) -> Outcome {
    match ending {
        Ending::Rejected { phrase, .. } => Outcome::network(status, phrase),
        Ending::HungUp(_)
        | Ending::Cancelled(_)
        | Ending::TimedOut
        | Ending::Unreachable(_)
        | Ending::NoAck
        | Ending::BadDescription
        | Ending::Stopped => Outcome::network(status, "Request Timeout"),
    }
}
