//! What certificates are held against: keys of `[tls]`.

use std::ops::RangeInclusive;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// A root that should be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRoot {
    /// What it is called.
    pub name: String,
    /// SHA-1 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
}

/// What certificates are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRules {
    /// Roots whose absence is warned of where a trunk leads to Microsoft.
    pub microsoft_roots: Vec<ExpectedRoot>,
    /// The fewest bits of an RSA key that Microsoft is shown.
    pub rsa_bits: usize,
}

/// Roots that Microsoft's connection points chain to, by SHA-1 of the certificate (C-15).
const MICROSOFT_ROOTS: [(&str, &str); 7] = [
    (
        "DigiCert Global Root CA",
        "a8985d3a65e5e5c4b2d7d66d40c6dd2fb19c5436",
    ),
    (
        "DigiCert Global Root G2",
        "df3c24f9bfd666761b268073fe06d1cc8d4f82a4",
    ),
    (
        "DigiCert Global Root G3",
        "7e04de896a3e666d00e687d33ffad93be83d349e",
    ),
    (
        "DigiCert TLS ECC P384 Root G5",
        "17f3de5e9f0f19e98ef61f32266e20c407ae30ee",
    ),
    (
        "DigiCert TLS RSA 4096 Root G5",
        "a78849dc5d7c758c8cde399856b3aad0b2a57135",
    ),
    (
        "Microsoft ECC Root Certificate Authority 2017",
        "999a64c37ff47d9fab95f14769891460eec4c3c5",
    ),
    (
        "Microsoft RSA Root Certificate Authority 2017",
        "73a5e64a3bff8316ff0edccc618a906e4eae4d74",
    ),
];

/// Microsoft wants the least (C-08); what peers verify with knows no more than the most.
const RSA_BITS: RangeInclusive<u32> = 2048..=8192;

/// Hexadecimal digits of a SHA-1 fingerprint.
const DIGITS: usize = 40;

impl Default for CertificateRules {
    fn default() -> Self {
        let known = MICROSOFT_ROOTS.iter();
        let expected = known.map(|(name, fingerprint)| ExpectedRoot {
            name: (*name).to_owned(),
            fingerprint: (*fingerprint).to_owned(),
        });
        Self {
            microsoft_roots: expected.collect(),
            rsa_bits: 2048,
        }
    }
}

pub(super) fn resolve(raw: &raw::Tls, findings: &mut Findings) -> CertificateRules {
    let mut rules = CertificateRules::default();
    if let Some(roots) = &raw.microsoft_roots {
        rules.microsoft_roots.clear();
        for text in &roots.0 {
            match root(text.get_ref()) {
                Some(root) => rules.microsoft_roots.push(root),
                None => {
                    findings
                        .error(
                            text.span(),
                            "tls: microsoft_roots: a name and the 40 hexadecimal digits of a \
                             SHA-1 fingerprint are wanted here",
                        )
                        .help("openssl x509 -noout -fingerprint -sha1 -in root.pem");
                }
            }
        }
    }
    if let Some(bits) = &raw.rsa_bits {
        if !RSA_BITS.contains(bits.get_ref()) {
            findings.error(bits.span(), "tls: `rsa_bits` is a number from 2048 to 8192");
        }
        rules.rsa_bits = usize::try_from(*bits.get_ref()).unwrap_or(usize::MAX);
    }
    rules
}

/// Reads a name and a fingerprint, whose octets may stand apart with colons.
fn root(text: &str) -> Option<ExpectedRoot> {
    let text = text.trim();
    let (name, digits) = text
        .rsplit_once(char::is_whitespace)
        .unwrap_or((text, text));
    let fingerprint = digits.replace(':', "").to_ascii_lowercase();
    let hexadecimal = fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    (fingerprint.len() == DIGITS && hexadecimal).then(|| ExpectedRoot {
        name: name.trim().to_owned(),
        fingerprint,
    })
}
