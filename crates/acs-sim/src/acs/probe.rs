//! The OPTIONS sequence P-02: Microsoft sends none before it has seen the trunk's, then connects
//! to the name and port of the Contact, and asks in its turn.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use sip_msg::{HeaderName, Method, Request, Uri};
use tokio::time::{sleep, timeout};

use super::Microsoft;
use super::report::TlsStatus;
use crate::agent::Agent;
use crate::client::Reply;
use crate::manner::{Manner, Occasion};
use crate::wire::{ConnectError, Link};

/// Which trunks are being asked, from which proxy.
pub(crate) type Probing = BTreeSet<(String, usize)>;

enum Outcome {
    Answered,
    NoConnection(ConnectError),
    Wrong(String),
}

impl Microsoft {
    /// The trunk's OPTIONS was answered: from now on ask it as well, once for each proxy.
    pub(crate) fn begin_probe(self: &Arc<Self>, request: &Request, listener: usize) {
        let contact = request
            .headers
            .contacts()
            .ok()
            .and_then(|all| all.into_iter().next());
        let Some(contact) = contact else { return };
        let fqdn = contact.uri.host_str().to_ascii_lowercase();
        self.ledger().pinged(&fqdn, listener);
        self.update_trunk(&fqdn, |trunk| trunk.pinged());
        if !self.config.probes || !self.probing().insert((fqdn.clone(), listener)) {
            return;
        }
        let Some(agent) = self.agent() else { return };
        let task = probe(Arc::downgrade(self), Arc::downgrade(&agent), fqdn, listener);
        agent.keep(tokio::spawn(task).abort_handle());
    }

    async fn ask(&self, agent: &Arc<Agent>, fqdn: &str, listener: usize) -> Outcome {
        let Some(hop) = self.hop_to(fqdn) else {
            return Outcome::Wrong("no address is known".to_owned());
        };
        let link = match agent.link_to(&hop, listener).await {
            Ok(link) => link,
            Err(error) => return Outcome::NoConnection(error),
        };
        // The keep-alive of RFC 5626, which does not count as activity.
        link.send(Bytes::from_static(b"\r\n\r\n"));
        let Some(request) = self.options(agent, &link, fqdn, hop.addr.port()) else {
            return Outcome::Wrong("its name makes no URI".to_owned());
        };
        let mut exchange = agent.send_request(request, &link);
        let answer = timeout(self.config.options_patience, async {
            loop {
                match exchange.replies.recv().await {
                    Some(Reply::Response(response)) if !response.status.is_final() => {}
                    Some(Reply::Response(response)) => return Some(response),
                    Some(Reply::TimedOut) | None => return None,
                }
            }
        })
        .await;
        match answer {
            Ok(Some(response)) if response.status.is_success() => Outcome::Answered,
            Ok(Some(response)) => Outcome::Wrong(format!(
                "OPTIONS was answered with {}",
                response.status.code()
            )),
            Ok(None) | Err(_) => {
                let patience = self.config.options_patience;
                Outcome::Wrong(format!("OPTIONS was not answered within {patience:?}"))
            }
        }
    }

    fn options(&self, agent: &Agent, link: &Link, fqdn: &str, port: u16) -> Option<Request> {
        let local = agent.advertised(link);
        let name = self.host(local);
        let uri = Uri::parse(format!("sip:{fqdn}:{port};transport=tls")).ok()?;
        let mut request = Request::new(Method::Options, uri);
        let headers = &mut request.headers;
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(
            HeaderName::From,
            format!("<sip:{name}>;tag={}", crate::random::token()),
        );
        headers.push(HeaderName::To, format!("<sip:{fqdn}:{port}>"));
        headers.push(HeaderName::CallId, super::texture::guid());
        headers.push(HeaderName::CSeq, "1 OPTIONS");
        headers.push(HeaderName::Contact, format!("<sip:{name};transport=tls>"));
        self.complete(headers, Occasion::Request, local);
        Some(request)
    }
}

async fn probe(side: Weak<Microsoft>, agent: Weak<Agent>, fqdn: String, listener: usize) {
    loop {
        let (Some(side), Some(agent)) = (side.upgrade(), agent.upgrade()) else {
            return;
        };
        let outcome = side.ask(&agent, &fqdn, listener).await;
        let (tls, answered) = match &outcome {
            Outcome::Answered => (TlsStatus::Ok, true),
            Outcome::Wrong(_) => (TlsStatus::Ok, false),
            Outcome::NoConnection(_) => (TlsStatus::Failed, false),
        };
        match outcome {
            Outcome::Answered => {}
            Outcome::Wrong(text) => side.ledger().note("P-02", format!("{fqdn}: {text}")),
            Outcome::NoConnection(error) => {
                side.ledger()
                    .note("P-02", format!("{fqdn}: cannot connect: {error}"));
            }
        }
        side.update_trunk(&fqdn, |trunk| trunk.probed(tls, answered));
        let interval = side.config.options_interval;
        drop((side, agent));
        sleep(interval).await;
    }
}
