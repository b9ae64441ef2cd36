//! Scripted parties: small SIP endpoints that share nothing with the gateway's own user agent.

mod account;
mod call;
mod client;
mod dialog;
mod reliable;
mod script;
mod server;
mod strict;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ambient::TokenRng;
use sip_msg::{HeaderName, Headers, Message, Request, Response, TransportKind, Uri};

use crate::description::{Description, Direction};
use crate::media::MediaEnd;
use client::Client;
use server::Server;

pub use account::{Account, Guard};
pub use call::{Call, Role, State};
pub use script::Script;
pub use transfer::{Farewell, Notified};

/// RFC 3261 T1, as parties use it.
const T1: Duration = Duration::from_millis(500);
/// RFC 3261 T2.
const T2: Duration = Duration::from_secs(4);
/// 64 times T1.
const GIVE_UP: Duration = Duration::from_secs(32);

/// The first port of a party's media; after the last one it begins anew.
const FIRST_PORT: u16 = 4_000;

/// Calls that come have numbers beyond this; those that are made have smaller ones.
const CALLED: u32 = 1 << 30;

/// How a party writes and what it insists on.
#[derive(Clone, Debug)]
pub struct Style {
    /// Header names in capitals.
    pub upper_case: bool,
    /// Its Contact.
    pub contact: String,
    /// The Record-Route it adds to what creates a dialog.
    pub record_route: Option<String>,
    /// The host of its From and To.
    pub host: String,
    /// The user part of its From, when it calls.
    pub number: String,
    /// Offers and demands SRTP.
    pub srtp: bool,
    /// Offers RTP and RTCP on one port.
    pub rtcp_mux: bool,
    /// How it holds: `sendonly`, or `inactive` at Microsoft.
    pub hold: Direction,
    /// Payload types it offers, in order of preference.
    pub formats: Vec<u8>,
    /// Checks what Microsoft's proxies check and notes what they would refuse.
    pub strict: bool,
}

/// Whether a party can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    Here,
    /// Connections to it are refused, datagrams come back as unreachable.
    Refuses,
    /// Nothing comes back.
    Gone,
}

/// What becomes of OPTIONS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pong {
    /// This status.
    Status(u16),
    /// No answer.
    Silence,
}

/// What a caller does as soon as it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Haste {
    /// It talks.
    #[default]
    None,
    /// Its BYE comes right behind its ACK.
    HangUp,
}

/// Where a message of a party goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Back where a request came from.
    Reply(u64),
    /// To the gateway's listener.
    Fresh,
}

/// What a party waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Repeat a request.
    Client(String),
    /// Repeat a final response.
    Server(String),
    /// The next step of a script.
    Script(u32),
    /// Answer a re-INVITE that was left waiting.
    Held(u32),
    /// Repeat a reliable provisional response.
    Reliable(u32),
}

/// What a party wants done.
#[derive(Debug)]
pub(crate) enum Out {
    Send(Route, Box<Message>),
    Wake(Duration, Wake),
}

/// How a call is made.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// The INVITE has no offer; the answer's ACK carries the description.
    pub late_offer: bool,
    /// Header fields to add.
    pub headers: Vec<(String, String)>,
    /// The user part of From, instead of the party's own number.
    pub from: Option<String>,
    /// What is done with reliable provisional responses.
    pub prack: Prack,
}

/// What a caller does with reliable provisional responses (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prack {
    /// Acknowledges them, with an answer where one is due.
    #[default]
    Plain,
    /// Acknowledges them with an offer, once the first one was answered.
    Offering,
    /// Never acknowledges them.
    Never,
}

/// A small SIP endpoint.
pub struct Party {
    /// Its name in ladders and the name of its trunk.
    pub name: String,
    /// How it writes.
    pub style: Style,
    /// Whether it can be reached.
    pub reach: Reach,
    /// What it does with calls that come.
    pub script: Script,
    /// What it does with OPTIONS.
    pub pong: Pong,
    /// What it does when its transfer went through.
    pub farewell: Farewell,
    /// Header fields of its BYEs and CANCELs.
    pub parting: Vec<(String, String)>,
    /// What a party that has been answered does with its ACK.
    pub haste: Haste,
    /// Answers an offer that came in a 2xx; a broken party does not.
    pub answers_late: bool,
    /// How long it leaves a re-INVITE unanswered.
    pub held_for: Duration,
    /// Refuses re-INVITEs with this status.
    pub refuses: Option<u16>,
    /// What the gateway did that this party's kind refuses. Tests assert that it is empty.
    pub faults: Vec<String>,
    /// What it asks for before it takes a REGISTER or a call; `None` takes calls of anybody and no
    /// REGISTER.
    pub guard: Option<Guard>,
    /// What it shows when it is asked.
    pub account: Option<Account>,
    /// OPTIONS that came.
    pub pings: usize,
    /// Takes TCP connections at the port of its datagrams.
    pub takes_streams: bool,
    pub(crate) sip: SocketAddr,
    pub(crate) transport: TransportKind,
    pub(crate) gateway: (String, u16),
    pub(crate) media: IpAddr,
    next_port: u16,
    /// The number of the call that came last.
    last_called: u32,
    tokens: TokenRng,
    pub(crate) calls: BTreeMap<u32, Call>,
    clients: BTreeMap<String, Client>,
    servers: BTreeMap<String, Server>,
    held: BTreeMap<u32, (Request, u64)>,
    pub(crate) out: VecDeque<Out>,
}

/// Where a party is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) sip: SocketAddr,
    pub(crate) media: IpAddr,
    pub(crate) transport: TransportKind,
    pub(crate) gateway: (String, u16),
}

impl Party {
    /// Whether something of it could be reached over `transport`.
    pub(crate) fn speaks(&self, transport: TransportKind) -> bool {
        let by_length = self.transport == TransportKind::Udp && transport == TransportKind::Tcp;
        self.transport == transport || by_length
    }

    pub(crate) fn new(name: &str, place: Place, style: Style, tokens: TokenRng) -> Self {
        Self {
            name: name.to_owned(),
            style,
            reach: Reach::Here,
            script: Script::default(),
            pong: Pong::Status(200),
            farewell: Farewell::default(),
            parting: Vec::new(),
            haste: Haste::default(),
            answers_late: true,
            held_for: Duration::ZERO,
            refuses: None,
            faults: Vec::new(),
            guard: None,
            account: None,
            pings: 0,
            takes_streams: false,
            sip: place.sip,
            transport: place.transport,
            gateway: place.gateway,
            media: place.media,
            next_port: FIRST_PORT,
            last_called: CALLED,
            tokens,
            calls: BTreeMap::new(),
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            held: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// Its calls, by the number that [`Handle`](crate::Handle) has.
    pub fn calls(&self) -> impl Iterator<Item = (u32, &Call)> {
        self.calls.iter().map(|(number, call)| (*number, call))
    }

    /// Sends OPTIONS, as Microsoft's proxies and many carriers do.
    pub(crate) fn ping(&mut self) {
        let request = self.out_of_dialog(sip_msg::Method::Options, "", None);
        self.send_request(request, None);
    }

    /// Forgets calls that are over or were never answered with a word, which no CANCEL ends (RFC
    /// 3261 §9.1), and transactions that are done, so that a long run stays of a size.
    pub(crate) fn forget_the_past(&mut self) {
        self.calls
            .retain(|_, call| !call.is_over() && !call.is_ignored());
        self.clients.retain(|_, client| !client.is_done());
        self.servers.retain(|_, server| !server.is_done());
    }

    /// Whether nothing is under way: every request answered, every answer acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.values().all(Client::is_done)
            && self.servers.values().all(Server::is_done)
            && self.held.is_empty()
    }

    /// Whether anything hangs on being woken for this.
    pub(crate) fn wants(&self, wake: &Wake) -> bool {
        match wake {
            Wake::Client(key) => self
                .clients
                .get(key)
                .is_some_and(|client| !client.is_done()),
            Wake::Server(key) => self
                .servers
                .get(key)
                .is_some_and(|server| !server.is_done()),
            Wake::Script(call) => self.calls.get(call).is_some_and(|call| !call.is_over()),
            Wake::Held(call) => self.held.contains_key(call),
            Wake::Reliable(call) => {
                let call = self.calls.get(call).filter(|call| !call.is_over());
                call.is_some_and(|call| call.reliable.is_some())
            }
        }
    }

    /// What must never be seen on another trunk: its addresses, Call-IDs and tags.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        let calls = self
            .calls
            .values()
            .flat_map(|call| [&call.call_id, &call.local_tag]);
        let addresses = [self.sip.ip().to_string(), self.media.to_string()];
        addresses.into_iter().chain(calls.cloned())
    }

    /// A message came from the gateway; `path` is where an answer to it goes.
    pub(crate) fn handle(&mut self, path: u64, message: Message) {
        match message {
            Message::Request(request) => {
                if self.style.strict {
                    self.check(&request);
                }
                self.handle_request(path, request);
            }
            Message::Response(response) => self.handle_response(response),
        }
    }

    pub(crate) fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Client(key) => self.repeat_request(key),
            Wake::Server(key) => self.repeat_response(key),
            Wake::Script(call) => self.next_step(call),
            Wake::Reliable(call) => self.repeat_reliable(call),
            Wake::Held(call) => {
                if let Some((request, path)) = self.held.remove(&call) {
                    self.answer_reinvite(call, path, &request);
                }
            }
        }
    }

    fn new_media(&mut self) -> MediaEnd {
        let port = self.next_port;
        self.next_port = port.checked_add(2).unwrap_or(FIRST_PORT);
        let key = self.new_key();
        let ssrc = u32::from(port) << 16 | 0xabcd;
        MediaEnd::new(
            (self.media, port).into(),
            self.style.srtp.then_some(key),
            ssrc,
        )
        .speaking(&self.style.formats)
    }

    fn new_key(&mut self) -> [u8; 30] {
        let mut key = [0; 30];
        for chunk in key.chunks_mut(8) {
            let bytes = self.tokens.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        key
    }

    /// The session as the party describes it now; as an answer, in reply to the last description.
    fn describe(&mut self, number: u32, answer: bool) -> Option<String> {
        let style = self.style.clone();
        let call = self.calls.get_mut(&number)?;
        let offered = call.described.last();
        let tag = offered
            .and_then(|offer| offer.crypto.first())
            .map_or(1, |crypto| crypto.0);
        let formats = match offered.filter(|_| answer) {
            Some(offer) => {
                let known = |format: &u8| style.formats.contains(format);
                offer.formats.iter().copied().filter(known).collect()
            }
            None => style.formats.clone(),
        };
        let mux = offered
            .filter(|_| answer)
            .map_or(style.rtcp_mux, |offer| offer.rtcp_mux && style.rtcp_mux);
        let description = Description {
            version: call.version,
            rtp: call.media.local(),
            savp: style.srtp,
            crypto: call.media.crypto(if answer { tag } else { 1 }),
            formats,
            rtcp_mux: mux,
            direction: call.direction,
        };
        Some(description.render())
    }

    fn uri(&self, text: &str) -> Uri {
        Uri::parse(text.to_owned()).expect("a party writes valid URIs")
    }

    fn via(&mut self) -> (String, String) {
        let branch = self.tokens.branch();
        let transport = self.transport.via_token();
        (
            format!("SIP/2.0/{transport} {};branch={branch};rport", self.sip),
            branch,
        )
    }

    /// A request outside of any dialog, complete but for a body.
    fn out_of_dialog(
        &mut self,
        method: sip_msg::Method,
        user: &str,
        from: Option<&str>,
    ) -> Request {
        let (host, port) = self.gateway.clone();
        let user_at = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        let target = format!("sip:{user_at}{host}:{port}");
        let number = from.unwrap_or(&self.style.number);
        let from = format!(
            "<sip:{number}@{}>;tag={}",
            self.style.host,
            self.tokens.tag()
        );
        let mut request = Request::new(method.clone(), self.uri(&target));
        let (via, _) = self.via();
        let headers = &mut request.headers;
        headers.push(HeaderName::Via, via);
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, from);
        headers.push(HeaderName::To, format!("<{target}>"));
        headers.push(HeaderName::CallId, self.tokens.call_id());
        headers.push(HeaderName::CSeq, format!("1 {}", method.as_str()));
        self.identify(&mut request.headers, true);
        request
    }

    /// Contact, Allow and Record-Route.
    fn identify(&self, headers: &mut Headers, creates_dialog: bool) {
        headers.push(HeaderName::Contact, format!("<{}>", self.style.contact));
        headers.push(HeaderName::Allow, "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY");
        if let Some(route) = self.style.record_route.as_ref().filter(|_| creates_dialog) {
            headers.push(HeaderName::RecordRoute, format!("<{route}>"));
        }
    }

    /// Sends a message; a party that shouts puts its header names in capitals.
    fn send(&mut self, route: Route, message: Message) {
        self.out.push_back(Out::Send(route, Box::new(message)));
    }

    fn respond(&mut self, path: u64, response: Response) {
        self.send(Route::Reply(path), Message::Response(response));
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }
}

/// A message as the party puts it on the wire.
pub(crate) fn render(style: &Style, message: &Message) -> Vec<u8> {
    let mut bytes = message.to_bytes().to_vec();
    if !style.upper_case {
        return bytes;
    }
    let mut in_name = false;
    let mut line_start = false;
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(b"\r\n\r\n") {
            break;
        }
        match bytes[at] {
            b'\n' => line_start = true,
            b':' => in_name = false,
            byte => {
                in_name |= line_start && byte != b' ';
                line_start = false;
                if in_name {
                    bytes[at].make_ascii_uppercase();
                }
            }
        }
    }
    bytes
}
