//! Two user agents that do anything in any order over a link that loses, doubles, reorders and
//! damages what they send: each transaction keeps a deadline, and in the end nothing stays.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Moment, Now, TokenRng, WallTime};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_msg::wire::{Arrival, FlowId, ListenerId, To, TrunkName};
use sip_msg::{
    Framing, HeaderName, Headers, Limits as MessageLimits, Method, Request, StatusCode,
    TransportKind, Uri, parse,
};
use sip_ua::{
    ClientKey, DatagramPolicy, DialogKey, DialogSettings, HopPolicy, Outgoing, SentBy, ServerKey,
    UaConfig, UaEvent, UserAgent,
};

/// What one side has heard of.
#[derive(Default)]
struct Known {
    clients: Vec<ClientKey>,
    servers: Vec<ServerKey>,
    dialogs: Vec<DialogKey>,
    inbox: VecDeque<Bytes>,
}

struct Net {
    moment: Moment,
    agents: [UserAgent; 2],
    known: [Known; 2],
    /// Calls made so far; names them.
    made: u32,
}

const ADDRESSES: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];
const METHODS: [Method; 6] = [
    Method::Bye,
    Method::Invite,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Notify,
];
const STATUSES: [u16; 8] = [180, 183, 200, 202, 302, 486, 491, 503];

fn address(side: usize) -> SocketAddr {
    ADDRESSES[side].parse().expect("an address")
}

fn pick<T: Copy>(from: &[T], which: u8) -> Option<T> {
    let last = from.len().checked_sub(1)?;
    Some(from[usize::from(which) % (last + 1)])
}

impl Net {
    fn new() -> Self {
        let agent = |side: u8| UserAgent::new(UaConfig::default(), TokenRng::from_seed([side; 32]));
        Self {
            moment: Moment::ZERO,
            agents: [agent(1), agent(2)],
            known: Default::default(),
            made: 0,
        }
    }

    fn now(&self) -> Now {
        let micros = 1_700_000_000_000_000 + self.moment.as_nanos() / 1000;
        Now {
            moment: self.moment,
            wall: WallTime::from_unix_micros(micros),
        }
    }

    fn settings(side: usize) -> DialogSettings {
        DialogSettings {
            trunk: TrunkName::from("carrier"),
            sent_by: SentBy {
                host: address(side).ip().to_string().into(),
                port: Some(5060),
            },
            pinned_hop: None,
            named_peer: None,
            datagrams: DatagramPolicy::default(),
            credentials: true,
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            let agent = &mut self.agents[side];
            while let Some(transmit) = agent.poll_transmit() {
                let to = match &transmit.to {
                    To::Flow { remote, .. } => *remote,
                    To::Hop(hop) => hop.addr,
                };
                if to == address(1 - side) && self.known[1 - side].inbox.len() < 512 {
                    self.known[1 - side].inbox.push_back(transmit.message);
                }
            }
            while agent.poll_query().is_some() {}
            while let Some(event) = agent.poll_event() {
                self.known[side].hear(event);
            }
            assert!(agent.audit(), "a transaction without a deadline");
        }
    }

    /// Lets the first message toward `side` arrive.
    fn deliver(&mut self, side: usize) {
        if let Some(message) = self.known[side].inbox.pop_front() {
            self.arrive(side, message);
        }
    }

    fn arrive(&mut self, side: usize, message: Bytes) {
        let arrival = Arrival {
            flow: FlowId(1),
            listener: Some(ListenerId(0)),
            opened_for: None,
            transport: TransportKind::Udp,
            local: address(side),
            remote: address(1 - side),
            server_name: None,
            identity: None,
        };
        let now = self.now();
        match parse(message, &MessageLimits::default(), Framing::Datagram) {
            Ok(message) => self.agents[side].handle_message(now, arrival, message),
            Err(rejected) => self.agents[side].handle_rejected(now, arrival, *rejected),
        }
    }

    fn invite(&mut self, side: usize) {
        self.made += 1;
        let peer = ADDRESSES[1 - side];
        let uri = Uri::parse(format!("sip:callee@{peer}")).expect("a URI");
        let mut request = Request::new(Method::Invite, uri.clone());
        let headers = &mut request.headers;
        let tag = self.made;
        headers.push(
            HeaderName::From,
            format!("<sip:caller@example.com>;tag=f{tag}"),
        );
        headers.push(HeaderName::To, format!("<{uri}>"));
        headers.push(HeaderName::CallId, format!("call-{tag}@example.com"));
        headers.push(HeaderName::CSeq, "1 INVITE");
        headers.push(HeaderName::Contact, format!("<sip:{}>", ADDRESSES[side]));
        let DialogSettings {
            trunk,
            sent_by,
            pinned_hop,
            named_peer,
            datagrams,
            credentials,
        } = Self::settings(side);
        let out = Outgoing {
            request,
            trunk,
            next_hop: uri,
            sent_by,
            pinned_hop,
            named_peer,
            policy: HopPolicy::default(),
            datagrams,
            credentials,
        };
        let now = self.now();
        let client = self.agents[side].send(now, out);
        self.known[side].clients.push(client);
    }

    fn respond(&mut self, side: usize, which: u8) {
        let Some(server) = pick(&self.known[side].servers, which) else {
            return;
        };
        let status = STATUSES[usize::from(which >> 4) % STATUSES.len()];
        let status = StatusCode::new(status).expect("a status");
        let now = self.now();
        let agent = &mut self.agents[side];
        let Some(mut response) = agent.respond_to(server, status) else {
            return;
        };
        let contact = format!("<sip:{}>", ADDRESSES[side]);
        response.headers.push(HeaderName::Contact, contact);
        let settings = Self::settings(side);
        if let Ok(Some(dialog)) = agent.respond(now, server, response, Some(&settings)) {
            self.known[side].dialogs.push(dialog);
        }
    }

    fn operate(&mut self, [kind, which]: [u8; 2]) {
        let side = usize::from(kind & 1);
        let now = self.now();
        let known = &self.known[side];
        match (kind >> 1) % 16 {
            0 => self.invite(side),
            1..=3 => self.respond(side, which),
            4 => {
                if let Some(client) = pick(&known.clients, which) {
                    self.agents[side].cancel(now, client, Headers::new());
                }
            }
            5 => {
                if let Some(dialog) = pick(&known.dialogs, which) {
                    let _ = self.agents[side].ack(now, dialog, None);
                }
            }
            6 | 7 => {
                if let Some(dialog) = pick(&known.dialogs, which & 15) {
                    let method = METHODS[usize::from(which >> 4) % METHODS.len()].clone();
                    if let Ok(client) =
                        self.agents[side].dialog_request(now, dialog, method, |_| {})
                    {
                        self.known[side].clients.push(client);
                    }
                }
            }
            8 => {
                self.known[side].inbox.pop_front();
            }
            9 => {
                if let Some(message) = self.known[side].inbox.front().cloned() {
                    self.arrive(side, message);
                }
            }
            10 => self.known[side]
                .inbox
                .rotate_left(usize::from(!self.known[side].inbox.is_empty())),
            11 => {
                if let Some(message) = self.known[side].inbox.pop_front() {
                    let mut octets = message.to_vec();
                    let at = usize::from(which) * octets.len() / 256;
                    if let Some(octet) = octets.get_mut(at) {
                        *octet ^= 1 << (which & 7);
                    }
                    self.arrive(side, octets.into());
                }
            }
            12 => self.pass(Duration::from_millis(u64::from(which) * 20)),
            13 => self.pass(Duration::from_secs(u64::from(which))),
            _ => self.deliver(side),
        }
        self.drain();
    }

    /// Time passes, timer by timer; what is sent meanwhile waits.
    fn pass(&mut self, time: Duration) {
        let end = self.moment + time;
        while let Some(due) = self.agents.iter().filter_map(UserAgent::poll_timeout).min()
            && due <= end
        {
            self.moment = due.max(self.moment);
            let now = self.now();
            for agent in &mut self.agents {
                agent.handle_timeout(now);
            }
            self.drain();
        }
        self.moment = end;
    }

    /// Nothing arrives any more, and both sides let go of their dialogs.
    fn end(&mut self) {
        for side in 0..2 {
            let now = self.now();
            for dialog in std::mem::take(&mut self.known[side].dialogs) {
                self.agents[side].terminate(now, dialog);
            }
            for client in std::mem::take(&mut self.known[side].clients) {
                self.agents[side].cancel(now, client, Headers::new());
            }
        }
        self.drain();
        // Server transactions that nobody answers are given up after ten minutes.
        for _ in 0..3 {
            self.pass(Duration::from_secs(900));
            for side in 0..2 {
                let now = self.now();
                for dialog in std::mem::take(&mut self.known[side].dialogs) {
                    self.agents[side].terminate(now, dialog);
                }
            }
            self.drain();
        }
        for agent in &self.agents {
            let load = agent.load();
            let held = [load.clients, load.servers, load.dialogs, load.deadlines];
            assert_eq!(held, [0; 4], "clients, servers, dialogs, deadlines stay");
        }
    }
}

impl Known {
    fn hear(&mut self, event: UaEvent) {
        match event {
            UaEvent::Request { server, .. } => self.servers.push(server),
            UaEvent::Provisional {
                dialog: Some(dialog),
                ..
            }
            | UaEvent::Final {
                dialog: Some(dialog),
                ..
            } if !self.dialogs.contains(&dialog) => {
                self.dialogs.push(dialog);
            }
            UaEvent::ClientDone { client } => self.clients.retain(|known| *known != client),
            _ => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (operations, _) = data.as_chunks::<2>();
    let mut net = Net::new();
    for operation in operations.iter().take(256) {
        net.operate(*operation);
    }
    net.end();
});
