//! A gateway that keeps the rules: OPTIONS, calls, hold, forks, connections.

use std::time::Duration;

use acs_sim::acs::{PROXY_NAMES, TrunkStatus};
use acs_sim::{
    AcsConfig, AcsSim, Behaviour, By, Ending, HoldDialect, ProxyMode, exchange, exchange_digits,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{APP, DESCRIPTION, FQDN, LIMIT, LOOPBACK, Stage, polite, stage};

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
async fn a_proxy_that_goes_down_ends_the_handshakes_it_is_in() {
    let authority = crate::authority::Authority::new();
    let config = AcsConfig::new(authority.settings(&PROXY_NAMES));
    let acs = AcsSim::start(config).await.unwrap();
    let own = authority.settings(&[FQDN]).identity;
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(authority.root()).unwrap();
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(trusted)
        .with_client_auth_cert(own.chain, own.key)
        .unwrap();
    let name = PROXY_NAMES[0].try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(client.into(), name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut tcp = TcpStream::connect(acs.proxies()[0].1).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    while tls.is_handshaking() {
        let length = tcp.read(&mut bytes).await.unwrap();
        assert!(length > 0, "the proxy answers the ClientHello");
        tls.read_tls(&mut &bytes[..length]).unwrap();
        tls.process_new_packets().unwrap();
    }
    acs.set_mode(0, ProxyMode::Down).await.unwrap();
    let mut finished = Vec::new();
    tls.write_tls(&mut finished).unwrap();
    // It may be refused: the proxy is gone.
    let _ = tcp.write_all(&finished).await;
    let end = async { while let Ok(1..) = tcp.read(&mut bytes).await {} };
    tokio::time::timeout(LIMIT, end).await.unwrap();
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
    let mut activity = stage.sbc.activity();
    assert_eq!(stage.sbc.ping().await, Some(200));
    let first = connection();
    let open = || {
        let connections = stage.sbc.connections();
        connections
            .iter()
            .any(|one| one.id == Some(first) && one.closed.is_none())
    };
    tokio::time::timeout(LIMIT, async {
        while open() {
            activity.changed().await.unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(stage.sbc.ping().await, Some(200));
    assert_ne!(connection(), first);
    stage.assert_spotless();
}
