//! What Azure says happened to a call.

use acs_client::call_automation::{CallEvent, Happened, Identifier, ResultInformation};
use ambient::Moment;
use b2bua::cloud::CloudEvent;
use e164::E164Number;
use media_relay::LegId;

use super::{Action, Call, Desk, Refused, State, accepted};

impl Desk {
    /// Azure says what happened to a call; who said so was found out before.
    ///
    /// # Errors
    /// The event is not about the call whose callback it came to.
    pub fn handle_event(
        &mut self,
        now: Moment,
        token: &str,
        event: &CallEvent,
    ) -> Result<(), Refused> {
        let leg = self.knows(token).ok_or(Refused::Callback)?;
        let call = self.calls.get_mut(&leg).ok_or(Refused::Callback)?;
        let known = match &call.state {
            State::Dialling { connection } | State::Talking { connection } => Some(connection),
            State::Answering { connection } | State::Over { connection } => connection.as_ref(),
            State::Expecting { .. } => None,
        };
        if known.is_some_and(|known| *known != event.call_connection_id) {
            return Err(Refused::Connection);
        }
        match &event.happened {
            Happened::CallConnected => self.connected(now, leg, event),
            Happened::CallDisconnected => self.ended(leg, event.result.as_ref()),
            Happened::AnswerFailed | Happened::ConnectFailed | Happened::CreateCallFailed => {
                self.failed(
                    leg,
                    "Azure could not answer the call",
                    event.result.as_ref(),
                );
            }
            Happened::AddParticipantSucceeded(who) if is(who.as_ref(), &call.to) => {
                if let State::Dialling { connection } = &call.state {
                    call.state = State::Talking {
                        connection: connection.clone(),
                    };
                    call.until = None;
                    self.actions.push(Action::Tell(leg, CloudEvent::Connected));
                }
            }
            Happened::AddParticipantFailed(who) if is(who.as_ref(), &call.to) => {
                if matches!(call.state, State::Dialling { .. }) {
                    self.failed(leg, "the called party", event.result.as_ref());
                }
            }
            Happened::ParticipantsUpdated {
                sequence_number,
                participants,
            } if *sequence_number > call.sequence => {
                call.sequence = *sequence_number;
                let mut there = participants.iter();
                let called = call.to.to_wire();
                let there = there.any(|one| one.identifier.number() == Some(called.as_str()));
                let left = std::mem::replace(&mut call.present, there) && !there;
                if left && matches!(call.state, State::Talking { .. }) {
                    self.ended(leg, None);
                }
            }
            Happened::RemoveParticipantSucceeded(who) if is(who.as_ref(), &call.to) => {
                self.ended(leg, event.result.as_ref());
            }
            // News of somebody else, or none that changes anything.
            Happened::AddParticipantSucceeded(_)
            | Happened::AddParticipantFailed(_)
            | Happened::ParticipantsUpdated { .. }
            | Happened::RemoveParticipantSucceeded(_)
            | Happened::RemoveParticipantFailed(_)
            | Happened::CancelAddParticipantSucceeded(_)
            | Happened::CancelAddParticipantFailed(_)
            | Happened::Other(_) => {}
        }
        Ok(())
    }

    /// Azure's call is over.
    fn ended(&mut self, leg: LegId, result: Option<&ResultInformation>) {
        let Some(call) = self.calls.get(&leg) else {
            return;
        };
        match call.state {
            State::Talking { .. } => {
                let reason = match result {
                    Some(result) => format!("the called party is gone: {result}"),
                    None => "the called party left the call".to_owned(),
                };
                let event = CloudEvent::Gone {
                    reason: reason.into(),
                };
                self.over(leg, event);
            }
            State::Over { .. } => {}
            State::Expecting { .. } | State::Answering { .. } | State::Dialling { .. } => {
                self.failed(leg, "Azure ended the call", result);
            }
        }
    }

    /// Azure's leg is up.
    fn connected(&mut self, now: Moment, leg: LegId, event: &CallEvent) {
        let Some(Call {
            state: State::Answering { connection },
            ..
        }) = self.calls.get(&leg)
        else {
            return;
        };
        let id = event.call_connection_id.clone();
        if connection.is_none() {
            // It came before the answer to the request.
            let names = (id.clone(), event.correlation_id.clone());
            self.actions.push(Action::Tell(leg, accepted(names)));
        }
        self.dial(now, leg, id);
    }
}

/// Whether an event is about the called party; Azure need not say whom it is about.
fn is(who: Option<&Identifier>, to: &E164Number) -> bool {
    let number = who.and_then(|who| who.number());
    number.is_none_or(|number| number == to.to_wire())
}
