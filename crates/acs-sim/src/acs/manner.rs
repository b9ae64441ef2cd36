//! How Microsoft's side differs from an ordinary party.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, Message, Method, Request, Response, Uri};

use super::{Microsoft, REMEMBERED, checks, texture};
use crate::agent::locked;
use crate::call::{CallHandle, Notified};
use crate::manner::{Described, Manner, Occasion, Refusal, Verdict, supply};
use crate::script::Behaviour;
use crate::sdp::Remote;
use crate::wire::{Hop, Link, Origin};

impl Manner for Microsoft {
    fn dress(&self, message: Message) -> Bytes {
        texture::upper(&message.to_bytes())
    }

    fn host(&self, local: SocketAddr) -> String {
        let proxy = &self.config.proxies[self.proxy_at(local)].name;
        format!("{proxy}:{}", local.port())
    }

    fn contact(&self, _user: Option<&str>, _local: SocketAddr) -> String {
        let contact = texture::contact();
        let mut contacts = self.contacts();
        if contacts.len() < REMEMBERED {
            contacts.insert(contact.trim_matches(['<', '>']).to_owned());
        }
        contact
    }

    fn complete(&self, headers: &mut Headers, occasion: Occasion<'_>, local: SocketAddr) {
        let method = headers
            .cseq()
            .map(|cseq| cseq.method)
            .unwrap_or(Method::Options);
        match occasion {
            Occasion::Request => {
                if method == Method::Invite {
                    self.complete_invite(headers, local);
                }
                supply(headers, HeaderName::UserAgent, texture::SOFTWARE);
            }
            Occasion::Response(request, status) => {
                if method == Method::Invite && (101..300).contains(&status) {
                    headers.push_front(HeaderName::RecordRoute, self.record_route(local));
                }
                if method == Method::Invite && status == 603 {
                    let called = request.uri.user().unwrap_or_default().to_owned();
                    let caller = request.headers.from().ok();
                    let caller = caller.and_then(|from| from.uri.user().map(str::to_owned));
                    self.declined()
                        .push((called, caller.unwrap_or_default(), Instant::now()));
                }
                supply(headers, HeaderName::Server, texture::SOFTWARE);
            }
        }
        supply(headers, HeaderName::Allow, texture::ALLOW);
    }

    fn is_own_route(&self, route: &str) -> bool {
        self.config
            .proxies
            .iter()
            .any(|proxy| route.contains(&proxy.name))
    }

    fn route(&self, uri: &Uri) -> Option<Hop> {
        self.hop_to(uri.host_str())
    }

    fn reuses_connections(&self) -> bool {
        false
    }

    fn hangs_up_on_new_connection(&self) -> bool {
        self.config.bye_on_new_connection
    }

    fn judge_request(&self, request: &Request, link: &Link) -> Verdict {
        self.check_request(request, link)
    }

    fn judge_response(&self, response: &Response, link: &Link, sent_on: Option<u64>) -> bool {
        self.check_response(response, link, sent_on)
    }

    fn judge_unparsable(&self, bytes: &[u8], status: u16) -> Refusal {
        let line = bytes
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        self.ledger()
            .note("S-10", format!("not a SIP message: {line}"));
        match status {
            400 => checks::malformed("The message cannot be parsed"),
            other => Refusal::status(other),
        }
    }

    fn note_no_ack(&self) {
        self.ledger()
            .note("I-06", "a 200 was never acknowledged".to_owned());
    }

    fn judge_referred(&self, status: u16) {
        if (200..300).contains(&status) && status != 202 {
            self.ledger()
                .note("X-02", format!("REFER was answered with {status}, not 202"));
        }
    }

    fn judge_notify(&self, request: &Request, before: &[Notified]) {
        self.check_notify(request, before);
    }

    fn note_left_early(&self) {
        let text = "BYE of a call under transfer, before the final NOTIFY".to_owned();
        self.ledger().note("X-02", text);
    }

    fn judge_description(&self, described: &Described<'_>) -> Option<Refusal> {
        self.check_description(described)
    }

    fn judge_refresh(&self, before: &Remote, after: &Remote, like: bool) {
        let same_key = before.crypto.first().map(|line| &line.key)
            == after.crypto.first().map(|line| &line.key);
        if (like && before.version != after.version) || before.rtp != after.rtp || !same_key {
            let text = format!(
                "a refresh was answered with a new description: version {} then {}, {} then {}{}",
                before.version,
                after.version,
                before.rtp,
                after.rtp,
                if same_key { "" } else { ", another key" }
            );
            self.ledger().note("G-01", text);
        }
    }

    fn retargets_media(&self) -> bool {
        false
    }

    fn holds_by_inactive_only(&self) -> bool {
        true
    }

    fn microsoft_sdp(&self) -> bool {
        true
    }

    fn tags_options(&self) -> bool {
        false
    }

    fn pinged(&self, request: &Request, link: &Arc<Link>) {
        if let (Origin::Theirs { listener }, Some(me)) = (link.origin, self.me.get())
            && let Some(me) = me.upgrade()
        {
            me.begin_probe(request, listener);
        }
    }

    fn behaviour(&self, called: &str) -> Behaviour {
        locked(&self.behaviours).of(called).clone()
    }

    fn refresh_after(&self) -> Option<Duration> {
        self.config.refresh_after
    }

    fn announce(&self, call: CallHandle) {
        if matches!(
            self.behaviour(&call.parties().called),
            Behaviour::Manual { .. }
        ) {
            // Nobody may be listening.
            let _ = self.handed.send(call.clone());
        }
        self.calls.announce(call);
    }
}
