//! Call Automation: calls of the resource that an application answers, makes and ends.
//!
//! What is asked is an [`Exchange`], as everywhere in this crate; how it ends comes later, posted
//! to a callback and read by [`call_events`]. Calls that come in are posted by Event Grid and read
//! by [`grid_events`]. Whether a post is Azure's is for its receiver to find out, before any of
//! this.

mod event;
mod identifier;
mod incoming;
mod result;
mod types;

use serde::{Deserialize, Serialize};

pub use event::{CallEvent, Happened, LONGEST_BODY, MOST_EVENTS, Malformed, call_events};
pub use identifier::{Identifier, PhoneNumber};
pub use incoming::{CallContext, GridEvent, IncomingCall, Notification, grid_events};
pub use result::{Details, Origin, ResultInformation, in_words};
pub use types::{
    AddParticipant, AnswerCall, CallConnection, CallState, CreateCall, CustomContext, Invitation,
    Participant, RejectReason,
};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::{Exchange, encoded};
use crate::json::given;

/// The version of the interface that is spoken.
pub const API_VERSION: &str = "2026-03-12";
/// Pages of participants that are read at most.
const PAGES: usize = 100;

/// The request that answers a call that came in.
#[must_use]
pub fn answer(answer: &AnswerCall) -> Exchange {
    Exchange::post(calls(":answer"), answer)
}

/// The request that refuses one.
#[must_use]
pub fn reject(context: &CallContext, reason: RejectReason) -> Exchange {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Reject<'a> {
        incoming_call_context: &'a CallContext,
        call_reject_reason: RejectReason,
    }
    let body = Reject {
        incoming_call_context: context,
        call_reject_reason: reason,
    };
    Exchange::post(calls(":reject"), &body)
}

/// The request that sends one on to somebody else.
#[must_use]
pub fn redirect(context: &CallContext, target: &Identifier) -> Exchange {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Redirect<'a> {
        incoming_call_context: &'a CallContext,
        target: &'a Identifier,
    }
    let body = Redirect {
        incoming_call_context: context,
        target,
    };
    Exchange::post(calls(":redirect"), &body)
}

/// The request that calls somebody.
#[must_use]
pub fn create(create: &CreateCall) -> Exchange {
    Exchange::post(calls(""), create)
}

/// The request for a call, by its connection's id as in all that follow.
#[must_use]
pub fn get(call: &str) -> Exchange {
    Exchange::get(of_call(call, ""))
}

/// The request that takes the application out of a call; it ends where fewer than two are left.
#[must_use]
pub fn hang_up(call: &str) -> Exchange {
    Exchange::delete(of_call(call, ""))
}

/// The request that ends a call for everybody.
#[must_use]
pub fn terminate(call: &str) -> Exchange {
    Exchange::command(of_call(call, ":terminate"))
}

/// The request for everybody who takes part.
#[must_use]
pub fn participants(call: &str) -> Exchange {
    Exchange::get(of_call(call, "/participants"))
}

/// The request for one who takes part.
#[must_use]
pub fn participant(call: &str, participant: &Identifier) -> Exchange {
    let raw = encoded(&participant.raw_id());
    Exchange::get(of_call(call, &format!("/participants/{raw}")))
}

/// The request that calls somebody into a call.
#[must_use]
pub fn add_participant(call: &str, add: &AddParticipant) -> Exchange {
    Exchange::post(of_call(call, "/participants:add"), add)
}

/// The request that puts somebody out of a call.
#[must_use]
pub fn remove_participant(call: &str, participant: &Identifier, context: Option<&str>) -> Exchange {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Remove<'a> {
        participant_to_remove: &'a Identifier,
        #[serde(skip_serializing_if = "Option::is_none")]
        operation_context: Option<&'a str>,
    }
    let body = Remove {
        participant_to_remove: participant,
        operation_context: context,
    };
    Exchange::post(of_call(call, "/participants:remove"), &body)
}

/// The request that takes back the call to somebody who has not answered yet.
#[must_use]
pub fn cancel_add_participant(call: &str, invitation: &str, context: Option<&str>) -> Exchange {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancel<'a> {
        invitation_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        operation_context: Option<&'a str>,
    }
    let body = Cancel {
        invitation_id: invitation,
        operation_context: context,
    };
    Exchange::post(of_call(call, "/participants:cancelAddParticipant"), &body)
}

fn calls(what: &str) -> String {
    format!("/calling/callConnections{what}?api-version={API_VERSION}")
}

fn of_call(call: &str, what: &str) -> String {
    calls(&format!("/{}{what}", encoded(call)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default, deserialize_with = "given")]
    value: Vec<Participant>,
    #[serde(default)]
    next_link: Option<String>,
}

impl Client {
    /// Answers a call that came in. However often it is sent, it is answered once.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where the caller has gone.
    pub async fn answer_call(&self, call: &AnswerCall) -> Result<CallConnection, Error> {
        self.read(&answer(call)).await
    }

    /// Refuses a call that came in.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn reject_call(
        &self,
        context: &CallContext,
        reason: RejectReason,
    ) -> Result<(), Error> {
        self.send(&reject(context, reason)).await.map(drop)
    }

    /// Sends a call that came in on to somebody else.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn redirect_call(
        &self,
        context: &CallContext,
        target: &Identifier,
    ) -> Result<(), Error> {
        self.send(&redirect(context, target)).await.map(drop)
    }

    /// Calls somebody. However often it is sent, it is one call.
    ///
    /// # Errors
    /// [`Error`]; where [`Error::is_outcome_unknown`], a call may ring all the same.
    pub async fn create_call(&self, call: &CreateCall) -> Result<CallConnection, Error> {
        self.read(&create(call)).await
    }

    /// A call as it is now.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where it is over.
    pub async fn call_connection(&self, call: &str) -> Result<CallConnection, Error> {
        self.read(&get(call)).await
    }

    /// Takes the application out of a call. A call that is over already is no error.
    ///
    /// # Errors
    /// [`Error`]: the call may go on.
    pub async fn hang_up_call(&self, call: &str) -> Result<(), Error> {
        over(self.send(&hang_up(call)).await.map(drop))
    }

    /// Ends a call for everybody. A call that is over already is no error.
    ///
    /// # Errors
    /// [`Error`]: the call may go on.
    pub async fn terminate_call(&self, call: &str) -> Result<(), Error> {
        over(self.send(&terminate(call)).await.map(drop))
    }

    /// Everybody who takes part in a call, page by page.
    ///
    /// # Errors
    /// [`Error`]; a half list is never given.
    pub async fn call_participants(&self, call: &str) -> Result<Vec<Participant>, Error> {
        let mut all = Vec::new();
        let mut next = participants(call);
        for _ in 0..PAGES {
            let page: Page = self.read(&next).await?;
            all.extend(page.value);
            match page.next_link.filter(|link| !link.is_empty()) {
                Some(link) => next = Exchange::get(self.own_target(&link)?),
                None => return Ok(all),
            }
        }
        Err(self.garbled("the list does not end"))
    }

    /// One who takes part in a call.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where they do not.
    pub async fn call_participant(
        &self,
        call: &str,
        who: &Identifier,
    ) -> Result<Participant, Error> {
        self.read(&participant(call, who)).await
    }

    /// Calls somebody into a call; how that ends is an event. However often it is sent, they are
    /// called once.
    ///
    /// # Errors
    /// [`Error`]; where [`Error::is_outcome_unknown`], they may be called all the same.
    pub async fn add_call_participant(
        &self,
        call: &str,
        add: &AddParticipant,
    ) -> Result<Invitation, Error> {
        self.read(&add_participant(call, add)).await
    }

    /// Puts somebody out of a call; how that ends is an event with `context`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove_call_participant(
        &self,
        call: &str,
        who: &Identifier,
        context: Option<&str>,
    ) -> Result<(), Error> {
        self.send(&remove_participant(call, who, context))
            .await
            .map(drop)
    }

    /// Takes back the call to somebody who has not answered yet; how that ends is an event with
    /// `context`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_add_call_participant(
        &self,
        call: &str,
        invitation: &str,
        context: Option<&str>,
    ) -> Result<(), Error> {
        self.send(&cancel_add_participant(call, invitation, context))
            .await
            .map(drop)
    }
}

/// What is over cannot be ended again, and need not be.
fn over(ended: Result<(), Error>) -> Result<(), Error> {
    match ended {
        Err(Error::NotFound(_)) => Ok(()),
        other => other,
    }
}
