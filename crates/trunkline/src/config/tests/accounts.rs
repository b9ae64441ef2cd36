//! Passwords, registrations both ways, and bans.

use std::time::Duration;

use b2bua::profile::{Algorithm, TrunkProfile};
use sip_transport::FlowPolicy;

use super::{RIGHT, errors, read};

const CARRIER: &str = "preset = \"carrier\"\n";
const PBX: &str = "peers = [\"udp:[2001:db8::20]:5060\"]\n";

fn trunk(text: &str, name: &str) -> TrunkProfile {
    let reading = read(text);
    assert_eq!(errors(&reading), [], "{text}");
    let mut trunks = reading.config.trunks.iter();
    let found = trunks.find(|trunk| trunk.name.as_str() == name);
    found.expect("the trunk").profile.clone()
}

/// What `added` behind `anchor` brings: errors as line and text, and the line of `added`.
fn planted(anchor: &str, added: &str) -> (usize, Vec<(usize, String)>) {
    let text = RIGHT.replacen(anchor, &format!("{anchor}{added}\n"), 1);
    let line = 1 + text[..text.find(added).expect("planted")]
        .matches('\n')
        .count();
    (line, errors(&read(&text)))
}

#[test]
fn a_carrier_that_wants_a_registration_gets_it() {
    let added = r#"auth = { username = "acme", password = "${SET}", weakest = "SHA-256" }
register = { aor = "sip:+14255550100@carrier.example", expires = "30m", required = true }
"#;
    let carrier = trunk(
        &RIGHT.replacen(CARRIER, &format!("{CARRIER}{added}"), 1),
        "carrier",
    );
    let [credentials] = carrier.auth.credentials.as_slice() else {
        panic!("{:?}", carrier.auth);
    };
    assert_eq!(credentials.username, "acme");
    assert_eq!(credentials.realm, None, "learned");
    assert_eq!(credentials.weakest, Algorithm::Sha256);
    let from_environment = b2bua::profile::Password::new("from the environment");
    assert_eq!(credentials.password, from_environment);
    assert!(!format!("{carrier:?}").contains("from the environment"));
    let register = carrier.register.expect("a registration");
    assert_eq!(register.aor.as_str(), "sip:+14255550100@carrier.example");
    assert_eq!(register.registrars.len(), 1, "its peers");
    assert_eq!(register.expires, Duration::from_secs(1800));
    assert_eq!(register.retry_max, Duration::from_secs(600));
    assert!(register.required);
    assert!(carrier.auth.demand.is_none());
}

#[test]
fn an_exchange_without_an_address_registers_here() {
    let added = r#"[trunk.auth]
users = { office = "${SET}" }
own_realm = "office.example"
algorithms = ["SHA-512-256", "SHA-256"]
nonce_lifetime = "1m"
[trunk.registrar]
min_expires = "2m"
contacts = 2
"#;
    let text = RIGHT.replacen(PBX, added, 1);
    // An inline table of the trunk may not follow its sub-tables.
    let text = text.replacen("numbers = { country = \"US\", area = \"425\" }\n", "", 1);
    let pbx = trunk(&text, "pbx");
    assert!(pbx.peers.is_empty());
    assert_eq!(pbx.allow.len(), 2, "from anywhere");
    let demand = pbx.auth.demand.expect("a password is wanted");
    assert_eq!(&*demand.realm, "office.example");
    assert!(demand.users.contains_key("office"));
    assert_eq!(demand.algorithms, [Algorithm::Sha512256, Algorithm::Sha256]);
    assert_eq!(demand.nonce_lifetime, Duration::from_secs(60));
    let policy = pbx.registrar.expect("a registrar");
    assert_eq!(policy.min_expires, Duration::from_secs(120));
    assert_eq!(policy.max_expires, Duration::from_secs(3600));
    assert_eq!(policy.contacts, 2);
    let config = read(&text).config;
    assert_eq!(config.trunks[2].flow.flows, FlowPolicy::ClientFlow);
    let docs = &config.routing.trunks[2];
    assert_eq!(docs.peers.len(), 1, "routes may lead to it");
}

#[test]
fn mistakes_in_accounts_are_found_in_their_line() {
    for (anchor, added, says) in [
        (CARRIER, "auth = { username = \"a\" }", "without `password`"),
        (CARRIER, "auth = { password = \"a\" }", "without `username`"),
        (
            CARRIER,
            "auth = { username = \"\", password = \"a\" }",
            "is empty",
        ),
        (
            CARRIER,
            "auth = { username = \"a\", password = \"b\", weakest = \"MD4\" }",
            "`MD4` is not known",
        ),
        (
            CARRIER,
            "auth = { users = { a = \"b\" }, algorithms = \"SHA256\" }",
            "`SHA256` is not known",
        ),
        (CARRIER, "auth = { user = \"a\" }", "`user`"),
        (
            CARRIER,
            "auth = { users = { a = \"${UNSET}\" } }",
            "no UNSET",
        ),
        (
            CARRIER,
            "register = { expires = \"1h\" }",
            "`aor` is required",
        ),
        (
            CARRIER,
            "register = { aor = \"carrier.example\" }",
            "no SIP address",
        ),
        (
            CARRIER,
            "register = { aor = \"sip:carrier.example\" }",
            "no SIP address",
        ),
        (
            CARRIER,
            "register = { aor = \"sip:a@b.example\", registrars = \"b.example\" }",
            "transport comes first",
        ),
        (
            CARRIER,
            "register = { aor = \"sip:a@b.example\", retry = \"20m\" }",
            "longer than `retry_max`",
        ),
        (
            PBX,
            "registrar = { contacts = 4 }",
            "anybody could register",
        ),
        (
            PBX,
            "registrar = { contacts = 0 }\nallow = \"2001:db8::/64\"",
            "from 1 to 100",
        ),
        (
            PBX,
            "registrar = { min_expires = \"2h\" }\nallow = \"2001:db8::/64\"",
            "longer than `max_expires`",
        ),
        (
            "preset = \"acs\"\n",
            "register = { aor = \"sip:a@b.example\" }",
            "Microsoft takes no registrations",
        ),
        (
            "preset = \"acs\"\n",
            "auth = { users = { a = \"b\" } }",
            "Microsoft answers no challenges",
        ),
    ] {
        let (line, found) = planted(anchor, added);
        let hit = found
            .iter()
            .any(|(at, text)| *at == line && text.contains(says));
        assert!(hit, "{added}: {found:?}");
    }
}

#[test]
fn bans_are_keys() {
    let added = "[bans]\nfailures = 5\nwindow = \"30s\"\nduration = \"1h\"\nsources = 100\n[admin]";
    let reading = read(&RIGHT.replacen("[admin]", added, 1));
    assert_eq!(errors(&reading), []);
    let bans = reading.config.signalling.bans;
    assert_eq!((bans.failures, bans.sources), (5, 100));
    assert_eq!(bans.window, Duration::from_secs(30));
    assert_eq!(bans.duration, Duration::from_secs(3600));
    for (wrong, says) in [
        ("sources = 0", "remember nobody"),
        ("failure = 5", "`failure`"),
    ] {
        let text = RIGHT.replacen("[admin]", &format!("[bans]\n{wrong}\n[admin]"), 1);
        let line = 1 + text[..text.find(wrong).unwrap()].matches('\n').count();
        let found = errors(&read(&text));
        assert!(
            found
                .iter()
                .any(|(at, text)| *at == line && text.contains(says)),
            "{wrong}: {found:?}"
        );
    }
}
