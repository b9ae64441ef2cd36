//! Calls by Microsoft's own clients, unmodified, over the simulated SIP Interface.

use std::path::Path;
use std::time::Duration;

use acs_sim::acs::PROXY_NAMES;
use acs_sim::rest::Owned;
use acs_sim::rest::calls::{FarEnd, Subscription};
use acs_sim::{
    AcsConfig, AcsSim, By, CallHandle, CallOptions, Ending, Party, PartyConfig, TlsSettings,
    Transport,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use trunkline_tests::process::Process;

use super::tools::{Tool, World, identity, own};

const FQDN: &str = "sbc1.contoso.example";
const MARKER: &str = "+14255550199";
const OWNED: &str = "+18335550100";
const FAR: &str = "+14255550123";
const BUSY: &str = "+14255550124";
const PATIENCE: Duration = Duration::from_secs(20);

/// A resource whose calls come from a gateway.
struct Calls {
    world: World,
    side: AcsSim,
    gateway: Party,
}

impl Calls {
    async fn new(tool: Tool) -> Self {
        let world = World::new(tool).await;
        let root = CertificateDer::from_pem_slice(world.authority.root().as_bytes());
        let root = root.expect("PEM");
        let tls = |names: &[&str]| {
            let leaf = world.authority.good(names);
            TlsSettings::new(identity(&leaf), vec![root.clone()])
        };
        let loopback = [127, 0, 0, 1].into();
        let mut config = PartyConfig::new("Gateway", Transport::Tls, (loopback, 9).into());
        config.tls = Some(tls(&[FQDN]));
        config.host = Some(FQDN.to_owned());
        config.peer_name = Some(PROXY_NAMES[0].to_owned());
        config.host_map = PROXY_NAMES.map(|name| (name.to_owned(), loopback)).into();
        config.headers = vec![("X-MS-SBC".to_owned(), "Simulated/Gateway/1.0".to_owned())];
        config.one_way = true;
        config.media.secure = true;
        let gateway = Party::start(config).await.expect("a gateway");
        let config = AcsConfig::new(tls(&PROXY_NAMES)).with_trunk(FQDN, gateway.local_addr());
        let side = AcsSim::start(config).await.expect("Microsoft's side");
        gateway.set_peer(side.proxies()[0].1);
        let calls = world.sim.calls();
        calls.attach(&side);
        calls.set_far_end(BUSY, FarEnd::busy());
        world.sim.own(Owned::toll_free(OWNED));
        Self {
            world,
            side,
            gateway,
        }
    }

    async fn dial(&self) -> CallHandle {
        let proxy = PROXY_NAMES[0];
        let options = CallOptions {
            request_uri: Some(format!("sip:{MARKER}@{proxy};user=phone;transport=tls")),
            headers: vec![("X-MS-Custom-Nonce".to_owned(), "n-1".to_owned())],
            ..CallOptions::from("+14255550100")
        };
        self.gateway.call(MARKER, options).await.expect("ports")
    }

    /// Runs a script that serves its own webhook, calls it, and sees it to its end.
    async fn see(&self, script: &Path) {
        let numbers = [("OWNED", OWNED), ("FAR", FAR), ("BUSY", BUSY)];
        let mut process = Process::start("script", &mut self.world.command(script, &numbers));
        let line = process.wait_for("port ", PATIENCE);
        let port: u16 = line
            .trim()
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok())
            .expect(&line);
        let hook = Subscription::new(format!("http://127.0.0.1:{port}/events"));
        self.world
            .sim
            .calls()
            .subscribe(hook)
            .await
            .expect("it wants events");
        let near = self.dial().await;
        assert_eq!(near.ended().await, Ending::HungUp(By::Them));
        let status = process.wait(PATIENCE);
        assert!(status.success(), "{}", process.output());
        assert!(process.output().contains("calls: fine"));
        let calls = self.world.sim.calls();
        assert!(calls.meter().is_still() && calls.live().is_empty());
        assert_eq!(calls.meter().dialled, 4);
        assert_eq!(self.side.violations(), []);
        let refused = self.world.sim.seen().into_iter();
        assert_eq!(refused.filter(|seen| seen.status == Some(401)).count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_answers_joins_and_ends_calls() {
    let Some(tool) = Tool::python().await else {
        return;
    };
    Calls::new(tool).await.see(&own("calls.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_client_answers_joins_and_ends_calls() {
    let Some(tool) = Tool::node().await else {
        return;
    };
    Calls::new(tool).await.see(&own("calls.cjs")).await;
}

/// The guide's application answers a call and plays its welcome; its other script calls by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_guide_answers_and_calls() {
    let Some(guide) = corpora::acceptance("acs-guide") else {
        return;
    };
    let Some(tool) = Tool::python().await else {
        return;
    };
    let calls = Calls::new(tool).await;
    // The application wants to know its port before it listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port().to_string();
    drop(free);
    let base = format!("http://127.0.0.1:{port}");
    let more = [("CALLBACK_URL", base.as_str()), ("PORT", port.as_str())];
    let mut command = calls.world.command(&guide.join("call_handler.py"), &more);
    let mut handler = Process::start("handler", &mut command);
    handler.wait_for("Running on", PATIENCE);
    let hook = Subscription::new(format!("{base}/api/calls/incoming"));
    calls
        .world
        .sim
        .calls()
        .subscribe(hook)
        .await
        .expect("it wants events");
    let near = calls.dial().await;
    near.connected().await.expect("it answers");
    handler.wait_for("Incoming call from: +14255550100", PATIENCE);
    handler.wait_for("Call connected: ", PATIENCE);
    handler.wait_for("PlayCompleted: ", PATIENCE);
    near.hang_up().await;
    handler.wait_for("Call disconnected: ", PATIENCE);
    let script = guide.join("outbound_call.py");
    let more = [more[0], ("SOURCE_NUMBER", OWNED), ("TARGET_NUMBER", FAR)];
    let (code, said) = calls.world.run(&script, &more).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("State: connecting"), "{said}");
    handler.wait_for_nth(2, "Call connected: ", PATIENCE);
    assert!(calls.world.sim.calls().far_end_hangs_up(FAR));
    handler.wait_for_nth(2, "Call disconnected: ", PATIENCE);
}
