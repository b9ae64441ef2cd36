use std::sync::Arc;

use sip_msg::NameAddr;
use sip_msg::wire::{ListenerId, TrunkName};

use super::*;
use crate::profile::Advertised;

fn advertised() -> Advertised {
    Advertised {
        host: Arc::from("sbc1.example.com"),
        port: 5061,
    }
}

fn acs() -> TrunkProfile {
    TrunkProfile::acs(TrunkName::from("acs"), advertised(), ListenerId(0))
}

fn carrier() -> TrunkProfile {
    let name = TrunkName::from("carrier");
    TrunkProfile::carrier(name, advertised(), ListenerId(0), Vec::new())
}

fn pbx() -> TrunkProfile {
    let name = TrunkName::from("pbx");
    TrunkProfile::pbx(name, advertised(), ListenerId(0), Vec::new())
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push(HeaderName::parse(name.as_bytes()).unwrap(), value);
    }
    headers
}

/// What crosses from a trunk of the operator's own to `to`.
fn carried(phase: Phase, source: &Headers, to: &TrunkProfile) -> Vec<(String, String)> {
    carried_from(&pbx(), phase, source, to)
}

fn carried_from(
    from: &TrunkProfile,
    phase: Phase,
    source: &Headers,
    to: &TrunkProfile,
) -> Vec<(String, String)> {
    let mut into = Headers::new();
    let taken = Taken::new(phase, source, from);
    if phase == Phase::Invite {
        let target = Uri::sip(Some("+14255550123"), "peer.example", None);
        carry_invite(&taken, &target, to, &mut into);
        let known = Known {
            source: &taken,
            number: Some("+14255550100"),
            replaced: false,
            emergency: false,
            host: None,
            write: &|number| number.to_owned(),
        };
        known.identify(to, &mut into);
    } else {
        carry(phase, &taken, to, &mut into);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    into.iter()
        .map(|field| (text(field.raw_name()), text(field.value())))
        .collect()
}

#[test]
fn what_is_not_on_the_list_stays() {
    let source = headers(&[
        ("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1"),
        ("Record-Route", "<sip:198.51.100.7;lr>"),
        ("User-Agent", "Exchange"),
        ("X-Internal", "198.51.100.7"),
        ("Call-Info", "<http://198.51.100.7/>"),
        ("P-Charging-Vector", "icid-value=1"),
        ("Session-ID", "ab30317f1a784dc48ff824d0d3715d86"),
    ]);
    for to in [acs(), carrier()] {
        for phase in [
            Phase::Invite,
            Phase::Provisional,
            Phase::Answer,
            Phase::Failure,
            Phase::Ending,
        ] {
            assert_eq!(carried(phase, &source, &to), []);
        }
    }
}

#[test]
fn history_goes_to_the_trusted_without_hosts() {
    let history = "<sip:+14255550101@10.0.0.9:5060;user=phone;x-i=secret\
                   ?Reason=SIP%3Bcause%3D302&Call-ID=inner>;index=1, \
                   <sip:+14255550102@host.internal>;index=1.1;mp=1";
    let source = headers(&[("History-Info", history)]);
    let seen = carried(Phase::Invite, &source, &acs());
    let values: Vec<&str> = seen.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        values,
        [
            "<sip:+14255550101@sbc1.example.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1",
            "<sip:+14255550102@sbc1.example.com>;index=1.1;mp=1",
        ]
    );
    assert_eq!(carried(Phase::Invite, &source, &carrier()), []);
}

#[test]
fn custom_context_is_bounded_and_stays_with_the_trusted() {
    let long = "x".repeat(257);
    let name = format!("X-MS-Custom-{}", "n".repeat(60));
    let mut fields = vec![
        ("x-ms-custom-long", long.as_str()),
        (name.as_str(), "name too long"),
    ];
    let keys: Vec<String> = (0..7).map(|key| format!("X-MS-CUSTOM-{key}")).collect();
    fields.extend(keys.iter().map(|key| (key.as_str(), "value")));
    fields.push(("User-To-User", "00c0ffee;encoding=hex"));
    let source = headers(&fields);
    let seen = carried(Phase::Invite, &source, &acs());
    assert_eq!(
        seen.iter()
            .filter(|(name, _)| name.starts_with("X-MS-CUSTOM-"))
            .count(),
        5
    );
    assert!(
        seen.contains(&("User-To-User".into(), "00c0ffee;encoding=hex".into())),
        "{seen:?}"
    );
    assert_eq!(seen.len(), 6);
    assert_eq!(carried(Phase::Invite, &source, &carrier()), []);
}

#[test]
fn identities_follow_the_policy_and_privacy() {
    let assert = [
        (
            "P-Asserted-Identity",
            "<sip:+14255550100@10.0.0.9;user=phone>, <tel:+14255550100>",
        ),
        ("Privacy", "id"),
    ];
    let hidden = headers(&assert);
    let open = headers(&assert[..1]);
    assert_eq!(carried(Phase::Invite, &hidden, &carrier()), []);
    let kept = carried(Phase::Invite, &hidden, &acs());
    let values: Vec<&str> = kept.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        values,
        [
            "<sip:+14255550100@sbc1.example.com;user=phone>",
            "<tel:+14255550100>",
            "id"
        ]
    );
    assert_eq!(carried(Phase::Invite, &open, &carrier()).len(), 2);
}

#[test]
fn reasons_keep_their_cause_and_lose_their_words_toward_strangers() {
    let source = headers(&[
        ("Reason", "Q.850;cause=17;text=\"host10 busy\", X.1;cause=3"),
        ("Reason", "SIP;cause=200"),
    ]);
    let texts = |to: &TrunkProfile| -> Vec<String> {
        carried(Phase::Ending, &source, to)
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    };
    assert_eq!(
        texts(&acs()),
        ["Q.850;cause=17;text=\"host10 busy\"", "SIP;cause=200"]
    );
    assert_eq!(texts(&carrier()), ["Q.850;cause=17", "SIP;cause=200"]);
    assert_eq!(carried(Phase::Invite, &source, &acs()), []);
}

#[test]
fn request_uri_parameters_cross_only_if_named_and_plain() {
    let source =
        Uri::parse("sip:+14255550123@sbc1.example.com;user=phone;cause=302;x=10.0.0.9").unwrap();
    let target = Uri::sip(Some("+14255550123"), "carrier.example.net", None);
    let seen = carry_uri_params(&source, &carrier(), target.clone());
    assert_eq!(
        seen.as_str(),
        "sip:+14255550123@carrier.example.net;user=phone;cause=302"
    );
    let odd = Uri::parse("sip:+14255550123@sbc1.example.com;cause=10.0.0.9").unwrap();
    assert_eq!(carry_uri_params(&odd, &carrier(), target.clone()), target);
}

#[test]
fn a_display_name_is_cleaned_and_withheld_on_request() {
    let party = NameAddr::parse("\"Front \\\"Desk\" <sip:+14255550100@10.0.0.9>").unwrap();
    let open = Headers::new();
    assert_eq!(
        carry_display_name(&party, &open, &acs()).as_deref(),
        Some("Front Desk")
    );
    let hidden = headers(&[("Privacy", "user;id")]);
    assert_eq!(carry_display_name(&party, &hidden, &carrier()), None);
    assert!(carry_display_name(&party, &hidden, &acs()).is_some());
}

#[test]
fn the_list_can_be_printed_for_a_pair() {
    let count = |from: &TrunkProfile, to: &TrunkProfile| rules(from, to).count();
    assert!(count(&pbx(), &acs()) > count(&carrier(), &acs()));
    assert!(count(&carrier(), &acs()) > count(&acs(), &carrier()));
    // To Azure no Diversion and no preferred identity, to others what they are configured for.
    assert_eq!(count(&pbx(), &acs()), RULES.len() - 2);
    assert_eq!(Phase::Failure.as_str(), "3xx-6xx");
}
