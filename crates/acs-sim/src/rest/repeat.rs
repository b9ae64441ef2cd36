//! Requests that were done before: a repetition is answered, not done again.

use std::collections::VecDeque;

use super::answer::Answer;
use super::request::Request;

/// What is remembered; the oldest is forgotten first.
const MOST: usize = 1024;

/// The answers given to requests that named themselves.
#[derive(Debug, Default)]
pub(super) struct Repeatable(VecDeque<(Key, Answer)>);

/// What makes a request the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: String,
    first_sent: String,
    method: String,
    target: String,
}

impl Key {
    /// The key of a request; `None` where it does not name itself.
    pub(super) fn of(request: &Request) -> Result<Option<Self>, Answer> {
        let id = request.header("repeatability-request-id");
        let first_sent = request.header("repeatability-first-sent");
        match (id, first_sent) {
            (Some(id), Some(first_sent)) => Ok(Some(Self {
                id: id.to_ascii_lowercase(),
                first_sent: first_sent.to_owned(),
                method: request.method.clone(),
                target: request.target.clone(),
            })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(Answer::bad_request(
                "Repeatability-Request-ID and Repeatability-First-Sent go together.",
            )),
        }
    }
}

impl Repeatable {
    pub(super) fn find(&self, key: &Key) -> Option<Answer> {
        let mut known = self.0.iter();
        known
            .find(|(other, _)| other == key)
            .map(|(_, answer)| answer.clone())
    }

    pub(super) fn keep(&mut self, key: Key, answer: &Answer) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((key, answer.clone()));
    }
}
