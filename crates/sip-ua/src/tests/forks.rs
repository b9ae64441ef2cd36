//! One INVITE, several early dialogs, several answers: RFC 3261 §13.2.2.

use std::collections::BTreeSet;
use std::time::Duration;

use sip_msg::Method;

use super::bench::{Bench, field, names};
use crate::{DialogState, Limits, UaConfig, UaEvent};

#[test]
fn each_to_tag_is_a_dialog_of_its_own_and_two_may_accept() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    for tag in ["a", "b", "c"] {
        bench.answer(&invite, 180, tag);
    }
    bench.answer(&invite, 183, "d");
    bench.answer(&invite, 180, "a");
    let events = bench.events();
    let early: Vec<_> = events
        .iter()
        .map(|event| match event {
            UaEvent::Provisional {
                dialog: Some(dialog),
                ..
            } => *dialog,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(early.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(early[0], early[4], "the same tag is the same dialog");

    bench.answer(&invite, 200, "e");
    bench.answer(&invite, 200, "b");
    let accepted: Vec<_> = bench
        .events()
        .iter()
        .map(|event| match event {
            UaEvent::Final {
                dialog: Some(dialog),
                ..
            } => *dialog,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        !early.contains(&accepted[0]),
        "the answer's tag matches none of the early ones"
    );
    assert_eq!(accepted[1], early[1]);

    for dialog in &accepted {
        bench.ua.ack(bench.now(), *dialog, None).unwrap();
    }
    let acks = bench.sent();
    assert!(field(&acks[0], "To").ends_with("tag=e") && field(&acks[1], "To").ends_with("tag=b"));
    bench.answer(&invite, 200, "e");
    assert_eq!(
        field(&bench.sent()[0], "To"),
        field(&acks[0], "To"),
        "the ACK of the same fork"
    );
    assert!(bench.events().is_empty());

    bench
        .ua
        .dialog_request(bench.now(), accepted[1], Method::Bye, |_| {})
        .unwrap();
    let bye = bench.sent().remove(0);
    bench.answer(&bye, 200, "");
    bench.answer(&invite, 200, "b");
    assert_eq!(
        bench.sent_lines(),
        ["ACK"],
        "a fork that was ended still gets its ACK"
    );

    bench.run(Duration::from_secs(33));
    assert_eq!(
        bench.ua.load().dialogs,
        1,
        "the early ones go with the transaction"
    );
    assert_eq!(
        bench.ua.dialog(accepted[0]).unwrap().state,
        DialogState::Confirmed
    );
}

#[test]
fn a_refusal_ends_every_early_dialog() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    bench.answer(&invite, 180, "a");
    bench.answer(&invite, 183, "b");
    bench.answer(&invite, 603, "c");
    assert_eq!(bench.ua.load().dialogs, 0);
    assert_eq!(
        names(&bench.events()),
        ["Provisional 180", "Provisional 183", "Final 603"]
    );
}

#[test]
fn the_forks_of_one_invite_are_bounded() {
    let limits = Limits {
        forks: 3,
        ..Limits::default()
    };
    let mut bench = Bench::with(UaConfig {
        limits,
        ..UaConfig::default()
    });
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    for tag in ["a", "b", "c", "d", "e"] {
        bench.answer(&invite, 180, tag);
    }
    assert_eq!(bench.ua.load().dialogs, 3);
    assert_eq!(bench.ua.counters().forks_refused, 2);
}

#[test]
fn a_peer_of_rfc_2543_answers_without_a_tag() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    bench.answer(&invite, 180, "");
    bench.answer(&invite, 200, "");
    let events = bench.events();
    assert!(matches!(
        events[0],
        UaEvent::Provisional { dialog: None, .. }
    ));
    let UaEvent::Final {
        dialog: Some(dialog),
        ..
    } = events[1]
    else {
        panic!()
    };
    assert_eq!(&*bench.ua.dialog(dialog).unwrap().remote_tag, "");
    bench.ua.ack(bench.now(), dialog, None).unwrap();
    assert_eq!(bench.sent_lines(), ["ACK"]);
}
