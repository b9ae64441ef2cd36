//! What happens to a call over time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep};

use super::event::Arrival;
use super::network::{FarEnd, FarSound, Outcome};
use super::post::Post;
use super::state::{Call, Member, Waiting};
use super::way::Way;
use super::{CallAutomation, Inner};
use crate::acs::{AcsSim, guid};
use crate::call::{CallHandle, Ending};
use crate::script::{Provisional, Rejection};

/// How long somebody is called where nothing is said about it.
const INVITATION: Duration = Duration::from_secs(60);

impl CallAutomation {
    /// From now on calls that reach Microsoft's side are the resource's: those for numbers that
    /// nothing else is said about, or [`Behaviour::Manual`](crate::Behaviour::Manual).
    pub fn attach(&self, side: &AcsSim) {
        side.hand_over();
        // One side is enough to call by.
        let _ = self.0.dialler.set(side.dialler());
        let (inner, mut calls) = (Arc::clone(&self.0), side.handed_over());
        self.0.spawn(async move {
            loop {
                match calls.recv().await {
                    Ok(call) => inner.arrive(call),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }
}

/// Somebody to be called.
pub(super) struct Invite {
    pub(super) number: String,
    pub(super) caller_id: String,
    pub(super) timeout: Option<Duration>,
    pub(super) context: Option<String>,
    pub(super) callback: Option<String>,
}

impl Inner {
    /// A call reached Microsoft's side.
    fn arrive(self: &Arc<Self>, handle: CallHandle) {
        let parties = handle.parties().clone();
        let (server_call_id, correlation_id) = (guid(), guid());
        let context = incoming_context(&server_call_id);
        let refuse = |status| {
            handle.reject(Rejection {
                status,
                ..Rejection::default()
            });
        };
        {
            let mut state = self.state();
            if state.is_full() {
                return refuse(503);
            }
            if state.subscription.is_none() {
                return refuse(480);
            }
            let waiting = Waiting {
                handle: handle.clone(),
                server_call_id: server_call_id.clone(),
                correlation_id: correlation_id.clone(),
            };
            state.waiting.insert(context.clone(), waiting);
        }
        handle.progress(Provisional::ringing(Duration::ZERO));
        self.tell(&Arrival {
            to: &parties.called,
            from: &parties.caller,
            display_name: &parties.display_name,
            context: &context,
            server_call_id: &server_call_id,
            correlation_id: &correlation_id,
            headers: &parties.custom,
        });
        self.news.send_replace(());
        let this = Arc::clone(self);
        self.spawn(async move {
            let limit = this.config.answer_within;
            let given_up = tokio::time::timeout(limit, handle.ended()).await.is_err();
            if this.state().waiting.remove(&context).is_some() && given_up {
                handle.reject(Rejection {
                    status: 480,
                    ..Rejection::default()
                });
            }
            this.news.send_replace(());
        });
    }

    /// A way for a call's events, in their order.
    pub(super) fn outbox(self: &Arc<Self>) -> mpsc::UnboundedSender<Post> {
        let (sender, mut posts) = mpsc::unbounded_channel();
        let this = Arc::clone(self);
        self.spawn(async move {
            while let Some(post) = posts.recv().await {
                Arc::clone(&this).call_back(post).await;
            }
        });
        sender
    }

    /// The leg of an answered call, from its 200 to its end.
    pub(super) async fn conduct_leg(self: Arc<Self>, id: String, leg: CallHandle) {
        leg.answer(Vec::new());
        let connected = leg.connected().await;
        {
            let mut state = self.state();
            match (&connected, state.calls.get_mut(&id)) {
                (_, None) => {}
                (Ok(_), Some(call)) => {
                    call.connected = true;
                    let context = call.context.clone();
                    let outcome = Outcome::success("The call is connected.");
                    call.say(
                        "CallConnected",
                        &outcome,
                        context.as_deref(),
                        json!({}),
                        None,
                    );
                    call.say_participants();
                }
                (Err(_), Some(call)) => {
                    let outcome = Outcome::azure(487, 540_487, "The caller gave up.");
                    let context = call.context.clone();
                    call.say(
                        "AnswerFailed",
                        &outcome,
                        context.as_deref(),
                        json!({}),
                        None,
                    );
                    state.calls.remove(&id);
                }
            }
        }
        self.news.send_replace(());
        let ending = leg.ended().await;
        {
            let mut state = self.state();
            let leg = state.calls.get_mut(&id).and_then(|call| call.leg.take());
            if leg.is_some() {
                let outcome = match ending {
                    Ending::HungUp(_) => Outcome::azure(0, 540_000, "The caller hung up."),
                    Ending::Rejected { .. }
                    | Ending::Cancelled(_)
                    | Ending::TimedOut
                    | Ending::Unreachable(_)
                    | Ending::NoAck
                    | Ending::BadDescription
                    | Ending::Stopped => Outcome::azure(500, 500_001, "The leg was lost."),
                };
                state.settle(&id, &outcome);
            }
        }
        self.news.send_replace(());
    }

    /// Begins to call somebody into a call; gives the invitation's id. How it ends is an event.
    pub(super) fn invite(self: &Arc<Self>, call: &mut Call, invite: Invite, way: Way) -> String {
        let invitation = guid();
        let timeout = invite.timeout.unwrap_or(INVITATION);
        call.members.push(Member {
            number: invite.number,
            caller_id: invite.caller_id,
            invitation: invitation.clone(),
            since: None,
            context: invite.context,
            callback: invite.callback,
            routed: way.is_routed(),
            leg: None,
        });
        let (this, call, known) = (Arc::clone(self), call.id.clone(), invitation.clone());
        match way {
            Way::Network(far_end) => self.spawn(this.ring(call, known, far_end, timeout)),
            Way::Trunks(trunks) => self.spawn(this.ring_trunks(call, known, trunks, timeout)),
        }
        invitation
    }

    async fn ring(
        self: Arc<Self>,
        id: String,
        invitation: String,
        far_end: FarEnd,
        limit: Duration,
    ) {
        let began = Instant::now();
        let timed_out = || Outcome {
            message: "The invitation was not answered in its time.".to_owned(),
            ..Outcome::network(487, "Request Terminated")
        };
        let (after, then) = match far_end {
            FarEnd::Answers {
                after,
                hangs_up_after,
                sound,
            } => (after, Ok((hangs_up_after, sound))),
            FarEnd::Fails { after, outcome } => (after, Err(outcome)),
            FarEnd::Never | FarEnd::Refused { .. } => (limit, Err(timed_out())),
        };
        sleep(after.min(limit)).await;
        let then = if began.elapsed() >= limit && after > limit {
            Err(timed_out())
        } else {
            then
        };
        match then {
            Ok((hangs_up_after, sound)) => {
                let answered = self.answered(&id, &invitation, sound);
                self.news.send_replace(());
                if let (true, Some(time)) = (answered, hangs_up_after) {
                    sleep(time).await;
                    self.left(&id, &invitation);
                }
            }
            Err(outcome) => self.failed(&id, &invitation, &outcome),
        }
        self.news.send_replace(());
    }

    /// The far end answered; false where nobody waits for it any more.
    pub(super) fn answered(self: &Arc<Self>, id: &str, invitation: &str, sound: FarSound) -> bool {
        let mut state = self.state();
        let Some(call) = state.calls.get_mut(id) else {
            return false;
        };
        let Some(member) = call.member(invitation) else {
            return false;
        };
        member.since = Some(Timestamp::now());
        let (routed, trunk) = (member.routed, member.leg.clone());
        let more = json!({"participant": super::event::phone(&member.number)});
        let (context, callback) = (member.context.clone(), member.callback.clone());
        let outcome = Outcome::success("The participant was added.");
        if call.connected {
            let (context, callback) = (context.as_deref(), callback.as_deref());
            call.say("AddParticipantSucceeded", &outcome, context, more, callback);
        } else {
            call.connected = true;
            let context = call.context.clone();
            call.say(
                "CallConnected",
                &outcome,
                context.as_deref(),
                json!({}),
                None,
            );
        }
        call.say_participants();
        if let Some(leg) = call.leg.clone() {
            if !call.application {
                leg.answer(Vec::new());
            }
            match sound {
                FarSound::Silence => {
                    if let Some(trunk) = &trunk {
                        leg.bridge(trunk);
                    }
                }
                FarSound::Echo => leg.bridge(&leg),
                FarSound::Talks(packets) => {
                    self.spawn(async move { leg.talk(packets).await });
                }
            }
        }
        state.answered += u64::from(!routed);
        true
    }

    pub(super) fn failed(&self, id: &str, invitation: &str, outcome: &Outcome) {
        let mut state = self.state();
        let Some(call) = state.calls.get_mut(id) else {
            return;
        };
        let Some(at) = call
            .members
            .iter()
            .position(|one| one.invitation == invitation)
        else {
            return;
        };
        let member = call.members.remove(at);
        if call.connected {
            let more = json!({"participant": super::event::phone(&member.number)});
            let (context, callback) = (member.context.as_deref(), member.callback.as_deref());
            call.say("AddParticipantFailed", outcome, context, more, callback);
        } else if call.members.is_empty() {
            if let Some(leg) = &call.leg {
                let status = outcome.sip.as_ref().map_or(480, |(status, _)| *status);
                leg.reject(Rejection {
                    status,
                    ..Rejection::default()
                });
            }
            let context = call.context.clone();
            call.say(
                "CreateCallFailed",
                outcome,
                context.as_deref(),
                json!({}),
                None,
            );
            state.calls.remove(id);
        }
    }

    /// Somebody on the telephone network hung up.
    pub(super) fn left(&self, id: &str, invitation: &str) {
        let mut state = self.state();
        if let Some(call) = state.calls.get_mut(id) {
            call.members.retain(|one| one.invitation != invitation);
        }
        let outcome = Outcome::azure(0, 560_000, "The participant hung up.");
        state.settle(id, &outcome);
    }

    pub(super) fn leave(&self, number: &str) -> bool {
        let found = self.state().calls.values().find_map(|call| {
            let mut up = call.up();
            let member = up.find(|member| member.number == number)?;
            Some((call.id.clone(), member.invitation.clone()))
        });
        if let Some((id, invitation)) = &found {
            self.left(id, invitation);
            self.news.send_replace(());
        }
        found.is_some()
    }
}

/// What an incoming call is answered by: looks like a token, and is signed by nobody.
fn incoming_context(server_call_id: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "none"}));
    let claims = encode(json!({"callId": server_call_id, "cc": guid()}));
    format!("{header}.{claims}.")
}
