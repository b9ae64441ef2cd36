//! Where the exchange or the telephones of a trunk are, as they say it themselves: a registrar
//! with its location service (RFC 3261 §10.3).
//!
//! A contact is where calls go, by the address and port its REGISTER came from: behind NAT the
//! Contact names an address that nobody reaches, and over TCP and TLS the connection that brought
//! the REGISTER is the only way there (RFC 5626 in spirit, whose outbound is not promised, nor is
//! RFC 3327's Path). What is registered is in memory only: after a restart everybody registers
//! anew, within the interval that was granted.

mod sources;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ambient::Moment;
use sip_msg::wire::{Arrival, TrunkName};
use sip_msg::{HeaderName, NameAddr, Request, Scheme, StatusCode, TransportKind, Uri};
use thiserror::Error;

use crate::profile::{Profiles, RegistrarPolicy};
use crate::record::Number;
use sources::Sources;

/// Users of one trunk that may be registered at once.
const USERS_MAX: usize = 10_000;

/// The `q` of a contact that names none, and the highest, in thousandths (RFC 3261 §20.10).
const Q_MAX: u16 = 1000;

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// `*` with other contacts or without `Expires: 0`, or a contact that is no SIP address.
    #[error("Bad Contact")]
    Contact,
    /// The address of record has no user, so that nobody could be called by it.
    #[error("No User in To")]
    NoUser,
    /// Somebody else's address of record.
    #[error("Not Your Address Of Record")]
    NotTheirs,
    /// More contacts at once than a user may have.
    #[error("Too Many Contacts")]
    TooManyContacts,
    /// More users than a trunk may have.
    #[error("Too Many Users")]
    TooManyUsers,
    /// The interval is too short; at least so many seconds.
    #[error("Interval Too Brief")]
    TooBrief(u64),
    /// An older REGISTER than the one that was heard already.
    #[error("CSeq Out Of Order")]
    OutOfOrder,
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Contact => StatusCode::BAD_REQUEST,
            Self::NoUser => StatusCode::NOT_FOUND,
            Self::NotTheirs | Self::TooManyContacts => StatusCode::FORBIDDEN,
            Self::TooManyUsers => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooBrief(_) => StatusCode::INTERVAL_TOO_BRIEF,
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }
}

/// One contact of a user.
#[derive(Clone, Debug)]
struct Binding {
    contact: Uri,
    /// Thousandths.
    q: u16,
    call_id: Box<str>,
    seq: u32,
    until: Moment,
    refreshed: Moment,
    transport: TransportKind,
    received: SocketAddr,
}

impl Binding {
    /// The way there, by which its REGISTER came.
    fn hop(&self) -> Uri {
        hop(self.transport, self.received)
    }

    fn field(&self, now: Moment) -> String {
        let left = self.until.saturating_since(now).as_secs();
        let q = match self.q {
            Q_MAX => String::new(),
            q => format!(";q=0.{q:03}"),
        };
        format!("<{}>{q};expires={left}", self.contact)
    }
}

/// The address a message came from, as a next hop.
pub(crate) fn hop(transport: TransportKind, from: SocketAddr) -> Uri {
    let host = match from.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Uri::sip(None, &host, Some(from.port())).with_param("transport", Some(transport.uri_token()))
}

/// One line of a list of what is registered here.
#[derive(Clone, Debug)]
pub struct BindingView {
    /// The trunk.
    pub trunk: TrunkName,
    /// The user.
    pub user: Number,
    /// What it is reached over.
    pub transport: TransportKind,
    /// Where its REGISTER came from.
    pub received: SocketAddr,
    /// How much longer it holds.
    pub left: Duration,
}

/// Where a call to a registered user goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) request_uri: Uri,
    pub(crate) hop: Uri,
}

/// Everything that is registered. See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    trunks: BTreeMap<TrunkName, BTreeMap<String, Vec<Binding>>>,
    sources: Sources,
    /// Contacts that made room for newer ones.
    pub(crate) displaced: u64,
}

/// Who registers, and how it came.
pub(crate) struct Registering<'a> {
    pub(crate) request: &'a Request,
    pub(crate) arrival: &'a Arrival,
    /// The user whose password was shown; `None` where none is demanded.
    pub(crate) proven: Option<&'a str>,
}

impl Registrar {
    /// Keeps what is registered on trunks that still take registrations.
    pub(crate) fn reload(&mut self, profiles: &Profiles) {
        let sources = &mut self.sources;
        self.trunks.retain(|name, users| {
            let trunk = profiles.trunk(name);
            let stays = trunk.is_some_and(|trunk| trunk.registrar.is_some());
            if !stays {
                users.values().for_each(|gone| sources.remove(name, gone));
            }
            stays
        });
    }

    /// Takes a REGISTER; the Contact fields of its 200 are what is registered then. All of it is
    /// done or nothing.
    pub(crate) fn register(
        &mut self,
        now: Moment,
        trunk: &TrunkName,
        policy: &RegistrarPolicy,
        by: &Registering<'_>,
    ) -> Result<Vec<String>, Refused> {
        let headers = &by.request.headers;
        let to = headers.to().map_err(|_| Refused::NoUser)?;
        let user = to.uri.decoded_user().filter(|user| !user.is_empty());
        let user = user.ok_or(Refused::NoUser)?;
        if by.proven.is_some_and(|proven| proven != user) {
            return Err(Refused::NotTheirs);
        }
        let users = self.trunks.get(trunk);
        let known = users.and_then(|users| users.get(&user));
        let mut bindings: Vec<Binding> = known.cloned().unwrap_or_default();
        bindings.retain(|binding| now < binding.until);
        let displaced = change(now, &mut bindings, policy, by)?;
        let fields = bindings.iter().map(|binding| binding.field(now)).collect();
        let users = self.trunks.entry(trunk.clone()).or_default();
        let sources = &mut self.sources;
        if users.len() >= USERS_MAX && !bindings.is_empty() && !users.contains_key(&user) {
            users.retain(|_, bindings| {
                let stays = bindings.iter().any(|binding| now < binding.until);
                if !stays {
                    sources.remove(trunk, bindings);
                }
                stays
            });
            if users.len() >= USERS_MAX {
                return Err(Refused::TooManyUsers);
            }
        }
        if let Some(old) = users.remove(&user) {
            sources.remove(trunk, &old);
        }
        if !bindings.is_empty() {
            sources.add(trunk, &bindings);
            users.insert(user, bindings);
        }
        self.displaced += displaced;
        Ok(fields)
    }

    /// Where a call to `uri` goes on this trunk, best first. A registered user is called by its
    /// contact; any other number goes to whoever is registered, which is an exchange then.
    pub(crate) fn places(&self, now: Moment, trunk: &TrunkName, uri: &Uri) -> Vec<Place> {
        let Some(users) = self.trunks.get(trunk) else {
            return Vec::new();
        };
        let called = uri.decoded_user();
        let own = called.as_ref().and_then(|user| users.get(user));
        let mut found: Vec<&Binding> = match own {
            Some(bindings) => bindings.iter().collect(),
            None => users.values().flatten().collect(),
        };
        found.retain(|binding| now < binding.until);
        found.sort_by_key(|binding| (Reverse(binding.q), Reverse(binding.refreshed)));
        let place = |binding: &Binding| Place {
            request_uri: match (own, uri.user()) {
                (None, Some(user)) => binding.contact.without_headers().with_user(user),
                _ => binding.contact.without_headers(),
            },
            hop: binding.hop(),
        };
        found.into_iter().map(place).collect()
    }

    /// Whether anybody is registered on a trunk.
    pub(crate) fn has_any(&self, now: Moment, trunk: &TrunkName) -> bool {
        let users = self.trunks.get(trunk);
        let mut bindings = users.into_iter().flat_map(BTreeMap::values).flatten();
        bindings.any(|binding| now < binding.until)
    }

    /// The trunk that is registered from where this message came from.
    pub(crate) fn trunk_at(&self, now: Moment, arrival: &Arrival) -> Option<&TrunkName> {
        self.sources
            .trunk_at(now, (arrival.transport, arrival.remote))
    }

    /// Whether this is the way to somebody on that trunk.
    pub(crate) fn is_at(&self, trunk: &TrunkName, hop: &Uri) -> bool {
        let users = self.trunks.get(trunk);
        let mut bindings = users.into_iter().flat_map(BTreeMap::values).flatten();
        bindings.any(|binding| binding.hop() == *hop)
    }

    /// Everything that is registered.
    pub(crate) fn views(&self, now: Moment) -> impl Iterator<Item = BindingView> + '_ {
        let users = self.trunks.iter().flat_map(|(trunk, users)| {
            let users = users.iter();
            users.map(move |(user, bindings)| (trunk, user, bindings))
        });
        users.flat_map(move |(trunk, user, bindings)| {
            let there = bindings.iter().filter(move |binding| now < binding.until);
            there.map(move |binding| BindingView {
                trunk: trunk.clone(),
                user: Number::new(user),
                transport: binding.transport,
                received: binding.received,
                left: binding.until.saturating_since(now),
            })
        })
    }
}

/// Does to the bindings of one user what the request asks for; tells how many had to make room.
fn change(
    now: Moment,
    bindings: &mut Vec<Binding>,
    policy: &RegistrarPolicy,
    by: &Registering<'_>,
) -> Result<u64, Refused> {
    let headers = &by.request.headers;
    let call_id = headers.call_id().map_err(|_| Refused::OutOfOrder)?;
    let seq = headers.cseq().map_err(|_| Refused::OutOfOrder)?.seq;
    let older = |binding: &Binding| &*binding.call_id == call_id && seq <= binding.seq;
    // A malformed Expires is as good as none (RFC 3261 §20.19).
    let expires = headers.expires().ok().flatten();
    if headers.contact_is_star() {
        let alone = headers.get_all(&HeaderName::Contact).count() == 1;
        if !alone || expires != Some(0) {
            return Err(Refused::Contact);
        }
        if bindings.iter().any(older) {
            return Err(Refused::OutOfOrder);
        }
        bindings.clear();
        return Ok(0);
    }
    let contacts = headers.contacts().map_err(|_| Refused::Contact)?;
    if contacts.len() > policy.contacts {
        return Err(Refused::TooManyContacts);
    }
    for contact in &contacts {
        if !matches!(contact.uri.scheme(), Scheme::Sip | Scheme::Sips) {
            return Err(Refused::Contact);
        }
        let granted = granted(contact, expires, policy)?;
        let known = bindings
            .iter()
            .position(|binding| binding.contact.equivalent(&contact.uri));
        if let Some(at) = known {
            if older(&bindings[at]) {
                return Err(Refused::OutOfOrder);
            }
            bindings.remove(at);
        }
        if !granted.is_zero() {
            bindings.push(Binding {
                contact: contact.uri.clone(),
                q: quality(contact),
                call_id: call_id.into(),
                seq,
                until: now + granted,
                refreshed: now,
                transport: by.arrival.transport,
                received: by.arrival.remote,
            });
        }
    }
    let beyond = bindings.len().saturating_sub(policy.contacts);
    // Those of this request were pushed last, and are not more than there is room for.
    bindings.drain(..beyond);
    Ok(beyond as u64)
}

/// How long a contact holds: what it asks for, within the bounds.
fn granted(
    contact: &NameAddr,
    expires: Option<u32>,
    policy: &RegistrarPolicy,
) -> Result<Duration, Refused> {
    let own = contact.param("expires").flatten();
    let asked = own.and_then(|text| text.parse().ok()).or(expires);
    let asked = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let Some(asked) = asked else {
        return Ok(policy.max_expires);
    };
    if !asked.is_zero() && asked < policy.min_expires {
        return Err(Refused::TooBrief(policy.min_expires.as_secs()));
    }
    Ok(asked.min(policy.max_expires))
}

/// The contact's `q` in thousandths; what is no number counts as none.
fn quality(contact: &NameAddr) -> u16 {
    let named = contact.param("q").flatten();
    let q: Option<f32> = named.and_then(|text| text.parse().ok());
    let within = q.filter(|q| (0.0..=1.0).contains(q));
    // Within 0 and 1000, so that nothing is cut off.
    within.map_or(Q_MAX, |q| (q * f32::from(Q_MAX)) as u16)
}
