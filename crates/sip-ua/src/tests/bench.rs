//! One user agent on a bench: messages in as text, messages out as text.

use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Moment, Now, TokenRng, WallTime};
use bytes::Bytes;
use sip_msg::wire::{Arrival, FlowId, ListenerId, To, Transmit, TrunkName};
use sip_msg::{
    Framing, Limits as MessageLimits, Message, Method, Request, TransportKind, Uri, parse,
};

use crate::{
    ClientKey, DatagramPolicy, DialogSettings, HopPolicy, Outgoing, SentBy, UaConfig, UaEvent,
    UserAgent,
};

pub(super) const PEER: &str = "192.0.2.2:5060";

pub(super) struct Bench {
    pub(super) ua: UserAgent,
    pub(super) moment: Moment,
    pub(super) transport: TransportKind,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(UaConfig::default())
    }

    pub(super) fn with(config: UaConfig) -> Self {
        let ua = UserAgent::new(config, TokenRng::from_seed([7; 32]));
        Self {
            ua,
            moment: Moment::ZERO,
            transport: TransportKind::Udp,
        }
    }

    pub(super) fn over(mut self, transport: TransportKind) -> Self {
        self.transport = transport;
        self
    }

    pub(super) fn now(&self) -> Now {
        now_at(self.moment)
    }

    pub(super) fn arrival(&self) -> Arrival {
        arrival(self.transport, PEER.parse().unwrap())
    }

    /// A message as the peer sends it: lines end in LF, the body is empty.
    pub(super) fn receive(&mut self, text: &str) {
        self.receive_from(text, PEER.parse().unwrap());
    }

    pub(super) fn receive_from(&mut self, text: &str, remote: SocketAddr) {
        let message = message(text);
        let arrival = arrival(self.transport, remote);
        self.ua.handle_message(self.now(), arrival, message);
    }

    pub(super) fn transmits(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.ua.poll_transmit()).collect()
    }

    /// What was sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<Message> {
        self.transmits()
            .into_iter()
            .map(|transmit| read(transmit.message))
            .collect()
    }

    /// As [`Self::sent`], in short: `INVITE`, `200 INVITE`.
    pub(super) fn sent_lines(&mut self) -> Vec<String> {
        self.sent().iter().map(brief).collect()
    }

    pub(super) fn events(&mut self) -> Vec<UaEvent> {
        std::iter::from_fn(|| self.ua.poll_event()).collect()
    }

    /// Steps through every deadline up to `duration` from now and notes, in milliseconds from
    /// now, what is sent when.
    pub(super) fn run(&mut self, duration: Duration) -> Vec<(u64, String)> {
        let start = self.moment;
        let end = start + duration;
        let mut log: Vec<_> = self
            .sent_lines()
            .into_iter()
            .map(|line| (0, line))
            .collect();
        loop {
            let due = self.ua.poll_timeout().filter(|at| *at <= end);
            self.moment = due.unwrap_or(end).max(self.moment);
            let now = self.now();
            self.ua.handle_timeout(now);
            let at = self.moment.saturating_since(start).as_millis();
            for line in self.sent_lines() {
                log.push((u64::try_from(at).unwrap(), line));
            }
            assert!(self.ua.audit(), "a transaction has no deadline");
            if due.is_none() {
                return log;
            }
        }
    }

    pub(super) fn send(&mut self, method: Method) -> ClientKey {
        self.send_to(
            method,
            &format!("sip:bob@{PEER};transport={}", self.transport.uri_token()),
        )
    }

    pub(super) fn send_to(&mut self, method: Method, next_hop: &str) -> ClientKey {
        let out = outgoing(method, "sip:bob@example.net", next_hop);
        self.ua.send(self.now(), out)
    }

    /// A response to `request` as the peer makes it, with a Contact.
    pub(super) fn answer(&mut self, request: &Message, status: u16, tag: &str) {
        self.answer_with(
            request,
            status,
            tag,
            &format!("Contact: <sip:bob@{PEER}>\n"),
        );
    }

    /// As [`Self::answer`], with more header fields, each ended by a line feed.
    pub(super) fn answer_with(&mut self, request: &Message, status: u16, tag: &str, more: &str) {
        let head = |name: &str| field(request, name);
        let to = match tag.is_empty() || head("To").contains("tag=") {
            true => head("To"),
            false => format!("{};tag={tag}", head("To")),
        };
        let text = format!(
            "SIP/2.0 {status} X\nVia: {}\nFrom: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n{more}",
            head("Via"),
            head("From"),
            head("Call-ID"),
            head("CSeq"),
        );
        self.receive(&text);
    }
}

pub(super) fn now_at(moment: Moment) -> Now {
    let micros = moment.as_nanos() / 1000;
    Now {
        moment,
        wall: WallTime::from_unix_micros(1_700_000_000_000_000 + micros),
    }
}

pub(super) fn arrival(transport: TransportKind, remote: SocketAddr) -> Arrival {
    Arrival {
        flow: FlowId(1),
        listener: Some(ListenerId(0)),
        opened_for: None,
        transport,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote,
        server_name: None,
        identity: None,
    }
}

pub(super) fn settings() -> DialogSettings {
    DialogSettings {
        trunk: TrunkName::from("carrier"),
        sent_by: SentBy {
            host: "192.0.2.1".into(),
            port: Some(5060),
        },
        pinned_hop: None,
        named_peer: None,
        datagrams: DatagramPolicy::default(),
        credentials: true,
    }
}

pub(super) fn outgoing(method: Method, uri: &str, next_hop: &str) -> Outgoing {
    let DialogSettings {
        trunk,
        sent_by,
        pinned_hop,
        named_peer,
        datagrams,
        credentials,
    } = settings();
    Outgoing {
        request: request(method, uri),
        trunk,
        next_hop: Uri::parse(next_hop.to_owned()).unwrap(),
        sent_by,
        pinned_hop,
        named_peer,
        policy: HopPolicy::default(),
        datagrams,
        credentials,
    }
}

pub(super) fn request(method: Method, uri: &str) -> Request {
    let text = format!(
        "{method} {uri} SIP/2.0\nFrom: <sip:alice@example.com>;tag=ours\nTo: <{uri}>\n\
         Via: SIP/2.0/UDP placeholder\nCall-ID: call-1@example.com\nCSeq: 1 {method}\n\
         Contact: <sip:alice@192.0.2.1:5060>\nMax-Forwards: 70\n"
    );
    let Message::Request(mut request) = message(&text) else {
        panic!("not a request")
    };
    request.headers.remove(&sip_msg::HeaderName::Via);
    request
}

/// A request of the peer, outside of a dialog.
pub(super) fn incoming(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP {PEER};branch={branch}\n\
         Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=theirs\nTo: <sip:alice@example.com>\n\
         Call-ID: call-2@example.net\nCSeq: 1 {method}\nContact: <sip:bob@{PEER}>\n"
    )
}

/// A request of the peer within the dialog of [`incoming`].
pub(super) fn within(method: &str, seq: u32, branch: &str, our_tag: &str) -> String {
    incoming(method, branch)
        .replace(
            "To: <sip:alice@example.com>",
            &format!("To: <sip:alice@example.com>;tag={our_tag}"),
        )
        .replace("CSeq: 1", &format!("CSeq: {seq}"))
}

pub(super) fn message(text: &str) -> Message {
    let wire = text.replace('\n', "\r\n") + "Content-Length: 0\r\n\r\n";
    read(wire.into())
}

pub(super) fn read(wire: Bytes) -> Message {
    parse(wire, &MessageLimits::default(), Framing::Datagram).expect("the message parses")
}

pub(super) fn brief(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => {
            let cseq = response.headers.cseq().unwrap();
            format!("{} {}", response.status.code(), cseq.method)
        }
    }
}

/// A header field of a message, as text.
pub(super) fn field(message: &Message, name: &str) -> String {
    let name = sip_msg::HeaderName::parse(name.as_bytes()).unwrap();
    message
        .headers()
        .get_str(&name)
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn destination(to: &To) -> SocketAddr {
    match to {
        To::Flow { remote, .. } => *remote,
        To::Hop(hop) => hop.addr,
    }
}

/// An event in short.
pub(super) fn name(event: &UaEvent) -> String {
    match event {
        UaEvent::Request { request, .. } => format!("Request {}", request.method),
        UaEvent::Cancelled { .. } => "Cancelled".to_owned(),
        UaEvent::Acked { .. } => "Acked".to_owned(),
        UaEvent::AckTimeout { .. } => "AckTimeout".to_owned(),
        UaEvent::PrackTimeout { .. } => "PrackTimeout".to_owned(),
        UaEvent::Provisional { response, .. } => format!("Provisional {}", response.status.code()),
        UaEvent::Final { response, .. } => format!("Final {}", response.status.code()),
        UaEvent::Failed { error, .. } => format!("Failed {error:?}"),
        UaEvent::ClientDone { .. } => "ClientDone".to_owned(),
        UaEvent::RetryInvite { .. } => "RetryInvite".to_owned(),
    }
}

pub(super) fn names(events: &[UaEvent]) -> Vec<String> {
    events.iter().map(name).collect()
}
