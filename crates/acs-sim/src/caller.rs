//! Placing a call: from the INVITE to its final response (RFC 3261 §13.2).

use std::sync::Arc;
use std::time::Duration;

use sip_msg::{HeaderName, Method, Request, Response, Uri};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::agent::{Agent, InDialog};
use crate::call::{By, CallHandle, Command, Ending, InDialogRequest, Parties, Phase, Progress};
use crate::client::{Exchange, Reply};
use crate::dialog::{Dialog, DialogId, raw};
use crate::live::{Core, Established, Live};
use crate::manner::{Described, Occasion, Role, add};
use crate::media::MediaSession;
use crate::script::{CallOptions, Offer};
use crate::sdp::{self, Codec, Direction, Embellishment, Local, Remote};
use crate::server::Incoming;
use crate::wire::{Hop, Link};

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where a call is placed.
pub(crate) struct Destination {
    pub(crate) uri: Uri,
    /// The To header's URI.
    pub(crate) to: String,
    /// The From header's URI, without tag.
    pub(crate) from: String,
    pub(crate) hop: Hop,
}

/// Begins a call; the handle's state says how it fares.
pub(crate) async fn place(
    agent: &Arc<Agent>,
    destination: Destination,
    options: CallOptions,
) -> std::io::Result<CallHandle> {
    let config = options.media.as_ref().unwrap_or(&agent.media);
    let media = Arc::new(MediaSession::open(config, agent.tap.clone()).await?);
    let local = description(&media, config, agent.manner.microsoft_sdp());
    let id = DialogId {
        call_id: crate::random::token(),
        local_tag: crate::random::token(),
    };
    let parties = Parties {
        caller: options.caller.clone().unwrap_or_default(),
        called: destination.uri.user().unwrap_or_default().to_owned(),
        call_id: id.call_id.clone(),
        tag: id.local_tag.clone(),
        outgoing: true,
        display_name: String::new(),
        custom: Vec::new(),
    };
    let (handle, commands, state) = CallHandle::new(parties, Arc::clone(&media));
    let (sender, inbox) = mpsc::unbounded_channel();
    agent.register(id.clone(), sender);
    let side = options.from_proxy;
    let core = Core {
        agent: Arc::clone(agent),
        media,
        state,
        commands,
        inbox,
        id,
        side,
        local,
    };
    let task = tokio::spawn(dial(core, destination, options));
    agent.keep(task.abort_handle());
    Ok(handle)
}

/// What this side can do, as an offer.
pub(crate) fn description(
    media: &MediaSession,
    config: &crate::media::MediaConfig,
    microsoft: bool,
) -> Local {
    Local {
        session: u64::from(crate::random::u32()),
        version: 1,
        rtp: media.local(),
        connection: media.local().ip(),
        rtcp_mux: config.rtcp_mux,
        codecs: config.codecs.clone(),
        telephone_event: config.telephone_event,
        direction: Direction::SendRecv,
        crypto: media.key().map(|key| (1, key)),
        microsoft: microsoft.then(Embellishment::offer),
        edit: config.sdp.clone(),
    }
}

/// An INVITE under way.
struct Dialling {
    core: Core,
    exchange: Exchange,
    link: Arc<Link>,
    contact: String,
    began: Instant,
    /// We want out: send CANCEL as soon as a provisional response allows it.
    giving_up: bool,
    cancelled: bool,
    cancel_at: Option<Instant>,
    early: Option<(Remote, Codec)>,
    /// The dialog of the last provisional response, for requests within it.
    early_dialog: Option<Dialog>,
    /// The last reliable provisional response acknowledged.
    pracked: Option<u32>,
}

async fn dial(core: Core, destination: Destination, options: CallOptions) {
    let link = match core.agent.link_to(&destination.hop, core.side).await {
        Ok(link) => link,
        Err(error) => return core.end(Ending::Unreachable(error.to_string())),
    };
    let local = core.agent.advertised(&link);
    let contact = core.agent.manner.contact(options.caller.as_deref(), local);
    let mut request = invite(&core, destination, &options, &contact);
    core.agent
        .manner
        .complete(&mut request.headers, Occasion::Request, local);
    match options.offer {
        Offer::Full => request.set_body("application/sdp", core.local.to_bytes()),
        Offer::Delayed => {}
        Offer::Verbatim(text) => request.set_body("application/sdp", text),
    }
    let began = Instant::now();
    let exchange = core.agent.send_request(request, &link);
    let cancel_at = options.cancel_after.map(|after| began + after);
    let dialling = Dialling {
        core,
        exchange,
        link,
        contact,
        began,
        giving_up: false,
        cancelled: false,
        cancel_at,
        early: None,
        early_dialog: None,
        pracked: None,
    };
    dialling.run().await;
}

fn invite(core: &Core, to: Destination, options: &CallOptions, contact: &str) -> Request {
    let mut request = Request::new(Method::Invite, to.uri);
    let headers = &mut request.headers;
    headers.push(HeaderName::MaxForwards, "70");
    headers.push(
        HeaderName::From,
        format!("<{}>;tag={}", to.from, core.id.local_tag),
    );
    headers.push(HeaderName::To, format!("<{}>", to.to));
    headers.push(HeaderName::CallId, core.id.call_id.clone());
    headers.push(HeaderName::CSeq, "1 INVITE");
    headers.push(HeaderName::Contact, contact);
    add(headers, &options.headers);
    request
}

impl Dialling {
    async fn run(mut self) {
        loop {
            let far = Instant::now() + NEVER;
            tokio::select! {
                reply = self.exchange.replies.recv() => match reply {
                    Some(Reply::Response(response)) if !response.status.is_final() => {
                        self.provisional(&response);
                    }
                    Some(Reply::Response(response)) if response.status.is_success() => {
                        return self.answered(&response).await;
                    }
                    Some(Reply::Response(response)) => return self.failed(&response),
                    Some(Reply::TimedOut) | None => return self.core.end(Ending::TimedOut),
                },
                Some(command) = self.core.commands.recv() => self.command(command),
                event = self.core.inbox.recv() => self.event(event),
                () = sleep_until(self.cancel_at.unwrap_or(far)) => {
                    self.cancel_at = None;
                    self.give_up();
                }
            }
        }
    }

    fn command(&mut self, command: Command) {
        match (command, &mut self.early_dialog) {
            (Command::HangUp(_), _) => self.give_up(),
            (Command::Send(request, done), Some(dialog)) => {
                self.core.send_in_dialog(dialog, &self.link, request, done);
            }
            // Nothing else can be done to a call that is being set up.
            _ => {}
        }
    }

    /// Takes up the early dialog of a provisional response, and acknowledges a reliable one
    /// (RFC 3262 §4).
    fn early_dialog(&mut self, response: &Response) {
        let Some(tag) = response.headers.to_tag() else {
            return;
        };
        self.core
            .state
            .send_modify(|state| state.remote_tag = Some(tag.clone()));
        if self
            .early_dialog
            .as_ref()
            .is_none_or(|known| !known.is_with(&tag))
        {
            let own = |route: &str| self.core.agent.manner.is_own_route(route);
            let dialog = Dialog::of_caller(&self.exchange.request, response, &self.contact, own);
            self.early_dialog = Some(dialog);
        }
        let reliable = response
            .headers
            .require()
            .iter()
            .any(|tag| tag.eq_ignore_ascii_case("100rel"));
        let rseq = response.headers.rseq().ok().flatten();
        let (Some(rseq), true) = (rseq, reliable) else {
            return;
        };
        if self.pracked == Some(rseq) {
            return;
        }
        self.pracked = Some(rseq);
        self.core.state.send_modify(|state| state.pracks += 1);
        if let Some(dialog) = &mut self.early_dialog {
            let prack = InDialogRequest::new("PRACK").header("RAck", &format!("{rseq} 1 INVITE"));
            self.core.send_in_dialog(dialog, &self.link, prack, None);
        }
    }

    fn provisional(&mut self, response: &Response) {
        self.early_dialog(response);
        let progress = Progress {
            status: response.status.code(),
            tag: response.headers.to_tag().map(|tag| tag.to_string()),
            early_media: !response.body.is_empty(),
            after: self.began.elapsed(),
        };
        self.core.state.send_modify(|state| {
            if progress.status > 100 {
                state.phase = Phase::Ringing;
            }
            state.progress.push(progress);
        });
        if let Ok(remote) = sdp::parse(&response.body)
            && let Some(codec) = remote.first_codec(&self.core.local.codecs)
        {
            self.core.follow(&remote, codec);
            self.early = Some((remote, codec));
        }
        if self.giving_up {
            self.give_up();
        }
    }

    /// RFC 3261 §9.1: a CANCEL waits for a provisional response, and is sent once.
    fn give_up(&mut self) {
        self.giving_up = true;
        let heard = !self.core.state.borrow().progress.is_empty();
        if heard && !self.cancelled {
            self.cancelled = true;
            drop(self.core.agent.send_cancel(&self.exchange));
        }
    }

    fn event(&self, event: Option<InDialog>) {
        if let Some(InDialog::Request(incoming)) = event {
            self.early_request(&incoming);
        }
    }

    /// A request within an early dialog: an UPDATE, a PRACK, or a BYE before its time.
    fn early_request(&self, incoming: &Incoming) {
        let response = self
            .core
            .agent
            .response(&incoming.request, 200, None, &incoming.link);
        self.core.agent.respond(incoming, response);
    }

    fn failed(self, response: &Response) {
        let code = response.status.code();
        let ending = if self.cancelled && code == 487 {
            Ending::Cancelled(By::Us)
        } else {
            let reason = raw(&response.headers, &HeaderName::Reason);
            Ending::Rejected {
                status: code,
                phrase: String::from_utf8_lossy(&response.reason).into_owned(),
                reason: (!reason.is_empty()).then_some(reason),
            }
        };
        self.core.end(ending);
    }

    async fn answered(self, response: &Response) {
        let Self {
            mut core,
            exchange,
            link,
            contact,
            began,
            giving_up,
            early,
            early_dialog,
            ..
        } = self;
        core.state.send_modify(|state| {
            state.setup = Some(began.elapsed());
            state.remote_tag = response.headers.to_tag();
        });
        let own = |route: &str| core.agent.manner.is_own_route(route);
        let mut dialog = Dialog::of_caller(&exchange.request, response, &contact, own);
        if let Some(early) = &early_dialog {
            dialog.number_after(early);
        }
        let parsed = sdp::parse(&response.body);
        let delayed = exchange.request.body.is_empty();
        let described = Described {
            body: &response.body,
            parsed: &parsed,
            role: if delayed { Role::Offer } else { Role::Answer },
            previous: None,
        };
        let refusal = core.agent.manner.judge_description(&described);
        let settled = match (parsed, early) {
            (Ok(remote), _) => remote
                .first_codec(&core.local.codecs)
                .map(|codec| (remote, codec)),
            // RFC 3261 §13.2.1: the answer may have come in a reliable provisional alone.
            (Err(_), early) if response.body.is_empty() => early,
            (Err(_), _) => None,
        };
        let usable = settled.is_some() && refusal.is_none();
        let mut body = None;
        if let Some((remote, codec)) = &settled {
            if delayed {
                core.local.codecs = vec![*codec];
                core.local.answering();
                if let (Some((tag, _)), Some(line)) =
                    (&mut core.local.crypto, remote.usable_crypto())
                {
                    *tag = line.tag;
                }
                body = Some(core.local.to_bytes());
            }
            core.follow(remote, *codec);
        }
        let (remote, codec) = match settled {
            Some(settled) => settled,
            None => (Remote::nowhere(), Codec::Pcmu),
        };
        let call = Established {
            dialog,
            link,
            remote,
            codec,
            answered_by_them: !delayed,
            hang_up_after: None,
        };
        let mut live = Live::new(core, call);
        live.acknowledge(1, body).await;
        if !usable || giving_up {
            // A 2xx that crossed our CANCEL, or one we cannot use, is taken and ended.
            let ending = if usable {
                Ending::Cancelled(By::Us)
            } else {
                Ending::BadDescription
            };
            return live.end_at_once(ending).await;
        }
        live.confirmed();
        live.run(Some(exchange.replies)).await;
    }
}
