//! Calls Microsoft's side places.

use std::sync::{Arc, Weak};

use sip_msg::Uri;

use super::Microsoft;
use crate::agent::Agent;
use crate::call::{CallHandle, Phase};
use crate::caller::{self, Destination};
use crate::manner::Manner as _;
use crate::script::CallOptions;

/// Whoever calls through Microsoft's side without keeping it alive.
#[derive(Clone)]
pub(crate) struct Dialler {
    agent: Weak<Agent>,
    side: Weak<Microsoft>,
}

impl Dialler {
    pub(super) fn new(agent: &Arc<Agent>, side: &Arc<Microsoft>) -> Self {
        Self {
            agent: Arc::downgrade(agent),
            side: Arc::downgrade(side),
        }
    }

    /// As [`AcsSim::call`](super::AcsSim::call).
    pub(crate) async fn call(
        &self,
        number: &str,
        trunk: &str,
        options: CallOptions,
    ) -> std::io::Result<CallHandle> {
        let both = self.agent.upgrade().zip(self.side.upgrade());
        let (agent, side) = both.ok_or(std::io::ErrorKind::NotConnected)?;
        place(&agent, &side, number, trunk, options).await
    }
}

pub(super) async fn place(
    agent: &Arc<Agent>,
    side: &Arc<Microsoft>,
    number: &str,
    trunk: &str,
    options: CallOptions,
) -> std::io::Result<CallHandle> {
    let invalid = std::io::ErrorKind::InvalidInput;
    let hop = side.hop_to(trunk).ok_or(invalid)?;
    let there = format!("{trunk}:{}", hop.addr.port());
    let text = options
        .request_uri
        .clone()
        .unwrap_or_else(|| format!("sip:{number}@{there};user=phone;transport=tls"));
    let from = match (&options.from_uri, &options.caller) {
        (Some(uri), _) => uri.clone(),
        (None, Some(caller)) => {
            let proxy = side.host(agent.local(options.from_proxy));
            format!("sip:{caller}@{proxy};user=phone")
        }
        (None, None) => "sip:anonymous@anonymous.invalid".to_owned(),
    };
    let destination = Destination {
        uri: Uri::parse(text).map_err(|_| invalid)?,
        to: format!("sip:{number}@{there};user=phone"),
        from,
        hop,
    };
    let call = caller::place(agent, destination, options).await?;
    let watcher = watch_progress(Arc::downgrade(side), call.clone());
    agent.keep(tokio::spawn(watcher).abort_handle());
    Ok(call)
}

/// The gateway timer: 18x or a final response, or the call is given up (U-04).
async fn watch_progress(side: Weak<Microsoft>, call: CallHandle) {
    let Some(patience) = side.upgrade().map(|side| side.config.progress_patience) else {
        return;
    };
    let progressed = call.wait(|state| state.phase > Phase::Trying);
    if tokio::time::timeout(patience, progressed).await.is_err()
        && let Some(side) = side.upgrade()
    {
        let called = &call.parties().called;
        side.ledger().note(
            "U-04",
            format!("no 18x or final within {patience:?} for {called}"),
        );
        call.cancel();
    }
}
