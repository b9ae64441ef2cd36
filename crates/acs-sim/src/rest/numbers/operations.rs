//! Long-running operations: a 202 now, a result when it was asked for often enough.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::rest::answer::Answer;

/// How an operation will end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With this result, a path.
    Done(Option<String>),
    /// With this code and message.
    Failed(String, String),
}

impl Outcome {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(..))
    }
}

/// The most operations that are kept.
const MOST: usize = 10_000;

/// Every operation there was.
#[derive(Debug)]
pub(super) struct Operations {
    known: BTreeMap<String, Operation>,
    running: u32,
    next: u32,
    failure: Option<(String, String)>,
}

#[derive(Clone, Debug)]
struct Operation {
    kind: &'static str,
    created: Timestamp,
    running: u32,
    outcome: Outcome,
    version: String,
}

/// An operation that was begun.
pub(super) struct Begun<'a> {
    operation: &'a mut Operation,
    id: String,
    number: String,
    location: Option<String>,
}

impl Operations {
    pub(super) fn new(running: u32) -> Self {
        Self {
            known: BTreeMap::new(),
            running,
            next: 1,
            failure: None,
        }
    }

    pub(super) fn fail_next(&mut self, code: &str, message: &str) {
        self.failure = Some((code.to_owned(), message.to_owned()));
    }

    /// How the next operation ends: as a test wants, or as it should.
    pub(super) fn outcome(&mut self, otherwise: impl FnOnce() -> Outcome) -> Outcome {
        match self.failure.take() {
            Some((code, message)) => Outcome::Failed(code, message),
            None => otherwise(),
        }
    }

    /// An id in the form of a GUID, in the order of asking.
    pub(super) fn guid(&mut self) -> String {
        let number = self.next;
        self.next += 1;
        format!("{number:08x}-0000-4000-8000-000000000000")
    }

    pub(super) fn start(
        &mut self,
        prefix: &str,
        kind: &'static str,
        outcome: Outcome,
        now: Timestamp,
    ) -> Begun<'_> {
        if self.known.len() >= MOST {
            self.known.pop_first();
        }
        let number = self.guid();
        let id = format!("{prefix}_{number}");
        let operation = Operation {
            kind,
            created: now,
            running: self.running,
            outcome,
            version: String::new(),
        };
        Begun {
            operation: self.known.entry(id.clone()).or_insert(operation),
            id,
            number,
            location: None,
        }
    }

    pub(super) fn show(&mut self, id: &str, now: Timestamp) -> Answer {
        let Some(operation) = self.known.get_mut(id) else {
            return Answer::not_found("such operation");
        };
        let mut body = json!({
            "operationType": operation.kind,
            "createdDateTime": operation.created.to_string(),
            "lastActionDateTime": now.to_string(),
            "id": id,
        });
        if operation.running > 0 {
            operation.running -= 1;
            body["status"] = Value::from("running");
            return Answer::json(200, &body).with("retry-after", "0");
        }
        match &operation.outcome {
            Outcome::Done(location) => {
                body["status"] = Value::from("succeeded");
                if let Some(path) = location {
                    let version = &operation.version;
                    body["resourceLocation"] = Value::from(format!("{path}?api-version={version}"));
                }
            }
            Outcome::Failed(code, message) => {
                body["status"] = Value::from("failed");
                body["error"] = json!({"code": code, "message": message});
            }
        }
        Answer::json(200, &body)
    }

    pub(super) fn cancel(&mut self, id: &str) -> Answer {
        match self.known.remove(id) {
            Some(_) => Answer::bare(204),
            None => Answer::not_found("such operation"),
        }
    }
}

impl Begun<'_> {
    /// Where its result will be.
    pub(super) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// The 202; `id_header` is the further name the kind of operation has for it.
    pub(super) fn answer(self, id_header: &'static str, version: &str) -> Answer {
        version.clone_into(&mut self.operation.version);
        let link = format!("/phoneNumbers/operations/{}?api-version={version}", self.id);
        let mut answer = Answer::bare(202)
            .with("operation-location", link)
            .with("operation-id", self.id)
            .with(id_header, self.number);
        if let Some(path) = self.location {
            answer = answer.with("location", format!("{path}?api-version={version}"));
        }
        answer.with(
            "access-control-expose-headers",
            format!("Location,Operation-Location,operation-id,{id_header}"),
        )
    }
}
