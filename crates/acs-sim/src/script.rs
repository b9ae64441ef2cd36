//! What a simulated peer does: how it answers, by called number, and how it calls.

use std::time::Duration;

use crate::media::MediaConfig;

/// The dialects in which telephones ask for silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldDialect {
    /// `a=sendonly` (RFC 6337 §5.3).
    SendOnly,
    /// `a=recvonly`: seen from exchanges that play music themselves.
    RecvOnly,
    /// `a=inactive`: the only one Microsoft understands.
    Inactive,
    /// The connection address 0.0.0.0 of RFC 2543.
    BlackHole,
}

/// Which endpoint of a forked call sends a response: each has a To tag of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// The one that answers.
    #[default]
    Answering,
    /// One that is heard of once.
    Passing,
    /// One of several, the same each time its number is named.
    Numbered(u8),
}

/// A provisional response of an answering script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisional {
    /// Time since the INVITE.
    pub after: Duration,
    /// 101 to 199.
    pub status: u16,
    /// With a session description: early media.
    pub early_media: bool,
    /// Under whose To tag.
    pub endpoint: Endpoint,
    /// Repeated until its PRACK comes (RFC 3262); only under the tag that answers.
    pub reliable: bool,
    /// Header fields added as written: name and value.
    pub headers: Vec<(String, String)>,
}

impl Provisional {
    /// This status after that time.
    pub fn new(status: u16, after: Duration) -> Self {
        Self {
            after,
            status,
            ..Self::default()
        }
    }

    /// 180 after that time.
    pub fn ringing(after: Duration) -> Self {
        Self::new(180, after)
    }

    /// 183 with a session description after that time.
    pub fn early_media(after: Duration) -> Self {
        Self {
            early_media: true,
            ..Self::new(183, after)
        }
    }

    /// The same, from an endpoint that is heard of this once.
    pub fn forked(self) -> Self {
        self.by(Endpoint::Passing)
    }

    /// The same, from that endpoint.
    pub fn by(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// The same, to be acknowledged with PRACK.
    pub fn reliably(self) -> Self {
        Self {
            reliable: true,
            ..self
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Sent before the answer, in this order.
    pub provisionals: Vec<Provisional>,
    /// Time from the INVITE to the 200.
    pub after: Duration,
    /// Header fields of the 200 added as written: name and value.
    pub headers: Vec<(String, String)>,
    /// Another endpoint answers as well, this long after the first.
    pub second_after: Option<Duration>,
    /// Answer when CANCEL comes instead of giving up: the 200 crosses it.
    pub crossing_cancel: bool,
    /// Send BYE this long after the call is confirmed.
    pub hang_up_after: Option<Duration>,
    /// Media in place of the party's own.
    pub media: Option<MediaConfig>,
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// Sent before the refusal, in this order.
    pub provisionals: Vec<Provisional>,
    /// Time from the INVITE to the refusal.
    pub after: Duration,
    /// 300 to 699.
    pub status: u16,
    /// A Reason header's value (RFC 3326).
    pub reason: Option<String>,
    /// A Retry-After header, in seconds.
    pub retry_after: Option<u32>,
    /// Header fields added as written: the Contact of a redirection.
    pub headers: Vec<(String, String)>,
    /// Close the connection behind it.
    pub close: bool,
}

/// How an incoming call is treated.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answer with 200.
    Answer(Answer),
    /// Refuse.
    Reject(Rejection),
    /// Ring (or, without `ring`, send 100 only) until the caller gives up.
    NeverAnswer {
        /// Send 180.
        ring: bool,
    },
    /// Send nothing but what is asked of the [`CallHandle`](crate::CallHandle):
    /// [`progress`](crate::CallHandle::progress), [`answer`](crate::CallHandle::answer),
    /// [`reject`](crate::CallHandle::reject).
    Manual {
        /// Send 100 at once.
        trying: bool,
    },
    /// Send nothing whatsoever.
    Ignore,
}

impl Behaviour {
    /// 180 at once, 200 after that time.
    pub fn answer_after(after: Duration) -> Self {
        Self::answer(vec![Provisional::ringing(Duration::ZERO)], after)
    }

    /// These provisional responses, then 200 after that time.
    pub fn answer(provisionals: Vec<Provisional>, after: Duration) -> Self {
        Self::Answer(Answer {
            provisionals,
            after,
            ..Answer::default()
        })
    }

    /// 183 with early media at once, 200 after that time.
    pub fn early_media_then_answer(after: Duration) -> Self {
        Self::answer(vec![Provisional::early_media(Duration::ZERO)], after)
    }

    /// What Microsoft does when several endpoints ring: three 180 with different To tags, a 183
    /// under a fourth, the 200 under a fifth.
    pub fn forked(after: Duration) -> Self {
        let step = after / 5;
        Self::answer(
            vec![
                Provisional::ringing(Duration::ZERO).forked(),
                Provisional::ringing(step).forked(),
                Provisional::ringing(step * 2).forked(),
                Provisional::early_media(step * 3).forked(),
            ],
            after,
        )
    }

    /// The same answer, with a BYE that long after it.
    pub fn hanging_up_after(self, time: Duration) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Answer {
                hang_up_after: Some(time),
                ..answer
            }),
            other @ (Self::Reject(_)
            | Self::NeverAnswer { .. }
            | Self::Manual { .. }
            | Self::Ignore) => other,
        }
    }

    /// Refuse at once with this status.
    pub fn reject(status: u16) -> Self {
        Self::Reject(Rejection {
            status,
            ..Rejection::default()
        })
    }

    /// 302 to this URI.
    pub fn redirect(uri: &str) -> Self {
        Self::Reject(Rejection {
            status: 302,
            headers: vec![("Contact".to_owned(), format!("<{uri}>"))],
            ..Rejection::default()
        })
    }

    /// 180, then 486 Busy Here.
    pub fn busy() -> Self {
        Self::Reject(Rejection {
            provisionals: vec![Provisional::ringing(Duration::ZERO)],
            after: Duration::from_millis(50),
            status: 486,
            reason: Some("Q.850;cause=17;text=\"User busy\"".to_owned()),
            ..Rejection::default()
        })
    }

    /// 603 Decline.
    pub fn decline() -> Self {
        Self::reject(603)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(retry_after: Option<u32>) -> Self {
        Self::Reject(Rejection {
            status: 503,
            retry_after,
            ..Rejection::default()
        })
    }
}

/// Behaviours by called number.
#[derive(Clone, Debug)]
pub struct Behaviours {
    /// For these numbers, compared without a leading `+`.
    pub by_number: Vec<(String, Behaviour)>,
    /// For all others.
    pub otherwise: Behaviour,
}

impl Default for Behaviours {
    fn default() -> Self {
        Self {
            by_number: Vec::new(),
            otherwise: Behaviour::answer_after(Duration::from_millis(100)),
        }
    }
}

impl Behaviours {
    /// Adds a number.
    #[must_use]
    pub fn with(mut self, number: &str, behaviour: Behaviour) -> Self {
        self.by_number.push((number.to_owned(), behaviour));
        self
    }

    pub(crate) fn of(&self, called: &str) -> &Behaviour {
        self.by_number
            .iter()
            .find(|(number, _)| same_number(number, called))
            .map_or(&self.otherwise, |(_, behaviour)| behaviour)
    }
}

/// Whether two user parts are the same number, with or without `+`.
pub(crate) fn same_number(one: &str, other: &str) -> bool {
    one.trim_start_matches('+') == other.trim_start_matches('+')
}

/// What an outgoing INVITE offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// What the party's media can do.
    #[default]
    Full,
    /// Nothing: the other side is to offer in its 200 (RFC 3261 §13.2.1).
    Delayed,
    /// This text, whatever it says.
    Verbatim(String),
}

/// How a call is placed.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// User part of From; `anonymous` when absent.
    pub caller: Option<String>,
    /// What the INVITE offers.
    pub offer: Offer,
    /// Send CANCEL this long after the INVITE (once a provisional response allows it).
    pub cancel_after: Option<Duration>,
    /// Header fields added as written: name and value.
    pub headers: Vec<(String, String)>,
    /// Request-URI in place of the usual one.
    pub request_uri: Option<String>,
    /// URI of From in place of the usual one.
    pub from_uri: Option<String>,
    /// Media in place of the party's own.
    pub media: Option<MediaConfig>,
    /// Which of several names calls: index into the proxies of Microsoft's side.
    pub from_proxy: usize,
}

impl CallOptions {
    /// A call from this number, otherwise ordinary.
    pub fn from(caller: &str) -> Self {
        Self {
            caller: Some(caller.to_owned()),
            ..Self::default()
        }
    }
}

/// The retransmission timers (RFC 3261 §17).
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Round-trip time estimate.
    pub t1: Duration,
    /// Longest interval between retransmissions.
    pub t2: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
        }
    }
}

impl Timers {
    /// 64 × T1: how long a transaction lives.
    pub(crate) fn lifetime(self) -> Duration {
        self.t1 * 64
    }
}
