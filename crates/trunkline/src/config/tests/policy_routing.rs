//! Routes by more than numbers, tables in files, and limits.

use std::fs;

use super::{RIGHT, errors, read};
use crate::config::{Reading, read_text};

/// Reads the right configuration with more behind it, beside these files.
fn with_files(added: &str, files: &[(&str, &str)]) -> Reading {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let text = format!("{RIGHT}\n{added}\n");
    read_text(folder.path().join("trunkline.toml"), text, &|_| None)
}

const POLICY: &str = r#"
[[number_list]]
name = "vip"
file = "vip.txt"
[inventory]
file = "numbers.csv"
[[rates]]
name = "carrier"
file = "rates.csv"
[[schedule]]
name = "office"
zone = "America/Los_Angeles"
days = "mon-fri"
hours = "09:00-17:00"
[[limit]]
name = "fraud"
deny_types = ["premium"]
deny_countries = "CU"
spend_per_day = "25.00 USD"
to = "carrier"
[[route]]
name = "vip by cost"
called = ["list:vip", "+1999*"]
called_type = ["geographic", "toll-free"]
called_country = "US"
called_owner = "carrier"
during = "office"
header = "X-MS-Custom-Queue: sales*"
to = ["carrier"]
pick = "cost"
caller_id = "+14255550100"
"#;

const FILES: [(&str, &str); 3] = [
    ("vip.txt", "+14255550100\n# friends\n+1206*\n"),
    ("numbers.csv", "number,owner\n+1425*,microsoft\n"),
    ("rates.csv", "prefix,rate_per_minute,currency\n1,0.01,USD\n"),
];

/// The configuration in which the carrier has rates.
fn policy(added: &str, files: &[(&str, &str)]) -> Reading {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let carrier = "preset = \"carrier\"\n";
    let text = RIGHT.replacen(carrier, &format!("{carrier}rates = \"carrier\"\n"), 1);
    let text = format!("{text}\n{added}\n");
    read_text(folder.path().join("trunkline.toml"), text, &|_| None)
}

#[test]
fn policy_is_read_and_compiles() {
    let reading = policy(POLICY, &FILES);
    assert_eq!(errors(&reading), []);
    let routing = &reading.config.routing;
    assert_eq!(routing.lists[0].1.len(), 2);
    assert_eq!(routing.rates[0].1.len(), 1);
    assert_eq!(routing.limits[0].spend_per_day.unwrap().micros, 25_000_000);
    assert!(routing::Snapshot::compile(routing).is_ok());
}

#[test]
fn broken_lines_of_files_are_told_with_file_and_line() {
    let files = [
        ("vip.txt", "+14255550100\nhello\n+1?\n"),
        ("numbers.csv", "number,owner\n+1425*,nobody\n"),
        (
            "rates.csv",
            "prefix,rate_per_minute,currency\n1,0.01,USD\n1,0.02,USD\n2,x,USD\n",
        ),
    ];
    let found: Vec<String> = errors(&policy(POLICY, &files))
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    let starts = [
        "number_list vip: vip.txt:2: not a number",
        "number_list vip: vip.txt:3: a list has numbers",
        "inventory: numbers.csv:2: the owner is",
        "rates carrier: rates.csv:3: overlaps line 2",
        "rates carrier: rates.csv:4: a price is written",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (message, start) in found.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn mistakes_of_policy_have_their_place() {
    for (right, wrong, says) in [
        ("list:vip", "list:vap", "no list of numbers has this name"),
        ("\"toll-free\"", "\"tollfree\"", "`tollfree` is not known"),
        (
            "called_country = \"US\"",
            "called_country = \"ZZ\"",
            "not a country",
        ),
        (
            "called_owner = \"carrier\"",
            "called_owner = \"me\"",
            "`me` is not known",
        ),
        (
            "during = \"office\"",
            "during = \"ofice\"",
            "no schedule has this name",
        ),
        (
            "X-MS-Custom-Queue: sales*",
            "X-MS-Custom-Queue",
            "a header field is written",
        ),
        (
            "pick = \"cost\"",
            "pick = \"cheap\"",
            "`cheap` is not known",
        ),
        (
            "pick = \"cost\"",
            "pick = \"weight\"\nweights = [1, 2]",
            "one weight for each target",
        ),
        ("pick = \"cost\"", "weights = [1]", "`weights` are for"),
        (
            "caller_id = \"+14255550100\"",
            "caller_id = \"100\"",
            "a caller's number",
        ),
        ("America/Los_Angeles", "America/Nowhere", "not a time zone"),
        ("09:00-17:00", "9-17", "times are written"),
        ("25.00 USD", "25 dollars a day", "money is written"),
        ("25.00 USD", "25.00 EUR", "different currencies"),
        (
            "deny_countries = \"CU\"",
            "deny_countries = \"cuba\"",
            "not a country",
        ),
        (
            "file = \"vip.txt\"",
            "file = \"vap.txt\"",
            "vap.txt: No such file",
        ),
    ] {
        assert!(POLICY.contains(right), "{right}");
        let text = POLICY.replacen(right, wrong, 1);
        let found = errors(&policy(&text, &FILES));
        let line = text
            .lines()
            .position(|line| line.contains(wrong.lines().last().unwrap()));
        let line = RIGHT.lines().count() + 1 + line.unwrap() + 2;
        assert!(
            found
                .iter()
                .any(|(at, message)| message.contains(says) && line.abs_diff(*at) <= 1),
            "{wrong}: line {line}: {found:?}"
        );
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
    }
    let found = errors(&with_files(POLICY, &FILES));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("no target has rates"), "{found:?}");
}

#[test]
fn final_responses_stop_or_go_on_as_the_trunk_says() {
    let carrier = "preset = \"carrier\"\n";
    let with = |added: &str| {
        let table = "[[route]]";
        read(&RIGHT.replacen(table, &format!("[trunk.reasons]\n{added}\n{table}"), 1))
    };
    assert!(RIGHT.contains(carrier));
    assert_eq!(errors(&with("stop = [404]\nnext = [486, 603]")), []);
    let found = errors(&with("stop = [200, 404]\nnext = [404]"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[1].1.contains("404 cannot both stop and go on"),
        "{found:?}"
    );
}

/// Whoever asks where a call goes need not know the secrets; a file that is none is told.
#[test]
fn routes_are_read_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trunkline.toml");
    let text = r#"
[gateway]
fqdn = "sbc1.contoso.example"
public_address = "203.0.113.10"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
[cloud_calling]
connection_string = "${TRUNKLINE_TEST_UNSET}"
caller_ids = ["+18005550101"]
marker = "+14255550199"
listen = "127.0.0.1:8443"
public_url = "https://sbc1.contoso.example:8443"
secret = "${TRUNKLINE_TEST_UNSET}"
audience = "00000000-0000-4000-8000-000000000000"
[[trunk]]
name = "acs"
preset = "acs"
[[trunk]]
name = "pbx"
preset = "pbx"
listen = "udp:127.0.0.1:5070"
peers = ["udp:192.0.2.20:5060"]
[[route]]
name = "out"
from = "pbx"
to = "cloud-calling"
"#;
    fs::write(&file, text).unwrap();
    let reading = crate::config::read_routes(&file).unwrap();
    assert!(!reading.findings.has_errors(), "{:?}", reading.findings.0);
    assert!(reading.config.cloud.is_some());
    let told = crate::config::read(&file).unwrap();
    assert!(told.findings.has_errors());
    fs::write(&file, format!("{text}[[route")).unwrap();
    let broken = crate::config::read_routes(&file).unwrap();
    assert!(broken.findings.has_errors());
}
