//! Two parties against each other, with nothing between them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod authority;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acs_sim::{
    Behaviour, CallHandle, CallOptions, Carrier, Ending, Exchanged, Faults, HoldDialect,
    MediaConfig, Offer, Party, PartyConfig, Tap, Transport, exchange, exchange_digits,
};
use tokio::time::timeout;

const CALLER: &str = "+14255550100";
const CALLED: &str = "+14255550123";
const LIMIT: Duration = Duration::from_secs(10);

struct Pair {
    a: Party,
    b: Party,
}

async fn pair(transport: Transport, adjust: impl Fn(&mut PartyConfig)) -> Pair {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let config = |name| {
        let mut config = PartyConfig::new(name, transport, nowhere);
        adjust(&mut config);
        config
    };
    let a = Party::start(config("alpha")).await.unwrap();
    let b = Party::start(config("beta")).await.unwrap();
    a.set_peer(b.local_addr());
    b.set_peer(a.local_addr());
    Pair { a, b }
}

impl Pair {
    async fn connect(&self, options: CallOptions) -> (CallHandle, CallHandle) {
        let expected = self.b.expect(CALLED);
        let near = self.a.call(CALLED, options).await.unwrap();
        timeout(LIMIT, near.connected()).await.unwrap().unwrap();
        let far = expected.await.unwrap();
        timeout(LIMIT, far.connected()).await.unwrap().unwrap();
        (near, far)
    }
}

fn assert_exact(audio: &Exchanged, packets: u32) {
    assert!(audio.exact(packets), "{audio:?}");
}

#[tokio::test]
async fn audio_is_exact_both_ways_over_udp() {
    let pair = pair(Transport::Udp, |_| {}).await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    assert_exact(&exchange(&near, &far, 150).await, 150);
    assert_eq!(far.parties().caller, CALLER);
    assert_eq!(near.hang_up().await, Ending::HungUp(acs_sim::By::Us));
    assert_eq!(far.ended().await, Ending::HungUp(acs_sim::By::Them));
    assert!(near.media().rtcp_received > 0, "reports flow");
}

#[tokio::test]
async fn audio_is_exact_both_ways_over_tcp_without_mux_and_across_a_rollover() {
    let pair = pair(Transport::Tcp, |config| {
        config.media.rtcp_mux = false;
        config.media.first_sequence = Some(65_500);
    })
    .await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    assert_exact(&exchange(&near, &far, 150).await, 150);
    assert_eq!(far.hang_up().await, Ending::HungUp(acs_sim::By::Us));
    assert_eq!(near.ended().await, Ending::HungUp(acs_sim::By::Them));
    assert!(
        far.media().rtcp_received > 0,
        "reports flow on the second port"
    );
}

#[tokio::test]
async fn digits_arrive_each_once_and_between_audio() {
    let pair = pair(Transport::Udp, |_| {}).await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    assert_eq!(exchange_digits(&near, &far, "11#").await, "11#");
    assert_eq!(exchange_digits(&far, &near, "*0A").await, "*0A");
    assert_exact(&exchange(&near, &far, 20).await, 20);
    assert_eq!(far.media().digits, "11#");
}

#[tokio::test]
async fn hold_is_silence_and_resume_is_audio_in_every_dialect() {
    let pair = pair(Transport::Udp, |_| {}).await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    for dialect in [
        HoldDialect::SendOnly,
        HoldDialect::Inactive,
        HoldDialect::BlackHole,
    ] {
        near.hold(dialect).await.unwrap();
        assert!(near.state().holding && far.state().held, "{dialect:?}");
        let silenced = timeout(Duration::from_millis(100), far.talk(1)).await;
        assert!(silenced.is_err(), "{dialect:?}: audio is withheld");
        near.resume().await.unwrap();
        assert!(!near.state().holding && !far.state().held, "{dialect:?}");
        assert_exact(&exchange(&near, &far, 10).await, 10);
    }
    far.hold(HoldDialect::Inactive).await.unwrap();
    assert!(near.state().held);
    assert_eq!(near.state().reinvites, 1);
    assert_eq!(near.media().while_held, 0);
}

#[tokio::test]
async fn a_resume_without_an_offer_is_answered_in_its_ack() {
    let pair = pair(Transport::Udp, |_| {}).await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    near.hold(HoldDialect::RecvOnly).await.unwrap();
    near.hold(HoldDialect::Inactive).await.unwrap();
    assert!(far.state().held);
    near.resume_without_offer().await.unwrap();
    let resumed = timeout(LIMIT, far.wait(|state| !state.held)).await;
    assert!(resumed.is_ok());
    assert_exact(&exchange(&near, &far, 10).await, 10);
}

#[tokio::test]
async fn a_call_is_cancelled_while_it_rings() {
    let pair = pair(Transport::Udp, |config| {
        config.behaviours.otherwise = Behaviour::NeverAnswer { ring: true };
    })
    .await;
    let expected = pair.b.expect(CALLED);
    let options = CallOptions {
        cancel_after: Some(Duration::from_millis(50)),
        ..CallOptions::from(CALLER)
    };
    let near = pair.a.call(CALLED, options).await.unwrap();
    let far = expected.await.unwrap();
    assert_eq!(near.ended().await, Ending::Cancelled(acs_sim::By::Us));
    assert_eq!(far.ended().await, Ending::Cancelled(acs_sim::By::Them));
}

#[tokio::test]
async fn each_refusal_arrives_as_sent() {
    let cases = [
        ("+14255550131", Behaviour::busy(), 486),
        ("+14255550132", Behaviour::decline(), 603),
        ("+14255550133", Behaviour::unavailable(Some(1)), 503),
    ];
    let pair = pair(Transport::Udp, |config| {
        for (number, behaviour, _) in &cases {
            config
                .behaviours
                .by_number
                .push(((*number).to_owned(), behaviour.clone()));
        }
    })
    .await;
    for (number, _, status) in &cases {
        let call = pair
            .a
            .call(number, CallOptions::from(CALLER))
            .await
            .unwrap();
        assert_eq!(call.ended().await.status(), Some(*status), "{number}");
    }
    let busy = pair.a.messages();
    let busy = busy
        .iter()
        .find(|m| m.first_line().contains("486"))
        .unwrap();
    assert!(busy.text().contains("Q.850;cause=17"), "{}", busy.text());
}

#[tokio::test]
async fn an_ignored_call_times_out_after_repetitions() {
    let pair = pair(Transport::Udp, |config| {
        config.behaviours.otherwise = Behaviour::Ignore;
        config.timers.t1 = Duration::from_millis(20);
    })
    .await;
    let call = pair
        .a
        .call(CALLED, CallOptions::from(CALLER))
        .await
        .unwrap();
    assert_eq!(call.ended().await, Ending::TimedOut);
    let invites = pair
        .b
        .messages()
        .iter()
        .filter(|m| m.first_line().contains("INVITE"))
        .count();
    assert_eq!(
        invites, 7,
        "RFC 3261 §17.1.1.2: six repetitions before 64 × T1"
    );
}

#[tokio::test]
async fn forks_ring_under_different_tags_and_the_answer_has_another() {
    let pair = pair(Transport::Udp, |config| {
        config.behaviours.otherwise = Behaviour::forked(Duration::from_millis(50));
    })
    .await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    let state = near.state();
    let tags: std::collections::BTreeSet<_> = state
        .progress
        .iter()
        .filter_map(|progress| progress.tag.clone())
        .collect();
    assert_eq!(tags.len(), 4, "{:?}", state.progress);
    assert!(state.progress.iter().any(|progress| progress.early_media));
    assert_exact(&exchange(&near, &far, 10).await, 10);
}

#[tokio::test]
async fn a_delayed_offer_is_answered_in_the_ack() {
    let pair = pair(Transport::Udp, |_| {}).await;
    let options = CallOptions {
        offer: Offer::Delayed,
        ..CallOptions::from(CALLER)
    };
    let (near, far) = pair.connect(options).await;
    assert_exact(&exchange(&near, &far, 10).await, 10);
}

#[tokio::test]
async fn planted_faults_are_found() {
    async fn with(faults: Faults) -> Exchanged {
        let pair = pair(Transport::Udp, |_| {}).await;
        let options = CallOptions {
            media: Some(MediaConfig {
                faults,
                ..MediaConfig::default()
            }),
            ..CallOptions::from(CALLER)
        };
        let (near, far) = pair.connect(options).await;
        exchange(&near, &far, 50).await
    }
    let dropped = with(Faults {
        drop_sent: Some(25),
        ..Faults::default()
    })
    .await;
    assert_eq!((dropped.a_to_b.lost, dropped.b_to_a.lost), (2, 0));
    let deaf = with(Faults {
        drop_received: Some(50),
        ..Faults::default()
    })
    .await;
    assert_eq!((deaf.a_to_b.lost, deaf.b_to_a.lost), (0, 1));
    let damaged = with(Faults {
        corrupt_sent: Some(10),
        ..Faults::default()
    })
    .await;
    assert_eq!((damaged.a_to_b.corrupt, damaged.a_to_b.lost), (5, 5));
    assert!(!damaged.exact(50));
}

#[tokio::test]
async fn the_caller_hangs_up_when_the_script_says_so() {
    let pair = pair(Transport::Tcp, |config| {
        config.behaviours.otherwise =
            Behaviour::answer_after(Duration::ZERO).hanging_up_after(Duration::from_millis(50));
    })
    .await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    assert_eq!(near.ended().await, Ending::HungUp(acs_sim::By::Them));
    assert_eq!(far.ended().await, Ending::HungUp(acs_sim::By::Us));
}

#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<String>>);

impl rustls::KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], _secret: &[u8]) {
        self.0.lock().unwrap().push(label.to_owned());
    }
}

#[tokio::test]
async fn over_tls_with_srtp_the_tap_sees_ciphertext_and_the_key_log_its_secrets() {
    const NAME: &str = "exchange.example";
    let mut settings = authority::Authority::new().settings(&[NAME]);
    let secrets = Arc::new(Secrets::default());
    settings.key_log = Some(Arc::clone(&secrets) as _);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let witness = Arc::clone(&seen);
    let tap = Tap::new(move |chunk| {
        witness
            .lock()
            .unwrap()
            .push((chunk.carrier, chunk.source, chunk.bytes.to_vec()));
    });
    let pair = pair(Transport::Tls, |config| {
        config.tls = Some(settings.clone());
        config.peer_name = Some(NAME.to_owned());
        config.host = Some(NAME.to_owned());
        config.media.secure = true;
        config.media.first_sequence = Some(65_500);
        config.tap = tap.clone();
    })
    .await;
    let (near, far) = pair.connect(CallOptions::from(CALLER)).await;
    assert_exact(&exchange(&near, &far, 150).await, 150);
    assert_eq!(exchange_digits(&near, &far, "5").await, "5");
    assert!(near.media().rtcp_received > 0);
    assert_eq!(near.media().undecryptable + far.media().undecryptable, 0);
    assert!(!secrets.0.lock().unwrap().is_empty());
    let seen = seen.lock().unwrap();
    let has = |text: &[u8]| {
        seen.iter()
            .any(|(_, _, bytes)| bytes.windows(text.len()).any(|part| part == text))
    };
    assert!(!has(b"INVITE") && !has(b"TLk"), "nothing is in the clear");
    let from = |party: &CallHandle| {
        let address = party.media_address();
        seen.iter()
            .filter(|(c, source, _)| *c == Carrier::Udp && *source == address)
            .count()
    };
    // Each packet is seen twice, by its sender and by its receiver.
    assert!(from(&near) >= 300 && from(&far) >= 300);
    assert!(seen.iter().any(|(carrier, _, _)| *carrier == Carrier::Tcp));
}
