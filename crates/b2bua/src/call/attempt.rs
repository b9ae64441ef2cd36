//! One attempt to reach a called party: a B leg that is not answered yet.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use e164::E164Number;
use media_relay::{LegId, LegParams, ShardId};
use routing::{Attempt, CLOUD_CALLING, CloudCall};
use sdp::{Audio, Negotiated, PendingOffer, SessionDescription, offer_for, offer_from_codecs};
use sip_msg::wire::TrunkName;
use sip_msg::{Headers, Request};
use sip_ua::{ClientKey, DialogKey};

use super::Head;
use super::ending::End;
use super::invite::invite;
use crate::cloud::{Carried, CloudRequest, DESTINATION_HEADER, Expectation, NONCE_HEADER, Nonce};
use crate::core::Core;
use crate::failure::{AttemptFailure, Verdict};
use crate::index::Owner;
use crate::key::{CallKey, Side};
use crate::leg::{Flows, Heard, LegMedia, default_codecs};
use crate::limits::{Refused, Share};
use crate::passlist;
use crate::profile::TrunkProfile;
use crate::record::{AttemptRecord, CloudRecord, Number};

/// The attempt under way.
#[derive(Debug)]
pub(crate) struct Trying {
    pub(crate) client: ClientKey,
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) peer: usize,
    pub(crate) attempt: Attempt,
    /// Its INVITE was changed to please the peer; that is done once.
    pub(crate) conceded: bool,
    pub(crate) media: LegMedia,
    /// What every fork is offered.
    pub(crate) offer: PendingOffer,
    pub(crate) offered: Bytes,
    /// Early dialogs that answered the offer, in the order they did.
    pub(crate) forks: Vec<Fork>,
    /// The peer was known to be down when it was asked.
    pub(crate) was_down: bool,
    /// Anything at all came back.
    pub(crate) spoke: bool,
    /// Something beyond 100 came back.
    pub(crate) rang: bool,
    /// The INVITE as sent last.
    pub(crate) request: Request,
    /// Azure has reached the called party, before its own leg was seen to answer.
    pub(crate) connected: bool,
    /// A 422 has asked for a longer session interval.
    pub(crate) raised: bool,
}

/// An early dialog that answered the offer in a provisional response.
#[derive(Clone, Debug)]
pub(crate) struct Fork {
    pub(crate) dialog: Option<DialogKey>,
    /// What it was told last: the offer of the INVITE, or the answer to an UPDATE.
    pub(crate) told: Bytes,
    pub(crate) heard: Heard,
    pub(crate) negotiated: Negotiated,
    /// It answered reliably: a description in its 2xx says nothing new (RFC 3261 §13.2.1).
    pub(crate) binding: bool,
}

/// On whose behalf an attempt is made: the caller, or a party whose other end is being replaced.
pub(crate) struct Origin<'a> {
    /// The trunk of the party that is to be joined to the new leg.
    pub(crate) trunk: &'a TrunkProfile,
    /// The shard that serves its media.
    pub(crate) shard: ShardId,
    /// What it can and wants; `None` leaves the offer to us.
    pub(crate) audio: Option<&'a Audio>,
    /// That is not what it speaks but what its speech is converted to.
    pub(crate) converted: bool,
    /// The INVITE from which the new one is built.
    pub(crate) invite: &'a Request,
    /// The side of the new leg.
    pub(crate) side: Side,
}

impl Trying {
    /// Sends the INVITE of an attempt, as `dress` completes it.
    pub(crate) fn start(
        core: &mut Core,
        head: &mut Head,
        origin: &Origin<'_>,
        attempt: &Attempt,
        dress: impl FnOnce(&mut Request),
    ) -> Result<Self, AttemptFailure> {
        let profile = core.profiles.trunk(&attempt.trunk).cloned();
        let trunk = profile.ok_or(AttemptFailure::NoHop)?;
        if !trunk.may_meet(origin.trunk) {
            return Err(AttemptFailure::OtherCustomer);
        }
        if core.is_unregistered(&trunk, attempt) {
            return Err(AttemptFailure::Unregistered);
        }
        let caller_id = match &attempt.cloud {
            Some(cloud) => Some(core.caller_id(head, cloud)?),
            None => None,
        };
        let limits = core.count(head, attempt)?;
        let permit = if head.record.emergency {
            core.gate.admit_emergency(&trunk.name, Share::Leg)
        } else {
            let permit = core.gate.admit_leg(core.now.moment, &trunk.name);
            permit.map_err(AttemptFailure::Limit)?
        };
        let prefer = Some(origin.shard);
        let media = LegMedia::open(core, &trunk, (head.key, origin.side), prefer, permit);
        let mut media = media.ok_or(AttemptFailure::NoMediaPort)?;
        let mut sdp_policy = trunk.sdp_policy();
        if !origin.converted {
            let narrowed = sdp_policy.narrowed_to(&origin.trunk.sdp_policy());
            sdp_policy = Cow::Owned(narrowed);
        }
        let offer = match origin.audio {
            Some(caller) => offer_for(caller, &mut media.local, &sdp_policy),
            None => offer_from_codecs(&default_codecs(), &mut media.local, &sdp_policy),
        };
        let Ok((offered, offer)) = offer else {
            media.close(core);
            return Err(AttemptFailure::Negotiation);
        };
        let offered = Bytes::from(offered.to_bytes());
        let caller = (&mut *head, origin.trunk);
        let mut out = invite(
            core,
            caller,
            &trunk,
            origin.invite,
            attempt,
            offered.clone(),
        );
        dress(&mut out.request);
        core.aim(&mut out, &trunk, attempt);
        let mut record = record(core, attempt, limits, &out.request.headers);
        if let (Some(cloud), Some(caller_id)) = (&attempt.cloud, caller_id) {
            let nonce = core.carry_on(head.key, media.id, cloud.to, caller_id);
            mark(&mut out.request.headers, cloud.to, nonce);
            record.cloud = Some(Box::new(CloudRecord {
                to: Number::new(&cloud.to.to_wire()),
                caller_id: Number::new(&caller_id.to_wire()),
                connection: None,
                correlation: None,
                reason: None,
            }));
        }
        // As a rule it is the only one.
        head.record.attempts.reserve_exact(1);
        head.record.attempts.push(record);
        let request = out.request.clone();
        let is_down = core.monitor.is_down(&attempt.trunk, attempt.peer);
        let was_down = attempt.hop.is_none() && is_down;
        let client = core.send(out, Owner::Call(head.key));
        Ok(Self {
            client,
            trunk,
            peer: attempt.peer,
            attempt: attempt.clone(),
            conceded: false,
            media,
            offer,
            offered,
            forks: Vec::new(),
            was_down,
            spoke: false,
            rang: false,
            request,
            connected: false,
            raised: false,
        })
    }

    /// Takes the answer that a provisional response of a fork brought, if it is the first of that
    /// fork, or the first one that cannot be lost.
    pub(crate) fn take_fork(
        &mut self,
        core: &Core,
        dialog: Option<DialogKey>,
        body: &Bytes,
        reliable: bool,
    ) {
        let room = core.forks_per_leg.min(LegParams::MAX_REMOTES);
        let known = self.forks.iter().position(|fork| fork.dialog == dialog);
        let new = match known {
            Some(at) => reliable && !self.forks[at].binding,
            None => self.forks.len() < room,
        };
        let Some(answer) = SessionDescription::parse(body).ok().filter(|_| new) else {
            return;
        };
        let Ok(negotiated) = self.offer.fork().answered(&answer) else {
            return;
        };
        let fork = Fork {
            dialog,
            told: self.offered.clone(),
            heard: Heard::of(body),
            negotiated,
            binding: reliable,
        };
        match known {
            Some(at) => self.forks[at] = fork,
            None => self.forks.push(fork),
        }
    }

    /// Tells the relay of every fork that has answered, and whether to say when one is heard.
    pub(crate) fn update_media(
        &self,
        core: &mut Core,
        across: Option<&Negotiated>,
        first_audio: bool,
    ) {
        let remotes: Vec<&Negotiated> = self.forks.iter().map(|fork| &fork.negotiated).collect();
        let mut params = self
            .media
            .answered(&self.trunk, &remotes, across, Flows::BOTH);
        if let Some(fork) = self.forks.first().filter(|_| first_audio) {
            params.listen = LegMedia::listen(&fork.negotiated);
        }
        self.media.update(core, params);
    }

    /// What silence means of this peer.
    pub(crate) fn explain(&self, failure: AttemptFailure) -> AttemptFailure {
        match self.was_down && failure == AttemptFailure::Silent {
            true => AttemptFailure::StillDown,
            false => failure,
        }
    }

    /// Whether it went to a host that is no peer of its trunk.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.attempt.hop.is_some()
    }

    /// The attempt failed or is left for another one.
    pub(crate) fn abandon(
        self,
        core: &mut Core,
        head: &mut Head,
        failure: &AttemptFailure,
        verdict: &Verdict,
    ) {
        if let Some(record) = head.record.attempts.last_mut() {
            record.settled = Some(core.now.wall);
            record.failure = Some(verdict.class);
            record.cause = Some(verdict.cause.value());
            if let AttemptFailure::Final { status, .. } | AttemptFailure::Cloud(status) = failure {
                record.status = Some(status.code());
            }
        }
        self.leave(core, head, None);
    }

    /// The call ends while the attempt is under way.
    pub(crate) fn cancel(self, core: &mut Core, head: &mut Head, end: &End) {
        if let Some(record) = head.record.attempts.last_mut() {
            record.settled = Some(core.now.wall);
            record.cause = Some(end.cause.value());
        }
        self.leave(core, head, Some(end));
    }

    fn leave(self, core: &mut Core, head: &Head, end: Option<&End>) {
        core.disarm_attempt(head.key);
        // Harmless where the transaction is over; a 2xx that crosses is acknowledged and hung up.
        let said = end.map(|end| end.headers(passlist::Phase::Ending, &self.trunk));
        core.cancel(self.client, said.unwrap_or_default());
        self.media.close(core);
    }
}

impl Core {
    /// Counts an attempt against the limits that hold for it; their names.
    fn count(&mut self, head: &Head, attempt: &Attempt) -> Result<Vec<String>, AttemptFailure> {
        let Some(route) = head
            .record
            .route
            .as_ref()
            .filter(|_| !head.record.emergency)
        else {
            return Ok(Vec::new());
        };
        let mut limits = self
            .snapshot
            .counting(&head.trunk.name, route, &attempt.trunk);
        if attempt.cloud.is_some() {
            let target = TrunkName::from(attempt.target());
            let own = self.snapshot.counting(&head.trunk.name, route, &target);
            limits.extend(
                own.into_iter()
                    .filter(|own| !limits.contains(own))
                    .collect::<Vec<_>>(),
            );
        }
        let names = limits.iter().map(ToString::to_string).collect();
        let taken = self.ledger.take(self.now, head.key, limits);
        taken.map_err(AttemptFailure::Limit)?;
        Ok(names)
    }

    /// The number that Azure is to show for a call.
    fn caller_id(&self, head: &mut Head, call: &CloudCall) -> Result<E164Number, AttemptFailure> {
        let most = self.profiles.cloud.calls_per_number;
        self.clouds.choose(call, most).ok_or_else(|| {
            let refused = Refused::CallerIds;
            head.record
                .steps
                .push(format!("{CLOUD_CALLING}: {refused}, passed over"));
            AttemptFailure::Limit(refused)
        })
    }

    /// A leg goes to Azure, which is to dial a number: the nonce by which it is known there.
    fn carry_on(
        &mut self,
        call: CallKey,
        leg: LegId,
        to: E164Number,
        caller_id: E164Number,
    ) -> Nonce {
        let nonce = Nonce::drawn(&mut self.keys);
        let carried = Carried {
            caller_id,
            connection: None,
        };
        self.clouds.begin(leg, carried);
        self.metrics.cloud_asked += 1;
        let ring_timeout = self.profiles.cloud.ring_timeout;
        self.ask_azure(CloudRequest::Expect(Expectation {
            leg,
            call,
            nonce,
            to,
            caller_id,
            ring_timeout,
        }));
        nonce
    }
}

/// Makes the INVITE one to the marker: of custom context, all that Azure brings back is ours.
fn mark(headers: &mut Headers, to: E164Number, nonce: Nonce) {
    headers.retain(|field| !passlist::is_context(&field));
    headers.push_raw(DESTINATION_HEADER.as_bytes(), to.to_wire());
    headers.push_raw(NONCE_HEADER.as_bytes(), nonce.to_wire());
}

fn record(core: &Core, attempt: &Attempt, limits: Vec<String>, headers: &Headers) -> AttemptRecord {
    let call_id = headers.call_id().unwrap_or_default().to_owned();
    let called = Number::new(attempt.request_uri.user().unwrap_or_default());
    let record = AttemptRecord::begin(
        attempt.trunk.clone(),
        attempt.peer,
        call_id,
        called,
        core.now.wall,
    );
    AttemptRecord {
        tariff: attempt.tariff,
        limits,
        ..record
    }
}
