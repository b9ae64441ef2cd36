//! What there is: calls that wait, calls that are answered, who takes part, what the meter shows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::event::{cloud, phone};
use super::grid::Subscription;
use super::mischief::Wishes;
use super::network::{Network, Outcome};
use super::post::{Log, Post};
use crate::call::CallHandle;

/// Calls at a time, waiting or answered; more are refused.
pub(super) const MOST_CALLS: usize = 2000;

/// Somebody on the telephone network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// The call, by its connection's id.
    pub call: String,
    /// Who is called.
    pub number: String,
    /// The number shown.
    pub caller_id: String,
    /// Since when the meter runs; `None` while it rings.
    pub since: Option<Timestamp>,
}

/// What Microsoft's meter shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Who is talking, and paid for.
    pub up: Vec<Metered>,
    /// Who is being called.
    pub ringing: Vec<Metered>,
    /// How many were ever called.
    pub dialled: u64,
    /// How many ever answered.
    pub answered: u64,
}

impl Meter {
    /// Whether nobody is called and nobody talks.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.up.is_empty() && self.ringing.is_empty()
    }
}

/// A call as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCall {
    /// Its connection's id.
    pub id: String,
    /// Whether the application takes part.
    pub application: bool,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether the leg over the SIP Interface is up.
    pub leg: bool,
    /// How many on the telephone network talk.
    pub participants: usize,
}

/// A call that came in and waits for its answer.
pub(super) struct Waiting {
    pub(super) handle: CallHandle,
    pub(super) server_call_id: String,
    pub(super) correlation_id: String,
}

/// Somebody called into a call.
pub(super) struct Member {
    pub(super) number: String,
    pub(super) caller_id: String,
    pub(super) invitation: String,
    pub(super) since: Option<Timestamp>,
    /// What the operation was asked for with, and where its events go.
    pub(super) context: Option<String>,
    pub(super) callback: Option<String>,
    /// Whether a voice route takes the call, so that Microsoft's network does not.
    pub(super) routed: bool,
    /// The leg to the trunk of that route.
    pub(super) leg: Option<CallHandle>,
}

impl Drop for Member {
    /// Whoever is dropped in any way is hung up on.
    fn drop(&mut self) {
        if let Some(leg) = &self.leg {
            leg.cancel();
        }
    }
}

/// A call that was answered or made.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) server_call_id: String,
    pub(super) correlation_id: String,
    pub(super) callback: String,
    pub(super) context: Option<String>,
    /// The leg over the SIP Interface.
    pub(super) leg: Option<CallHandle>,
    pub(super) caller: String,
    /// The number that was called, of a call that came in.
    pub(super) called: Option<String>,
    pub(super) connected: bool,
    /// Whether the application takes part.
    pub(super) application: bool,
    pub(super) members: Vec<Member>,
    pub(super) sequence: u64,
    pub(super) outbox: mpsc::UnboundedSender<Post>,
}

impl Call {
    pub(super) fn up(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.since.is_some())
    }

    /// How many besides the application take part.
    pub(super) fn others(&self) -> usize {
        self.up().count() + usize::from(self.leg.is_some() && self.connected)
    }

    pub(super) fn member(&mut self, invitation: &str) -> Option<&mut Member> {
        let mut members = self.members.iter_mut();
        members.find(|member| member.invitation == invitation)
    }

    pub(super) fn participant(number: &str) -> Value {
        json!({"identifier": phone(number), "isMuted": false, "isOnHold": false})
    }

    pub(super) fn participants(&self) -> Vec<Value> {
        let caller = self.leg.is_some().then_some(self.caller.as_str());
        let members = self.up().map(|member| member.number.as_str());
        caller
            .into_iter()
            .chain(members)
            .map(Self::participant)
            .collect()
    }

    /// The call in Azure's words.
    pub(super) fn json(&self) -> Value {
        let targets: Vec<Value> = match &self.called {
            Some(called) => vec![phone(called)],
            None => self
                .members
                .iter()
                .map(|member| phone(&member.number))
                .collect(),
        };
        let mut value = json!({
            "callConnectionId": self.id, "serverCallId": self.server_call_id,
            "correlationId": self.correlation_id, "targets": targets,
            "callConnectionState": if self.connected { "connected" } else { "connecting" },
            "callbackUri": self.callback,
        });
        match &self.called {
            Some(called) => {
                value["source"] = phone(&self.caller);
                value["answeredFor"] = json!({"value": called});
            }
            None => value["sourceCallerIdNumber"] = json!({"value": self.caller}),
        }
        value
    }

    /// Tells the application; it hears nothing of a call it does not take part in.
    pub(super) fn say(
        &self,
        kind: &str,
        outcome: &Outcome,
        context: Option<&str>,
        more: Value,
        elsewhere: Option<&str>,
    ) {
        if !self.application {
            return;
        }
        let mut data = json!({
            "callConnectionId": self.id, "serverCallId": self.server_call_id,
            "correlationId": self.correlation_id, "resultInformation": outcome.json(),
        });
        if let Some(context) = context {
            data["operationContext"] = json!(context);
        }
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        let body = cloud(kind, &self.id, Timestamp::now(), &data);
        let url = elsewhere.unwrap_or(&self.callback);
        // Without a postman the simulation is over.
        let _ = self.outbox.send(Post::callback(kind, url, body));
    }

    /// Tells who takes part now.
    pub(super) fn say_participants(&mut self) {
        self.sequence += 1;
        let more = json!({
            "sequenceNumber": self.sequence, "participants": self.participants(),
        });
        let outcome = Outcome::success("");
        self.say("ParticipantsUpdated", &outcome, None, more, None);
    }
}

/// Everything.
pub(super) struct State {
    pub(super) waiting: BTreeMap<String, Waiting>,
    pub(super) calls: BTreeMap<String, Call>,
    pub(super) network: Network,
    pub(super) wishes: Wishes,
    pub(super) log: Log,
    pub(super) subscription: Option<Subscription>,
    /// The id of the link of the last validation, and whether it was read.
    pub(super) validation: Option<String>,
    pub(super) validated: bool,
    pub(super) dialled: u64,
    pub(super) answered: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            calls: BTreeMap::new(),
            network: Network::new(),
            wishes: Wishes::default(),
            log: Log::default(),
            subscription: None,
            validation: None,
            validated: false,
            dialled: 0,
            answered: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() + self.calls.len() >= MOST_CALLS
    }

    /// A call the application takes part in.
    pub(super) fn of_application(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.get_mut(id).filter(|call| call.application)
    }

    /// How many calls a number makes.
    pub(super) fn load(&self, caller_id: &str) -> usize {
        let members = self.calls.values().flat_map(|call| &call.members);
        members
            .filter(|member| !member.routed && member.caller_id == caller_id)
            .count()
    }

    pub(super) fn meter(&self) -> Meter {
        let mut meter = Meter {
            dialled: self.dialled,
            answered: self.answered,
            ..Meter::default()
        };
        for call in self.calls.values() {
            for member in call.members.iter().filter(|member| !member.routed) {
                let shown = Metered {
                    call: call.id.clone(),
                    number: member.number.clone(),
                    caller_id: member.caller_id.clone(),
                    since: member.since,
                };
                match member.since {
                    Some(_) => meter.up.push(shown),
                    None => meter.ringing.push(shown),
                }
            }
        }
        meter
    }

    pub(super) fn live(&self) -> Vec<LiveCall> {
        let live = |call: &Call| LiveCall {
            id: call.id.clone(),
            application: call.application,
            connected: call.connected,
            leg: call.leg.is_some(),
            participants: call.up().count(),
        };
        self.calls.values().map(live).collect()
    }

    /// Ends a call: the leg gets its BYE, whoever is called or talks is dropped, the application
    /// is told.
    pub(super) fn end(&mut self, id: &str, outcome: &Outcome) {
        let Some(call) = self.calls.remove(id) else {
            return;
        };
        if let Some(leg) = &call.leg {
            leg.cancel();
        }
        let context = call.context.as_deref();
        call.say("CallDisconnected", outcome, context, json!({}), None);
    }

    /// Who is left decides whether a call goes on: with the application one other is enough,
    /// without it there must be two.
    pub(super) fn settle(&mut self, id: &str, outcome: &Outcome) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let least = if call.application { 1 } else { 2 };
        if call.others() < least {
            self.end(id, outcome);
        } else {
            call.say_participants();
        }
    }
}
