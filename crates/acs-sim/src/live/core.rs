//! What a call has from its INVITE to its end, whichever way it is made.

use std::sync::Arc;

use sip_msg::Method;
use tokio::sync::{mpsc, watch};

use crate::agent::{Agent, InDialog};
use crate::call::{CallState, Command, Ending, InDialogRequest, Phase, Responded};
use crate::dialog::{Dialog, DialogId};
use crate::manner::{Occasion, add};
use crate::media::{Agreed, MediaSession};
use crate::sdp::{Codec, Direction, Local, Remote};
use crate::wire::Link;

/// What both ways of making a call have in common, before and after it is confirmed.
pub(crate) struct Core {
    pub(crate) agent: Arc<Agent>,
    pub(crate) media: Arc<MediaSession>,
    pub(crate) state: watch::Sender<CallState>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) inbox: mpsc::UnboundedReceiver<InDialog>,
    pub(crate) id: DialogId,
    /// Which of our listeners this call belongs to.
    pub(crate) side: usize,
    pub(crate) local: Local,
}

impl Core {
    pub(crate) fn end(&self, ending: Ending) {
        self.media.stop();
        self.agent.forget(&self.id);
        self.state.send_modify(|state| {
            state.phase = Phase::Ended;
            state.ending.get_or_insert(ending);
        });
    }

    /// Sends a request in `dialog`; its final response goes to `done`.
    pub(crate) fn send_in_dialog(
        &self,
        dialog: &mut Dialog,
        link: &Arc<Link>,
        asked: InDialogRequest,
        done: Option<Responded>,
    ) {
        let mut request = dialog.request(method_named(&asked.method));
        let local = self.agent.advertised(link);
        self.agent
            .manner
            .complete(&mut request.headers, Occasion::Request, local);
        add(&mut request.headers, &asked.headers);
        if let Some((kind, text)) = asked.body {
            request.set_body(&kind, text);
        }
        let exchange = self.agent.send_request(request, link);
        let wait = async move {
            let response = exchange.last().await;
            if let Some(done) = done {
                // Whoever asked may have left.
                let _ = done.send(response);
            }
        };
        self.agent.keep(tokio::spawn(wait).abort_handle());
    }

    /// Takes up an exchange of descriptions.
    pub(crate) fn follow(&self, remote: &Remote, codec: Codec) {
        let hold = self.agent.manner.holds_by_inactive_only();
        let theirs = match remote.direction {
            Direction::SendOnly | Direction::RecvOnly if hold => Direction::SendRecv,
            Direction::SendRecv
            | Direction::SendOnly
            | Direction::RecvOnly
            | Direction::Inactive => remote.direction,
        };
        let agreed = Agreed {
            codec,
            send: self.local.direction.sends() && theirs.receives() && !remote.black_hole(),
            receive: self.local.direction.receives() && theirs.sends(),
        };
        self.media
            .follow(remote, agreed, self.agent.manner.retargets_media());
        let held = remote.black_hole() || !theirs.receives();
        self.state.send_modify(|state| state.held = held);
    }
}

fn method_named(name: &str) -> Method {
    match name {
        "INFO" => Method::Info,
        "UPDATE" => Method::Update,
        "REFER" => Method::Refer,
        "NOTIFY" => Method::Notify,
        "OPTIONS" => Method::Options,
        "PRACK" => Method::Prack,
        "MESSAGE" => Method::Message,
        "SUBSCRIBE" => Method::Subscribe,
        "PUBLISH" => Method::Publish,
        other => Method::Other(other.into()),
    }
}
