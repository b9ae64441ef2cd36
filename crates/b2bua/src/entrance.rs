//! What a request meets before a call: the ban of its source, the challenge of its trunk, and the
//! registrar. And where registrations of ours leave.

use std::net::IpAddr;
use std::sync::Arc;

use routing::Attempt;
use sip_msg::wire::{Arrival, TrunkName};
use sip_msg::{HeaderName, Message, Method, Request, StatusCode};
use sip_ua::auth::Verdict;
use sip_ua::{Outgoing, ServerKey};

use crate::call::beyond;
use crate::core::{Core, Reply, unwanted};
use crate::index::Owner;
use crate::profile::{TrunkProfile, holds};
use crate::registrar::{Refused, Registering};
use crate::registration::Register;

/// A request outside of dialogs that may go on.
pub(crate) struct Entered {
    /// The user whose password it showed; `None` where none is demanded.
    pub(crate) user: Option<String>,
}

impl Core {
    /// Whether a message is not to be read because its source is banned. What belongs to a dialog
    /// or ends a request that was read is, and so is everything on connections of ours.
    pub(crate) fn is_barred(&mut self, arrival: &Arrival, message: Option<&Message>) -> bool {
        if arrival.opened_for.is_some() {
            return false;
        }
        match message {
            Some(Message::Response(_)) => return false,
            Some(Message::Request(request)) => {
                let ends = matches!(request.method, Method::Ack | Method::Cancel);
                if ends || self.is_within_dialog(request) {
                    return false;
                }
            }
            None => {}
        }
        self.bans.is_banned(self.now.moment, arrival.remote.ip())
    }

    fn is_within_dialog(&self, request: &Request) -> bool {
        let headers = &request.headers;
        let (Ok(call_id), Some(ours), Some(theirs)) =
            (headers.call_id(), headers.to_tag(), headers.from_tag())
        else {
            return false;
        };
        self.ua.find_dialog(call_id, &ours, &theirs).is_some()
    }

    /// A source did what strangers do: counts against it, unless it is none.
    pub(crate) fn suspect(&mut self, arrival: &Arrival) {
        let source = arrival.remote.ip();
        let now = self.now.moment;
        if arrival.opened_for.is_none()
            && !self.is_known(source)
            && !self.bans.is_proven(now, source)
        {
            self.bans.fail(now, source);
        }
    }

    /// Whether a trunk names this address, or a network that is not everybody's, as its own.
    fn is_known(&self, source: IpAddr) -> bool {
        let mut nets = self.profiles.trunks.values().flat_map(|trunk| &trunk.allow);
        nets.any(|net| net.prefix_len() > 0 && holds(net, source))
    }

    /// Lets a request outside of dialogs in if it proves what its trunk demands of INVITE and
    /// REGISTER; otherwise it has been answered.
    pub(crate) fn enter(
        &mut self,
        server: ServerKey,
        trunk: &Arc<TrunkProfile>,
        request: &Request,
        arrival: &Arrival,
    ) -> Option<Entered> {
        let demanded = matches!(request.method, Method::Invite | Method::Register);
        let Some(demand) = trunk.auth.demand.as_ref().filter(|_| demanded) else {
            return Some(Entered { user: None });
        };
        let (now, name) = (self.now, &trunk.name);
        let (verdict, challenges) = self.doors.judge(now, name, demand, request, &mut self.keys);
        let source = arrival.remote.ip();
        match verdict {
            Verdict::Authenticated { username } => {
                self.bans.prove(now.moment, source);
                return Some(Entered {
                    user: Some(username),
                });
            }
            Verdict::Wrong => {
                self.bans.fail(now.moment, source);
            }
            Verdict::Unknown => self.suspect(arrival),
            Verdict::Stale => {}
        }
        let mut reply = Reply::new(StatusCode::UNAUTHORIZED);
        for challenge in challenges {
            reply.headers.push(HeaderName::WwwAuthenticate, challenge);
        }
        self.reply(server, trunk, reply);
        None
    }

    /// Answers a REGISTER.
    pub(crate) fn answer_register(
        &mut self,
        server: ServerKey,
        trunk: &Arc<TrunkProfile>,
        request: &Request,
        arrival: &Arrival,
        user: Option<&str>,
    ) {
        let Some(policy) = &trunk.registrar else {
            self.reply(server, trunk, Reply::new(unwanted(trunk, request)));
            return;
        };
        if let Some((status, header)) = beyond(trunk, request) {
            let mut reply = Reply::new(status);
            if let Some((name, value)) = header {
                reply.headers.push(name, value);
            }
            self.reply(server, trunk, reply);
            return;
        }
        let by = Registering {
            request,
            arrival,
            proven: user,
        };
        let now = self.now.moment;
        let reply = match self.registrar.register(now, &trunk.name, policy, &by) {
            Ok(fields) => {
                let mut reply = Reply::new(StatusCode::OK);
                for field in fields {
                    reply.headers.push(HeaderName::Contact, field);
                }
                reply
            }
            Err(refused) => {
                self.metrics.registers_refused += 1;
                let mut reply = Reply::new(refused.status());
                reply.phrase = Some(refused.to_string().into());
                if let Refused::TooBrief(least) = refused {
                    reply
                        .headers
                        .push(HeaderName::MinExpires, least.to_string());
                }
                reply
            }
        };
        self.reply(server, trunk, reply);
    }

    /// Attempts to trunks that register here, led to where they registered from. One that nobody
    /// is registered for stays as it is, and fails when it is made.
    pub(crate) fn located(&self, attempts: Vec<Attempt>) -> Vec<Attempt> {
        let mut led = Vec::with_capacity(attempts.len());
        let mut found: Vec<TrunkName> = Vec::new();
        for attempt in attempts {
            let trunk = self.profiles.trunk(&attempt.trunk);
            let Some(trunk) = trunk.filter(|trunk| trunk.registrar.is_some()) else {
                led.push(attempt);
                continue;
            };
            if !found.contains(&attempt.trunk) {
                found.push(attempt.trunk.clone());
                let uri = attempt.request_uri.with_user(&attempt.to_user);
                let places = self.registrar.places(self.now.moment, &attempt.trunk, &uri);
                let leads_somewhere = !places.is_empty();
                led.extend(places.into_iter().map(|place| Attempt {
                    request_uri: place.request_uri,
                    hop: Some(place.hop),
                    ..attempt.clone()
                }));
                if leads_somewhere && trunk.peers.is_empty() {
                    continue;
                }
            }
            led.push(attempt);
        }
        led
    }

    /// Whether an attempt has nowhere to go: nobody is registered here, or this gateway is not
    /// registered there although it must be.
    pub(crate) fn is_unregistered(&self, trunk: &TrunkProfile, attempt: &Attempt) -> bool {
        let nobody = trunk.registrar.is_some() && trunk.peers.is_empty() && attempt.hop.is_none();
        nobody || !self.registrations.is_usable(self.now.moment, &trunk.name)
    }

    /// Sends an INVITE where its attempt leads, if that is not to the trunk's peer. What is
    /// registered there belongs to the trunk and is called by its flow for as long as the dialog
    /// lives; another host is shown no credentials.
    pub(crate) fn aim(&self, out: &mut Outgoing, trunk: &TrunkProfile, attempt: &Attempt) {
        let Some(hop) = &attempt.hop else {
            return;
        };
        out.next_hop = hop.clone();
        if trunk.registrar.is_some() && self.registrar.is_at(&trunk.name, hop) {
            out.pinned_hop = Some(hop.clone());
        } else {
            out.credentials = false;
        }
    }

    /// Sends a REGISTER of ours.
    pub(crate) fn send_register(&mut self, register: Register) {
        let Register {
            id,
            trunk,
            next_hop,
            request,
        } = register;
        let mut out = self.outgoing(request, &trunk, 0);
        out.next_hop = next_hop;
        self.send(out, Owner::Registration(id));
    }
}
