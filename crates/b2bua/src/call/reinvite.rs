//! Re-INVITEs in both directions: each leg answers its party at once, and what changed is conveyed
//! to the other leg when its dialog is free.

use bytes::Bytes;
use sdp::SessionDescription;
use sip_msg::{HeaderName, Method, Request, Response, StatusCode};
use sip_ua::{ClientKey, DialogError, ServerKey};

use super::refresh::{MIN_SE, SessionTimer};
use super::talking::Talking;
use super::{Head, Timer};
use crate::core::{Core, Reply, SDP};
use crate::index::Owner;
use crate::key::Side;
use crate::leg::{Exchange, Leg, policy};

impl Talking {
    /// The party of one leg asks for a change, or for none (a refresh).
    pub(super) fn reinvite(
        &mut self,
        core: &mut Core,
        head: &Head,
        server: ServerKey,
        side: Side,
        request: &Request,
    ) {
        let (own, across) = self.pair(side);
        let trunk = std::sync::Arc::clone(&own.trunk);
        if own.is_offering() {
            core.reply(server, &trunk, Reply::new(StatusCode::REQUEST_PENDING));
            return;
        }
        if SessionTimer::too_short(&request.headers) {
            let status = StatusCode::SESSION_INTERVAL_TOO_SMALL;
            let mut reply = Reply::new(status);
            reply
                .headers
                .push(HeaderName::MinSe, MIN_SE.as_secs().to_string());
            core.reply(server, &trunk, reply);
            return;
        }
        let answered = if request.body.is_empty() {
            offer_again(own, across)
        } else {
            answer(own, across, &request.body)
        };
        match answered {
            Ok((body, exchange)) => {
                let mut reply = Reply::new(StatusCode::OK).dialog(request).body(body);
                if let Some(timer) = SessionTimer::wanted(&request.headers) {
                    timer.write(&mut reply.headers);
                    core.arm(head.key, Timer::Session(side), timer.deadline());
                }
                own.exchange = exchange;
                across.recode = across.outruns(own);
                core.reply(server, &trunk, reply);
                self.update_media(core);
            }
            Err(status) => {
                core.reply(server, &trunk, Reply::new(status));
            }
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
        let Some((told, offer)) = offer else {
            return true;
        };
        let Ok(answer) = SessionDescription::parse(&ack.body) else {
            return false;
        };
        let policy = policy(&own.trunk);
        let conveying = across.session.intends;
        let heard = ack.body.clone();
        let taken = own
            .session
            .take_answer(*offer, told, &answer, heard, conveying, &policy);
        if taken.is_ok() {
            own.media.local = own.session.negotiated.local.clone();
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
    pub(super) fn reinvited(&mut self, core: &mut Core, side: Side, response: &Response) -> bool {
        let own = self.leg_mut(side);
        let exchange = std::mem::replace(&mut own.exchange, Exchange::Idle);
        let Exchange::Offering {
            offer,
            body,
            conveying,
            ..
        } = exchange
        else {
            return true;
        };
        if response.status.is_success() {
            core.acknowledge(own.dialog);
            let policy = policy(&own.trunk);
            let heard = response.body.clone();
            let answer = SessionDescription::parse(&heard).ok();
            let taken = answer.map(|answer| {
                own.session
                    .take_answer(*offer, body, &answer, heard, conveying, &policy)
            });
            match taken {
                Some(Ok(())) => self.update_media(core),
                // What held before goes on; the same offer would get the same answer.
                Some(Err(_)) | None => own.exchange = Exchange::Refused { conveying },
            }
            return true;
        }
        match response.status {
            StatusCode::REQUEST_PENDING => own.exchange = Exchange::Retrying,
            // RFC 3261 §12.2.1.2.
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT => {
                return false;
            }
            _ => own.exchange = Exchange::Refused { conveying },
        }
        true
    }

    /// Conveys what has changed, if the dialogs are free, and writes the call down if it is stable.
    pub(super) fn settle(&mut self, core: &mut Core, head: &Head) {
        for side in [Side::A, Side::B] {
            let (own, across) = self.pair(side);
            convey(core, head, own, across);
        }
        core.save(head, self);
    }
}

/// Offers a leg what the other one wants, unless it was told already.
fn convey(core: &mut Core, head: &Head, own: &mut Leg, across: &Leg) {
    let wanted = across.session.intends;
    let free = match own.exchange {
        Exchange::Idle => true,
        Exchange::Refused { conveying } => conveying != wanted,
        Exchange::AwaitAck { .. } | Exchange::Offering { .. } | Exchange::Retrying => false,
    };
    if !free || !own.needs(across) {
        return;
    }
    own.recode = false;
    let policy = policy(&own.trunk);
    let Ok((body, offer)) = own
        .session
        .offer(&mut own.media.local, &across.session, &policy)
    else {
        return;
    };
    let capabilities = own.trunk.capability_headers(&core.software);
    let asked = core
        .ua
        .dialog_request(core.now, own.dialog, Method::Invite, |request| {
            for (name, value) in capabilities {
                request.headers.push(name, value);
            }
            request.set_body(SDP, body.clone());
        });
    own.exchange = match asked {
        Ok(client) => {
            core.index.own_client(client, Owner::Call(head.key));
            let offer = Box::new(offer);
            Exchange::Offering {
                client,
                offer,
                body,
                conveying: wanted,
            }
        }
        // The user agent knows of an INVITE of the party that we have not seen yet; what comes of
        // it leads back here.
        Err(DialogError::Glare) => Exchange::Idle,
        Err(_) => Exchange::Refused { conveying: wanted },
    };
}

type Answered = (Bytes, Exchange);

/// An offer of ours in the 2xx to a re-INVITE without one: all we agreed on so far.
fn offer_again(own: &mut Leg, across: &Leg) -> Result<Answered, StatusCode> {
    let policy = policy(&own.trunk);
    let offered = own
        .session
        .offer(&mut own.media.local, &across.session, &policy);
    let (body, offer) = offered.map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
    let waiting = Some((body.clone(), Box::new(offer)));
    Ok((body, Exchange::AwaitAck { offer: waiting }))
}

fn answer(own: &mut Leg, across: &Leg, body: &Bytes) -> Result<Answered, StatusCode> {
    // G-01: a refresh is answered with the same bytes, whatever happened in between.
    if *body != own.session.heard {
        let offer = SessionDescription::parse(body);
        let offer = offer.map_err(|error| status(error.status()))?;
        let policy = policy(&own.trunk);
        own.session
            .answer(
                &offer,
                body.clone(),
                &mut own.media.local,
                &across.session,
                &policy,
            )
            .map_err(|error| status(error.status()))?;
    }
    Ok((own.session.told.clone(), Exchange::AwaitAck { offer: None }))
}

fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE)
}
