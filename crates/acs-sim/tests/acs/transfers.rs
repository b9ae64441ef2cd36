//! Transfers Microsoft's side asks for.

use std::net::{IpAddr, Ipv4Addr};

use acs_sim::{By, CallOptions, Ending, Leave, Transfer, connected_within};

use crate::stage::{APP, FQDN, LIMIT, PHONE, Stage, polite, stage};

async fn told(outcome: &[u16]) -> Stage {
    let outcome = outcome.to_vec();
    stage(
        |config| config,
        move |config| config.refer_outcome = outcome,
    )
    .await
}

/// How a gateway dials what a REFER names.
fn obeying(transfer: &Transfer) -> CallOptions {
    CallOptions {
        request_uri: Some(transfer.uri().to_owned()),
        headers: vec![(
            "Referred-By".to_owned(),
            transfer.referred_by.clone().unwrap(),
        )],
        ..polite("")
    }
}

#[tokio::test]
async fn a_transfer_is_accepted_reported_and_ends_the_old_call() {
    let stage = told(&[100, 180, 200]).await;
    let (near, far) = stage.inbound().await;
    let transfer = stage.acs.transfer_to_itself(0);
    assert!(transfer.uri().starts_with("sip:sip.pstnhub.microsoft.com:"));
    let expected = stage.acs.expect("");
    assert_eq!(stage.acs.transfer(&far, transfer.clone()).await, Some(202));
    let call = stage.sbc.call("", obeying(&transfer)).await.unwrap();
    connected_within(&call, LIMIT).await.unwrap();
    connected_within(&expected.await.unwrap(), LIMIT)
        .await
        .unwrap();
    assert_eq!(near.ended().await, Ending::HungUp(By::Them));
    let statuses: Vec<_> = far.state().notified.iter().map(|n| n.status).collect();
    assert_eq!(statuses, [100, 180, 200]);
    stage.assert_spotless();
}

#[tokio::test]
async fn what_is_not_brought_back_byte_for_byte_is_400() {
    let stage = told(&[100]).await;
    let (_near, far) = stage.inbound().await;
    let transfer = stage.acs.transfer_to_itself(0);
    stage.acs.transfer(&far, transfer.clone()).await;
    let good = transfer.referred_by.clone().unwrap();
    for bad in [
        None,
        Some(good.replace("%3D", "=")),
        Some(good.to_lowercase()),
    ] {
        let mut options = obeying(&transfer);
        options.headers = bad
            .map(|value| ("Referred-By".to_owned(), value))
            .into_iter()
            .collect();
        let call = stage.sbc.call("", options).await.unwrap();
        assert_eq!(call.ended().await.status(), Some(400));
        assert!(stage.rules().contains(&"X-03"), "{:?}", stage.rules());
    }
}

#[tokio::test]
async fn notify_must_begin_with_100_end_once_and_come_before_bye() {
    for outcome in [&[180, 200][..], &[100, 200, 200], &[100, 183, 180, 200]] {
        let stage = told(outcome).await;
        let (_near, far) = stage.inbound().await;
        let transfer = Transfer {
            leave: Leave::Never,
            ..stage.acs.transfer_to_itself(0)
        };
        stage.acs.transfer(&far, transfer).await;
        far.wait(|state| state.notified.len() == outcome.len())
            .await;
        assert_eq!(stage.rules(), ["X-02"], "{outcome:?}");
    }
    let stage = told(&[100]).await;
    let (near, far) = stage.inbound().await;
    let transfer = stage.acs.transfer_to_itself(0);
    stage.acs.transfer(&far, transfer).await;
    near.hang_up().await;
    assert_eq!(stage.rules(), ["X-02"]);
}

#[tokio::test]
async fn refer_and_bye_can_come_from_another_address() {
    let stage = told(&[100, 200]).await;
    let (near, far) = stage.inbound().await;
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let transfer = Transfer {
        leave: Leave::Never,
        ..stage.acs.transfer_to_itself(0).from(other)
    };
    stage.acs.transfer(&far, transfer).await;
    far.hang_up_from(other).await;
    near.ended().await;
    let messages = stage.sbc.messages();
    for method in ["REFER", "BYE"] {
        let found = messages
            .iter()
            .find(|m| !m.sent && m.first_line().starts_with(method));
        assert_eq!(found.unwrap().remote.ip(), other, "{method}");
    }
    stage.assert_spotless();
}

#[tokio::test]
async fn a_call_can_be_taken_over_with_replaces() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    let value = far.replaces();
    let parties = near.parties();
    assert_eq!(
        value,
        format!(
            "{};to-tag={};from-tag={}",
            parties.call_id,
            parties.tag,
            far.parties().tag
        )
    );
    let options = CallOptions {
        headers: vec![("Replaces".to_owned(), value.clone())],
        ..CallOptions::from(APP)
    };
    stage.acs.call(PHONE, FQDN, options).await.unwrap();
    while !stage
        .sbc
        .messages()
        .iter()
        .any(|m| m.text().contains(&value))
    {
        tokio::task::yield_now().await;
    }
}
