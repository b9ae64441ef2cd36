//! One dialog (RFC 3261 §12).

use sip_msg::{HeaderName, Headers, Method, Request, Response, Uri};

/// What finds a dialog: its Call-ID and our tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
}

/// The state RFC 3261 §12.1 lists.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// From of our requests, with our tag.
    local: String,
    /// To of our requests, with the peer's tag.
    remote: String,
    local_seq: u32,
    pub(crate) target: Uri,
    /// Route of our requests, in order.
    routes: Vec<String>,
    pub(crate) contact: String,
}

impl Dialog {
    /// The dialog a 2xx to our INVITE makes.
    ///
    /// `own` says which routes are our own: Microsoft's proxy and its user agent are one here.
    pub(crate) fn of_caller(
        invite: &Request,
        response: &Response,
        contact: &str,
        own: impl Fn(&str) -> bool,
    ) -> Self {
        let mut routes = raw_items(&response.headers, &HeaderName::RecordRoute);
        routes.retain(|route| !own(route));
        routes.reverse();
        Self {
            call_id: raw(&invite.headers, &HeaderName::CallId),
            local: raw(&invite.headers, &HeaderName::From),
            remote: raw(&response.headers, &HeaderName::To),
            local_seq: invite.headers.cseq().map_or(1, |cseq| cseq.seq),
            target: contact_uri(&response.headers).unwrap_or_else(|| invite.uri.clone()),
            routes,
            contact: contact.to_owned(),
        }
    }

    /// The dialog our 2xx to an INVITE makes.
    pub(crate) fn of_callee(invite: &Request, local_tag: &str, contact: &str) -> Self {
        Self {
            call_id: raw(&invite.headers, &HeaderName::CallId),
            local: format!("{};tag={local_tag}", raw(&invite.headers, &HeaderName::To)),
            remote: raw(&invite.headers, &HeaderName::From),
            local_seq: 0,
            target: contact_uri(&invite.headers).unwrap_or_else(|| invite.uri.clone()),
            routes: raw_items(&invite.headers, &HeaderName::RecordRoute),
            contact: contact.to_owned(),
        }
    }

    /// Whether the peer's tag is this one.
    pub(crate) fn is_with(&self, tag: &str) -> bool {
        self.remote.ends_with(&format!(";tag={tag}"))
    }

    /// Numbers requests after those sent in the early dialog.
    pub(crate) fn number_after(&mut self, early: &Self) {
        self.local_seq = self.local_seq.max(early.local_seq);
    }

    /// Takes up the Contact of a target refresh (RFC 3261 §12.2.2).
    pub(crate) fn refresh(&mut self, headers: &Headers) {
        if let Some(target) = contact_uri(headers) {
            self.target = target;
        }
    }

    /// A new request within the dialog.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        self.local_seq += 1;
        let seq = self.local_seq;
        self.numbered(method, seq)
    }

    /// The ACK to a 2xx of the INVITE numbered `seq`.
    pub(crate) fn ack(&self, seq: u32) -> Request {
        self.numbered(Method::Ack, seq)
    }

    fn numbered(&self, method: Method, seq: u32) -> Request {
        let cseq = format!("{seq} {}", method.as_str());
        let mut request = Request::new(method, self.target.clone());
        let headers = &mut request.headers;
        for route in &self.routes {
            headers.push(HeaderName::Route, route.clone());
        }
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, self.local.clone());
        headers.push(HeaderName::To, self.remote.clone());
        headers.push(HeaderName::CallId, self.call_id.clone());
        headers.push(HeaderName::CSeq, cseq);
        headers.push(HeaderName::Contact, self.contact.clone());
        request
    }

    /// Where requests are delivered: the first route, else the remote target.
    pub(crate) fn next_hop(&self) -> Uri {
        self.routes
            .first()
            .and_then(|route| route.split_once('<')?.1.split_once('>'))
            .and_then(|(uri, _)| Uri::parse(uri.to_owned()).ok())
            .unwrap_or_else(|| self.target.clone())
    }
}

/// The first field of that name as written; empty when absent.
pub(crate) fn raw(headers: &Headers, name: &HeaderName) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// The comma-separated items of all fields of that name, as written.
pub(crate) fn raw_items(headers: &Headers, name: &HeaderName) -> Vec<String> {
    headers
        .items(name)
        .map(|item| String::from_utf8_lossy(item).trim().to_owned())
        .collect()
}

fn contact_uri(headers: &Headers) -> Option<Uri> {
    headers
        .contacts()
        .ok()?
        .into_iter()
        .next()
        .map(|contact| contact.uri)
}
