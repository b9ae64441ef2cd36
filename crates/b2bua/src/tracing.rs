//! Every message in and out becomes a [`TraceEntry`] (what is kept of them, and for how long, is
//! the owner's affair), and every other output of the layers below leaves from here.

use sip_msg::wire::{Arrival, To, Transmit, TrunkName};
use sip_msg::{Message, Method, Rejected, Request, Response, TransportKind};
use sip_ua::{ClientFailure, DialogKey};

use crate::core::Core;
use crate::failure::Cause;
use crate::health::{MonitorOutput, ProbeFailure, ProbeId};
use crate::identify::{Unidentified, identify};
use crate::index::Owner;
use crate::io::Output;
use crate::key::CallKey;
use crate::trace::{Direction, TraceEntry, TraceVerdict, redact};

impl Core {
    /// The trunk a request comes from, or why it is nobody's. Requests in a dialog of ours are
    /// matched by Call-ID and tags only, wherever they come from (G-06).
    pub(crate) fn sender(
        &self,
        arrival: &Arrival,
        request: &Request,
    ) -> (Option<TrunkName>, Option<Unidentified>) {
        let registered = self.registrar.trunk_at(self.now.moment, arrival);
        let reason = match identify(&self.profiles, arrival, request, registered) {
            Ok(trunk) => return (Some(trunk.name.clone()), None),
            Err(reason) => reason,
        };
        let headers = &request.headers;
        let tags = (headers.call_id(), headers.to_tag(), headers.from_tag());
        if let (Ok(call_id), Some(ours), Some(theirs)) = tags
            && let Some(dialog) = self.ua.find_dialog(call_id, &ours, &theirs)
        {
            let trunk = self.ua.dialog(dialog).map(|dialog| dialog.trunk().clone());
            return (trunk, None);
        }
        (None, Some(reason))
    }

    pub(crate) fn trace_in(
        &mut self,
        arrival: &Arrival,
        trunk: Option<TrunkName>,
        message: &Message,
        verdict: TraceVerdict,
    ) {
        let call = message
            .headers()
            .call_id()
            .ok()
            .and_then(|id| self.call_of(id));
        let entry = TraceEntry {
            at: self.now.wall,
            call,
            direction: Direction::In,
            trunk,
            transport: arrival.transport,
            local: Some(arrival.local),
            remote: arrival.remote,
            text: redact(message.as_received()),
            verdict,
        };
        self.outputs.push_back(Output::Trace(entry));
    }

    pub(crate) fn trace_rejected(&mut self, arrival: &Arrival, rejected: &Rejected) {
        let text = rejected
            .request
            .as_ref()
            .map(Request::to_bytes)
            .unwrap_or_default();
        let entry = TraceEntry {
            at: self.now.wall,
            call: None,
            direction: Direction::In,
            trunk: arrival.opened_for.clone(),
            transport: arrival.transport,
            local: Some(arrival.local),
            remote: arrival.remote,
            text: redact(text),
            verdict: TraceVerdict::Rejected {
                status: rejected.status.code(),
            },
        };
        self.outputs.push_back(Output::Trace(entry));
    }

    /// Gives the INVITE that has just arrived to the call that it begins: when it was traced, there
    /// was none.
    pub(crate) fn claim_trace(&mut self, call: CallKey) {
        let mut outputs = self.outputs.iter_mut().rev();
        let arrived = outputs.find_map(|output| {
            if let Output::Trace(entry) = output {
                (entry.direction == Direction::In).then_some(entry)
            } else {
                None
            }
        });
        if let Some(entry) = arrived {
            entry.call.get_or_insert(call);
        }
    }

    fn call_of(&self, call_id: &str) -> Option<CallKey> {
        self.index.call_named(call_id)
    }

    fn trace_out(&mut self, transmit: &Transmit) {
        let (trunk, transport, remote) = match &transmit.to {
            To::Hop(hop) => (Some(hop.trunk.clone()), hop.transport, hop.addr),
            To::Flow {
                remote, fallback, ..
            } => {
                let transport = fallback
                    .as_ref()
                    .map_or(TransportKind::Udp, |hop| hop.transport);
                (
                    fallback.as_ref().map(|hop| hop.trunk.clone()),
                    transport,
                    *remote,
                )
            }
        };
        let call = call_id_of(&transmit.message).and_then(|id| self.call_of(id));
        let entry = TraceEntry {
            at: self.now.wall,
            call,
            direction: Direction::Out,
            trunk,
            transport,
            local: None,
            remote,
            text: redact(transmit.message.clone()),
            verdict: TraceVerdict::Accepted,
        };
        self.outputs.push_back(Output::Trace(entry));
    }

    /// Moves what the layers below want done into the outputs.
    pub(crate) fn flush(&mut self) {
        while let Some(command) = self.ports.poll_command() {
            self.media(command);
        }
        while let Some(transmit) = self.ua.poll_transmit() {
            self.metrics.messages_out += 1;
            self.trace_out(&transmit);
            self.outputs.push_back(Output::Transmit(transmit));
        }
        if let Some(flow) = self.leaving.take() {
            self.outputs.push_back(Output::Leave(flow));
        }
        while let Some(query) = self.ua.poll_query() {
            self.outputs.push_back(Output::Query(query));
        }
    }

    pub(crate) fn probe(&mut self, output: MonitorOutput) {
        if let MonitorOutput::Probe(probe) = output {
            let mut out = self.outgoing(probe.request, &probe.trunk, probe.peer);
            out.next_hop = probe.next_hop;
            self.send(out, Owner::Probe(probe.id));
        }
    }

    pub(crate) fn probe_failed(&mut self, probe: ProbeId, error: ClientFailure) {
        let failure = match error {
            ClientFailure::Transport(error) => ProbeFailure::Transport(error),
            ClientFailure::NoHop(_) => ProbeFailure::Unresolved,
            ClientFailure::TimedOut
            | ClientFailure::TooMany
            | ClientFailure::Cancelled
            | ClientFailure::Incomplete => ProbeFailure::TimedOut,
        };
        self.monitor.handle_failure(self.now, probe, failure);
    }

    /// A final response that no call waits for: a 2xx to an INVITE that was given up makes a
    /// dialog that must be acknowledged and ended (RFC 3261 §9.1, §13.2.2.4).
    pub(crate) fn unwanted_answer(
        &mut self,
        dialog: Option<DialogKey>,
        keep: Option<DialogKey>,
        response: &Response,
    ) {
        let invite = response
            .headers
            .cseq()
            .is_ok_and(|c| c.method == Method::Invite);
        let Some(dialog) = dialog.filter(|_| invite && response.status.is_success()) else {
            return;
        };
        self.acknowledge(dialog);
        if keep != Some(dialog) {
            self.bye(dialog, Cause::NORMAL_CLEARING.into());
        }
    }
}

/// The Call-ID of a message of ours, which is never folded nor compact.
fn call_id_of(message: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\nCall-ID: ";
    let mut from = 0;
    loop {
        from += message
            .get(from..)?
            .iter()
            .position(|byte| *byte == b'\n')?;
        let rest = message.get(from..)?;
        if let Some(rest) = rest.strip_prefix(NAME) {
            let end = rest.iter().position(|byte| *byte == b'\r')?;
            return std::str::from_utf8(rest.get(..end)?).ok();
        }
        from += 1;
    }
}
