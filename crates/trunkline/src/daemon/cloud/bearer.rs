//! Who posts what happens to a call: Azure signs it, and its keys are fetched from where it names
//! them (OpenID Connect Discovery 1.0 §4, RFC 7515, RFC 7517, RFC 7519).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::config::resolve::Cloud;

/// Octets of the longest token that is looked at.
const LONGEST: usize = 16 << 10;
/// Octets of the longest list of keys, and keys of one.
const LONGEST_LIST: usize = 256 << 10;
const MOST_KEYS: usize = 64;
/// How often the keys are fetched, and the pause after an attempt that failed or that an unknown
/// key asked for.
const REFRESH: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_secs(30);
/// The pause after an attempt that failed while no key is known: until then nothing goes through
/// Azure.
const SOON: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
/// How far this machine's clock and Azure's may be apart, in seconds.
const LEEWAY: u64 = 60;

/// Why a post is not taken for Azure's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has no token.
    Missing,
    /// Its token is no token, was made out to somebody else or by somebody else, or is too old.
    Token,
    /// Its token is signed with a key that Azure does not name.
    Key,
}

impl Denied {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "no-token",
            Self::Token => "token",
            Self::Key => "key",
        }
    }
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
}

/// Azure's keys, and what its tokens have to say.
pub struct Bearer {
    http: reqwest::Client,
    openid: String,
    validation: Validation,
    keys: ArcSwap<Vec<Key>>,
    asked: Mutex<Option<Instant>>,
    wanted: tokio::sync::Notify,
}

#[derive(Deserialize)]
struct Discovery {
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Claims {}

impl Bearer {
    /// Knows no keys yet.
    pub fn new(cloud: &Cloud, http: reqwest::Client) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&cloud.audience]);
        validation.set_issuer(&[&cloud.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        Self {
            http,
            openid: cloud.openid.clone(),
            validation,
            keys: ArcSwap::default(),
            asked: Mutex::default(),
            wanted: tokio::sync::Notify::new(),
        }
    }

    /// Whether any key is known.
    pub fn is_ready(&self) -> bool {
        !self.keys.load().is_empty()
    }

    /// Fetches the keys, and again whenever they may have changed. Does not end. Says once that there
    /// are some.
    pub async fn keep(&self, known: oneshot::Sender<()>) {
        let mut known = Some(known);
        loop {
            let pause = match self.fetch().await {
                Ok(keys) => {
                    tracing::debug!(keys = keys.len(), "the keys that Azure signs with");
                    self.keys.store(keys.into());
                    if let Some(known) = known.take() {
                        // Whoever started this may not have waited.
                        let _ = known.send(());
                    }
                    REFRESH
                }
                Err(why) => {
                    tracing::warn!(from = self.openid, "Azure's signing keys: {why}");
                    if self.is_ready() { PAUSE } else { SOON }
                }
            };
            if let Ok(mut asked) = self.asked.lock() {
                *asked = Some(Instant::now());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let discovery: Discovery = self.read(&self.openid).await?;
        if !discovery.jwks_uri.starts_with("https://") {
            return Err("the keys are not named by an https address".to_owned());
        }
        let set: JwkSet = self.read(&discovery.jwks_uri).await?;
        let keys: Vec<Key> = set
            .keys
            .iter()
            .take(MOST_KEYS)
            .filter_map(|jwk| {
                Some(Key {
                    id: jwk.common.key_id.clone(),
                    key: DecodingKey::from_jwk(jwk).ok()?,
                })
            })
            .collect();
        match keys.is_empty() {
            true => Err("the list holds no key that can be used".to_owned()),
            false => Ok(keys),
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let sent = self.http.get(url).timeout(TIMEOUT).send().await;
        let mut response = sent
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| error.without_url().to_string())?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| error.without_url().to_string())?
        {
            if body.len() + chunk.len() > LONGEST_LIST {
                return Err(format!("the answer is longer than {LONGEST_LIST} octets"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| "the answer is not of the form".to_owned())
    }

    /// Whether a post with this `Authorization` is Azure's.
    ///
    /// # Errors
    /// Why it is not taken for it.
    pub fn verify(&self, authorization: Option<&str>) -> Result<(), Denied> {
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        });
        let token = token.ok_or(Denied::Missing)?;
        if token.len() > LONGEST {
            return Err(Denied::Token);
        }
        let header = decode_header(token).map_err(|_| Denied::Token)?;
        if header.alg != Algorithm::RS256 {
            return Err(Denied::Token);
        }
        let keys = self.keys.load();
        let fitting = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        let mut named = keys.iter().filter(fitting).peekable();
        if named.peek().is_none() {
            self.want_keys();
            return Err(Denied::Key);
        }
        let right = |key: &Key| decode::<Claims>(token, &key.key, &self.validation).is_ok();
        match named.any(right) {
            true => Ok(()),
            false => Err(Denied::Token),
        }
    }

    /// An unknown key may be a new one. Whoever invents keys makes nobody fetch them all the time.
    fn want_keys(&self) {
        let Ok(mut asked) = self.asked.lock() else {
            return;
        };
        if asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        self.wanted.notify_one();
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer({} keys)", self.keys.load().len())
    }
}
