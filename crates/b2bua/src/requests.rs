//! Requests: those within a dialog are its call's, those outside of any begin something.

use std::sync::Arc;

use sip_msg::wire::Arrival;
use sip_msg::{HeaderName, Method, Request, StatusCode};
use sip_ua::{DialogKey, ServerKey};

use crate::b2bua::B2bua;
use crate::call::{Arrived, Call, Consultation, Event, Phase, Replacement, begin, beyond};
use crate::core::{Core, Reply, unwanted};
use crate::identify::identify;
use crate::key::CallKey;
use crate::profile::TrunkProfile;

impl B2bua {
    /// A request that the user agent has not absorbed.
    pub(crate) fn handle_request(
        &mut self,
        server: ServerKey,
        dialog: Option<DialogKey>,
        request: Request,
        arrival: Arrival,
    ) {
        if let Some(dialog) = dialog {
            self.handle_within(server, dialog, request);
            return;
        }
        let core = &mut self.core;
        let registered = core.registrar.trunk_at(core.now.moment, &arrival);
        let trunk = match identify(&core.profiles, &arrival, &request, registered) {
            Ok(trunk) => Arc::clone(trunk),
            Err(reason) => {
                let status = reason
                    .answer(arrival.transport)
                    .unwrap_or(StatusCode::FORBIDDEN);
                core.answer_plainly(server, status);
                return;
            }
        };
        let Some(entered) = core.enter(server, &trunk, &request, &arrival) else {
            return;
        };
        match &request.method {
            Method::Invite if request.headers.contains(&HeaderName::Replaces) => {
                let by = Replacement {
                    server,
                    trunk,
                    invite: request,
                };
                self.replace(&by);
            }
            Method::Invite => self.begin_call(Arrived {
                server,
                trunk,
                invite: request,
                arrival,
            }),
            Method::Options => self.answer_options(server, &trunk, &request, &arrival),
            Method::Register => {
                core.answer_register(server, &trunk, &request, &arrival, entered.user.as_deref());
            }
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Message
            | Method::Notify
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Subscribe
            | Method::Update
            | Method::Other(_) => {
                let reply = Reply::new(unwanted(&trunk, &request));
                core.reply(server, &trunk, reply);
            }
        }
    }

    fn handle_within(&mut self, server: ServerKey, dialog: DialogKey, request: Request) {
        let core = &mut self.core;
        match core.index.dialogs.get(&dialog) {
            Some(&asked) => {
                let call = self.calls.get(&asked.0).and_then(Call::talking);
                let named = call.and_then(|call| Consultation::named(core, asked, call, &request));
                let (key, side) = asked;
                match named {
                    Some(named) => self.attend(&Consultation {
                        server,
                        asked,
                        named,
                        request,
                    }),
                    None => self.tell(
                        key,
                        Event::Request {
                            server,
                            side,
                            request,
                        },
                    ),
                }
            }
            None if core.departures.contains_key(&dialog) => {
                let call = core.departed_asked(dialog, server, &request);
                self.write_down_again(call);
            }
            None => core.answer_stray(server, &request),
        }
    }

    fn begin_call(&mut self, arrived: Arrived) {
        let key = self.new_key();
        let core = &mut self.core;
        core.metrics.calls += 1;
        if let Ok(call_id) = arrived.invite.headers.call_id() {
            core.index.own_call_id(call_id, key);
        }
        self.in_hand = Some(key);
        if let Some(call) = begin(core, key, arrived) {
            self.calls.insert(key, call);
        }
        self.in_hand = None;
    }

    fn answer_options(
        &mut self,
        server: ServerKey,
        trunk: &TrunkProfile,
        request: &Request,
        arrival: &Arrival,
    ) {
        let core = &mut self.core;
        if let Some((status, header)) = beyond(trunk, request) {
            let mut reply = Reply::new(status);
            if let Some((name, value)) = header {
                reply.headers.push(name, value);
            }
            core.reply(server, trunk, reply);
            return;
        }
        let (draining, now) = (core.draining.then_some(core.drain), core.now);
        let answer =
            core.monitor
                .handle_inbound(now, trunk, (arrival.transport, arrival.remote), draining);
        if let Some(mut response) = core.ua.respond_to(server, answer.status) {
            for (name, value) in answer.headers {
                response.headers.push(name, value);
            }
            // An error says that the request is gone.
            let _ = core.ua.respond(now, server, response, None);
        }
    }

    /// Lets an INVITE with Replaces take the place of the leg that it names.
    fn replace(&mut self, by: &Replacement) {
        let place = by.target(&self.core, |call| !self.calls.contains_key(&call));
        match place {
            Ok((key, side)) => self.at_work(key, |core, call| call.replaced(core, side, by)),
            Err(refusal) => by.refuse(&mut self.core, refusal),
        }
    }

    /// Lets a party that is in two calls join the other two parties.
    fn attend(&mut self, by: &Consultation) {
        let (Some(asked), Some(named)) = (self.calls.get(&by.asked.0), self.calls.get(&by.named.0))
        else {
            self.core.metrics.unexpected += 1;
            return;
        };
        let trunk = asked
            .talking()
            .map(|call| Arc::clone(&call.leg(by.asked.1).trunk));
        let referral = match (by.consider(asked, named), trunk) {
            (Ok(referral), _) => referral,
            (Err(refusal), Some(trunk)) => {
                refusal.answer(&mut self.core, by.server, &trunk);
                return;
            }
            (Err(_), None) => return,
        };
        // One after the other, so that a fault in the handler of one leaves the other whole.
        let mut moved = None;
        self.at_work(by.named.0, |core, call| {
            let (call, leg) = call.let_go(core, by);
            moved = leg;
            call
        });
        if let Some(moved) = moved {
            self.at_work(by.asked.0, |core, call| {
                call.take_in(core, by, &referral, moved)
            });
        }
    }

    /// Takes a call in hand, out of the table, and puts it back.
    fn at_work(&mut self, key: CallKey, work: impl FnOnce(&mut Core, Call) -> Call) {
        let Some(call) = self.calls.remove(&key) else {
            self.core.metrics.unexpected += 1;
            return;
        };
        self.in_hand = Some(key);
        let call = work(&mut self.core, call);
        self.calls.insert(key, call);
        self.in_hand = None;
    }

    /// Writes a call down that has changed without having been told.
    pub(crate) fn write_down_again(&mut self, call: Option<CallKey>) {
        if let Some(Call {
            head,
            phase: Phase::Talking(talking),
        }) = call.and_then(|key| self.calls.get_mut(&key))
        {
            talking.changed = true;
            self.core.save(head, talking);
        }
    }

    fn new_key(&mut self) -> CallKey {
        loop {
            let key = CallKey(self.core.tokens.next_u64());
            if !self.calls.contains_key(&key) {
                return key;
            }
        }
    }
}
