//! The run: a queue of events in the order of time, and what tests ask of it.

mod ask;
mod flows;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ambient::{Moment, Now, WallTime};
use b2bua::Input;
use sip_msg::dns::{DnsAnswer, DnsError, Query, RecordType, Records};
use sip_msg::wire::{FlowId, ListenerId, TransportError, TransportReport, TrunkName};
use sip_msg::{Framing, Limits, Message, TransportKind, parse};

use crate::gateway::Gateway;
use crate::ladder::Ladder;
use crate::link::{Fate, Link, Toward};
use crate::party::{Out, Party, Reach, Route, Wake, render};
use crate::world::World;

pub use ask::Handle;

/// 2026-01-01T00:00:00Z, when every run starts.
const START: WallTime = WallTime::from_unix_micros(1_767_225_600_000_000);

/// How long the name server takes.
const DNS_DELAY: Duration = Duration::from_millis(2);

/// How long a connection attempt to a host that is gone takes to fail.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a refusal takes to come back.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Virtual time after which [`Sim::run_until_quiet`] gives up.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Something that will happen.
#[derive(Debug)]
enum Event {
    ToGateway {
        party: usize,
        flow: FlowId,
        octets: Vec<u8>,
    },
    ToParty {
        party: usize,
        flow: FlowId,
        octets: Vec<u8>,
    },
    Wake {
        party: usize,
        wake: Wake,
    },
    Dns(DnsAnswer),
    Report(TransportReport),
    MediaToGateway {
        from: SocketAddr,
        to: SocketAddr,
        octets: Vec<u8>,
    },
    MediaToParty {
        from: SocketAddr,
        to: SocketAddr,
        octets: Vec<u8>,
    },
    Talk {
        handle: Handle,
        left: u32,
    },
    Ping {
        party: usize,
    },
}

/// A party with its place in the world.
struct Seat {
    party: Party,
    trunk: TrunkName,
    listener: ListenerId,
    link: Link,
    inward: Fate,
    outward: Fate,
}

/// A running world.
pub struct Sim {
    now: Now,
    gateway: Gateway,
    seats: Vec<Seat>,
    queue: BTreeMap<(Moment, u64), Event>,
    events: u64,
    next_call: u32,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    ladder: Ladder,
    restarts: Restarts,
    leaks: Vec<String>,
    /// What is longer cannot be sent over UDP.
    longest_datagram: usize,
    /// Whether messages are searched for what must not cross.
    searches: bool,
}

/// When the gateway is replaced by one that was restored from checkpoints.
#[derive(Default)]
struct Restarts {
    everywhere: bool,
    /// Something happened since the last one.
    due: bool,
    done: usize,
}

impl Sim {
    pub(crate) fn start(world: World) -> Self {
        let now = Now {
            moment: Moment::from_nanos(1_000_000_000),
            wall: START,
        };
        let chance = world.chance("gateway");
        let gateway = Gateway::new(now, world.config(), world.snapshot(), chance);
        let mut columns: Vec<String> = Vec::new();
        for (party, ..) in &world.parties {
            columns.push(party.name.clone());
        }
        columns.insert(1, "trunkline".to_owned());
        let mut seats = Vec::new();
        let fates: Vec<(Fate, Fate)> = (world.parties.iter())
            .map(|(party, ..)| {
                let mut chance = world.chance(&format!("link {}", party.name));
                (Fate::new(chance.fork()), Fate::new(chance))
            })
            .collect();
        for ((party, trunk, listener, link), (inward, outward)) in
            world.parties.into_iter().zip(fates)
        {
            seats.push(Seat {
                party,
                trunk,
                listener,
                link,
                inward,
                outward,
            });
        }
        let mut sim = Self {
            now,
            gateway,
            seats,
            queue: BTreeMap::new(),
            events: 0,
            next_call: 0,
            hosts: world.hosts,
            ladder: Ladder::new(columns),
            restarts: Restarts::default(),
            leaks: Vec::new(),
            longest_datagram: 65_507,
            searches: true,
        };
        sim.settle();
        sim
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.events += 1;
        self.queue
            .insert((self.now.moment + after, self.events), event);
    }

    /// Does the next thing, unless that lies beyond `until`.
    fn step(&mut self, until: Moment) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = queued.into_iter().chain(self.gateway.next_wake()).min() else {
            return false;
        };
        if next > until {
            return false;
        }
        self.advance(next);
        if queued.is_some_and(|at| at <= self.now.moment) {
            if let Some((_, event)) = self.queue.pop_first() {
                self.dispatch(event);
            }
        } else {
            self.gateway.handle_timeout(self.now);
        }
        self.settle();
        true
    }

    fn advance(&mut self, to: Moment) {
        let to = to.max(self.now.moment);
        self.now = Now {
            moment: to,
            wall: self.now.wall_at(to),
        };
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::ToGateway {
                party,
                flow,
                octets,
            } => {
                self.restarts.due = true;
                let arrival = self.arrival(party, flow);
                let framing = self.framing(party, flow);
                let input = match parse(octets.into(), &Limits::default(), framing) {
                    Ok(message) => Input::Message(arrival, message),
                    Err(rejected) => Input::Rejected(arrival, rejected),
                };
                self.gateway.handle(self.now, input);
            }
            Event::ToParty {
                party,
                flow,
                octets,
            } => {
                self.restarts.due = true;
                let framing = self.framing(party, flow);
                let seat = &mut self.seats[party];
                match parse(octets.into(), &Limits::default(), framing) {
                    Ok(message) => seat.party.handle(flow.0, message),
                    Err(rejected) => seat
                        .party
                        .faults
                        .push(format!("malformed: {}", rejected.error)),
                }
            }
            Event::Wake { party, wake } => self.seats[party].party.wake(wake),
            Event::Dns(answer) => self.gateway.handle(self.now, Input::Dns(answer)),
            Event::Report(report) => self.gateway.handle(self.now, Input::Report(report)),
            Event::MediaToGateway { from, to, octets } => {
                self.gateway.hear(self.now, from, to, &octets);
            }
            Event::MediaToParty { from, to, octets } => self.media_to_party(from, to, octets),
            Event::Talk { handle, left } => self.talk_on(handle, left),
            Event::Ping { party } => self.seats[party].party.ping(),
        }
    }

    fn framing(&self, party: usize, flow: FlowId) -> Framing {
        match self.transport(party, flow) {
            TransportKind::Udp => Framing::Datagram,
            TransportKind::Tcp | TransportKind::Tls | TransportKind::Ws | TransportKind::Wss => {
                Framing::Stream
            }
        }
    }

    /// Carries away all that the gateway and the parties want done, until nobody wants anything.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            while let Some(query) = self.gateway.queries.pop_front() {
                busy = true;
                let answer = self.look_up(query);
                self.schedule(DNS_DELAY, Event::Dns(answer));
            }
            while let Some(transmit) = self.gateway.transmits.pop_front() {
                busy = true;
                self.transmit(transmit);
            }
            while let Some(packet) = self.gateway.packets.pop_front() {
                busy = true;
                let event = Event::MediaToParty {
                    from: packet.from,
                    to: packet.to,
                    octets: packet.octets,
                };
                self.schedule(Duration::from_millis(10), event);
            }
            for index in 0..self.seats.len() {
                while let Some(out) = self.seats[index].party.out.pop_front() {
                    busy = true;
                    self.carry_out(index, out);
                }
            }
            if !busy {
                break;
            }
        }
        if self.restarts.everywhere && self.restarts.due {
            self.restore_if_quiet();
        }
    }

    fn carry_out(&mut self, index: usize, out: Out) {
        match out {
            Out::Wake(after, wake) => self.schedule(after, Event::Wake { party: index, wake }),
            Out::Send(route, message) => {
                let flow = match route {
                    Route::Reply(flow) => FlowId(flow),
                    Route::Fresh => self.own_flow(index),
                };
                let reliable = self.transport(index, flow) != TransportKind::Udp;
                let seat = &mut self.seats[index];
                if seat.party.reach == Reach::Gone {
                    return;
                }
                let times = seat
                    .inward
                    .deliveries(seat.link.lane(Toward::Gateway), reliable);
                let octets = render(&seat.party.style, &message);
                self.note(self.column(index), 1, &message, times.len());
                for after in times {
                    let octets = octets.clone();
                    self.schedule(
                        after,
                        Event::ToGateway {
                            party: index,
                            flow,
                            octets,
                        },
                    );
                }
            }
        }
    }

    fn note(&mut self, from: usize, to: usize, message: &Message, arrivals: usize) {
        self.ladder
            .add(self.now.moment, from, to, message, arrivals);
    }

    /// The column of a party; the gateway has the second one.
    fn column(&self, index: usize) -> usize {
        if index == 0 { 0 } else { index + 1 }
    }

    fn look_up(&self, query: Query) -> DnsAnswer {
        let ttl = Duration::from_secs(300);
        let known = self.hosts.get(query.name.as_ref());
        let result = match (query.kind, known) {
            (RecordType::A, Some(addresses)) => Ok(Records::Addresses(addresses.clone())),
            (_, Some(_)) => Err(DnsError::NoData),
            (_, None) => Err(DnsError::NoSuchName),
        };
        DnsAnswer { query, result, ttl }
    }

    fn fail(&mut self, id: sip_msg::wire::TransmitId, error: TransportError) {
        let late = error == TransportError::ConnectTimeout;
        let after = if late { CONNECT_TIMEOUT } else { ROUND_TRIP };
        self.schedule(after, Event::Report(TransportReport::Failed { id, error }));
    }
}
