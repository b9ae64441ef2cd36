//! The tokens callbacks carry (RFC 7519, signed with RS256 of RFC 7518 §3.3), and where their keys
//! are published. Written out by hand: who checks them uses a library.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How long a token is good for.
const LIFE: SignedDuration = SignedDuration::from_mins(5);

/// A key that signs, and its name.
pub(super) struct Signer {
    key: KeyPair,
    id: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Clone, Debug)]
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    /// When it was issued.
    pub(super) at: Timestamp,
}

impl Signer {
    pub(super) fn generate() -> Self {
        Self {
            key: KeyPair::generate(KeySize::Rsa2048).expect("a key can be made"),
            id: crate::random::token(),
        }
    }

    /// A token signed by this key, under the name of the key `as_key`.
    pub(super) fn token(&self, claims: &Claims<'_>, as_key: &str) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": as_key});
        let claims = json!({
            "iss": claims.issuer, "aud": claims.audience,
            "nbf": claims.at.as_second(), "iat": claims.at.as_second(),
            "exp": (claims.at + LIFE).as_second(),
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .expect("the key signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The public half (RFC 7517).
    pub(super) fn keys(&self) -> Value {
        let (modulus, exponent) = numbers(self.key.public_key().as_ref());
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        }]})
    }
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 §A.1.1), without leading zeros.
fn numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    let bare = |number: &'_ [u8]| number.iter().take_while(|octet| **octet == 0).count();
    (&modulus[bare(modulus)..], &exponent[bare(exponent)..])
}

/// The content of the first element of DER, and what follows it. The key is our own.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let short = usize::from(der[1]);
    let (start, length) = match short.checked_sub(0x80) {
        None => (2, short),
        Some(count) => {
            let digits = &der[2..2 + count];
            let length = digits
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (2 + count, length)
        }
    };
    der[start..].split_at(length)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    fn claims() -> Claims<'static> {
        Claims {
            issuer: "https://issuer.example",
            audience: "resource",
            at: "2026-11-21T07:41:17Z".parse().expect("a time"),
        }
    }

    /// The published numbers are the key the token is signed with.
    #[test]
    fn what_is_signed_is_verified_by_what_is_published() {
        let signer = Signer::generate();
        let token = signer.token(&claims(), signer.id());
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let keys = signer.keys();
        let number = |name: &str| {
            let text = keys["keys"][0][name].as_str().expect(name);
            URL_SAFE_NO_PAD.decode(text).expect("base64")
        };
        let (n, e) = (number("n"), number("e"));
        assert_eq!((n.len(), e.as_slice()), (256, &[1, 0, 1][..]));
        let key = RsaPublicKeyComponents { n, e };
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .expect("its signature");
        let (_, body) = signed.split_once('.').expect("two parts");
        let body: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("JSON");
        assert_eq!(
            body["exp"].as_i64(),
            body["nbf"].as_i64().map(|at| at + 300)
        );
        assert_eq!(body["aud"], "resource");
        let other = Signer::generate().token(&claims(), signer.id());
        let (signed, signature) = other.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .expect_err("another key's");
    }
}
