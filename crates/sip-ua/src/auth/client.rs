//! Answering challenges.

use std::collections::BTreeMap;

use ambient::TokenRng;
use sip_msg::wire::TrunkName;
use sip_msg::{Authentication, HeaderName, Request, Response, StatusCode};

use super::{Algorithm, Password, Proof, Quality, quoted};

/// The longest nonce or opaque value that is repeated to a server, in octets. A challenge with a
/// longer one is not answered.
const ECHO_MAX: usize = 1024;

/// Challenges that are looked at in one response.
const CHALLENGES_MAX: usize = 16;

/// How often one request is sent again with other credentials: for a first challenge and for a
/// nonce that has become stale.
pub(crate) const ROUNDS_MAX: u8 = 2;

/// Who this user agent is to one realm of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The realm they are for, exactly; no other is answered. `None` takes the realm of whoever
    /// challenges on the trunk.
    pub realm: Option<String>,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Password,
    /// Challenges with a weaker algorithm are not answered.
    pub weakest: Algorithm,
}

/// A challenge that was answered: later requests answer it again, unasked, until the server says
/// that its nonce is stale.
#[derive(Debug)]
struct Session {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    variant: bool,
    /// `Some(true)` for `auth-int`.
    quality: Option<bool>,
    /// The last `nc`.
    count: u32,
    /// A proxy asked, by 407.
    proxy: bool,
}

#[derive(Debug)]
struct Entry {
    credentials: Credentials,
    session: Option<Session>,
}

/// The credentials of all trunks. Bounded by what it is given.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    trunks: BTreeMap<TrunkName, Vec<Entry>>,
}

impl Keyring {
    /// Replaces the credentials of a trunk; sessions of those that stay are kept.
    pub(crate) fn set(&mut self, trunk: &TrunkName, credentials: Vec<Credentials>) {
        let mut old = self.trunks.remove(trunk).unwrap_or_default();
        let entries: Vec<Entry> = credentials
            .into_iter()
            .map(|credentials| {
                let same = old
                    .iter()
                    .position(|entry| entry.credentials == credentials);
                let session = same.and_then(|at| old.swap_remove(at).session);
                Entry {
                    credentials,
                    session,
                }
            })
            .collect();
        if !entries.is_empty() {
            self.trunks.insert(trunk.clone(), entries);
        }
    }

    /// Puts what sessions there are into a request that is about to be sent.
    pub(crate) fn preempt(&mut self, trunk: &TrunkName, request: &mut Request, rng: &mut TokenRng) {
        for entry in self.trunks.get_mut(trunk).into_iter().flatten() {
            entry.sign(request, rng);
        }
    }

    /// Answers the challenges of `response` in `request`, which it refused and which was sent
    /// `rounds` times with an answer already. Tells whether sending it again makes sense: not for
    /// a realm without credentials, and not when the very same credentials were refused without
    /// the nonce having been stale.
    pub(crate) fn answer(
        &mut self,
        trunk: &TrunkName,
        response: &Response,
        request: &mut Request,
        rounds: u8,
        rng: &mut TokenRng,
    ) -> bool {
        if rounds >= ROUNDS_MAX {
            return false;
        }
        let proxy = response.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        let name = if proxy {
            HeaderName::ProxyAuthenticate
        } else {
            HeaderName::WwwAuthenticate
        };
        let Ok(challenges) = response.headers.authentication(&name) else {
            return false;
        };
        let mut answered = false;
        for entry in self.trunks.get_mut(trunk).into_iter().flatten() {
            let ours = challenges.iter().take(CHALLENGES_MAX);
            let best = ours
                .filter_map(|challenge| entry.read(challenge, proxy))
                .max_by_key(|(session, _)| session.algorithm);
            let Some((session, stale)) = best else {
                continue;
            };
            if rounds > 0 && !stale {
                // The password is wrong, and a third try would not mend it.
                entry.session = None;
                return false;
            }
            entry.session = Some(session);
            answered |= entry.sign(request, rng);
        }
        answered
    }
}

impl Entry {
    /// The session that a challenge begins, and whether it calls the last nonce stale; `None`
    /// where it is not for these credentials or asks for what is not done.
    fn read(&self, challenge: &Authentication, proxy: bool) -> Option<(Session, bool)> {
        let digest = challenge.scheme.eq_ignore_ascii_case("Digest");
        let realm = challenge.param("realm")?;
        let ours = self.credentials.realm.as_deref();
        if !digest || realm.len() > ECHO_MAX || ours.is_some_and(|ours| ours != realm) {
            return None;
        }
        let (algorithm, variant) = Algorithm::parse(challenge.param("algorithm").unwrap_or("MD5"))?;
        let nonce = challenge
            .param("nonce")
            .filter(|nonce| nonce.len() <= ECHO_MAX)?;
        let opaque = challenge.param("opaque");
        if opaque.is_some_and(|opaque| opaque.len() > ECHO_MAX)
            || algorithm < self.credentials.weakest
        {
            return None;
        }
        let quality = match challenge.param("qop") {
            // A session variant has no value of ours to be made from (RFC 7616 §3.4.2).
            None if variant => return None,
            None => None,
            Some(offered) => {
                let mut offered = offered.split(',').map(str::trim);
                let plain = offered.clone().any(|qop| qop.eq_ignore_ascii_case("auth"));
                if !plain && !offered.any(|qop| qop.eq_ignore_ascii_case("auth-int")) {
                    return None;
                }
                Some(!plain)
            }
        };
        let stale = challenge
            .param("stale")
            .is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        let session = Session {
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            opaque: opaque.map(str::to_owned),
            algorithm,
            variant,
            quality,
            count: 0,
            proxy,
        };
        Some((session, stale))
    }

    /// Adds the credentials for the present session to a request, in place of older ones.
    fn sign(&mut self, request: &mut Request, rng: &mut TokenRng) -> bool {
        let Some(session) = self.session.as_mut() else {
            return false;
        };
        // The counter may not come round again under one nonce (RFC 7616 §3.4).
        let Some(count) = session.count.checked_add(1) else {
            self.session = None;
            return false;
        };
        session.count = count;
        let count = format!("{count:08x}");
        let cnonce = rng.tag();
        let uri = request.uri.to_string();
        let quality = session.quality.map(|integrity| Quality {
            integrity,
            count: &count,
            cnonce: &cnonce,
        });
        let Credentials {
            username, password, ..
        } = &self.credentials;
        let realm = session.realm.as_str();
        let response = Proof {
            algorithm: session.algorithm,
            session: session.variant,
            username,
            realm,
            password,
            nonce: &session.nonce,
            quality,
            method: request.method.as_str(),
            uri: &uri,
            body: &request.body,
        }
        .response();
        let variant = if session.variant { "-sess" } else { "" };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", \
             algorithm={}{variant}",
            quoted(username),
            quoted(realm),
            quoted(&session.nonce),
            quoted(&uri),
            session.algorithm.as_str(),
        );
        if let Some(quality) = quality {
            value += &format!(", cnonce=\"{cnonce}\", qop={}, nc={count}", quality.name());
        }
        if let Some(opaque) = &session.opaque {
            value += &format!(", opaque={}", quoted(opaque));
        }
        let name = if session.proxy {
            HeaderName::ProxyAuthorization
        } else {
            HeaderName::Authorization
        };
        put(request, name, realm, &value);
        true
    }
}

/// Sets the credentials of one realm; those of other realms stay.
fn put(request: &mut Request, name: HeaderName, realm: &str, value: &str) {
    let others: Vec<Vec<u8>> = request
        .headers
        .get_all(&name)
        .filter(|field| !is_for(field, realm))
        .map(<[u8]>::to_vec)
        .collect();
    request.headers.remove(&name);
    for other in others {
        request.headers.push(name.clone(), other);
    }
    request.headers.push(name, value);
}

/// Whether a field of ours is for that realm.
fn is_for(field: &[u8], realm: &str) -> bool {
    let parameter = format!("realm={}", quoted(realm));
    memmem(field, parameter.as_bytes())
}

fn memmem(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
