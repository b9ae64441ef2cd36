//! Calls joined with the telephone network: how they succeed, fail and end, and that none is left
//! on the meter.

use std::time::Duration;

use acs_client::Error;
use acs_client::call_automation::{CreateCall, Happened, Identifier, Origin, PhoneNumber};
use acs_client::sip_routing::{SipPatch, SipTrunk, SipTrunkRoute};
use acs_sim::rest::calls::{CallAutomation, FarEnd, FarSound};
use acs_sim::rest::{Fault, Trouble};
use acs_sim::{By, Ending, exchange};

use crate::stage::{CALLER, FAR, FQDN, LIMIT, OWNED, Stage};

const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn the_far_end_answers_and_hangs_up() {
    let mut stage = Stage::new().await;
    stage.calls().set_far_end(FAR, FarEnd::answers_after(SOON));
    let (near, far, call) = stage.connected().await;
    let invitation = stage.add(&call, FAR, OWNED).await.expect("invited");
    assert!(!invitation.invitation_id.is_empty());
    let event = stage.event().await;
    let they = Identifier::phone(FAR);
    assert_eq!(
        event.happened,
        Happened::AddParticipantSucceeded(Some(they.clone()))
    );
    assert_eq!(event.operation_context.as_deref(), Some("add"));
    let updated = stage.event().await;
    assert!(
        matches!(&updated.happened, Happened::ParticipantsUpdated { participants, .. } if participants.len() == 2)
    );
    let meter = stage.calls().meter();
    assert_eq!((meter.up.len(), meter.up[0].caller_id.as_str()), (1, OWNED));
    let all = stage.client.call_participants(&call).await.expect("a list");
    assert_eq!(all.len(), 2);
    stage
        .client
        .call_participant(&call, &they)
        .await
        .expect("one of them");
    let audio = exchange(&near, &far, 50).await;
    assert!(audio.exact(50), "{audio:?}");
    // The far end goes: the application still has its caller.
    assert!(stage.calls().far_end_hangs_up(FAR));
    let updated = stage.event().await;
    assert!(
        matches!(&updated.happened, Happened::ParticipantsUpdated { participants, .. } if participants.len() == 1)
    );
    assert!(stage.calls().meter().is_still());
    stage.client.hang_up_call(&call).await.expect("hung up");
    assert_eq!(near.ended().await, Ending::HungUp(By::Them));
    assert_eq!(stage.event().await.happened, Happened::CallDisconnected);
}

#[tokio::test]
async fn what_is_said_to_the_far_end_comes_back() {
    let mut stage = Stage::new().await;
    let echo = FarEnd::answers_after(SOON).sounding(FarSound::Echo);
    stage.calls().set_far_end(FAR, echo);
    let (near, far, call) = stage.connected().await;
    stage.add(&call, FAR, OWNED).await.expect("invited");
    stage.happened().await;
    near.talk(50).await;
    let stream = near.media().stream.expect("it talks");
    assert!(
        near.media_until(LIMIT, |counts| counts.received_of(stream) >= 45)
            .await
    );
    drop(far);
    near.hang_up().await;
}

#[tokio::test]
async fn each_failure_has_its_cause() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    let never = FarEnd::Never;
    for (far_end, from, status, sub_code, origin) in [
        (FarEnd::busy(), OWNED, 486, 560_486, Origin::Called),
        (FarEnd::no_answer(), OWNED, 480, 560_480, Origin::Called),
        (
            FarEnd::no_such_number(),
            OWNED,
            404,
            560_404,
            Origin::Called,
        ),
        (
            FarEnd::refuses_caller_id(),
            OWNED,
            403,
            510_403,
            Origin::Azure,
        ),
        (
            FarEnd::answers_after(SOON),
            FAR,
            403,
            510_403,
            Origin::Azure,
        ),
        (never, OWNED, 487, 560_487, Origin::Called),
    ] {
        stage.calls().set_far_end(FAR, far_end);
        stage.add(&call, FAR, from).await.expect("invited");
        let event = stage.happened().await;
        let they = Some(Identifier::phone(FAR));
        assert_eq!(event.happened, Happened::AddParticipantFailed(they));
        let result = event.result.expect("a result");
        assert_eq!(
            (result.sip_status(), result.sub_code, result.origin()),
            (Some(status), sub_code, origin),
            "{result}"
        );
        assert!(stage.calls().meter().is_still());
    }
    for status in [403, 400, 500, 429] {
        stage
            .calls()
            .set_far_end(FAR, FarEnd::refused(status, "Refused"));
        let error = stage.add(&call, FAR, OWNED).await.expect_err("refused");
        assert_eq!(error.answer().expect("an answer").status, status);
    }
    assert!(stage.calls().meter().is_still());
    near.hang_up().await;
    assert_eq!(stage.happened().await.happened, Happened::CallDisconnected);
}

/// The first answer is lost, the client asks again: one far end rings.
#[tokio::test]
async fn nobody_is_called_twice() {
    let mut stage = Stage::new().await;
    stage.calls().set_far_end(FAR, FarEnd::answers_after(SOON));
    let (near, _far, call) = stage.connected().await;
    stage
        .rest
        .inject(Fault::next(Trouble::AnswerLost).on("POST"));
    stage
        .add(&call, FAR, OWNED)
        .await
        .expect("at the second try");
    assert_eq!(stage.calls().meter().dialled, 1);
    near.hang_up().await;
}

#[tokio::test]
async fn a_number_makes_so_many_calls_at_a_time() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    for line in 0..2 {
        let number = format!("+1425555013{line}");
        stage.add(&call, &number, OWNED).await.expect("invited");
        let event = stage.happened().await;
        assert!(
            matches!(event.happened, Happened::AddParticipantSucceeded(_)),
            "{event:?}"
        );
    }
    stage.add(&call, FAR, OWNED).await.expect("invited");
    let event = stage.happened().await;
    assert!(
        matches!(event.happened, Happened::AddParticipantFailed(_)),
        "{event:?}"
    );
    assert_eq!(event.result.expect("a result").sub_code, 560_603);
    assert_eq!(stage.calls().meter().up.len(), 2);
    stage.client.terminate_call(&call).await.expect("ended");
    assert!(stage.calls().still(LIMIT).await);
    assert_eq!(near.ended().await, Ending::HungUp(By::Them));
}

#[tokio::test]
async fn an_invitation_is_taken_back() {
    let mut stage = Stage::new().await;
    stage.calls().set_far_end(FAR, FarEnd::Never);
    let (near, _far, call) = stage.connected().await;
    let invitation = stage
        .add(&call, FAR, OWNED)
        .await
        .expect("invited")
        .invitation_id;
    assert_eq!(stage.calls().meter().ringing.len(), 1);
    for wanted in [
        Happened::CancelAddParticipantSucceeded(invitation.clone()),
        Happened::CancelAddParticipantFailed(invitation.clone()),
    ] {
        let cancelled = stage
            .client
            .cancel_add_call_participant(&call, &invitation, Some("c"));
        cancelled.await.expect("asked");
        assert_eq!(stage.happened().await.happened, wanted);
    }
    assert!(stage.calls().meter().is_still());
    near.hang_up().await;
}

#[tokio::test]
async fn whoever_is_removed_is_gone() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    stage.add(&call, FAR, OWNED).await.expect("invited");
    stage.happened().await;
    let they = Identifier::phone(FAR);
    let removed = stage
        .client
        .remove_call_participant(&call, &they, Some("r"));
    removed.await.expect("asked");
    let event = stage.happened().await;
    assert_eq!(
        event.happened,
        Happened::RemoveParticipantSucceeded(Some(they))
    );
    assert!(stage.calls().meter().is_still());
    assert_eq!(stage.calls().live().len(), 1);
    near.hang_up().await;
}

/// A caller who hangs up leaves the far end with the application: only the application ends that.
#[tokio::test]
async fn the_meter_runs_until_the_application_ends_the_call() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    stage.add(&call, FAR, OWNED).await.expect("invited");
    stage.happened().await;
    near.hang_up().await;
    let left = |calls: &CallAutomation| calls.live().first().is_some_and(|call| !call.leg);
    assert!(stage.calls().until(LIMIT, left).await);
    assert_eq!(stage.calls().meter().up.len(), 1);
    stage.client.hang_up_call(&call).await.expect("hung up");
    assert!(stage.calls().still(LIMIT).await);
    assert_eq!(stage.happened().await.happened, Happened::CallDisconnected);
}

/// An application that leaves two others talking is told that it is out; they go on.
#[tokio::test]
async fn two_others_go_on_without_the_application() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    stage.add(&call, FAR, OWNED).await.expect("invited");
    stage.happened().await;
    stage.client.hang_up_call(&call).await.expect("left");
    assert_eq!(stage.happened().await.happened, Happened::CallDisconnected);
    assert_eq!(stage.calls().meter().up.len(), 1);
    near.hang_up().await;
    assert!(stage.calls().still(LIMIT).await);
    assert!(stage.calls().live().is_empty());
}

#[tokio::test]
async fn the_resource_calls_by_itself() {
    let mut stage = Stage::new().await;
    let create = CreateCall {
        targets: vec![Identifier::phone(FAR)],
        source_caller_id_number: Some(PhoneNumber::new(OWNED)),
        source_display_name: None,
        operation_context: Some("outbound".to_owned()),
        callback_uri: stage.callback(),
    };
    let call = stage.client.create_call(&create).await.expect("created");
    assert_eq!(stage.happened().await.happened, Happened::CallConnected);
    assert_eq!(stage.calls().meter().up.len(), 1);
    stage
        .client
        .terminate_call(&call.call_connection_id)
        .await
        .expect("ended");
    assert_eq!(stage.happened().await.happened, Happened::CallDisconnected);
    stage.calls().set_far_end(FAR, FarEnd::busy());
    stage.client.create_call(&create).await.expect("created");
    assert_eq!(stage.happened().await.happened, Happened::CreateCallFailed);
    assert!(stage.calls().live().is_empty());
}

/// A voice route that takes the number sends the call back to the gateway, whatever the caller id:
/// Microsoft's network is not asked, nor paid.
#[tokio::test]
async fn a_voice_route_goes_before_the_telephone_network() {
    let mut stage = Stage::new().await;
    let routing = SipPatch {
        trunks: [(
            FQDN.to_owned(),
            Some(SipTrunk {
                sip_signaling_port: 5061,
            }),
        )]
        .into(),
        routes: Some(vec![SipTrunkRoute {
            name: "all but toll-free".to_owned(),
            description: String::new(),
            number_pattern: r"^(?!\+1833)\+1[0-9]*$".to_owned(),
            trunks: vec![FQDN.to_owned()],
        }]),
    };
    let written = stage.client.patch_sip_configuration(&routing).await;
    written.expect("routes");
    let (near, _far, call) = stage.connected().await;
    let expected = stage.gateway.expect(FAR);
    stage.add(&call, FAR, CALLER).await.expect("invited");
    let event = stage.happened().await;
    assert!(
        matches!(event.happened, Happened::AddParticipantSucceeded(_)),
        "{event:?}"
    );
    let third = expected.await.expect("it came back");
    assert_eq!(third.parties().caller, CALLER);
    assert_eq!(stage.calls().meter().dialled, 0);
    let audio = exchange(&near, &third, 50).await;
    assert!(audio.exact(50), "{audio:?}");
    third.hang_up().await;
    let gone = |calls: &CallAutomation| calls.live().iter().all(|call| call.participants == 0);
    assert!(stage.calls().until(LIMIT, gone).await);
    stage
        .add(&call, "+18335550123", OWNED)
        .await
        .expect("invited");
    let event = stage.happened().await;
    assert!(
        matches!(event.happened, Happened::AddParticipantSucceeded(_)),
        "{event:?}"
    );
    assert_eq!(stage.calls().meter().up.len(), 1);
    stage.client.terminate_call(&call).await.expect("ended");
    near.ended().await;
}

#[tokio::test]
async fn there_is_no_call_to_join_before_it_is_connected_or_after() {
    let mut stage = Stage::new().await;
    let (near, _far, call) = stage.connected().await;
    near.hang_up().await;
    assert_eq!(stage.happened().await.happened, Happened::CallDisconnected);
    let error = stage.add(&call, FAR, OWNED).await.expect_err("over");
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    let error = stage
        .add("nothing", FAR, OWNED)
        .await
        .expect_err("never was");
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}
