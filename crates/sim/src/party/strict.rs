//! What Microsoft's SIP proxies refuse.

use sip_msg::{HeaderName, Host, Method, Request};

use super::Party;
use crate::description::Description;

const TAKEN: [Method; 6] = [
    Method::Invite,
    Method::Ack,
    Method::Options,
    Method::Cancel,
    Method::Bye,
    Method::Notify,
];

impl Party {
    /// Notes as faults what would earn a 4xx on a real trunk.
    pub(super) fn check(&mut self, request: &Request) {
        if !TAKEN.contains(&request.method) {
            self.fault(format!("{} is not taken (M-01)", request.method.as_str()));
        }
        if matches!(request.method, Method::Invite | Method::Options) {
            self.check_contact(request);
        }
        if request.headers.contains(&HeaderName::Replaces) {
            self.fault("Replaces is refused (M-04)");
        }
        if request.headers.contains(&HeaderName::RecordRoute) {
            self.fault("Record-Route is not wanted (S-04)");
        }
        let text = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        if text.contains("sips:") {
            self.fault("sips is never used (S-08)");
        }
        if request.headers.require().iter().any(|tag| tag == "100rel") {
            self.fault("100rel must end at the gateway (M-01)");
        }
        if request.method == Method::Invite {
            self.check_invite(request);
        }
    }

    fn check_contact(&mut self, request: &Request) {
        let contacts = request.headers.contacts().unwrap_or_default();
        let [contact] = contacts.as_slice() else {
            self.fault(format!(
                "{} Contacts instead of one (S-01, S-03)",
                contacts.len()
            ));
            return;
        };
        let named = matches!(contact.uri.host(), Some(Host::Name(_)));
        let tls = contact.uri.param("transport") == Some(Some("tls"));
        let shown = contact.uri.to_string();
        if !named {
            self.fault(format!("Contact with an address: {shown} (S-02)"));
        }
        if !tls {
            self.fault(format!("Contact without transport=tls: {shown} (S-01)"));
        }
    }

    fn check_invite(&mut self, request: &Request) {
        // The Request-URI of a referred call is what Microsoft itself wrote.
        let referred = request.headers.contains(&HeaderName::ReferredBy);
        if request.headers.to_tag().is_none() && !referred {
            let e164 = |user: Option<&str>| user.is_some_and(|user| user.starts_with('+'));
            if !e164(request.uri.user()) {
                self.fault(format!(
                    "Request-URI without +E.164: {} (I-01)",
                    request.uri
                ));
            }
        }
        let Some(offer) = Description::read(&request.body) else {
            self.fault("INVITE without a readable offer (M-03)");
            return;
        };
        if !offer.savp || offer.crypto.is_empty() {
            self.fault("offer without SRTP (D-01)");
        }
        if offer.rtp.ip().is_unspecified() {
            self.fault("offer of 0.0.0.0 (G-04)");
        }
        let mut formats = offer.formats.clone();
        formats.sort_unstable();
        formats.dedup();
        if formats.len() != offer.formats.len() {
            self.fault("a payload type twice (D-08)");
        }
    }
}
