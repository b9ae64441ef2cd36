//! Redirections of the called party, followed here: no 3xx ever crosses to the caller (U-12).
//!
//! A Contact leads to a peer of a configured trunk, to a host on the redirecting trunk's list, or,
//! where it names no host but a number of ours, back to routing. Whatever else it names is not
//! called. Each target is tried once, and a call follows only so many of them.

use std::collections::VecDeque;
use std::sync::Arc;

use routing::{Attempt, Outcome, Question};
use sip_msg::wire::TrunkName;
use sip_msg::{NameAddr, Response, Scheme, StatusCode, Uri};

use super::screen;
use super::setup::Setup;
use super::{Head, Phase};
use crate::core::{Core, Reply};
use crate::failure::{self, AttemptFailure};
use crate::passlist;
use crate::profile::{Profiles, RedirectTarget, TrunkProfile};

/// Contacts of one response that are looked at.
const CONTACTS_MAX: usize = 20;

/// What following redirections of one call has come to.
#[derive(Debug, Default)]
pub(crate) struct Redirections {
    followed: usize,
    /// The caller's INVITE says of one already.
    diverted: bool,
    /// Where the call has been, or is to go: a second visit would be a loop.
    seen: Vec<Place>,
}

/// A target, as far as loops are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    trunk: TrunkName,
    peer: usize,
    user: String,
    host: String,
}

impl Place {
    fn of(attempt: &Attempt) -> Self {
        let hop = attempt.hop.as_ref().unwrap_or(&attempt.request_uri);
        Self {
            trunk: attempt.trunk.clone(),
            peer: attempt.peer,
            user: match &attempt.cloud {
                Some(cloud) => cloud.to.to_wire(),
                None => attempt.to_user.clone(),
            },
            host: hop.host_str().to_ascii_lowercase(),
        }
    }
}

/// What a Contact leads to.
#[derive(Debug, PartialEq, Eq)]
enum Lead {
    /// This peer of a trunk.
    Peer(TrunkName, usize),
    /// Its own host, in the manner of the redirecting trunk.
    Host,
    /// A number: routing decides.
    Number(String),
    /// Nowhere that may be called.
    Refused,
}

impl Setup {
    /// The called party named others.
    pub(super) fn redirected(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        response: Response,
    ) -> Phase {
        let failure = AttemptFailure::Final {
            status: response.status,
            retry_after: None,
            cause: None,
        };
        let Some(trying) = self.trying.as_ref() else {
            return self.failed(core, head, failure, None);
        };
        let trunk = Arc::clone(&trying.trunk);
        let left = trying.attempt.clone();
        // The marker is nobody who could be elsewhere.
        let follows = trunk.redirect.follow && !trying.is_cloud();
        let targets = match follows && is_followed(response.status) {
            true => self.targets(core, head, &trunk, &left, &response),
            false => VecDeque::new(),
        };
        if targets.is_empty() {
            return self.failed(core, head, failure, None);
        }
        let verdict = failure::judge(&failure);
        if let Some(trying) = self.trying.take() {
            if !trying.is_elsewhere() {
                core.report_health(&trying.trunk.name, trying.peer, &failure);
            }
            trying.abandon(core, head, &failure, &verdict);
        }
        self.settled(verdict, None);
        if let Some(first) = targets.front() {
            // Whom the caller asked for, as it wrote it; later, whom the call was for by then.
            let diverted = match self.redirections.diverted {
                false => &self.invite.uri,
                true => &left.request_uri,
            };
            let (diverted, target) = (diverted.clone(), &first.request_uri);
            let headers = &mut self.invite.headers;
            passlist::append_redirection(headers, &diverted, response.status, target);
            self.redirections.diverted = true;
        }
        for target in targets.into_iter().rev() {
            self.plan.push_front(target);
        }
        if trunk.redirect.announce {
            let reply = Reply::new(StatusCode::CALL_IS_BEING_FORWARDED).dialog(&self.invite);
            self.tell_caller(core, head, reply);
        }
        self.advance(core, head)
    }

    /// The attempts that a redirection leads to, those it prefers first.
    fn targets(
        &mut self,
        core: &mut Core,
        head: &mut Head,
        trunk: &TrunkProfile,
        left: &Attempt,
        response: &Response,
    ) -> VecDeque<Attempt> {
        self.redirections.seen.push(Place::of(left));
        let mut targets = VecDeque::new();
        let status = response.status.code();
        for contact in by_preference(response) {
            let lead = lead(&core.profiles, &head.trunk, trunk, &contact.uri);
            let step = match &lead {
                Lead::Peer(to, _) => format!("{status} of {} leads to {to}", trunk.name),
                Lead::Host => format!(
                    "{status} of {} leads to {}, which is on its list",
                    trunk.name,
                    contact.uri.host_str()
                ),
                Lead::Number(_) => format!("{status} of {} leads to another number", trunk.name),
                Lead::Refused => format!(
                    "{status} of {} leads to {}, which is not on its list",
                    trunk.name,
                    contact.uri.host_str()
                ),
            };
            head.record.steps.push(step);
            let found = match lead {
                Lead::Peer(to, peer) => vec![directly(&to, peer, &contact.uri, left, None)],
                Lead::Host => {
                    let hop = hop(&contact.uri, trunk);
                    let (to, peer) = (&left.trunk, left.peer);
                    vec![directly(to, peer, &contact.uri, left, Some(hop))]
                }
                Lead::Number(number) => self.decided(core, head, number),
                Lead::Refused => Vec::new(),
            };
            for attempt in found {
                let place = Place::of(&attempt);
                let redirections = &mut self.redirections;
                if redirections.seen.contains(&place) {
                    head.record
                        .steps
                        .push("it was there before: not followed".to_owned());
                } else if redirections.followed >= trunk.redirect.max {
                    head.record
                        .steps
                        .push("too many redirections: not followed".to_owned());
                } else {
                    redirections.followed += 1;
                    redirections.seen.push(place);
                    targets.push_back(attempt);
                }
            }
        }
        targets
    }

    /// Where routing sends another number of the same caller.
    fn decided(&self, core: &mut Core, head: &mut Head, called: String) -> Vec<Attempt> {
        let calling = screen::calling(core, head, &self.invite).flatten();
        let question = Question {
            trunk: head.trunk.name.clone(),
            called,
            calling,
            headers: core.asked_headers(&self.invite),
        };
        let (decision, ..) = core.decide(Some(head.key), &question);
        let steps = decision.steps.iter().map(ToString::to_string);
        head.record.steps.extend(steps);
        match decision.outcome {
            Outcome::Route(plan) => core.located(plan.attempts),
            Outcome::Reject { .. } => Vec::new(),
        }
    }
}

/// 305 asks for a proxy and 380 for another service: neither is another place to call.
fn is_followed(status: StatusCode) -> bool {
    matches!(status.code(), 300..=302)
}

/// The Contacts of a redirection, by their `q` (RFC 3261 §8.1.3.4), 1 where none is written.
fn by_preference(response: &Response) -> Vec<NameAddr> {
    let mut contacts = response.headers.contacts().unwrap_or_default();
    contacts.truncate(CONTACTS_MAX);
    contacts.sort_by_key(|contact| std::cmp::Reverse(thousandths(contact)));
    contacts
}

fn thousandths(contact: &NameAddr) -> u32 {
    let Some(q) = contact.param("q").flatten() else {
        return 1_000;
    };
    let (whole, rest) = q.split_once('.').unwrap_or((q, ""));
    let digits = rest.bytes().chain(std::iter::repeat(b'0')).take(3);
    let part = digits.fold(0, |sum, digit| {
        sum * 10 + u32::from(digit.saturating_sub(b'0').min(9))
    });
    match whole {
        "1" => 1_000,
        _ => part,
    }
}

/// Where a Contact leads that `trunk` names to a caller of `origin`. Trunks of other customers are
/// not there for either.
fn lead(profiles: &Profiles, origin: &TrunkProfile, trunk: &TrunkProfile, contact: &Uri) -> Lead {
    let number = contact.user().filter(|user| !user.is_empty());
    match (contact.scheme(), number) {
        (Scheme::Tel, Some(number)) => return Lead::Number(number.to_owned()),
        (Scheme::Sip | Scheme::Sips, Some(_)) => {}
        (Scheme::Sip | Scheme::Sips | Scheme::Tel | Scheme::Other, _) => return Lead::Refused,
    }
    let (host, port) = (contact.host_str(), contact.port());
    let is_here = |profile: &TrunkProfile| {
        let peers = profile.peers.iter();
        peers.clone().position(|peer| {
            let same_port = port.is_none() || port == peer.uri.port();
            peer.uri.host_str().eq_ignore_ascii_case(host) && same_port
        })
    };
    let own = is_here(trunk).map(|peer| (trunk.name.clone(), peer));
    let others = || {
        let trunks = profiles.trunks.values();
        let mut trunks = trunks.filter(|other| other.may_meet(trunk) && other.may_meet(origin));
        trunks.find_map(|profile| Some((profile.name.clone(), is_here(profile)?)))
    };
    if let Some((name, peer)) = own.or_else(others) {
        return Lead::Peer(name, peer);
    }
    let ours = profiles.trunks.values().any(|profile| {
        let hosts = profile.request_hosts.iter();
        profile.advertised.host.eq_ignore_ascii_case(host)
            || hosts.clone().any(|known| known.eq_ignore_ascii_case(host))
    });
    if let (true, Some(number)) = (ours, number) {
        return Lead::Number(number.to_owned());
    }
    let listed = |target: &RedirectTarget| target.covers(host);
    match trunk.redirect.allow.iter().any(listed) {
        true => Lead::Host,
        false => Lead::Refused,
    }
}

/// The hop that a Contact names, in the transport of the trunk.
fn hop(contact: &Uri, trunk: &TrunkProfile) -> Uri {
    let transport = trunk.transport.uri_token();
    Uri::sip(None, contact.host_str(), contact.port()).with_param("transport", transport)
}

/// An attempt at what a Contact names, by the same caller as before.
fn directly(
    trunk: &TrunkName,
    peer: usize,
    contact: &Uri,
    before: &Attempt,
    hop: Option<Uri>,
) -> Attempt {
    let user = contact.user().unwrap_or_default().to_owned();
    let mut request_uri = Uri::sip(Some(&user), contact.host_str(), contact.port());
    if let Some(value) = contact.param("user") {
        request_uri = request_uri.with_param("user", value);
    }
    Attempt {
        trunk: trunk.clone(),
        peer,
        request_uri,
        to_user: user,
        from_user: before.from_user.clone(),
        from_host: before.from_host.clone(),
        cloud: None,
        hop,
        rewritten: true,
        presented: before.presented,
        tariff: None,
    }
}

#[cfg(test)]
mod tests {
    use sip_msg::wire::ListenerId;
    use sip_msg::{HeaderName, TransportKind};

    use super::*;
    use crate::limits::GateLimits;
    use crate::profile::{Advertised, PeerProfile};

    fn trunk(name: &str, host: &str, peer: &str) -> TrunkProfile {
        let advertised = Advertised {
            host: host.into(),
            port: 5060,
        };
        let peer = PeerProfile::new(peer, Some(5060), TransportKind::Udp);
        TrunkProfile::carrier(name.into(), advertised, ListenerId(0), vec![peer])
    }

    #[test]
    fn a_contact_leads_to_a_peer_a_listed_host_or_a_number_and_nowhere_else() {
        let mut carrier = trunk("carrier", "192.0.2.1", "198.51.100.7");
        carrier.redirect.allow = vec![RedirectTarget::parse("*.carrier.example").unwrap()];
        let pbx = trunk("pbx", "gw.contoso.example", "pbx.contoso.example");
        let profiles = Profiles::new([carrier.clone(), pbx], GateLimits::default());
        let peer = |name: &str| Lead::Peer(name.into(), 0);
        let number = || Lead::Number("+14255550123".to_owned());
        for (contact, expected) in [
            ("sip:+14255550123@198.51.100.7", peer("carrier")),
            ("sip:+14255550123@198.51.100.7:5060", peer("carrier")),
            ("sip:+14255550123@198.51.100.7:5080", Lead::Refused),
            ("sip:7@PBX.contoso.example", peer("pbx")),
            ("sip:7@sbc2.carrier.example", Lead::Host),
            ("tel:+14255550123", number()),
            ("sip:+14255550123@gw.contoso.example", number()),
            ("sip:+14255550123@elsewhere.example", Lead::Refused),
            ("sip:198.51.100.7", Lead::Refused),
            ("mailto:somebody@198.51.100.7", Lead::Refused),
        ] {
            let uri: Uri = contact.parse().unwrap();
            let lead = lead(&profiles, &carrier, &carrier, &uri);
            assert_eq!(lead, expected, "{contact}");
        }
    }

    #[test]
    fn a_contact_never_leads_to_another_customer() {
        let owned = |name, peer, customer: Option<&str>| {
            let mut trunk = trunk(name, "192.0.2.1", peer);
            trunk.customer = customer.map(Into::into);
            trunk
        };
        let carrier = owned("carrier", "198.51.100.7", None);
        let fabrikam = owned("fabrikam", "pbx.fabrikam.example", Some("fabrikam"));
        let contoso = owned("contoso", "pbx.contoso.example", Some("contoso"));
        let all = [carrier.clone(), fabrikam.clone(), contoso.clone()];
        let profiles = Profiles::new(all, GateLimits::default());
        let uri: Uri = "sip:7@pbx.contoso.example".parse().unwrap();
        let there = Lead::Peer("contoso".into(), 0);
        for (origin, trunk, expected) in [
            (&carrier, &carrier, &there),
            (&contoso, &carrier, &there),
            (&fabrikam, &carrier, &Lead::Refused),
            (&carrier, &fabrikam, &Lead::Refused),
        ] {
            let lead = lead(&profiles, origin, trunk, &uri);
            assert_eq!(lead, *expected, "{} by {}", origin.name, trunk.name);
        }
    }

    #[test]
    fn contacts_are_tried_by_their_q() {
        let mut response = Response::new(StatusCode::MULTIPLE_CHOICES);
        let contacts = "<sip:a@h.example>;q=0.25, <sip:b@h.example>, <sip:c@h.example>;q=0.3, \
                        <sip:d@h.example>;q=1.0, <sip:e@h.example>;q=0";
        response.headers.push(HeaderName::Contact, contacts);
        let order: Vec<_> = by_preference(&response)
            .into_iter()
            .map(|contact| contact.uri.user().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(order, ["b", "d", "c", "a", "e"]);
    }
}
