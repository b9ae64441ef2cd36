//! P-Asserted-Identity, P-Preferred-Identity, Privacy and From (RFC 3323, RFC 3325).

use b2bua::profile::{Assertion, Caller, Preference, Privacy, Trust, Unscreened};
use b2bua::record::Note;
use routing::Pattern;
use sim::World;

use crate::{APPLICATION, SUBSCRIBER, dial, end, shown, values};

const PAI: (&str, &str) = (
    "P-Asserted-Identity",
    "<sip:+14255550142@203.0.113.41;user=phone>, <tel:+14255550142>",
);
const PRIVATE: (&str, &str) = ("Privacy", "id");

#[test]
fn every_policy_towards_every_trust_with_and_without_privacy() {
    let ours = || "+14255550100".into();
    let own = "<sip:+14255550100@192.0.2.1;user=phone>";
    let kept = [
        "<sip:+14255550142@192.0.2.1;user=phone>",
        "<tel:+14255550142>",
    ];
    let from = "<sip:+12065550177@192.0.2.1;user=phone>";
    for (asserted, trust, private, expected) in [
        (Assertion::Keep, Trust::Trusted, false, &kept[..]),
        (Assertion::Keep, Trust::Trusted, true, &kept),
        (Assertion::Keep, Trust::Untrusted, false, &kept),
        (Assertion::Keep, Trust::Untrusted, true, &[]),
        (Assertion::Strip, Trust::Trusted, false, &[]),
        (Assertion::Strip, Trust::Untrusted, true, &[]),
        (Assertion::Replace(ours()), Trust::Trusted, true, &[own]),
        (Assertion::Replace(ours()), Trust::Untrusted, true, &[own]),
        (Assertion::From, Trust::Untrusted, false, &[from]),
        (Assertion::From, Trust::Untrusted, true, &[]),
    ] {
        let policy = asserted.clone();
        let mut sim = World::new(81)
            .profile("carrier", move |carrier| {
                carrier.identity.asserted = policy;
                carrier.trust = trust;
            })
            .start();
        let fields: &[_] = if private { &[PAI, PRIVATE] } else { &[PAI] };
        let call = dial(&mut sim, "acs", SUBSCRIBER, Some("+12065550177"), fields);
        let invite = &sim.view(sim.called("carrier")).invite.headers;
        let seen = values(invite, "P-Asserted-Identity");
        assert_eq!(seen, expected, "{asserted:?} {trust:?} {private}");
        let told = values(invite, "Privacy");
        let expected: &[&str] = if private && trust == Trust::Trusted {
            &["id"]
        } else {
            &[]
        };
        assert_eq!(told, expected, "{asserted:?} {trust:?} {private}");
        assert_eq!(shown(&sim, "carrier"), "+12065550177");
        end(&mut sim, call);
    }
}

#[test]
fn privacy_can_be_overruled_or_asked_for() {
    for (privacy, pai, told) in [
        (Privacy::Honour, 0, &[][..]),
        (Privacy::Strip, 2, &[]),
        (Privacy::Add, 0, &["id"]),
    ] {
        let mut sim = World::new(82)
            .profile("carrier", move |carrier| carrier.identity.privacy = privacy)
            .start();
        let call = dial(&mut sim, "acs", SUBSCRIBER, None, &[PAI, PRIVATE]);
        let invite = &sim.view(sim.called("carrier")).invite.headers;
        assert_eq!(
            values(invite, "P-Asserted-Identity").len(),
            pai,
            "{privacy:?}"
        );
        assert_eq!(values(invite, "Privacy"), told, "{privacy:?}");
        end(&mut sim, call);
    }
}

#[test]
fn what_an_untrusted_trunk_asserts_is_not_believed() {
    let asserted = [("P-Asserted-Identity", "<sip:+12065550100@198.51.100.7>")];
    for (trust, count) in [(Trust::Untrusted, 0), (Trust::Trusted, 1)] {
        let mut sim = World::new(83)
            .profile("carrier", move |carrier| carrier.trust = trust)
            .start();
        let call = dial(&mut sim, "carrier", APPLICATION, None, &asserted);
        let invite = &sim.view(sim.called("acs")).invite.headers;
        assert_eq!(
            values(invite, "P-Asserted-Identity").len(),
            count,
            "{trust:?}"
        );
        end(&mut sim, call);
    }
}

#[test]
fn from_follows_its_policy() {
    for (policy, claimed, expected) in [
        (Caller::Keep, "+12065550177", "+12065550177"),
        (Caller::Asserted, "anonymous", "+14255550142"),
        (Caller::Asserted, "+12065550177", "+14255550142"),
        (Caller::Anonymise, "+12065550177", "anonymous"),
        (
            Caller::Replace("+14255550100".into()),
            "anonymous",
            "+14255550100",
        ),
    ] {
        let wanted = policy.clone();
        let mut sim = World::new(84)
            .profile("carrier", move |carrier| carrier.identity.from = wanted)
            .start();
        let call = dial(&mut sim, "acs", SUBSCRIBER, Some(claimed), &[PAI]);
        assert_eq!(shown(&sim, "carrier"), expected, "{policy:?} {claimed}");
        end(&mut sim, call);
    }
}

#[test]
fn an_anonymous_caller_is_anonymous_on_the_other_side() {
    for (from, number, to) in [
        ("acs", SUBSCRIBER, "carrier"),
        ("carrier", APPLICATION, "acs"),
    ] {
        let mut sim = World::new(85).start();
        let call = dial(&mut sim, from, number, Some("anonymous"), &[]);
        assert!(sim.view(call).is_up(), "{}", sim.ladder());
        let invite = &sim.view(sim.called(to)).invite.headers;
        let caller = invite.from().unwrap();
        assert_eq!(caller.uri.as_str(), "sip:anonymous@anonymous.invalid");
        assert_eq!(sim.view(call).refusal.as_ref().map(|r| r.status), None);
        end(&mut sim, call);
        assert_eq!(sim.records()[0].calling, None);
    }
}

#[test]
fn a_preferred_identity_is_sent_where_a_carrier_chooses_by_it() {
    let mut sim = World::new(86)
        .profile("carrier", |carrier| {
            carrier.identity.asserted = Assertion::Strip;
            carrier.identity.preferred = Preference::From;
        })
        .start();
    let call = dial(&mut sim, "acs", SUBSCRIBER, Some("+14255550142"), &[PAI]);
    let invite = &sim.view(sim.called("carrier")).invite.headers;
    assert_eq!(
        values(invite, "P-Preferred-Identity"),
        ["<sip:+14255550142@192.0.2.1;user=phone>"]
    );
    assert!(values(invite, "P-Asserted-Identity").is_empty());
    end(&mut sim, call);
}

#[test]
fn a_number_that_is_not_owned_is_refused_replaced_or_noted() {
    let ours = "+14255550100-+14255550199";
    for (unscreened, claimed, expected, note) in [
        (
            Unscreened::Reject,
            "+14255550142",
            Some("+14255550142"),
            None,
        ),
        (
            Unscreened::Reject,
            "+12065550177",
            None,
            Some(Note::NumberRefused),
        ),
        (
            Unscreened::Replace("+14255550100".into()),
            "+12065550177",
            Some("+14255550100"),
            Some(Note::NumberReplaced),
        ),
        (
            Unscreened::Pass,
            "+12065550177",
            Some("+12065550177"),
            Some(Note::Unscreened),
        ),
        (Unscreened::Reject, "anonymous", Some("anonymous"), None),
    ] {
        let policy = unscreened.clone();
        let mut sim = World::new(87)
            .profile("acs", move |acs| {
                acs.identity.screen = vec![Pattern::parse(ours).unwrap()];
                acs.identity.unscreened = policy;
            })
            .start();
        let call = dial(&mut sim, "acs", SUBSCRIBER, Some(claimed), &[]);
        match expected {
            Some(expected) => assert_eq!(shown(&sim, "carrier"), expected, "{unscreened:?}"),
            None => assert_eq!(sim.view(call).failed_with(), Some(403), "{}", sim.ladder()),
        }
        end(&mut sim, call);
        assert_eq!(
            sim.records()[0].notes,
            Vec::from_iter(note),
            "{unscreened:?}"
        );
    }
}

#[test]
fn a_signed_identity_crosses_intact_between_trusted_trunks_only() {
    let identity =
        "eyJhbGciOiJFUzI1NiJ9.eyJpYXQiOjF9.c2ln;info=<https://cert.example/a.pem>;alg=ES256";
    let signed = [
        ("Identity", identity),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ];
    for (from, number, to, crosses) in [
        ("pbx", APPLICATION, "acs", true),
        ("carrier", APPLICATION, "acs", false),
        ("acs", SUBSCRIBER, "carrier", false),
    ] {
        let mut sim = World::new(88).start();
        let verified = "+12065550177;verstat=TN-Validation-Passed";
        let call = dial(&mut sim, from, number, Some(verified), &signed);
        let invite = &sim.view(sim.called(to)).invite.headers;
        let expected: &[&str] = if crosses { &[identity] } else { &[] };
        assert_eq!(values(invite, "Identity"), expected, "{from} {to}");
        assert_eq!(values(invite, "Date").len(), expected.len());
        let user = if crosses { verified } else { "+12065550177" };
        assert_eq!(shown(&sim, to), user);
        end(&mut sim, call);
        assert!(sim.records()[0].notes.is_empty());
    }
}

#[test]
fn a_signature_broken_by_another_number_is_noted() {
    let signed = [("Identity", "a.b.c;info=<https://cert.example/a.pem>")];
    let mut sim = World::new(89)
        .profile("acs", |acs| acs.identity.from = Caller::Anonymise)
        .start();
    let call = dial(&mut sim, "pbx", APPLICATION, None, &signed);
    end(&mut sim, call);
    assert_eq!(
        sim.records()[0].notes,
        [Note::signature_broken(&"acs".into())]
    );
}
