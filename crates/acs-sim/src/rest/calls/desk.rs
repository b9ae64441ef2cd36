//! Requests about calls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::body::{Body, LONGEST, invalid, no_call, refuse};
use super::conduct::Invite;
use super::network::Outcome;
use super::state::Call;
use super::{CallAutomation, Inner};
use crate::acs::guid;
use crate::rest::answer::Answer;
use crate::rest::numbers::Numbers;
use crate::rest::request::Request;
use crate::rest::sip_routing::SipRouting;
use crate::script::Rejection;

/// How long what is played takes.
const PLAYS: Duration = Duration::from_millis(100);

type Answered = Result<Answer, Answer>;

/// What else the resource has.
pub(in crate::rest) struct Resource<'a> {
    pub(in crate::rest) numbers: &'a Numbers,
    pub(in crate::rest) sip_routing: &'a SipRouting,
}

impl CallAutomation {
    /// What anybody may ask: the keys of the tokens, and the link of a validation.
    pub(in crate::rest) fn open(&self, request: &Request, scheme: &str) -> Option<Answer> {
        if request.method != "GET" {
            return None;
        }
        let host = request.header("host").unwrap_or("localhost");
        match request.path() {
            "/calling/keys" => Some(Answer::json(200, &self.0.signer().keys())),
            "/calling/.well-known/acsopenidconfiguration" => Some(Answer::json(
                200,
                &json!({
                    "issuer": self.0.config.issuer,
                    "jwks_uri": format!("{scheme}://{host}/calling/keys"),
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "claims_supported": ["aud", "iss", "iat", "nbf", "exp"],
                }),
            )),
            "/eventgrid/validate" => {
                let id = request.query("id").unwrap_or_default();
                Some(Answer::bare(if self.0.read_link(&id) { 200 } else { 404 }))
            }
            _ => None,
        }
    }

    pub(in crate::rest) fn answer(
        &self,
        request: &Request,
        segments: &[&str],
        resource: &Resource<'_>,
    ) -> Answer {
        let answer = self.0.answer(request, segments, resource);
        self.0.news.send_replace(());
        answer.unwrap_or_else(|refusal| refusal)
    }
}

impl Inner {
    fn answer(
        self: &Arc<Self>,
        request: &Request,
        segments: &[&str],
        resource: &Resource<'_>,
    ) -> Answered {
        let body = Body::of(request)?;
        match (request.method.as_str(), segments) {
            ("POST", ["calling", "callConnections"]) => self.create(&body, resource),
            ("POST", ["calling", "callConnections:answer"]) => self.take(&body),
            ("POST", ["calling", "callConnections:reject"]) => self.reject(&body),
            ("POST", ["calling", "callConnections:redirect"]) => self.redirect(&body, resource),
            (method, ["calling", "callConnections", call]) => {
                match (method, call.split_once(':')) {
                    ("GET", None) => self.with(call, |call| Ok(Answer::json(200, &call.json()))),
                    ("DELETE", None) => self.hang_up(call),
                    ("POST", Some((call, "terminate"))) => self.terminate(call),
                    ("POST", Some((call, "play"))) => self.play(call, &body),
                    ("POST", Some((_, what))) => Err(unsupported(what)),
                    _ => Err(Answer::error(
                        405,
                        "MethodNotAllowed",
                        "Not with this method.",
                    )),
                }
            }
            ("GET", ["calling", "callConnections", call, "participants"]) => {
                self.with(call, |call| {
                    let all = json!({"value": call.participants()});
                    Ok(Answer::json(200, &all))
                })
            }
            ("GET", ["calling", "callConnections", call, "participants", raw]) => {
                self.with(call, |call| {
                    let found = call.participants().into_iter();
                    let found = found
                        .into_iter()
                        .find(|one| one["identifier"]["rawId"].as_str() == Some(raw));
                    let found = found.ok_or_else(|| refuse(404, 8522, "No such participant."));
                    Ok(Answer::json(200, &found?))
                })
            }
            ("POST", ["calling", "callConnections", call, what]) => match *what {
                "participants:add" => self.add(call, &body, resource),
                "participants:remove" => self.remove(call, &body),
                "participants:cancelAddParticipant" => self.cancel(call, &body),
                other => Err(unsupported(other)),
            },
            _ => Err(unsupported(request.path())),
        }
    }

    fn with(&self, id: &str, ask: impl FnOnce(&mut Call) -> Answered) -> Answered {
        let mut state = self.state();
        ask(state.of_application(id).ok_or_else(no_call)?)
    }

    /// A callback Azure would post to.
    fn callback(&self, url: Option<String>) -> Result<String, Answer> {
        let url = url.unwrap_or_default();
        let fits = url.starts_with("https://")
            || (self.config.plain_callbacks && url.starts_with("http://"));
        if fits && url.len() <= LONGEST {
            Ok(url)
        } else {
            Err(invalid("The field CallbackUri is invalid."))
        }
    }

    fn new_call(self: &Arc<Self>, callback: String, context: Option<String>) -> Call {
        Call {
            id: guid(),
            server_call_id: guid(),
            correlation_id: guid(),
            callback,
            context,
            leg: None,
            caller: String::new(),
            called: None,
            connected: false,
            application: true,
            members: Vec::new(),
            sequence: 0,
            outbox: self.outbox(),
        }
    }

    fn take(self: &Arc<Self>, body: &Body) -> Answered {
        let context = body.must("incomingCallContext")?;
        let callback = self.callback(body.text("callbackUri"))?;
        let mut state = self.state();
        let waiting = state.waiting.remove(&context);
        let waiting = waiting.filter(|waiting| waiting.handle.state().ending.is_none());
        let waiting = waiting.ok_or_else(no_call)?;
        let parties = waiting.handle.parties().clone();
        let call = Call {
            server_call_id: waiting.server_call_id,
            correlation_id: waiting.correlation_id,
            leg: Some(waiting.handle.clone()),
            caller: parties.caller,
            called: Some(parties.called),
            ..self.new_call(callback, body.text("operationContext"))
        };
        let props = call.json();
        self.spawn(Arc::clone(self).conduct_leg(call.id.clone(), waiting.handle));
        state.calls.insert(call.id.clone(), call);
        Ok(Answer::json(200, &props))
    }

    fn reject(&self, body: &Body) -> Answered {
        let context = body.must("incomingCallContext")?;
        // What SIP hears of each reason is not written down.
        let status = match body.text("callRejectReason").as_deref() {
            None | Some("none") => 603,
            Some("busy") => 486,
            Some("forbidden") => 403,
            Some(_) => return Err(invalid("The field callRejectReason is invalid.")),
        };
        let waiting = self.state().waiting.remove(&context);
        let waiting = waiting.ok_or_else(no_call)?;
        waiting.handle.reject(Rejection {
            status,
            ..Rejection::default()
        });
        Ok(Answer::bare(204))
    }

    /// Sends a call on. The request has no field for the number shown, so there is none.
    fn redirect(self: &Arc<Self>, body: &Body, resource: &Resource<'_>) -> Answered {
        let context = body.must("incomingCallContext")?;
        let number = Body::number(&body.0["target"])?;
        let mut state = self.state();
        let way = self.way(&state, &number, None, resource)?;
        let waiting = state.waiting.remove(&context).ok_or_else(no_call)?;
        let parties = waiting.handle.parties().clone();
        let mut call = Call {
            leg: Some(waiting.handle.clone()),
            caller: parties.caller,
            called: Some(parties.called),
            application: false,
            ..self.new_call(String::new(), None)
        };
        let invite = Invite {
            number,
            caller_id: String::new(),
            timeout: None,
            context: None,
            callback: None,
        };
        state.dialled += u64::from(!way.is_routed());
        self.invite(&mut call, invite, way);
        let (id, leg) = (call.id.clone(), waiting.handle);
        state.calls.insert(id.clone(), call);
        let this = Arc::clone(self);
        self.spawn(async move {
            leg.ended().await;
            this.state()
                .end(&id, &Outcome::azure(0, 540_000, "The caller hung up."));
            this.news.send_replace(());
        });
        Ok(Answer::bare(204))
    }

    fn create(self: &Arc<Self>, body: &Body, resource: &Resource<'_>) -> Answered {
        let callback = self.callback(body.text("callbackUri"))?;
        let targets = body.0["targets"].as_array().cloned().unwrap_or_default();
        if targets.is_empty() || targets.len() > 5 {
            return Err(invalid("The field targets has one to five participants."));
        }
        let caller_id = body.caller_id()?;
        let mut call = Call {
            caller: caller_id.clone(),
            ..self.new_call(callback, body.text("operationContext"))
        };
        let mut state = self.state();
        if state.is_full() {
            return Err(Answer::error(429, "TooManyRequests", "Too many calls."));
        }
        for target in &targets {
            let number = Body::number(target)?;
            let way = self.way(&state, &number, Some(&caller_id), resource)?;
            let invite = Invite {
                number,
                caller_id: caller_id.clone(),
                timeout: None,
                context: None,
                callback: None,
            };
            state.dialled += u64::from(!way.is_routed());
            self.invite(&mut call, invite, way);
        }
        let props = call.json();
        state.calls.insert(call.id.clone(), call);
        Ok(Answer::json(201, &props))
    }

    fn add(self: &Arc<Self>, id: &str, body: &Body, resource: &Resource<'_>) -> Answered {
        let number = Body::number(&body.0["participantToAdd"])?;
        let caller_id = body.caller_id()?;
        let timeout = Body::timeout(&body.0["invitationTimeoutInSeconds"])?;
        let elsewhere = body.text("operationCallbackUri");
        let elsewhere = elsewhere.map(|url| self.callback(Some(url))).transpose()?;
        let context = body.text("operationContext");
        let mut state = self.state();
        let way = self.way(&state, &number, Some(&caller_id), resource)?;
        let routed = way.is_routed();
        let call = state.of_application(id).ok_or_else(no_call)?;
        if !call.connected {
            return Err(refuse(400, 8501, "The call is not established."));
        }
        let invite = Invite {
            number: number.clone(),
            caller_id,
            timeout,
            context: context.clone(),
            callback: elsewhere,
        };
        let invitation = self.invite(call, invite, way);
        state.dialled += u64::from(!routed);
        let said = json!({
            "participant": Call::participant(&number), "operationContext": context,
            "invitationId": invitation,
        });
        Ok(Answer::json(202, &said))
    }

    fn remove(&self, id: &str, body: &Body) -> Answered {
        let number = Body::number(&body.0["participantToRemove"])?;
        let context = body.text("operationContext");
        let elsewhere = body.text("operationCallbackUri");
        let mut state = self.state();
        let call = state.of_application(id).ok_or_else(no_call)?;
        let participant = json!({"participant": super::event::phone(&number)});
        let (told, to) = (context.as_deref(), elsewhere.as_deref());
        let outcome = Outcome::success("The participant was removed.");
        if let Some(at) = call.members.iter().position(|one| one.number == number) {
            call.members.remove(at);
            call.say(
                "RemoveParticipantSucceeded",
                &outcome,
                told,
                participant,
                to,
            );
            state.settle(id, &outcome);
        } else if let Some(leg) = call.leg.take_if(|_| call.caller == number) {
            leg.cancel();
            call.say(
                "RemoveParticipantSucceeded",
                &outcome,
                told,
                participant,
                to,
            );
            state.settle(id, &outcome);
        } else {
            let outcome = Outcome::azure(404, 8522, "No such participant.");
            call.say("RemoveParticipantFailed", &outcome, told, participant, to);
        }
        Ok(Answer::json(202, &json!({"operationContext": context})))
    }

    fn cancel(&self, id: &str, body: &Body) -> Answered {
        let invitation = body.must("invitationId")?;
        let context = body.text("operationContext");
        let elsewhere = body.text("operationCallbackUri");
        self.with(id, |call| {
            let rings =
                |one: &super::state::Member| one.invitation == invitation && one.since.is_none();
            let known = call.members.iter().position(rings);
            let more = json!({"invitationId": invitation});
            let (told, to) = (context.as_deref(), elsewhere.as_deref());
            match known {
                Some(at) => {
                    call.members.remove(at);
                    let outcome = Outcome::success("The invitation was taken back.");
                    call.say("CancelAddParticipantSucceeded", &outcome, told, more, to);
                }
                None => {
                    let outcome = Outcome::azure(400, 8523, "There is no such invitation.");
                    call.say("CancelAddParticipantFailed", &outcome, told, more, to);
                }
            }
            let said = json!({"invitationId": invitation, "operationContext": context});
            Ok(Answer::json(202, &said))
        })
    }

    /// The application leaves; two others go on without it.
    fn hang_up(&self, id: &str) -> Answered {
        let mut state = self.state();
        let call = state.of_application(id).ok_or_else(no_call)?;
        let outcome = Outcome::azure(0, 540_000, "The application hung up.");
        if call.others() < 2 {
            state.end(id, &outcome);
        } else {
            let context = call.context.clone();
            call.say(
                "CallDisconnected",
                &outcome,
                context.as_deref(),
                json!({}),
                None,
            );
            call.application = false;
        }
        Ok(Answer::bare(204))
    }

    fn terminate(&self, id: &str) -> Answered {
        let mut state = self.state();
        state.of_application(id).ok_or_else(no_call)?;
        let outcome = Outcome::azure(0, 540_000, "The application ended the call.");
        state.end(id, &outcome);
        Ok(Answer::bare(204))
    }

    /// Plays nothing, and says that it did: enough for who waits for that.
    fn play(self: &Arc<Self>, id: &str, body: &Body) -> Answered {
        let context = body.text("operationContext");
        self.with(id, |call| {
            if !call.connected {
                return Err(refuse(400, 8501, "The call is not established."));
            }
            let (this, id) = (Arc::clone(self), call.id.clone());
            self.spawn(async move {
                tokio::time::sleep(PLAYS).await;
                if let Some(call) = this.state().of_application(&id) {
                    let outcome = Outcome::success("The file was played.");
                    let context = context.as_deref();
                    call.say("PlayCompleted", &outcome, context, json!({}), None);
                }
            });
            Ok(Answer::bare(202))
        })
    }
}

fn unsupported(what: &str) -> Answer {
    refuse(405, 8520, &format!("{what} is not supported here."))
}
