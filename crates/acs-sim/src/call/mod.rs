//! One call as its user sees it: a handle that acts, a state that can be waited for.

mod exchange;
mod state;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sip_msg::Response;
use tokio::sync::{mpsc, oneshot, watch};

pub use exchange::{Exchanged, connected_within, exchange, exchange_digits};
pub use state::{By, CallError, CallState, Ending, Notified, Phase, Progress};

use crate::media::MediaSession;
use crate::refer::Transfer;
use crate::script::{HoldDialect, Provisional, Rejection};
use crate::sound::Sound;
use crate::tally::MediaCounts;

pub(crate) type Done = oneshot::Sender<Result<(), CallError>>;
/// Brings the final response to a request, or nothing.
pub(crate) type Responded = oneshot::Sender<Option<Box<Response>>>;

pub(crate) enum Command {
    /// BYE, on a new connection from this address if there is one.
    HangUp(Option<IpAddr>),
    Hold(HoldDialect, Done),
    Resume(Done),
    Refresh(Done),
    /// A re-INVITE with a fresh key.
    Rekey(Done),
    /// A re-INVITE with this text for its offer; without, the other side is to offer.
    Reoffer(Option<String>, Done),
    /// Another request within the dialog.
    Send(InDialogRequest, Option<Responded>),
    Refer(Transfer, Responded),
    Progress(Provisional),
    /// Sends and hears media though nothing was answered.
    Listen,
    Answer(Vec<(String, String)>),
    Reject(Rejection),
}

/// A request within a call's dialog.
#[derive(Clone, Debug, Default)]
pub struct InDialogRequest {
    /// Its method.
    pub method: String,
    /// Header fields added as written: name and value.
    pub headers: Vec<(String, String)>,
    /// Content type and body.
    pub body: Option<(String, String)>,
}

impl InDialogRequest {
    /// A request without a body.
    pub fn new(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, content_type: &str, text: &str) -> Self {
        self.body = Some((content_type.to_owned(), text.to_owned()));
        self
    }
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
    /// This party's tag.
    pub tag: String,
    /// Whether this party placed the call.
    pub outgoing: bool,
    /// The name in From; empty where there is none.
    pub display_name: String,
    /// `X-MS-Custom-…` and `User-To-User` of an INVITE that came in, as far as Microsoft passes
    /// them on.
    pub custom: Vec<(String, String)>,
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

    /// A Replaces header's value (RFC 3891) by which the other side takes this call for another.
    pub fn replaces(&self) -> String {
        let remote = self.state().remote_tag.unwrap_or_default();
        let Parties { call_id, tag, .. } = self.parties();
        format!("{call_id};to-tag={remote};from-tag={tag}")
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
        let _ = self.commands.send(Command::HangUp(None));
        self.ended().await
    }

    /// As [`Self::hang_up`]; the BYE leaves on a connection of its own from that address.
    pub async fn hang_up_from(&self, address: IpAddr) -> Ending {
        let _ = self.commands.send(Command::HangUp(Some(address)));
        self.ended().await
    }

    /// Ends the call without waiting: CANCEL before the answer, BYE after it.
    pub fn cancel(&self) {
        let _ = self.commands.send(Command::HangUp(None));
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
        self.ask(|done| Command::Reoffer(Some(description.to_owned()), done))
            .await
    }

    /// Sends a re-INVITE without an offer and answers the one that comes with sendrecv.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn resume_without_offer(&self) -> Result<(), CallError> {
        self.ask(|done| Command::Reoffer(None, done)).await
    }

    /// Sends a re-INVITE with a fresh key and uses it, from packet index 0 on, once it is
    /// answered.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub async fn rekey(&self) -> Result<(), CallError> {
        self.ask(Command::Rekey).await
    }

    /// Sends any other request in the dialog, with content type and body; its response is only
    /// logged.
    pub fn send_request(&self, method: &str, body: Option<(&str, &str)>) {
        let mut request = InDialogRequest::new(method);
        request.body = body.map(|(kind, text)| (kind.to_owned(), text.to_owned()));
        let _ = self.commands.send(Command::Send(request, None));
    }

    /// Sends any other request in the dialog, early or confirmed; gives its final response.
    pub async fn request(&self, request: InDialogRequest) -> Option<Box<Response>> {
        let (done, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Send(request, Some(done)));
        answer.await.ok().flatten()
    }

    /// Sends REFER; gives its final response. What becomes of the transfer is
    /// [`CallState::notified`].
    pub async fn refer(&self, transfer: Transfer) -> Option<Box<Response>> {
        let (done, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Refer(transfer, done));
        answer.await.ok().flatten()
    }

    /// Sends a provisional response to an incoming call now, whatever its script.
    pub fn progress(&self, provisional: Provisional) {
        let _ = self.commands.send(Command::Progress(provisional));
    }

    /// Starts sending and hearing media on an incoming call of which nothing was said yet.
    pub fn listen(&self) {
        let _ = self.commands.send(Command::Listen);
    }

    /// Answers an incoming call now, with these header fields besides the usual ones.
    pub fn answer(&self, headers: Vec<(String, String)>) {
        let _ = self.commands.send(Command::Answer(headers));
    }

    /// Refuses an incoming call now.
    pub fn reject(&self, rejection: Rejection) {
        let _ = self.commands.send(Command::Reject(rejection));
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

    /// Sends that many packets of a sound that is not coded: silence, a tone, comfort noise.
    /// Returns when the last is sent or the call is over.
    pub async fn play(&self, sound: Sound, packets: u32) {
        let finished = self.media.play(sound, packets);
        tokio::select! {
            _ = finished => {}
            _ = self.ended() => {}
        }
    }

    /// Goes on under another SSRC, with another sequence number and timestamp.
    pub fn change_source(&self) {
        self.media.change_source();
    }

    /// Sends packets from a stranger's port to where this call's media goes, sealed with a key
    /// nobody knows (or plain, where media is plain).
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn forge(&self, packets: u32) -> std::io::Result<()> {
        self.media.forge(packets).await
    }

    /// From now on what is heard of either call is sent on in the other.
    pub fn bridge(&self, other: &Self) {
        self.media.forward_to(&other.media);
        other.media.forward_to(&self.media);
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
    pub fn media_address(&self) -> SocketAddr {
        self.media.local()
    }
}
