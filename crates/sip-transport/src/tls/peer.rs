//! Names in certificates (RFC 5922 §7.1, RFC 6125 §6.4.3).

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use sip_msg::wire::PeerIdentity;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Whom a verified certificate names. None if it cannot be read.
pub(crate) fn peer_identity(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(PeerIdentity {
        names: names_of(&parsed),
        subject: parsed.subject().to_string(),
        fingerprint_sha256: Sha256::digest(certificate.as_ref()).into(),
    })
}

/// The DNS names of a certificate. None if it cannot be read.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(names_of(&parsed))
}

/// The subjectAltName dNSNames; the common name only where there is no dNSName.
fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push((*name).to_owned());
            }
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().next();
        names.extend(
            common
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
        );
    }
    names
}

/// Whether a verified peer bears a name.
pub(crate) fn bears(identity: &PeerIdentity, name: &str) -> bool {
    identity
        .names
        .iter()
        .any(|presented| stands_for(presented, name))
}

/// Whether a name of a certificate stands for `name`. `*` stands for the whole of the first
/// label and for no more (RFC 2818 §3.1): `*.example.net` is `sbc.example.net` but neither
/// `example.net` nor `sbc.test.example.net`.
pub(crate) fn stands_for(certificate_name: &str, name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    match certificate_name.strip_prefix("*.") {
        None => certificate_name.eq_ignore_ascii_case(name),
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && parent.contains('.') && rest.eq_ignore_ascii_case(parent)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::stands_for;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(stands_for("*.contoso.example", "sbc.contoso.example"));
        assert!(stands_for("*.Contoso.example", "SBC.contoso.example."));
        assert!(!stands_for("*.contoso.example", "contoso.example"));
        assert!(!stands_for("*.contoso.example", "sbc.test.contoso.example"));
        assert!(!stands_for("*.contoso.example", ".contoso.example"));
        assert!(!stands_for("s*.contoso.example", "sbc.contoso.example"));
        assert!(!stands_for("*.example", "contoso.example"));
        assert!(!stands_for("*", "example"));
    }

    #[test]
    fn names_differ_by_more_than_case() {
        assert!(stands_for("sbc1.contoso.example", "SBC1.contoso.example"));
        assert!(!stands_for(
            "sbc1.contoso.example",
            "sbc1.contoso.example.net"
        ));
        assert!(!stands_for("sbc1.contoso.example", "xsbc1.contoso.example"));
    }
}
