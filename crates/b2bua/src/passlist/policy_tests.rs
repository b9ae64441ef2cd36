//! The operator's rules, limits of context, redirections of ours, and signed identities.

use e164::Rewrite;
use sip_msg::{Framing, Limits, StatusCode, parse};

use super::tests::{acs, carried_from, carrier, headers, pbx};
use super::*;
use crate::profile::{ContextProfile, HeaderRule, ReasonMap, Signatures};

fn rule(way: Way, name: &str, action: HeaderAction) -> HeaderRule {
    HeaderRule::new(way, name, Vec::new(), action).unwrap()
}

/// A message of a leg whose names must stay there.
fn with_leg(fields: &[(&str, &str)]) -> Headers {
    let mut all = vec![
        (
            "Via",
            "SIP/2.0/UDP pbx.internal.example:5060;branch=z9hG4bKsecret",
        ),
        (
            "From",
            "<sip:+14255550100@pbx.internal.example>;tag=fromtag",
        ),
        ("To", "<sip:+14255550123@sbc1.example.com>"),
        ("Call-ID", "secretcallid@pbx.internal.example"),
        ("Contact", "<sip:pbx@192.0.2.77:5060>"),
    ];
    all.extend_from_slice(fields);
    headers(&all)
}

fn seen(from: &TrunkProfile, source: &Headers, to: &TrunkProfile) -> Vec<(String, String)> {
    carried_from(from, Phase::Answer, source, to)
}

#[test]
fn rules_add_remove_rewrite_and_pass() {
    let mut to = carrier();
    let rewrite = HeaderAction::Rewrite(Rewrite::parse("acct:*", "$1").unwrap());
    to.headers.rules = vec![
        rule(Way::Out, "X-Account", HeaderAction::Pass),
        rule(Way::Out, "X-Account", rewrite),
        rule(Way::Out, "X-Gateway", HeaderAction::Add("trunkline".into())),
        rule(Way::Out, "Subject", HeaderAction::Remove),
    ];
    let source = with_leg(&[("X-Account", "acct:4711"), ("X-Other", "1")]);
    assert_eq!(
        seen(&pbx(), &source, &to),
        [
            ("X-Account".to_owned(), "4711".to_owned()),
            ("X-Gateway".to_owned(), "trunkline".to_owned()),
        ]
    );
    let invite = with_leg(&[("Subject", "hello")]);
    let told = carried_from(&pbx(), Phase::Invite, &invite, &to);
    assert!(!told.iter().any(|(name, _)| name == "Subject"), "{told:?}");
}

#[test]
fn no_rule_can_tell_of_the_other_leg() {
    let mut to = acs();
    let copy = Rewrite::parse("host=*", "$1").unwrap();
    to.headers.rules = vec![
        rule(Way::Out, "X-Account", HeaderAction::Pass),
        rule(Way::Out, "X-Account", HeaderAction::Rewrite(copy)),
    ];
    for value in [
        "host=pbx.internal.example",
        "PBX.Internal.Example",
        "secretcallid@pbx.internal.example",
        "z9hG4bKsecret",
        "see fromtag",
        "host=192.0.2.77",
        "10.1.2.3",
        "at 10.1.2.3:5060",
        "[2001:db8::7]",
        "2001:db8::7",
    ] {
        let source = with_leg(&[("X-Account", value)]);
        assert_eq!(seen(&pbx(), &source, &to), [], "{value}");
    }
    for value in ["4711", "v1.2.3", "10:30", "acme.example"] {
        let source = with_leg(&[("X-Account", value)]);
        assert_eq!(seen(&pbx(), &source, &to).len(), 1, "{value}");
    }
}

#[test]
fn rules_on_the_way_in_hold_before_the_list() {
    let mut from = pbx();
    from.headers.rules = vec![
        rule(Way::In, "X-Account", HeaderAction::Pass),
        rule(Way::In, "User-To-User", HeaderAction::Remove),
    ];
    let source = with_leg(&[("X-Account", "4711"), ("User-To-User", "00ff;encoding=hex")]);
    assert_eq!(seen(&from, &source, &acs()).len(), 1);
    // What is let in goes to trusted trunks; to others their own rules decide.
    assert_eq!(seen(&from, &source, &carrier()), []);
    assert_eq!(passed_by_rule(&from, &acs()).count(), 1);
    assert_eq!(passed_by_rule(&from, &carrier()).count(), 0);
}

#[test]
fn user_to_user_is_what_it_says() {
    for (value, crosses) in [
        ("00c0ffee;encoding=hex", true),
        ("00c0ffe;encoding=hex", false),
        ("hello;encoding=hex", false),
        ("hello;purpose=isdn-uui;content=isdn-uui", true),
        ("\"a;b\";encoding=utf8", true),
        ("\"never closed", false),
        (";encoding=hex", false),
    ] {
        let source = headers(&[("User-To-User", value)]);
        assert_eq!(
            !seen(&pbx(), &source, &acs()).is_empty(),
            crosses,
            "{value}"
        );
        assert_eq!(left_out(&source, &acs()), usize::from(!crosses), "{value}");
    }
}

#[test]
fn limits_of_context_are_the_trunks() {
    let keys: Vec<String> = (0..7).map(|key| format!("X-MS-Custom-{key}")).collect();
    let fields: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    let source = headers(&fields);
    assert_eq!(left_out(&source, &acs()), 2);
    let mut open = carrier();
    open.context = ContextProfile {
        pass: Some(true),
        fields: 7,
        ..ContextProfile::default()
    };
    assert_eq!(left_out(&source, &open), 0);
    assert_eq!(seen(&open, &source, &open).len(), 7);
    assert_eq!(seen(&carrier(), &source, &open), []);
    assert_eq!(left_out(&source, &carrier()), 0);
}

#[test]
fn a_redirection_that_is_followed_is_appended() {
    let uri = |text: &str| Uri::parse(text.to_owned()).unwrap();
    let moved = StatusCode::new(302).unwrap();
    let (first, second) = (
        uri("sip:+14255550101@pbx.example"),
        uri("sip:+14255550102@pbx.example"),
    );
    let mut source = Headers::new();
    append_redirection(&mut source, &first, moved, &second);
    let third = uri("sip:+14255550103@pbx.example");
    append_redirection(&mut source, &second, StatusCode::BUSY_HERE, &third);
    let told: Vec<String> = seen(&pbx(), &source, &acs())
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        told,
        [
            "<sip:+14255550101@sbc1.example.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1",
            "<sip:+14255550102@sbc1.example.com;user=phone;cause=302?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1",
            "<sip:+14255550103@sbc1.example.com;user=phone;cause=486>;index=1.1.1;mp=1.1",
        ]
    );
    for _ in 0..2 * MOST_REDIRECTIONS {
        append_redirection(&mut source, &third, moved, &first);
    }
    assert!(source.history_info().count() <= MOST_REDIRECTIONS + 1);
}

#[test]
fn causes_of_a_trunk_are_read_as_its_map_says() {
    let mut from = pbx();
    let cause = |value| crate::failure::Cause::new(value).unwrap();
    from.reasons = ReasonMap {
        causes: [(cause(34), cause(17))].into(),
        ..ReasonMap::default()
    };
    let source = headers(&[(
        "Reason",
        "Q.850;cause=34;text=\"no circuit\", SIP;cause=486",
    )]);
    let told: Vec<String> = carried_from(&from, Phase::Failure, &source, &acs())
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(told, ["Q.850;cause=17", "SIP;cause=486"]);
}

#[test]
fn an_oversized_identity_is_refused_or_left_out_at_once() {
    let text = |size: usize| {
        let identity = "a".repeat(size);
        format!(
            "INVITE sip:+14255550123@sbc1.example.com SIP/2.0\r\n\
             Via: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bK1\r\nFrom: <sip:a@b.example>;tag=1\r\n\
             To: <sip:c@d.example>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nIdentity: {identity}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    assert!(parse(text(1 << 20).into(), &Limits::default(), Framing::Stream).is_err());
    let large = headers(&[("Identity", &"a".repeat(9_000))]);
    assert_eq!(
        carried_from(&pbx(), Phase::Invite, &large, &acs())
            .iter()
            .filter(|(name, _)| name == "Identity")
            .count(),
        0
    );
}

/// Tokens are carried, never judged: each published case crosses octet for octet between trusted
/// trunks, or is too long and left out; at untrusted trunks none crosses.
#[test]
fn published_tokens_cross_intact_or_not_at_all() {
    let Some(folder) = corpora::folder("stir-shaken") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("passport-vectors.json")).unwrap();
    let corpus: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut tokens = Vec::new();
    gather(&corpus, &mut tokens);
    let (mut intact, mut left) = (0, 0);
    for token in &tokens {
        let value = format!("{token};info=<https://cert.example/a.pem>;alg=ES256");
        let source = headers(&[("Identity", &value)]);
        let identities = |from: &TrunkProfile, to: &TrunkProfile| -> Vec<String> {
            let told = carried_from(from, Phase::Invite, &source, to).into_iter();
            told.filter(|(name, _)| name == "Identity")
                .map(|(_, value)| value)
                .collect()
        };
        match identities(&pbx(), &acs()).as_slice() {
            [] => {
                assert!(value.len() > 8 * 1024, "{} octets", value.len());
                left += 1;
            }
            [one] => {
                assert_eq!(*one, value);
                intact += 1;
            }
            more => panic!("{} values", more.len()),
        }
        assert!(identities(&pbx(), &carrier()).is_empty());
        assert!(identities(&carrier(), &acs()).is_empty());
        let mut open = carrier();
        open.identity.signatures = Signatures::Pass;
        assert_eq!(identities(&pbx(), &open), identities(&pbx(), &acs()));
    }
    for (verdict, count) in [("carried intact", intact), ("too long, left out", left)] {
        corpora::tally("stir-shaken tokens", verdict, count);
    }
    assert!(intact >= 2);
}

/// Every string of the corpus that looks like a JSON web token.
fn gather(value: &serde_json::Value, tokens: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.starts_with("eyJ") && text.contains('.') => {
            tokens.push(text.chars().filter(|c| !c.is_whitespace()).collect());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| gather(item, tokens)),
        serde_json::Value::Object(fields) => {
            fields.values().for_each(|field| gather(field, tokens));
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}
