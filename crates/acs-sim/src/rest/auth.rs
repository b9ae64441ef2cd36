//! Who asks: the signature, in every form in which Microsoft's own clients write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::answer::Answer;
use super::request::{Request, pairs};

/// How far a client's clock may be off. The real service's limit is not known.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

const SCHEME: &str = "HMAC-SHA256 ";

/// The resource's key, and the names it is known by.
#[derive(Clone)]
pub(super) struct Door {
    key: Vec<u8>,
    aliases: Vec<String>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    pub(super) fn new(key: Vec<u8>, aliases: Vec<String>) -> Self {
        Self { key, aliases }
    }

    pub(super) fn key(&self) -> String {
        STANDARD.encode(&self.key)
    }

    /// Lets in what is signed with the key, now, with this body.
    pub(super) fn check(&self, now: Timestamp, request: &Request) -> Result<(), Answer> {
        self.signed(now, request).map_err(|why| {
            let message = format!("Denied by the resource provider. {why}");
            Answer::error(401, "Denied", &message).with("www-authenticate", "HMAC-SHA256")
        })
    }

    fn signed(&self, now: Timestamp, request: &Request) -> Result<(), &'static str> {
        let whole = request.header("authorization");
        let whole = whole.ok_or("There is no Authorization.")?;
        let rest = whole
            .strip_prefix(SCHEME)
            .ok_or("Only HMAC-SHA256 is checked here.")?;
        let (mut names, mut signature) = (None, None);
        for part in rest.split('&') {
            match part.trim().split_once('=') {
                Some(("SignedHeaders", value)) => names = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                Some(_) | None => return Err("Authorization is not understood."),
            }
        }
        let names = names.ok_or("Authorization names no SignedHeaders.")?;
        let signature = signature.ok_or("Authorization has no Signature.")?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| "The Signature is not base64.")?;
        date(now, request)?;
        body(request)?;
        let names: Vec<String> = names.split(';').map(str::to_ascii_lowercase).collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if !(has("x-ms-date") || has("date")) || !has("host") || !has("x-ms-content-sha256") {
            return Err("Date, host and the body's hash must be signed.");
        }
        for target in targets(request) {
            for host in self.hosts(request) {
                let text = string_to_sign(request, &target, &names, &host)
                    .ok_or("A signed field is not there.")?;
                let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
                    .expect("HMAC takes keys of any length");
                mac.update(text.as_bytes());
                if bool::from(mac.finalize().into_bytes().ct_eq(&signature)) {
                    return Ok(());
                }
            }
        }
        Err("The Signature is not that of this request with this key.")
    }

    /// What a client may have signed for `Host`: Python signs an explicit `:443`, a slash at the
    /// end and upper case as they stand in its connection string, and sends none of them.
    fn hosts(&self, request: &Request) -> Vec<String> {
        let sent = request.header("host").unwrap_or("");
        let mut hosts = vec![
            sent.to_owned(),
            format!("{sent}:443"),
            format!("{sent}:80"),
            format!("{sent}/"),
            sent.to_ascii_uppercase(),
        ];
        hosts.extend(self.aliases.iter().cloned());
        hosts
    }
}

fn string_to_sign(request: &Request, target: &str, names: &[String], host: &str) -> Option<String> {
    let mut values = Vec::with_capacity(names.len());
    for name in names {
        values.push(if name == "host" {
            host
        } else {
            request.header(name)?
        });
    }
    Some(format!(
        "{}\n{target}\n{}",
        request.method,
        values.join(";")
    ))
}

fn date(now: Timestamp, request: &Request) -> Result<(), &'static str> {
    let text = request.header("x-ms-date").or(request.header("date"));
    let text = text.ok_or("There is no x-ms-date.")?;
    let at = jiff::fmt::rfc2822::parse(text).map_err(|_| "x-ms-date is no HTTP date.")?;
    if at.timestamp().duration_since(now).abs() > SKEW {
        return Err("x-ms-date is more than five minutes off.");
    }
    Ok(())
}

fn body(request: &Request) -> Result<(), &'static str> {
    let told = request.header("x-ms-content-sha256");
    let told = told.ok_or("There is no x-ms-content-sha256.")?;
    if told == STANDARD.encode(Sha256::digest(&request.body)) {
        Ok(())
    } else {
        Err("x-ms-content-sha256 is not the hash of the body.")
    }
}

/// What a client may have signed for the target: as it is on the wire; with the query encoded as a
/// form (JavaScript); with colons of the path encoded (Python, asynchronous).
fn targets(request: &Request) -> Vec<String> {
    let (path, query) = (request.path(), request.query_text());
    let joined = |path: &str, query: &str| {
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    };
    let mut targets = vec![request.target.clone(), joined(path, &as_form(query))];
    if path.contains(':') {
        targets.push(joined(&path.replace(':', "%3A"), query));
    }
    targets
}

/// A query as `application/x-www-form-urlencoded` writes it.
fn as_form(query: &str) -> String {
    let mut out = String::new();
    for (name, value) in pairs(query) {
        if !out.is_empty() {
            out.push('&');
        }
        push_form(&mut out, &name);
        out.push('=');
        push_form(&mut out, &value);
    }
    out
}

fn push_form(out: &mut String, text: &str) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"*-._".contains(&octet) {
            out.push(char::from(octet));
        } else if octet == b' ' {
            out.push('+');
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}
