//! The first INVITE of a call: whether it is taken at all, and where it is to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use routing::{Concerned, Decision, DecisionRecord, Facts, Found, Outcome, Question, RoutePlan};
use sdp::SessionDescription;
use sip_msg::wire::{Arrival, TrunkName};
use sip_msg::{HeaderName, Request, Scheme, StatusCode};
use sip_ua::ServerKey;

use super::early::EarlyLeg;
use super::ending::{End, Ending};
use super::redirect::Redirections;
use super::refresh::SessionTimer;
use super::setup::Setup;
use super::{Call, Head, Timer, screen};
use crate::core::{Core, Reply, SDP};
use crate::failure::FailureClass;
use crate::key::{CallKey, Side};
use crate::leg::LegMedia;
use crate::limits::Share;
use crate::passlist;
use crate::profile::TrunkProfile;
use crate::record::{Begin, CallRecord, FactsRecord, Number};

/// An INVITE that asks for a new call.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) server: ServerKey,
    pub(crate) trunk: Arc<TrunkProfile>,
    pub(crate) invite: Request,
    pub(crate) arrival: Arrival,
}

/// Why an INVITE is not taken, as the caller sees it.
struct Refusal {
    status: StatusCode,
    failure: FailureClass,
    headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    fn new(status: StatusCode, failure: FailureClass) -> Self {
        Self {
            status,
            failure,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Takes or refuses a call. Either way it has a record; `None` when it was refused.
pub(crate) fn begin(core: &mut Core, key: CallKey, arrived: Arrived) -> Option<Call> {
    let begun = begun(core, key, &arrived);
    let mut head = Head {
        key,
        trunk: Arc::clone(&arrived.trunk),
        record: Box::new(CallRecord::begin(begun.clone())),
    };
    core.index.begin(key, begun);
    core.claim_trace(key);
    match admit(core, &mut head, &arrived) {
        Ok(setup) => {
            core.index.own_server(arrived.server, key);
            core.arm(key, Timer::Budget, head.trunk.timers.setup_budget);
            let phase = setup.advance(core, &mut head);
            Some(Call { head, phase })
        }
        Err(refusal) => {
            refuse(core, head, arrived.server, refusal);
            None
        }
    }
}

fn refuse(core: &mut Core, mut head: Head, server: ServerKey, refusal: Refusal) {
    let end = End::refused(refusal.status, refusal.failure);
    let mut reply = Reply::new(refusal.status);
    reply.headers = end.headers(passlist::Phase::Failure, &head.trunk);
    for (name, value) in refusal.headers {
        reply.headers.push(name, value);
    }
    core.reply(server, &head.trunk, reply);
    Ending::begin(core, &mut head, end, []);
    Ending::finish(core, head);
}

fn admit(core: &mut Core, head: &mut Head, arrived: &Arrived) -> Result<Box<Setup>, Refusal> {
    let trunk = &arrived.trunk;
    if core.draining {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, FailureClass::Policy);
        let seconds = core.drain.retry_after.to_string();
        return Err(refusal.with(HeaderName::RetryAfter, seconds));
    }
    understood(trunk, &arrived.invite)?;
    let offer = offer_of(trunk, &arrived.invite)?;
    let called = screen::called(&arrived.invite.uri);
    head.record.emergency = core.snapshot.is_emergency(&trunk.name, &called);
    let permit = if head.record.emergency {
        core.gate.admit_emergency(&trunk.name, Share::Call)
    } else {
        let permit = core.gate.admit_call(core.now.moment, &trunk.name);
        permit.map_err(|refused| {
            let seconds = refused.retry_after().as_secs().to_string();
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, FailureClass::Policy)
                .with(HeaderName::RetryAfter, seconds)
        })?
    };
    let plan = match decide(core, head, &arrived.invite) {
        Ok(plan) => plan,
        Err(refusal) => {
            core.gate.release(permit);
            return Err(refusal);
        }
    };
    let owner = (head.key, Side::A);
    let Some(media) = LegMedia::open(core, trunk, owner, None, permit) else {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            FailureClass::Internal,
        ));
    };
    Ok(Box::new(Setup {
        server: arrived.server,
        invite: arrived.invite.clone(),
        media,
        offer,
        early: EarlyLeg::default(),
        plan: plan
            .attempts
            .into_iter()
            .take(core.attempts_per_call)
            .collect(),
        trying: None,
        tried: Vec::new(),
        redirections: Redirections::default(),
        concession: None,
        alerted: false,
        announcement: plan.announcement.and_then(|name| core.announcement(&name)),
        farewell: None,
    }))
}

/// What keeps any request from being served, whatever its method: a Request-URI of a scheme that is
/// not routed here (RFC 3261 §8.2.2.1) or an extension that is not done here (§8.2.2.3). The status
/// of the refusal, and the header field that explains it.
pub(crate) fn beyond(
    trunk: &TrunkProfile,
    request: &Request,
) -> Option<(StatusCode, Option<(HeaderName, String)>)> {
    if request.uri.scheme() == Scheme::Other {
        return Some((StatusCode::UNSUPPORTED_URI_SCHEME, None));
    }
    let required = request.headers.require();
    let unknown: Vec<&str> = required
        .iter()
        .filter(|tag| !trunk.supports(tag))
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return None;
    }
    let unsupported = (HeaderName::Unsupported, unknown.join(", "));
    Some((StatusCode::BAD_EXTENSION, Some(unsupported)))
}

/// Whether the INVITE asks for nothing that is not done here (RFC 3261 §8.2.2 to §8.2.3).
fn understood(trunk: &TrunkProfile, invite: &Request) -> Result<(), Refusal> {
    let protocol = |status| Refusal::new(status, FailureClass::Protocol);
    if let Some((status, header)) = beyond(trunk, invite) {
        let refusal = protocol(status);
        return Err(match header {
            Some((name, value)) => refusal.with(name, value),
            None => refusal,
        });
    }
    // What answers an INVITE is a session description (RFC 3261 §21.4.7).
    if !invite.headers.accepts(SDP) {
        return Err(protocol(StatusCode::NOT_ACCEPTABLE));
    }
    if let Err(short) = SessionTimer::answering(&invite.headers, &trunk.session) {
        let refusal = protocol(StatusCode::SESSION_INTERVAL_TOO_SMALL);
        let (name, least) = short.min_se();
        return Err(refusal.with(name, least));
    }
    if invite.uri.user().is_none_or(str::is_empty) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, FailureClass::User));
    }
    Ok(())
}

fn offer_of(trunk: &TrunkProfile, invite: &Request) -> Result<Option<SessionDescription>, Refusal> {
    let protocol = |status| Refusal::new(status, FailureClass::Protocol);
    if invite.body.is_empty() {
        return Ok(None);
    }
    let kind = invite.headers.content_type();
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(SDP)) {
        let refusal = protocol(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return Err(refusal.with(HeaderName::Accept, SDP));
    }
    let status = |code| StatusCode::new(code).unwrap_or(StatusCode::BAD_REQUEST);
    let offer = SessionDescription::parse(&invite.body)
        .map_err(|error| protocol(status(error.status())))?;
    sdp::answerable(&offer, trunk.srtp, &trunk.sdp_policy())
        .map_err(|error| protocol(status(error.status())))?;
    Ok(Some(offer))
}

fn decide(core: &mut Core, head: &mut Head, invite: &Request) -> Result<RoutePlan, Refusal> {
    let calling = screen::calling(core, head, invite)
        .ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, FailureClass::Policy))?;
    let question = Question {
        trunk: head.trunk.name.clone(),
        called: screen::called(&invite.uri),
        calling,
        headers: core.asked_headers(invite),
    };
    let (decision, shadow, facts) = core.decide(None, &question);
    head.record.snapshot = core.snapshot.hash();
    head.record.facts = FactsRecord::from(&facts);
    head.record.shadow = shadow.map(|other| Box::new(DecisionRecord::from(&other)));
    head.record.decision = Some(Box::new(DecisionRecord::from(&decision)));
    head.record.question = Some(question);
    match decision.outcome {
        Outcome::Route(plan) => {
            head.record.route = Some((&*plan.route).into());
            Ok(RoutePlan {
                attempts: core.located(plan.attempts),
                ..plan
            })
        }
        Outcome::Reject { status, .. } => Err(Refusal::new(status, FailureClass::Policy)),
    }
}

fn begun(core: &Core, call: CallKey, arrived: &Arrived) -> Begin {
    let invite = &arrived.invite;
    Begin {
        call,
        from_trunk: arrived.trunk.name.clone(),
        call_id: invite.headers.call_id().unwrap_or_default().into(),
        from_address: arrived.arrival.remote,
        called: Number::new(&screen::called_number(&invite.uri)),
        calling: screen::claimed(invite).map(|number| Number::new(&number)),
        started: core.now.wall,
    }
}

impl Core {
    /// What routing says of a call now, what the configuration beside it would say, and the facts
    /// both say it by; `own` is a call that has been decided before.
    pub(in crate::call) fn decide(
        &mut self,
        own: Option<CallKey>,
        question: &Question,
    ) -> (Decision, Option<Decision>, Facts) {
        let draw = self.tokens.next_u64();
        let (snapshot, shadow) = (Arc::clone(&self.snapshot), self.shadow.clone());
        let wall = self.now.wall;
        let found = routing::find(&snapshot, wall, question);
        let other = shadow.as_deref();
        let other = other.map(|shadow| routing::find(shadow, wall, question));
        let mut concerned = vec![found.concerned()];
        concerned.extend(other.as_ref().map(Found::concerned));
        let facts = self.facts_about(draw, own, concerned);
        let other = other.map(|other| other.decide(&facts));
        (found.decide(&facts), other, facts)
    }

    /// What routing may know at this moment about the trunks a call may go to.
    fn facts_about(
        &mut self,
        draw: u64,
        own: Option<CallKey>,
        concerned: Vec<Concerned<'_>>,
    ) -> Facts {
        let mut facts = Facts {
            wall: self.now.wall,
            draw,
            ..Facts::default()
        };
        for concerned in concerned {
            let rooms = concerned
                .trunks
                .iter()
                .filter_map(|name| Some((name.clone(), self.gate.room(name)?)));
            facts.room.extend(rooms);
            facts.up.extend(self.up(&concerned.trunks));
            let limits = self.ledger.remaining(self.now, concerned.limits, own);
            facts.limits.extend(limits);
            if concerned.cloud {
                facts.caller_ids = self.clouds.room(self.profiles.cloud.calls_per_number);
            }
        }
        facts
    }

    /// What routing says of a call now, with the facts it says so by.
    pub(crate) fn explain(&mut self, draw: u64, question: &Question) -> (Decision, Facts) {
        let (snapshot, shadow) = (Arc::clone(&self.snapshot), self.shadow.clone());
        let facts = Facts {
            wall: self.now.wall,
            ..Facts::default()
        };
        let both = [Some(&*snapshot), shadow.as_deref()];
        let both = both.into_iter().flatten();
        let concerned = both.map(|snapshot| routing::concerned(snapshot, &facts, question));
        let facts = self.facts_about(draw, None, concerned.collect());
        (routing::explain(&snapshot, &facts, question), facts)
    }

    /// The header fields of a request that routes ask for.
    pub(in crate::call) fn asked_headers(&self, request: &Request) -> Vec<(String, String)> {
        let shadow = self.shadow.iter().flat_map(|other| other.header_names());
        let asked: BTreeSet<&String> = self.snapshot.header_names().iter().chain(shadow).collect();
        let asked = asked.into_iter();
        let given = asked.filter_map(|name| {
            let value = request.headers.get(&HeaderName::parse(name.as_bytes())?)?;
            let text = std::str::from_utf8(value).ok()?;
            Some((name.clone(), text.to_owned()))
        });
        given.collect()
    }
}

impl Core {
    /// Which peers of these trunks are up. All are down of one that must be registered and is not,
    /// and of one that nobody has registered for.
    fn up(&self, trunks: &[TrunkName]) -> BTreeMap<(TrunkName, usize), bool> {
        let now = self.now.moment;
        let mut up = self.monitor.facts(now, trunks);
        for name in trunks {
            let Some(trunk) = self.profiles.trunk(name) else {
                continue;
            };
            let shut = !self.registrations.is_usable(now, name);
            let nobody = trunk.registrar.is_some() && !self.registrar.has_any(now, name);
            if shut || nobody && trunk.peers.is_empty() {
                let peers = 0..trunk.peers.len().max(1);
                up.extend(peers.map(|peer| ((name.clone(), peer), false)));
            }
        }
        up
    }
}

#[cfg(test)]
mod tests {
    use sip_msg::wire::ListenerId;
    use sip_msg::{Method, Uri};

    use super::*;
    use crate::profile::{Advertised, TrunkProfile};

    fn refusal(uri: &str, require: Option<&str>) -> Option<u16> {
        let advertised = Advertised {
            host: "sbc.contoso.example".into(),
            port: 5060,
        };
        let trunk = TrunkProfile::carrier("carrier".into(), advertised, ListenerId(0), Vec::new());
        let uri: Uri = uri.parse().unwrap();
        let mut request = Request::new(Method::Options, uri);
        if let Some(require) = require {
            request.headers.push(HeaderName::Require, require);
        }
        beyond(&trunk, &request).map(|(status, _)| status.code())
    }

    #[test]
    fn a_foreign_scheme_or_extension_is_named_in_the_refusal() {
        assert_eq!(refusal("sip:+14255550123@contoso.example", None), None);
        assert_eq!(refusal("tel:+14255550123", Some("timer")), None);
        assert_eq!(refusal("unknown:something", None), Some(416));
        assert_eq!(refusal("sip:contoso.example", Some("nothing")), Some(420));
    }
}
