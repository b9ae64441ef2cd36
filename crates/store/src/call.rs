//! A call as it is stored.

use serde::{Deserialize, Serialize};

/// One call. Times are microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its name, which no two calls share; a call that is stored again is left as it was.
    pub call: String,
    /// When the INVITE arrived.
    pub started: i64,
    /// When it was answered.
    pub answered: Option<i64>,
    /// When it ended.
    pub ended: i64,
    /// The trunk it came from.
    pub from_trunk: String,
    /// The trunk that took it, or was tried last.
    pub to_trunk: Option<String>,
    /// The called number as received.
    pub called: String,
    /// The calling number as received, unless it was withheld.
    pub calling: Option<String>,
    /// The route that matched.
    pub route: Option<String>,
    /// SHA-256 of the routing snapshot that decided, in hexadecimal digits.
    pub snapshot: String,
    /// The final response that the caller saw.
    pub status: Option<u16>,
    /// The Q.850 cause, 1 to 127.
    pub cause: u8,
    /// Whose doing it was, if it failed.
    pub failure: Option<String>,
    /// Who ended it.
    pub ended_by: String,
    /// The parties, the caller first; a transfer adds one.
    pub participants: Vec<Participant>,
    /// Everything else that is known about it, as one JSON object: decision, facts, attempts.
    pub record: String,
}

/// One party of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Its trunk.
    pub trunk: String,
    /// Its number, unless it was withheld.
    pub number: Option<String>,
    /// What it is.
    pub endpoint: Endpoint,
    /// Which way its leg was set up.
    pub direction: Direction,
    /// When its leg began.
    pub started: i64,
    /// When its leg ended.
    pub ended: i64,
    /// The final response of its leg; `None` where the leg was given up before.
    pub status: Option<u16>,
    /// Its streams of media: one in each direction, where there was media.
    pub streams: Vec<Stream>,
}

/// What a party is, in the terms of Azure's log tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A telephone, behind a carrier or an exchange.
    Pstn,
    /// An application, behind the SIP Interface.
    Server,
}

impl Endpoint {
    /// As Azure writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pstn => "PSTN",
            Self::Server => "Server",
        }
    }
}

/// Towards the gateway, or away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Received by the gateway.
    Inbound,
    /// Sent by it.
    Outbound,
}

impl Direction {
    /// As Azure writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// One stream of speech. What is unknown of the far end's reception is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Which way it went.
    pub direction: Direction,
    /// Encoding name of the codec, as in SDP.
    pub codec: Option<String>,
    /// RTP packets.
    pub packets: u64,
    /// Packets that were sent and never came.
    pub lost: Option<u64>,
    /// Interarrival jitter at the end, in microseconds.
    pub jitter_us: Option<u32>,
    /// The last round trip, in microseconds.
    pub round_trip_us: Option<u32>,
    /// Mean opinion score, in hundredths.
    pub mos_centi: Option<u16>,
}
