//! Taking a call as the script says: provisional responses, then the final one (RFC 3261 §13.3).

mod ringing;
mod second;

use std::sync::Arc;

use sip_msg::{HeaderName, Headers};
use tokio::sync::mpsc;

use crate::agent::{Agent, InDialog};
use crate::call::{CallHandle, Parties};
use crate::caller::description;
use crate::dialog::{DialogId, raw};
use crate::live::Core;
use crate::manner::{Described, Refusal, Role};
use crate::media::{MediaConfig, MediaSession};
use crate::script::Behaviour;
use crate::sdp::{self, Codec, Remote};
use crate::server::Incoming;
use ringing::Ringing;

/// Treats a new INVITE in a task of its own.
pub(crate) fn begin(agent: Arc<Agent>, incoming: Incoming) {
    let keeper = Arc::clone(&agent);
    let task = tokio::spawn(take(agent, incoming));
    keeper.keep(task.abort_handle());
}

async fn take(agent: Arc<Agent>, incoming: Incoming) {
    let called = incoming.request.uri.user().unwrap_or_default().to_owned();
    let behaviour = agent.manner.behaviour(&called);
    match behaviour {
        Behaviour::Ignore => return,
        Behaviour::Manual { trying: false } => {}
        Behaviour::Answer(_)
        | Behaviour::Reject(_)
        | Behaviour::NeverAnswer { .. }
        | Behaviour::Manual { trying: true } => {
            let trying = agent.response(&incoming.request, 100, None, &incoming.link);
            agent.respond(&incoming, trying);
        }
    }
    let config = match &behaviour {
        Behaviour::Answer(answer) => answer.media.clone(),
        Behaviour::Reject(_)
        | Behaviour::NeverAnswer { .. }
        | Behaviour::Manual { .. }
        | Behaviour::Ignore => None,
    };
    let config = config.unwrap_or_else(|| agent.media.clone());
    let offered = match offered(&agent, &incoming, &config) {
        Ok(offered) => offered,
        Err(refusal) => return agent.refuse(&incoming, &refusal),
    };
    match endpoint(&agent, &incoming, &offered, &config).await {
        Ok((core, sender)) => {
            agent.on_cancel(&incoming, sender);
            Ringing::new(core, incoming, offered, behaviour).run().await;
        }
        Err(_) => agent.refuse(&incoming, &Refusal::status(500)),
    }
}

/// What an INVITE offers, and which of its codecs we take.
#[derive(Clone)]
struct Offered {
    /// Absent when we are to offer.
    remote: Option<Remote>,
    codec: Codec,
}

fn offered(agent: &Agent, incoming: &Incoming, config: &MediaConfig) -> Result<Offered, Refusal> {
    let body = &incoming.request.body;
    let parsed = sdp::parse(body);
    let described = Described {
        body,
        parsed: &parsed,
        role: Role::Offer,
        previous: None,
    };
    if let Some(refusal) = agent.manner.judge_description(&described) {
        return Err(refusal);
    }
    if body.is_empty() {
        return Ok(Offered {
            remote: None,
            codec: Codec::default(),
        });
    }
    let unacceptable = || Refusal::status(488);
    let remote = parsed.map_err(|_| unacceptable())?;
    let codec = remote
        .first_codec(&config.codecs)
        .ok_or_else(unacceptable)?;
    let keyed = !config.secure || remote.usable_crypto().is_some();
    if config.secure != remote.secure() || !keyed {
        return Err(unacceptable());
    }
    Ok(Offered {
        remote: Some(remote),
        codec,
    })
}

/// One endpoint that is called: a tag and media of its own, announced to whoever waits for calls.
async fn endpoint(
    agent: &Arc<Agent>,
    incoming: &Incoming,
    offered: &Offered,
    config: &MediaConfig,
) -> std::io::Result<(Core, mpsc::UnboundedSender<InDialog>)> {
    let media = Arc::new(MediaSession::open(config, agent.tap.clone()).await?);
    let mut local = description(&media, config, agent.manner.microsoft_sdp());
    if let Some(remote) = &offered.remote {
        answer(&mut local, remote, offered.codec);
    }
    let id = DialogId {
        call_id: raw(&incoming.request.headers, &HeaderName::CallId),
        local_tag: crate::random::token(),
    };
    let from = incoming.request.headers.from().ok();
    let caller = from
        .as_ref()
        .and_then(|from| from.uri.user().map(str::to_owned));
    let display_name = from
        .as_ref()
        .and_then(|from| from.display.as_ref().map(ToString::to_string));
    let parties = Parties {
        caller: caller.unwrap_or_default(),
        called: incoming.request.uri.user().unwrap_or_default().to_owned(),
        call_id: id.call_id.clone(),
        tag: id.local_tag.clone(),
        outgoing: false,
        display_name: display_name.unwrap_or_default(),
        custom: custom(&incoming.request.headers),
    };
    let (handle, commands, state) = CallHandle::new(parties, Arc::clone(&media));
    let remote_tag = incoming.request.headers.from_tag();
    state.send_modify(|state| state.remote_tag = remote_tag.map(|tag| tag.to_string()));
    let (sender, inbox) = mpsc::unbounded_channel();
    agent.register(id.clone(), sender.clone());
    agent.manner.announce(handle);
    let side = match incoming.link.origin {
        crate::wire::Origin::Theirs { listener } => listener,
        crate::wire::Origin::Ours => 0,
    };
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
    Ok((core, sender))
}

/// Words for an application (at most five fields, names of 64 and values of 256 characters) and
/// those of RFC 7433.
fn custom(headers: &Headers) -> Vec<(String, String)> {
    const PREFIX: &str = "x-ms-custom-";
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let fields = headers
        .iter()
        .map(|field| (text(field.raw_name()), text(field.value())));
    let fits = |(name, value): &(String, String)| name.len() <= 64 && value.len() <= 256;
    let (own, user): (Vec<_>, Vec<_>) = fields
        .filter(fits)
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.starts_with(PREFIX) || name == "user-to-user"
        })
        .partition(|(name, _)| !name.eq_ignore_ascii_case("user-to-user"));
    own.into_iter()
        .take(5)
        .chain(user.into_iter().take(1))
        .collect()
}

/// Turns a full description into the answer to `remote`.
fn answer(local: &mut sdp::Local, remote: &Remote, codec: Codec) {
    local.codecs = vec![codec];
    local.answering();
    local.telephone_event = local.telephone_event.and(remote.telephone_event());
    local.rtcp_mux &= remote.rtcp_mux;
    local.direction = remote.direction.reversed();
    if let (Some((tag, _)), Some(line)) = (&mut local.crypto, remote.usable_crypto()) {
        *tag = line.tag;
    }
}
