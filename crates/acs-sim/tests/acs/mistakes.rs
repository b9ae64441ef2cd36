//! Gateways that do not keep the rules.

use std::time::Duration;

use acs_sim::acs::PROXY_NAMES;
use acs_sim::{
    AcsConfig, Behaviour, By, CallOptions, Ending, Flavour, HoldDialect, Offer, PartyConfig,
    connected_within,
};

use crate::stage::{APP, DESCRIPTION, FQDN, LIMIT, PHONE, Stage, polite, stage};

/// One mistake of a gateway: what is found, how the call ends, what the Reason says.
async fn mistake(
    rules: &[&str],
    status: u16,
    reason: &str,
    adjust: impl FnOnce(&mut PartyConfig),
    options: CallOptions,
) {
    let stage = stage(|config| config, adjust).await;
    let call = stage.sbc.call(APP, options).await.unwrap();
    let ending = tokio::time::timeout(LIMIT, call.ended()).await.unwrap();
    let Ending::Rejected {
        status: seen,
        reason: text,
        ..
    } = ending
    else {
        panic!("{rules:?}: {ending:?}");
    };
    assert_eq!(seen, status, "{rules:?}");
    assert!(
        text.unwrap_or_default().contains(reason),
        "{rules:?}: {reason}"
    );
    assert_eq!(stage.rules(), rules);
}

#[tokio::test]
async fn wrong_senders_are_forbidden() {
    let by_address = |config: &mut PartyConfig| config.host = None;
    mistake(&["S-02"], 403, "511532", by_address, polite(APP)).await;
    let other = |config: &mut PartyConfig| config.host = Some("sbc2.contoso.example".to_owned());
    mistake(&["S-06"], 403, "511532", other, polite(APP)).await;
    let route = |header: &str| CallOptions {
        headers: vec![("Record-Route".to_owned(), header.to_owned())],
        ..polite(APP)
    };
    mistake(
        &["S-02", "S-04"],
        403,
        "511532",
        |_| {},
        route("<sip:192.0.2.1;lr>"),
    )
    .await;
    let replaces = CallOptions {
        headers: vec![("Replaces".to_owned(), "a;to-tag=b;from-tag=c".to_owned())],
        ..polite(APP)
    };
    mistake(&["M-04"], 403, "510403", |_| {}, replaces).await;
}

#[tokio::test]
async fn an_unregistered_name_is_forbidden_in_each_flavour() {
    for (flavour, code) in [(Flavour::Acs, "511532"), (Flavour::Teams, "510532")] {
        let stage = stage(
            |config| AcsConfig {
                trunks: Vec::new(),
                flavour,
                ..config
            },
            |_| {},
        )
        .await;
        assert_eq!(stage.sbc.ping().await, Some(403));
        assert!(stage.response("403").contains(code));
        assert_eq!(stage.rules(), ["I-03"]);
    }
}

const CRYPTO: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 \
    inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw|2^31\r\n";

fn offering(offer: String) -> CallOptions {
    CallOptions {
        offer: Offer::Verbatim(offer),
        ..polite(APP)
    }
}

#[tokio::test]
async fn unusable_offers_are_refused() {
    let plain = |config: &mut PartyConfig| config.media.secure = false;
    mistake(&["D-01"], 488, "SrtpEncryptionRequired", plain, polite(APP)).await;
    let delayed = CallOptions {
        offer: Offer::Delayed,
        ..polite(APP)
    };
    mistake(&["M-03"], 488, "DelayedOfferNotSupported", |_| {}, delayed).await;
    let twice = offering(format!(
        "{DESCRIPTION}m=audio 4000 RTP/SAVP 0 101 101\r\n{CRYPTO}"
    ));
    mistake(&["D-08"], 488, "DuplicatePayloadType", |_| {}, twice).await;
    let hole = DESCRIPTION.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0");
    let hole = offering(format!("{hole}m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}"));
    mistake(&["G-04"], 488, "531052", |_| {}, hole).await;
    let broken = offering("m=nonsense\r\n".to_owned());
    mistake(&["D-01"], 410, "SdpParseFailure", |_| {}, broken).await;
}

#[tokio::test]
async fn lesser_faults_are_noted_and_the_call_goes_on() {
    async fn noted(rules: &[&str], adjust: impl FnOnce(&mut PartyConfig), options: CallOptions) {
        let stage = stage(|config| config, adjust).await;
        let call = stage.sbc.call(APP, options).await.unwrap();
        connected_within(&call, LIMIT).await.unwrap();
        call.hang_up().await;
        assert_eq!(stage.rules(), rules);
    }
    noted(&["S-09"], |config| config.headers.clear(), polite(APP)).await;
    let bare = CallOptions {
        request_uri: Some(format!("sip:4255550100@{};transport=tls", PROXY_NAMES[0])),
        ..CallOptions::from("4255550123")
    };
    noted(&["I-01", "I-02"], |_| {}, bare).await;
    let context = |index: u8| (format!("X-MS-Custom-{index}"), "value".to_owned());
    let custom = CallOptions {
        headers: (0..6).map(context).collect(),
        ..polite(APP)
    };
    noted(&["U-11"], |_| {}, custom).await;
    let candidate = "a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\r\n";
    let ice = offering(format!(
        "{DESCRIPTION}m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}{candidate}"
    ));
    noted(&["D-14"], |_| {}, ice).await;
}

#[tokio::test]
async fn foreign_methods_are_refused_and_malformed_messages_answered_400() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    near.send_request("INFO", Some(("application/dtmf-relay", "Signal=1")));
    near.hold(HoldDialect::SendOnly).await.unwrap();
    assert!(!far.state().held, "sendonly is not understood");
    near.hang_up().await;
    assert_eq!(stage.rules(), ["G-04", "M-01"]);
    assert!(stage.response("405").contains("ALLOW: "));

    let bytes = format!(
        "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/TLS {FQDN};branch=z9hG4bKbad\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{FQDN}>;tag=1\r\nTo: <sip:{0}>\r\nCall-ID: bad\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:{FQDN}:5061;transport=tls>\r\n\
         X-MS-SBC: Simulated/Gateway/1.0\r\nContent-Length: 0\r\n\r\n",
        PROXY_NAMES[0]
    );
    stage.sbc.send_bytes(bytes).await.unwrap();
    while !stage
        .sbc
        .messages()
        .iter()
        .any(|m| m.first_line().contains("400"))
    {
        tokio::task::yield_now().await;
    }
    assert!(stage.response("400").contains("540400"));
    assert!(stage.rules().contains(&"S-10"));
}

#[tokio::test]
async fn requests_on_microsofts_own_connection_are_ignored() {
    let stage = stage(|config| config, |config| config.one_way = false).await;
    let (near, far) = stage.outbound().await;
    far.cancel();
    let ignored = tokio::time::timeout(Duration::from_millis(200), near.ended()).await;
    assert!(ignored.is_err());
    assert_eq!(stage.rules(), ["K-01"]);
}

#[tokio::test]
async fn a_declined_number_is_not_called_again() {
    let stage = Stage::good().await;
    stage.acs.set_behaviour(APP, Behaviour::decline());
    for rules in [&[][..], &["I-07"]] {
        let call = stage.sbc.call(APP, polite(APP)).await.unwrap();
        assert_eq!(call.ended().await.status(), Some(603));
        assert_eq!(stage.rules(), rules);
    }
}

#[tokio::test]
async fn a_silent_trunk_is_given_up() {
    let stage = stage(
        |config| AcsConfig {
            progress_patience: Duration::from_millis(50),
            ..config
        },
        |config| config.behaviours.otherwise = Behaviour::NeverAnswer { ring: false },
    )
    .await;
    let call = stage
        .acs
        .call(PHONE, FQDN, CallOptions::from(APP))
        .await
        .unwrap();
    assert_eq!(call.ended().await, Ending::Cancelled(By::Us));
    assert_eq!(stage.rules(), ["U-04"]);
}
