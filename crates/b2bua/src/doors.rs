//! Challenges of requests outside of dialogs, trunk by trunk (RFC 3261 §22).

use std::collections::BTreeMap;
use std::sync::Arc;

use ambient::{KeyRng, Now};
use sip_msg::Request;
use sip_msg::wire::TrunkName;
use sip_ua::auth::{Authenticator, AuthenticatorConfig, Verdict};

use crate::profile::{Demand, Profiles};

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthCounts {
    /// Requests that showed no credentials, or none for a nonce of ours.
    pub challenged: u64,
    /// Requests with right credentials.
    pub authenticated: u64,
    /// Requests with right credentials for a nonce that is over or was counted before.
    pub stale: u64,
    /// Requests with wrong credentials.
    pub wrong: u64,
}

#[derive(Debug)]
struct Door {
    demand: Arc<Demand>,
    authenticator: Authenticator,
}

/// Asks and judges. Bounded by the trunks there are.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    doors: BTreeMap<TrunkName, Door>,
    pub(crate) counts: AuthCounts,
}

impl Doors {
    /// Forgets the trunks that are gone; nonces of the others go on.
    pub(crate) fn reload(&mut self, profiles: &Profiles) {
        self.doors
            .retain(|name, _| profiles.trunks.contains_key(name));
    }

    /// What the credentials of a request come to, and what to answer if they do not do: the values
    /// of `WWW-Authenticate`.
    pub(crate) fn judge(
        &mut self,
        now: Now,
        trunk: &TrunkName,
        demand: &Arc<Demand>,
        request: &Request,
        keys: &mut KeyRng,
    ) -> (Verdict, Vec<String>) {
        let authenticator = self.authenticator(trunk, demand, keys);
        let verdict = authenticator.verify(now, request, |user| demand.users.get(user));
        let challenges = match verdict {
            Verdict::Authenticated { .. } => Vec::new(),
            Verdict::Unknown | Verdict::Wrong => authenticator.challenges(now, false),
            Verdict::Stale => authenticator.challenges(now, true),
        };
        match verdict {
            Verdict::Authenticated { .. } => self.counts.authenticated += 1,
            Verdict::Unknown => self.counts.challenged += 1,
            Verdict::Wrong => self.counts.wrong += 1,
            Verdict::Stale => self.counts.stale += 1,
        }
        (verdict, challenges)
    }

    fn authenticator(
        &mut self,
        trunk: &TrunkName,
        demand: &Arc<Demand>,
        keys: &mut KeyRng,
    ) -> &mut Authenticator {
        let asks_alike = |door: &Door| {
            let (old, new) = (&door.demand, demand);
            old.realm == new.realm
                && old.algorithms == new.algorithms
                && old.nonce_lifetime == new.nonce_lifetime
        };
        if !self.doors.get(trunk).is_some_and(asks_alike) {
            self.doors.remove(trunk);
        }
        let door = self.doors.entry(trunk.clone()).or_insert_with(|| {
            let mut secret = [0; 32];
            keys.fill(&mut secret);
            let config = AuthenticatorConfig {
                algorithms: demand.algorithms.clone(),
                lifetime: demand.nonce_lifetime,
                ..AuthenticatorConfig::new(&*demand.realm)
            };
            Door {
                demand: Arc::clone(demand),
                authenticator: Authenticator::new(config, secret),
            }
        });
        &mut door.authenticator
    }
}
