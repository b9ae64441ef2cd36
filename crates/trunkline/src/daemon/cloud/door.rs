//! The door that Azure's posts come in by: a listener of its own, TLS only, with a bound on
//! everything. What is not known to be Azure's is refused and counted, and changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acs_client::call_automation::{
    CallEvent, IncomingCall, Malformed, Notification, call_events, grid_events,
};
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use super::bearer::{Bearer, Denied};
use super::desk::Refused;
use crate::config::resolve::Token;

/// Octets of the longest post.
const LONGEST: usize = 256 << 10;
/// Connections at once.
const CONNECTIONS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(10);
/// How long one post may take until it has been read.
const BODY: Duration = Duration::from_secs(10);
/// How long a connection is kept.
const LIFETIME: Duration = Duration::from_secs(120);
/// Hosts that may be asked to confirm a subscription.
const EVENT_GRID: &str = ".eventgrid.azure.net";

/// What came in and is Azure's, for the desk.
#[derive(Debug)]
pub enum Post {
    /// A call came in at the resource.
    Incoming(Box<IncomingCall>, oneshot::Sender<Result<(), Refused>>),
    /// Something happened to the call with this callback.
    Events(String, Vec<CallEvent>, oneshot::Sender<Result<(), Refused>>),
}

/// What became of the posts.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    pub(super) fn count(&self, what: &'static str) {
        if let Ok(mut counts) = self.0.lock() {
            *counts.entry(what).or_default() += 1;
        }
    }

    /// Each outcome with how often it came: `taken`, or the reason of a refusal.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock();
        counts.map_or_else(
            |_| Vec::new(),
            |counts| counts.iter().map(|(what, count)| (*what, *count)).collect(),
        )
    }
}

/// What every request can reach.
#[derive(Clone)]
pub struct Door {
    /// What the path of Event Grid's posts has to name.
    pub secret: Arc<Token>,
    /// Who may post to callbacks.
    pub bearer: Arc<Bearer>,
    /// Where posts go.
    pub desk: mpsc::Sender<Post>,
    /// What became of them.
    pub counts: Arc<Counts>,
    /// For the address by which a subscription is confirmed.
    pub http: reqwest::Client,
}

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, tls: Arc<ArcSwap<ServerConfig>>, door: Door) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let counts = Arc::clone(&door.counts);
    let router = Router::new()
        .route("/events/{secret}", post(events).options(handshake))
        .route("/calls/{token}", post(callback))
        .fallback(nowhere)
        .with_state(door);
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the listener of [cloud_calling]");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counts.count("connections");
            continue;
        };
        let (tls, router) = (TlsAcceptor::from(tls.load_full()), router.clone());
        tokio::spawn(async move {
            // Whoever goes away has nothing to be told.
            let _ = connection(stream, &tls, router).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, tls: &TlsAcceptor, router: Router) -> io::Result<()> {
    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??;
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::time::timeout(LIFETIME, served)
        .await?
        .map_err(io::Error::other)
}

impl Door {
    fn refuse(&self, status: StatusCode, why: &'static str) -> Response {
        self.counts.count(why);
        tracing::debug!(why, status = status.as_u16(), "a post was refused");
        status.into_response()
    }

    fn refused(&self, why: Refused) -> Response {
        let status = match why {
            Refused::Callback => StatusCode::NOT_FOUND,
            Refused::NoNonce | Refused::Nonce | Refused::Destination | Refused::Connection => {
                StatusCode::FORBIDDEN
            }
        };
        self.refuse(status, why.as_str())
    }

    fn malformed(&self, error: &Malformed) -> Response {
        tracing::debug!(%error, "a post that is none");
        self.refuse(StatusCode::BAD_REQUEST, "malformed")
    }

    /// The whole of a post, if it is short enough and comes in time.
    async fn body(&self, body: Body) -> Result<Vec<u8>, Response> {
        match tokio::time::timeout(BODY, to_bytes(body, LONGEST)).await {
            Ok(Ok(body)) => Ok(body.to_vec()),
            Ok(Err(_)) => Err(self.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large")),
            Err(_) => Err(self.refuse(StatusCode::REQUEST_TIMEOUT, "slow")),
        }
    }

    /// Hands a post to the desk.
    async fn hand(
        &self,
        post: impl FnOnce(oneshot::Sender<Result<(), Refused>>) -> Post,
    ) -> Response {
        let (answer, answered) = oneshot::channel();
        if self.desk.try_send(post(answer)).is_err() {
            return self.refuse(StatusCode::SERVICE_UNAVAILABLE, "busy");
        }
        match answered.await {
            Ok(Ok(())) => {
                self.counts.count("taken");
                StatusCode::OK.into_response()
            }
            Ok(Err(why)) => self.refused(why),
            Err(_) => self.refuse(StatusCode::SERVICE_UNAVAILABLE, "busy"),
        }
    }
}

fn says_too_long(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length > LONGEST)
}

async fn nowhere(State(door): State<Door>) -> Response {
    door.refuse(StatusCode::NOT_FOUND, "path")
}

/// CloudEvents' question whether posts are wanted (HTTP 1.1 Web Hooks for Event Delivery §4).
async fn handshake(
    State(door): State<Door>,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !door.secret.matches(&secret) {
        return door.refuse(StatusCode::NOT_FOUND, "secret");
    }
    let origin = headers.get("webhook-request-origin").cloned();
    let Some(origin) = origin else {
        return door.refuse(StatusCode::BAD_REQUEST, "malformed");
    };
    tracing::info!(?origin, "a subscription to events was confirmed");
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert("webhook-allowed-origin", origin);
    headers.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    response
}

/// Event Grid's posts.
async fn events(
    State(door): State<Door>,
    Path(secret): Path<String>,
    request: Request,
) -> Response {
    if !door.secret.matches(&secret) {
        return door.refuse(StatusCode::NOT_FOUND, "secret");
    }
    if says_too_long(request.headers()) {
        return door.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    }
    let body = match door.body(request.into_body()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let events = match grid_events(&body) {
        Ok(events) => events,
        Err(error) => return door.malformed(&error),
    };
    let mut response = StatusCode::OK.into_response();
    for event in events {
        match event.notification {
            Notification::Validation { code, url } => {
                door.counts.count("validation");
                confirm(&door, url);
                let answer = serde_json::json!({ "validationResponse": code });
                let kind = [(header::CONTENT_TYPE, "application/json")];
                response = (kind, answer.to_string()).into_response();
            }
            Notification::IncomingCall(call) => {
                let handed = door.hand(|answer| Post::Incoming(call, answer)).await;
                if handed.status() != StatusCode::OK {
                    return handed;
                }
            }
            Notification::Other(kind) => {
                tracing::debug!(kind, "an event of no use here");
                door.counts.count("other");
            }
        }
    }
    response
}

/// A subscription is confirmed by the code in the answer; the address does the same, and is read
/// only where it is Event Grid's.
fn confirm(door: &Door, url: Option<String>) {
    let Some(url) = url else { return };
    let host = host_of(&url).map(str::to_owned);
    let known = host.is_some_and(|host| host.to_ascii_lowercase().ends_with(EVENT_GRID));
    tracing::info!(known, "a subscription to events asks to be confirmed");
    if known {
        let http = door.http.clone();
        tokio::spawn(async move {
            // After the answer, which is the other way to confirm it.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked = http.get(url).timeout(BODY).send().await;
            if let Err(error) = asked {
                tracing::debug!(error = %error.without_url(), "the subscription's address");
            }
        });
    }
}

/// The host of an `https` address without user information and of the usual port.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.strip_suffix(":443").unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    (!host.is_empty() && host.chars().all(plain)).then_some(host)
}

/// Call Automation's posts.
async fn callback(
    State(door): State<Door>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    if let Err(why) = door.bearer.verify(authorization) {
        let status = match why {
            Denied::Missing => StatusCode::UNAUTHORIZED,
            Denied::Token | Denied::Key => StatusCode::FORBIDDEN,
        };
        return door.refuse(status, why.as_str());
    }
    if says_too_long(request.headers()) {
        return door.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    }
    let body = match door.body(request.into_body()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let events = match call_events(&body) {
        Ok(events) => events,
        Err(error) => return door.malformed(&error),
    };
    door.hand(|answer| Post::Events(token, events, answer))
        .await
}

/// Binds the listener.
///
/// # Errors
/// The address is in use, or not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_address_has_a_host() {
        let right = "https://rp-eastus.eventgrid.azure.net:443/eventsubscriptions/x?id=1";
        assert_eq!(host_of(right), Some("rp-eastus.eventgrid.azure.net"));
        for wrong in [
            "http://rp.eventgrid.azure.net/",
            "https://user@rp.eventgrid.azure.net/",
            "https://rp.eventgrid.azure.net:8080/",
            "https:///",
            "https://evil.example\\.eventgrid.azure.net/",
        ] {
            assert_eq!(host_of(wrong), None, "{wrong}");
        }
        let foreign = host_of("https://eventgrid.azure.net.evil.example/").unwrap();
        assert!(!foreign.ends_with(EVENT_GRID));
    }
}
