//! Two user agents, a bad link between them, a virtual clock and one seed.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Moment, Now, TokenRng};
use bytes::Bytes;
use sip_msg::{Method, StatusCode, TransportKind};

use super::bench::{arrival, brief, destination, name, now_at, outgoing, read, settings};
use crate::{ClientKey, DialogKey, ServerKey, UaConfig, UaEvent, UserAgent};

pub(super) const ALICE: usize = 0;
pub(super) const BOB: usize = 1;

/// What a link does to what is sent over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) loss_percent: u64,
    pub(super) twice_percent: u64,
    pub(super) delay_ms: (u64, u64),
}

impl Link {
    /// Loses nothing; 10 ms one way.
    pub(super) const GOOD: Self = Self {
        loss_percent: 0,
        twice_percent: 0,
        delay_ms: (10, 10),
    };
}

/// One side: a user agent and what its transaction user has heard.
pub(super) struct Party {
    pub(super) ua: UserAgent,
    addr: SocketAddr,
    /// Events not looked at yet.
    pub(super) inbox: VecDeque<UaEvent>,
    /// Every event there ever was, in short.
    pub(super) heard: Vec<String>,
}

impl Party {
    fn new(index: usize, seed: u64) -> Self {
        let mut bytes = [u8::try_from(index).unwrap(); 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let ua = UserAgent::new(UaConfig::default(), TokenRng::from_seed(bytes));
        let addr = ["192.0.2.1:5060", "192.0.2.2:5060"][index].parse().unwrap();
        Self {
            ua,
            addr,
            inbox: VecDeque::new(),
            heard: Vec::new(),
        }
    }
}

pub(super) struct Net {
    pub(super) moment: Moment,
    pub(super) parties: [Party; 2],
    pub(super) link: Link,
    pub(super) transport: TransportKind,
    /// One line a message that was sent: time in milliseconds, arrow, message.
    pub(super) ladder: Vec<String>,
    /// Messages to lose, in short, each as often as it is named.
    pub(super) lose: Vec<&'static str>,
    wire: BTreeMap<(Moment, u64), (usize, Bytes)>,
    sent: u64,
    rng: TokenRng,
}

impl Net {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        let mut bytes = [0xa5; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            moment: Moment::ZERO,
            parties: [Party::new(ALICE, seed), Party::new(BOB, seed)],
            link,
            transport: TransportKind::Udp,
            ladder: Vec::new(),
            lose: Vec::new(),
            wire: BTreeMap::new(),
            sent: 0,
            rng: TokenRng::from_seed(bytes),
        }
    }

    pub(super) fn now(&self) -> Now {
        now_at(self.moment)
    }

    /// Takes what both sides have to say and puts it on the wire.
    pub(super) fn drain(&mut self) {
        for side in [ALICE, BOB] {
            while let Some(transmit) = self.parties[side].ua.poll_transmit() {
                assert_eq!(destination(&transmit.to), self.parties[1 - side].addr);
                self.put(side, transmit.message);
            }
            while let Some(event) = self.parties[side].ua.poll_event() {
                self.parties[side].heard.push(name(&event));
                self.parties[side].inbox.push_back(event);
            }
            assert!(
                self.parties[side].ua.poll_query().is_none(),
                "numeric hosts need no DNS"
            );
            assert!(
                self.parties[side].ua.audit(),
                "a transaction has no deadline"
            );
        }
    }

    fn put(&mut self, from: usize, message: Bytes) {
        let line = brief(&read(message.clone()));
        let lost_by_name = self.lose.iter().position(|name| *name == line);
        let lost = lost_by_name.is_some() || self.rng.below(100) < self.link.loss_percent;
        if let Some(at) = lost_by_name {
            self.lose.remove(at);
        }
        let arrow = match (from, lost) {
            (ALICE, false) => "A ---> B",
            (ALICE, true) => "A --x  B",
            (_, false) => "A <--- B",
            (_, true) => "A  x-- B",
        };
        let at = self.moment.as_nanos() / 1_000_000;
        self.ladder.push(format!("{at:>6}  {arrow}  {line}"));
        if lost {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(100) < self.link.twice_percent);
        for _ in 0..copies {
            let (least, most) = self.link.delay_ms;
            let delay = Duration::from_millis(least + self.rng.below(most - least + 1));
            self.sent += 1;
            self.wire.insert(
                (self.moment + delay, self.sent),
                (1 - from, message.clone()),
            );
        }
    }

    /// The next packet or timer not after `end`; `false` if there is none.
    pub(super) fn step(&mut self, end: Moment) -> bool {
        self.drain();
        let packet = self.wire.first_key_value().map(|((at, _), _)| *at);
        let timers = self
            .parties
            .iter()
            .filter_map(|party| party.ua.poll_timeout());
        let Some(next) = timers.chain(packet).min().filter(|at| *at <= end) else {
            self.moment = end.max(self.moment);
            return false;
        };
        self.moment = next.max(self.moment);
        let now = self.now();
        if packet == Some(next) {
            let (_, (to, message)) = self.wire.pop_first().unwrap();
            let arrival = arrival(self.transport, self.parties[1 - to].addr);
            self.parties[to]
                .ua
                .handle_message(now, arrival, read(message));
        } else {
            for party in &mut self.parties {
                party.ua.handle_timeout(now);
            }
        }
        self.drain();
        true
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.moment + duration;
        while self.step(end) {}
    }

    /// Steps until `side` has heard something; it must within two minutes.
    pub(super) fn next_event(&mut self, side: usize) -> UaEvent {
        let end = self.moment + Duration::from_secs(120);
        loop {
            self.drain();
            if let Some(event) = self.parties[side].inbox.pop_front() {
                return event;
            }
            assert!(
                self.step(end),
                "nothing is heard; so far: {:#?}",
                self.ladder
            );
        }
    }

    pub(super) fn invite(&mut self) -> ClientKey {
        let next_hop = format!(
            "sip:{};transport={}",
            self.parties[BOB].addr, self.transport
        );
        let out = outgoing(Method::Invite, "sip:bob@192.0.2.2:5060", &next_hop);
        let now = self.now();
        self.parties[ALICE].ua.send(now, out)
    }

    /// Answers as a party with a Contact does.
    pub(super) fn answer(
        &mut self,
        side: usize,
        server: ServerKey,
        status: StatusCode,
    ) -> Option<DialogKey> {
        let now = self.now();
        let party = &mut self.parties[side];
        let mut response = party.ua.respond_to(server, status)?;
        let contact = format!("<sip:{}>", party.addr);
        response.headers.push(sip_msg::HeaderName::Contact, contact);
        party
            .ua
            .respond(now, server, response, Some(&settings()))
            .ok()
            .flatten()
    }

    pub(super) fn request(&mut self, side: usize, dialog: DialogKey, method: Method) -> ClientKey {
        let now = self.now();
        self.parties[side]
            .ua
            .dialog_request(now, dialog, method, |_| {})
            .unwrap()
    }

    pub(super) fn ack(&mut self, side: usize, dialog: DialogKey) {
        let now = self.now();
        self.parties[side].ua.ack(now, dialog, None).unwrap();
    }

    /// A call answered at once and acknowledged: the dialog on both sides.
    pub(super) fn established(&mut self) -> [DialogKey; 2] {
        self.invite();
        let UaEvent::Request { server, .. } = self.next_event(BOB) else {
            panic!("no INVITE")
        };
        let bob = self.answer(BOB, server, StatusCode::OK).unwrap();
        let UaEvent::Final { dialog, .. } = self.next_event(ALICE) else {
            panic!("no 200")
        };
        let alice = dialog.unwrap();
        self.ack(ALICE, alice);
        let UaEvent::Acked { .. } = self.next_event(BOB) else {
            panic!("no ACK")
        };
        [alice, bob]
    }

    /// Both tables are empty.
    pub(super) fn assert_empty(&self) {
        for party in &self.parties {
            let load = party.ua.load();
            let held = [
                load.clients,
                load.servers,
                load.dialogs,
                load.deadlines,
                load.transmits,
                load.lookups,
            ];
            assert_eq!(held, [0; 6], "something stays: {:#?}", self.ladder);
        }
    }
}
