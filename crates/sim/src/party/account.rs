//! Passwords of a party: asked for as a registrar and proxy does (RFC 3261 §22), and shown as a
//! telephone or an exchange does. Its digests are computed here and not by the gateway's code.

use md5::Md5;
use sha2::{Digest, Sha256};
use sip_msg::{
    Authentication, HeaderName, Headers, Message, Method, Request, Response, StatusCode,
};

use super::client::acknowledge_failure;
use super::{Party, Route};

/// What a party asks others for.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The realm of its challenges.
    pub realm: String,
    /// The user it knows.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Asks with SHA-256, or with MD5.
    pub sha256: bool,
    /// A nonce is called stale after so many uses.
    pub uses: u32,
    /// The shortest registration it takes, seconds.
    pub min_expires: u32,
    /// The longest it grants, seconds.
    pub max_expires: u32,
    /// Asks for a password with INVITE as well.
    pub invites: bool,
    /// What it granted, in order: seconds; 0 where a registration was taken back.
    pub granted: Vec<u32>,
    /// Requests with wrong credentials.
    pub wrong: usize,
    nonces: u32,
    counted: u32,
}

impl Guard {
    /// Knows one user, asks with SHA-256, and grants between a minute and an hour.
    #[must_use]
    pub fn new(realm: &str, user: &str, password: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            sha256: true,
            uses: u32::MAX,
            min_expires: 60,
            max_expires: 3600,
            invites: true,
            granted: Vec::new(),
            wrong: 0,
            nonces: 1,
            counted: 0,
        }
    }

    fn nonce(&self) -> String {
        format!("nonce{:08}", self.nonces)
    }

    /// Whether the request proves who sent it; the challenge if not.
    fn judge(&mut self, request: &Request) -> Result<(), String> {
        let shown = request
            .headers
            .authentication(&HeaderName::Authorization)
            .unwrap_or_default();
        let algorithm = if self.sha256 { "SHA-256" } else { "MD5" };
        let mut stale = "";
        if let Some(shown) = shown.first() {
            let fresh = shown.param("nonce") == Some(&self.nonce());
            let counted = u32::from_str_radix(shown.param("nc").unwrap_or_default(), 16);
            let counted = counted.unwrap_or_default();
            let right = proof(shown, &self.password, request.method.as_str()).as_deref()
                == shown.param("response")
                && shown.param("username") == Some(&self.user)
                && shown.param("uri") == Some(&request.uri.to_string());
            if right && fresh && counted > self.counted && counted <= self.uses {
                self.counted = counted;
                return Ok(());
            }
            if right {
                stale = ", stale=true";
            } else {
                self.wrong += 1;
            }
        }
        if !stale.is_empty() {
            self.nonces += 1;
            self.counted = 0;
        }
        let (realm, nonce) = (&self.realm, self.nonce());
        Err(format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
        ))
    }
}

/// What a party shows when it is asked.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user name, also of what it registers.
    pub user: String,
    /// The password.
    pub password: String,
    /// Answers of the registrar, in order.
    pub answers: Vec<Response>,
    /// The user that is registered, if it is not this one.
    pub alias: Option<String>,
    /// The CSeq of its last REGISTER.
    pub seq: u32,
}

impl Account {
    /// A user with a password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            answers: Vec::new(),
            alias: None,
            seq: 0,
        }
    }
}

impl Party {
    /// Answers for a guard: whether the request has been answered here.
    pub(super) fn guarded(&mut self, key: &str, request: &Request) -> bool {
        let register = request.method == Method::Register;
        let Some(guard) = &mut self.guard else {
            return false;
        };
        if !(register || guard.invites && request.method == Method::Invite) {
            return false;
        }
        if let Err(challenge) = guard.judge(request) {
            let fields = [(HeaderName::WwwAuthenticate, challenge)];
            self.answer_saying(key, request, 401, &fields);
            return true;
        }
        if !register {
            return false;
        }
        let asked = request.headers.expires().ok().flatten().unwrap_or(3600);
        if asked > 0 && asked < guard.min_expires {
            let fields = [(HeaderName::MinExpires, guard.min_expires.to_string())];
            self.answer_saying(key, request, 423, &fields);
            return true;
        }
        let granted = asked.min(guard.max_expires);
        guard.granted.push(granted);
        let contact = request.headers.contacts().ok();
        let contact = contact.and_then(|list| list.into_iter().next());
        let fields = contact.filter(|_| granted > 0).map(|contact| {
            let field = format!("<{}>;expires={granted}", contact.uri);
            (HeaderName::Contact, field)
        });
        self.answer_saying(key, request, 200, fields.as_slice());
        true
    }

    fn answer_saying(
        &mut self,
        key: &str,
        request: &Request,
        status: u16,
        fields: &[(HeaderName, String)],
    ) {
        let Some(status) = StatusCode::new(status) else {
            return;
        };
        let tag = self.tokens.tag();
        let mut response = Response::to_request(request, status, Some(&tag));
        for (name, value) in fields {
            response.headers.push(name.clone(), value);
        }
        self.answer_with(key, response);
    }

    /// Registers the party's Contact with the gateway for so many seconds; 0 takes it back.
    pub(crate) fn register(&mut self, expires: u32) {
        let Some(account) = &mut self.account else {
            return;
        };
        account.seq += 10;
        let user = account.alias.as_ref().unwrap_or(&account.user).clone();
        let seq = account.seq;
        let mut request = self.out_of_dialog(Method::Register, "", Some(&user));
        let (host, call_id) = (self.gateway.0.clone(), format!("{user}@{}", self.name));
        let headers = &mut request.headers;
        headers.set(HeaderName::To, format!("<sip:{user}@{host}>"));
        headers.set(HeaderName::CallId, call_id);
        headers.set(HeaderName::CSeq, format!("{seq} REGISTER"));
        headers.push(HeaderName::Expires, expires.to_string());
        self.send_request(request, None);
    }

    /// Sends a challenged request again with credentials, if it has any to show that were not
    /// refused already.
    pub(super) fn answered_challenge(
        &mut self,
        request: &Request,
        call: Option<u32>,
        response: &Response,
    ) -> bool {
        let Some(account) = self.account.clone() else {
            return false;
        };
        let challenges = response
            .headers
            .authentication(&HeaderName::WwwAuthenticate);
        let Some(challenge) = challenges.ok().and_then(|list| list.into_iter().next()) else {
            return false;
        };
        let stale = challenge.param("stale") == Some("true");
        if request.headers.contains(&HeaderName::Authorization) && !stale {
            return false;
        }
        if request.method == Method::Invite {
            let ack = acknowledge_failure(request, response);
            self.send(Route::Fresh, Message::Request(ack));
        }
        let mut again = request.clone();
        let (via, _) = self.via();
        again.headers.set(HeaderName::Via, via);
        let seq = request.headers.cseq().map_or(1, |cseq| cseq.seq) + 1;
        let method = request.method.as_str();
        again
            .headers
            .set(HeaderName::CSeq, format!("{seq} {method}"));
        let shown = self.show(&account, &challenge, &again);
        again.headers.set(HeaderName::Authorization, shown);
        let key = self.send_request(again.clone(), call).unwrap_or_default();
        if let Some(call) = call.and_then(|call| self.calls.get_mut(&call)) {
            call.local_seq = seq;
            call.invite = again;
            call.invite_key = key;
        }
        true
    }

    fn show(&mut self, account: &Account, challenge: &Authentication, request: &Request) -> String {
        let param = |name| challenge.param(name).unwrap_or_default().to_owned();
        let algorithm = challenge.param("algorithm").unwrap_or("MD5");
        let unsigned = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", algorithm={algorithm}, \
             cnonce=\"{}\", qop=auth, nc=00000001",
            account.user,
            param("realm"),
            param("nonce"),
            request.uri,
            self.tokens.tag(),
        );
        let mut field = Headers::new();
        field.push(HeaderName::Authorization, &unsigned);
        let parsed = field.authentication(&HeaderName::Authorization);
        let parsed = parsed.unwrap_or_default();
        let method = request.method.as_str();
        let response = parsed
            .first()
            .and_then(|shown| proof(shown, &account.password, method));
        format!("{unsigned}, response=\"{}\"", response.unwrap_or_default())
    }

    /// A REGISTER of the party has its final response.
    pub(super) fn settle_register(&mut self, response: &Response) {
        if let Some(account) = &mut self.account {
            account.answers.push(response.clone());
        }
    }
}

/// The response that goes with these credentials (RFC 7616 §3.4.1), for `qop=auth`.
fn proof(shown: &Authentication, password: &str, method: &str) -> Option<String> {
    let hash: fn(&str) -> String = match shown.param("algorithm") {
        Some("SHA-256") => |text| hex(&Sha256::digest(text)),
        Some("MD5") | None => |text| hex(&Md5::digest(text)),
        Some(_) => return None,
    };
    let [user, realm, nonce, uri, nc, cnonce] =
        ["username", "realm", "nonce", "uri", "nc", "cnonce"].map(|name| shown.param(name));
    let secret = hash(&format!("{}:{}:{password}", user?, realm?));
    let what = hash(&format!("{method}:{}", uri?));
    Some(hash(&format!(
        "{secret}:{}:{}:{}:auth:{what}",
        nonce?, nc?, cnonce?
    )))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
