//! One call as its user sees it: a handle that acts, a state that can be waited for.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::media::MediaSession;
use crate::script::HoldDialect;
use crate::tally::{Audio, MediaCounts};

/// How long the last packets of an exchange may take to arrive.
const DRAIN: Duration = Duration::from_secs(2);
/// After the last packet expected, time for packets nobody expects.
const SURPLUS: Duration = Duration::from_millis(60);

/// Which party did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum By {
    /// This party.
    Us,
    /// The other side.
    Them,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Phase {
    /// INVITE sent or received; nothing but 100 so far.
    Trying,
    /// A provisional response above 100 was sent or received.
    Ringing,
    /// 200 sent; its ACK has not come.
    Answered,
    /// 200 and ACK.
    Confirmed,
    /// Over, or never came to be.
    Ended,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Ending {
    /// BYE.
    HungUp(By),
    /// CANCEL before the answer.
    Cancelled(By),
    /// A final response other than 2xx.
    Rejected {
        /// 300 to 699.
        status: u16,
        /// The reason phrase.
        phrase: String,
        /// The Reason header, if any.
        reason: Option<String>,
    },
    /// No final response.
    TimedOut,
    /// No connection to where the request should go.
    Unreachable(String),
    /// The 200 was never acknowledged.
    NoAck,
    /// The other side's session description cannot be used.
    BadDescription,
    /// The party was shut down.
    Stopped,
}

impl Ending {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            Self::HungUp(_)
            | Self::Cancelled(_)
            | Self::TimedOut
            | Self::Unreachable(_)
            | Self::NoAck
            | Self::BadDescription
            | Self::Stopped => None,
        }
    }
}

/// A provisional response received by a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// 100 to 199.
    pub status: u16,
    /// Its To tag.
    pub tag: Option<String>,
    /// With a session description.
    pub early_media: bool,
    /// Time since the INVITE.
    pub after: Duration,
}

/// What is known of a call at one moment.
#[derive(Clone, Debug)]
pub struct CallState {
    /// How far it has come.
    pub phase: Phase,
    /// Provisional responses received, in order.
    pub progress: Vec<Progress>,
    /// INVITE to 2xx.
    pub setup: Option<Duration>,
    /// Silence was asked for by this party.
    pub holding: bool,
    /// Silence was asked for by the other side.
    pub held: bool,
    /// Re-INVITEs received.
    pub reinvites: u32,
    /// Session refreshes of our own that were answered.
    pub refreshes: u32,
    /// Set once the call is over.
    pub ending: Option<Ending>,
}

impl CallState {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Trying,
            progress: Vec::new(),
            setup: None,
            holding: false,
            held: false,
            reinvites: 0,
            refreshes: 0,
            ending: None,
        }
    }
}

/// Why an action on a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call is not in a phase where this can be done, or ended meanwhile.
    #[error("the call is over or not yet confirmed")]
    NotNow,
    /// The other side refused a re-INVITE.
    #[error("refused with {0}")]
    Refused(u16),
    /// No answer in 64 × T1.
    #[error("timed out")]
    TimedOut,
}

pub(crate) type Done = oneshot::Sender<Result<(), CallError>>;

pub(crate) enum Command {
    HangUp,
    Hold(HoldDialect, Done),
    Resume(Done),
    Refresh(Done),
    /// A re-INVITE with this text for its offer.
    Reoffer(String, Done),
    /// Another request within the dialog: method and body.
    Send(String, Option<(String, String)>),
}

/// Who is who in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// User part of From; empty when anonymous.
    pub caller: String,
    /// User part of the Request-URI.
    pub called: String,
    /// The Call-ID on this leg.
    pub call_id: String,
    /// Whether this party placed the call.
    pub outgoing: bool,
}

/// A call. Clones are the same call; dropping them does not end it.
#[derive(Clone)]
pub struct CallHandle {
    parties: Arc<Parties>,
    media: Arc<MediaSession>,
    commands: mpsc::UnboundedSender<Command>,
    state: watch::Receiver<CallState>,
}

impl std::fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallHandle")
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

impl CallHandle {
    pub(crate) fn new(
        parties: Parties,
        media: Arc<MediaSession>,
    ) -> (
        Self,
        mpsc::UnboundedReceiver<Command>,
        watch::Sender<CallState>,
    ) {
        let (commands, queue) = mpsc::unbounded_channel();
        let (cell, state) = watch::channel(CallState::new());
        (
            Self {
                parties: Arc::new(parties),
                media,
                commands,
                state,
            },
            queue,
            cell,
        )
    }

    /// Who is who.
    pub fn parties(&self) -> &Parties {
        &self.parties
    }

    /// The state at this moment.
    pub fn state(&self) -> CallState {
        self.state.borrow().clone()
    }

    /// Waits until `until` holds of the state, or the call is over; gives the state then.
    pub async fn wait(&self, mut until: impl FnMut(&CallState) -> bool) -> CallState {
        let mut state = self.state.clone();
        let reached = state
            .wait_for(|state| until(state) || state.ending.is_some())
            .await;
        match reached {
            Ok(state) => state.clone(),
            Err(_) => CallState {
                ending: Some(Ending::Stopped),
                ..self.state()
            },
        }
    }

    /// Waits for a provisional response above 100; false when the call ended first.
    pub async fn ringing(&self) -> bool {
        self.wait(|state| state.phase >= Phase::Ringing)
            .await
            .ending
            .is_none()
    }

    /// Waits for 200 and ACK; gives the time from INVITE to 200, or why there was none.
    ///
    /// # Errors
    /// How the call ended, if it ended first.
    pub async fn connected(&self) -> Result<Duration, Ending> {
        let state = self.wait(|state| state.phase >= Phase::Confirmed).await;
        match (state.phase, state.ending) {
            (Phase::Confirmed, _) => Ok(state.setup.unwrap_or_default()),
            (_, ending) => Err(ending.unwrap_or(Ending::Stopped)),
        }
    }

    /// Waits for the end of the call.
    pub async fn ended(&self) -> Ending {
        self.wait(|_| false).await.ending.unwrap_or(Ending::Stopped)
    }

    /// Ends the call whatever its phase: CANCEL, a refusal, or BYE. Returns when it is over.
    pub async fn hang_up(&self) -> Ending {
        // A call already over takes no commands and needs none.
        let _ = self.commands.send(Command::HangUp);
        self.ended().await
    }

    /// Ends the call without waiting: CANCEL before the answer, BYE after it.
    pub fn cancel(&self) {
        let _ = self.commands.send(Command::HangUp);
    }

    /// Asks for silence with a re-INVITE.
    ///
    /// # Errors
    /// When the call is not confirmed, or the other side refuses or stays silent.
    pub async fn hold(&self, dialect: HoldDialect) -> Result<(), CallError> {
        self.ask(|done| Command::Hold(dialect, done)).await
    }

    /// Takes the call out of hold with a re-INVITE.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn resume(&self) -> Result<(), CallError> {
        self.ask(Command::Resume).await
    }

    /// Repeats the last description unchanged, as a session timer does.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn refresh(&self) -> Result<(), CallError> {
        self.ask(Command::Refresh).await
    }

    /// Sends a re-INVITE with this text for its offer, whatever it says; this party's own media
    /// stays as it is.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn reoffer(&self, description: &str) -> Result<(), CallError> {
        self.ask(|done| Command::Reoffer(description.to_owned(), done))
            .await
    }

    /// Sends any other request in the dialog, with content type and body; its response is only
    /// logged.
    pub fn send_request(&self, method: &str, body: Option<(&str, &str)>) {
        let body = body.map(|(kind, text)| (kind.to_owned(), text.to_owned()));
        let _ = self.commands.send(Command::Send(method.to_owned(), body));
    }

    async fn ask(&self, command: impl FnOnce(Done) -> Command) -> Result<(), CallError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(command(done))
            .map_err(|_| CallError::NotNow)?;
        answer.await.map_err(|_| CallError::NotNow)?
    }

    /// Sends that many packets of audio; returns when the last is sent or the call is over.
    pub async fn talk(&self, packets: u32) {
        let finished = self.media.talk(packets);
        tokio::select! {
            _ = finished => {}
            _ = self.ended() => {}
        }
    }

    /// Sends digits as telephone events; returns when the last is sent or the call is over.
    pub async fn send_digits(&self, digits: &str) {
        let finished = self.media.dial(digits);
        tokio::select! {
            _ = finished => {}
            _ = self.ended() => {}
        }
    }

    /// Waits until that many digits were heard, at most `limit`; gives those heard.
    pub async fn digits(&self, count: usize, limit: Duration) -> String {
        self.media
            .wait_for(limit, |counts| counts.digits.len() >= count)
            .await;
        self.media.counts().digits
    }

    /// This party's account of the call's media so far.
    pub fn media(&self) -> MediaCounts {
        self.media.counts()
    }

    /// Waits until `enough` holds of the media counts, at most `limit`.
    pub async fn media_until(
        &self,
        limit: Duration,
        enough: impl FnMut(&MediaCounts) -> bool,
    ) -> bool {
        self.media.wait_for(limit, enough).await
    }

    /// Where this party's media is bound.
    pub fn media_address(&self) -> std::net::SocketAddr {
        self.media.local()
    }
}

/// What crossed between two parties of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchanged {
    /// From the first to the second.
    pub a_to_b: Audio,
    /// From the second to the first.
    pub b_to_a: Audio,
}

impl Exchanged {
    /// Whether at least `packets` went each way and every one arrived once, whole, in order.
    pub fn exact(&self, packets: u32) -> bool {
        self.a_to_b.exact(packets) && self.b_to_a.exact(packets)
    }

    /// The two accounts as they stand now.
    pub fn so_far(a: &CallHandle, b: &CallHandle) -> Self {
        let (a, b) = (a.media(), b.media());
        Self {
            a_to_b: Audio::compare(&a, &b),
            b_to_a: Audio::compare(&b, &a),
        }
    }
}

/// Lets two ends of one call talk at the same time, `packets` each, waits until what was sent has
/// arrived (two seconds at most) and compares the accounts of the whole call.
pub async fn exchange(a: &CallHandle, b: &CallHandle, packets: u32) -> Exchanged {
    tokio::join!(a.talk(packets), b.talk(packets));
    tokio::join!(drained(a, b), drained(b, a));
    sleep(SURPLUS).await;
    Exchanged::so_far(a, b)
}

async fn drained(sender: &CallHandle, receiver: &CallHandle) {
    let MediaCounts {
        stream: Some(stream),
        sent,
        ..
    } = sender.media()
    else {
        return;
    };
    receiver
        .media_until(DRAIN, |counts| counts.received_of(stream) >= sent)
        .await;
}

/// Sends digits from one end and waits for as many at the other; gives those heard since.
pub async fn exchange_digits(from: &CallHandle, to: &CallHandle, digits: &str) -> String {
    let before = to.media().digits.len();
    from.send_digits(digits).await;
    let heard = to.digits(before + digits.len(), DRAIN).await;
    heard.get(before..).unwrap_or_default().to_owned()
}

/// Waits for a call with a limit, for tests and demonstrations that must end.
///
/// # Errors
/// [`Ending::TimedOut`] when `limit` passed, else how the call ended.
pub async fn connected_within(call: &CallHandle, limit: Duration) -> Result<Duration, Ending> {
    timeout(limit, call.connected())
        .await
        .unwrap_or(Err(Ending::TimedOut))
}
