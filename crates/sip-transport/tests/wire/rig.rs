//! Two ends of a wire and the messages between them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::wire::{
    Arrival, FlowId, Hop, ListenerId, To, Transmit, TransmitId, TransportError, TransportReport,
    TrunkName,
};
use sip_msg::{Message, Request, TransportKind};
use sip_transport::{
    ClientAuthentication, Counter, FlowPolicy, Identity, Incoming, ListenerConfig, Receiver,
    ResolverConfig, Roots, TlsClientSettings, TlsServerSettings, Transport, TransportConfig,
    TransportLimits, TrunkFlow,
};

/// Far beyond what loopback needs, short enough for a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const LISTENER: ListenerId = ListenerId(1);
pub(crate) const TRUNK: &str = "peer";

pub(crate) struct End {
    pub(crate) transport: Transport,
    pub(crate) incoming: Receiver,
    next: u64,
}

impl End {
    pub(crate) fn start(config: TransportConfig) -> Self {
        let (transport, incoming) = Transport::start(config).unwrap();
        Self {
            transport,
            incoming,
            next: 0,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.transport.local_addr(LISTENER).unwrap()
    }

    pub(crate) fn send(&mut self, to: To, message: impl Into<Bytes>) -> TransmitId {
        self.next += 1;
        let id = TransmitId(self.next);
        self.transport.transmit(Transmit {
            id,
            to,
            message: message.into(),
        });
        id
    }

    /// As [`End::send`], but a datagram waits for the next flush.
    pub(crate) fn queue(&mut self, to: To, message: impl Into<Bytes>) -> TransmitId {
        self.next += 1;
        let id = TransmitId(self.next);
        self.transport.queue(Transmit {
            id,
            to,
            message: message.into(),
        });
        id
    }

    pub(crate) async fn next(&mut self) -> Incoming {
        let next = tokio::time::timeout(PATIENCE, self.incoming.next()).await;
        next.expect("something comes in")
            .expect("the transport runs")
    }

    /// The next message, past what is said of flows.
    pub(crate) async fn message(&mut self) -> (Arrival, Message) {
        loop {
            match self.next().await {
                Incoming::Message(arrival, message) => return (arrival, message.unwrap()),
                Incoming::FlowOpened(_) | Incoming::FlowClosed { .. } => {}
                other @ (Incoming::Report(_) | Incoming::Dns(_)) => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn request(&mut self) -> (Arrival, Request) {
        match self.message().await {
            (arrival, Message::Request(request)) => (arrival, request),
            (_, Message::Response(response)) => panic!("{response:?}"),
        }
    }

    pub(crate) async fn opened(&mut self) -> Arrival {
        loop {
            if let Incoming::FlowOpened(arrival) = self.next().await {
                return arrival;
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> (FlowId, sip_transport::CloseReason) {
        loop {
            if let Incoming::FlowClosed { flow, reason, .. } = self.next().await {
                return (flow, reason);
            }
        }
    }

    pub(crate) async fn failure(&mut self) -> (TransmitId, TransportError) {
        loop {
            if let Incoming::Report(TransportReport::Failed { id, error }) = self.next().await {
                return (id, error);
            }
        }
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.transport.counters().count(counter)
    }

    /// Waits until something has been counted so often. Datagrams are received meanwhile, and
    /// left in their lanes.
    pub(crate) async fn counted(&mut self, counter: Counter, times: u64) {
        let reached = async {
            // Counters are read, never waited for: they tell no one when they change.
            while self.count(counter) < times {
                if self.incoming.gather() == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(
            waited.is_ok(),
            "{}: {}",
            counter.name(),
            self.count(counter)
        );
    }
}

pub(crate) fn listener(transport: TransportKind) -> ListenerConfig {
    let bind = "127.0.0.1:0".parse().unwrap();
    ListenerConfig {
        id: LISTENER,
        transport,
        bind,
        tls: None,
        networks: Vec::new(),
    }
}

pub(crate) fn trunk(flows: FlowPolicy) -> TrunkFlow {
    TrunkFlow::new(TrunkName::from(TRUNK), flows)
}

pub(crate) fn config(listeners: Vec<ListenerConfig>, trunks: Vec<TrunkFlow>) -> TransportConfig {
    let resolver = ResolverConfig::None;
    TransportConfig {
        listeners,
        trunks,
        resolver,
        ..TransportConfig::default()
    }
}

pub(crate) fn limited(listener: ListenerConfig, limits: TransportLimits) -> TransportConfig {
    TransportConfig {
        limits,
        ..config(vec![listener], Vec::new())
    }
}

pub(crate) fn server(identities: Vec<Identity>, roots: Roots) -> TlsServerSettings {
    TlsServerSettings {
        identities,
        client_authentication: ClientAuthentication::Required,
        roots,
        client_names: Vec::new(),
    }
}

pub(crate) fn tls_listener(tls: TlsServerSettings) -> ListenerConfig {
    ListenerConfig {
        tls: Some(tls),
        ..listener(TransportKind::Tls)
    }
}

pub(crate) fn tls_trunk(identity: Option<Identity>, roots: Roots) -> TrunkFlow {
    TrunkFlow {
        tls: Some(TlsClientSettings { identity, roots }),
        ..trunk(FlowPolicy::OneWay)
    }
}

pub(crate) fn hop(transport: TransportKind, addr: SocketAddr, name: &str) -> Hop {
    Hop {
        trunk: TrunkName::from(TRUNK),
        transport,
        addr,
        server_name: name.into(),
    }
}

pub(crate) fn to_hop(transport: TransportKind, addr: SocketAddr, name: &str) -> To {
    To::Hop(hop(transport, addr, name))
}

pub(crate) fn back(arrival: &Arrival) -> To {
    To::Flow {
        flow: arrival.flow,
        remote: arrival.remote,
        fallback: None,
    }
}

/// A request of a call of its own; `to_tag` puts it into a dialog.
pub(crate) fn request(method: &str, call: &str, to_tag: Option<&str>, body: &str) -> String {
    let tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    format!(
        "{method} sip:peer.example SIP/2.0\r\n\
         Via: SIP/2.0/TCP here.example;branch=z9hG4bK{call}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:here.example>;tag=f{call}\r\n\
         To: <sip:peer.example>{tag}\r\n\
         Call-ID: {call}\r\n\
         CSeq: 1 {method}\r\n\
         Content-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn options(call: &str) -> String {
    request("OPTIONS", call, None, "")
}

pub(crate) fn ok(request: &Request) -> Bytes {
    sip_msg::Response::to_request(request, sip_msg::StatusCode::OK, Some("t")).to_bytes()
}

pub(crate) fn call_id(message: &Message) -> String {
    message.headers().call_id().unwrap().to_string()
}
