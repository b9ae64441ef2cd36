//! The REST half of Microsoft's side: SIP routing, Phone Numbers and Call Automation of
//! one resource, in memory.
//!
//! Read top down: [`RestSim`] is the shell that listens; `Service` takes one request as a value
//! and gives its answer: who asks (`auth`), whether the interface has that version (`versions`),
//! whether it was done before (`repeat`), then the area (`sip_routing`, `numbers`, [`calls`]). Faults that a
//! test wants stand before all of it.

mod answer;
mod auth;
pub mod calls;
mod faults;
mod listener;
mod numbers;
mod pattern;
mod repeat;
mod request;
mod service;
mod sip_routing;
mod versions;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Request as HttpRequest, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use faults::{Fault, Trouble};
pub use numbers::Owned;
pub use request::{Request, Seen};

use answer::Answer;
use calls::{CallAutomation, CallsConfig};
use service::{Done, Service};

use crate::Identity;

/// How a resource is simulated.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// Where it listens; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// Its certificate; `None` speaks plain HTTP.
    pub identity: Option<Identity>,
    /// Its access key, in octets.
    pub key: Vec<u8>,
    /// Names besides the `Host` field that clients may have signed instead of it, as they stand in
    /// a connection string.
    pub aliases: Vec<String>,
    /// How often a long-running operation is still running when it is asked for.
    pub running: u32,
    /// Its calls.
    pub calls: CallsConfig,
}

impl RestConfig {
    /// A resource with this key at a port of the system's choice on the loopback address.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            identity: None,
            key: key.into(),
            aliases: Vec::new(),
            running: 1,
            calls: CallsConfig::default(),
        }
    }
}

/// A running simulation of a resource's REST interface. Ends when dropped.
#[derive(Debug)]
pub struct RestSim {
    address: SocketAddr,
    scheme: &'static str,
    shared: Shared,
    calls: CallAutomation,
    server: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Service>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Service> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest body that is read.
const LONGEST: usize = 4 << 20;

impl RestSim {
    /// Begins to listen.
    ///
    /// # Errors
    /// The socket cannot be bound, or the identity is no identity.
    pub async fn start(config: RestConfig) -> io::Result<Self> {
        let socket = TcpListener::bind(config.bind).await?;
        let address = socket.local_addr()?;
        let calls = CallAutomation::new(config.calls.clone()).map_err(io::Error::other)?;
        let service = Service::new(&config, calls.clone());
        let shared = Shared(Arc::new(Mutex::new(service)));
        let routes = Router::new().fallback(serve).with_state(shared.clone());
        let (scheme, server) = match &config.identity {
            None => {
                let server = tokio::spawn(async move {
                    // Ends only with the task.
                    let _ = axum::serve(socket, routes).await;
                });
                ("http", server)
            }
            Some(identity) => {
                let listener = listener::Tls::new(socket, identity)?;
                let server = tokio::spawn(async move {
                    let _ = axum::serve(listener, routes).await;
                });
                ("https", server)
            }
        };
        calls.listens_at(format!("{scheme}://{address}"));
        Ok(Self {
            address,
            scheme,
            shared,
            calls,
            server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its calls.
    #[must_use]
    pub fn calls(&self) -> &CallAutomation {
        &self.calls
    }

    /// The connection string of the resource under the name `host`.
    #[must_use]
    pub fn connection_string(&self, host: &str) -> String {
        let (scheme, port) = (self.scheme, self.address.port());
        let key = self.shared.lock().key();
        format!("endpoint={scheme}://{host}:{port}/;accesskey={key}")
    }

    /// Has something go wrong.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().inject(fault);
    }

    /// Has the next long-running operation end with this error.
    pub fn fail_operation(&self, code: &str, message: &str) {
        self.shared.lock().numbers().fail_next(code, message);
    }

    /// Every request so far, oldest first; at most the last 10,000.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen()
    }

    /// The numbers the resource owns.
    #[must_use]
    pub fn owned(&self) -> Vec<Owned> {
        self.shared.lock().numbers().owned()
    }

    /// Has the resource own a number.
    pub fn own(&self, number: Owned) {
        self.shared.lock().numbers().own(number);
    }

    /// The SIP routing document.
    #[must_use]
    pub fn sip_configuration(&self) -> serde_json::Value {
        self.shared.lock().sip_routing().document()
    }

    /// Has somebody else change the SIP routing document to this.
    ///
    /// # Errors
    /// The error code Azure would give.
    pub fn set_sip_configuration(&self, document: &serde_json::Value) -> Result<(), String> {
        self.shared.lock().sip_routing().replace(document)
    }
}

impl Drop for RestSim {
    fn drop(&mut self) {
        self.server.abort();
        self.calls.shutdown();
    }
}

async fn serve(State(shared): State<Shared>, request: HttpRequest<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return written(Answer::bare(413));
    };
    let request = Request::new(&head, body.to_vec());
    let now = jiff::Timestamp::now();
    let done = shared.lock().handle(now, &request);
    match done {
        Done::Answer(answer) => written(answer),
        Done::Late(answer, after) => {
            tokio::time::sleep(after).await;
            written(answer)
        }
        Done::Never => std::future::pending().await,
    }
}

fn written(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        // What a request said may be echoed, and need not fit.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
