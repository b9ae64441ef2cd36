//! What the transaction user asks for: requests of ours.

use ambient::Now;
use sip_msg::wire::To;
use sip_msg::{HeaderName, Headers, Method, Request};

use super::UserAgent;
use super::delivery::on_wire;
use crate::auth::ROUNDS_MAX;
use crate::client::{Attempt, Client, ClientMachine, NonInviteClient, Phase, Purpose};
use crate::dialog::{Dialog, DialogSettings, Routing};
use crate::event::{ClientFailure, DialogError, HopPolicy, Outgoing, UaEvent};
use crate::keys::{ClientKey, DialogKey};
use crate::resolve::Missing;

/// RFC 3261 §8.1.1.6.
const MAX_FORWARDS: &str = "70";
/// RFC 3261 §8.1.1.5.
const SEQ_MAX: u32 = (1 << 31) - 1;

impl UserAgent {
    /// Sends a request outside of any dialog, INVITE included. What becomes of it comes as
    /// events, the last of which is [`UaEvent::ClientDone`]; none of them before this returns.
    pub fn send(&mut self, now: Now, out: Outgoing) -> ClientKey {
        let key = self.clients.mint();
        let refusal = if !self.has_room(out.request.method == Method::Invite) {
            Some(ClientFailure::TooMany)
        } else if !is_complete(&out.request) {
            Some(ClientFailure::Incomplete)
        } else {
            None
        };
        if let Some(error) = refusal {
            self.out
                .events
                .push_back(UaEvent::Failed { client: key, error });
            self.out
                .events
                .push_back(UaEvent::ClientDone { client: key });
            return key;
        }
        let settings = out.settings();
        let Outgoing {
            mut request,
            next_hop,
            policy,
            credentials,
            ..
        } = out;
        self.complete_request(&mut request);
        if credentials {
            self.keyring
                .preempt(&settings.trunk, &mut request, &mut self.rng);
        }
        let client = Client {
            request,
            settings,
            next_hop,
            policy,
            dialog: None,
            purpose: Purpose::User,
            rounds: rounds_used(credentials),
            cancel: None,
            forks: Vec::new(),
            answers: Vec::new(),
            answered: false,
            phase: Phase::Resolving {
                until: now.moment + self.config.timers.lookup,
            },
        };
        self.clients.insert(key, client);
        self.locate_client(now, key, Missing::Wait);
        key
    }

    /// Gives an INVITE of ours up; the CANCEL has these header fields besides its own, such as
    /// `Reason` (RFC 3326). It goes out once a provisional response has come, as
    /// RFC 3261 §9.1 demands; a 2xx that crosses it comes up as [`UaEvent::Final`], to be
    /// acknowledged and ended with a BYE. Does nothing for other requests and answered ones.
    pub fn cancel(&mut self, now: Now, client: ClientKey, headers: Headers) {
        let Some(entry) = self.clients.get_mut(client) else {
            return;
        };
        if entry.request.method != Method::Invite || entry.cancel.is_some() {
            return;
        }
        entry.cancel = Some(headers);
        match entry.phase {
            Phase::Active(_) => self.cancel_if_possible(now, client),
            Phase::Held { .. } | Phase::Resolving { .. } => {
                self.fail_client(now, client, ClientFailure::Cancelled);
            }
        }
    }

    /// Sends the CANCEL that is wanted, if a provisional response has come.
    pub(super) fn cancel_if_possible(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(said) = client.cancel.clone() else {
            return;
        };
        let Some(attempt) = client.attempt() else {
            return;
        };
        let possible = matches!(&attempt.machine, Some(ClientMachine::Invite(m)) if m.can_cancel());
        if !possible {
            return;
        }
        let (reliability, branch, via, hop) = (
            attempt.reliability(),
            attempt.branch.clone(),
            attempt.via.clone(),
            attempt.hop.clone(),
        );
        let mut request = cancel_of(&client.request);
        for field in said.iter() {
            request.headers.push(field.name(), field.value());
        }
        let (settings, next_hop) = (client.settings.clone(), client.next_hop.clone());
        let message = on_wire(&request, &via);
        let transmit = self.mint_transmit();
        let cancelling = self.clients.mint();
        let pace = self.pace(now, reliability);
        let machine = NonInviteClient::start(&pace, message.clone());
        let to = To::Hop(hop.clone());
        self.clients.link(&branch, cancelling);
        self.clients.insert(
            cancelling,
            Client {
                request,
                settings,
                next_hop,
                policy: HopPolicy {
                    failover: false,
                    no_response: None,
                },
                dialog: None,
                purpose: Purpose::Internal,
                rounds: 0,
                cancel: None,
                forks: Vec::new(),
                answers: Vec::new(),
                answered: false,
                phase: Phase::Active(Box::new(Attempt {
                    branch,
                    via,
                    hop,
                    rest: Default::default(),
                    transmit,
                    silent: None,
                    repeated: false,
                    machine: Some(ClientMachine::NonInvite(machine)),
                })),
            },
        );
        self.out.transmits.push_back(sip_msg::wire::Transmit {
            id: transmit,
            to,
            message,
        });
        self.schedule_client(cancelling);
        self.note_cancelled(now, key);
    }

    fn note_cancelled(&mut self, now: Now, key: ClientKey) {
        let timers = self.config.timers;
        let Some(attempt) = self.clients.get_mut(key).and_then(Client::attempt) else {
            return;
        };
        let pace = crate::timers::Pace {
            now: now.moment,
            timers: &timers,
            transport: attempt.reliability(),
        };
        attempt.machine = attempt.machine.take().map(|machine| match machine {
            ClientMachine::Invite(invite) => ClientMachine::Invite(invite.on_cancelled(&pace)),
            other @ ClientMachine::NonInvite(_) => other,
        });
        self.schedule_client(key);
    }

    /// Sends a request within a dialog. Request-URI, Route, From, To, Call-ID, CSeq, Max-Forwards
    /// and, for a target refresh request, Contact are there when `build` adds the rest.
    ///
    /// A BYE while a 2xx of ours awaits its ACK is sent when the ACK comes or is given up
    /// (RFC 3261 §15).
    ///
    /// # Errors
    /// [`DialogError::Glare`] for an INVITE while another one is under way in either direction
    /// (RFC 3261 §14.1); the other variants say what they mean.
    pub fn dialog_request(
        &mut self,
        now: Now,
        dialog: DialogKey,
        method: Method,
        build: impl FnOnce(&mut Request),
    ) -> Result<ClientKey, DialogError> {
        self.request_within(now, dialog, method, Purpose::User, build)
    }

    pub(super) fn request_within(
        &mut self,
        now: Now,
        dialog: DialogKey,
        method: Method,
        purpose: Purpose,
        build: impl FnOnce(&mut Request),
    ) -> Result<ClientKey, DialogError> {
        if matches!(method, Method::Ack | Method::Cancel) {
            return Err(DialogError::Method);
        }
        let room = self.has_room(false);
        let entry = self.dialogs.get_mut(dialog).ok_or(DialogError::Gone)?;
        let invite = method == Method::Invite;
        if invite && entry.is_inviting() {
            return Err(DialogError::Glare);
        }
        if !room {
            return Err(DialogError::TooMany);
        }
        if entry.dialog.local_seq >= SEQ_MAX {
            return Err(DialogError::Exhausted);
        }
        entry.dialog.local_seq += 1;
        let seq = entry.dialog.local_seq;
        let next_hop = Routing::of(&entry.dialog).next_hop;
        let settings = DialogSettings::clone(&entry.dialog.settings);
        let held = method == Method::Bye && !entry.unacknowledged.is_empty();
        let mut request = self
            .dialog_skeleton(dialog, &method, seq)
            .ok_or(DialogError::Gone)?;
        build(&mut request);
        self.complete_request(&mut request);
        if settings.credentials {
            self.keyring
                .preempt(&settings.trunk, &mut request, &mut self.rng);
        }
        let rounds = rounds_used(settings.credentials);
        let timers = &self.config.timers;
        let phase = match held {
            true => Phase::Held {
                until: now.moment + timers.sixty_four_t1(),
            },
            false => Phase::Resolving {
                until: now.moment + timers.lookup,
            },
        };
        let key = self.clients.mint();
        self.note_own_request(dialog, key, &request, held);
        self.clients.insert(
            key,
            Client {
                request,
                settings,
                next_hop,
                policy: HopPolicy::default(),
                dialog: Some(dialog),
                purpose,
                rounds,
                cancel: None,
                forks: Vec::new(),
                answers: Vec::new(),
                answered: false,
                phase,
            },
        );
        match held {
            true => self.schedule_client(key),
            false => self.locate_client(now, key, Missing::Wait),
        }
        Ok(key)
    }

    fn note_own_request(
        &mut self,
        dialog: DialogKey,
        key: ClientKey,
        request: &Request,
        held: bool,
    ) {
        let Some(entry) = self.dialogs.get_mut(dialog) else {
            return;
        };
        if request.method == Method::Invite {
            entry.local_invite = Some(key);
        }
        if held {
            entry.held_bye = Some(key);
        }
        if let Some(contact) = request.headers.get_str(&HeaderName::Contact) {
            entry.dialog.local_contact = Some(contact.into());
        }
    }

    /// The frame of a request within a dialog (RFC 3261 §12.2.1.1).
    pub(super) fn dialog_skeleton(
        &self,
        dialog: DialogKey,
        method: &Method,
        seq: u32,
    ) -> Option<Request> {
        let dialog = &self.dialogs.get(dialog)?.dialog;
        let routing = Routing::of(dialog);
        let mut request = Request::new(method.clone(), routing.request_uri);
        let headers = &mut request.headers;
        for route in routing.routes {
            headers.push(HeaderName::Route, route);
        }
        headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
        headers.push(HeaderName::From, &*dialog.local_field);
        headers.push(HeaderName::To, &*dialog.remote_field);
        headers.push(HeaderName::CallId, &dialog.call_id);
        headers.push(HeaderName::CSeq, format!("{seq} {method}"));
        if let Some(contact) = own_contact(dialog, method) {
            headers.push(HeaderName::Contact, contact);
        }
        Some(request)
    }

    /// Adds what every request of ours carries.
    pub(super) fn complete_request(&self, request: &mut Request) {
        if request.headers.get(&HeaderName::MaxForwards).is_none() {
            request.headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
        }
        if let Some(software) = &self.config.software
            && !request.headers.contains(&HeaderName::UserAgent)
        {
            request.headers.push(HeaderName::UserAgent, software);
        }
    }
}

/// Contact of a target refresh request (RFC 3261 §12.2.1.1).
fn own_contact<'d>(dialog: &'d Dialog, method: &Method) -> Option<&'d str> {
    let refreshes = is_target_refresh(method);
    dialog.local_contact.as_deref().filter(|_| refreshes)
}

/// The methods whose Contact replaces the remote target.
pub(super) fn is_target_refresh(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}

/// RFC 3261 §8.1.1, but for what is added here.
fn is_complete(request: &Request) -> bool {
    let headers = &request.headers;
    headers.from().is_ok()
        && headers.from_tag().is_some()
        && headers.to().is_ok()
        && headers.call_id().is_ok()
        && headers
            .cseq()
            .is_ok_and(|cseq| cseq.method == request.method)
}

/// RFC 3261 §9.1: Request-URI, Call-ID, To, From, CSeq number and Route of the request.
fn cancel_of(invite: &Request) -> Request {
    let mut cancel = hop_by_hop(invite, Method::Cancel);
    if let Some(to) = invite.headers.get(&HeaderName::To) {
        cancel.headers.push(HeaderName::To, to);
    }
    cancel
}

/// What CANCEL and the ACK of a refusal copy from their INVITE (RFC 3261 §9.1, §17.1.1.3).
pub(super) fn hop_by_hop(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method, invite.uri.clone());
    for name in [HeaderName::Route, HeaderName::From, HeaderName::CallId] {
        for value in invite.headers.get_all(&name) {
            request.headers.push(name.clone(), value);
        }
    }
    request.headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
    let seq = invite.headers.cseq().map_or(0, |cseq| cseq.seq);
    let cseq = format!("{seq} {}", request.method);
    request.headers.push(HeaderName::CSeq, cseq);
    request
}

/// How many challenges count as answered before the first: all, where none may be.
fn rounds_used(credentials: bool) -> u8 {
    if credentials { 0 } else { ROUNDS_MAX }
}
