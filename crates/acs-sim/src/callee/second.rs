//! A second endpoint of a fork which answers although the first one did.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Offered, endpoint};
use crate::agent::Agent;
use crate::call::Phase;
use crate::dialog::{Dialog, raw};
use crate::live::{Established, Live};
use crate::media::MediaConfig;
use crate::sdp::Remote;
use crate::server::Incoming;

/// Answers `incoming` once more after that time, in a task of its own.
pub(super) fn begin(
    agent: &Arc<Agent>,
    incoming: Incoming,
    offered: Offered,
    config: MediaConfig,
    after: Duration,
) {
    let task = answer(Arc::clone(agent), incoming, offered, config, after);
    agent.keep(tokio::spawn(task).abort_handle());
}

async fn answer(
    agent: Arc<Agent>,
    incoming: Incoming,
    offered: Offered,
    config: MediaConfig,
    after: Duration,
) {
    sleep(after).await;
    let Ok((core, _)) = endpoint(&agent, &incoming, &offered, &config).await else {
        return;
    };
    let tag = core.id.local_tag.clone();
    let mut response = agent.response(&incoming.request, 200, Some(&tag), &incoming.link);
    let local = agent.advertised(&incoming.link);
    let contact = agent.manner.contact(incoming.request.uri.user(), local);
    response.headers.push(sip_msg::HeaderName::Contact, contact);
    let contact = raw(&response.headers, &sip_msg::HeaderName::Contact);
    response.set_body("application/sdp", core.local.to_bytes());
    if let Some(remote) = &offered.remote {
        core.follow(remote, offered.codec);
    }
    let bytes = agent.respond(&incoming, response);
    core.state
        .send_modify(|state| state.phase = Phase::Answered);
    let call = Established {
        dialog: Dialog::of_callee(&incoming.request, &tag, &contact),
        link: Arc::clone(&incoming.link),
        remote: offered.remote.unwrap_or_else(Remote::nowhere),
        codec: offered.codec,
        answered_by_them: false,
        hang_up_after: None,
    };
    let mut live = Live::new(core, call);
    live.answered(&incoming, bytes);
    live.run(None).await;
}
