//! A simulated peer's engine: sockets, transactions, and the table of its dialogs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use sip_msg::{HeaderName, Message, Request, Response, StatusCode};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::client::Clients;
use crate::dialog::DialogId;
use crate::log::Log;
use crate::manner::{Manner, Occasion, Refusal, add};
use crate::media::MediaConfig;
use crate::script::Timers;
use crate::server::{Incoming, Servers};
use crate::stream::StreamLimits;
use crate::tap::Tap;
use crate::wire::{Arrived, ConnectError, Hop, Link, TlsEnds, Transport, Wire};

/// What reaches a call from its peer besides responses.
pub(crate) enum InDialog {
    Request(Incoming),
    Ack(Request),
    Cancel,
}

/// How an engine is set up.
pub(crate) struct AgentConfig {
    pub(crate) transport: Transport,
    pub(crate) binds: Vec<SocketAddr>,
    pub(crate) tls: Option<TlsEnds>,
    pub(crate) limits: StreamLimits,
    pub(crate) timers: Timers,
    pub(crate) media: MediaConfig,
    pub(crate) tap: Tap,
}

pub(crate) struct Agent {
    pub(crate) wire: Arc<Wire>,
    pub(crate) manner: Arc<dyn Manner>,
    pub(crate) timers: Timers,
    pub(crate) media: MediaConfig,
    pub(crate) tap: Tap,
    pub(crate) log: Log,
    pub(crate) clients: Mutex<Clients>,
    pub(crate) servers: Mutex<Servers>,
    dialogs: Mutex<HashMap<DialogId, mpsc::UnboundedSender<InDialog>>>,
    locals: Vec<SocketAddr>,
    tasks: Mutex<Vec<AbortHandle>>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Agent {
    /// Opens the listeners and starts answering. `manner` is given the bound addresses.
    pub(crate) async fn start(
        config: AgentConfig,
        manner: impl FnOnce(&[SocketAddr]) -> Arc<dyn Manner>,
    ) -> std::io::Result<Arc<Self>> {
        let (wire, arrivals) = Wire::new(config.tap.clone(), config.tls, config.limits);
        let mut locals = Vec::new();
        for (index, bind) in config.binds.iter().enumerate() {
            locals.push(wire.listen(index, config.transport, *bind).await?);
        }
        let log = Log::new(wire.connections.news());
        let agent = Arc::new(Self {
            wire,
            manner: manner(&locals),
            timers: config.timers,
            media: config.media,
            tap: config.tap,
            log,
            clients: Mutex::default(),
            servers: Mutex::default(),
            dialogs: Mutex::default(),
            locals,
            tasks: Mutex::default(),
        });
        let task = tokio::spawn(dispatch(Arc::downgrade(&agent), arrivals));
        agent.keep(task.abort_handle());
        Ok(agent)
    }

    /// Ends every task and closes every socket.
    pub(crate) fn shutdown(&self) {
        for task in locked(&self.tasks).drain(..) {
            task.abort();
        }
        locked(&self.dialogs).clear();
        self.wire.shutdown();
    }

    /// Changes with each message sent or received, and with each connection.
    pub(crate) fn activity(&self) -> watch::Receiver<()> {
        self.wire.connections.news().subscribe()
    }

    /// Remembers a task to be ended with the engine.
    pub(crate) fn keep(&self, task: AbortHandle) {
        let mut tasks = locked(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Bound addresses, in the order configured.
    pub(crate) fn locals(&self) -> &[SocketAddr] {
        &self.locals
    }

    pub(crate) fn local(&self, index: usize) -> SocketAddr {
        self.locals[index.min(self.locals.len() - 1)]
    }

    pub(crate) async fn link_to(&self, hop: &Hop, from: usize) -> Result<Arc<Link>, ConnectError> {
        self.wire.link_to(hop, (from, self.local(from))).await
    }

    /// Completes, prints, logs and sends a message.
    pub(crate) fn transmit(&self, message: Message, link: &Link) -> Bytes {
        let bytes = self.manner.dress(message);
        self.transmit_bytes(&bytes, link);
        bytes
    }

    pub(crate) fn transmit_bytes(&self, bytes: &Bytes, link: &Link) {
        self.log.note(true, link, bytes);
        link.send(bytes.clone());
    }

    pub(crate) fn register(&self, id: DialogId, inbox: mpsc::UnboundedSender<InDialog>) {
        locked(&self.dialogs).insert(id, inbox);
    }

    pub(crate) fn forget(&self, id: &DialogId) {
        locked(&self.dialogs).remove(id);
    }

    /// Hands something to the dialog a request belongs to; says whether there is one.
    pub(crate) fn deliver(&self, request: &Request, event: InDialog) -> bool {
        let id = DialogId {
            call_id: request.headers.call_id().unwrap_or_default().to_owned(),
            local_tag: request.headers.to_tag().unwrap_or_default().to_string(),
        };
        let inbox = locked(&self.dialogs).get(&id).cloned();
        inbox.is_some_and(|inbox| inbox.send(event).is_ok())
    }

    /// A response to `request` with what every response of this peer carries.
    pub(crate) fn response(
        &self,
        request: &Request,
        status: u16,
        to_tag: Option<&str>,
        link: &Link,
    ) -> Response {
        let status = StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        let mut response = Response::to_request(request, status, to_tag);
        let local = self.advertised(link);
        self.manner.complete(
            &mut response.headers,
            Occasion::Response(request, status.code()),
            local,
        );
        response
    }

    pub(crate) fn refusal(
        &self,
        request: &Request,
        refusal: &Refusal,
        to_tag: Option<&str>,
        link: &Link,
    ) -> Response {
        let mut response = self.response(request, refusal.status, to_tag, link);
        if let Some(phrase) = &refusal.phrase {
            response.reason = Bytes::from(phrase.clone());
        }
        if let Some(reason) = &refusal.reason {
            response.headers.push(HeaderName::Reason, reason.clone());
        }
        if let Some(seconds) = refusal.retry_after {
            response
                .headers
                .push(HeaderName::RetryAfter, seconds.to_string());
        }
        add(&mut response.headers, &refusal.headers);
        response
    }

    /// Our listener's address for messages on `link`: a connection we opened has a port of its
    /// own that nobody can call.
    pub(crate) fn advertised(&self, link: &Link) -> SocketAddr {
        self.locals
            .iter()
            .copied()
            .find(|local| *local == link.local)
            .or_else(|| {
                self.locals
                    .iter()
                    .copied()
                    .find(|local| local.ip() == link.local.ip())
            })
            .unwrap_or(link.local)
    }
}

async fn dispatch(agent: Weak<Agent>, mut arrivals: mpsc::UnboundedReceiver<Arrived>) {
    while let Some(arrived) = arrivals.recv().await {
        let Some(agent) = agent.upgrade() else { return };
        match arrived {
            Arrived::Message(link, bytes, parsed) => {
                agent.log.note(false, &link, &bytes);
                match *parsed {
                    Ok(Message::Request(request)) => agent.receive_request(link, request),
                    Ok(Message::Response(response)) => agent.receive_response(&link, response),
                    Err(rejected) => agent.receive_unparsable(&link, &bytes, &rejected),
                }
            }
            // RFC 5626 §3.5.1: one CRLF for two.
            Arrived::Ping(link) => link.send(Bytes::from_static(b"\r\n")),
            Arrived::Closed(link) => agent.fail_unheard(&link),
        }
    }
}
