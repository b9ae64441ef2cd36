//! One request in, one answer out.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::RestConfig;
use super::answer::Answer;
use super::auth::Door;
use super::calls::{CallAutomation, Resource};
use super::faults::{Fault, Faults, Trouble, refusal};
use super::numbers::Numbers;
use super::repeat::{Key, Repeatable};
use super::request::{Request, Seen};
use super::sip_routing::SipRouting;
use super::versions::Area;

/// Requests that are remembered.
const MOST_SEEN: usize = 10_000;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Done {
    Answer(Answer),
    Late(Answer, Duration),
    Never,
}

/// A resource: its state and its door.
#[derive(Debug)]
pub(super) struct Service {
    door: Door,
    faults: Faults,
    repeatable: Repeatable,
    sip_routing: SipRouting,
    numbers: Numbers,
    calls: CallAutomation,
    scheme: &'static str,
    seen: VecDeque<Seen>,
}

impl Service {
    pub(super) fn new(config: &RestConfig, calls: CallAutomation) -> Self {
        Self {
            door: Door::new(config.key.clone(), config.aliases.clone()),
            faults: Faults::default(),
            repeatable: Repeatable::default(),
            sip_routing: SipRouting::default(),
            numbers: Numbers::new(config.running),
            calls,
            scheme: if config.identity.is_some() {
                "https"
            } else {
                "http"
            },
            seen: VecDeque::new(),
        }
    }

    pub(super) fn key(&self) -> String {
        self.door.key()
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        self.faults.add(fault);
    }

    pub(super) fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    pub(super) fn sip_routing(&mut self) -> &mut SipRouting {
        &mut self.sip_routing
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.iter().cloned().collect()
    }

    pub(super) fn handle(&mut self, now: Timestamp, request: &Request) -> Done {
        let done = match self.faults.take(request) {
            None => Done::Answer(self.answer(now, request)),
            Some(Trouble::Slow(after)) => Done::Late(self.answer(now, request), after),
            Some(Trouble::Never) => Done::Never,
            Some(Trouble::AnswerLost) => {
                self.answer(now, request);
                Done::Never
            }
            Some(Trouble::Refused {
                status,
                code,
                retry_after,
            }) => Done::Answer(refusal(status, &code, retry_after)),
            Some(Trouble::Garbled(text)) => Done::Answer(Answer {
                body: text.into_bytes(),
                ..Answer::bare(200)
            }),
        };
        if self.seen.len() >= MOST_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            request: request.clone(),
            status: match &done {
                Done::Answer(answer) | Done::Late(answer, _) => Some(answer.status),
                Done::Never => None,
            },
        });
        done
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Answer {
        if let Some(answer) = self.calls.open(request, self.scheme) {
            return answer;
        }
        let mut answer = self
            .admitted(now, request)
            .unwrap_or_else(|refusal| refusal);
        if let Some(id) = request.header("x-ms-client-request-id") {
            if request.header("x-ms-return-client-request-id") == Some("true") {
                answer = answer.with("x-ms-client-request-id", id);
            }
            answer = answer.with("x-ms-request-id", id);
        }
        answer
    }

    fn admitted(&mut self, now: Timestamp, request: &Request) -> Result<Answer, Answer> {
        self.door.check(now, request)?;
        let segments = request.segments();
        let area = Area::of(&segments).ok_or_else(|| {
            // 501 is the one 5xx that Microsoft's clients do not ask again after.
            Answer::error(
                501,
                "NotImplemented",
                "This part of Azure is not simulated.",
            )
        })?;
        area.check(request, &segments)?;
        let key = Key::of(request)?;
        if let Some(answer) = key.as_ref().and_then(|key| self.repeatable.find(key)) {
            return Ok(answer);
        }
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let answer = match area {
            Area::SipRouting => self.sip_routing.answer(request, &segments),
            Area::Numbers => self.numbers.answer(now, request, &segments),
            Area::Calls => {
                let resource = Resource {
                    numbers: &self.numbers,
                    sip_routing: &self.sip_routing,
                };
                self.calls.answer(request, &segments, &resource)
            }
        };
        Ok(match key {
            Some(key) => {
                let answer = answer.with("repeatability-result", "accepted");
                self.repeatable.keep(key, &answer);
                answer
            }
            None => answer,
        })
    }
}
