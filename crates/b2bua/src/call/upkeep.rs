//! Keeping the session of one leg alive: the refreshes we send, and the end of a session that
//! nobody refreshed (RFC 4028 §7.4, §10).

use std::time::Duration;

use sip_msg::{Headers, Method, Request, Response, StatusCode};
use sip_ua::{ClientKey, DialogError};

use super::refresh::{self, SessionTimer};
use super::talking::Talking;
use super::{Head, Timer};
use crate::core::Core;
use crate::index::Owner;
use crate::key::{CallKey, Side};
use crate::leg::Leg;
use crate::profile::{RefreshMethod, SessionPolicy};

/// A refresh that was refused for a passing reason is sent again after this, but for what a
/// `Retry-After` says.
const RETRY: Duration = Duration::from_secs(5);

/// The session timer of one leg, and how it is kept up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upkeep {
    /// What was agreed last; without one the session has no end of its own.
    pub(crate) timer: Option<SessionTimer>,
    /// The party's `Allow` names UPDATE.
    pub(crate) updates: bool,
    /// A 422 asked for the present interval; it may ask once.
    raised: bool,
    work: Work,
}

/// What is to be done for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Work {
    #[default]
    Nothing,
    /// A refresh of ours is due, and goes out when the dialog is free.
    Due,
    /// An UPDATE of ours waits for its final response.
    Updating(ClientKey),
}

impl Upkeep {
    /// Of a leg whose party asked for the session with these header fields.
    pub(crate) fn of_request(request: &Headers, timer: Option<SessionTimer>) -> Self {
        Self {
            timer,
            updates: refresh::takes_updates(request),
            ..Self::default()
        }
    }

    /// Of a leg whose party accepted the session with this 2xx.
    pub(crate) fn of_answer(response: &Response, policy: &SessionPolicy) -> Self {
        Self {
            timer: SessionTimer::answered(response, policy, None),
            updates: refresh::takes_updates(&response.headers),
            ..Self::default()
        }
    }

    /// As a checkpoint knows it.
    pub(crate) fn restored(timer: Option<SessionTimer>, updates: bool) -> Self {
        Self {
            timer,
            updates,
            ..Self::default()
        }
    }

    /// Whether an UPDATE of ours is under way.
    pub(crate) fn is_updating(&self) -> bool {
        self.update_under_way().is_some()
    }

    /// The session was refreshed, by whomever: its time begins anew.
    pub(crate) fn begin(&mut self, core: &mut Core, call: CallKey, side: Side) {
        if self.work == Work::Due {
            self.work = Work::Nothing;
        }
        self.raised = false;
        core.disarm(call, Timer::Refresh(side));
        core.disarm(call, Timer::Session(side));
        let Some(timer) = self.timer else { return };
        core.arm(call, Timer::Session(side), timer.deadline());
        if let Some(after) = timer.refresh_after() {
            core.arm(call, Timer::Refresh(side), after);
        }
    }

    /// Header fields that a re-INVITE or UPDATE of ours must have for the timer to go on.
    pub(crate) fn write_request(&self, policy: &SessionPolicy, headers: &mut Headers) {
        if let Some(timer) = self.timer {
            timer.write_request(policy, self.raised, headers);
        }
    }

    /// The UPDATE of ours that is under way.
    pub(crate) fn update_under_way(&self) -> Option<ClientKey> {
        match self.work {
            Work::Updating(client) => Some(client),
            Work::Nothing | Work::Due => None,
        }
    }

    /// A refresh of ours is due, or due again.
    pub(crate) fn due(&mut self) {
        let ours = self.timer.is_some_and(|timer| timer.ours);
        if ours && self.work == Work::Nothing {
            self.work = Work::Due;
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.work == Work::Due
    }

    /// A re-INVITE of ours goes out, which refreshes as well.
    pub(crate) fn sent(&mut self) {
        if self.work == Work::Due {
            self.work = Work::Nothing;
        }
    }

    /// A request of ours that refreshes was refused. Unless something newer refreshes the session
    /// before its deadline, it ends then.
    pub(crate) fn refused(
        &mut self,
        core: &mut Core,
        (call, side): (CallKey, Side),
        response: &Response,
    ) {
        let Some(timer) = self.timer.as_mut().filter(|timer| timer.ours) else {
            return;
        };
        if response.status == StatusCode::SESSION_INTERVAL_TOO_SMALL && !self.raised {
            if let Some(interval) = refresh::longer(&response.headers, timer.interval) {
                timer.interval = interval;
                self.raised = true;
                self.work = Work::Due;
            }
            return;
        }
        let wait = response.headers.retry_after().map(u64::from);
        let wait = wait.map_or(RETRY, Duration::from_secs).max(RETRY);
        core.arm(call, Timer::Refresh(side), wait);
    }
}

impl Talking {
    /// The side whose UPDATE this is.
    pub(super) fn updating(&self, client: ClientKey) -> Option<Side> {
        let of = |leg: &&Leg| leg.upkeep.work == Work::Updating(client);
        [&self.a, &self.b].into_iter().find(of).map(|leg| leg.side)
    }

    /// The final response to an UPDATE of ours; `false` if the dialog is gone.
    pub(super) fn updated(
        &mut self,
        core: &mut Core,
        head: &Head,
        side: Side,
        response: &Response,
    ) -> bool {
        let own = self.leg_mut(side);
        own.upkeep.work = Work::Nothing;
        if response.status.is_success() {
            refreshed(core, head.key, own, response);
            return true;
        }
        match response.status {
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST | StatusCode::REQUEST_TIMEOUT => false,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                own.upkeep.updates = false;
                own.upkeep.due();
                true
            }
            _ => {
                own.upkeep.refused(core, (head.key, side), response);
                true
            }
        }
    }
}

/// The party accepted a request of ours that refreshes.
pub(super) fn refreshed(core: &mut Core, call: CallKey, own: &mut Leg, response: &Response) {
    let policy = own.trunk.session;
    own.upkeep.timer = SessionTimer::answered(response, &policy, own.upkeep.timer);
    if response.headers.contains(&sip_msg::HeaderName::Allow) {
        own.upkeep.updates = refresh::takes_updates(&response.headers);
    }
    own.upkeep.begin(core, call, own.side);
}

/// Sends the refresh that is due, by UPDATE if that is how it is done on this leg; `true` if a
/// re-INVITE is to do it.
pub(super) fn refresh(core: &mut Core, call: CallKey, own: &mut Leg) -> bool {
    if !own.upkeep.is_due() {
        return false;
    }
    let policy = own.trunk.session;
    let by_update = policy.method == RefreshMethod::Update
        && own.upkeep.updates
        && own.trunk.may_send(&Method::Update);
    if !by_update {
        return true;
    }
    own.upkeep.work = match ask(core, call, own, Method::Update, |_| {}) {
        Ok(client) => Work::Updating(client),
        // No room now: the deadline of the session decides.
        Err(_) => Work::Nothing,
    };
    false
}

/// A request within the leg's dialog that says what we can do and, as every one does that can
/// refresh the session, which timer we ask for. `describe` gives it its body.
pub(super) fn ask(
    core: &mut Core,
    call: CallKey,
    own: &Leg,
    method: Method,
    describe: impl FnOnce(&mut Request),
) -> Result<ClientKey, DialogError> {
    let (upkeep, policy) = (own.upkeep, own.trunk.session);
    let capabilities = own.trunk.capability_headers(&core.software);
    let write = |request: &mut Request| {
        for (name, value) in capabilities {
            request.headers.push(name, &*value);
        }
        upkeep.write_request(&policy, &mut request.headers);
        describe(request);
    };
    let client = core
        .ua
        .dialog_request(core.now, own.dialog, method, write)?;
    core.index.own_client(client, Owner::Call(call));
    Ok(client)
}
