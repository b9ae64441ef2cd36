//! `[cloud_calling]`: what a route to `cloud-calling` needs.

use std::time::Duration;

use super::{RIGHT, errors, read};

const ROUTE: &str =
    "[[route]]\nname = \"out\"\nfrom = [\"pbx\"]\nto = [\"cloud-calling\", \"carrier\"]\n";

const SECTION: &str = r#"[cloud_calling]
connection_string = "endpoint=https://contoso.example/;accesskey=c2VjcmV0"
caller_ids = ["+14255550101", "+14255550102"]
marker = "+14255550199"
listen = "127.0.0.1:8443"
public_url = "https://sbc1.contoso.example:8443/"
secret = "a-secret-of-twenty-characters"
audience = "00000000-0000-4000-8000-000000000000"
"#;

#[test]
fn a_complete_section_is_taken() {
    let reading = read(&format!("{RIGHT}{ROUTE}{SECTION}ring_timeout = \"45s\"\n"));
    assert_eq!(errors(&reading), []);
    let cloud = reading.config.cloud.expect("a section");
    assert_eq!(cloud.doc.trunk.as_str(), "acs");
    assert_eq!(cloud.doc.caller_ids.len(), 2);
    assert_eq!(cloud.public_url, "https://sbc1.contoso.example:8443");
    assert_eq!((cloud.calls_per_number, cloud.certificate), (2, 0));
    assert_eq!(cloud.ring_timeout, Duration::from_secs(45));
    assert!(cloud.openid.ends_with("acsopenidconfiguration"));
    let shown = format!("{cloud:?}");
    for secret in ["a-secret-of", "c2VjcmV0", "secret-"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let limit = "[[limit]]\nname = \"toll\"\nto = [\"cloud-calling\"]\ncalls = 4\n";
    let reading = read(&format!("{RIGHT}{ROUTE}{SECTION}{limit}"));
    assert_eq!(errors(&reading), []);
}

#[test]
fn a_route_without_the_section_is_told_at_its_target() {
    let reading = read(&format!("{RIGHT}{ROUTE}"));
    let line = RIGHT.matches('\n').count() + 4;
    let told = errors(&reading);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, line);
    assert!(told[0].1.contains("needs [cloud_calling]"), "{told:?}");
    assert!(reading.config.cloud.is_none());
}

#[test]
fn what_calls_from_azure_leave_to_azure_needs_no_section() {
    let route =
        "[[route]]\nname = \"kept\"\nfrom = [\"acs\"]\nto = [\"cloud-calling\", \"carrier\"]\n";
    let reading = read(&format!("{RIGHT}{route}"));
    assert_eq!(errors(&reading), []);
    assert_eq!(reading.config.left_to_azure, ["kept"]);
    let to = &reading.config.routing.routes[1].to;
    assert_eq!(to.len(), 1);
}

/// Each key that has no default, missing; each value that cannot be, at its place.
#[test]
fn what_is_missing_or_wrong_is_told_at_its_place() {
    let section = RIGHT.matches('\n').count() + ROUTE.matches('\n').count() + 1;
    let lines: Vec<&str> = SECTION.lines().collect();
    for (at, line) in lines.iter().enumerate().skip(1) {
        let key = line.split(' ').next().expect("a key");
        let without = SECTION.replacen(&format!("{line}\n"), "", 1);
        let told = errors(&read(&format!("{RIGHT}{ROUTE}{without}")));
        let missing = format!("`{key}` is required");
        assert!(
            told.iter()
                .any(|(line, text)| *line == section && text.contains(&missing)),
            "{key}: {told:?}"
        );
        let wrong = SECTION.replacen(line, &format!("{key} = \"?\""), 1);
        let told = errors(&read(&format!("{RIGHT}{ROUTE}{wrong}")));
        let here = |(place, text): &(usize, String)| {
            *place == section + at && text.contains(&format!("cloud_calling: {key}"))
        };
        assert!(
            key == "audience" || told.iter().any(here),
            "{key}: {told:?}"
        );
    }
    for (more, says) in [
        ("calls_per_number = 0\n", "`calls_per_number` is a number"),
        ("ring_timeout = \"10m\"\n", "`ring_timeout` is from"),
        ("trunk = \"carrier\"\n", "no trunk `carrier` with preset"),
        ("certificate = \"other\"\n", "no certificate `other`"),
        (
            "openid = \"http://azure.example/\"\n",
            "begins with https://",
        ),
        ("rates = \"none\"\n", "no table of rates"),
        ("color = 1\n", "unknown key `color`"),
    ] {
        let told = errors(&read(&format!("{RIGHT}{ROUTE}{SECTION}{more}")));
        assert!(
            told.iter().any(|(_, text)| text.contains(says)),
            "{more}: {told:?}"
        );
    }
}

#[test]
fn no_call_comes_from_there_and_none_for_help_goes_there() {
    let from = "[[route]]\nname = \"in\"\nfrom = [\"cloud-calling\"]\nto = [\"carrier\"]\n";
    let help = "[emergency]\nto = [\"cloud-calling\"]\n";
    for more in [from.replace("\"in\"", "\"from there\""), help.to_owned()] {
        let told = errors(&read(&format!("{RIGHT}{ROUTE}{SECTION}{more}")));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].1.contains("takes calls that are routed to it"),
            "{told:?}"
        );
    }
}
