//! The client against the simulation of a resource: what works, and everything that goes wrong.

use std::time::{Duration, Instant};

use acs_client::phone_numbers::{AssignmentType, Capabilities, Capability, NumberType, Search};
use acs_client::sip_routing::{SipPatch, SipTrunk, SipTrunkRoute};
use acs_client::{Client, ConnectionString, Error, Repeatability, RequestId, Settings};
use acs_sim::Identity;
use acs_sim::rest::{Fault, Owned, RestConfig, RestSim, Trouble};

const KEY: &[u8] = b"a key for tests";

fn settings() -> Settings {
    Settings {
        timeout: Duration::from_millis(300),
        backoff: Duration::from_millis(5),
        poll: Duration::from_millis(5),
        longest_wait: Duration::from_secs(2),
        ..Settings::default()
    }
}

async fn resource() -> (RestSim, Client) {
    let sim = RestSim::start(RestConfig::new(KEY))
        .await
        .expect("a socket");
    let client = client(&sim.connection_string("127.0.0.1"), settings());
    (sim, client)
}

fn client(connection: &str, settings: Settings) -> Client {
    let connection = ConnectionString::parse(connection).expect("a connection string");
    Client::new(connection, settings).expect("a client")
}

fn search(quantity: u32) -> Search {
    Search {
        phone_number_type: NumberType::TollFree,
        assignment_type: AssignmentType::Application,
        capabilities: Capabilities {
            calling: Capability::Both,
            sms: Capability::Both,
        },
        area_code: Some("833".to_owned()),
        quantity,
    }
}

fn one_trunk() -> SipPatch {
    let trunk = SipTrunk {
        sip_signaling_port: 5061,
    };
    SipPatch {
        trunks: [("sbc1.contoso.example".to_owned(), Some(trunk))].into(),
        routes: Some(vec![SipTrunkRoute {
            name: "us".to_owned(),
            description: String::new(),
            number_pattern: r"^\+1[0-9]{10}$".to_owned(),
            trunks: vec!["sbc1.contoso.example".to_owned()],
        }]),
    }
}

#[tokio::test]
async fn trunks_and_routes_are_written_and_read() {
    let (_sim, client) = resource().await;
    assert_eq!(
        client.sip_configuration().await.expect("empty"),
        acs_client::sip_routing::SipConfiguration::default()
    );
    let written = client.patch_sip_configuration(&one_trunk()).await;
    let written = written.expect("a change");
    assert_eq!(written.routes, one_trunk().routes.expect("routes"));
    assert_eq!(client.sip_configuration().await.expect("read"), written);
    let none = acs_client::sip_routing::SipConfiguration::default();
    let back = SipPatch::between(&written, &none);
    let cleared = client.patch_sip_configuration(&back).await;
    assert_eq!(cleared.expect("cleared"), none);
}

#[tokio::test]
async fn numbers_are_searched_bought_changed_and_given_up() {
    let (sim, client) = resource().await;
    let mut looks = 0;
    let found = client
        .search_numbers("US", &search(2), &mut |_| looks += 1)
        .await
        .expect("found");
    assert_eq!(looks, 3, "taken, running, then done");
    assert_eq!(found.phone_numbers, ["+18335550100", "+18335550101"]);
    client
        .purchase_numbers(&found.search_id, false, Repeatability::fresh(), &mut |_| {})
        .await
        .expect("bought");
    assert_eq!(sim.owned().len(), 2);
    let only_calls = Capabilities {
        calling: Capability::Inbound,
        sms: Capability::None,
    };
    let changed = client
        .update_number("+18335550100", only_calls, &mut |_| {})
        .await
        .expect("changed");
    assert_eq!(changed.capabilities, only_calls);
    client
        .release_number("+18335550101", &mut |_| {})
        .await
        .expect("given up");
    let left = client.purchased_numbers().await.expect("a list");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].phone_number, "+18335550100");
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let (sim, client) = resource().await;
    for line in 0..230 {
        sim.own(Owned::toll_free(&format!("+1833555{line:04}")));
    }
    let all = client.purchased_numbers().await.expect("a list");
    assert_eq!(all.len(), 230);
    assert_eq!(sim.seen().len(), 3);
    assert!(
        all.windows(2)
            .all(|two| two[0].phone_number < two[1].phone_number)
    );
}

#[tokio::test]
async fn each_refusal_has_its_cause_and_is_not_repeated() {
    let (sim, client) = resource().await;
    for (status, code) in [
        (401, "Denied"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "Conflict"),
        (422, "UnprocessableConfiguration"),
        (400, "BadRequest"),
        (501, "NotImplemented"),
    ] {
        let before = sim.seen().len();
        sim.inject(Fault::refused(status, code));
        let error = client.sip_configuration().await.expect_err("a fault");
        let fits = match &error {
            Error::Unauthenticated(_) => status == 401,
            Error::Forbidden(_) => status == 403,
            Error::NotFound(_) => status == 404,
            Error::Conflict(_) => status == 409,
            Error::Invalid(_) => matches!(status, 400 | 422),
            Error::Failing { tries, .. } => status == 501 && *tries == 1,
            Error::Throttled { .. }
            | Error::Unreachable { .. }
            | Error::Silent { .. }
            | Error::Garbled { .. }
            | Error::GivenUp { .. }
            | Error::Unfinished { .. } => false,
        };
        assert!(fits, "{status}: {error}");
        let answer = error.answer().expect("an answer");
        assert_eq!((answer.status, answer.code.as_str()), (status, code));
        assert_eq!(sim.seen().len(), before + 1, "{status} was asked again");
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_from_everything_else() {
    let (sim, _) = resource().await;
    let right = sim.connection_string("127.0.0.1");
    let endpoint = right.split(";accesskey=").next().expect("an endpoint");
    let wrong = client(&format!("{endpoint};accesskey=c2VjcmV0"), settings());
    let error = wrong.sip_configuration().await.expect_err("a wrong key");
    assert!(matches!(error, Error::Unauthenticated(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("c2VjcmV0"));
}

#[tokio::test]
async fn the_broken_rule_is_named() {
    let (_sim, client) = resource().await;
    let mut patch = one_trunk();
    patch.trunks.clear();
    let error = client.patch_sip_configuration(&patch).await;
    let error = error.expect_err("a route without its trunk");
    let answer = error.answer().expect("an answer");
    assert_eq!(answer.inner.as_deref(), Some("MissingTrunk"));
    assert!(
        error.to_string().contains("sbc1.contoso.example"),
        "{error}"
    );
}

#[tokio::test]
async fn what_passes_is_waited_out() {
    let (sim, client) = resource().await;
    for status in [429, 500, 503] {
        sim.inject(Fault::refused(status, "Busy").times(2));
        client.sip_configuration().await.expect("the third try");
    }
    sim.inject(Fault::next(Trouble::Never));
    client.sip_configuration().await.expect("the second try");
    sim.inject(Fault::next(Trouble::Slow(Duration::from_millis(50))));
    client.sip_configuration().await.expect("late is not never");
}

#[tokio::test]
async fn what_does_not_pass_ends_after_so_many_tries() {
    let (sim, client) = resource().await;
    sim.inject(Fault::refused(500, "Broken").times(100));
    let error = client.sip_configuration().await.expect_err("a fault");
    assert!(matches!(error, Error::Failing { tries: 4, .. }), "{error}");
    assert_eq!(sim.seen().len(), 4);

    let (sim, client) = resource().await;
    sim.inject(Fault::next(Trouble::Never).times(100));
    let error = client.sip_configuration().await.expect_err("silence");
    let silent = matches!(
        error,
        Error::Silent {
            tries: 4,
            changes: false,
            ..
        }
    );
    assert!(silent, "{error}");
    assert!(!error.is_outcome_unknown());
    let error = client.patch_sip_configuration(&one_trunk()).await;
    assert!(error.expect_err("silence").is_outcome_unknown());
}

#[tokio::test]
async fn azure_is_left_alone_as_long_as_it_asks() {
    let (sim, client) = resource().await;
    let busy = |seconds| {
        Fault::next(Trouble::Refused {
            status: 429,
            code: "TooManyRequests".to_owned(),
            retry_after: Some(seconds),
        })
    };
    sim.inject(busy(1));
    let asked = Instant::now();
    client.sip_configuration().await.expect("the second try");
    assert!(asked.elapsed() >= Duration::from_secs(1));
    sim.inject(busy(3600));
    let before = sim.seen().len();
    let error = client.sip_configuration().await.expect_err("an hour");
    let hour = Some(Duration::from_secs(3600));
    assert!(
        matches!(&error, Error::Throttled { wait, .. } if *wait == hour),
        "{error}"
    );
    assert_eq!(sim.seen().len(), before + 1);
}

/// The order arrives, its answer is lost, it is sent again: one number is bought.
#[tokio::test]
async fn nothing_is_bought_twice() {
    let (sim, client) = resource().await;
    let found = client.search_numbers("US", &search(1), &mut |_| {}).await;
    let found = found.expect("found");
    sim.inject(Fault::next(Trouble::AnswerLost).on("POST"));
    sim.inject(Fault::refused(500, "Broken").on("POST"));
    client
        .purchase_numbers(&found.search_id, false, Repeatability::fresh(), &mut |_| {})
        .await
        .expect("bought once");
    assert_eq!(sim.owned().len(), 1);
    let seen = sim.seen();
    let orders: Vec<_> = seen
        .iter()
        .filter(|seen| seen.request.path().ends_with(":purchase"))
        .collect();
    assert_eq!(orders.len(), 3);
    for name in ["repeatability-request-id", "repeatability-first-sent"] {
        let first = orders[0].request.header(name).expect(name);
        assert!(
            orders
                .iter()
                .all(|order| order.request.header(name) == Some(first))
        );
    }
    let bought = |order: &&&acs_sim::rest::Seen| order.status == Some(202);
    assert_eq!(orders.iter().filter(bought).count(), 1);
}

#[tokio::test]
async fn an_operation_that_azure_gives_up_says_why() {
    let (sim, client) = resource().await;
    sim.fail_operation("NotEnoughCredit", "The subscription has no credit.");
    let error = client.search_numbers("US", &search(1), &mut |_| {}).await;
    let error = error.expect_err("given up");
    assert!(matches!(&error, Error::GivenUp { code, .. } if code == "NotEnoughCredit"));
    let error = client
        .search_numbers("US", &search(1000), &mut |_| {})
        .await;
    assert!(matches!(error, Err(Error::Invalid(_))));
    let error = client.search_numbers("US", &search(100), &mut |_| {}).await;
    error.expect("exactly a hundred are there");
    let error = client.search_numbers("US", &search(1), &mut |_| {}).await;
    let error = error.expect_err("all are kept for the first");
    assert!(
        matches!(&error, Error::GivenUp { code, .. } if code == "OutOfStock"),
        "{error}"
    );
}

#[tokio::test]
async fn an_operation_is_not_watched_for_ever() {
    let config = RestConfig {
        running: 1_000,
        ..RestConfig::new(KEY)
    };
    let sim = RestSim::start(config).await.expect("a socket");
    let brief = Settings {
        operation: Duration::from_millis(50),
        ..settings()
    };
    let client = client(&sim.connection_string("127.0.0.1"), brief);
    let error = client.search_numbers("US", &search(1), &mut |_| {}).await;
    let error = error.expect_err("it runs on");
    assert!(matches!(error, Error::Unfinished { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_asked_for_again() {
    let (sim, client) = resource().await;
    sim.inject(Fault::next(Trouble::Garbled("<html>".to_owned())));
    let error = client.sip_configuration().await.expect_err("no JSON");
    assert!(matches!(error, Error::Garbled { .. }), "{error}");
    assert_eq!(sim.seen().len(), 1);
    let deep = "[".repeat(100_000);
    sim.inject(Fault::next(Trouble::Garbled(deep)));
    let error = client.sip_configuration().await.expect_err("too deep");
    assert!(matches!(error, Error::Garbled { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_from_silence() {
    let (sim, client) = resource().await;
    drop(sim);
    // The socket closes when the runtime drops the server.
    let error = loop {
        match client.sip_configuration().await {
            Err(error @ Error::Unreachable { .. }) => break error,
            Err(_) | Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn only_a_certificate_of_the_given_roots_is_trusted() {
    let (identity, root) = certified("localhost");
    let config = RestConfig {
        identity: Some(identity),
        ..RestConfig::new(KEY)
    };
    let sim = RestSim::start(config).await.expect("a socket");
    let connection = sim.connection_string("localhost");
    let trusting = Settings {
        roots: Some(root.into_bytes()),
        ..settings()
    };
    let (_, stranger) = certified("localhost");
    let strict = Settings {
        roots: Some(stranger.into_bytes()),
        ..settings()
    };
    let read = client(&connection, trusting).sip_configuration().await;
    read.expect("over TLS");
    let error = client(&connection, strict).sip_configuration().await;
    let error = error.expect_err("a stranger's certificate");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

/// An identity of `name`, and the root it hangs from, in PEM.
fn certified(name: &str) -> (Identity, String) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority_key).expect("a root");
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("a leaf");
    let identity = Identity {
        chain: vec![leaf.der().clone()],
        key: rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    };
    (identity, root.pem())
}

#[tokio::test]
async fn a_purchase_sent_again_by_another_process_is_the_same_one() {
    let (sim, first) = resource().await;
    let found = first.search_numbers("US", &search(1), &mut |_| {}).await;
    let found = found.expect("found").search_id;
    let name = Repeatability::fresh();
    sim.inject(Fault::next(Trouble::AnswerLost).on("POST").times(4));
    let lost = first
        .purchase_numbers(&found, false, name, &mut |_| {})
        .await;
    assert!(lost.expect_err("lost").is_outcome_unknown());
    let id = RequestId::parse(&name.id.to_string()).expect("an id");
    assert_eq!(id, name.id);
    let second = client(&sim.connection_string("127.0.0.1"), settings());
    let mut taken = Vec::new();
    let bought = second
        .purchase_numbers(&found, false, Repeatability { id, ..name }, &mut |at| {
            taken.push(at.id.clone());
        })
        .await;
    bought.expect("the same one");
    assert_eq!(sim.owned().len(), 1);
    assert!(taken[0].starts_with("purchase_"), "{taken:?}");
    let other = second
        .purchase_numbers(&found, false, Repeatability::fresh(), &mut |_| {})
        .await;
    assert!(matches!(other, Err(Error::Conflict(_))), "{other:?}");
    for text in ["", "+0000000-0000-4000-8000-000000000001", "0", "hello"] {
        assert_eq!(RequestId::parse(text), None, "{text}");
    }
}

#[tokio::test]
async fn what_an_earlier_try_may_have_done_is_not_denied() {
    let (sim, client) = resource().await;
    let found = client.search_numbers("US", &search(1), &mut |_| {}).await;
    let found = found.expect("found").search_id;
    sim.inject(Fault::next(Trouble::AnswerLost).on("POST"));
    let throttled = Trouble::Refused {
        status: 429,
        code: "TooManyRequests".to_owned(),
        retry_after: Some(3600),
    };
    sim.inject(Fault::next(throttled).on("POST"));
    let bought = client
        .purchase_numbers(&found, false, Repeatability::fresh(), &mut |_| {})
        .await;
    let error = bought.expect_err("throttled");
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(sim.owned().len(), 1);
}
