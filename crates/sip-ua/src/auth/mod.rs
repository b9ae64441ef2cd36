//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760), both roles.
//!
//! As a client, credentials belong to a trunk and a realm: a challenge from anyone else, or for
//! another realm, stays unanswered, so that a stranger can collect nothing to guess a password
//! from. As a server, a nonce proves its own age, so that a flood of challenges costs no memory.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::Credentials;
pub(crate) use client::{Keyring, ROUNDS_MAX};
pub use server::{Authenticator, AuthenticatorConfig, Verdict};

use std::fmt;

use md5::Md5;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512_256};
use zeroize::Zeroizing;

/// A password: it redacts itself and is wiped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A digest algorithm that may protect SIP (RFC 8760 §2), weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5`: what most of the field still speaks.
    Md5,
    /// `SHA-256`.
    Sha256,
    /// `SHA-512-256`.
    Sha512256,
}

impl Algorithm {
    /// The value of the `algorithm` parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512256 => "SHA-512-256",
        }
    }

    /// The algorithm of that name, and whether it is its `-sess` variant (RFC 7616 §3.4.2).
    fn parse(name: &str) -> Option<(Self, bool)> {
        let (base, session) = match name.get(name.len().saturating_sub(5)..) {
            Some(end) if end.eq_ignore_ascii_case("-sess") => (&name[..name.len() - 5], true),
            _ => (name, false),
        };
        let known = [Self::Md5, Self::Sha256, Self::Sha512256];
        let algorithm = known
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(base))?;
        Some((algorithm, session))
    }

    /// The hash of the parts with colons between them, in lower-case hexadecimal digits.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex(&joined::<Md5>(parts)),
            Self::Sha256 => hex(&joined::<Sha256>(parts)),
            Self::Sha512256 => hex(&joined::<Sha512_256>(parts)),
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    digest.finalize().as_slice().to_vec()
}

fn hex(octets: &[u8]) -> String {
    use fmt::Write as _;
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// What a response is computed from (RFC 7616 §3.4.1).
struct Proof<'a> {
    algorithm: Algorithm,
    /// The `-sess` variant.
    session: bool,
    username: &'a str,
    realm: &'a str,
    password: &'a Password,
    nonce: &'a str,
    /// `qop`, `nc` and `cnonce`; `None` where the server knows no `qop` (RFC 2069).
    quality: Option<Quality<'a>>,
    method: &'a str,
    /// The `uri` parameter: the Request-URI as sent.
    uri: &'a str,
    body: &'a [u8],
}

#[derive(Clone, Copy)]
struct Quality<'a> {
    /// `auth-int` instead of `auth`.
    integrity: bool,
    /// Eight hexadecimal digits.
    count: &'a str,
    cnonce: &'a str,
}

impl Quality<'_> {
    fn name(self) -> &'static str {
        if self.integrity { "auth-int" } else { "auth" }
    }
}

impl Proof<'_> {
    fn response(&self) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let password = self.password.reveal().as_bytes();
        let cnonce = self.quality.map_or("", |quality| quality.cnonce);
        let identity = [self.username.as_bytes(), self.realm.as_bytes(), password];
        let mut secret = Zeroizing::new(hash(&identity));
        if self.session {
            let parts = [secret.as_bytes(), self.nonce.as_bytes(), cnonce.as_bytes()];
            *secret = hash(&parts);
        }
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        let what = match self.quality {
            Some(Quality {
                integrity: true, ..
            }) => hash(&[method, uri, hash(&[self.body]).as_bytes()]),
            Some(_) | None => hash(&[method, uri]),
        };
        let nonce = self.nonce.as_bytes();
        match self.quality {
            Some(quality) => hash(&[
                secret.as_bytes(),
                nonce,
                quality.count.as_bytes(),
                cnonce.as_bytes(),
                quality.name().as_bytes(),
                what.as_bytes(),
            ]),
            None => hash(&[secret.as_bytes(), nonce, what.as_bytes()]),
        }
    }
}

/// A `quoted-string` (RFC 3261 §25.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}
