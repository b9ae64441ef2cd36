//! Figures that the gateway keeps to, each a key: taken where they can be, else told with their
//! place.

use std::time::Duration;

use super::{RIGHT, errors, read};
use crate::config::Severity;

const CARRIER: &str = "preset = \"carrier\"\n";

/// The text with `added` behind `anchor`.
fn behind(anchor: &str, added: &str) -> String {
    assert!(RIGHT.contains(anchor), "{anchor} is in the text");
    RIGHT.replacen(anchor, &format!("{anchor}{added}\n"), 1)
}

/// Expects one error: that `says`, at the line and column of `value`.
fn wrong(text: &str, value: &str, says: &str) {
    let reading = read(text);
    let found: Vec<_> = reading.findings.0.iter().collect();
    let errors = found.iter().filter(|one| one.severity == Severity::Error);
    let [error] = errors.collect::<Vec<_>>()[..] else {
        panic!("{value}: {found:?}");
    };
    assert!(error.message.contains(says), "{value}: {}", error.message);
    let at = text.find(value).expect("planted");
    let span = error.span.clone().expect("a place");
    let place = reading.source.position(span.start);
    assert_eq!(place, reading.source.position(at), "{value}: {error:?}");
}

#[test]
fn how_long_a_busy_peer_is_left_alone_is_the_trunks_to_say() {
    let options = |added: &str| {
        let reading = read(&behind(CARRIER, added));
        assert_eq!(errors(&reading), [], "{added}");
        let options = reading.config.trunks[1].profile.options;
        (options.aside, options.aside_max)
    };
    let seconds = Duration::from_secs;
    assert_eq!(options(""), (seconds(1), seconds(300)));
    let both = "options = { aside = \"3s\", aside_max = \"1m\" }";
    assert_eq!(options(both), (seconds(3), seconds(60)));
    let none = "options = { aside_max = \"0s\" }";
    assert_eq!(options(none), (seconds(0), seconds(0)));
    let longer = behind(CARRIER, "options = { aside = \"6m\" }");
    wrong(&longer, "\"6m\"", "`aside` is longer than `aside_max`");
    let unclear = behind(CARRIER, "options = { aside_max = \"long\" }");
    wrong(&unclear, "\"long\"", "not a length of time");
}

#[test]
fn what_a_drain_tells_is_a_key() {
    let reading = read(RIGHT);
    let core = crate::daemon::wiring::core(&reading.config).unwrap();
    assert_eq!(core.drain.retry_after, 60);
    let limits = |value: &str| {
        RIGHT.replacen(
            "[admin]",
            &format!("[limits]\ndrain_retry_after = {value}\n[admin]"),
            1,
        )
    };
    let reading = read(&limits("15"));
    assert_eq!(errors(&reading), []);
    let core = crate::daemon::wiring::core(&reading.config).unwrap();
    assert_eq!(core.drain.retry_after, 15);
    for value in ["0", "86401"] {
        wrong(
            &limits(value),
            &format!("{value}\n[admin]"),
            "from 1 to 86400",
        );
    }
    wrong(&limits("\"1m\""), "\"1m\"", "expected u32");
}

#[test]
fn what_certificates_are_held_against_is_the_operators_to_say() {
    let tls = |line: &str| behind("private_key = \"c.key\"\n", line);
    let rules = |text: &str| {
        let reading = read(text);
        assert_eq!(errors(&reading), [], "{text}");
        reading.config.certificate_rules
    };
    let default = rules(RIGHT);
    assert_eq!((default.microsoft_roots.len(), default.rsa_bits), (7, 2048));
    let digits = "df3c24f9bfd666761b268073fe06d1cc8d4f82a4";
    let named = rules(&tls(&format!(
        "microsoft_roots = [\"Contoso Root {digits}\"]"
    )));
    assert_eq!(named.microsoft_roots[0].name, "Contoso Root");
    assert_eq!(named.microsoft_roots[0].fingerprint, digits);
    let bare = rules(&tls(&format!("microsoft_roots = \"{digits}\"")));
    assert_eq!(bare.microsoft_roots[0].name, digits);
    assert_eq!(rules(&tls("microsoft_roots = []")).microsoft_roots, []);
    assert_eq!(rules(&tls("rsa_bits = 4096")).rsa_bits, 4096);
    for root in ["\"Contoso Root\"", "\"Contoso Root df3c\"", "\"\""] {
        let text = tls(&format!("microsoft_roots = [{root}]"));
        wrong(&text, root, "40 hexadecimal digits");
    }
    for bits in ["1024", "16384"] {
        wrong(
            &tls(&format!("rsa_bits = {bits}")),
            bits,
            "from 2048 to 8192",
        );
    }
}

#[test]
fn how_many_ports_are_bound_ahead_of_need_is_a_key() {
    let media = |value: &str| {
        let section = format!("[media]\nreserve = {value}\n[admin]");
        RIGHT.replacen("[admin]", &section, 1)
    };
    let reserve = |text: &str| {
        let reading = read(text);
        assert_eq!(errors(&reading), [], "{text}");
        crate::daemon::wiring::core(&reading.config)
            .unwrap()
            .media
            .reserve
    };
    assert_eq!(reserve(RIGHT), 128);
    assert_eq!(reserve(&media("200")), 200);
    for value in ["3", "4097"] {
        wrong(
            &media(value),
            &format!("{value}\n[admin]"),
            "from 4 to 4096",
        );
    }
}

#[test]
fn where_media_comes_from_is_the_trunks_to_say() {
    let networks = |text: &str, trunk: usize| -> Vec<String> {
        let reading = read(text);
        assert_eq!(errors(&reading), [], "{text}");
        let networks = &reading.config.trunks[trunk].profile.media.networks;
        networks.iter().map(ToString::to_string).collect()
    };
    const ACS: &str = "preset = \"acs\"\n";
    let microsoft = ["52.112.0.0/14", "52.120.0.0/14"];
    assert_eq!(networks(RIGHT, 0), microsoft);
    assert!(
        networks(RIGHT, 1).is_empty(),
        "a carrier's media is anywhere"
    );
    let laboratory = behind(ACS, "allow = [\"192.0.2.0/24\"]");
    assert_eq!(networks(&laboratory, 0), ["192.0.2.0/24"]);
    let both = "allow = [\"192.0.2.0/24\"]\nmedia = { networks = [\"198.51.100.0/28\"] }";
    assert_eq!(networks(&behind(ACS, both), 0), ["198.51.100.0/28"]);
    let carrier = "media = { networks = \"203.0.113.7\" }";
    assert_eq!(networks(&behind(CARRIER, carrier), 1), ["203.0.113.7/32"]);
    for (value, says) in [
        ("203.0.113.7/24", "bits set beyond"),
        ("203.0.113.0/40", "prefix length"),
        ("media.carrier.example", "not an IP address"),
    ] {
        let text = behind(CARRIER, &format!("media = {{ networks = [\"{value}\"] }}"));
        wrong(&text, &format!("\"{value}\""), says);
    }
}

#[test]
fn the_path_of_media_packets_is_a_key() {
    let media = |value: &str| {
        let section = format!("[media]\npath = \"{value}\"\n[admin]");
        RIGHT.replacen("[admin]", &section, 1)
    };
    let path = |text: &str| {
        let reading = read(text);
        assert_eq!(errors(&reading), [], "{text}");
        reading.config.media.path
    };
    assert_eq!(path(RIGHT), media_io::PathChoice::Auto);
    assert_eq!(path(&media("auto")), media_io::PathChoice::Auto);
    for kind in media_io::PathKind::ALL {
        let wanted = media_io::PathChoice::Prefer(kind);
        assert_eq!(path(&media(kind.name())), wanted);
    }
    wrong(&media("iouring"), "\"iouring\"", "`iouring` is not known");
}
