//! What Microsoft's side checks in requests and responses of the gateway.

use std::net::IpAddr;

use sip_msg::{HeaderName, Headers, Method, NameAddr, Request, Response, Uri};

use super::Microsoft;
use super::config::{Flavour, ProxyMode};
use super::report::Ledger;
use super::texture::reason;
use crate::dialog::{raw, raw_items};
use crate::manner::{Refusal, Verdict};
use crate::script::same_number;
use crate::tls;
use crate::wire::{Link, Origin};

/// Limits of the custom context (U-11).
const CUSTOM_HEADERS: usize = 5;
const CUSTOM_NAME: usize = 64;
const CUSTOM_VALUE: usize = 256;

/// A 403 with Microsoft's code and words.
pub(crate) fn forbidden(code: u32, phrase: &str) -> Refusal {
    Refusal {
        reason: Some(reason(63, code, phrase)),
        ..Refusal::status(403)
    }
}

/// A 400: the message is malformed.
pub(crate) fn malformed(phrase: &str) -> Refusal {
    Refusal {
        reason: Some(reason(95, 540_400, phrase)),
        ..Refusal::status(400)
    }
}

impl Microsoft {
    pub(crate) fn check_request(&self, request: &Request, link: &Link) -> Verdict {
        let mut ledger = self.ledger();
        let name = request.method.as_str().to_owned();
        let Origin::Theirs { listener } = link.origin else {
            let text = format!("{name} came on a connection that Microsoft opened");
            ledger.note("K-01", text);
            return Verdict::Ignore;
        };
        self.check_everywhere(&mut ledger, &name, &request.headers);
        if let Some(refusal) = self.check_form(&mut ledger, request) {
            return Verdict::Refuse(refusal);
        }
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return Verdict::Accept;
        }
        let refused = self
            .check_sender(&mut ledger, request, link)
            .or_else(|| self.check_method(&mut ledger, request));
        if let Some(refusal) = refused {
            return Verdict::Refuse(refusal);
        }
        if request.headers.to_tag().is_some() {
            self.check_in_dialog(&mut ledger, request);
            return Verdict::Accept;
        }
        self.check_names(&mut ledger, request, link, listener);
        self.check_abilities(&mut ledger, &name, &request.headers);
        if request.method != Method::Invite {
            return Verdict::Accept;
        }
        if let Some(refusal) = self.check_transferred(&mut ledger, request) {
            return Verdict::Refuse(refusal);
        }
        self.check_invite(&mut ledger, request);
        match self.busy(&mut ledger, request, link, listener) {
            Some(refusal) => Verdict::Refuse(refusal),
            None => Verdict::Accept,
        }
    }

    /// Rules for every message, request or response.
    fn check_everywhere(&self, ledger: &mut Ledger, what: &str, headers: &Headers) {
        let sips = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::Contact,
            HeaderName::RecordRoute,
        ]
        .iter()
        .any(|name| raw(headers, name).to_ascii_lowercase().contains("sips:"));
        if sips {
            ledger.note("S-08", format!("{what} has a sips URI"));
        }
        if headers
            .require()
            .iter()
            .any(|tag| tag.eq_ignore_ascii_case("100rel"))
        {
            ledger.note("M-01", format!("{what} requires 100rel"));
        }
    }

    /// Rules for the messages by which Microsoft learns what the gateway is and can do.
    fn check_abilities(&self, ledger: &mut Ledger, what: &str, headers: &Headers) {
        if headers.get(&HeaderName::XMsSbc).is_none() {
            ledger.note("S-09", format!("{what} has no X-MS-SBC"));
        }
        let allowed = raw_items(headers, &HeaderName::Allow);
        if !allowed.iter().any(|method| method == "NOTIFY") {
            ledger.note("X-01", format!("{what}: Allow does not list NOTIFY"));
        }
    }

    fn check_form(&self, ledger: &mut Ledger, request: &Request) -> Option<Refusal> {
        let headers = &request.headers;
        let name = request.method.as_str();
        let broken = if !headers
            .cseq()
            .is_ok_and(|cseq| cseq.method == request.method)
        {
            "CSeq does not name the method"
        } else if !raw(headers, &HeaderName::Via).starts_with("SIP/2.0/TLS ") {
            "Via does not say SIP/2.0/TLS"
        } else if request.method != Method::Ack && headers.max_forwards().ok().flatten().is_none() {
            "Max-Forwards is missing"
        } else if request
            .uri
            .as_str()
            .to_ascii_lowercase()
            .starts_with("sips:")
        {
            ledger.note("S-08", format!("{name} has a sips Request-URI"));
            return Some(malformed("sips URIs are not supported"));
        } else {
            return None;
        };
        ledger.note("S-10", format!("{name}: {broken}"));
        Some(malformed(broken))
    }

    /// Contact and Record-Route say who calls; the certificate must agree (I-03).
    fn check_sender(&self, ledger: &mut Ledger, request: &Request, link: &Link) -> Option<Refusal> {
        let name = request.method.as_str();
        for route in request.headers.record_routes().unwrap_or_default() {
            ledger.note("S-04", format!("{name} has a Record-Route"));
            if is_address(&route.uri) {
                ledger.note("S-02", format!("{name} has an IP address in Record-Route"));
                return Some(self.unknown_trunk(route.uri.host_str()));
            }
        }
        let contacts = raw_items(&request.headers, &HeaderName::Contact);
        let mandatory = matches!(
            request.method,
            Method::Invite | Method::Options | Method::Subscribe
        );
        if contacts.is_empty() {
            if mandatory {
                ledger.note("S-01", format!("{name} has no Contact"));
                return Some(self.unknown_trunk(""));
            }
            return None;
        }
        if contacts.len() > 1 {
            ledger.note(
                "S-03",
                format!("{name} has {} Contact values", contacts.len()),
            );
        }
        let Some(contact) = request
            .headers
            .contacts()
            .ok()
            .and_then(|all| all.into_iter().next())
        else {
            ledger.note(
                "S-01",
                format!("{name} has an unreadable Contact: {}", contacts[0]),
            );
            return Some(malformed("Contact cannot be read"));
        };
        self.check_contact(ledger, name, &contact, link)
    }

    fn check_contact(
        &self,
        ledger: &mut Ledger,
        what: &str,
        contact: &NameAddr,
        link: &Link,
    ) -> Option<Refusal> {
        let uri = &contact.uri;
        let host = uri.host_str().to_ascii_lowercase();
        if is_address(uri) {
            ledger.note(
                "S-02",
                format!("{what} has an IP address in Contact: {uri}"),
            );
            return Some(self.unknown_trunk(&host));
        }
        if !tls::covers(&link.names, &host) {
            let names = link.names.join(", ");
            ledger.note(
                "S-06",
                format!("{what}: Contact {host} is not in the certificate ({names})"),
            );
            return Some(self.unknown_trunk(&host));
        }
        let Some(trunk) = self.trunk(&host) else {
            ledger.note(
                "I-03",
                format!("{what}: Contact {host} is no registered trunk"),
            );
            return Some(self.unknown_trunk(&host));
        };
        if uri.port().unwrap_or(5061) != trunk.port {
            ledger.note(
                "S-01",
                format!("{what}: Contact has not port {}: {uri}", trunk.port),
            );
        }
        let transport = uri.param("transport").flatten();
        if !transport.is_some_and(|value| value.eq_ignore_ascii_case("tls")) {
            ledger.note(
                "S-01",
                format!("{what}: Contact lacks transport=tls: {uri}"),
            );
        }
        None
    }

    fn unknown_trunk(&self, host: &str) -> Refusal {
        let code = match self.config.flavour {
            Flavour::Acs => 511_532,
            Flavour::Teams => 510_532,
        };
        forbidden(
            code,
            &format!("No trunk configuration was found for the FQDN '{host}'"),
        )
    }

    fn check_method(&self, ledger: &mut Ledger, request: &Request) -> Option<Refusal> {
        let name = request.method.as_str();
        let known = [Method::Invite, Method::Options, Method::Bye, Method::Notify];
        if !known.contains(&request.method) {
            ledger.note("M-01", format!("{name} was sent to Microsoft"));
            return Some(Refusal::status(405));
        }
        if request.headers.get(&HeaderName::Replaces).is_some() {
            ledger.note(
                "M-04",
                format!("{name} with Replaces was sent to Microsoft"),
            );
            return Some(forbidden(510_403, "Replaces is not accepted"));
        }
        None
    }

    fn check_in_dialog(&self, ledger: &mut Ledger, request: &Request) {
        if !self.contacts().contains(request.uri.as_str()) {
            let text = format!("Request-URI is not the Contact given: {}", request.uri);
            ledger.note("G-05", text);
        }
    }

    fn check_names(&self, ledger: &mut Ledger, request: &Request, link: &Link, listener: usize) {
        let name = request.method.as_str();
        let proxy = &self.config.proxies[listener].name;
        if link.server_name.as_deref() != Some(proxy.as_str()) {
            let asked = link.server_name.as_deref().unwrap_or("nothing");
            ledger.note(
                "C-14",
                format!("{name} to {proxy} on a connection that named {asked}"),
            );
        }
        // The target of a transfer is dialled as it was given, at whatever proxy.
        let transferred = request.headers.get(&HeaderName::ReferredBy).is_some();
        if !transferred && !request.uri.host_str().eq_ignore_ascii_case(proxy) {
            ledger.note(
                "S-07",
                format!("{name} to {proxy} has Request-URI {}", request.uri),
            );
        }
        let contact = request
            .headers
            .contacts()
            .ok()
            .and_then(|all| all.into_iter().next());
        let ours = contact.map(|contact| contact.uri.host_str().to_ascii_lowercase());
        let from = request.headers.from().ok();
        let anonymous = from
            .as_ref()
            .is_some_and(|f| f.uri.host_str() == "anonymous.invalid");
        let host = from.map(|from| from.uri.host_str().to_ascii_lowercase());
        if host != ours && !anonymous {
            let host = host.unwrap_or_default();
            ledger.note(
                "S-07",
                format!("{name}: From has host {host}, not the trunk's name"),
            );
        }
    }

    fn check_invite(&self, ledger: &mut Ledger, request: &Request) {
        let called = request.uri.user().unwrap_or_default().to_owned();
        let transferred = request.headers.get(&HeaderName::ReferredBy).is_some();
        if !transferred && !is_e164(&called) {
            ledger.note(
                "I-01",
                format!("the called number is not +E.164: {}", request.uri),
            );
        }
        if !transferred && request.uri.param("user").flatten() != Some("phone") {
            ledger.note(
                "I-01",
                format!("Request-URI lacks user=phone: {}", request.uri),
            );
        }
        let from = request.headers.from().ok().map(|from| from.uri);
        let caller = from
            .as_ref()
            .and_then(|from| from.user())
            .unwrap_or_default()
            .to_owned();
        if !is_e164(&caller) && !caller.eq_ignore_ascii_case("anonymous") {
            ledger.note(
                "I-02",
                format!("the calling number is not +E.164: {caller}"),
            );
        }
        let custom: Vec<_> = request
            .headers
            .iter()
            .filter(|field| {
                field
                    .name()
                    .canonical()
                    .to_ascii_lowercase()
                    .starts_with("x-ms-custom-")
            })
            .collect();
        let too_long = custom.iter().any(|field| {
            field.raw_name().len() > CUSTOM_NAME || field.value().len() > CUSTOM_VALUE
        });
        if custom.len() > CUSTOM_HEADERS || too_long {
            ledger.note(
                "U-11",
                "more custom context than 5 headers of 64 and 256".to_owned(),
            );
        }
        let again = self.declined().iter().any(|(number, who, when)| {
            same_number(number, &called) && *who == caller && when.elapsed() < super::DECLINED
        });
        if again {
            ledger.note(
                "I-07",
                format!("{called} declined with 603 and was called again"),
            );
        }
    }

    fn busy(
        &self,
        ledger: &mut Ledger,
        request: &Request,
        link: &Link,
        listener: usize,
    ) -> Option<Refusal> {
        let mut shunned = self.shunned();
        if shunned.contains(&link.id) {
            let text = format!("{} on a connection told to retry elsewhere", request.uri);
            ledger.note("M-07", text);
        }
        if self.mode(listener) != ProxyMode::Busy {
            return None;
        }
        shunned.insert(link.id);
        Some(Refusal {
            retry_after: Some(1),
            reason: Some(reason(42, 540_998, "The proxy is draining")),
            ..Refusal::status(503)
        })
    }

    pub(crate) fn check_response(
        &self,
        response: &Response,
        link: &Link,
        sent_on: Option<u64>,
    ) -> bool {
        let mut ledger = self.ledger();
        let method = response.headers.cseq().map(|cseq| cseq.method);
        let method = method.unwrap_or(Method::Other("unreadable".into()));
        let what = format!("{} to {}", response.status.code(), method.as_str());
        if sent_on.is_some_and(|id| id != link.id) {
            ledger.note(
                "K-01",
                format!("{what} came on another connection than its request"),
            );
            return false;
        }
        let code = response.status.code();
        if code == 100 {
            return true;
        }
        self.check_everywhere(&mut ledger, &what, &response.headers);
        let success = response.status.is_success();
        let contact = response
            .headers
            .contacts()
            .ok()
            .and_then(|all| all.into_iter().next());
        match contact {
            // The response is used all the same: there is nobody to refuse it to.
            Some(contact) if code < 300 => {
                let _ = self.check_contact(&mut ledger, &what, &contact, link);
            }
            None if success && method == Method::Invite => {
                ledger.note("S-01", format!("{what} has no Contact"));
            }
            _ => {}
        }
        if success && matches!(method, Method::Invite | Method::Options) {
            self.check_abilities(&mut ledger, &what, &response.headers);
        }
        true
    }
}

/// `+` and up to fifteen digits.
fn is_e164(user: &str) -> bool {
    let user = user.split(';').next().unwrap_or_default();
    let digits = user.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_address(uri: &Uri) -> bool {
    uri.host_str()
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .is_ok()
}
