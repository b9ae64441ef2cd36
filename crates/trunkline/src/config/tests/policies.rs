//! Who calls, what crosses, and where help is.

use b2bua::profile::{Assertion, Caller, Redirections, Trust, Unscreened};

use media_relay::LatchPolicy;

use super::{RIGHT, errors, read};

const CARRIER: &str = "preset = \"carrier\"\n";

/// What `added` to the carrier brings: errors as line and text.
fn with(added: &str) -> Vec<(usize, String)> {
    errors(&read(&RIGHT.replacen(
        CARRIER,
        &format!("{CARRIER}{added}\n"),
        1,
    )))
}

#[test]
fn identity_headers_numbers_and_reasons_are_read() {
    let text = RIGHT.replacen(
        "[[route]]",
        r#"
[trunk.identity]
trusted = false
asserted = "replace:+14255550100"
from = "asserted"
screen = ["+14255550100-+14255550199", "+1206555*"]
unscreened = "replace:+14255550101"
[trunk.headers]
diversion = "diversion"
[[trunk.headers.rule]]
name = "X-Account"
action = "rewrite"
match = "*:*"
replace = "$2"
[trunk.context]
pass = true
fields = 3
[trunk.reasons]
causes = { 34 = 17 }
statuses = { 480 = 486 }
[emergency]
numbers = ["1669"]
to = ["carrier"]
[[route]]"#,
        1,
    );
    let reading = read(&text);
    assert_eq!(errors(&reading), []);
    let profiles = crate::daemon::wiring::profiles(&reading.config).unwrap();
    let pbx = profiles.trunk(&"pbx".into()).unwrap();
    assert_eq!(pbx.trust, Trust::Untrusted);
    assert_eq!(
        pbx.identity.asserted,
        Assertion::Replace("+14255550100".into())
    );
    assert_eq!(pbx.identity.from, Caller::Asserted);
    assert_eq!(pbx.identity.screen.len(), 2);
    assert_eq!(
        pbx.identity.unscreened,
        Unscreened::Replace("+14255550101".into())
    );
    assert_eq!(pbx.headers.redirections, Redirections::Diversion);
    assert_eq!(pbx.headers.rules.len(), 1);
    assert_eq!((pbx.context.pass, pbx.context.fields), (Some(true), 3));
    assert_eq!(
        (pbx.reasons.causes.len(), pbx.reasons.statuses.len()),
        (1, 1)
    );
    assert_eq!(reading.config.routing.emergency.to, ["carrier".into()]);
}

#[test]
fn what_a_preset_sets_can_be_set_otherwise() {
    let text = RIGHT.replacen(
        CARRIER,
        "preset = \"carrier\"\nconnection = { leave_when_busy = true }\n\
         headers = { x_ms_sbc = true }\nmedia = { rtcp_mux = true, latch = \"same-host\" }\n",
        1,
    );
    let reading = read(&text);
    assert_eq!(errors(&reading), []);
    let profiles = crate::daemon::wiring::profiles(&reading.config).unwrap();
    let [acs, carrier, pbx] = ["acs", "carrier", "pbx"].map(|name| {
        let trunk = profiles.trunk(&name.into()).unwrap();
        let switches = [trunk.close_when_busy, trunk.x_ms_sbc, trunk.rtcp_mux];
        (switches, trunk.latch)
    });
    assert_eq!(acs, ([true; 3], LatchPolicy::Authenticated));
    assert_eq!(carrier, ([true; 3], LatchPolicy::SameHost));
    assert_eq!(pbx, ([false; 3], LatchPolicy::Signalled));
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    for (added, says) in [
        ("identity = { asserted = \"kepp\" }", "`kepp` is not known"),
        ("identity = { from = \"replace:0123\" }", "starts with +"),
        (
            "identity = { screen = \"x y+\" , unscreened = \"no\" }",
            "`no` is not known",
        ),
        ("identity = { screen = \"+1-2\" }", "range"),
        ("headers = { diversion = \"historyinfo\" }", "not known"),
        ("media = { latch = \"anybody\" }", "`anybody` is not known"),
        ("context = { fields = 65 }", "at most 64"),
        ("reasons = { causes = { 0 = 17 } }", "a cause is 1 to 127"),
        ("reasons = { statuses = { 480 = 200 } }", "400 to 699"),
        ("numbers = { trunk_group = \"a b\" }", "not a trunk group"),
        (
            "numbers = { rule = [{ match = \"**\", replace = \"\" }] }",
            "next to another",
        ),
        (
            "numbers = { rule = [{ match = \"9*\", replace = \"$2\" }] }",
            "`$`",
        ),
        ("numbers = { national_prefix = \"x\" }", "1 to 6 digits"),
    ] {
        let found = with(added);
        let line = 1 + RIGHT[..RIGHT.find(CARRIER).unwrap()].matches('\n').count() + 1;
        assert!(
            found
                .iter()
                .any(|(at, text)| *at == line && text.contains(says)),
            "{added}: {found:?}"
        );
    }
    let text = RIGHT.replacen("[admin]", "[emergency]\nto = [\"carier\"]\n[admin]", 1);
    let line = 2 + text[..text.find("[emergency]").unwrap()]
        .matches('\n')
        .count();
    let expected = (line, "emergency: to: no trunk has this name".to_owned());
    assert_eq!(errors(&read(&text)), [expected]);
}

#[test]
fn a_rule_cannot_touch_what_the_gateway_keeps_to_itself() {
    for (name, why) in [
        ("Via", "routes messages"),
        ("v", "routes messages"),
        ("Contact", "routes messages"),
        ("Max-Forwards", "routes messages"),
        ("Record-Route", "routes messages"),
        ("From", "names the dialog"),
        ("Call-ID", "names the dialog"),
        ("CSeq", "names the dialog"),
        ("Content-Length", "describes the body"),
        ("content-id", "describes the body"),
        ("Supported", "agreed with each trunk"),
        ("Session-Expires", "agreed with each trunk"),
        ("Proxy-Authorization", "credentials"),
        ("P-Asserted-Identity", "who calls"),
        ("Diversion", "who redirected"),
        ("no name", "not the name"),
    ] {
        let rule = format!("headers = {{ rule = [{{ name = \"{name}\", action = \"remove\" }}] }}");
        let found = with(&rule);
        assert!(
            found.iter().any(|(_, text)| text.contains(why)),
            "{name}: {found:?}"
        );
    }
    let lonely = with("headers = { rule = [{ name = \"X-A\", action = \"rewrite\" }] }");
    assert!(lonely[0].1.contains("needs `match`"), "{lonely:?}");
}
