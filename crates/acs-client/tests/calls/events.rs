//! How events come: the handshakes, the deliveries, the tokens, and what goes wrong with them.

use std::time::Duration;

use acs_client::call_automation::Happened;
use acs_sim::rest::calls::{CallsConfig, Mischief, Seal};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::stage::{CALLER, Handshake, LIMIT, MARKER, Stage};

#[tokio::test]
async fn a_subscription_is_confirmed_in_every_way() {
    let stage = Stage::with(CallsConfig::default(), Handshake::Code).await;
    stage.subscribe(false).await.expect("the code");
    stage.subscribe(true).await.expect("the origin");
    let stage = Stage::with(CallsConfig::default(), Handshake::Link).await;
    stage.subscribe(false).await.expect("the link");
    assert!(stage.calls().validated_by_link());
    let brief = CallsConfig::default();
    let stage = Stage::with(brief, Handshake::Silent).await;
    let refused = stage.subscribe(false).await;
    assert_eq!(
        refused,
        Err("the webhook did not give the code back".to_owned())
    );
}

#[tokio::test]
async fn an_event_is_delivered_until_it_is_taken() {
    for cloud in [false, true] {
        let mut stage = Stage::with(CallsConfig::default(), Handshake::Code).await;
        stage.subscribe(cloud).await.expect("a subscription");
        stage.statuses.lock().expect("no panic").extend([503, 500]);
        let near = stage.dial().await;
        stage.incoming().await;
        let statuses = || -> Vec<Option<u16>> {
            let posted = stage.calls().posted();
            posted.iter().map(|one| one.status).collect()
        };
        let whole = |_: &acs_sim::rest::calls::CallAutomation| statuses().len() == 3;
        assert!(stage.calls().until(LIMIT, whole).await);
        assert_eq!(statuses(), [Some(500), Some(503), Some(200)]);
        near.hang_up().await;
    }
}

#[tokio::test]
async fn what_is_malformed_is_not_delivered_again() {
    let stage = Stage::new().await;
    stage.statuses.lock().expect("no panic").push(400);
    let near = stage.dial().await;
    let once = |calls: &acs_sim::rest::calls::CallAutomation| calls.posted().len() == 1;
    assert!(stage.calls().until(LIMIT, once).await);
    near.hang_up().await;
    assert_eq!(stage.calls().posted()[0].status, Some(400));
}

/// What a token says, once its signature is that of the published keys.
async fn verified(endpoint: &str, authorization: &str) -> Result<Value, &'static str> {
    let get = |path: &str| {
        let url = format!("{endpoint}{path}");
        async move {
            let text = reqwest::get(url).await.expect("served").text().await;
            serde_json::from_str::<Value>(&text.expect("text")).expect("JSON")
        }
    };
    let about = get("/calling/.well-known/acsopenidconfiguration").await;
    let keys = about["jwks_uri"].as_str().expect("a link");
    let keys = get(keys.strip_prefix(endpoint).expect("its own")).await;
    let key = &keys["keys"][0];
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let number = |name: &str| decode(key[name].as_str().expect(name));
    let token = authorization.strip_prefix("Bearer ").expect("a bearer");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("RS256"), &key["kid"])
    );
    let (n, e) = (number("n"), number("e"));
    RsaPublicKeyComponents { n, e }
        .verify(
            &RSA_PKCS1_2048_8192_SHA256,
            signed.as_bytes(),
            &decode(signature),
        )
        .map_err(|_| "the signature is another's")?;
    let claims: Value = serde_json::from_slice(&decode(claims)).expect("JSON");
    assert_eq!(
        about["issuer"],
        "https://acscallautomation.communication.azure.com"
    );
    Ok(claims)
}

#[tokio::test]
async fn callbacks_are_signed_with_the_published_key_unless_they_are_forged() {
    let mut stage = Stage::new().await;
    let (near, _far, _call) = stage.connected().await;
    let endpoint = format!("http://{}", stage.rest.address());
    let token = |kind: &str| {
        let posted = stage.calls().posted();
        let last = posted.into_iter().rev().find(|one| one.kind == kind);
        last.expect(kind).authorization
    };
    let right = token("CallConnected").expect("a token");
    let claims = verified(&endpoint, &right).await.expect("a signature");
    assert_eq!(claims["aud"], CallsConfig::default().audience);
    let life = claims["exp"].as_i64().zip(claims["nbf"].as_i64());
    assert_eq!(life.map(|(end, begin)| end - begin), Some(300));
    let url = stage.callback();
    let data = json!({"callConnectionId": "forged"});
    for mischief in [
        Mischief::WrongKey,
        Mischief::Expired,
        Mischief::WrongAudience,
        Mischief::WrongIssuer,
        Mischief::NoToken,
    ] {
        let seal = Seal::Spoilt(mischief);
        let status = stage
            .calls()
            .forge(&url, "CallDisconnected", &data, seal)
            .await;
        assert_eq!(status, Some(200), "this webhook looks at no token");
        let Some(token) = token("CallDisconnected") else {
            assert_eq!(mischief, Mischief::NoToken);
            continue;
        };
        let said = verified(&endpoint, &token).await;
        match mischief {
            Mischief::WrongKey => assert!(said.is_err()),
            Mischief::Expired => {
                let end = said.expect("signed")["exp"].as_i64().expect("a time");
                assert!(end < claims["nbf"].as_i64().expect("a time"));
            }
            Mischief::WrongAudience => assert_ne!(said.expect("signed")["aud"], claims["aud"]),
            Mischief::WrongIssuer => assert_ne!(said.expect("signed")["iss"], claims["iss"]),
            Mischief::NoToken | Mischief::Lost | Mischief::Twice | Mischief::Late(_) => {
                panic!("{mischief:?} has a token")
            }
        }
    }
    near.hang_up().await;
}

#[tokio::test]
async fn events_are_lost_doubled_late_and_played_again() {
    let mut stage = Stage::new().await;
    stage.calls().wish("CallConnected", Mischief::Lost, 1);
    let near = stage.dial().await;
    stage.answer().await.expect("answered");
    let first = stage.event().await;
    assert!(
        matches!(first.happened, Happened::ParticipantsUpdated { .. }),
        "{first:?}"
    );
    stage.calls().wish("CallDisconnected", Mischief::Twice, 1);
    near.hang_up().await;
    let (one, two) = (stage.event().await, stage.event().await);
    assert_eq!(one.happened, Happened::CallDisconnected);
    assert_eq!(one, two);
    assert_eq!(stage.calls().replay("CallDisconnected").await, Some(200));
    assert_eq!(stage.event().await, one);

    stage.calls().wish(
        "CallConnected",
        Mischief::Late(Duration::from_millis(100)),
        1,
    );
    let near = stage.dial().await;
    stage.answer().await.expect("answered");
    let first = stage.event().await;
    assert!(
        matches!(first.happened, Happened::ParticipantsUpdated { .. }),
        "{first:?}"
    );
    assert_eq!(stage.event().await.happened, Happened::CallConnected);
    near.hang_up().await;
    assert!(
        stage
            .calls()
            .until(LIMIT, |calls| calls.live().is_empty())
            .await
    );
    stage.happened().await;
    // Event Grid's: one again, one of a call that never came, one that never comes.
    assert_eq!(stage.calls().replay("IncomingCall").await, Some(200));
    stage.incoming().await;
    let headers = [("X-MS-Custom-Nonce".to_owned(), "forged".to_owned())];
    let forged = stage.calls().forge_incoming(MARKER, CALLER, &headers).await;
    assert_eq!(forged, Some(200));
    let incoming = stage.incoming().await;
    assert_eq!(incoming.sip_headers["x-ms-custom-nonce"], "forged");
    stage.calls().wish("IncomingCall", Mischief::Lost, 1);
    let near = stage.dial().await;
    assert!(
        stage
            .calls()
            .until(LIMIT, |calls| calls.waiting() == 1)
            .await
    );
    near.hang_up().await;
}
