//! Requests that are challenged, and sent again with the answer (RFC 3261 §22.2).

use ambient::Now;
use sip_msg::wire::TrunkName;
use sip_msg::{HeaderName, Headers, Response, StatusCode};

use super::{Deadline, UserAgent};
use crate::auth::Credentials;
use crate::client::{Attempt, Client, ClientMachine, Phase, Purpose};
use crate::keys::ClientKey;
use crate::resolve::Missing;

impl UserAgent {
    /// Who this user agent is towards a trunk: requests that are challenged with 401 or 407 are
    /// sent again with these, twice at most, and the transaction user hears only of what comes
    /// then. An empty list forgets the trunk.
    pub fn set_credentials(&mut self, trunk: &TrunkName, credentials: Vec<Credentials>) {
        self.keyring.set(trunk, credentials);
    }

    /// Sends a challenged request again, if that makes sense; with a new branch and the next CSeq,
    /// for the same transaction user.
    pub(super) fn authenticate(&mut self, now: Now, key: ClientKey, response: &Response) -> bool {
        let challenged = matches!(
            response.status,
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        );
        let Some(client) = self.clients.get_mut(key).filter(|_| challenged) else {
            return false;
        };
        if client.purpose != Purpose::User || client.cancel.is_some() {
            return false;
        }
        let answered = self.keyring.answer(
            &client.settings.trunk,
            response,
            &mut client.request,
            client.rounds,
            &mut self.rng,
        );
        if !answered {
            return false;
        }
        client.rounds += 1;
        let within = client.dialog;
        let Some(seq) = self.next_seq(key) else {
            return false;
        };
        if let Some(entry) = within.and_then(|dialog| self.dialogs.get_mut(dialog)) {
            entry.dialog.local_seq = seq;
        }
        let Some(client) = self.clients.get_mut(key) else {
            return false;
        };
        let method = client.request.method.clone();
        client
            .request
            .headers
            .set(HeaderName::CSeq, format!("{seq} {method}"));
        self.leave_refused(now, key);
        self.locate_client(now, key, Missing::Wait);
        true
    }

    /// The CSeq of the request when it is sent again.
    fn next_seq(&self, key: ClientKey) -> Option<u32> {
        let client = self.clients.get(key)?;
        let before = client.request.headers.cseq().ok()?.seq;
        let of_dialog = client
            .dialog
            .and_then(|dialog| self.dialogs.get(dialog))
            .map_or(0, |entry| entry.dialog.local_seq);
        before.max(of_dialog).checked_add(1)
    }

    /// Leaves a transaction that was refused. One whose refusal may be repeated stays behind, for
    /// its ACK.
    fn leave_refused(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let until = now.moment + self.config.timers.lookup;
        let Phase::Active(attempt) =
            std::mem::replace(&mut client.phase, Phase::Resolving { until })
        else {
            return;
        };
        let (request, settings) = (client.request.clone(), client.settings.clone());
        let (next_hop, policy) = (client.next_hop.clone(), client.policy);
        self.clients.unlink(&attempt.branch, key);
        self.transmits.remove(&attempt.transmit);
        self.deadlines.cancel(&Deadline::Client(key));
        let lingers = matches!(attempt.machine, Some(ClientMachine::Invite(_)));
        if !lingers || !self.has_room(false) {
            return;
        }
        let other = self.clients.mint();
        self.clients.link(&attempt.branch, other);
        let left = Client {
            request,
            settings,
            next_hop,
            policy,
            dialog: None,
            purpose: Purpose::Internal,
            rounds: 0,
            cancel: Some(Headers::new()),
            forks: Vec::new(),
            answers: Vec::new(),
            answered: false,
            phase: Phase::Active(Box::new(Attempt {
                silent: None,
                ..*attempt
            })),
        };
        self.clients.insert(other, left);
        self.clients.answer(other);
        self.schedule_client(other);
    }
}
