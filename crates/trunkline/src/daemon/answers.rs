//! What the signalling loop answers the operator's pages.

use b2bua::Input;
use store::CallLog;

use super::metrics::{self, Reading};
use super::pages::{Explained, Health, PageRequest, Status};
use super::records::RecordWriter;
use super::signalling::Signalling;
use crate::explain::Asked;

impl Signalling {
    pub(super) fn answer(&mut self, page: PageRequest) {
        // Whoever asked may have gone away; that is theirs to know.
        match page {
            PageRequest::Metrics(answer) => {
                let reading = Reading {
                    core: self.core.metrics(),
                    transport: self.transport.counters(),
                    media: self.media.counters().by_shard(),
                    media_path: self.media.path().kind,
                    records_lost: self.records.as_ref().map_or(0, RecordWriter::lost),
                    stored: self.call_log.as_ref().map(CallLog::progress),
                    faults: self.faults,
                    lateness: self.load.lateness,
                    turns: self.load.pace.turns(),
                    certificates: self.names.days_left(),
                    names: self.names.in_dns(),
                    posts: self.cloud.as_ref().map(|cloud| cloud.counts.all()),
                };
                let _ = answer.send(metrics::render(reading));
            }
            PageRequest::Status(answer) => {
                let _ = answer.send(Box::new(Status {
                    metrics: self.core.metrics(),
                    flows: self.transport.flows(),
                    faults: self.faults,
                    media_path: self.media.path().clone(),
                }));
            }
            PageRequest::Calls(most, answer) => {
                let _ = answer.send(self.core.calls().take(most).collect());
            }
            PageRequest::Ladder(call, answer) => {
                let _ = answer.send(self.ring.call(call).cloned().collect());
            }
            PageRequest::HangUp(call, answer) => {
                let known = self.core.calls().any(|summary| summary.key == call);
                if known {
                    self.input(Input::Admin(b2bua::admin::Command::HangUp(call)));
                }
                let _ = answer.send(known);
            }
            PageRequest::Reload(profiles, decisions, done) => {
                self.input(Input::Reload(profiles, decisions.routes));
                self.input(Input::Shadow(decisions.shadow));
                let _ = done.send(());
            }
            PageRequest::Explain(question, draw, answer) => {
                let now = self.clock.now();
                let asked = {
                    let core = &self.core;
                    Asked::screened(core.profiles(), core.snapshot(), *question)
                };
                let (decision, facts) = self.core.explain(now, draw, &asked.question);
                let core = &self.core;
                let decision = asked.told(core.profiles(), core.snapshot(), &decision);
                let _ = answer.send(Box::new(Explained {
                    asked,
                    decision,
                    facts,
                }));
            }
            PageRequest::Health(answer) => {
                let draining = self.core.metrics().draining;
                let _ = answer.send(if draining {
                    Health::Draining
                } else {
                    Health::Serving
                });
            }
        }
    }
}
