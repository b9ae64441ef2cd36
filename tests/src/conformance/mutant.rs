//! What a mutant changes, and on what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rustls::CipherSuite;
use rustls::pki_types::CertificateDer;

use crate::sip::Sip;

/// A gateway with one fault.
#[derive(Debug)]
pub struct Mutant {
    /// The fault, as a sentence about the gateway.
    pub what: &'static str,
    /// How it is made.
    pub change: Change,
    /// Rows that may turn red besides the mutant's own.
    pub group: &'static [&'static str],
}

/// How a fault is made.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// SIP between the gateway and Microsoft.
    Sip(fn(&mut Passing, &mut Memory) -> Fate),
    /// SIP between the gateway and the carrier.
    Carrier(fn(&mut Passing, &mut Memory) -> Fate),
    /// RTP and RTCP, on either side.
    Media(fn(&mut Packet, &mut Memory) -> Fate),
    /// TLS between the gateway and Microsoft.
    Tls(TlsChange),
    /// Answers of the name servers.
    Dns(fn(&mut Answer, &mut Memory) -> Fate),
    /// A shell script in the executable's place for this subcommand; `"$TRUNKLINE"` is the real
    /// one.
    StandIn {
        /// `check`, `status` and so on.
        command: &'static str,
        /// The script.
        script: &'static str,
    },
}

/// Who sends or is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The gateway.
    Gateway,
    /// Microsoft, or in [`Change::Carrier`] the carrier.
    Peer,
}

/// A SIP message on its way. An empty line between messages is a message without a start line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// Where it goes.
    pub towards: Side,
    /// Who opened the connection; with datagrams the sender.
    pub opened_by: Side,
    /// Which of Microsoft's three names: 0 is `sip`, 1 `sip2`, 2 `sip3`.
    pub proxy: usize,
    /// The message.
    pub message: Sip,
}

impl Passing {
    /// Whether it is a request of this method that the gateway sends.
    #[must_use]
    pub fn is_own(&self, method: &str) -> bool {
        self.towards == Side::Peer && self.message.method() == Some(method)
    }

    /// Whether it is a response the gateway gives to this method.
    #[must_use]
    pub fn answers(&self, method: &str, status: u16) -> bool {
        self.towards == Side::Peer
            && self.message.status() == Some(status)
            && self.message.about() == method
    }
}

/// One datagram of RTP or RTCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it goes.
    pub towards: Side,
    /// Whether between the gateway and the carrier; else between it and Microsoft.
    pub carrier: bool,
    /// Whether RTCP.
    pub control: bool,
    /// As it stands on the wire.
    pub bytes: Vec<u8>,
}

/// A name server's answer on its way to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name asked for, in lower case without the last dot.
    pub name: String,
    /// Type of the records asked for: 1 is A, 16 TXT, 28 AAAA.
    pub kind: u16,
    /// Addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Whether the name exists at all.
    pub exists: bool,
    /// Time to live of what is answered, in seconds.
    pub ttl: u32,
}

/// What becomes of what passes, once it has been edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It is lost.
    Drop,
    /// It goes on later; what follows may overtake it.
    Delay(Duration),
    /// It goes on this many times.
    Times(usize),
    /// It goes on a connection that the other side opened.
    Astray,
}

/// A change of what a side shows in its handshake.
pub type ShownChange = fn(&mut Shown, &mut Memory);

/// Changes of the handshake, each looked at when its part is known.
#[derive(Clone, Copy, Debug)]
pub struct TlsChange {
    /// What the opener asks for.
    pub hello: Option<fn(&mut Hello, &mut Memory)>,
    /// What the accepting side shows.
    pub server: Option<ShownChange>,
    /// What the opener shows.
    pub client: Option<ShownChange>,
}

impl TlsChange {
    /// Nothing is changed.
    pub const NONE: Self = Self {
        hello: None,
        server: None,
        client: None,
    };
}

/// The first flight of a handshake, and what becomes of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who is connected to.
    pub towards: Side,
    /// Which of Microsoft's names.
    pub proxy: usize,
    /// The connection's number among those of its direction and name, from 0.
    pub number: usize,
    /// SNI.
    pub server_name: Option<String>,
    /// Suites offered, TLS 1.3's among them.
    pub suites: Vec<CipherSuite>,
    /// Where the connection comes from.
    pub source: IpAddr,
    /// The connection ends here.
    pub refuse: bool,
    /// So many more connections are opened and dropped.
    pub surplus: usize,
    /// The far end of the connection outlives the near one.
    pub linger: bool,
    /// What is said on it goes over the first connection of its direction and name.
    pub stick: bool,
    /// It goes to this one of Microsoft's names instead.
    pub divert: Option<usize>,
}

/// Certificates shown in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who is connected to.
    pub towards: Side,
    /// Which of Microsoft's names.
    pub proxy: usize,
    /// Leaf first; empty when nothing is shown.
    pub chain: Vec<CertificateDer<'static>>,
    /// The name of the identity that the row has set aside, if it has.
    pub spare: Option<&'static str>,
    /// Another identity is shown: the one of this [`Trial::spare`](super::Trial::spare) name.
    pub instead: Option<&'static str>,
    /// The connection ends here.
    pub refuse: bool,
}

impl Shown {
    /// Whether the leaf holds these bytes: an object identifier, say.
    #[must_use]
    pub fn leaf_holds(&self, bytes: &[u8]) -> bool {
        self.chain.first().is_some_and(|leaf| holds(leaf, bytes))
    }

    /// Whether any certificate holds these bytes.
    #[must_use]
    pub fn chain_holds(&self, bytes: &[u8]) -> bool {
        self.chain.iter().any(|one| holds(one, bytes))
    }
}

fn holds(certificate: &[u8], bytes: &[u8]) -> bool {
    certificate
        .windows(bytes.len())
        .any(|window| window == bytes)
}

/// What a change keeps in mind while a row is played.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    counts: BTreeMap<String, u64>,
    texts: BTreeMap<String, String>,
}

impl Memory {
    /// How often this was asked before under this key.
    pub fn count(&mut self, key: &str) -> u64 {
        let count = self.counts.entry(key.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    /// Keeps a text.
    pub fn keep(&mut self, key: &str, text: &str) {
        self.texts.insert(key.to_owned(), text.to_owned());
    }

    /// A text kept.
    #[must_use]
    pub fn kept(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }
}

/// What passed while a row was played: enough to know which changes it would have met.
#[derive(Clone, Debug)]
pub enum Passed {
    /// Between the gateway and Microsoft.
    Sip(Passing),
    /// Between the gateway and the carrier.
    Carrier(Passing),
    /// A kind of media packet, once.
    Media(Packet),
    /// A handshake's first flight.
    Hello(Hello),
    /// The accepting side's certificates.
    Server(Shown),
    /// The opener's certificates.
    Client(Shown),
    /// A name server's answer.
    Dns(Answer),
    /// A subcommand was run.
    Command(String),
}

impl Change {
    /// Whether it would have changed anything of what passed.
    #[must_use]
    pub fn touches(&self, passed: &[Passed]) -> bool {
        let mut memory = Memory::default();
        passed.iter().any(|one| self.touches_one(one, &mut memory))
    }

    fn touches_one(&self, passed: &Passed, memory: &mut Memory) -> bool {
        match (self, passed) {
            (Self::Sip(edit), Passed::Sip(before))
            | (Self::Carrier(edit), Passed::Carrier(before)) => {
                let mut after = before.clone();
                edit(&mut after, memory) != Fate::Pass || after != *before
            }
            (Self::Media(_), Passed::Media(_)) => true,
            (Self::Dns(edit), Passed::Dns(before)) => {
                let mut after = before.clone();
                edit(&mut after, memory) != Fate::Pass || after != *before
            }
            (Self::Tls(change), Passed::Hello(before)) => changes(change.hello, before, memory),
            (Self::Tls(change), Passed::Server(before)) => changes(change.server, before, memory),
            (Self::Tls(change), Passed::Client(before)) => changes(change.client, before, memory),
            (Self::StandIn { command, .. }, Passed::Command(run)) => command == run,
            _ => false,
        }
    }
}

fn changes<T: Clone + PartialEq>(
    edit: Option<fn(&mut T, &mut Memory)>,
    before: &T,
    memory: &mut Memory,
) -> bool {
    edit.is_some_and(|edit| {
        let mut after = before.clone();
        edit(&mut after, memory);
        after != *before
    })
}
