//! Challenges within the user agent: its transaction user hears only of what comes in the end.

use sip_msg::wire::TrunkName;
use sip_msg::{Message, Method};

use super::bench::{Bench, brief, field, names, outgoing};
use crate::auth::{Algorithm, Credentials, Password};
use crate::dialog::DialogCheckpoint;
use crate::{Limits, UaConfig, UaEvent};

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"carrier.example\", nonce=\"abc\", \
                         algorithm=SHA-256, qop=\"auth\"\n";

fn bench() -> Bench {
    known_to_the_carrier(Bench::new())
}

fn known_to_the_carrier(mut bench: Bench) -> Bench {
    let credentials = Credentials {
        realm: Some("carrier.example".to_owned()),
        username: "acme".to_owned(),
        password: Password::new("secret"),
        weakest: Algorithm::Md5,
    };
    bench
        .ua
        .set_credentials(&TrunkName::from("carrier"), vec![credentials]);
    bench
}

/// The request that was just sent, alone or behind an ACK.
fn request(bench: &mut Bench) -> Message {
    let mut sent = bench.sent();
    sent.retain(|message| brief(message) != "ACK");
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn what_was_challenged_does_not_count_as_under_way() {
    let limits = Limits {
        transactions: 2,
        ..Limits::default()
    };
    let config = UaConfig {
        limits,
        ..UaConfig::default()
    };
    let mut bench = known_to_the_carrier(Bench::with(config));
    bench.send(Method::Invite);
    let first = request(&mut bench);
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    assert_eq!(bench.sent_lines(), ["ACK", "INVITE"]);
    bench.send(Method::Invite);
    assert_eq!(bench.sent_lines(), ["INVITE"], "two are, the third was");
    assert!(bench.events().is_empty());
}

#[test]
fn a_challenged_invite_is_sent_again_with_the_next_cseq() {
    let mut bench = bench();
    bench.send(Method::Invite);
    let first = request(&mut bench);
    assert_eq!(field(&first, "Proxy-Authorization"), "");
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    let lines = bench.sent();
    assert_eq!(
        lines.iter().map(brief).collect::<Vec<_>>(),
        ["ACK", "INVITE"]
    );
    let second = &lines[1];
    assert_eq!(field(second, "CSeq"), "2 INVITE");
    assert_eq!(field(second, "Call-ID"), field(&first, "Call-ID"));
    assert_eq!(field(second, "From"), field(&first, "From"));
    assert_ne!(field(second, "Via"), field(&first, "Via"));
    let shown = field(second, "Proxy-Authorization");
    assert!(shown.contains("nc=00000001"), "{shown}");
    assert!(bench.events().is_empty(), "nobody need know");
    // The refusal comes again: so does its ACK, and nothing else.
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    assert_eq!(bench.sent_lines(), ["ACK"]);
    bench.answer(second, 200, "t2");
    let events = bench.events();
    let [UaEvent::Final { dialog, .. }] = events.as_slice() else {
        panic!("{:?}", names(&events));
    };
    bench.ua.ack(bench.now(), dialog.unwrap(), None).unwrap();
    let ack = bench.sent().remove(0);
    assert_eq!(field(&ack, "CSeq"), "2 ACK");
    assert_eq!(field(&ack, "Proxy-Authorization"), shown);
}

#[test]
fn later_requests_answer_unasked_and_count_on() {
    let mut bench = bench();
    bench.send(Method::Options);
    let first = request(&mut bench);
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    let second = request(&mut bench);
    bench.answer(&second, 200, "t1");
    assert_eq!(names(&bench.events()), ["Final 200"]);
    bench.send(Method::Options);
    let third = request(&mut bench);
    let shown = field(&third, "Proxy-Authorization");
    assert!(shown.contains("nc=00000002"), "{shown}");
    // Its nonce has become stale: asked again, answered again.
    let stale = CHALLENGE.replace("abc\"", "def\", stale=true");
    bench.answer_with(&third, 407, "t1", &stale);
    let fourth = request(&mut bench);
    assert!(field(&fourth, "Proxy-Authorization").contains("nonce=\"def\""));
}

#[test]
fn a_wrong_password_is_given_up() {
    let mut bench = bench();
    bench.send(Method::Register);
    let first = request(&mut bench);
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    let second = request(&mut bench);
    bench.answer_with(&second, 407, "t1", CHALLENGE);
    assert!(bench.sent().is_empty());
    assert_eq!(names(&bench.events()), ["Final 407"]);
}

#[test]
fn a_challenge_that_never_ends_is_given_up() {
    let mut bench = bench();
    bench.send(Method::Register);
    let mut sent = 0;
    for round in 0..5 {
        let mut requests = bench.sent();
        let Some(request) = requests.pop() else {
            break;
        };
        sent += 1;
        let fresh = CHALLENGE.replace("abc\"", &format!("n{round}\", stale=true"));
        bench.answer_with(&request, 407, "t1", &fresh);
    }
    assert_eq!(sent, 3, "the request, and two tries with credentials");
    assert_eq!(names(&bench.events()), ["Final 407"]);
}

#[test]
fn a_stranger_s_challenge_comes_up_as_it_is() {
    let mut bench = bench();
    bench.send(Method::Invite);
    let first = request(&mut bench);
    let other = CHALLENGE.replace("carrier", "elsewhere");
    bench.answer_with(&first, 407, "t1", &other);
    assert_eq!(bench.sent_lines(), ["ACK"]);
    assert_eq!(names(&bench.events()), ["Final 407"]);
}

#[test]
fn a_host_that_is_none_of_the_trunk_s_is_shown_nothing() {
    let mut bench = bench();
    bench.send(Method::Options);
    let first = request(&mut bench);
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    let second = request(&mut bench);
    bench.answer(&second, 200, "t1");
    bench.events();
    let mut out = outgoing(Method::Invite, "sip:bob@198.51.100.99", "sip:198.51.100.99");
    out.credentials = false;
    bench.ua.send(bench.now(), out);
    let strange = request(&mut bench);
    assert_eq!(field(&strange, "Proxy-Authorization"), "");
    bench.answer_with(&strange, 407, "t1", CHALLENGE);
    assert_eq!(bench.sent_lines(), ["ACK"]);
    assert_eq!(names(&bench.events()), ["Final 407"]);
}

#[test]
fn nor_is_it_shown_anything_within_its_dialogs() {
    let mut bench = bench();
    bench.send(Method::Options);
    let first = request(&mut bench);
    bench.answer_with(&first, 407, "t1", CHALLENGE);
    let second = request(&mut bench);
    bench.answer(&second, 200, "t1");
    bench.events();
    let mut out = outgoing(Method::Invite, "sip:bob@198.51.100.99", "sip:198.51.100.99");
    out.credentials = false;
    bench.ua.send(bench.now(), out);
    let invite = request(&mut bench);
    bench.answer(&invite, 200, "t2");
    let events = bench.events();
    let [
        UaEvent::Final {
            dialog: Some(dialog),
            ..
        },
    ] = events.as_slice()
    else {
        panic!("{:?}", names(&events));
    };
    bench.ua.ack(bench.now(), *dialog, None).unwrap();
    bench.sent();
    let known = bench.ua.dialog(*dialog).unwrap();
    let restored = DialogCheckpoint::of(known).unwrap().restore().unwrap();
    assert!(!restored.settings.credentials, "also by another process");
    bench
        .ua
        .dialog_request(bench.now(), *dialog, Method::Bye, |_| {})
        .unwrap();
    let bye = request(&mut bench);
    assert_eq!(field(&bye, "Proxy-Authorization"), "");
    bench.answer_with(&bye, 407, "t2", CHALLENGE);
    assert!(bench.sent().is_empty());
    assert!(names(&bench.events()).contains(&"Final 407".to_owned()));
}
