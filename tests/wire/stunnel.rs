//! SIPp behind stunnel on both sides: a carrier and an exchange whose trunks are TLS, with
//! OpenSSL's handshakes and somebody else's idea of where a secured connection ends.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trunkline_tests::certificates::{Authority, Usage, Wish};
use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::sipp::Sipp;

const SOON: Duration = Duration::from_secs(10);
/// What the gateway is called.
const FQDN: &str = "sbc1.contoso.example";
/// What the carrier and the exchange are called.
const CARRIER: &str = "sip.carrier.example";
const EXCHANGE: &str = "pbx.contoso.example";

/// One stunnel: the folder `name` holds its settings; it listens at `accept` and goes on to
/// `connect`.
fn stunnel(lab: &Lab, name: &str, accept: SocketAddr, connect: SocketAddr, more: &str) -> Process {
    let file = |file: &str| lab.path(file).display().to_string();
    let settings = lab.write(
        &format!("{name}.conf"),
        &format!(
            "foreground = yes\ndebug = info\npid =\nsyslog = no\n[sip]\naccept = {accept}\n\
             connect = {connect}\ncert = {}\nkey = {}\nCAfile = {}\n{more}\n",
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
            file("roots.pem"),
        ),
    );
    let mut stunnel = Process::start(name, Command::new("stunnel").arg(settings));
    stunnel.wait_for("Configuration successful", SOON);
    stunnel
}

/// Gateway between two TLS trunks.
struct Stage {
    lab: Lab,
    authority: Authority,
    gateway: Process,
}

impl Stage {
    fn start() -> Self {
        let (lab, authority) = (Lab::new(), Authority::new());
        lab.write("roots.pem", &authority.root());
        // stunnel takes no client whose certificate does not say that it may be one.
        for (name, host) in [("sbc1", FQDN), ("carrier", CARRIER), ("pbx", EXCHANGE)] {
            let leaf = authority.issue(Wish {
                usage: Usage::Both,
                ..Wish::good(&[host])
            });
            leaf.write(&lab, name);
        }
        let text = format!(
            r#"
[gateway]
fqdn = "{FQDN}"
bind = "{gateway}"
records = "records.jsonl"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"
[media]
ports = "20000-20199"
shards = 1
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "tls:{gateway}:5061"
peers = ["tls:{CARRIER}:5061"]
peer_names = ["{CARRIER}"]
options = {{ interval = "0s" }}
[[trunk]]
name = "pbx"
preset = "pbx"
listen = "tls:{gateway}:5071"
peers = ["tls:{EXCHANGE}:5061"]
options = {{ interval = "0s" }}
[[route]]
name = "in"
from = "carrier"
to = "pbx"
[admin]
listen = "{gateway}:9090"
socket = "admin.sock"
[hosts]
"{CARRIER}" = "{carrier}"
"{EXCHANGE}" = "{pbx}"
"#,
            gateway = lab.host(1),
            carrier = lab.host(2),
            pbx = lab.host(3),
        );
        let gateway = daemon::start(&lab, &text);
        Self {
            lab,
            authority,
            gateway,
        }
    }

    /// The exchange's stunnel: it demands the gateway's certificate and leads to SIPp's TCP.
    fn before_the_exchange(&self) -> Process {
        let (at, to) = (self.at(3, 5061), self.at(3, 5060));
        let more = "verifyChain = yes\nrequireCert = yes\nsslVersionMin = TLSv1.2";
        stunnel(&self.lab, "pbx", at, to, more)
    }

    /// The carrier's stunnel: SIPp's TCP goes in, TLS to the gateway comes out.
    fn behind_the_carrier(&self) -> Process {
        let (at, to) = (self.at(2, 5070), self.at(1, 5061));
        let more = format!(
            "client = yes\nlocal = {}\nsni = {FQDN}\nverifyChain = yes\ncheckHost = {FQDN}",
            self.lab.host(2)
        );
        stunnel(&self.lab, "carrier", at, to, &more)
    }

    fn at(&self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::new(self.lab.host(host), port)
    }

    /// The gateway is ended and the one record of its one call read.
    fn record(mut self) -> Value {
        self.gateway.signal("TERM");
        assert!(self.gateway.wait(SOON).success());
        let records = std::fs::read_to_string(self.lab.path("records.jsonl")).expect("written");
        serde_json::from_str(records.trim()).expect("one call, one record")
    }
}

#[test]
fn a_call_passes_between_trunks_behind_stunnel() {
    let stage = Stage::start();
    let (_carriers, mut exchanges) = (stage.behind_the_carrier(), stage.before_the_exchange());
    let called = [
        "called/invited",
        "called/ringing",
        "called/answer",
        "wait_bye",
    ];
    let pbx = Sipp::new(&stage.lab, "called", stage.at(3, 5060), &called)
        .behind(stage.at(3, 5061))
        .start();
    let calling = ["caller/invite", "caller/answered", "caller/bye"];
    let carrier = Sipp::new(&stage.lab, "calling", stage.at(2, 5060), &calling)
        .towards(stage.at(2, 5070))
        .behind(stage.at(2, 5061))
        .start();
    carrier.succeed();
    pbx.succeed();
    exchanges.wait_for(&format!("CN={FQDN}"), SOON);
    let record = stage.record();
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["from_trunk"], "carrier", "{record}");
    assert_eq!(record["to_trunk"], "pbx", "{record}");
    assert_eq!(record["ended_by"], "caller", "{record}");
}

#[test]
fn an_exchange_of_another_name_gets_no_call() {
    let stage = Stage::start();
    let wrong = stage.authority.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&["other.contoso.example"])
    });
    wrong.write(&stage.lab, "pbx");
    let (_carriers, _exchanges) = (stage.behind_the_carrier(), stage.before_the_exchange());
    let calling = ["caller/invite", "caller/refused?status=503"];
    let carrier = Sipp::new(&stage.lab, "calling", stage.at(2, 5060), &calling)
        .towards(stage.at(2, 5070))
        .behind(stage.at(2, 5061))
        .start();
    carrier.succeed();
    let record = stage.record();
    assert_eq!(record["status"], 503, "{record}");
}
