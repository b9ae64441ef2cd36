//! Registering this gateway with the registrars of trunks that ask for it (RFC 3261 §10.2).
//!
//! | outcome of a REGISTER | then |
//! | --- | --- |
//! | 2xx | refreshed when 80 to 90 % of what was granted is over |
//! | 423 | at once again, with the interval it asks for (§10.2.8) |
//! | 401, 403, 404, 407 | the account is refused: again after the longest wait, at the same registrar |
//! | anything else, or nothing | the next registrar at once; after the last, a wait that doubles |
//!
//! Challenges are answered below, by the user agent.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ambient::{Deadlines, Moment, Now, TokenRng, WallTime};
use sip_msg::wire::TrunkName;
use sip_msg::{HeaderName, Method, Request, Response, StatusCode, Uri};

use crate::profile::{Profiles, Registering, TrunkProfile};

/// The longest interval that a 423 may ask for.
const MIN_EXPIRES_MAX: Duration = Duration::from_secs(86_400);

/// CSeq numbers that the user agent may use for one REGISTER: itself, and its answers to challenges.
const SEQS: u32 = 3;

/// Names one REGISTER on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterId(pub u64);

/// A REGISTER to send; what comes of it is said with [`Registrations::handle_answer`] or
/// [`Registrations::handle_failure`].
#[derive(Clone, Debug)]
pub struct Register {
    /// Its name.
    pub id: RegisterId,
    /// The trunk whose settings apply.
    pub trunk: Arc<TrunkProfile>,
    /// Where to send it (RFC 3263).
    pub next_hop: Uri,
    /// The request, complete but for its Via.
    pub request: Request,
}

/// How a trunk's registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not answered yet.
    Trying,
    /// Registered until then, if nothing refreshes it.
    Registered {
        /// When it ends.
        until: WallTime,
    },
    /// The last try failed.
    Failed {
        /// The final response, if one came.
        status: Option<StatusCode>,
    },
    /// Taken back, because calls are no longer wanted.
    Withdrawn,
}

/// One line of a list of registrations.
#[derive(Clone, Debug)]
pub struct RegistrationView {
    /// The trunk.
    pub trunk: TrunkName,
    /// The registrar that is or was asked last.
    pub registrar: Option<Uri>,
    /// How it stands.
    pub state: RegistrationState,
}

#[derive(Debug)]
struct Registration {
    profile: Arc<TrunkProfile>,
    call_id: String,
    seq: u32,
    /// Which registrar is asked.
    at: usize,
    /// Registrars that failed in a row.
    failed: u32,
    /// What a 423 asked for.
    at_least: Duration,
    state: RegistrationState,
    /// Until then the last 2xx holds, whatever came of later tries.
    holds_until: Option<Moment>,
    under_way: Option<RegisterId>,
}

impl Registration {
    fn policy(&self) -> Option<&Registering> {
        self.profile.register.as_ref()
    }

    fn holds(&self, now: Moment) -> bool {
        self.holds_until.is_some_and(|until| now < until)
    }

    fn registrar(&self) -> Option<&Uri> {
        let registrars = &self.policy()?.registrars;
        registrars.get(self.at % registrars.len().max(1))
    }
}

/// Registers, refreshes and remembers. See the module's documentation.
#[derive(Debug)]
pub struct Registrations {
    trunks: BTreeMap<TrunkName, Registration>,
    under_way: BTreeMap<RegisterId, TrunkName>,
    schedule: Deadlines<TrunkName>,
    outputs: VecDeque<Register>,
    tokens: TokenRng,
    software: Arc<str>,
    minted: u64,
    withdrawn: bool,
}

impl Registrations {
    /// Nothing is registered yet; it soon will be.
    #[must_use]
    pub fn new(now: Now, profiles: &Profiles, software: Arc<str>, tokens: TokenRng) -> Self {
        let mut registrations = Self {
            trunks: BTreeMap::new(),
            under_way: BTreeMap::new(),
            schedule: Deadlines::new(),
            outputs: VecDeque::new(),
            tokens,
            software,
            minted: 0,
            withdrawn: false,
        };
        registrations.reload(now, profiles);
        registrations
    }

    /// Takes over the trunks of a reload. A registration whose account stays goes on; one that is
    /// gone is taken back.
    pub fn reload(&mut self, now: Now, profiles: &Profiles) {
        let mut before = std::mem::take(&mut self.trunks);
        for (name, profile) in &profiles.trunks {
            let Some(policy) = &profile.register else {
                continue;
            };
            let same = |old: &Registration| {
                let policy_before = old.policy();
                policy_before
                    .is_some_and(|old| old.aor == policy.aor && old.registrars == policy.registrars)
            };
            let kept = match before.remove(name) {
                Some(old) if same(&old) => Some(old),
                Some(old) => {
                    before.insert(name.clone(), old);
                    None
                }
                None => None,
            };
            let profile = Arc::clone(profile);
            let registration = match kept {
                Some(old) => {
                    // Whoever puts a password right wants to know at once whether it is.
                    let failed = matches!(old.state, RegistrationState::Failed { .. });
                    if failed && old.profile.auth.credentials != profile.auth.credentials {
                        self.schedule.set(name.clone(), now.moment);
                    }
                    Registration { profile, ..old }
                }
                None => {
                    self.schedule.set(name.clone(), now.moment);
                    Registration {
                        profile,
                        call_id: self.tokens.call_id(),
                        seq: 0,
                        at: 0,
                        failed: 0,
                        at_least: Duration::ZERO,
                        state: RegistrationState::Trying,
                        holds_until: None,
                        under_way: None,
                    }
                }
            };
            self.trunks.insert(name.clone(), registration);
        }
        for (name, mut old) in before {
            if !self.trunks.contains_key(&name) {
                self.schedule.cancel(&name);
            }
            if old.holds(now.moment) {
                self.take_back(&mut old);
            }
        }
    }

    /// Takes every registration back: no calls are wanted any more.
    pub fn withdraw(&mut self, now: Now) {
        self.withdrawn = true;
        let names: Vec<TrunkName> = self.trunks.keys().cloned().collect();
        for name in names {
            self.schedule.cancel(&name);
            let Some(mut registration) = self.trunks.remove(&name) else {
                continue;
            };
            if registration.holds(now.moment) {
                self.take_back(&mut registration);
            }
            registration.state = RegistrationState::Withdrawn;
            self.trunks.insert(name, registration);
        }
    }

    /// Nobody waits for what comes of it: a registrar that does not answer forgets by itself.
    fn take_back(&mut self, registration: &mut Registration) {
        registration.holds_until = None;
        let request = self.request(registration, Duration::ZERO);
        self.push(None, registration, request);
    }

    /// Calls are wanted again.
    pub fn resume(&mut self, now: Now) {
        self.withdrawn = false;
        for (name, registration) in &mut self.trunks {
            registration.state = RegistrationState::Trying;
            self.schedule.set(name.clone(), now.moment);
        }
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(name) = self.schedule.pop_due(now.moment) {
            self.register(&name);
        }
    }

    fn register(&mut self, name: &TrunkName) {
        let Some(mut registration) = self.trunks.remove(name) else {
            return;
        };
        let idle = registration.under_way.is_none() && !self.withdrawn;
        if let (true, Some(policy)) = (idle, registration.policy()) {
            let expires = policy.expires.max(registration.at_least);
            let request = self.request(&mut registration, expires);
            let id = self.push(Some(name), &registration, request);
            registration.under_way = id;
        }
        self.trunks.insert(name.clone(), registration);
    }

    /// A final response to a REGISTER. Its sender may have used more than one CSeq.
    pub fn handle_answer(&mut self, now: Now, id: RegisterId, response: &Response) {
        let Some(name) = self.under_way.remove(&id) else {
            return;
        };
        let Some(registration) = self.trunks.get_mut(&name) else {
            return;
        };
        registration.under_way = None;
        let status = response.status;
        if self.withdrawn {
            // It was on its way when registrations were taken back.
            if status.is_success()
                && let Some(mut late) = self.trunks.remove(&name)
            {
                self.take_back(&mut late);
                self.trunks.insert(name, late);
            }
            return;
        }
        let Some(policy) = registration.profile.register.clone() else {
            return;
        };
        if status.is_success() {
            let asked = policy.expires.max(registration.at_least);
            let granted = granted(response, &registration.profile, &policy.aor).unwrap_or(asked);
            if granted.is_zero() {
                self.failed(now, &name, Some(status));
                return;
            }
            registration.failed = 0;
            registration.holds_until = Some(now.moment + granted);
            registration.state = RegistrationState::Registered {
                until: now.wall + granted,
            };
            let tenths = self.tokens.below(100);
            let wait = granted.mul_f64(0.8 + 0.001 * f64::from(u32::try_from(tenths).unwrap_or(0)));
            self.schedule.set(name, now.moment + wait);
            return;
        }
        match status.code() {
            423 if registration.at_least < MIN_EXPIRES_MAX => {
                let asked = response.headers.min_expires().ok().flatten().unwrap_or(0);
                let least = Duration::from_secs(u64::from(asked)).min(MIN_EXPIRES_MAX);
                if least > policy.expires.max(registration.at_least) {
                    registration.at_least = least;
                    self.schedule.set(name, now.moment);
                } else {
                    self.failed(now, &name, Some(status));
                }
            }
            401 | 403 | 404 | 407 => {
                registration.state = RegistrationState::Failed {
                    status: Some(status),
                };
                self.schedule.set(name, now.moment + policy.retry_max);
            }
            _ => {
                let wait = response.headers.retry_after();
                self.failed(now, &name, Some(status));
                if let (Some(seconds), Some(at)) = (wait, self.schedule.deadline(&name)) {
                    let asked = Duration::from_secs(u64::from(seconds)).min(policy.retry_max);
                    let only = policy.registrars.len() < 2;
                    if only {
                        self.schedule.set(name, at.max(now.moment + asked));
                    }
                }
            }
        }
    }

    /// A REGISTER got no response.
    pub fn handle_failure(&mut self, now: Now, id: RegisterId) {
        let Some(name) = self.under_way.remove(&id) else {
            return;
        };
        if let Some(registration) = self.trunks.get_mut(&name) {
            registration.under_way = None;
            if !self.withdrawn {
                self.failed(now, &name, None);
            }
        }
    }

    /// On to the next registrar, after a wait if that was the last.
    fn failed(&mut self, now: Now, name: &TrunkName, status: Option<StatusCode>) {
        let Some(registration) = self.trunks.get_mut(name) else {
            return;
        };
        let Some(policy) = registration.profile.register.clone() else {
            return;
        };
        registration.state = RegistrationState::Failed { status };
        registration.failed = registration.failed.saturating_add(1);
        registration.at = registration.at.wrapping_add(1);
        let count = u32::try_from(policy.registrars.len())
            .unwrap_or(u32::MAX)
            .max(1);
        let rounds = registration.failed / count;
        let wait = if registration.failed % count != 0 {
            Duration::ZERO
        } else {
            let doubled = policy.retry.saturating_mul(1 << (rounds - 1).min(16));
            doubled.min(policy.retry_max)
        };
        self.schedule.set(name.clone(), now.moment + wait);
    }

    fn request(&mut self, registration: &mut Registration, expires: Duration) -> Request {
        let profile = &registration.profile;
        let aor = registration.policy().map(|policy| policy.aor.clone());
        let aor = aor.unwrap_or_else(|| profile.contact(None));
        let target = Uri::sip(None, aor.host_str(), aor.port());
        let mut request = Request::new(Method::Register, target);
        let headers = &mut request.headers;
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(
            HeaderName::From,
            format!("<{aor}>;tag={}", self.tokens.tag()),
        );
        headers.push(HeaderName::To, format!("<{aor}>"));
        headers.push(HeaderName::CallId, &registration.call_id);
        let seq = registration.seq + 1;
        headers.push(HeaderName::CSeq, format!("{seq} REGISTER"));
        let registrar = registration.registrar();
        let over = registrar.and_then(Uri::transport_param);
        let contact = profile.contact_over(aor.user(), over.unwrap_or(profile.transport));
        let seconds = expires.as_secs();
        headers.push(
            HeaderName::Contact,
            format!("<{contact}>;expires={seconds}"),
        );
        headers.push(HeaderName::Expires, seconds.to_string());
        for (name, value) in profile.capability_headers(&self.software) {
            headers.push(name, &*value);
        }
        registration.seq = registration.seq.wrapping_add(SEQS) % (1 << 30);
        request
    }

    fn push(
        &mut self,
        name: Option<&TrunkName>,
        registration: &Registration,
        request: Request,
    ) -> Option<RegisterId> {
        let next_hop = registration.registrar()?.clone();
        let id = RegisterId(self.minted);
        self.minted += 1;
        if let Some(name) = name {
            self.under_way.insert(id, name.clone());
        }
        let trunk = Arc::clone(&registration.profile);
        self.outputs.push_back(Register {
            id,
            trunk,
            next_hop,
            request,
        });
        Some(id)
    }

    /// Whether calls may go to the trunk: it is registered, or need not be.
    #[must_use]
    pub fn is_usable(&self, now: Moment, trunk: &TrunkName) -> bool {
        self.trunks.get(trunk).is_none_or(|registration| {
            let required = registration.policy().is_some_and(|policy| policy.required);
            !required || registration.holds(now)
        })
    }

    /// The next REGISTER to send.
    pub fn poll_output(&mut self) -> Option<Register> {
        self.outputs.pop_front()
    }

    /// When [`Registrations::handle_timeout`] has work to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.schedule.next()
    }

    /// How every registration stands.
    pub fn views(&self) -> impl Iterator<Item = RegistrationView> + '_ {
        self.trunks
            .iter()
            .map(|(name, registration)| RegistrationView {
                trunk: name.clone(),
                registrar: registration.registrar().cloned(),
                state: registration.state,
            })
    }
}

/// How long our contact is registered by a 2xx (RFC 3261 §10.2.4); `None` where it does not say.
fn granted(response: &Response, profile: &TrunkProfile, aor: &Uri) -> Option<Duration> {
    let ours = profile.contact(aor.user());
    let contacts = response.headers.contacts().unwrap_or_default();
    let own = contacts.iter().find(|contact| {
        let uri = &contact.uri;
        uri.user() == ours.user() && uri.host_str().eq_ignore_ascii_case(ours.host_str())
    });
    let stated = own.and_then(|contact| contact.param("expires").flatten()?.parse().ok());
    let seconds: u32 = stated.or_else(|| response.headers.expires().ok().flatten())?;
    Some(Duration::from_secs(u64::from(seconds)))
}
