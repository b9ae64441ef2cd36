//! Re-INVITE and UPDATE in both directions: each leg answers its party at once, and what changed is
//! conveyed to the other leg when its dialog is free.

use std::sync::Arc;

use bytes::Bytes;
use sdp::SessionDescription;
use sip_msg::{HeaderName, Headers, Method, Request, Response, StatusCode};
use sip_ua::{ClientKey, DialogError, ServerKey};

use super::begin::beyond;
use super::refresh::{SessionTimer, takes_updates};
use super::talking::Talking;
use super::{Head, upkeep};
use crate::core::{Core, Reply, SDP};
use crate::key::Side;
use crate::leg::{Exchange, Heard, Leg};

/// What a request of the party that asks for a session comes to.
struct Agreed {
    /// The description of our answer, or our offer; empty in the answer to an UPDATE without one.
    body: Bytes,
    /// What its ACK must bring; `None` where no ACK comes.
    exchange: Option<Exchange>,
    /// The party's description is another than before.
    changed: bool,
}

/// Why it is refused. What held before goes on (RFC 3261 §14.2).
struct Refusal {
    status: StatusCode,
    header: Option<(HeaderName, String)>,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        let header = None;
        Self { status, header }
    }
}

impl Talking {
    /// The party of one leg asks for a change, or for none (a refresh), by re-INVITE or UPDATE.
    pub(super) fn asked_anew(
        &mut self,
        core: &mut Core,
        head: &Head,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) {
        let (own, across) = self.pair(side);
        let trunk = Arc::clone(&own.trunk);
        let (agreed, timer) = match agree(core, own, across, request) {
            Ok(agreed) => agreed,
            Err(Refusal { status, header }) => {
                let mut reply = Reply::new(status);
                if let Some((name, value)) = header {
                    reply.headers.push(name, value);
                }
                core.reply(server, &trunk, reply);
                return;
            }
        };
        let mut reply = Reply::new(StatusCode::OK).dialog(request);
        if !agreed.body.is_empty() {
            reply = reply.body(agreed.body);
        }
        if let Some(timer) = timer {
            timer.write_answer(&mut reply.headers);
        }
        own.upkeep.timer = timer;
        own.upkeep.updates = learns_updates(own.upkeep.updates, &request.headers);
        own.upkeep.begin(core, head.key, side);
        if let Some(exchange) = agreed.exchange {
            own.exchange = exchange;
        }
        if agreed.changed {
            across.recode = across.outruns(own);
        }
        core.reply(server, &trunk, reply);
        if agreed.changed {
            self.update_media(core);
        }
    }

    /// The ACK to a 2xx of ours; `false` if it had to bring an answer and did not.
    pub(super) fn acked(&mut self, core: &mut Core, side: Side, ack: &Request) -> bool {
        let (own, across) = self.pair(side);
        let exchange = std::mem::replace(&mut own.exchange, Exchange::Idle);
        let Exchange::AwaitAck { offer } = exchange else {
            own.exchange = exchange;
            return true;
        };
        let Some(offer) = offer else {
            return true;
        };
        let (told, offer) = *offer;
        let Ok(answer) = SessionDescription::parse(&ack.body) else {
            return false;
        };
        let conveying = own.hears_of(across);
        let heard = Heard::of(&ack.body);
        let taken = own
            .session
            .take_answer(offer, told, &answer, heard, conveying);
        if taken.is_ok() {
            own.media.local = own.session.negotiated.local.clone();
            across.recode = across.outruns(own);
            self.update_media(core);
        }
        taken.is_ok()
    }

    /// The side whose re-INVITE this is.
    pub(super) fn offering(&self, client: ClientKey) -> Option<Side> {
        let of = |leg: &&Leg| matches!(&leg.exchange, Exchange::Offering { client: c, .. } if *c == client);
        [&self.a, &self.b].into_iter().find(of).map(|leg| leg.side)
    }

    /// The final response to a re-INVITE of ours; `false` if the dialog is gone.
    pub(super) fn reinvited(
        &mut self,
        core: &mut Core,
        head: &Head,
        side: Side,
        response: &Response,
    ) -> bool {
        let own = self.leg_mut(side);
        let exchange = std::mem::replace(&mut own.exchange, Exchange::Idle);
        let Exchange::Offering {
            offer, conveying, ..
        } = exchange
        else {
            return true;
        };
        if response.status.is_success() {
            core.acknowledge(own.dialog);
            upkeep::refreshed(core, head.key, own, response);
            let heard = Heard::of(&response.body);
            let answer = SessionDescription::parse(&response.body).ok();
            let (told, offer) = *offer;
            let taken = answer.map(|answer| {
                own.session
                    .take_answer(offer, told, &answer, heard, conveying)
            });
            match taken {
                Some(Ok(())) => self.update_media(core),
                // What held before goes on; the same offer would get the same answer.
                Some(Err(_)) | None => own.exchange = Exchange::Refused { conveying },
            }
            return true;
        }
        match response.status {
            StatusCode::REQUEST_PENDING => {
                own.exchange = Exchange::Retrying;
                own.upkeep.due();
            }
            // RFC 3261 §12.2.1.2.
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT => {
                return false;
            }
            _ => {
                own.exchange = Exchange::Refused { conveying };
                own.upkeep.refused(core, (head.key, side), response);
            }
        }
        true
    }

    /// Conveys what has changed, if the dialogs are free, and writes the call down if it is stable.
    pub(crate) fn settle(&mut self, core: &mut Core, head: &Head) {
        for side in [Side::A, Side::B] {
            let (own, across) = self.pair(side);
            let refresh = upkeep::refresh(core, head.key, own);
            convey(core, head, own, across, refresh);
        }
        // An offer of ours went out, or came to nothing.
        let changed = |leg: &Leg| leg.listens() != leg.listening;
        if changed(&self.a) || changed(&self.b) {
            self.update_media(core);
        }
        core.save(head, self);
    }
}

/// Agrees to what a request of the party asks for, or says why not.
fn agree(
    core: &mut Core,
    own: &mut Leg,
    across: &Leg,
    request: &Request,
) -> Result<(Agreed, Option<SessionTimer>), Refusal> {
    let invite = request.method == Method::Invite;
    if let Some((status, header)) = beyond(&own.trunk, request) {
        return Err(Refusal { status, header });
    }
    if invite && matches!(own.exchange, Exchange::AwaitAck { .. }) {
        // RFC 3261 §14.2: one INVITE after the other, and each with its ACK.
        let seconds = core.tokens.below(11).to_string();
        return Err(Refusal {
            status: StatusCode::SERVER_INTERNAL_ERROR,
            header: Some((HeaderName::RetryAfter, seconds)),
        });
    }
    let offers = !request.body.is_empty();
    // RFC 3311 §5.2 for UPDATE.
    if own.is_offering() && (invite || offers) {
        return Err(StatusCode::REQUEST_PENDING.into());
    }
    let timer = SessionTimer::answering(&request.headers, &own.trunk.session);
    let timer = timer.map_err(|short| Refusal {
        status: StatusCode::SESSION_INTERVAL_TOO_SMALL,
        header: Some(short.min_se()),
    })?;
    let agreed = match (offers, invite) {
        (true, _) => answer(own, across, request)?,
        (false, true) => offer_again(own, across)?,
        (false, false) => Agreed {
            body: Bytes::new(),
            exchange: None,
            changed: false,
        },
    };
    Ok((agreed, timer))
}

/// What is known of the party's UPDATE after a request that may name its methods.
fn learns_updates(before: bool, headers: &Headers) -> bool {
    if headers.contains(&HeaderName::Allow) {
        takes_updates(headers)
    } else {
        before
    }
}

/// Offers a leg what the other one wants, unless it was told already; or, for a refresh that is
/// due, what it was told.
fn convey(core: &mut Core, head: &Head, own: &mut Leg, across: &Leg, refresh: bool) {
    let mut wanted = own.hears_of(across);
    let free = match own.exchange {
        Exchange::Idle => true,
        Exchange::Refused { conveying } => conveying != wanted || refresh,
        Exchange::AwaitAck { .. } | Exchange::Offering { .. } | Exchange::Retrying => false,
    };
    if !free || own.upkeep.is_updating() {
        return;
    }
    let offered = if own.needs(across) && !own.was_refused(wanted) {
        own.recode = false;
        let policy = own.trunk.sdp_policy();
        let told = own.told_of(across);
        own.session.offer(&mut own.media.local, told, &policy).ok()
    } else if refresh {
        wanted = own.session.conveyed;
        own.session.offer_again(&own.trunk.sdp_policy())
    } else {
        None
    };
    let Some((body, offer)) = offered else { return };
    own.upkeep.sent();
    let asked = upkeep::ask(core, head.key, own, Method::Invite, |request| {
        request.set_body(SDP, body.clone());
    });
    own.exchange = match asked {
        Ok(client) => Exchange::Offering {
            client,
            offer: Box::new((body, offer)),
            conveying: wanted,
        },
        // The user agent knows of an INVITE of the party that we have not seen yet; what comes of
        // it leads back here.
        Err(DialogError::Glare) => {
            if refresh {
                own.upkeep.due();
            }
            Exchange::Idle
        }
        Err(_) => Exchange::Refused { conveying: wanted },
    };
}

/// An offer of ours in the 2xx to a re-INVITE without one: all we agreed on so far.
fn offer_again(own: &mut Leg, across: &Leg) -> Result<Agreed, Refusal> {
    let policy = own.trunk.sdp_policy();
    let told = own.told_of(across);
    let offered = own.session.offer(&mut own.media.local, told, &policy);
    let (body, offer) = offered.map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
    let waiting = Some(Box::new((body.clone(), offer)));
    Ok(Agreed {
        body,
        exchange: Some(Exchange::AwaitAck { offer: waiting }),
        changed: false,
    })
}

fn answer(own: &mut Leg, across: &Leg, request: &Request) -> Result<Agreed, Refusal> {
    let kind = request.headers.content_type();
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(SDP)) {
        return Err(Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            header: Some((HeaderName::Accept, SDP.to_owned())),
        });
    }
    // G-01: a refresh is answered with the same bytes, whatever happened in between.
    let heard = Heard::of(&request.body);
    let changed = heard != own.session.heard;
    if changed {
        let offer = SessionDescription::parse(&request.body);
        let offer = offer.map_err(|error| status(error.status()))?;
        let policy = own.trunk.sdp_policy();
        let told = own.told_of(across);
        own.session
            .answer(&offer, heard, &mut own.media.local, &told, &policy)
            .map_err(|error| status(error.status()))?;
    }
    let invite = request.method == Method::Invite;
    Ok(Agreed {
        body: own.session.told.clone(),
        exchange: invite.then_some(Exchange::AwaitAck { offer: None }),
        changed,
    })
}

fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE)
}
