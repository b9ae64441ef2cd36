//! What becomes of each call that Microsoft is to carry: events in, requests to Azure out. No
//! socket, no clock, no randomness.
//!
//! ```text
//! Expect ─▶ Expecting ─IncomingCall─▶ Answering ─CallConnected─▶ Dialling ─AddParticipantSucceeded─▶ Talking
//!              │ 10 s                    │ 20 s                     │ the called party's time            │
//!              └──────── Failed ─────────┴──────────────────────────┴── Failed          Gone ────────────┘
//! ```
//! Whatever state it is in, the core's `Release` ends a call, and what Azure has of it is hung up.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use acs_client::Error;
use acs_client::call_automation::{
    CallConnection, CallContext, IncomingCall, Invitation, ResultInformation,
};
use ambient::Moment;
use b2bua::cloud::{CloudEvent, CloudRequest, DESTINATION_HEADER, Expectation, NONCE_HEADER};
use e164::E164Number;
use media_relay::LegId;
use sip_msg::StatusCode;
use subtle::ConstantTimeEq as _;

/// How long an INVITE's event may take: as long as its nonce is good.
const EVENT: Duration = Duration::from_secs(10);
/// How long Azure may take to answer the call.
const ANSWER: Duration = Duration::from_secs(20);
/// What Azure may take beyond the time that the called party may ring.
const NETWORK: Duration = Duration::from_secs(10);
/// Most calls at once.
const MOST: usize = 10_000;

/// What Azure is to be asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Answer the call that came in.
    Answer {
        /// Its context.
        context: CallContext,
        /// The last part of the callback's path.
        token: String,
    },
    /// Dial the called party into the call.
    Dial {
        /// The call.
        connection: String,
        /// The called party.
        to: E164Number,
        /// The number it is shown.
        caller_id: E164Number,
        /// How long it may ring.
        ring_timeout: Duration,
    },
    /// End the call for everybody, however often it takes.
    HangUp {
        /// The call.
        connection: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask Azure, and hand back what it says.
    Ask(LegId, Ask),
    /// Tell the core.
    Tell(LegId, CloudEvent),
}

/// What Azure said to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Answer`].
    Answered(Result<CallConnection, Error>),
    /// To [`Ask::Dial`].
    Dialled(Result<Invitation, Error>),
}

/// Why an event of a call that came in, or about one, is not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It names no nonce.
    NoNonce,
    /// No INVITE of the last seconds has this nonce, or its event has come before.
    Nonce,
    /// The number it names is not the one that the INVITE named.
    Destination,
    /// No call has this callback.
    Callback,
    /// It is about another call than its callback is.
    Connection,
}

impl Refused {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoNonce => "no-nonce",
            Self::Nonce => "nonce",
            Self::Destination => "destination",
            Self::Callback => "callback",
            Self::Connection => "connection",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNonce => "the call carries no nonce of this gateway",
            Self::Nonce => "no INVITE waits for this nonce",
            Self::Destination => "the called number is not the one of the INVITE",
            Self::Callback => "no call has this callback",
            Self::Connection => "the event is about another call",
        })
    }
}

#[derive(Debug)]
enum State {
    /// The INVITE is on its way; Azure's event is awaited.
    Expecting { nonce: String },
    /// Azure was asked to answer it; what it calls it, once it has said so.
    Answering { connection: Option<String> },
    /// The called party is being dialled.
    Dialling { connection: String },
    /// The called party has answered.
    Talking { connection: String },
    /// The core knows that it is over; what Azure has of it is hung up when the core lets go.
    Over { connection: Option<String> },
}

#[derive(Debug)]
struct Call {
    state: State,
    to: E164Number,
    caller_id: E164Number,
    ring_timeout: Duration,
    until: Option<Moment>,
    token: Option<String>,
    /// The newest list of participants.
    sequence: u64,
    /// The called party was on one.
    present: bool,
}

/// All calls that Microsoft carries or is to carry.
#[derive(Debug, Default)]
pub struct Desk {
    calls: BTreeMap<LegId, Call>,
    by_token: BTreeMap<String, LegId>,
    /// Calls that the core let go while Azure was being asked to answer them.
    let_go: BTreeSet<LegId>,
    actions: Vec<Action>,
}

impl Desk {
    /// What is to be done now.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// When [`Desk::handle_timeout`] is wanted next.
    pub fn deadline(&self) -> Option<Moment> {
        self.calls.values().filter_map(|call| call.until).min()
    }

    /// The core wants something.
    pub fn handle_request(&mut self, now: Moment, request: CloudRequest) {
        match request {
            CloudRequest::Expect(expectation) => self.expect(now, expectation),
            CloudRequest::Release { leg, connection } => self.release(leg, connection),
            // Its callbacks went to the process before; its legs say when it is over.
            CloudRequest::Resume { .. } => {}
        }
    }

    fn expect(&mut self, now: Moment, expectation: Expectation) {
        let leg = expectation.leg;
        if self.calls.len() >= MOST {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let reason = "too many calls are on their way through Azure".into();
            let event = CloudEvent::Failed { status, reason };
            self.actions.push(Action::Tell(leg, event));
            return;
        }
        let call = Call {
            state: State::Expecting {
                nonce: expectation.nonce.to_wire(),
            },
            to: expectation.to,
            caller_id: expectation.caller_id,
            ring_timeout: expectation.ring_timeout,
            until: Some(now + EVENT),
            token: None,
            sequence: 0,
            present: false,
        };
        self.calls.insert(leg, call);
    }

    /// The leg is over: so is what Azure has of it.
    fn release(&mut self, leg: LegId, told: Option<Box<str>>) {
        let Some(call) = self.calls.remove(&leg) else {
            // A call of the process before.
            if let Some(connection) = told {
                let connection = connection.into_string();
                self.actions
                    .push(Action::Ask(leg, Ask::HangUp { connection }));
            }
            return;
        };
        if let Some(token) = &call.token {
            self.by_token.remove(token);
        }
        let connection = match call.state {
            State::Expecting { .. } => None,
            State::Answering { connection: None } => {
                // What Azure calls it is known when it has answered.
                self.let_go.insert(leg);
                None
            }
            State::Dialling { connection } | State::Talking { connection } => Some(connection),
            State::Answering { connection } | State::Over { connection } => connection,
        };
        if let Some(connection) = connection {
            self.actions
                .push(Action::Ask(leg, Ask::HangUp { connection }));
        }
    }

    /// Event Grid says that a call came in. `token` is random, for the callback.
    ///
    /// # Errors
    /// The call is not one that this gateway has just made.
    pub fn handle_incoming(
        &mut self,
        now: Moment,
        incoming: &IncomingCall,
        token: String,
    ) -> Result<(), Refused> {
        let said = |name: &str| incoming.sip_headers.get(&name.to_ascii_lowercase());
        let nonce = said(NONCE_HEADER).ok_or(Refused::NoNonce)?;
        // Every nonce is compared, and each in the same time.
        let mut found = None;
        for (leg, call) in &self.calls {
            if let State::Expecting { nonce: known } = &call.state
                && bool::from(known.as_bytes().ct_eq(nonce.trim().as_bytes()))
            {
                found = Some(*leg);
            }
        }
        let leg = found.ok_or(Refused::Nonce)?;
        let call = self.calls.get_mut(&leg).ok_or(Refused::Nonce)?;
        if call.until.is_none_or(|until| until <= now) {
            return Err(Refused::Nonce);
        }
        let to = said(DESTINATION_HEADER).map(|to| to.trim());
        if to != Some(call.to.to_wire().as_str()) {
            return Err(Refused::Destination);
        }
        call.state = State::Answering { connection: None };
        call.until = Some(now + ANSWER);
        call.token = Some(token.clone());
        self.by_token.insert(token.clone(), leg);
        let context = incoming.incoming_call_context.clone();
        self.actions
            .push(Action::Ask(leg, Ask::Answer { context, token }));
        Ok(())
    }

    /// Azure answered a request.
    pub fn handle_answer(&mut self, leg: LegId, answer: Answer) {
        match answer {
            Answer::Answered(answered) => self.answered(leg, answered),
            Answer::Dialled(Ok(_)) => {}
            Answer::Dialled(Err(error)) => {
                if let Some(Call {
                    state: State::Dialling { .. },
                    ..
                }) = self.calls.get(&leg)
                {
                    self.fail(
                        leg,
                        status_of(&error),
                        format!("Azure did not dial: {error}"),
                    );
                }
            }
        }
    }

    fn answered(&mut self, leg: LegId, answered: Result<CallConnection, Error>) {
        if self.let_go.remove(&leg) {
            if let Ok(call) = answered {
                let connection = call.call_connection_id;
                self.actions
                    .push(Action::Ask(leg, Ask::HangUp { connection }));
            }
            return;
        }
        let Some(call) = self.calls.get_mut(&leg) else {
            return;
        };
        match (&mut call.state, answered) {
            // The called party can be dialled once Azure says that the call is up.
            (State::Answering { connection }, Ok(known)) => {
                *connection = Some(known.call_connection_id.clone());
                let names = (known.call_connection_id, known.correlation_id);
                self.actions.push(Action::Tell(leg, accepted(names)));
            }
            (State::Answering { .. }, Err(error)) => {
                self.fail(
                    leg,
                    status_of(&error),
                    format!("Azure did not answer the call: {error}"),
                );
            }
            // Its events came first.
            _ => {}
        }
    }

    /// The called party is dialled into the call.
    fn dial(&mut self, now: Moment, leg: LegId, connection: String) {
        let Some(call) = self.calls.get_mut(&leg) else {
            return;
        };
        call.until = Some(now + call.ring_timeout + NETWORK);
        call.state = State::Dialling {
            connection: connection.clone(),
        };
        let ask = Ask::Dial {
            connection,
            to: call.to,
            caller_id: call.caller_id,
            ring_timeout: call.ring_timeout,
        };
        self.actions.push(Action::Ask(leg, ask));
    }

    /// Whether Azure has not said yet what it calls a call that it may have answered.
    pub fn awaits(&self) -> bool {
        !self.let_go.is_empty()
    }

    /// There is no core any more: every call is over.
    pub fn close(&mut self) {
        let legs: Vec<LegId> = self.calls.keys().copied().collect();
        for leg in legs {
            self.release(leg, None);
        }
    }

    /// Whether a callback of this path is awaited; compared in constant time.
    pub fn knows(&self, token: &str) -> Option<LegId> {
        let mut found = None;
        for (known, leg) in &self.by_token {
            if bool::from(known.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(*leg);
            }
        }
        found
    }

    fn failed(&mut self, leg: LegId, what: &str, result: Option<&ResultInformation>) {
        let status = result.and_then(ResultInformation::sip_status);
        let status = status.and_then(StatusCode::new);
        let reason = match result {
            Some(result) => format!("{what}: {result}"),
            None => format!("{what}: no reason was given"),
        };
        let status = status.filter(|status| status.code() >= 400);
        self.fail(
            leg,
            status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE),
            reason,
        );
    }

    fn fail(&mut self, leg: LegId, status: StatusCode, reason: String) {
        let reason = reason.into();
        self.over(leg, CloudEvent::Failed { status, reason });
    }

    /// The core is told, and will let go.
    fn over(&mut self, leg: LegId, event: CloudEvent) {
        let Some(call) = self.calls.get_mut(&leg) else {
            return;
        };
        let connection = match std::mem::replace(&mut call.state, State::Over { connection: None })
        {
            State::Dialling { connection } | State::Talking { connection } => Some(connection),
            State::Answering { connection: None } => {
                // It may be answered yet.
                self.let_go.insert(leg);
                None
            }
            State::Answering { connection } | State::Over { connection } => connection,
            State::Expecting { .. } => None,
        };
        call.state = State::Over { connection };
        call.until = None;
        self.actions.push(Action::Tell(leg, event));
    }

    /// Somebody took too long.
    pub fn handle_timeout(&mut self, now: Moment) {
        let late: Vec<LegId> = self
            .calls
            .iter()
            .filter(|(_, call)| call.until.is_some_and(|until| until <= now))
            .map(|(leg, _)| *leg)
            .collect();
        for leg in late {
            let why = match self.calls.get(&leg).map(|call| &call.state) {
                Some(State::Expecting { .. }) => {
                    "no IncomingCall event of the call came in 10 s: is there a subscription that \
                     leads here?"
                }
                Some(State::Answering { .. }) => "Azure did not answer the call in 20 s",
                Some(State::Dialling { .. }) => "Azure did not say in time what became of the call",
                _ => continue,
            };
            self.fail(leg, StatusCode::REQUEST_TIMEOUT, why.to_owned());
        }
    }
}

fn accepted((connection, correlation): (String, String)) -> CloudEvent {
    CloudEvent::Accepted {
        connection: connection.into(),
        correlation: Some(correlation)
            .filter(|id| !id.is_empty())
            .map(Into::into),
    }
}

/// What a refusal of Azure's interface comes to in SIP.
fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Forbidden(_) | Error::Unauthenticated(_) => StatusCode::FORBIDDEN,
        Error::NotFound(_) => StatusCode::TEMPORARILY_UNAVAILABLE,
        Error::Silent { .. } => StatusCode::SERVER_TIMEOUT,
        Error::Invalid(_) | Error::Conflict(_) => StatusCode::SERVER_INTERNAL_ERROR,
        Error::Throttled { .. }
        | Error::Failing { .. }
        | Error::Unreachable { .. }
        | Error::Garbled { .. }
        | Error::GivenUp { .. }
        | Error::Unfinished { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests;
