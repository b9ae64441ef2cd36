//! Provisional responses out of the ordinary, second answers, crossings.

use std::time::Duration;

use acs_sim::{
    Answer, Behaviour, By, CallOptions, Ending, Endpoint, InDialogRequest, Party, PartyConfig,
    Provisional, Rejection, Transport, connected_within,
};

use crate::stage::{APP, LIMIT, PHONE, Stage, polite};

#[tokio::test]
async fn a_numbered_endpoint_keeps_its_tag() {
    let stage = Stage::good().await;
    let step = Provisional::ringing(Duration::ZERO);
    let behaviour = Behaviour::answer(
        vec![
            step.clone().by(Endpoint::Numbered(1)),
            step.by(Endpoint::Numbered(2)),
            Provisional::early_media(Duration::ZERO).by(Endpoint::Numbered(1)),
        ],
        Duration::from_millis(50),
    );
    stage.acs.set_behaviour(APP, behaviour);
    let (near, far) = stage.inbound().await;
    let progress = near.state().progress;
    let tags: Vec<_> = progress.iter().filter_map(|p| p.tag.clone()).collect();
    assert_eq!(tags.len(), 3);
    assert_eq!(tags[0], tags[2]);
    assert_ne!(tags[0], tags[1]);
    assert!(!tags.contains(&far.parties().tag));
    assert_eq!(near.state().remote_tag, Some(far.parties().tag.clone()));
}

#[tokio::test]
async fn a_second_answer_is_a_second_call() {
    let stage = Stage::good().await;
    let behaviour = Behaviour::Answer(Answer {
        second_after: Some(Duration::from_millis(20)),
        ..Answer::default()
    });
    stage.acs.set_behaviour(APP, behaviour);
    let mut incoming = stage.acs.incoming();
    let near = stage.sbc.call(APP, polite(APP)).await.unwrap();
    connected_within(&near, LIMIT).await.unwrap();
    let first = incoming.recv().await.unwrap();
    let second = incoming.recv().await.unwrap();
    assert_ne!(first.parties().tag, second.parties().tag);
    assert_ne!(first.media_address(), second.media_address());
}

#[tokio::test]
async fn an_answer_can_cross_a_cancel() {
    let stage = Stage::good().await;
    let behaviour = Behaviour::Answer(Answer {
        provisionals: vec![Provisional::ringing(Duration::ZERO)],
        after: LIMIT,
        crossing_cancel: true,
        ..Answer::default()
    });
    stage.acs.set_behaviour(APP, behaviour);
    let expected = stage.acs.expect(APP);
    let near = stage.sbc.call(APP, polite(APP)).await.unwrap();
    assert!(near.ringing().await);
    near.cancel();
    let far = expected.await.unwrap();
    assert_eq!(far.ended().await, Ending::HungUp(By::Them));
    assert!(far.state().cancelled);
}

#[tokio::test]
async fn a_call_is_treated_as_the_test_says_step_by_step() {
    let stage = Stage::good().await;
    stage
        .acs
        .set_behaviour(APP, Behaviour::Manual { trying: false });
    let expected = stage.acs.expect(APP);
    let near = stage.sbc.call(APP, polite(APP)).await.unwrap();
    let far = expected.await.unwrap();
    assert!(near.state().progress.is_empty());
    far.progress(Provisional::new(181, Duration::ZERO));
    assert!(near.ringing().await);
    far.answer(vec![("X-MS-Custom-A".to_owned(), "b".to_owned())]);
    connected_within(&near, LIMIT).await.unwrap();
    assert!(stage.response("200 OK").contains("X-MS-CUSTOM-A: b\r\n"));
    near.hang_up().await;
    let expected = stage.acs.expect(APP);
    let near = stage.sbc.call(APP, polite(APP)).await.unwrap();
    expected.await.unwrap().reject(Rejection {
        status: 302,
        headers: vec![("Contact".to_owned(), "<sip:b.example>".to_owned())],
        ..Rejection::default()
    });
    assert_eq!(near.ended().await.status(), Some(302));
}

/// Two parties over UDP.
async fn pair() -> (Party, Party) {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let start = |name| Party::start(PartyConfig::new(name, Transport::Udp, nowhere));
    let (a, b) = (start("alpha").await.unwrap(), start("beta").await.unwrap());
    a.set_peer(b.local_addr());
    b.set_peer(a.local_addr());
    (a, b)
}

#[tokio::test]
async fn reliable_provisional_responses_are_acknowledged_before_the_answer() {
    let (a, b) = pair().await;
    let behaviour = Behaviour::answer(
        vec![
            Provisional::early_media(Duration::ZERO).reliably(),
            Provisional::ringing(Duration::ZERO).reliably(),
        ],
        Duration::ZERO,
    );
    b.set_behaviour(PHONE, behaviour);
    let expected = b.expect(PHONE);
    let options = CallOptions {
        headers: vec![("Supported".to_owned(), "100rel".to_owned())],
        ..CallOptions::from(APP)
    };
    let near = a.call(PHONE, options).await.unwrap();
    connected_within(&near, LIMIT).await.unwrap();
    let far = expected.await.unwrap();
    connected_within(&far, LIMIT).await.unwrap();
    assert_eq!((near.state().pracks, far.state().pracks), (2, 2));
    let info = InDialogRequest::new("INFO").body("application/dtmf-relay", "Signal=1");
    let response = near.request(info).await.unwrap();
    assert_eq!(response.status.code(), 200);
    assert_eq!(near.hang_up().await, Ending::HungUp(By::Us));
}
