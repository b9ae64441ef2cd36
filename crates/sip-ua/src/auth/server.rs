//! Asking who it is.

use std::collections::BTreeMap;
use std::time::Duration;

use ambient::{Moment, Now};
use sha2::Sha256;
use sha2::digest::Digest as _;
use sip_msg::{Authentication, HeaderName, Request};
use subtle::ConstantTimeEq as _;

use super::{Algorithm, Password, Proof, Quality, hex, quoted};

/// How an [`Authenticator`] asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorConfig {
    /// The realm, as the other side's configuration names it.
    pub realm: String,
    /// The algorithms that are offered; the strongest stands first on the wire (RFC 8760 §2.4).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used. Default 5 minutes.
    pub lifetime: Duration,
    /// Nonces whose use is watched at once; beyond it the oldest is called stale. Default 4096.
    pub nonces: usize,
}

impl AuthenticatorConfig {
    /// SHA-256 and MD5 for that realm.
    #[must_use]
    pub fn new(realm: impl Into<String>) -> Self {
        Self {
            realm: realm.into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            lifetime: Duration::from_secs(300),
            nonces: 4096,
        }
    }
}

/// What the credentials of a request come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Authenticated {
        /// The user name.
        username: String,
    },
    /// There are none, or none for a nonce of ours. To be answered 401 with
    /// [`Authenticator::challenges`].
    Unknown,
    /// They are wrong, whichever part of them, and for a nonce that was sent to whoever they come
    /// from: nobody else can be made to look like their sender. To be answered 401 as well, so
    /// that the difference does not show.
    Wrong,
    /// They are right, but for a nonce that is too old, was counted already or is not ours: 401
    /// with `stale`.
    Stale,
}

/// Asks requests for credentials and judges them. A nonce is made of the time and a keyed hash of
/// it: what was never answered needs no memory.
#[derive(Debug)]
pub struct Authenticator {
    config: AuthenticatorConfig,
    secret: [u8; 32],
    /// When the last nonce was made: no two are alike.
    last: Moment,
    /// The counts that were seen, by nonce.
    used: BTreeMap<String, Used>,
}

/// A window over the counts of one nonce, so that messages that overtake each other are heard and
/// a repeated one is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    made: Moment,
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Used {
    /// Nothing was seen; there is no count 0.
    pub(super) fn of(made: Moment) -> Self {
        Self {
            made,
            highest: 0,
            seen: 1,
        }
    }

    /// Whether the count is new; it is taken as seen then.
    pub(super) fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let Some(bit) = 1_u64.checked_shl(behind) else {
            return false;
        };
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

impl Authenticator {
    /// Asks as `config` says. Nonces are made with `secret`, which must come from the operating
    /// system: whoever knows it can make nonces of his own.
    #[must_use]
    pub fn new(config: AuthenticatorConfig, secret: [u8; 32]) -> Self {
        Self {
            config,
            secret,
            last: Moment::ZERO,
            used: BTreeMap::new(),
        }
    }

    /// The values of `WWW-Authenticate` (or `Proxy-Authenticate`), one for each algorithm, the
    /// strongest first.
    #[must_use]
    pub fn challenges(&mut self, now: Now, stale: bool) -> Vec<String> {
        self.last = now.moment.max(self.last + Duration::from_nanos(1));
        let nonce = self.nonce(self.last);
        let realm = quoted(&self.config.realm);
        let stale = if stale { ", stale=true" } else { "" };
        let mut algorithms = self.config.algorithms.clone();
        algorithms.sort_unstable_by(|a, b| b.cmp(a));
        let challenge = |algorithm: Algorithm| {
            format!(
                "Digest realm={realm}, nonce=\"{nonce}\", qop=\"auth\", algorithm={}{stale}",
                algorithm.as_str()
            )
        };
        algorithms.into_iter().map(challenge).collect()
    }

    /// Judges the credentials of a request; `password` knows the users.
    pub fn verify<'p>(
        &mut self,
        now: Now,
        request: &Request,
        password: impl FnOnce(&str) -> Option<&'p Password>,
    ) -> Verdict {
        let name = HeaderName::Authorization;
        let credentials = request.headers.authentication(&name).unwrap_or_default();
        let ours = |found: &&Authentication| {
            found.scheme.eq_ignore_ascii_case("Digest")
                && found.param("realm") == Some(&self.config.realm)
        };
        let Some(credentials) = credentials.iter().find(ours) else {
            return Verdict::Unknown;
        };
        // An unknown user costs the same time as a wrong password.
        let nobody = Password::new("");
        let username = credentials.param("username").unwrap_or_default();
        let known = password(username);
        let proven = self.proven(request, credentials, known.unwrap_or(&nobody));
        let proven = proven.filter(|_| known.is_some());
        let made = credentials
            .param("nonce")
            .and_then(|nonce| self.made(nonce));
        let (made, (nonce, count)) = match (made, proven) {
            (Some(made), Some(proven)) => (made, proven),
            (Some(_), None) => return Verdict::Wrong,
            // A nonce of an earlier process: the user need not be asked for the password again.
            (None, Some(_)) => return Verdict::Stale,
            (None, None) => return Verdict::Unknown,
        };
        if now.moment.saturating_since(made) > self.config.lifetime {
            return Verdict::Stale;
        }
        if !self.take(now.moment, nonce, made, count) {
            return Verdict::Stale;
        }
        Verdict::Authenticated {
            username: username.to_owned(),
        }
    }

    /// The nonce and count of credentials whose response is right.
    fn proven(
        &self,
        request: &Request,
        credentials: &Authentication,
        password: &Password,
    ) -> Option<(String, u32)> {
        let name = credentials.param("algorithm").unwrap_or("MD5");
        let (algorithm, session) = Algorithm::parse(name)?;
        // Only what was offered: a weaker one would be a way around the choice.
        if session || !self.config.algorithms.contains(&algorithm) {
            return None;
        }
        let [nonce, uri, response] =
            ["nonce", "uri", "response"].map(|name| credentials.param(name));
        let (nonce, uri, response) = (nonce?, uri?, response?);
        // The URI must be the request's own, or the proof is of another request (RFC 7616 §3.4.6).
        if uri != request.uri.to_string() {
            return None;
        }
        let [qop, count, cnonce] = ["qop", "nc", "cnonce"].map(|name| credentials.param(name));
        // Every nonce was offered with it.
        let (qop, count, cnonce) = (qop?, count?, cnonce?);
        if !qop.eq_ignore_ascii_case("auth") || count.len() != 8 {
            return None;
        }
        let expected = Proof {
            algorithm,
            session: false,
            username: credentials.param("username").unwrap_or_default(),
            realm: &self.config.realm,
            password,
            nonce,
            quality: Some(Quality {
                integrity: false,
                count,
                cnonce,
            }),
            method: request.method.as_str(),
            uri,
            body: &[],
        }
        .response();
        let given = response.to_ascii_lowercase();
        let equal: bool = expected.as_bytes().ct_eq(given.as_bytes()).into();
        let number = u32::from_str_radix(count, 16).ok()?;
        equal.then(|| (nonce.to_owned(), number))
    }

    fn nonce(&self, at: Moment) -> String {
        let time = at.as_nanos().to_be_bytes();
        let mut text = hex(&time);
        text += &hex(&self.seal(&time));
        text
    }

    /// When a nonce of ours was made; `None` for one that is not.
    fn made(&self, nonce: &str) -> Option<Moment> {
        let digits = 2 * size_of::<u64>();
        let (time, seal) = nonce.split_at_checked(digits)?;
        let nanos = u64::from_str_radix(time, 16).ok()?;
        let ours = hex(&self.seal(&nanos.to_be_bytes()));
        let equal: bool = ours.as_bytes().ct_eq(seal.as_bytes()).into();
        equal.then(|| Moment::ZERO + Duration::from_nanos(nanos))
    }

    /// Half a SHA-256 of the key on both sides of the time: neither end can be extended.
    fn seal(&self, time: &[u8]) -> [u8; 16] {
        let mut digest = Sha256::new();
        digest.update(self.secret);
        digest.update(time);
        digest.update(self.secret);
        let mut half = [0; 16];
        half.copy_from_slice(&digest.finalize()[..16]);
        half
    }

    fn take(&mut self, now: Moment, nonce: String, made: Moment, count: u32) -> bool {
        if let Some(used) = self.used.get_mut(&nonce) {
            return used.take(count);
        }
        if self.used.len() >= self.config.nonces {
            let lifetime = self.config.lifetime;
            self.used
                .retain(|_, used| now.saturating_since(used.made) <= lifetime);
            if self.used.len() >= self.config.nonces {
                return false;
            }
        }
        let mut used = Used::of(made);
        let new = used.take(count);
        self.used.insert(nonce, used);
        new
    }
}
