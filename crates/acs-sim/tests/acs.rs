//! Microsoft's side against a gateway played by a party: one that behaves, and ones that do not.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod authority;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use acs_sim::acs::{PROXY_NAMES, TrunkStatus};
use acs_sim::{
    AcsConfig, AcsSim, Behaviour, By, CallHandle, CallOptions, Ending, Flavour, HoldDialect, Offer,
    Party, PartyConfig, ProxyMode, Transport, connected_within, exchange, exchange_digits,
};
use authority::Authority;

const FQDN: &str = "sbc1.contoso.example";
const APP: &str = "+14255550100";
const PHONE: &str = "+14255550123";
const LIMIT: Duration = Duration::from_secs(10);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Stage {
    acs: AcsSim,
    sbc: Party,
}

/// Microsoft's side and a gateway that keeps all rules unless the adjustments say otherwise.
async fn stage(
    adjust_acs: impl FnOnce(AcsConfig) -> AcsConfig,
    adjust_sbc: impl FnOnce(&mut PartyConfig),
) -> Stage {
    let authority = Authority::new();
    let nowhere = SocketAddr::from((LOOPBACK, 9));
    let mut config = PartyConfig::new("Gateway", Transport::Tls, nowhere);
    config.tls = Some(authority.settings(&[FQDN]));
    config.host = Some(FQDN.to_owned());
    config.peer_name = Some(PROXY_NAMES[0].to_owned());
    config.host_map = PROXY_NAMES
        .iter()
        .map(|name| ((*name).to_owned(), LOOPBACK))
        .collect();
    config.headers = vec![("X-MS-SBC".to_owned(), "Simulated/Gateway/1.0".to_owned())];
    config.one_way = true;
    config.media.secure = true;
    adjust_sbc(&mut config);
    let sbc = Party::start(config).await.unwrap();
    let config = AcsConfig::new(authority.settings(&PROXY_NAMES));
    let config = adjust_acs(config.with_trunk(FQDN, sbc.local_addr()));
    let acs = AcsSim::start(config).await.unwrap();
    sbc.set_peer(acs.proxies()[0].1);
    Stage { acs, sbc }
}

/// How a well-behaved gateway calls.
fn polite(number: &str) -> CallOptions {
    CallOptions {
        request_uri: Some(format!(
            "sip:{number}@{};user=phone;transport=tls",
            PROXY_NAMES[0]
        )),
        ..CallOptions::from(PHONE)
    }
}

impl Stage {
    async fn good() -> Self {
        stage(|config| config, |_| {}).await
    }

    async fn inbound(&self) -> (CallHandle, CallHandle) {
        let expected = self.acs.expect(APP);
        let near = self.sbc.call(APP, polite(APP)).await.unwrap();
        connected_within(&near, LIMIT).await.unwrap();
        let far = expected.await.unwrap();
        connected_within(&far, LIMIT).await.unwrap();
        (near, far)
    }

    async fn outbound(&self) -> (CallHandle, CallHandle) {
        let expected = self.sbc.expect(PHONE);
        let near = self
            .acs
            .call(PHONE, FQDN, CallOptions::from(APP))
            .await
            .unwrap();
        connected_within(&near, LIMIT).await.unwrap();
        let far = expected.await.unwrap();
        connected_within(&far, LIMIT).await.unwrap();
        (near, far)
    }

    fn rules(&self) -> Vec<&'static str> {
        let mut rules: Vec<_> = self.acs.violations().iter().map(|v| v.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    #[track_caller]
    fn assert_spotless(&self) {
        assert_eq!(self.acs.violations(), []);
    }

    /// The response to the first message of ours whose start line has `word`.
    fn response(&self, start: &str) -> String {
        let messages = self.sbc.messages();
        let found = messages
            .iter()
            .find(|m| !m.sent && m.first_line().contains(start));
        found
            .unwrap_or_else(|| panic!("no {start} in {:#?}", lines(&messages)))
            .text()
    }
}

fn lines(messages: &[acs_sim::Logged]) -> Vec<String> {
    messages.iter().map(acs_sim::Logged::first_line).collect()
}

#[tokio::test]
async fn the_options_sequence_brings_the_trunk_online() {
    let stage = Stage::good().await;
    assert_eq!(stage.acs.trunk(FQDN).status(), TrunkStatus::Unknown);
    assert!(
        stage.sbc.messages().is_empty(),
        "Microsoft sends none before it has seen ours"
    );
    assert_eq!(stage.sbc.ping().await, Some(200));
    assert!(stage.acs.online(FQDN, LIMIT).await);
    let answer = stage.response("200 OK");
    assert!(
        answer.contains("\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nSERVER: Microsoft.PSTNHub.SIPProxy"),
        "{answer}"
    );
    let to = answer
        .lines()
        .find(|line| line.starts_with("TO: "))
        .unwrap();
    assert!(!to.contains("tag="), "{to}");
    let messages = stage.sbc.messages();
    let theirs = messages
        .iter()
        .find(|m| !m.sent && m.first_line().starts_with("OPTIONS"));
    assert_ne!(
        theirs.unwrap().connection,
        messages[0].connection,
        "a connection of its own"
    );
    stage.assert_spotless();
}

#[tokio::test]
async fn a_call_to_microsoft_has_exact_audio_digits_and_both_kinds_of_bye() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    let audio = exchange(&near, &far, 150).await;
    assert!(audio.exact(150), "{audio:?}");
    assert_eq!(exchange_digits(&near, &far, "42#").await, "42#");
    assert_eq!(exchange_digits(&far, &near, "7").await, "7");
    assert_eq!(near.hang_up().await, Ending::HungUp(By::Us));
    assert_eq!(far.ended().await, Ending::HungUp(By::Them));
    let (near, far) = stage.inbound().await;
    assert_eq!(far.hang_up().await, Ending::HungUp(By::Us));
    assert_eq!(near.ended().await, Ending::HungUp(By::Them));
    stage.assert_spotless();
}

#[tokio::test]
async fn a_call_from_microsoft_looks_like_one() {
    let stage = Stage::good().await;
    let (near, far) = stage.outbound().await;
    let audio = exchange(&near, &far, 20).await;
    assert!(audio.exact(20), "{audio:?}");
    let invite = stage.response("INVITE ");
    let names: Vec<_> = invite
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split(':').next())
        .collect();
    assert!(
        names.iter().all(|name| name.to_uppercase() == *name),
        "{names:?}"
    );
    assert_eq!(&names[..4], ["FROM", "TO", "CSEQ", "CALL-ID"]);
    for part in [
        "sip:+14255550123@sbc1.contoso.example:",
        ";user=phone;transport=tls SIP/2.0",
        "CONTACT: <sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=",
        "RECORD-ROUTE: <sip:sip.pstnhub.microsoft.com:",
        "P-ASSERTED-IDENTITY: <tel:+14255550100>",
        "PRIVACY: id",
        "SESSION-EXPIRES: 3600;refresher=uac",
        "a=crypto:0 AES_CM_128_HMAC_SHA1_32 ",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ",
    ] {
        assert!(invite.contains(part), "{part} in\n{invite}");
    }
    assert_eq!(near.hang_up().await, Ending::HungUp(By::Us));
    stage.assert_spotless();
}

#[tokio::test]
async fn hold_by_inactive_works_both_ways_and_refresh_repeats_the_description() {
    let stage = stage(
        |config| AcsConfig {
            refresh_after: Some(Duration::from_millis(50)),
            bye_on_new_connection: true,
            ..config
        },
        |_| {},
    )
    .await;
    let (near, far) = stage.inbound().await;
    far.wait(|state| state.refreshes == 1).await;
    near.hold(HoldDialect::Inactive).await.unwrap();
    assert!(far.state().held);
    near.resume().await.unwrap();
    far.hold(HoldDialect::Inactive).await.unwrap();
    assert!(near.state().held);
    far.resume().await.unwrap();
    let audio = exchange(&near, &far, 10).await;
    assert!(audio.exact(10), "{audio:?}");
    far.hang_up().await;
    let messages = stage.sbc.messages();
    let connection = |method: &str| {
        let mut found = messages
            .iter()
            .filter(|m| !m.sent && m.first_line().starts_with(method));
        found.next().unwrap().connection
    };
    assert_ne!(connection("BYE"), connection("INVITE"));
    stage.assert_spotless();
}

#[tokio::test]
async fn a_busy_proxy_sends_elsewhere_and_a_closed_one_refuses_connections() {
    let stage = Stage::good().await;
    stage.acs.set_mode(0, ProxyMode::Busy).await.unwrap();
    let call = stage.sbc.call(APP, polite(APP)).await.unwrap();
    assert_eq!(call.ended().await.status(), Some(503));
    assert!(stage.response("503").contains("RETRY-AFTER: 1\r\n"));
    stage.assert_spotless();
    let again = stage.sbc.call(APP, polite(APP)).await.unwrap();
    again.ended().await;
    assert_eq!(stage.rules(), ["M-07"]);
    stage.acs.set_mode(0, ProxyMode::Down).await.unwrap();
    let call = stage.sbc.call(APP, polite(APP)).await.unwrap();
    let ending = call.ended().await;
    assert!(
        matches!(ending, Ending::Unreachable(_) | Ending::TimedOut),
        "{ending:?}"
    );
    stage.acs.set_mode(0, ProxyMode::Up).await.unwrap();
    stage.inbound().await;
}

#[tokio::test]
async fn forked_ringing_has_a_tag_for_each_endpoint() {
    let stage = Stage::good().await;
    stage
        .acs
        .set_behaviour(APP, Behaviour::forked(Duration::from_millis(50)));
    let (near, _far) = stage.inbound().await;
    let mut tags: Vec<_> = near
        .state()
        .progress
        .iter()
        .filter_map(|p| p.tag.clone())
        .collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 4);
    stage.assert_spotless();
}

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

const DESCRIPTION: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
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

#[tokio::test]
async fn media_stays_at_its_first_address() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    let elsewhere = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let invite = stage.acs.messages();
    let invite = invite
        .iter()
        .find(|m| m.first_line().starts_with("INVITE"))
        .unwrap()
        .text();
    let key = invite
        .lines()
        .find(|line| line.starts_with("a=crypto:"))
        .unwrap();
    let mux = "a=rtcp-mux\r\na=rtpmap:101 telephone-event/8000";
    let moved = format!("{DESCRIPTION}m=audio {port} RTP/SAVP 0 101\r\n{key}\r\n{mux}\r\n");
    near.reoffer(&moved).await.unwrap();
    let audio = exchange(&near, &far, 10).await;
    assert!(audio.exact(10), "{audio:?}");
    assert_eq!(stage.rules(), ["G-03"]);
    elsewhere.set_nonblocking(true).unwrap();
    assert!(
        elsewhere.recv(&mut [0; 2048]).is_err(),
        "nothing was sent to the new address"
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_the_next_request_makes_another() {
    let idle = Duration::from_millis(50);
    let stage = stage(|config| AcsConfig { idle, ..config }, |_| {}).await;
    let connection = || {
        let messages = stage.sbc.messages();
        let ours = messages
            .iter()
            .rev()
            .find(|m| m.sent && m.first_line().starts_with("OPTIONS"));
        ours.unwrap().connection
    };
    assert_eq!(stage.sbc.ping().await, Some(200));
    let first = connection();
    tokio::time::timeout(LIMIT, async {
        while connection() == first {
            tokio::time::sleep(idle * 2).await;
            stage.sbc.ping().await;
        }
    })
    .await
    .unwrap();
    stage.assert_spotless();
}
