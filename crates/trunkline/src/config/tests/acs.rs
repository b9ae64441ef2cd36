//! `[acs]`: what Azure is to know, and what it cannot be told.

use super::{RIGHT, errors, read};
use crate::config::Severity;
use crate::config::resolve::Acs;

const SECTION: &str = r#"
[acs]
connection_string = "endpoint=https://contoso.example/;accesskey=c2VjcmV0"
"#;

fn with(more: &str) -> crate::config::Reading {
    read(&format!("{RIGHT}{SECTION}{more}"))
}

fn acs(more: &str) -> Acs {
    let reading = with(more);
    assert_eq!(errors(&reading), [], "{more}");
    reading.config.acs.expect("a section")
}

fn route(name: &str, rest: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\nfrom = [\"acs\"]\n{rest}\n")
}

#[test]
fn routes_from_azure_become_voice_routes_in_order() {
    let acs = acs(&format!(
        "{}{}{}",
        route(
            "local",
            "called = [\"+1425*\", \"911\"]\nto = [\"carrier\"]"
        ),
        "[[route]]\nname = \"of anybody\"\ncalled = [\"+44*\"]\nto = [\"carrier\"]\n",
        route("rest", "called = [\"+1*\"]\nto = [\"pbx\", \"carrier\"]"),
    ));
    assert_eq!(acs.trunks["sbc1.contoso.example"], 5061);
    let told: Vec<(&str, &str)> = acs
        .routes
        .iter()
        .map(|route| (route.name.as_str(), route.pattern.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("local", r"^(?:\+1425[0-9]*|911)$"),
            ("rest", r"^\+1[0-9]*$")
        ]
    );
    assert_eq!(acs.routes[0].trunks, ["sbc1.contoso.example"]);
    assert!(!format!("{acs:?}").contains("c2VjcmV0"));
}

#[test]
fn partners_stand_in_every_route() {
    let acs = acs(&format!(
        "partners = [\"sbc2.contoso.example:5067\", \"SBC3.contoso.example\"]\n{}",
        route("all of one", "called = [\"+1*\"]\nto = [\"carrier\"]")
    ));
    let trunks: Vec<(&str, u16)> = acs
        .trunks
        .iter()
        .map(|(fqdn, port)| (fqdn.as_str(), *port))
        .collect();
    assert_eq!(
        trunks,
        [
            ("sbc1.contoso.example", 5061),
            ("sbc2.contoso.example", 5067),
            ("sbc3.contoso.example", 5061),
        ]
    );
    assert_eq!(acs.routes[0].trunks.len(), 3);
}

#[test]
fn a_section_can_share_its_connection_string() {
    let text = format!(
        "{RIGHT}[cloud_calling]\nconnection_string = \
         \"endpoint=https://contoso.example/;accesskey=c2VjcmV0\"\n[acs]\n"
    );
    assert!(read(&text).config.acs.is_some());
}

/// Each mistake, in its line, once.
#[test]
fn what_azure_would_refuse_is_told_here() {
    let long = "x".repeat(251);
    let many: String = (0..251)
        .map(|at| {
            route(
                &format!("r{at}"),
                &format!("called = [\"+1425555{at:04}\"]\nto = [\"carrier\"]"),
            )
        })
        .collect();
    let kept: String = (0..90).map(|at| format!("\"+1425555{at:04}\",")).collect();
    let kept = route(
        "kept",
        &format!("called = [{kept}]\nto = [\"cloud-calling\", \"carrier\"]"),
    );
    let section = RIGHT.matches('\n').count() + 2;
    for (more, line, says) in [
        (
            route(&long, "to = [\"carrier\"]"),
            section + 3,
            "at most 250 characters",
        ),
        (many, section, "Azure takes 250 voice routes, these are 251"),
        (
            "partners = [\"sbc2\"]\n".to_owned(),
            section + 2,
            "sbc2.contoso.example:5061",
        ),
        (
            "partners = [\"sbc1.contoso.example\"]\n".to_owned(),
            section + 2,
            "there already",
        ),
        (
            kept + &route("rest", "called = [\"+1*\"]\nto = [\"carrier\"]"),
            section + 8,
            "1024 are the most",
        ),
        (
            route("a", "called = [\"+1*\"]\nto = [\"carrier\"]")
                + &route("A", "called = [\"+2*\"]\nto = [\"carrier\"]"),
            section + 8,
            "two voice routes named",
        ),
    ] {
        let reading = with(&more);
        let errors = errors(&reading);
        assert_eq!(errors.len(), 1, "{says}: {errors:?}");
        assert_eq!(errors[0].0, line, "{says}: {errors:?}");
        assert!(errors[0].1.contains(says), "{says}: {errors:?}");
    }
}

#[test]
fn a_connection_string_that_is_none_is_told_without_its_text() {
    for wrong in [
        "",
        "${UNSET}",
        "accesskey=c2VjcmV0",
        "endpoint=http://contoso.example;accesskey=c2VjcmV0",
    ] {
        let text = format!("{RIGHT}[acs]\nconnection_string = \"{wrong}\"\n");
        let errors = errors(&read(&text));
        assert_eq!(errors.len(), 1, "{wrong}: {errors:?}");
        assert!(
            errors
                .iter()
                .all(|(_, message)| !message.contains("c2VjcmV0"))
        );
    }
    let errors = errors(&read(&format!("{RIGHT}[acs]\n")));
    assert!(
        errors[0].1.contains("`connection_string` is required"),
        "{errors:?}"
    );
}

#[test]
fn what_azure_cannot_tell_apart_is_warned_of() {
    let callers = route(
        "callers",
        "called = [\"+1*\"]\ncalling = [\"+14255550100\"]\nto = [\"carrier\"]",
    );
    let names = route("names", "called = [\"alice*\"]\nto = [\"carrier\"]");
    let countries = route("countries", "called_country = [\"DE\"]\nto = [\"carrier\"]");
    let reading = with(&countries);
    let told = reading.config.acs.map(|acs| acs.routes.len());
    assert_eq!(told, Some(0), "it would be a catch-all");
    for (more, says) in [
        (countries, "not types, countries and owners"),
        (callers, "by the called number alone"),
        (names, "digits only"),
    ] {
        let reading = with(&more);
        assert_eq!(errors(&reading), []);
        let warned = |finding: &crate::config::Diagnostic| {
            finding.severity == Severity::Warning && finding.message.contains(says)
        };
        assert!(reading.findings.0.iter().any(warned), "{says}");
    }
}
