//! Long-running operations: started with a 202, watched until they are done.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::client::{Client, Received, retry_after, text};
use crate::error::Error;
use crate::exchange::Exchange;
use crate::phone_numbers;

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum OperationState {
    /// It waits.
    NotStarted,
    /// It is being done.
    Running,
    /// It is done.
    Succeeded,
    /// Azure gave it up.
    Failed,
}

impl TryFrom<String> for OperationState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "notstarted" => Ok(Self::NotStarted),
            "running" => Ok(Self::Running),
            "succeeded" => Ok(Self::Succeeded),
            "failed" => Ok(Self::Failed),
            _ => Err(format!("no operation is `{text}`")),
        }
    }
}

/// An operation as Azure tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id, which `operations/{id}` is asked for.
    pub id: String,
    /// How far it is.
    pub status: OperationState,
    /// What is being done, in Azure's words.
    #[serde(default)]
    pub operation_type: String,
    /// Where its result is.
    #[serde(default)]
    pub resource_location: Option<String>,
    #[serde(default)]
    error: Option<Why>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Why {
    code: String,
    message: String,
}

/// An operation that was started.
#[derive(Debug)]
pub(crate) struct Started {
    /// Where it is asked for.
    status: String,
    /// Where its result will be, where the answer said so.
    result: Option<String>,
    /// Its id, where the answer said so.
    id: Option<String>,
}

impl Operation {
    /// Azure's code and sentence about why it gave the operation up.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, &str)> {
        let why = self.error.as_ref()?;
        Some((&why.code, &why.message))
    }
}

impl Client {
    /// What a 202 says about the operation it started.
    pub(crate) fn started(&self, received: &Received) -> Result<Started, Error> {
        let link = text(&received.headers, "operation-location")
            .ok_or_else(|| self.garbled("it names no operation"))?;
        let result = text(&received.headers, "location");
        Ok(Started {
            status: self.own_target(&link)?,
            result: result.map(|link| self.own_target(&link)).transpose()?,
            id: text(&received.headers, "operation-id"),
        })
    }

    /// Watches an operation to its end; gives the target of its result, where it has one.
    /// `progress` is told of it before the first look, and of each look.
    pub(crate) async fn finished(
        &self,
        started: Started,
        progress: &mut (dyn FnMut(&Operation) + Send),
    ) -> Result<Option<String>, Error> {
        let begun = Instant::now();
        if let Some(id) = started.id {
            progress(&Operation {
                id,
                status: OperationState::NotStarted,
                operation_type: String::new(),
                resource_location: None,
                error: None,
            });
        }
        loop {
            let received = self.send(&Exchange::get(started.status.clone())).await?;
            let operation: Operation = self.parse(&received.body)?;
            progress(&operation);
            match operation.status {
                OperationState::Succeeded => {
                    // The SDKs disagree on which of the two is right; either alone is enough.
                    let link = operation.resource_location;
                    let named = link.map(|link| self.own_target(&link)).transpose()?;
                    return Ok(named.or(started.result));
                }
                OperationState::Failed => {
                    let why = operation.error.unwrap_or_default();
                    return Err(Error::GivenUp {
                        operation: operation.id,
                        code: why.code,
                        message: why.message,
                    });
                }
                OperationState::NotStarted | OperationState::Running => {}
            }
            let pause = retry_after(&received.headers, jiff::Timestamp::now());
            // An answer that says "at once" is not taken by its word.
            let pause = pause
                .unwrap_or(self.settings().poll)
                .max(self.settings().poll.min(Duration::from_millis(200)));
            if begun.elapsed() + pause > self.settings().operation {
                return Err(Error::Unfinished {
                    operation: operation.id,
                    after: begun.elapsed(),
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for an operation.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn operation(&self, id: &str) -> Result<Operation, Error> {
        self.read(&phone_numbers::operation(id)).await
    }

    /// Asks Azure to cancel an operation.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_operation(&self, id: &str) -> Result<(), Error> {
        self.send(&phone_numbers::cancel(id)).await.map(drop)
    }
}
