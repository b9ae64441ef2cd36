//! A scripted telephone exchange: the carrier or the PBX on the other side of a gateway.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, Method, Request, Uri};
use tokio::sync::{broadcast, oneshot, watch};

use crate::agent::{Agent, AgentConfig, locked};
use crate::call::CallHandle;
use crate::caller::{self, Destination};
use crate::client::Reply;
use crate::connections::Connection;
use crate::log::Logged;
use crate::manner::{Manner, Occasion, supply};
use crate::media::MediaConfig;
use crate::script::{Behaviour, Behaviours, CallOptions, Timers, same_number};
use crate::stream::StreamLimits;
use crate::tap::Tap;
use crate::tls::TlsSettings;
use crate::wire::{ConnectError, Hop, TlsEnds, Transport};

/// Calls that may wait unheard in [`Party::incoming`].
const ANNOUNCED: usize = 1024;

/// Why a simulated peer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be opened.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The certificate, key or roots are unusable.
    #[error("cannot use the TLS settings: {0}")]
    Tls(#[from] rustls::Error),
    /// TLS is asked for without settings.
    #[error("TLS settings are missing")]
    TlsMissing,
}

/// How a party is set up.
#[derive(Clone, Debug)]
pub struct PartyConfig {
    /// What it calls itself in User-Agent and Server.
    pub name: String,
    /// How its SIP travels.
    pub transport: Transport,
    /// Where it listens; port 0 for any.
    pub bind: SocketAddr,
    /// Where it sends its calls.
    pub peer: SocketAddr,
    /// The host written into Request-URI and To; the name the peer's certificate must cover.
    /// The peer's address when absent.
    pub peer_name: Option<String>,
    /// The host it calls itself in From, Via and Contact; its address when absent.
    pub host: Option<String>,
    /// Header fields in every message besides the usual ones: name and value.
    pub headers: Vec<(String, String)>,
    /// Send in-dialog requests on connections of our own only, never on the peer's.
    pub one_way: bool,
    /// What NOTIFY says of a transfer the peer asks for, status by status; nothing refuses it.
    /// Nobody is transferred.
    pub refer_outcome: Vec<u16>,
    /// Methods named in Allow.
    pub allow: String,
    /// Addresses of names that appear in Contact and Record-Route.
    pub host_map: BTreeMap<String, IpAddr>,
    /// Needed for [`Transport::Tls`].
    pub tls: Option<TlsSettings>,
    /// Its media.
    pub media: MediaConfig,
    /// How it treats calls.
    pub behaviours: Behaviours,
    /// Retransmission timers.
    pub timers: Timers,
    /// Witness of every byte.
    pub tap: Tap,
}

impl PartyConfig {
    /// A party on a free loopback port that calls `peer`.
    pub fn new(name: &str, transport: Transport, peer: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            transport,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            peer,
            peer_name: None,
            host: None,
            headers: Vec::new(),
            one_way: false,
            refer_outcome: Vec::new(),
            allow: "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY".to_owned(),
            host_map: BTreeMap::new(),
            tls: None,
            media: MediaConfig::default(),
            behaviours: Behaviours::default(),
            timers: Timers::default(),
            tap: Tap::default(),
        }
    }
}

/// A running party. Everything of it ends when it is dropped.
pub struct Party {
    agent: Arc<Agent>,
    plain: Arc<Plain>,
}

impl Drop for Party {
    fn drop(&mut self) {
        self.agent.shutdown();
    }
}

impl Party {
    /// Opens the listener.
    ///
    /// # Errors
    /// When the socket cannot be bound or the TLS settings are unusable.
    pub async fn start(config: PartyConfig) -> Result<Self, StartError> {
        let tls = tls_ends(config.tls.as_ref())?;
        if config.transport == Transport::Tls && tls.is_none() {
            return Err(StartError::TlsMissing);
        }
        let agent_config = AgentConfig {
            transport: config.transport,
            binds: vec![config.bind],
            tls,
            limits: StreamLimits::default(),
            timers: config.timers,
            media: config.media.clone(),
            tap: config.tap.clone(),
        };
        let plain = Arc::new(Plain {
            calls: Announcements::default(),
            behaviours: Mutex::new(config.behaviours.clone()),
            peer: Mutex::new(config.peer),
            config,
        });
        let manner: Arc<dyn Manner> = Arc::clone(&plain) as _;
        let agent = Agent::start(agent_config, |_| manner).await?;
        Ok(Self { agent, plain })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.agent.local(0)
    }

    /// Sends calls to another address from now on: for peers started later than this one.
    pub fn set_peer(&self, peer: SocketAddr) {
        *locked(&self.plain.peer) = peer;
    }

    /// Treats calls to this number so from now on.
    pub fn set_behaviour(&self, number: &str, behaviour: Behaviour) {
        let mut behaviours = locked(&self.plain.behaviours);
        behaviours
            .by_number
            .retain(|(known, _)| !same_number(known, number));
        behaviours.by_number.push((number.to_owned(), behaviour));
    }

    /// Places a call; it proceeds while the handle is looked at.
    ///
    /// # Errors
    /// When no media ports can be bound.
    pub async fn call(&self, number: &str, options: CallOptions) -> std::io::Result<CallHandle> {
        let config = &self.plain.config;
        let peer = *locked(&self.plain.peer);
        let there = match &config.peer_name {
            Some(name) => format!("{name}:{}", peer.port()),
            None => peer.to_string(),
        };
        let to = match number {
            "" => format!("sip:{there}"),
            number => format!("sip:{number}@{there}"),
        };
        let text = options
            .request_uri
            .clone()
            .unwrap_or_else(|| format!("{to};transport={}", config.transport.uri_token()));
        let uri = Uri::parse(text).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        let here = self.plain.host(self.local_addr());
        let caller = options.caller.as_deref().unwrap_or("anonymous");
        let from = options.from_uri.clone();
        let destination = Destination {
            uri,
            to,
            from: from.unwrap_or_else(|| format!("sip:{caller}@{here}")),
            hop: self.plain.peer_hop(),
        };
        caller::place(&self.agent, destination, options).await
    }

    /// Sends OPTIONS to the peer; gives the status of the answer, if there was one.
    pub async fn ping(&self) -> Option<u16> {
        let here = self.plain.host(self.local_addr());
        let hop = self.plain.peer_hop();
        let link = self.agent.link_to(&hop, 0).await.ok()?;
        let transport = self.plain.config.transport.uri_token();
        let there = format!("sip:{}:{}", hop.server_name, hop.addr.port());
        let uri = Uri::parse(format!("{there};transport={transport}")).ok()?;
        let mut request = Request::new(Method::Options, uri);
        let headers = &mut request.headers;
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(
            HeaderName::From,
            format!("<sip:{here}>;tag={}", crate::random::token()),
        );
        headers.push(HeaderName::To, format!("<{there}>"));
        headers.push(HeaderName::CallId, crate::random::token());
        headers.push(HeaderName::CSeq, "1 OPTIONS");
        headers.push(
            HeaderName::Contact,
            self.plain.contact(None, self.local_addr()),
        );
        self.plain
            .complete(headers, Occasion::Request, self.local_addr());
        let mut exchange = self.agent.send_request(request, &link);
        loop {
            match exchange.replies.recv().await? {
                Reply::Response(response) if response.status.is_final() => {
                    return Some(response.status.code());
                }
                Reply::Response(_) => {}
                Reply::TimedOut => return None,
            }
        }
    }

    /// Sends these bytes to the peer, whatever they are.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn send_bytes(&self, bytes: impl Into<Bytes>) -> Result<(), ConnectError> {
        let link = self.agent.link_to(&self.plain.peer_hop(), 0).await?;
        self.agent.transmit_bytes(&bytes.into(), &link);
        Ok(())
    }

    /// Resolves to the next incoming call to this number. Ask before the call is placed.
    pub fn expect(&self, number: &str) -> oneshot::Receiver<CallHandle> {
        self.plain.calls.expect(number)
    }

    /// Every incoming call from now on.
    pub fn incoming(&self) -> broadcast::Receiver<CallHandle> {
        self.plain.calls.subscribe()
    }

    /// Every message sent and received, in order.
    pub fn messages(&self) -> Vec<Logged> {
        self.agent.log.all()
    }

    /// Every connection so far, in the order they ended their handshakes, failed ones included.
    pub fn connections(&self) -> Vec<Connection> {
        self.agent.wire.connections.all()
    }

    /// Changes whenever [`messages`](Self::messages) or [`connections`](Self::connections) do: what
    /// was looked for in vain is worth another look.
    pub fn activity(&self) -> watch::Receiver<()> {
        self.agent.activity()
    }

    /// Ends every call without a word and closes every socket.
    pub fn shutdown(&self) {
        self.agent.shutdown();
    }
}

pub(crate) fn tls_ends(settings: Option<&TlsSettings>) -> Result<Option<TlsEnds>, rustls::Error> {
    let ends = |tls: &TlsSettings| {
        Ok::<_, rustls::Error>(TlsEnds {
            client: tls.client()?,
            server: tls.server()?,
        })
    };
    settings.map(ends).transpose()
}

/// Who waits for incoming calls.
pub(crate) struct Announcements {
    expected: Mutex<Vec<(String, oneshot::Sender<CallHandle>)>>,
    all: broadcast::Sender<CallHandle>,
}

impl Default for Announcements {
    fn default() -> Self {
        Self {
            expected: Mutex::default(),
            all: broadcast::Sender::new(ANNOUNCED),
        }
    }
}

impl Announcements {
    pub(crate) fn expect(&self, number: &str) -> oneshot::Receiver<CallHandle> {
        let (waiting, call) = oneshot::channel();
        locked(&self.expected).push((number.to_owned(), waiting));
        call
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<CallHandle> {
        self.all.subscribe()
    }

    pub(crate) fn announce(&self, call: CallHandle) {
        let mut expected = locked(&self.expected);
        expected.retain(|(_, waiting)| !waiting.is_closed());
        let called = &call.parties().called;
        if let Some(place) = expected
            .iter()
            .position(|(number, _)| same_number(number, called))
        {
            // Whoever waited may have left between the two lines.
            let _ = expected.remove(place).1.send(call.clone());
        }
        let _ = self.all.send(call);
    }
}

/// The manner of an ordinary, polite exchange.
struct Plain {
    config: PartyConfig,
    peer: Mutex<SocketAddr>,
    behaviours: Mutex<Behaviours>,
    calls: Announcements,
}

impl Plain {
    fn peer_hop(&self) -> Hop {
        let addr = *locked(&self.peer);
        let name = self
            .config
            .peer_name
            .clone()
            .unwrap_or_else(|| addr.ip().to_string());
        Hop {
            transport: self.config.transport,
            addr,
            server_name: name,
        }
    }
}

impl Manner for Plain {
    fn host(&self, local: SocketAddr) -> String {
        match &self.config.host {
            Some(host) => format!("{host}:{}", local.port()),
            None => local.to_string(),
        }
    }

    fn contact(&self, user: Option<&str>, local: SocketAddr) -> String {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let transport = self.config.transport.uri_token();
        format!("<sip:{user}{};transport={transport}>", self.host(local))
    }

    fn complete(&self, headers: &mut Headers, occasion: Occasion<'_>, _local: SocketAddr) {
        supply(headers, HeaderName::Allow, &self.config.allow);
        let name = match occasion {
            Occasion::Request => HeaderName::UserAgent,
            Occasion::Response(..) => HeaderName::Server,
        };
        supply(headers, name, self.config.name.clone());
        for (name, value) in &self.config.headers {
            if let Some(name) = HeaderName::parse(name.as_bytes()) {
                headers.push(name, value);
            }
        }
    }

    fn route(&self, uri: &Uri) -> Option<Hop> {
        let peer = self.peer_hop();
        let host = uri.host_str();
        let literal = host.trim_matches(['[', ']']).parse().ok();
        let ip = literal.or_else(|| self.config.host_map.get(host).copied());
        let Some(ip) = ip else { return Some(peer) };
        let default = if self.config.transport == Transport::Tls {
            5061
        } else {
            5060
        };
        let addr = SocketAddr::new(ip, uri.port().unwrap_or(default));
        let server_name = if addr == peer.addr {
            peer.server_name
        } else {
            host.to_owned()
        };
        Some(Hop {
            transport: self.config.transport,
            addr,
            server_name,
        })
    }

    fn refer_outcome(&self) -> Vec<u16> {
        self.config.refer_outcome.clone()
    }

    fn reuses_connections(&self) -> bool {
        !self.config.one_way
    }

    fn behaviour(&self, called: &str) -> Behaviour {
        locked(&self.behaviours).of(called).clone()
    }

    fn announce(&self, call: CallHandle) {
        self.calls.announce(call);
    }
}
