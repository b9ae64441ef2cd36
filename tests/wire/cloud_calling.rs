//! Calls of an office that Microsoft carries: over the simulated SIP Interface to the simulated
//! resource, and from there into a scripted telephone network whose meter must stand still after.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use acs_sim::acs::{AcsConfig, AcsSim};
use acs_sim::rest::calls::{CallAutomation, FarEnd, Mischief, Seal, Subscription};
use acs_sim::rest::{Owned, RestConfig, RestSim};
use acs_sim::{Identity, TlsSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use trunkline_tests::certificates::{Authority, Leaf};
use trunkline_tests::daemon::{self, operate};
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::telephone::{Dialog, Telephone};

const CALLED: &str = "+12065550123";
const CALLER: &str = "+14255550177";
const CALLER_ID: &str = "+18005550101";
const SECRET: &str = "a-secret-of-twenty-characters";
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything around one gateway.
struct World {
    lab: Lab,
    daemon: Process,
    office: Telephone,
    carrier: Telephone,
    _microsoft: AcsSim,
    resource: RestSim,
}

fn identity(leaf: &Leaf) -> Identity {
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
    Identity {
        chain: chain.collect::<Result<_, _>>().expect("PEM"),
        key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM"),
    }
}

async fn resource(lab: &Lab, authority: &Authority) -> RestSim {
    let mut config = RestConfig {
        identity: Some(identity(&authority.good(&["localhost"]))),
        ..RestConfig::new(b"a key for tests".as_slice())
    };
    config.calls.roots = Some(authority.root().into_bytes());
    config.calls.hosts = [(FQDN.to_owned(), lab.host(1))].into();
    let sim = RestSim::start(config).await.expect("a socket");
    sim.own(Owned::toll_free(CALLER_ID));
    sim
}

async fn microsoft(lab: &Lab, authority: &Authority) -> AcsSim {
    let root = CertificateDer::from_pem_slice(authority.root().as_bytes()).expect("PEM");
    let tls = TlsSettings::new(identity(&authority.good(&[MICROSOFT])), vec![root]);
    let mut config = AcsConfig::new(tls).with_trunk(FQDN, gateway::tls(lab));
    config.proxies.truncate(1);
    config.proxies[0].bind = gateway::microsoft(lab);
    config.media.bind = lab.host(3);
    AcsSim::start(config).await.expect("a socket")
}

fn configuration(lab: &Lab, resource: &RestSim) -> String {
    let connection = resource.connection_string("localhost");
    let port = resource.address().port();
    let (own, office) = (lab.host(1), lab.host(4));
    let routes = format!(
        r#"
[cloud_calling]
connection_string = "{connection}"
caller_ids = ["{CALLER_ID}"]
marker = "+14255550199"
listen = "{own}:8443"
public_url = "https://{FQDN}:8443"
secret = "{SECRET}"
audience = "00000000-0000-4000-8000-000000000000"
openid = "https://localhost:{port}/calling/.well-known/acsopenidconfiguration"
roots = "roots.pem"
ring_timeout = "20s"
[[trunk]]
name = "office"
preset = "pbx"
listen = "udp:{own}:5070"
peers = ["udp:{office}:5060"]
options = {{ interval = "0s" }}
[[route]]
name = "office"
from = "office"
to = ["cloud-calling", "carrier"]
[[route]]"#
    );
    gateway::configuration(lab).replacen("[[route]]", &routes, 1)
}

impl World {
    async fn start() -> Self {
        let (lab, authority) = (Lab::new(), Authority::new());
        authority.good(&[FQDN]).write(&lab, "sbc1");
        lab.write("roots.pem", &authority.root());
        let microsoft = microsoft(&lab, &authority).await;
        let resource = resource(&lab, &authority).await;
        resource.calls().attach(&microsoft);
        let mut daemon = daemon::start(&lab, &configuration(&lab, &resource));
        // Before that, nothing that Azure says of a call could be believed, and none is made.
        daemon.wait_for("the keys that Azure signs with", Duration::from_secs(20));
        gateway::wait_online(&lab);
        let url = format!("https://{FQDN}:8443/events/{SECRET}");
        let subscription = Subscription::new(&url);
        let subscribed = resource.calls().subscribe(subscription).await;
        subscribed.expect("the gateway wants events");
        let office = SocketAddr::new(lab.host(4), 5060);
        let office = Telephone::at(office, SocketAddr::new(lab.host(1), 5070));
        let carrier = Telephone::start(&lab);
        Self {
            lab,
            daemon,
            office,
            carrier,
            _microsoft: microsoft,
            resource,
        }
    }

    fn calls(&self) -> &CallAutomation {
        self.resource.calls()
    }

    fn media(host: IpAddr) -> SocketAddr {
        SocketAddr::new(host, 6000)
    }

    fn dial(&self) -> String {
        let media = Self::media(self.lab.host(4));
        self.office.call(CALLER, CALLED, media)
    }

    /// The office calls, and talks to somebody behind Microsoft.
    fn connect(&mut self) -> Dialog {
        self.dial();
        self.office.response("INVITE", 180);
        let ok = self.office.response("INVITE", 200);
        assert!(ok.body.contains("m=audio"), "{ok:?}");
        self.office.acknowledge(&ok)
    }

    /// The call leaves through the carrier, after so long.
    fn by_the_carrier(&mut self) {
        let invite = self.carrier.request("INVITE");
        let media = Self::media(self.lab.host(2));
        let _ = self.carrier.pick_up(&invite, media);
        let ok = self.office.response("INVITE", 200);
        let dialog = self.office.acknowledge(&ok);
        self.carrier.request("ACK");
        self.office.hang_up(&dialog);
        let bye = self.carrier.request("BYE");
        self.carrier.send(&bye.response("200 OK", "phone", &[], ""));
    }

    /// Nobody is called any more, and Azure has no call.
    async fn nothing_is_left(&self) {
        assert!(
            self.calls().still(PATIENCE).await,
            "{:?}",
            self.calls().meter()
        );
        let over = self
            .calls()
            .until(PATIENCE, |calls| calls.live().is_empty());
        assert!(over.await, "{:?}", self.calls().live());
    }

    /// The first record, once it is written.
    fn record(&self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.lab.path("records.jsonl"));
            if let Some(line) = text.unwrap_or_default().lines().next() {
                return serde_json::from_str(line).expect("JSON");
            }
            assert!(Instant::now() < until, "no record");
            // The file tells no one when it changes.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn metric(&self, name: &str) -> Option<String> {
        let page = gateway::metrics(&self.lab);
        let mut lines = page.lines();
        let line = lines.find(|line| line.starts_with(name))?;
        line.rsplit(' ').next().map(str::to_owned)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_through_microsoft_and_leaves_nothing_behind() {
    let mut world = World::start().await;
    let far_end = FarEnd::answers_after(Duration::from_millis(800));
    world.calls().set_far_end(CALLED, far_end);
    let dialog = world.connect();
    let meter = world.calls().meter();
    assert_eq!(meter.up.len(), 1, "{meter:?}");
    assert_eq!(meter.up[0].caller_id, CALLER_ID);
    assert_eq!(meter.up[0].number, CALLED);
    world.office.hang_up(&dialog);
    world.nothing_is_left().await;
    let record = world.record();
    let attempts = record["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 1, "{record}");
    let cloud = &attempts[0]["cloud_calling"];
    assert_eq!(cloud["to"], CALLED);
    assert_eq!(cloud["caller_id"], CALLER_ID);
    let connection = cloud["call_connection_id"].as_str().expect("an id");
    assert_eq!(connection, meter.up[0].call);
    assert_eq!(record["ended_by"], "caller");
    // The caller heard ringing, and was answered when somebody was.
    let (ringing, answered) = (&record["ringing"], &record["answered"]);
    assert!(ringing.as_str() < answered.as_str(), "{record}");
    assert_eq!(
        world
            .metric("trunkline_cloud_calls_total{outcome=\"asked\"}")
            .as_deref(),
        Some("1")
    );
}

/// Until Azure's keys are known no call can be carried, but nobody waits for them for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_without_azures_keys_when_it_has_waited_for_them() {
    let (lab, authority) = (Lab::new(), Authority::new());
    authority.good(&[FQDN]).write(&lab, "sbc1");
    lab.write("roots.pem", &authority.root());
    let resource = resource(&lab, &authority).await;
    // Takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = silent.local_addr().expect("an address").port();
    let there = format!("localhost:{}/calling", resource.address().port());
    let text = configuration(&lab, &resource).replace(&there, &format!("localhost:{here}/calling"));
    let file = lab.write("trunkline.toml", &text);
    let mut command = Command::new(daemon::binary());
    let mut daemon = Process::start("trunkline", command.arg("run").arg("-c").arg(file));
    let _asked = silent.accept().expect("the keys are asked for");
    daemon.wait_for("the keys that Azure signs with are not known yet", PATIENCE);
    daemon.wait_for("serving", PATIENCE);
    let output = daemon.output();
    let place = |wanted| output.find(wanted).expect("it was said");
    assert!(
        place("are not known yet") < place("serving"),
        "it served too early:\n{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_end_hangs_up() {
    let mut world = World::start().await;
    let _dialog = world.connect();
    assert!(world.calls().far_end_hangs_up(CALLED));
    let bye = world.office.request("BYE");
    world.office.send(&bye.response("200 OK", "phone", &[], ""));
    world.nothing_is_left().await;
    assert_eq!(world.record()["ended_by"], "called");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_microsoft_does_not_carry_the_carrier_does() {
    let mut world = World::start().await;
    for far_end in [
        FarEnd::busy(),
        FarEnd::refuses_caller_id(),
        FarEnd::refused(403, "Forbidden"),
    ] {
        world.calls().set_far_end(CALLED, far_end.clone());
        world.dial();
        world.by_the_carrier();
        world.nothing_is_left().await;
        assert_eq!(world.calls().meter().answered, 0, "{far_end:?}");
    }
    let record = world.record();
    let attempts = record["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{record}");
    assert_eq!(attempts[0]["status"], 486);
    let reason = attempts[0]["cloud_calling"]["reason"].as_str();
    assert!(reason.is_some_and(|why| why.contains("busy")), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_never_comes_costs_ten_seconds() {
    let mut world = World::start().await;
    world.calls().wish("IncomingCall", Mischief::Lost, 1);
    let begun = Instant::now();
    world.dial();
    world.office.response("INVITE", 180);
    world.by_the_carrier();
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(13),
        "{took:?}"
    );
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_repeated_events_change_nothing() {
    let mut world = World::start().await;
    let calls = world.calls().clone();
    calls.wish("AddParticipantSucceeded", Mischief::Twice, 1);
    calls.wish("CallConnected", Mischief::Twice, 1);
    let dialog = world.connect();
    assert_eq!(calls.meter().dialled, 1);
    // The same event once more: its nonce is used up.
    assert_eq!(calls.replay("IncomingCall").await, Some(403));
    let connected = calls
        .posted()
        .into_iter()
        .find(|one| one.kind == "CallConnected");
    let url = connected.expect("a callback").url;
    let about = calls.live()[0].id.clone();
    let data = json!({"callConnectionId": about, "serverCallId": "s", "correlationId": "k"});
    for (seal, status) in [
        (Seal::Spoilt(Mischief::WrongKey), 403),
        (Seal::Spoilt(Mischief::Expired), 403),
        (Seal::Spoilt(Mischief::WrongAudience), 403),
        (Seal::Spoilt(Mischief::WrongIssuer), 403),
        (Seal::Spoilt(Mischief::NoToken), 401),
    ] {
        let answered = calls.forge(&url, "CallDisconnected", &data, seal).await;
        assert_eq!(answered, Some(status), "{seal:?}");
    }
    // Whoever has a token and not the address, or the address and not the call.
    let elsewhere = format!("https://{FQDN}:8443/calls/{}", "0".repeat(32));
    let answered = calls
        .forge(&elsewhere, "CallDisconnected", &data, Seal::Right)
        .await;
    assert_eq!(answered, Some(404));
    let other = json!({"callConnectionId": "other", "serverCallId": "s", "correlationId": "k"});
    let answered = calls
        .forge(&url, "CallDisconnected", &other, Seal::Right)
        .await;
    assert_eq!(answered, Some(403));
    // Who does not know the secret makes no call.
    let stranger = format!("https://{FQDN}:8443/events/not-the-secret-of-anybody");
    assert!(calls.subscribe(Subscription::new(&stranger)).await.is_err());
    assert_eq!(calls.meter().up.len(), 1);
    world.office.hang_up(&dialog);
    world.nothing_is_left().await;
    assert_eq!(calls.meter().dialled, 1);
    let refused = |why: &str| {
        let name = format!("trunkline_cloud_posts_total{{outcome=\"{why}\"}}");
        world.metric(&name).unwrap_or_default()
    };
    for why in [
        "nonce",
        "token",
        "no-token",
        "callback",
        "connection",
        "secret",
    ] {
        assert!(
            refused(why).parse::<u32>().is_ok_and(|count| count > 0),
            "{why}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_are_taken_as_well() {
    let mut world = World::start().await;
    let url = format!("https://{FQDN}:8443/events/{SECRET}");
    let subscription = Subscription::new(&url).cloud_events();
    let subscribed = world.calls().subscribe(subscription).await;
    subscribed.expect("the gateway wants events");
    let dialog = world.connect();
    world.office.hang_up(&dialog);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_gives_up_while_it_rings() {
    let mut world = World::start().await;
    world.calls().set_far_end(CALLED, FarEnd::Never);
    let call_id = world.dial();
    world.office.response("INVITE", 180);
    let rings = world
        .calls()
        .until(PATIENCE, |calls| calls.meter().ringing.len() == 1);
    assert!(rings.await);
    let (own, host) = (world.office.address(), world.lab.host(1));
    world.office.send(&format!(
        "CANCEL sip:{CALLED}@{host}:5070 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK-{call_id}-invite\r\nMax-Forwards: 70\r\n\
         From: \"A caller\" <sip:{CALLER}@{own}>;tag=phone\r\nTo: <sip:{CALLED}@{host}:5070>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n"
    ));
    world.office.response("INVITE", 487);
    world.nothing_is_left().await;
    assert_eq!(world.calls().meter().answered, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_hangs_up_at_azure() {
    let mut world = World::start().await;
    let _dialog = world.connect();
    world.daemon.signal("TERM");
    world.daemon.wait_for("draining", PATIENCE);
    assert_eq!(world.calls().meter().up.len(), 1);
    world.daemon.signal("TERM");
    let bye = world.office.request("BYE");
    world.office.send(&bye.response("200 OK", "phone", &[], ""));
    world.nothing_is_left().await;
    assert!(world.daemon.wait(PATIENCE).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_is_explained() {
    let world = World::start().await;
    let words = ["route", "explain", CALLED, "--via", "office", "--json"];
    let (code, out, err) = operate(&world.lab, &words);
    assert_eq!(code, 0, "{err}");
    let decision: Value = serde_json::from_str(&out).expect("JSON");
    let first = &decision["attempts"][0];
    assert_eq!(first["target"], "cloud-calling");
    assert_eq!(first["trunk"], "acs");
    assert_eq!(first["dials"], CALLED);
    assert_eq!(first["caller_id"], CALLER_ID);
    let uri = first["request_uri"].as_str().expect("a URI");
    assert!(
        uri.starts_with("sip:+14255550199@sip.pstnhub.microsoft.com"),
        "{uri}"
    );
    assert_eq!(decision["attempts"][1]["target"], "carrier");
}
