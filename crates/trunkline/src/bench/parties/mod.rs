//! The parties of `bench calls`: one who calls over UDP and one who is called over UDP or TLS.
//!
//! One thread on a core of its own. It waits for nothing longer than the kernel's clock can tell,
//! so calls begin when they are due.

mod called;
mod caller;
mod link;
mod message;
mod timers;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde::{Deserialize, Serialize};

use super::machine::{self, Reading};
use super::wire::{Delay, hear, say};
use crate::demo::authority::Leaf;
use called::Called;
use caller::Caller;
use link::{DOOR, FIRST, Link};
use message::Message;
use timers::{Timers, What};

/// The number by which the wait names the caller's socket.
const CALLER: u64 = 0;
/// How long after the last call was begun everything may take to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// Arguments of `bench parties`.
#[derive(Debug, Args)]
pub(crate) struct PartiesArgs {
    /// The core to run on
    #[arg(long)]
    core: Option<usize>,
    /// The caller's address
    #[arg(long)]
    caller: SocketAddr,
    /// The called party's address
    #[arg(long)]
    called: SocketAddr,
    /// Where the caller sends its calls
    #[arg(long)]
    gateway: SocketAddr,
}

/// How the called party is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    /// By datagrams.
    Udp,
    /// By TLS, where it shows this certificate, under this name.
    Tls {
        chain: String,
        key: String,
        name: String,
    },
}

/// What the parties are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Errand {
    /// Ask until the gateway answers.
    Ping,
    /// Begin so many calls, so many a second; hold each so long, or until told.
    Call {
        calls: u32,
        rate: f64,
        hold: Option<f64>,
        pids: Vec<u32>,
        core: Option<usize>,
    },
    /// End all calls that are up, so many a second.
    Hang { rate: f64 },
}

/// What came of an errand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Calls begun.
    pub(crate) calls: u32,
    /// Calls answered.
    pub(crate) answered: u32,
    /// Calls ended as they should.
    pub(crate) ended: u32,
    /// Calls, or parts of one, that failed, by what the gateway said.
    pub(crate) failed: BTreeMap<String, u32>,
    /// Messages that either party sent or heard again.
    pub(crate) retransmissions: u32,
    /// From INVITE to 200, in µs.
    pub(crate) delay: Delay,
    /// Calls begun a second.
    pub(crate) rate: f64,
    /// Seconds from the first INVITE to the last 200.
    pub(crate) seconds: f64,
    /// CPU time of each process asked about, in µs.
    pub(crate) cpu_us: Vec<f64>,
    /// What their core did beside them, as a share of the time.
    pub(crate) beside: f64,
    /// The share of a core that the parties took.
    pub(crate) own: f64,
}

impl Told {
    /// Whether every call went through without a message being sent twice.
    pub(crate) fn spotless(&self) -> bool {
        self.failed.is_empty() && self.retransmissions == 0
    }
}

/// Does errand after errand until there are none.
pub(crate) fn run(args: &PartiesArgs) -> Result<()> {
    machine::pin(args.core)?;
    let Some(transport) = hear::<Transport>()? else {
        return Ok(());
    };
    let mut parties = Parties::new(args, &transport)?;
    say(&"ready")?;
    while let Some(errand) = hear::<Errand>()? {
        say(&parties.run(&errand)?)?;
    }
    Ok(())
}

struct Parties {
    caller: Caller,
    called: Called,
    link: Link,
    timers: Timers,
    epoll: Epoll,
    /// The ports that descriptions name, which nobody reads.
    _media: [UdpSocket; 2],
}

impl Parties {
    fn new(args: &PartiesArgs, transport: &Transport) -> Result<Self> {
        let caller = socket(args.caller)?;
        let (link, contact) = match transport {
            Transport::Udp => (Link::Udp(socket(args.called)?), None),
            Transport::Tls { chain, key, name } => {
                let (chain, key) = (chain.clone(), key.clone());
                (Link::tls(args.called, &Leaf { chain, key })?, Some(name))
            }
        };
        let at = link.address()?;
        let contact = match contact {
            None => format!("sip:called@{at}"),
            Some(name) => format!("sip:called@{name}:{};transport=tls", at.port()),
        };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(caller.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, CALLER))?;
        link.watch(&epoll)?;
        let unread = |at: SocketAddr| UdpSocket::bind((at.ip(), 0));
        let media = [unread(args.caller)?, unread(args.called)?];
        Ok(Self {
            caller: Caller::new(caller, media[0].local_addr()?, args.gateway)?,
            called: Called::new(media[1].local_addr()?, contact),
            link,
            timers: Timers::default(),
            epoll,
            _media: media,
        })
    }

    fn run(&mut self, errand: &Errand) -> Result<Told> {
        self.caller.count_anew();
        (self.called.retransmissions, self.called.unacknowledged) = (0, 0);
        match errand {
            Errand::Ping => self.ping(),
            Errand::Call {
                calls,
                rate,
                hold,
                pids,
                core,
            } => {
                self.caller.hold = hold.map(Duration::from_secs_f64);
                let before = Reading::take(pids, *core)?;
                let begun = self.call(*calls, *rate)?;
                let spent = before.until(&Reading::take(pids, *core)?);
                let mut told = self.told();
                told.calls = *calls;
                told.rate = f64::from(*calls) / begun.as_secs_f64();
                told.seconds = spent.seconds;
                told.cpu_us = spent.cpu_us;
                told.beside = spent.beside;
                told.own = spent.own;
                Ok(told)
            }
            Errand::Hang { rate } => {
                let talking = self.caller.talking();
                let began = Instant::now();
                for (at, call) in talking.iter().enumerate() {
                    self.until(began + Duration::from_secs_f64(at as f64 / rate))?;
                    self.caller.hang(*call, Instant::now(), &mut self.timers);
                }
                let all = talking.len() as u32;
                self.settle(|told| told.ended + told.failed.values().sum::<u32>() >= all)?;
                Ok(self.told())
            }
        }
    }

    /// Asks every tenth of a second.
    fn ping(&self) -> Result<Told> {
        let mut buffer = [0; 4096];
        for n in 1..=300 {
            self.caller.ping(n);
            let end = Instant::now() + Duration::from_millis(100);
            let mut events = [EpollEvent::empty(); 4];
            while Instant::now() < end {
                self.epoll.wait(&mut events, EpollTimeout::from(100u8))?;
                while let Ok((len, _)) = self.caller.socket.recv_from(&mut buffer) {
                    let answer = Message::read(&buffer[..len]);
                    if answer.and_then(|answer| answer.status()).is_some() {
                        return Ok(Told::default());
                    }
                }
            }
        }
        bail!("the gateway does not answer OPTIONS")
    }

    /// Begins the calls when they are due, and plays on until they are over, or all up where they
    /// are held; how long beginning took.
    fn call(&mut self, calls: u32, rate: f64) -> Result<Duration> {
        let began = Instant::now();
        for n in 0..calls {
            self.until(began + Duration::from_secs_f64(f64::from(n) / rate))?;
            self.caller.begin(Instant::now(), &mut self.timers);
        }
        // The last one, too, has its share of the time.
        let begun = began
            .elapsed()
            .max(Duration::from_secs_f64(f64::from(calls) / rate));
        let held = self.caller.hold.is_none();
        self.settle(|told| {
            let done = if held { told.answered } else { told.ended };
            done + told.failed.values().sum::<u32>() >= calls
        })?;
        Ok(begun)
    }

    /// Plays on until everything is done, or has had its time.
    fn settle(&mut self, done: impl Fn(&caller::Tally) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE + self.caller.hold.unwrap_or_default();
        while !done(&self.caller.tally) {
            if Instant::now() > end {
                let lost = "no end within 40 s".to_owned();
                *self.caller.tally.failed.entry(lost).or_default() += 1;
                break;
            }
            self.turn(end)?;
        }
        Ok(())
    }

    fn until(&mut self, due: Instant) -> Result<()> {
        loop {
            self.turn(due)?;
            if Instant::now() >= due {
                return Ok(());
            }
        }
    }

    /// Takes what is there and does what is due; waits, but not beyond `until`.
    fn turn(&mut self, until: Instant) -> Result<()> {
        let now = Instant::now();
        while let Some(what) = self.timers.due(now) {
            self.fire(what, now);
        }
        self.link.flush();
        let next = self.timers.next().map_or(until, |next| next.min(until));
        // Whole milliseconds are waited; the rest is looked on.
        let wait = next.saturating_duration_since(now).as_millis();
        let wait = u16::try_from(wait).unwrap_or(1000).min(1000);
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(wait)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            match event.data() {
                CALLER => self.hear_caller(),
                number @ (DOOR | FIRST..) => self.hear_called(number)?,
                _ => {}
            }
        }
        self.link.flush();
        Ok(())
    }

    fn hear_caller(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok((len, _)) = self.caller.socket.recv_from(&mut buffer) {
            let now = Instant::now();
            self.caller.hear(&buffer[..len], now, &mut self.timers);
        }
    }

    fn hear_called(&mut self, number: u64) -> Result<()> {
        for (peer, message) in self.link.hear(number, &self.epoll)? {
            let now = Instant::now();
            let (link, timers) = (&mut self.link, &mut self.timers);
            self.called.hear(&message, peer, link, now, timers);
        }
        Ok(())
    }

    fn fire(&mut self, what: What, now: Instant) {
        let timers = &mut self.timers;
        match what {
            What::Answer(call) => self.called.answer_again(call, &mut self.link, now, timers),
            What::Bye(call) => self.caller.bye_again(call, now, timers),
            What::Hang(call) => self.caller.hang(call, now, timers),
            What::Invite(call) => self.caller.invite_again(call, now, timers),
        }
    }

    fn told(&self) -> Told {
        let tally = &self.caller.tally;
        let mut failed = tally.failed.clone();
        if self.called.unacknowledged > 0 {
            failed.insert("no ACK".to_owned(), self.called.unacknowledged);
        }
        Told {
            answered: tally.answered,
            ended: tally.ended,
            failed,
            retransmissions: tally.retransmissions + self.called.retransmissions,
            delay: self.caller.delays.delay(),
            ..Told::default()
        }
    }
}

/// A socket that holds what comes while the other party has its turn.
fn socket(at: SocketAddr) -> Result<UdpSocket> {
    use nix::sys::socket::{setsockopt, sockopt};
    const ROOM: usize = 16 << 20;
    let socket = UdpSocket::bind(at)?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
    }
    Ok(socket)
}

/// Both parties' session description: PCMU with events.
fn description(media: SocketAddr) -> String {
    let (ip, port) = (media.ip(), media.port());
    let family = match media.ip() {
        std::net::IpAddr::V4(Ipv4Addr { .. }) => "IP4",
        std::net::IpAddr::V6(_) => "IP6",
    };
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// A response to a request, with the tag that all of ours have.
fn response(request: &Message<'_>, status: &str, fields: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for via in request.lines("Via") {
        text += &format!("Via: {via}\r\n");
    }
    for name in ["From", "Call-ID", "CSeq"] {
        text += &format!("{name}: {}\r\n", request.field(name).unwrap_or_default());
    }
    let to = request.field("To").unwrap_or_default();
    let tag = if to.contains(";tag=") {
        ""
    } else {
        ";tag=called"
    };
    text += &format!(
        "To: {to}{tag}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    text
}
