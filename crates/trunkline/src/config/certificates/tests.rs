//! Certificates judged as Microsoft would.

use crate::config::diagnostic::Severity;
use crate::config::read_text;
use crate::demo::authority::{Authority, Usage};

use super::*;

/// What is found in a configuration of one trunk to Microsoft, with `added` in `[tls]`; the root
/// and a leaf of 2048 bits are the authority's.
fn found(authority: &Authority, added: &str) -> Vec<(Severity, String)> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let leaf = authority
        .issue(&["sbc1.contoso.example"], Usage::ServerOnly)
        .unwrap();
    let (roots, chain, key) = (
        write("roots.pem", &authority.root()),
        write("leaf.pem", &leaf.chain),
        write("leaf.key", &leaf.key),
    );
    let text = format!(
        "[gateway]\nfqdn = \"sbc1.contoso.example\"\nbind = \"127.0.0.1\"\n[tls]\n\
         roots = \"{roots}\"\ncertificate = \"{chain}\"\nprivate_key = \"{key}\"\n{added}\n\
         [[trunk]]\nname = \"acs\"\npreset = \"acs\"\n"
    );
    let mut reading = read_text(folder.path().join("trunkline.toml"), text, &|_| None);
    assert!(!reading.findings.has_errors(), "{:?}", reading.findings);
    reading.findings.0.clear();
    check(&reading.config, UnixTime::now(), &mut reading.findings);
    let found = reading.findings.0.into_iter();
    found
        .map(|finding| (finding.severity, finding.message))
        .filter(|(_, message)| !message.contains("can be read by every user"))
        .collect()
}

#[test]
fn the_roots_that_are_missed_are_those_of_the_configuration() {
    let authority = Authority::generate().unwrap();
    let lacks = |added: &str| -> Vec<String> {
        let found = found(&authority, added).into_iter();
        let lacks = found.filter(|(_, message)| message.contains("the trust store lacks"));
        lacks.map(|(_, message)| message).collect()
    };
    let [warning] = &lacks("")[..] else {
        panic!("one warning names the seven");
    };
    assert!(warning.contains("DigiCert Global Root G2"), "{warning}");
    assert!(warning.contains("Microsoft RSA Root"), "{warning}");
    let root = CertificateDer::from_pem_slice(authority.root().as_bytes()).unwrap();
    let octets: Vec<String> = Sha1::digest(&root)
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let there = format!("\"Contoso Root {}\"", octets.join(":"));
    let other = "\"Fabrikam Root df3c24f9bfd666761b268073fe06d1cc8d4f82a4\"";
    let both = format!("microsoft_roots = [{there}, {other}]");
    assert_eq!(lacks(&both), ["the trust store lacks Fabrikam Root"]);
    assert!(lacks(&format!("microsoft_roots = {there}")).is_empty());
    assert!(lacks("microsoft_roots = []").is_empty());
}

#[test]
fn how_long_an_rsa_key_must_be_is_the_operators_to_say() {
    let authority = Authority::generate().unwrap();
    let short = |added: &str| -> Vec<(Severity, String)> {
        let found = found(&authority, added).into_iter();
        found
            .filter(|(_, message)| message.contains("RSA key"))
            .collect()
    };
    assert!(short("").is_empty());
    assert!(short("rsa_bits = 2048").is_empty());
    let [(severity, message)] = &short("rsa_bits = 3072")[..] else {
        panic!("2048 bits are too few");
    };
    assert_eq!(*severity, Severity::Error);
    assert!(
        message.contains("of 2048 bits; 3072 are wanted"),
        "{message}"
    );
}

#[test]
fn a_wildcard_covers_one_label() {
    assert!(name_matches("*.contoso.example", "sbc.contoso.example"));
    assert!(!name_matches(
        "*.contoso.example",
        "sbc.test.contoso.example"
    ));
    assert!(!name_matches("*.contoso.example", "contoso.example"));
    assert!(name_matches("sbc.contoso.example", "SBC.contoso.example"));
}
