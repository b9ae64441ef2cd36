use std::time::Duration;

use ambient::{Moment, Now, TokenRng, WallTime};
use sip_msg::wire::TrunkName;
use sip_msg::{HeaderName, Method, Request, Response, StatusCode};

use super::*;

fn rng() -> TokenRng {
    TokenRng::from_seed([3; 32])
}

fn at(seconds: u64) -> Now {
    Now {
        moment: Moment::ZERO + Duration::from_secs(seconds),
        wall: WallTime::from_unix_micros(1_700_000_000_000_000),
    }
}

fn credentials() -> Credentials {
    Credentials {
        realm: Some("carrier.example".to_owned()),
        username: "acme".to_owned(),
        password: Password::new("open \"sesame\""),
        weakest: Algorithm::Md5,
    }
}

fn keyring() -> (Keyring, TrunkName) {
    let mut keyring = Keyring::default();
    let trunk = TrunkName::from("carrier");
    keyring.set(&trunk, vec![credentials()]);
    (keyring, trunk)
}

fn request() -> Request {
    Request::new(Method::Register, "sip:carrier.example".parse().unwrap())
}

fn challenged(values: &[String]) -> Response {
    let mut response = Response::new(StatusCode::UNAUTHORIZED);
    for value in values {
        response.headers.push(HeaderName::WwwAuthenticate, value);
    }
    response
}

fn server(algorithms: &[Algorithm]) -> Authenticator {
    let config = AuthenticatorConfig {
        algorithms: algorithms.to_vec(),
        ..AuthenticatorConfig::new("carrier.example")
    };
    Authenticator::new(config, [1; 32])
}

/// The worked examples of RFC 7616 §3.9.1.
#[test]
fn the_rfc_s_examples_come_out() {
    for (algorithm, expected) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let proof = Proof {
            algorithm,
            session: false,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: &Password::new("Circle of Life"),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            quality: Some(Quality {
                integrity: false,
                count: "00000001",
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            }),
            method: "GET",
            uri: "/dir/index.html",
            body: &[],
        };
        assert_eq!(proof.response(), expected);
    }
}

#[test]
fn both_roles_understand_each_other() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512256] {
        let mut server = server(&[algorithm]);
        let (mut keyring, trunk) = keyring();
        let mut request = request();
        let response = challenged(&server.challenges(at(0), false));
        assert!(keyring.answer(&trunk, &response, &mut request, 0, &mut rng()));
        let password = credentials().password;
        let verdict = server.verify(at(1), &request, |name| {
            (name == "acme").then_some(&password)
        });
        let username = "acme".to_owned();
        assert_eq!(verdict, Verdict::Authenticated { username });
        // The same request again is a replay; the next one counts on.
        let again = server.verify(at(1), &request, |_| Some(&password));
        assert_eq!(again, Verdict::Stale);
        keyring.preempt(&trunk, &mut request, &mut rng());
        let fields = request.headers.get_all(&HeaderName::Authorization).count();
        assert_eq!(fields, 1);
        let next = server.verify(at(2), &request, |_| Some(&password));
        assert!(matches!(next, Verdict::Authenticated { .. }));
    }
}

#[test]
fn the_strongest_challenge_is_answered() {
    let mut server = server(&[Algorithm::Md5, Algorithm::Sha256]);
    let (mut keyring, trunk) = keyring();
    let mut request = request();
    let mut challenges = server.challenges(at(0), false);
    assert!(challenges[0].contains("SHA-256"));
    challenges.reverse();
    assert!(keyring.answer(
        &trunk,
        &challenged(&challenges),
        &mut request,
        0,
        &mut rng()
    ));
    let sent = request.headers.get_str(&HeaderName::Authorization).unwrap();
    assert!(sent.contains("algorithm=SHA-256"), "{sent}");
}

#[test]
fn strangers_and_wrong_realms_get_nothing() {
    let (mut keyring, trunk) = keyring();
    let asked = |value: &str| challenged(&[value.to_owned()]);
    for refused in [
        "Digest realm=\"elsewhere.example\", nonce=\"n\"",
        "Basic realm=\"carrier.example\"",
        "Digest realm=\"carrier.example\"",
        "Digest realm=\"carrier.example\", nonce=\"n\", algorithm=ROT13",
        "Digest realm=\"carrier.example\", nonce=\"n\", qop=\"auth-conf\"",
        "Digest realm=\"carrier.example\", nonce=\"n\", algorithm=MD5-sess",
    ] {
        let mut request = request();
        assert!(!keyring.answer(&trunk, &asked(refused), &mut request, 0, &mut rng()));
        assert!(
            !request.headers.contains(&HeaderName::Authorization),
            "{refused}"
        );
    }
    let long = format!(
        "Digest realm=\"carrier.example\", nonce=\"{}\"",
        "n".repeat(5000)
    );
    assert!(!keyring.answer(&trunk, &asked(&long), &mut request(), 0, &mut rng()));
    let stranger = TrunkName::from("stranger");
    let good = asked("Digest realm=\"carrier.example\", nonce=\"n\"");
    assert!(!keyring.answer(&stranger, &good, &mut request(), 0, &mut rng()));
    assert!(keyring.answer(&trunk, &good, &mut request(), 0, &mut rng()));
}

#[test]
fn a_realm_that_nobody_named_is_learned_from_the_trunk_s_challenge() {
    let (mut keyring, trunk) = (Keyring::default(), TrunkName::from("carrier"));
    let learning = Credentials {
        realm: None,
        ..credentials()
    };
    keyring.set(&trunk, vec![learning]);
    let asked = challenged(&["Digest realm=\"anything.example\", nonce=\"n\"".to_owned()]);
    let mut first = request();
    assert!(keyring.answer(&trunk, &asked, &mut first, 0, &mut rng()));
    let mut later = request();
    keyring.preempt(&trunk, &mut later, &mut rng());
    for signed in [first, later] {
        let sent = signed.headers.get_str(&HeaderName::Authorization).unwrap();
        assert!(sent.contains("realm=\"anything.example\""), "{sent}");
    }
}

#[test]
fn a_refused_password_is_not_tried_again_unless_the_nonce_was_stale() {
    let (mut keyring, trunk) = keyring();
    let asked = |more: &str| {
        challenged(&[format!(
            "Digest realm=\"carrier.example\", nonce=\"n\"{more}"
        )])
    };
    let mut request = request();
    assert!(keyring.answer(&trunk, &asked(""), &mut request, 0, &mut rng()));
    assert!(keyring.answer(&trunk, &asked(", stale=TRUE"), &mut request, 1, &mut rng()));
    // A new nonce for ever is no way to make a client work for ever.
    assert!(!keyring.answer(&trunk, &asked(", stale=true"), &mut request, 2, &mut rng()));
    assert!(!keyring.answer(&trunk, &asked(""), &mut request, 1, &mut rng()));
}

#[test]
fn wrong_credentials_are_refused_alike() {
    let mut server = server(&[Algorithm::Sha256]);
    let (mut keyring, trunk) = keyring();
    let mut signed = request();
    let response = challenged(&server.challenges(at(0), false));
    assert!(keyring.answer(&trunk, &response, &mut signed, 0, &mut rng()));
    let (right, wrong) = (credentials().password, Password::new("guess"));
    assert_eq!(
        server.verify(at(1), &signed, |_| Some(&wrong)),
        Verdict::Wrong
    );
    assert_eq!(server.verify(at(1), &signed, |_| None), Verdict::Wrong);
    assert_eq!(
        server.verify(at(1), &request(), |_| Some(&right)),
        Verdict::Unknown
    );
    // Another request with the proof of this one.
    let mut other = signed.clone();
    other.uri = "sip:other.example".parse().unwrap();
    assert_eq!(
        server.verify(at(1), &other, |_| Some(&right)),
        Verdict::Wrong
    );
    let mut other = signed.clone();
    other.method = Method::Invite;
    assert_eq!(
        server.verify(at(1), &other, |_| Some(&right)),
        Verdict::Wrong
    );
    // Right, but too late.
    assert_eq!(
        server.verify(at(301), &signed, |_| Some(&right)),
        Verdict::Stale
    );
    // A nonce of somebody else's making.
    let mut foreign = Authenticator::new(AuthenticatorConfig::new("carrier.example"), [9; 32]);
    assert_eq!(
        foreign.verify(at(1), &signed, |_| Some(&right)),
        Verdict::Stale
    );
    assert_eq!(
        foreign.verify(at(1), &signed, |_| Some(&wrong)),
        Verdict::Unknown
    );
}

#[test]
fn counts_may_overtake_each_other_but_not_repeat() {
    let mut used = server::Used::of(Moment::ZERO);
    assert!(used.take(3));
    assert!(used.take(1));
    assert!(!used.take(1));
    assert!(!used.take(3));
    assert!(used.take(200));
    assert!(!used.take(100), "too old to know");
}

#[test]
fn a_password_does_not_show() {
    assert_eq!(format!("{:?}", credentials().password), "Password(…)");
}
