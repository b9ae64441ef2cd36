//! A gateway between two parties on UDP at literal addresses: the core alone, its messages built and
//! read by the parties outside of what is measured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::alloc::{Allocations, count};
use ambient::{KeyRng, Moment, Now, TokenRng, WallTime};
use b2bua::bans::BanPolicy;
use b2bua::limits::GateLimits;
use b2bua::profile::{
    Advertised, CoreBounds, CoreConfig, ListenerInfo, MediaConfig, MediaInterface, PeerProfile,
    Profiles, TrunkProfile,
};
use b2bua::{B2bua, Input, Output};
use bytes::Bytes;
use media_relay::{LegStats, MediaCommand, MediaEvent, PortPair, PortPairId, ShardId};
use routing::{Document, PeerDoc, RouteDoc, Snapshot, TrunkDoc};
use sip_msg::wire::{Arrival, FlowId, ListenerId, TrunkName};
use sip_msg::{
    Framing, HeaderName, Limits, Message, Method, Request, Response, StatusCode, TransportKind,
    parse,
};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CALLER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CALLED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const LISTENERS: [(ListenerId, u16); 2] = [(ListenerId(1), 5060), (ListenerId(2), 5070)];

/// What was measured so far.
#[derive(Debug, Default)]
pub struct Meter {
    /// Time spent in the core.
    pub time: Duration,
    /// What it allocated.
    pub allocated: Allocations,
}

/// The core and its parties.
#[derive(Debug)]
pub struct Gateway {
    core: B2bua,
    now: Now,
    /// What was measured since it was last taken.
    pub meter: Meter,
    /// Memory that is gone over before each input, so that nothing else is in the core's own caches.
    pub in_the_way: Vec<u8>,
    sent: Vec<Message>,
    ports: u32,
    calls: u64,
    /// Records of calls that have ended.
    pub records: usize,
}

fn profile(name: &str, host: Ipv4Addr, (listener, port): (ListenerId, u16)) -> TrunkProfile {
    let advertised = Advertised {
        host: Arc::from(GATEWAY.to_string()),
        port,
    };
    let peer = PeerProfile::new(&host.to_string(), Some(5060), TransportKind::Udp);
    let mut profile = TrunkProfile::carrier(name.into(), advertised, listener, vec![peer]);
    profile.options.enabled = false;
    profile
}

fn config() -> CoreConfig {
    let profiles = [
        profile("carrier", CALLER, LISTENERS[0]),
        profile("pbx", CALLED, LISTENERS[1]),
    ];
    let limits = GateLimits {
        calls: 1_000_000,
        calls_per_second: None,
    };
    let listener = |(id, port)| ListenerInfo {
        id,
        transport: TransportKind::Udp,
        local: SocketAddr::from((GATEWAY, port)),
    };
    CoreConfig {
        profiles: Arc::new(Profiles::new(profiles, limits)),
        listeners: LISTENERS.map(listener).to_vec(),
        media: MediaConfig {
            interfaces: vec![MediaInterface {
                id: 0,
                bind: GATEWAY.into(),
                advertise: GATEWAY.into(),
                pairs: 0,
            }],
            shards: vec![ShardId(0)],
            reserve: 256,
            cool_down: Duration::from_secs(5),
            cool_down_floor: Duration::from_millis(500),
            alarm_percent: 80,
        },
        timers: b2bua::profile::TimerConfig::default(),
        bounds: CoreBounds {
            transactions: 1_000_000,
            dialogs: 1_000_000,
            ..CoreBounds::default()
        },
        software: Arc::from("Trunkline"),
        bans: BanPolicy::default(),
        drain: b2bua::profile::DrainPolicy::default(),
    }
}

fn snapshot() -> Arc<Snapshot> {
    let trunk = |name: &str, host: Ipv4Addr| {
        let peer = PeerDoc {
            host: host.to_string(),
            port: Some(5060),
            transport: TransportKind::Udp,
        };
        TrunkDoc::new(name, vec![peer])
    };
    let route = RouteDoc {
        name: "out".to_owned(),
        from: vec![TrunkName::from("carrier")],
        to: vec![TrunkName::from("pbx")],
        ..RouteDoc::default()
    };
    let document = Document {
        trunks: vec![trunk("carrier", CALLER), trunk("pbx", CALLED)],
        routes: vec![route],
        ..Document::default()
    };
    Arc::new(Snapshot::compile(&document).expect("the document is sound"))
}

fn describe(host: Ipv4Addr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// A gateway without calls.
    #[must_use]
    pub fn new() -> Self {
        let now = Now {
            moment: Moment::from_nanos(1_000_000_000),
            wall: WallTime::from_unix_micros(1_767_225_600_000_000),
        };
        let (tokens, keys) = (TokenRng::from_seed([1; 32]), KeyRng::from_entropy([2; 32]));
        let mut gateway = Self {
            core: B2bua::new(config(), snapshot(), tokens, keys, now),
            now,
            meter: Meter::default(),
            in_the_way: Vec::new(),
            sent: Vec::new(),
            ports: 0,
            calls: 0,
            records: 0,
        };
        gateway.drain();
        gateway
    }

    /// Lets time pass, without the timers that run out meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let moment = self.now.moment + time;
        self.now = Now {
            moment,
            wall: self.now.wall_at(moment),
        };
    }

    /// Hands one input in and takes all that comes of it.
    fn measure(&mut self, input: impl FnOnce() -> Input) {
        for octet in self.in_the_way.iter_mut().step_by(64) {
            *octet = octet.wrapping_add(1);
        }
        let (core, now) = (&mut self.core, self.now);
        let start = Instant::now();
        let (outputs, allocated) = count(|| {
            core.handle_input(now, input());
            let mut outputs = Vec::with_capacity(32);
            drain(core, &mut outputs);
            outputs
        });
        self.meter.time += start.elapsed();
        self.meter.allocated.calls += allocated.calls - 1;
        self.meter.allocated.bytes += allocated.bytes;
        self.take(outputs);
    }

    fn drain(&mut self) {
        let mut outputs = Vec::new();
        drain(&mut self.core, &mut outputs);
        self.take(outputs);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        let mut events = Vec::new();
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    let sent = parse(transmit.message, &Limits::default(), Framing::Datagram);
                    self.sent.push(sent.expect("what is sent can be read"));
                }
                Output::Media(MediaCommand::BindPorts { count, .. }) => {
                    let pairs = (0..count).map(|_| self.bind()).collect();
                    events.push(MediaEvent::PortsBound { pairs });
                }
                Output::Media(MediaCommand::CloseLeg { leg }) => {
                    let stats = LegStats::default();
                    events.push(MediaEvent::Closed { leg, stats });
                }
                Output::Record(_) => self.records += 1,
                Output::Media(_)
                | Output::Checkpoint(_)
                | Output::Trace(_)
                | Output::Leave(_)
                | Output::Cloud(_)
                | Output::Query(_)
                | Output::Timeout(_) => {}
            }
        }
        for event in events {
            self.measure(|| Input::Media(event));
        }
    }

    fn bind(&mut self) -> PortPair {
        self.ports += 1;
        let port = u16::try_from(10_000 + self.ports * 2 % 50_000).unwrap_or(10_000);
        PortPair {
            id: PortPairId(self.ports),
            shard: ShardId(0),
            interface: 0,
            address: GATEWAY.into(),
            port,
        }
    }

    /// A message of a party arrives.
    fn arrive(&mut self, from: Ipv4Addr, message: &Message) {
        let (listener, port) = LISTENERS[usize::from(from == CALLED)];
        let arrival = Arrival {
            flow: FlowId(u64::from(listener.0)),
            listener: Some(listener),
            opened_for: None,
            transport: TransportKind::Udp,
            local: (GATEWAY, port).into(),
            remote: (IpAddr::from(from), 5060).into(),
            server_name: None,
            identity: None,
        };
        let octets = message.to_bytes();
        self.measure(|| {
            let read = parse(octets, &Limits::default(), Framing::Datagram);
            Input::Message(arrival, read.expect("what parties send can be read"))
        });
        self.pass(Duration::from_micros(10));
    }

    fn sent(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        let at = self.sent.iter().position(wanted);
        self.sent
            .swap_remove(at.expect("the message that belongs here was sent"))
    }

    fn request(&mut self, method: &Method) -> Request {
        let wanted = |m: &Message| matches!(m, Message::Request(r) if r.method == *method);
        match self.sent(wanted) {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!("a request was looked for"),
        }
    }

    fn response(&mut self, status: StatusCode) -> Response {
        let wanted = |m: &Message| matches!(m, Message::Response(r) if r.status == status);
        match self.sent(wanted) {
            Message::Response(response) => response,
            Message::Request(_) => unreachable!("a response was looked for"),
        }
    }

    /// The called party answers `request`.
    fn answer(&mut self, request: &Request, status: StatusCode, described: bool) {
        let mut response = Response::to_request(request, status, Some("called"));
        let contact = format!("<sip:{CALLED}:5060>");
        response.headers.push(HeaderName::Contact, contact);
        if described {
            response.set_body("application/sdp", describe(CALLED));
        }
        self.arrive(CALLED, &Message::Response(response));
    }

    /// INVITE to ACK; what is needed to hang up.
    pub fn set_up(&mut self) -> Request {
        self.calls += 1;
        self.sent.clear();
        let invite = invite(self.calls);
        self.arrive(CALLER, &Message::Request(invite.clone()));
        let outgoing = self.request(&Method::Invite);
        for status in [StatusCode::TRYING, StatusCode::RINGING] {
            self.answer(&outgoing, status, false);
        }
        self.answer(&outgoing, StatusCode::OK, true);
        let answered = self.response(StatusCode::OK);
        let ack = in_dialog(&invite, &answered, &Method::Ack, 1);
        self.arrive(CALLER, &Message::Request(ack));
        in_dialog(&invite, &answered, &Method::Bye, 2)
    }

    /// The caller's BYE, and the called party's answer to ours.
    pub fn hang_up(&mut self, bye: Request) {
        self.sent.clear();
        self.arrive(CALLER, &Message::Request(bye));
        let bye = self.request(&Method::Bye);
        self.answer(&bye, StatusCode::OK, false);
    }

    /// Whole calls, one a millisecond, with the timers that run out meanwhile.
    pub fn run(&mut self, calls: u64) {
        for _ in 0..calls {
            let bye = self.set_up();
            self.hang_up(bye);
            self.wait(Duration::from_millis(1));
        }
    }

    /// Lets time pass and does what is due then.
    pub fn wait(&mut self, time: Duration) {
        self.pass(time);
        self.measure(|| Input::Timeout);
    }
}

fn drain(core: &mut B2bua, outputs: &mut Vec<Output>) {
    loop {
        let output = core.poll_output();
        if matches!(output, Output::Timeout(_)) {
            return;
        }
        outputs.push(output);
    }
}

fn invite(call: u64) -> Request {
    let target = sip_msg::Uri::sip(Some("+12065550199"), &GATEWAY.to_string(), Some(5060));
    let mut request = Request::new(Method::Invite, target);
    let headers = &mut request.headers;
    headers.push(
        HeaderName::Via,
        format!("SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK{call}"),
    );
    headers.push(HeaderName::MaxForwards, "70");
    headers.push(
        HeaderName::From,
        format!("<sip:+14255550123@{CALLER}>;tag=caller{call}"),
    );
    headers.push(HeaderName::To, format!("<sip:+12065550199@{GATEWAY}>"));
    headers.push(HeaderName::CallId, format!("call-{call}@{CALLER}"));
    headers.push(HeaderName::CSeq, "1 INVITE");
    headers.push(HeaderName::Contact, format!("<sip:{CALLER}:5060>"));
    request.set_body("application/sdp", Bytes::from(describe(CALLER)));
    request
}

fn in_dialog(invite: &Request, answer: &Response, method: &Method, seq: u32) -> Request {
    let contact = answer
        .headers
        .contacts()
        .ok()
        .and_then(|c| c.into_iter().next());
    let target = contact.expect("an answer has a Contact").uri;
    let mut request = Request::new(method.clone(), target);
    let branch = invite.headers.call_id().unwrap_or_default();
    let via = format!("SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK{method}{branch}");
    request.headers.push(HeaderName::Via, via);
    for name in [HeaderName::From, HeaderName::CallId] {
        if let Some(value) = invite.headers.get(&name) {
            request.headers.push(name, value);
        }
    }
    if let Some(to) = answer.headers.get(&HeaderName::To) {
        request.headers.push(HeaderName::To, to);
    }
    request.headers.push(HeaderName::MaxForwards, "70");
    let cseq = format!("{seq} {method}");
    request.headers.push(HeaderName::CSeq, cseq);
    request
}
