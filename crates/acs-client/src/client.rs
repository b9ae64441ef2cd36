//! The shell: takes the time, moves the bytes, waits, tries again.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use thiserror::Error as ThisError;

use crate::connection::ConnectionString;
use crate::error::{Answer, Error};
use crate::exchange::{Exchange, Method, Repeatability, RequestId, Stamp};

/// An answer longer than this is none.
const LONGEST_ANSWER: usize = 8 << 20;
const AGENT: &str = concat!("trunkline/", env!("CARGO_PKG_VERSION"));

/// How patient a client is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often one request is sent, 1 to 10. Default: 4.
    pub tries: u32,
    /// How long one sending may take until its answer is whole. Default: 20 s.
    pub timeout: Duration,
    /// The wait before the second try, doubled before each further one, where Azure does not say
    /// how long. Default: 800 ms.
    pub backoff: Duration,
    /// The longest wait between two tries. Where Azure asks for more, the request fails at once.
    /// Default: 30 s.
    pub longest_wait: Duration,
    /// How long a long-running operation is watched. Default: 10 minutes.
    pub operation: Duration,
    /// Time between two looks at a long-running operation, where Azure does not say. Default: 2 s.
    pub poll: Duration,
    /// Certificates (PEM) that are trusted instead of the operating system's.
    pub roots: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tries: 4,
            timeout: Duration::from_secs(20),
            backoff: Duration::from_millis(800),
            longest_wait: Duration::from_secs(30),
            operation: Duration::from_secs(600),
            poll: Duration::from_secs(2),
            roots: None,
        }
    }
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum SettingsError {
    /// The trusted certificates are no PEM file of certificates.
    #[error("the roots to trust are no certificates in PEM")]
    Roots,
    /// TLS cannot be set up, with the cause.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A client of one resource. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    connection: ConnectionString,
    settings: Settings,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.connection.endpoint())
            .finish_non_exhaustive()
    }
}

/// What came back: a 2xx with its fields that matter.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: HeaderMap,
}

/// What one sending came to.
enum Outcome {
    Done(Received),
    /// Sending it again may help, after this long where Azure says so.
    Again(Error, Option<Duration>),
    Final(Error),
}

impl Client {
    /// A client for the resource of `connection`.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(connection: ConnectionString, settings: Settings) -> Result<Self, SettingsError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout);
        if connection.is_this_machine() {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &settings.roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if roots.is_empty() {
                return Err(SettingsError::Roots);
            }
            builder = builder.tls_certs_only(roots);
        }
        let http = builder
            .build()
            .map_err(|error| SettingsError::Tls(cause(&error)))?;
        Ok(Self {
            http,
            connection,
            settings,
        })
    }

    /// The endpoint, as in `https://contoso.communication.azure.com`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.connection.endpoint()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// [`Error`]; a request is sent at most [`Settings::tries`] times.
    pub(crate) async fn read<T: DeserializeOwned>(&self, exchange: &Exchange) -> Result<T, Error> {
        let received = self.send(exchange).await?;
        self.parse(&received.body)
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        // serde's message names the place; it shows no value of the document.
        serde_json::from_slice(body).map_err(|error| {
            self.garbled(format!("line {}, column {}", error.line(), error.column()))
        })
    }

    pub(crate) fn garbled(&self, why: impl Into<String>) -> Error {
        Error::Garbled {
            host: self.connection.host().to_owned(),
            why: why.into(),
        }
    }

    /// Sends a request until it is done, refused, or was sent often enough.
    pub(crate) async fn send(&self, exchange: &Exchange) -> Result<Received, Error> {
        self.send_as(exchange, Repeatability::fresh()).await
    }

    /// As [`send`](Self::send), under a name it may have been sent by before.
    pub(crate) async fn send_as(
        &self,
        exchange: &Exchange,
        repeatability: Repeatability,
    ) -> Result<Received, Error> {
        let request = random_id();
        let mut wait = self.settings.backoff;
        // That a later try did not get through says nothing of an earlier one that may have.
        let mut doubt = None;
        for tries in 1.. {
            let stamp = Stamp {
                now: Timestamp::now(),
                request,
                repeatability,
            };
            let (error, asked) = match self.once(exchange, &stamp, tries).await {
                Outcome::Done(received) => return Ok(received),
                Outcome::Final(error) => return Err(error),
                Outcome::Again(error, asked) => (error, asked),
            };
            if exchange.method != Method::Get && error.is_outcome_unknown() {
                doubt = Some(error.clone());
            }
            let pause = asked.unwrap_or(wait);
            if tries >= self.settings.tries.clamp(1, 10) || pause > self.settings.longest_wait {
                return Err(doubt.unwrap_or(error));
            }
            tracing::debug!(request = %request, tries, cause = %error, "azure: asked again");
            tokio::time::sleep(pause).await;
            wait = wait.saturating_mul(2);
        }
        unreachable!("the loop ends with the last try")
    }

    async fn once(&self, exchange: &Exchange, stamp: &Stamp, tries: u32) -> Outcome {
        let url = format!("{}{}", self.connection.endpoint(), exchange.target);
        let method = match exchange.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self.http.request(method, url);
        let (host, key) = (self.connection.host(), self.connection.key());
        for (name, value) in exchange.headers(host, key, stamp) {
            request = request.header(name, value);
        }
        if exchange.content_type.is_some() {
            request = request.body(exchange.body.clone());
        }
        let changes = exchange.method != Method::Get;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return self.lost(&error, changes, tries),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = match self.body(response, changes, tries).await {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        if (200..300).contains(&status) {
            return Outcome::Done(Received { body, headers });
        }
        let answer = Answer::read(status, &body, text(&headers, "x-ms-request-id"));
        verdict(answer, tries, retry_after(&headers, stamp.now))
    }

    async fn body(
        &self,
        mut response: reqwest::Response,
        changes: bool,
        tries: u32,
    ) -> Result<Vec<u8>, Outcome> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_ANSWER => {
                    return Err(Outcome::Final(self.garbled("it is longer than 8 MiB")));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(error) => return Err(self.lost(&error, changes, tries)),
            }
        }
    }

    /// A sending without an answer. A connection that was never made changed nothing; a name that
    /// does not exist or a certificate that is not trusted does not get better by asking again.
    fn lost(&self, error: &reqwest::Error, changes: bool, tries: u32) -> Outcome {
        let host = self.connection.host().to_owned();
        if error.is_timeout() && !error.is_connect() {
            let within = self.settings.timeout;
            return Outcome::Again(
                Error::Silent {
                    host,
                    within,
                    tries,
                    changes,
                },
                None,
            );
        }
        let why = cause(error);
        if error.is_connect() {
            let lasting = why.contains("certificate");
            let error = Error::Unreachable { host, why };
            return if lasting {
                Outcome::Final(error)
            } else {
                Outcome::Again(error, None)
            };
        }
        if error.is_builder() {
            return Outcome::Final(self.garbled(why));
        }
        let within = self.settings.timeout;
        Outcome::Again(
            Error::Silent {
                host,
                within,
                tries,
                changes,
            },
            None,
        )
    }

    /// The target of a link Azure gave: its own host only, or a signature would go elsewhere.
    pub(crate) fn own_target(&self, link: &str) -> Result<String, Error> {
        if link.starts_with('/') && !link.starts_with("//") {
            return Ok(link.to_owned());
        }
        let endpoint = self.connection.endpoint();
        let own = link
            .get(..endpoint.len())
            .filter(|start| start.eq_ignore_ascii_case(&endpoint))
            .map(|start| &link[start.len()..]);
        match own {
            Some(target) if target.starts_with('/') => Ok(target.to_owned()),
            Some(_) | None => Err(self.garbled("a link in it leads to another host")),
        }
    }
}

fn verdict(answer: Answer, tries: u32, wait: Option<Duration>) -> Outcome {
    match answer.status {
        401 => Outcome::Final(Error::Unauthenticated(answer)),
        403 => Outcome::Final(Error::Forbidden(answer)),
        404 => Outcome::Final(Error::NotFound(answer)),
        409 | 412 => Outcome::Final(Error::Conflict(answer)),
        429 => Outcome::Again(Error::Throttled { answer, wait }, wait),
        500 | 502 | 503 | 504 => Outcome::Again(Error::Failing { answer, tries }, wait),
        501 | 505.. => Outcome::Final(Error::Failing { answer, tries }),
        _ => Outcome::Final(Error::Invalid(answer)),
    }
}

/// The innermost cause: the outer ones only say that sending failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// `Retry-After` in either form (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, "retry-after")?;
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

impl Repeatability {
    /// One that no request had before.
    #[must_use]
    pub fn fresh() -> Self {
        let now = Timestamp::now();
        Self {
            id: random_id(),
            first_sent: Timestamp::from_second(now.as_second()).unwrap_or(now),
        }
    }
}

fn random_id() -> RequestId {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).expect("the operating system has random octets");
    RequestId::from_random(octets)
}

#[cfg(test)]
mod tests;
