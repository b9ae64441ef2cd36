//! Calls that come in: told, answered, refused, sent on, given up.

use acs_client::Error;
use acs_client::call_automation::{
    AnswerCall, CallContext, CallState, Happened, Identifier, RejectReason,
};
use acs_sim::rest::calls::{CallsConfig, FarEnd};
use acs_sim::{By, Ending, connected_within, exchange};
use std::time::Duration;

use crate::stage::{CALLER, FAR, Handshake, LIMIT, MARKER, Stage};

#[tokio::test]
async fn a_call_is_told_answered_and_talks() {
    let mut stage = Stage::new().await;
    let expected = stage.side.expect(MARKER);
    let near = stage.dial().await;
    let incoming = stage.incoming().await;
    assert_eq!(incoming.to, Identifier::phone(MARKER));
    assert_eq!(incoming.from, Identifier::phone(CALLER));
    let header = |name: &str| incoming.sip_headers.get(name).map(String::as_str);
    assert_eq!(header("x-ms-custom-nonce"), Some("n-1"));
    assert_eq!(header("user-to-user"), Some("75;encoding=hex"));
    let answer = AnswerCall {
        incoming_call_context: incoming.incoming_call_context,
        callback_uri: stage.callback(),
        operation_context: Some("mine".to_owned()),
    };
    let call = stage.client.answer_call(&answer).await.expect("answered");
    assert_eq!(call.correlation_id, incoming.correlation_id);
    assert_eq!(call.source, Some(Identifier::phone(CALLER)));
    connected_within(&near, LIMIT).await.expect("200 and ACK");
    let event = stage.event().await;
    assert_eq!(event.happened, Happened::CallConnected);
    assert_eq!(event.operation_context.as_deref(), Some("mine"));
    assert_eq!(event.call_connection_id, call.call_connection_id);
    let updated = stage.event().await;
    let Happened::ParticipantsUpdated { participants, .. } = &updated.happened else {
        panic!("{updated:?}");
    };
    assert_eq!(participants.len(), 1);
    let id = &call.call_connection_id;
    let now = stage.client.call_connection(id).await.expect("it is there");
    assert_eq!(now.call_connection_state, CallState::Connected);
    let far = expected.await.expect("it came");
    let audio = exchange(&near, &far, 50).await;
    assert!(audio.exact(50), "{audio:?}");
    stage.client.hang_up_call(id).await.expect("hung up");
    assert_eq!(near.ended().await, Ending::HungUp(By::Them));
    assert_eq!(stage.event().await.happened, Happened::CallDisconnected);
    assert!(stage.calls().live().is_empty());
    stage.client.hang_up_call(id).await.expect("over is over");
    assert!(matches!(
        stage.client.call_connection(id).await,
        Err(Error::NotFound(_))
    ));
    assert_eq!(stage.side.violations(), []);
}

#[tokio::test]
async fn a_call_is_answered_once() {
    let mut stage = Stage::new().await;
    let near = stage.dial().await;
    let incoming = stage.incoming().await;
    let answer = AnswerCall {
        incoming_call_context: incoming.incoming_call_context,
        callback_uri: stage.callback(),
        operation_context: None,
    };
    stage.client.answer_call(&answer).await.expect("answered");
    let again = stage.client.answer_call(&answer).await;
    let error = again.expect_err("answered already");
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert!(error.to_string().contains("no such call"), "{error}");
    connected_within(&near, LIMIT).await.expect("200 and ACK");
}

#[tokio::test]
async fn a_refusal_has_its_status_and_no_events() {
    for (reason, status) in [
        (RejectReason::None, 603),
        (RejectReason::Busy, 486),
        (RejectReason::Forbidden, 403),
    ] {
        let mut stage = Stage::new().await;
        let near = stage.dial().await;
        let incoming = stage.incoming().await;
        let context = &incoming.incoming_call_context;
        stage
            .client
            .reject_call(context, reason)
            .await
            .expect("rejected");
        assert_eq!(near.ended().await.status(), Some(status));
        let posted = stage.calls().posted();
        assert!(
            posted.iter().all(|one| one.kind == "IncomingCall"),
            "{posted:?}"
        );
    }
}

#[tokio::test]
async fn a_call_is_sent_on() {
    let mut stage = Stage::new().await;
    stage
        .calls()
        .set_far_end(FAR, FarEnd::answers_after(Duration::from_millis(20)));
    let near = stage.dial().await;
    let incoming = stage.incoming().await;
    let context = &incoming.incoming_call_context;
    let target = Identifier::phone(FAR);
    stage
        .client
        .redirect_call(context, &target)
        .await
        .expect("sent on");
    connected_within(&near, LIMIT)
        .await
        .expect("the far end answers");
    assert_eq!(stage.calls().meter().up.len(), 1);
    near.hang_up().await;
    assert!(stage.calls().still(LIMIT).await);
}

#[tokio::test]
async fn a_caller_who_gives_up_is_gone() {
    let mut stage = Stage::new().await;
    let near = stage.dial().await;
    let incoming = stage.incoming().await;
    near.hang_up().await;
    assert!(
        stage
            .calls()
            .until(LIMIT, |calls| calls.waiting() == 0)
            .await
    );
    let context = incoming.incoming_call_context;
    for context in [context, CallContext::new("eyJhbGciOiJub25lIn0.e30.")] {
        let answer = AnswerCall {
            incoming_call_context: context,
            callback_uri: stage.callback(),
            operation_context: None,
        };
        let error = stage.client.answer_call(&answer).await.expect_err("gone");
        assert!(matches!(error, Error::NotFound(_)), "{error}");
    }
}

#[tokio::test]
async fn a_call_nobody_wants_or_answers_is_refused() {
    let brief = CallsConfig {
        answer_within: Duration::from_millis(100),
        ..CallsConfig::default()
    };
    let mut stage = Stage::with(brief, Handshake::Code).await;
    assert_eq!(stage.dial().await.ended().await.status(), Some(480));
    stage.subscribe(false).await.expect("a subscription");
    let near = stage.dial().await;
    stage.incoming().await;
    assert_eq!(near.ended().await.status(), Some(480));
    assert_eq!(stage.calls().waiting(), 0);
}

#[tokio::test]
async fn callbacks_go_over_https() {
    let mut stage = Stage::new().await;
    let _near = stage.dial().await;
    let incoming = stage.incoming().await;
    let answer = AnswerCall {
        incoming_call_context: incoming.incoming_call_context,
        callback_uri: "ftp://app.example/calls".to_owned(),
        operation_context: None,
    };
    let error = stage
        .client
        .answer_call(&answer)
        .await
        .expect_err("no https");
    assert!(error.to_string().contains("CallbackUri"), "{error}");
}
