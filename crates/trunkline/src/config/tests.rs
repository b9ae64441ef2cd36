//! Planted mistakes are found, each at its place; what is right is taken.

mod accounts;
mod acs;
mod calls;
mod cloud;
mod figures;
mod policies;
mod policy_routing;
mod setup;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use super::{Reading, Severity, read_text};

fn read(text: &str) -> Reading {
    let environment = |name: &str| (name == "SET").then(|| "from the environment".to_owned());
    read_text(
        PathBuf::from("trunkline.toml"),
        text.to_owned(),
        &environment,
    )
}

const RIGHT: &str = r#"
[gateway]
fqdn = "sbc1.contoso.example"
bind = "127.0.0.1"
[tls]
certificate = "c.pem"
private_key = "c.key"
[[trunk]]
name = "acs"
preset = "acs"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
peers = ["udp:198.51.100.7:5060"]
[[trunk]]
name = "pbx"
preset = "pbx"
listen = "udp:127.0.0.1:5070"
peers = ["udp:[2001:db8::20]:5060"]
numbers = { country = "US", area = "425" }
[[route]]
name = "in"
from = ["carrier"]
called = ["+14255550100-+14255550199"]
to = ["acs", "pbx"]
[admin]
listen = "127.0.0.1:9090"
"#;

fn errors(reading: &Reading) -> Vec<(usize, String)> {
    reading
        .findings
        .0
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| {
            let line = finding
                .span
                .as_ref()
                .map_or(0, |span| reading.source.position(span.start).0);
            (line, finding.message.clone())
        })
        .collect()
}

/// Replaces `right` by `wrong` and expects one error, in that line, that says `says`.
fn planted(right: &str, wrong: &str, says: &str) {
    assert!(RIGHT.contains(right), "{right} is in the text");
    let text = RIGHT.replacen(right, wrong, 1);
    let line = text[..text.find(wrong).expect("planted")]
        .matches('\n')
        .count()
        + 1;
    let reading = read(&text);
    let errors = errors(&reading);
    assert_eq!(errors.len(), 1, "{wrong}: {errors:?}");
    assert_eq!(errors[0].0, line, "{wrong}: {errors:?}");
    assert!(errors[0].1.contains(says), "{wrong}: {errors:?}");
}

#[test]
fn what_is_right_is_taken() {
    let reading = read(RIGHT);
    assert_eq!(errors(&reading), []);
    let config = reading.config;
    assert_eq!(config.trunks.len(), 3);
    assert_eq!(config.listeners.len(), 4);
    assert_eq!(config.trunks[0].peers.len(), 3);
    assert_eq!(config.trunks[1].profile.allow.len(), 1);
    assert_eq!(config.routing.routes.len(), 1);
}

#[test]
fn each_planted_mistake_is_found_in_its_line() {
    planted("fqdn = \"sbc1", "fqdn = \"sbc1_", "host name");
    planted(
        "bind = \"127.0.0.1\"\n[tls]",
        "bind = \"localhost\"\n[tls]",
        "bind",
    );
    planted(
        "preset = \"acs\"",
        "preset = \"azure\"",
        "`azure` is not known",
    );
    planted(
        "preset = \"pbx\"",
        "present = \"pbx\"\npreset = \"pbx\"",
        "unknown key `present`",
    );
    planted(
        "\"udp:198.51.100.7:5060\"",
        "\"198.51.100.7\"",
        "transport comes first",
    );
    planted("country = \"US\"", "country = \"ZZ\"", "country `ZZ`");
    planted("[\"carrier\"]", "[\"carier\"]", "no trunk `carier`");
    planted("+14255550199\"]", "+14255550099\"]", "called");
    planted("\"127.0.0.1:9090\"", "\"0.0.0.0:9090\"", "needs a `token`");
    planted("[admin]", "[amdin]", "unknown section `amdin`");
    planted(
        "certificate = \"c.pem\"\nprivate_key = \"c.key\"",
        "certificate = \"c.pem\"",
        "`private_key` is missing",
    );
}

#[test]
fn two_trunks_of_one_name_are_told() {
    let twin = "[[trunk]]\nname = \"carrier\"\npreset = \"pbx\"\nlisten = \"udp:127.0.0.1:5080\"\n[[route]]";
    let errors = errors(&read(&RIGHT.replacen("[[route]]", twin, 1)));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].1.contains("two trunks named `carrier`"),
        "{errors:?}"
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = RIGHT
        .replace("name = \"carrier\"", "nane = \"carrier\"")
        .replace(
            "bind = \"127.0.0.1\"\n[tls]",
            "bind = 5\ncalls = \"many\"\n[tls]",
        )
        .replace("to = [\"acs\", \"pbx\"]", "to = [\"asc\", \"pbx\"]");
    let errors = errors(&read(&text));
    let all: Vec<&str> = errors.iter().map(|(_, message)| message.as_str()).collect();
    for wanted in [
        "`nane`",
        "`name` is required",
        "`bind`",
        "`calls`",
        "no trunk `asc`",
    ] {
        assert!(
            all.iter().any(|message| message.contains(wanted)),
            "{wanted}: {all:#?}"
        );
    }
}

#[test]
fn a_syntax_error_is_told_alone_and_in_its_place() {
    let errors = errors(&read("[gateway]\nfqdn = \"a\nbind = 1\n"));
    assert!(!errors.is_empty());
    assert_eq!(errors[0].0, 2, "{errors:?}");
}

#[test]
fn secrets_come_from_the_environment() {
    let with = |name: &str| {
        RIGHT.replace(
            "[admin]\nlisten = \"127.0.0.1:9090\"",
            &format!("[admin]\nlisten = \"0.0.0.0:9090\"\ntoken = \"${{{name}}}\""),
        )
    };
    let reading = read(&with("SET"));
    assert_eq!(errors(&reading), []);
    assert!(
        reading
            .config
            .admin
            .token
            .as_ref()
            .is_some_and(|token| token.matches("from the environment"))
    );
    assert!(!format!("{:?}", reading.config).contains("from the environment"));
    assert!(
        errors(&read(&with("UNSET")))[0]
            .1
            .contains("the environment has no UNSET")
    );
}

#[test]
fn trunks_that_could_be_confused_are_named() {
    let text = RIGHT
        .replace("udp:127.0.0.1:5070", "udp:127.0.0.1:5060")
        .replace("udp:[2001:db8::20]:5060", "udp:198.51.100.7:5061");
    let errors = errors(&read(&text));
    assert!(
        errors
            .iter()
            .any(|(_, message)| message.contains("trunk carrier or to trunk pbx")),
        "{errors:?}"
    );
}

#[test]
fn sockets_that_would_collide_are_named() {
    let text = RIGHT.replace("udp:127.0.0.1:5070", "udp:127.0.0.1:20500");
    assert!(errors(&read(&text))[0].1.contains("within the media ports"));
    let text = RIGHT.replace("\"tcp:127.0.0.1:5060\"", "\"tcp:127.0.0.1:5061\"");
    assert!(
        errors(&read(&text))[0]
            .1
            .contains("cannot both be listened at")
    );
}

#[test]
fn microsoft_rules_are_checked_before_microsoft_does() {
    let errors_of = |from: &str, to: &str| errors(&read(&RIGHT.replacen(from, to, 1)));
    let acs = "preset = \"acs\"";
    for (added, says) in [
        ("srtp = false", "without SRTP"),
        ("listen = \"udp:127.0.0.1:5080\"", "TLS only"),
        (
            "peers = [\"tls:sip-all.pstnhub.microsoft.com:5061\"]",
            "withdrawn",
        ),
        ("options = { interval = \"0s\" }", "no OPTIONS"),
        ("fqdn = \"203.0.113.1\"", "not a name"),
        ("fqdn = \"sbc.contoso.onmicrosoft.com\"", "onmicrosoft.com"),
    ] {
        let found = errors_of(acs, &format!("{acs}\n{added}"));
        assert!(
            found.iter().any(|(_, message)| message.contains(says)),
            "{added}: {found:?}"
        );
    }
    let both = format!("{acs}\n[[trunk]]\nname = \"teams\"\npreset = \"teams\"");
    assert!(
        errors_of(acs, &both)
            .iter()
            .any(|(_, message)| message.contains("Teams and ACS"))
    );
}

const TWO_CUSTOMERS: &str = r#"
[gateway]
bind = "127.0.0.1"
[tls]
certificate = "c.pem"
private_key = "c.key"
[[trunk]]
name = "acs-a"
preset = "acs"
fqdn = "a.contoso.example"
customer = "adatum"
[[trunk]]
name = "acs-b"
preset = "acs"
fqdn = "b.contoso.example"
customer = "fabrikam"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:127.0.0.1:5060"
peers = "udp:198.51.100.7:5060"
[[route]]
name = "in-a"
called = "+1425555010?"
to = "acs-a"
[[route]]
name = "out-b"
from = "acs-b"
to = "carrier"
"#;

#[test]
fn a_call_of_one_customer_never_reaches_a_trunk_of_another() {
    let reading = read(TWO_CUSTOMERS);
    assert_eq!(errors(&reading), []);
    let from: Vec<&str> = reading.config.routing.routes[0]
        .from
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(from, ["acs-a", "carrier"], "the other customer is left out");
    let wrong = TWO_CUSTOMERS.replace("to = \"carrier\"", "to = [\"carrier\", \"acs-a\"]");
    let errors = errors(&read(&wrong));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].1.contains("belongs to customer adatum"),
        "{errors:?}"
    );
}

#[test]
fn clocks_bounds_and_names_are_keys() {
    let text = RIGHT.replacen(
        "[admin]",
        r#"[sip]
t1 = "200ms"
[limits]
half_open_per_source = 12
retired = "3s"
[dns]
servers = ["192.0.2.53", "192.0.2.54:5353"]
[admin]"#,
        1,
    );
    let text = text.replacen(
        "preset = \"acs\"",
        r#"preset = "acs"
peer_names = "proxy.contoso.example"
setup_budget = "7s"
options = { interval = "20s", jitter = "1s", interval_down = "5s", losses = 4, expect_inbound = "90s" }
connection = { renewal = "20m", keep_alive = "0s", backoff_max = "9s" }"#,
        1,
    );
    let text = text.replacen("[tls]", "[tls]\nversions = \"1.2\"", 1);
    let reading = read(&text);
    assert_eq!(errors(&reading), []);
    let config = reading.config;
    let seconds = Duration::from_secs;
    assert_eq!(config.signalling.timers.t1.as_millis(), 200);
    assert_eq!(config.signalling.transport.half_open_per_source, 12);
    assert_eq!(config.signalling.transport.retired_quiet, seconds(3));
    let servers = ["192.0.2.53:53", "192.0.2.54:5353"].map(|text| text.parse().unwrap());
    assert_eq!(
        config.signalling.resolver,
        sip_transport::ResolverConfig::Servers(servers.to_vec())
    );
    assert_eq!(
        config.signalling.tls.versions,
        [sip_transport::TlsVersion::Tls12]
    );
    let trunk = &config.trunks[0];
    assert_eq!(*trunk.profile.expected_names[0], *"proxy.contoso.example");
    assert_eq!(trunk.profile.timers.setup_budget, seconds(7));
    let options = trunk.profile.options;
    assert_eq!(
        (options.interval, options.jitter),
        (seconds(20), seconds(1))
    );
    assert_eq!((options.interval_down, options.losses), (seconds(5), 4));
    assert_eq!(options.expect_inbound, Some(seconds(90)));
    assert_eq!(trunk.flow.renewal, Some(seconds(1200)));
    assert_eq!(trunk.flow.keep_alive, None);
    assert_eq!(trunk.flow.reconnect.longest, seconds(9));
}

#[test]
fn mistakes_in_clocks_and_bounds_have_their_place() {
    let with = |section: &'static str| format!("{section}\n[admin]");
    for (section, says) in [
        ("[limits]\ndscp = 64", "from 0 to 63"),
        ("[limits]\nconnections = 0", "would refuse everything"),
        ("[dns]\nservers = \"ns.example\"", "192.0.2.53"),
        ("[sip]\nt1 = \"fast\"", "not a length of time"),
        ("[sip]\nt9 = \"1s\"", "unknown key `t9`"),
    ] {
        let text = RIGHT.replacen("[admin]", &with(section), 1);
        let errors = errors(&read(&text));
        assert_eq!(errors.len(), 1, "{section}: {errors:?}");
        assert!(errors[0].1.contains(says), "{section}: {errors:?}");
        assert!(errors[0].0 > 0, "{section}: {errors:?}");
    }
    let tls = "certificate = \"c.pem\"";
    for (wrong, says) in [
        ("versions = \"1.1\"", "versions"),
        (
            "suites = \"TLS_RSA_WITH_NULL_MD5\"",
            "TLS_RSA_WITH_NULL_MD5",
        ),
    ] {
        planted(tls, &format!("{wrong}\n{tls}"), says);
    }
}
