//! What every call shares: the user agent, the limits, the ports, the time of this input, and the
//! index that finds the call an event belongs to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient::{Deadlines, KeyRng, Now, TokenRng};
use bytes::Bytes;
use media_relay::{LegCheckpoint, LegId, MediaCommand, PortPair};
use routing::Snapshot;
use sip_msg::wire::{Arrival, FlowId, TransportError, TrunkName};
use sip_msg::{HeaderName, Headers, Method, Request, Response, StatusCode};
use sip_ua::{
    ClientKey, DialogKey, DialogSettings, HopPolicy, Outgoing, SentBy, ServerKey, UserAgent,
};

use crate::bans::Bans;
use crate::call::Timer;
use crate::cloud::Clouds;
use crate::departure::Departure;
use crate::doors::Doors;
use crate::failure::{AttemptFailure, Cause};
use crate::health::{ProbeFailure, TrunkMonitor};
use crate::index::{Index, Owner};
use crate::io::Output;
use crate::key::{CallKey, Side};
use crate::ledger::Ledger;
use crate::limits::Gate;
use crate::metrics::Counts;
use crate::ports::PortPool;
use crate::profile::{DrainPolicy, MediaInterface, Profiles, TrunkProfile};
use crate::registrar::{self, Registrar};
use crate::registration::Registrations;
use crate::subscription::Subscription;

/// The media type of session descriptions.
pub(crate) const SDP: &str = "application/sdp";

/// Longest wait for a shard to say that a leg is closed before its ports are used again.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long messages that still come for a call that is over belong to its ladder: 64*T1 and some.
const LADDER_WAIT: Duration = Duration::from_secs(40);

/// A time limit this layer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Due {
    Call(CallKey, Timer),
    /// A shard did not confirm that it closed this leg.
    Lease(LegId),
    /// Nothing more can come for a call that is over.
    Ladder(CallKey),
    /// A party that was told that its leg was replaced said no BYE.
    Departure(DialogKey),
}

/// A response of ours, before the user agent frames it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    /// The reason phrase, if not the usual one of the status.
    pub(crate) phrase: Option<Bytes>,
    body: Option<Bytes>,
    contact: Option<Option<String>>,
    /// Sent again until its PRACK (RFC 3262).
    reliable: bool,
}

impl Reply {
    pub(crate) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Headers::new(),
            phrase: None,
            body: None,
            contact: None,
            reliable: false,
        }
    }

    /// A response that creates or refreshes a dialog: it needs a Contact (RFC 3261 §12.1.1).
    pub(crate) fn dialog(self, request: &Request) -> Self {
        Self {
            contact: Some(request.uri.user().map(str::to_owned)),
            ..self
        }
    }

    pub(crate) fn body(self, sdp: Bytes) -> Self {
        Self {
            body: Some(sdp),
            ..self
        }
    }

    /// A provisional response that is sent again until its PRACK (RFC 3262 §3).
    pub(crate) fn reliable(self) -> Self {
        Self {
            reliable: true,
            ..self
        }
    }

    pub(crate) fn has_body(&self) -> bool {
        self.body.is_some()
    }
}

/// Everything but the calls. A handler of a call gets the call by value and this by reference.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) now: Now,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) interfaces: Vec<MediaInterface>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Asked beside the snapshot, and not followed.
    pub(crate) shadow: Option<Arc<Snapshot>>,
    pub(crate) software: Arc<str>,
    pub(crate) attempts_per_call: usize,
    pub(crate) forks_per_leg: usize,
    pub(crate) ua: UserAgent,
    pub(crate) monitor: TrunkMonitor,
    pub(crate) registrations: Registrations,
    pub(crate) registrar: Registrar,
    pub(crate) doors: Doors,
    pub(crate) bans: Bans,
    pub(crate) gate: Gate,
    pub(crate) ledger: Ledger,
    pub(crate) clouds: Clouds,
    pub(crate) ports: PortPool,
    pub(crate) tokens: TokenRng,
    pub(crate) keys: KeyRng,
    pub(crate) deadlines: Deadlines<Due>,
    pub(crate) index: Index,
    /// Parties that are told of the transfer they asked for.
    pub(crate) subscriptions: BTreeMap<DialogKey, Subscription>,
    /// Dialogs whose leg was replaced, until their BYE.
    pub(crate) departures: BTreeMap<DialogKey, Departure>,
    pub(crate) outputs: VecDeque<Output>,
    /// A connection that is left once what this input causes has been sent.
    pub(crate) leaving: Option<FlowId>,
    pub(crate) metrics: Counts,
    pub(crate) draining: bool,
    pub(crate) drain: DrainPolicy,
}

impl Core {
    /// Hands a command to the shards.
    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.outputs.push_back(Output::Media(command));
    }

    pub(crate) fn arm(&mut self, call: CallKey, timer: Timer, after: Duration) {
        self.deadlines
            .set(Due::Call(call, timer), self.now.moment + after);
    }

    pub(crate) fn disarm(&mut self, call: CallKey, timer: Timer) {
        self.deadlines.cancel(&Due::Call(call, timer));
    }

    /// Stops what belongs to one attempt.
    pub(crate) fn disarm_attempt(&mut self, call: CallKey) {
        self.disarm(call, Timer::Attempt);
        self.disarm(call, Timer::NoAnswer);
    }

    pub(crate) fn disarm_all(&mut self, call: CallKey) {
        for timer in Timer::ALL {
            self.disarm(call, timer);
        }
    }

    /// Closes a leg: its place within the limits is free at once, its ports when the shard has
    /// closed it.
    pub(crate) fn close_media(&mut self, leg: LegId) {
        if let Some(permit) = self.index.take_permit(leg) {
            self.gate.release(permit);
        }
        self.release_cloud(leg);
        self.media(MediaCommand::CloseLeg { leg });
        self.deadlines
            .set(Due::Lease(leg), self.now.moment + CLOSE_WAIT);
    }

    /// The shard has closed the leg, or never will.
    pub(crate) fn media_closed(&mut self, leg: LegId) {
        self.deadlines.cancel(&Due::Lease(leg));
        if let Some(lease) = self.index.take_lease(leg) {
            self.ports.release(self.now.moment, lease);
        }
    }

    /// Where SDP says that media of a leased pair is heard: RTP and RTCP.
    pub(crate) fn advertised(&self, pair: &PortPair) -> (SocketAddr, SocketAddr) {
        let interface = self
            .interfaces
            .iter()
            .find(|known| known.id == pair.interface);
        let ip = interface.map_or(pair.rtp().ip(), |interface| interface.advertise);
        (
            SocketAddr::new(ip, pair.rtp().port()),
            SocketAddr::new(ip, pair.rtcp().port()),
        )
    }

    fn settings(trunk: &TrunkProfile) -> DialogSettings {
        DialogSettings {
            trunk: trunk.name.clone(),
            sent_by: sent_by(trunk),
            pinned_hop: trunk.pinned_hop.clone(),
            named_peer: trunk.peers.first().map(|peer| peer.uri.clone()),
            datagrams: trunk.datagrams,
            credentials: true,
        }
    }

    /// Sends a response. The dialog it belongs to, if to one; `None` too when the request is gone.
    pub(crate) fn reply(
        &mut self,
        server: ServerKey,
        trunk: &TrunkProfile,
        reply: Reply,
    ) -> Option<DialogKey> {
        let mut response = self.ua.respond_to(server, reply.status)?;
        let came_over = self.ua.arrived_over(server).unwrap_or(trunk.transport);
        if let Some(phrase) = reply.phrase {
            response.reason = phrase;
        }
        for (name, value) in trunk.capability_headers(&self.software) {
            response.headers.push(name, &*value);
        }
        if let Some(user) = reply.contact {
            let contact = trunk.contact_over(user.as_deref(), came_over);
            response
                .headers
                .push(HeaderName::Contact, contact.bracketed());
        }
        for field in reply.headers.iter() {
            response.headers.push_field(field);
        }
        if let Some(body) = reply.body {
            response.set_body(SDP, body);
        }
        let mut settings = Self::settings(trunk);
        if trunk.registrar.is_some()
            && let Some(arrival) = self.ua.arrival(server)
        {
            // Who registers is called where it calls from.
            settings.pinned_hop = Some(registrar::hop(arrival.transport, arrival.remote));
        }
        let sent = match reply.reliable {
            true => self
                .ua
                .respond_reliably(self.now, server, response, Some(&settings)),
            false => self.ua.respond(self.now, server, response, Some(&settings)),
        };
        sent.ok().flatten()
    }

    /// A request of ours towards one peer of a trunk.
    pub(crate) fn outgoing(&self, request: Request, trunk: &TrunkProfile, peer: usize) -> Outgoing {
        let hop = trunk
            .peers
            .get(peer)
            .map_or_else(|| request.uri.clone(), |p| p.uri.clone());
        Outgoing {
            request,
            trunk: trunk.name.clone(),
            named_peer: Some(hop.clone()),
            next_hop: hop,
            sent_by: sent_by(trunk),
            pinned_hop: trunk.pinned_hop.clone(),
            datagrams: trunk.datagrams,
            policy: HopPolicy {
                failover: true,
                no_response: None,
            },
            credentials: true,
        }
    }

    pub(crate) fn send(&mut self, out: Outgoing, owner: Owner) -> ClientKey {
        if let (Owner::Call(call), Ok(call_id)) = (owner, out.request.headers.call_id()) {
            self.index.own_call_id(call_id, call);
        }
        let client = self.ua.send(self.now, out);
        self.index.own_client(client, owner);
        client
    }

    /// Gives an INVITE of ours up; the CANCEL says this. A 2xx that crosses is acknowledged and
    /// hung up.
    pub(crate) fn cancel(&mut self, client: ClientKey, said: Headers) {
        if let Some(owner) = self.index.clients.get_mut(&client)
            && !matches!(owner, Owner::Nobody { keep: Some(_) })
        {
            *owner = Owner::Nobody { keep: None };
            self.ua.cancel(self.now, client, said);
        }
    }

    /// Sends the ACK of a 2xx.
    pub(crate) fn acknowledge(&mut self, dialog: DialogKey) {
        if self.ua.ack(self.now, dialog, None).is_err() {
            self.metrics.unexpected += 1;
        }
    }

    /// Ends a dialog; the BYE says this.
    pub(crate) fn bye(&mut self, dialog: DialogKey, said: Headers) {
        let capabilities = self.ua.dialog(dialog).map(|dialog| dialog.trunk().clone());
        let trunk = capabilities.and_then(|name| self.profiles.trunk(&name).cloned());
        let software = Arc::clone(&self.software);
        let sent = self
            .ua
            .dialog_request(self.now, dialog, Method::Bye, |request| {
                for field in said.iter() {
                    request.headers.push_field(field);
                }
                for (name, value) in trunk
                    .iter()
                    .flat_map(|trunk| trunk.capability_headers(&software))
                {
                    request.headers.push(name, &*value);
                }
            });
        match sent {
            Ok(client) => {
                self.index
                    .own_client(client, Owner::Nobody { keep: Some(dialog) });
            }
            Err(_) => self.ua.terminate(self.now, dialog),
        }
    }

    /// Forgets what leads to a call that is over. What still comes for it is answered without it,
    /// and is a part of its ladder for a while.
    pub(crate) fn forget(&mut self, call: CallKey) {
        for dialog in self.index.keys(call).dialogs {
            self.unsubscribe(dialog);
        }
        self.index.forget(call);
        self.deadlines
            .set(Due::Ladder(call), self.now.moment + LADDER_WAIT);
    }

    pub(crate) fn own_dialog(&mut self, dialog: DialogKey, call: CallKey, side: Side) {
        self.index.own_dialog(dialog, (call, side));
    }

    /// Answers a request within a dialog that no call acts upon.
    pub(crate) fn answer_unwanted(
        &mut self,
        server: ServerKey,
        trunk: &TrunkProfile,
        request: &Request,
    ) {
        let status = unwanted(trunk, request);
        let mut reply = Reply::new(status);
        if status == StatusCode::OK {
            reply = reply.dialog(request);
            reply.headers.push(HeaderName::Accept, SDP);
        }
        self.reply(server, trunk, reply);
    }

    /// Answers a request in a dialog whose call is over: BYEs that crossed are fine.
    pub(crate) fn answer_stray(&mut self, server: ServerKey, request: &Request) {
        let status = if request.method == Method::Bye {
            StatusCode::OK
        } else {
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST
        };
        self.answer_plainly(server, status);
    }

    /// A response that says nothing about us.
    pub(crate) fn answer_plainly(&mut self, server: ServerKey, status: StatusCode) {
        if let Some(response) = self.ua.respond_to(server, status) {
            // An error says that the request is gone, and so is its sender's interest.
            let _ = self.ua.respond(self.now, server, response, None);
        }
    }

    /// Notes whether a response says that its connection is to be left (M-07).
    pub(crate) fn leave_if_busy(&mut self, arrival: &Arrival, response: &Response) {
        let opened_for = arrival.opened_for.as_ref();
        let trunk = opened_for.and_then(|name| self.profiles.trunk(name));
        let invite = response
            .headers
            .cseq()
            .is_ok_and(|cseq| cseq.method == Method::Invite);
        let busy = response.status == StatusCode::SERVICE_UNAVAILABLE
            && response.headers.retry_after().is_some();
        if trunk.is_some_and(|trunk| trunk.close_when_busy) && invite && busy {
            self.leaving = Some(arrival.flow);
        }
    }

    /// What a failed attempt says about the peer.
    pub(crate) fn report_health(
        &mut self,
        trunk: &TrunkName,
        peer: usize,
        failure: &AttemptFailure,
    ) {
        let failure = match *failure {
            AttemptFailure::Final {
                status: StatusCode::SERVICE_UNAVAILABLE,
                retry_after,
                ..
            } => {
                self.monitor
                    .handle_overload(self.now, trunk, peer, retry_after);
                return;
            }
            AttemptFailure::Final { status, .. } => {
                self.monitor
                    .handle_call_answered(self.now, trunk, peer, status);
                return;
            }
            // It says something about the message.
            AttemptFailure::Transport(TransportError::TooLarge) => return,
            AttemptFailure::Silent | AttemptFailure::StillDown => ProbeFailure::TimedOut,
            AttemptFailure::Transport(error) => ProbeFailure::Transport(error),
            AttemptFailure::NoHop => ProbeFailure::Unresolved,
            AttemptFailure::NoAnswer
            | AttemptFailure::TimerC
            | AttemptFailure::SetupBudget
            | AttemptFailure::OtherCustomer
            | AttemptFailure::Unregistered
            | AttemptFailure::Limit(_)
            | AttemptFailure::Cloud(_)
            | AttemptFailure::NoMediaPort
            | AttemptFailure::Negotiation
            | AttemptFailure::Internal => return,
        };
        self.monitor
            .handle_call_failure(self.now, trunk, peer, failure);
    }

    pub(crate) fn note_leg_state(&mut self, leg: LegId, state: LegCheckpoint) {
        self.index.note_state(leg, state);
    }
}

fn sent_by(trunk: &TrunkProfile) -> SentBy {
    SentBy {
        host: Arc::clone(&trunk.advertised.host),
        port: Some(trunk.advertised.port),
    }
}

/// The status for a request that is neither INVITE nor BYE (G-08): OPTIONS is always answered, what
/// the trunk's Allow names is absorbed, the rest is refused by name.
pub(crate) fn unwanted(trunk: &TrunkProfile, request: &Request) -> StatusCode {
    match &request.method {
        Method::Options => StatusCode::OK,
        // Nothing was subscribed to, and no provisional response of ours was reliable.
        Method::Notify | Method::Prack => StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
        Method::Other(_) => StatusCode::NOT_IMPLEMENTED,
        method if trunk.allow_methods.contains(method) => StatusCode::OK,
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Info
        | Method::Invite
        | Method::Message
        | Method::Publish
        | Method::Refer
        | Method::Register
        | Method::Subscribe
        | Method::Update => StatusCode::METHOD_NOT_ALLOWED,
    }
}

impl From<Cause> for Headers {
    fn from(cause: Cause) -> Self {
        let mut headers = Self::new();
        headers.push(HeaderName::Reason, cause.reason_value());
        headers
    }
}
