//! Trunk health by OPTIONS in both directions.
//!
//! Every peer of every trunk is probed on a schedule of its own, and every trunk's own OPTIONS are
//! answered here and remembered. What counts as a sign of life:
//!
//! | outcome of a probe | means |
//! | --- | --- |
//! | 2xx | alive |
//! | 403 from Microsoft | not taken: our name is not known there (I-03), which no call survives |
//! | 503 from anybody | overloaded: not taken at once, and put aside for `Retry-After` |
//! | 408 from anybody | lost: somebody before the peer waited for it in vain |
//! | any other final response | alive: who refuses OPTIONS can still take a call |
//! | no response, no connection, no address | lost |
//!
//! A peer is down after [`OptionsPing::losses`](crate::profile::OptionsPing) losses in a row, at
//! once after a failed connection, a 403 from Microsoft or a 503, and up again after one sign of
//! life. Peers of which nothing is known count as up: a call may be the first to find out.
//!
//! The state lives under the trunk's name and the peer's URI, so a reload keeps it.

pub mod forecast;
mod peer;
mod request;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient::{Deadlines, Moment, Now, TokenRng, WallTime};
use sip_msg::wire::{TransportError, TrunkName};
use sip_msg::{HeaderName, Request, Response, StatusCode, TransportKind, Uri};

use crate::profile::{DrainPolicy, Profiles, TrunkProfile};
use peer::{Outcome, Peer};

pub use peer::{PeerState, ProbeResult};
pub use view::{PeerView, TrunkHealth, TrunkView};

/// The first probes of a start or a reload are spread over this long.
const FIRST_PROBES_WITHIN: Duration = Duration::from_millis(500);

/// Names one probe on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// What the monitor wants done or said.
#[derive(Clone, Debug)]
pub enum MonitorOutput {
    /// Send this request, and say what came of it with [`TrunkMonitor::handle_answer`] or
    /// [`TrunkMonitor::handle_failure`].
    Probe(Box<Probe>),
    /// A peer went up or down.
    Changed(HealthChange),
}

/// One OPTIONS request to send.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its name.
    pub id: ProbeId,
    /// The trunk whose settings apply.
    pub trunk: Arc<TrunkProfile>,
    /// The index of the peer in the trunk's list.
    pub peer: usize,
    /// Where to send it (RFC 3263).
    pub next_hop: Uri,
    /// The request, complete but for its Via.
    pub request: Request,
}

/// A peer went up or down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// The trunk.
    pub trunk: TrunkName,
    /// The index of the peer in the trunk's list.
    pub peer: usize,
    /// Whether it is up now.
    pub up: bool,
    /// What made the difference.
    pub because: ProbeResult,
}

/// Why a probe, or a call, got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Nobody answered.
    TimedOut,
    /// It could not be delivered.
    Transport(TransportError),
    /// The peer's name led to no address.
    Unresolved,
}

/// How to answer an OPTIONS request: at once, and never by asking anybody else (P-04).
#[derive(Clone, Debug)]
pub struct OptionsAnswer {
    /// 200, or 503 while draining.
    pub status: StatusCode,
    /// The header fields to add to the response.
    pub headers: Vec<(HeaderName, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PeerKey {
    trunk: TrunkName,
    uri: Box<str>,
}

#[derive(Debug)]
struct Trunk {
    profile: Arc<TrunkProfile>,
    peers: Vec<Peer>,
    inbound: Option<(Moment, WallTime, SocketAddr)>,
    watched_since: Moment,
}

/// Probes, answers and remembers. See the module's documentation.
#[derive(Debug)]
pub struct TrunkMonitor {
    trunks: BTreeMap<TrunkName, Trunk>,
    under_way: BTreeMap<ProbeId, (PeerKey, Moment)>,
    schedule: Deadlines<PeerKey>,
    outputs: VecDeque<MonitorOutput>,
    tokens: TokenRng,
    software: Arc<str>,
    next_probe: u64,
}

impl TrunkMonitor {
    /// A monitor that knows nothing yet and will soon probe every peer.
    #[must_use]
    pub fn new(now: Now, profiles: &Profiles, software: Arc<str>, tokens: TokenRng) -> Self {
        let mut monitor = Self {
            trunks: BTreeMap::new(),
            under_way: BTreeMap::new(),
            schedule: Deadlines::new(),
            outputs: VecDeque::new(),
            tokens,
            software,
            next_probe: 0,
        };
        monitor.reload(now, profiles);
        monitor
    }

    /// Takes over the trunks of a reload. Peers that stay keep their state and their schedule.
    pub fn reload(&mut self, now: Now, profiles: &Profiles) {
        let mut before = std::mem::take(&mut self.trunks);
        for (name, profile) in &profiles.trunks {
            let known = before.remove(name);
            let (mut old_peers, inbound, watched_since) = match known {
                Some(old) => (old.peers, old.inbound, old.watched_since),
                None => (Vec::new(), None, now.moment),
            };
            let mut peers = Vec::with_capacity(profile.peers.len());
            for peer in &profile.peers {
                let same = old_peers
                    .iter()
                    .position(|old| old.uri() == peer.uri.as_str());
                let kept = same.map(|index| old_peers.swap_remove(index));
                peers.push(kept.unwrap_or_else(|| Peer::new(peer.uri.clone())));
            }
            let profile = Arc::clone(profile);
            self.trunks.insert(
                name.clone(),
                Trunk {
                    profile,
                    peers,
                    inbound,
                    watched_since,
                },
            );
        }
        self.reschedule(now.moment);
    }

    fn reschedule(&mut self, now: Moment) {
        let mut schedule = Deadlines::new();
        for (name, trunk) in &self.trunks {
            if !trunk.profile.options.enabled {
                continue;
            }
            for peer in &trunk.peers {
                let key = PeerKey {
                    trunk: name.clone(),
                    uri: peer.uri().into(),
                };
                let at = self.schedule.deadline(&key).unwrap_or_else(|| {
                    let window = u64::try_from(FIRST_PROBES_WITHIN.as_millis()).unwrap_or(1);
                    now + Duration::from_millis(self.tokens.below(window.max(1)))
                });
                schedule.set(key, at);
            }
        }
        self.schedule = schedule;
    }

    /// Sends the probes that are due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(key) = self.schedule.pop_due(now.moment) {
            self.probe(now, key);
        }
    }

    fn probe(&mut self, now: Now, key: PeerKey) {
        let Some(trunk) = self.trunks.get(&key.trunk) else {
            return;
        };
        let Some(index) = trunk.position(&key.uri) else {
            return;
        };
        let peer = &trunk.peers[index];
        let options = trunk.profile.options;
        let mean = if peer.is_down() {
            options.interval_down
        } else {
            options.interval
        };
        let interval = jittered(&mut self.tokens, mean, options.jitter);
        self.schedule.set(key.clone(), now.moment + interval);
        if self.under_way.values().any(|(probed, _)| *probed == key) {
            // The last one has no answer yet; its timer F is about to say so.
            return;
        }
        let id = ProbeId(self.next_probe);
        self.next_probe += 1;
        let next_hop = peer.target().clone();
        let request = request::options(&trunk.profile, &next_hop, &self.software, &mut self.tokens);
        let trunk = Arc::clone(&trunk.profile);
        self.under_way.insert(id, (key, now.moment));
        let probe = Probe {
            id,
            trunk,
            peer: index,
            next_hop,
            request,
        };
        self.outputs
            .push_back(MonitorOutput::Probe(Box::new(probe)));
    }

    /// A probe was answered with a final response.
    pub fn handle_answer(&mut self, now: Now, probe: ProbeId, response: &Response) {
        let Some((key, sent)) = self.under_way.remove(&probe) else {
            return;
        };
        let round_trip = now.moment.saturating_since(sent);
        let Some(trunk) = self.trunks.get(&key.trunk) else {
            return;
        };
        let retry_after = response.headers.retry_after();
        let outcome = peer::judge(trunk.profile.preset, response.status, retry_after);
        let result = ProbeResult::Answered {
            status: response.status.code(),
            round_trip,
        };
        self.settle(now, &key, outcome, result);
    }

    /// A probe got no response.
    pub fn handle_failure(&mut self, now: Now, probe: ProbeId, failure: ProbeFailure) {
        let Some((key, _)) = self.under_way.remove(&probe) else {
            return;
        };
        self.settle(
            now,
            &key,
            Outcome::of_failure(failure),
            ProbeResult::Failed(failure),
        );
    }

    /// A call to a peer got a 503, with its `Retry-After` in seconds if it has one: the peer is
    /// put aside for that long, or for a moment without.
    pub fn handle_overload(
        &mut self,
        now: Now,
        trunk: &TrunkName,
        peer: usize,
        retry_after: Option<u32>,
    ) {
        let Some(trunk) = self.trunks.get_mut(trunk) else {
            return;
        };
        if let Some(peer) = trunk.peers.get_mut(peer) {
            peer.put_aside(now.moment, retry_after, &trunk.profile.options);
        }
    }

    /// A call to a peer could not be delivered or was never answered. Counts like a lost probe,
    /// and asks for a probe soon.
    pub fn handle_call_failure(
        &mut self,
        now: Now,
        trunk: &TrunkName,
        peer: usize,
        failure: ProbeFailure,
    ) {
        let Some(uri) = self.uri_of(trunk, peer) else {
            return;
        };
        let key = PeerKey {
            trunk: trunk.clone(),
            uri,
        };
        self.settle(
            now,
            &key,
            Outcome::of_failure(failure),
            ProbeResult::Failed(failure),
        );
        let soon = now.moment + FIRST_PROBES_WITHIN;
        if self.schedule.deadline(&key).is_some_and(|at| at > soon) {
            self.schedule.set(key, soon);
        }
    }

    /// A call to a peer was answered, by whatever response: it is alive.
    pub fn handle_call_answered(
        &mut self,
        now: Now,
        trunk: &TrunkName,
        peer: usize,
        by: StatusCode,
    ) {
        let Some(uri) = self.uri_of(trunk, peer) else {
            return;
        };
        let result = ProbeResult::Call { status: by.code() };
        self.settle(
            now,
            &PeerKey {
                trunk: trunk.clone(),
                uri,
            },
            Outcome::Alive,
            result,
        );
    }

    fn uri_of(&self, trunk: &TrunkName, peer: usize) -> Option<Box<str>> {
        Some(self.trunks.get(trunk)?.peers.get(peer)?.uri().into())
    }

    fn settle(&mut self, now: Now, key: &PeerKey, outcome: Outcome, result: ProbeResult) {
        let Some(trunk) = self.trunks.get_mut(&key.trunk) else {
            return;
        };
        let Some(index) = trunk.position(&key.uri) else {
            return;
        };
        let policy = &trunk.profile.options;
        let changed = trunk.peers[index].settle(now, outcome, result, policy);
        if changed == Some(false) {
            // Whether it comes back is asked at the shorter interval from now on.
            let next = now.moment + trunk.profile.options.interval_down;
            if self.schedule.deadline(key).is_some_and(|at| at > next) {
                self.schedule.set(key.clone(), next);
            }
        }
        if let Some(up) = changed {
            self.outputs.push_back(MonitorOutput::Changed(HealthChange {
                trunk: key.trunk.clone(),
                peer: index,
                up,
                because: result,
            }));
        }
    }

    /// OPTIONS came from a trunk, over `transport` from `remote`. The answer is the gateway's own, whatever the state of anything
    /// behind it.
    pub fn handle_inbound(
        &mut self,
        now: Now,
        trunk: &TrunkProfile,
        (transport, remote): (TransportKind, SocketAddr),
        draining: Option<DrainPolicy>,
    ) -> OptionsAnswer {
        if let Some(state) = self.trunks.get_mut(&trunk.name) {
            state.inbound = Some((now.moment, now.wall, remote));
        }
        let status = match draining {
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
            None => StatusCode::OK,
        };
        let contact = trunk.contact_over(None, transport);
        let mut headers = vec![(HeaderName::Contact, format!("<{contact}>"))];
        let capabilities = trunk.capability_headers(&self.software).into_iter();
        headers.extend(capabilities.map(|(name, value)| (name, value.into_owned())));
        headers.push((HeaderName::Accept, "application/sdp".to_owned()));
        if let Some(policy) = draining {
            headers.push((HeaderName::RetryAfter, policy.retry_after.to_string()));
        }
        OptionsAnswer { status, headers }
    }

    /// Whether a peer was found down. One that asked for a rest (M-07) was not: it answers.
    pub(crate) fn is_down(&self, trunk: &TrunkName, peer: usize) -> bool {
        let trunk = self.trunks.get(trunk);
        let peer = trunk.and_then(|trunk| trunk.peers.get(peer));
        peer.is_some_and(Peer::is_down)
    }

    /// Which peers of these trunks are up, as facts for routing. Peers of which nothing is known
    /// are not listed and count as up; peers put aside count as down.
    #[must_use]
    pub fn facts<'a>(
        &self,
        now: Moment,
        trunks: impl IntoIterator<Item = &'a TrunkName>,
    ) -> BTreeMap<(TrunkName, usize), bool> {
        let mut facts = BTreeMap::new();
        for name in trunks {
            let Some(trunk) = self.trunks.get(name) else {
                continue;
            };
            for (index, peer) in trunk.peers.iter().enumerate() {
                if let Some(up) = peer.fact(now) {
                    facts.insert((name.clone(), index), up);
                }
            }
        }
        facts
    }

    /// What is known about every trunk, for status and metrics.
    pub fn views(&self, now: Moment) -> impl Iterator<Item = TrunkView> + '_ {
        self.trunks.iter().map(move |(name, trunk)| {
            let peers: Vec<PeerView> = trunk.peers.iter().map(|peer| peer.view(now)).collect();
            let expected = trunk.profile.options.expect_inbound.map(|silence| {
                // After the start the other side has as much time to find out that it may send them.
                let grace = now.saturating_since(trunk.watched_since) < silence;
                let heard = trunk
                    .inbound
                    .map(|(at, _, _)| now.saturating_since(at) <= silence);
                heard.unwrap_or(grace)
            });
            view::trunk(
                name.clone(),
                peers,
                trunk.inbound.map(|(_, at, by)| (at, by)),
                expected,
            )
        })
    }

    /// The next request to send or change to tell; drain after each call of any other method.
    pub fn poll_output(&mut self) -> Option<MonitorOutput> {
        self.outputs.pop_front()
    }

    /// When [`TrunkMonitor::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.schedule.next()
    }
}

impl Trunk {
    fn position(&self, uri: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.uri() == uri)
    }
}

/// `mean` give or take `jitter`, so that the peers of many gateways are not asked in step.
fn jittered(tokens: &mut TokenRng, mean: Duration, jitter: Duration) -> Duration {
    let jitter = jitter.min(mean);
    let spread = u64::try_from(jitter.as_millis())
        .unwrap_or(u64::MAX / 4)
        .saturating_mul(2);
    (mean - jitter) + Duration::from_millis(tokens.below(spread.saturating_add(1)))
}

#[cfg(test)]
mod tests;
