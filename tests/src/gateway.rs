//! A gateway between one carrier on UDP and Microsoft on TLS, on a lab's addresses.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::certificates::{Authority, Leaf};
use crate::daemon;
use crate::lab::Lab;
use crate::process::Process;

/// What the gateway is called towards ACS.
pub const FQDN: &str = "sbc1.contoso.example";
/// What Microsoft is called, and the port it listens at.
pub const MICROSOFT: &str = "sip.pstnhub.microsoft.com";

/// The gateway's SIP over TLS.
#[must_use]
pub fn tls(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.host(1), 5061)
}

/// The gateway's SIP over UDP, towards the carrier.
#[must_use]
pub fn udp(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.host(1), 5060)
}

/// Where the carrier has to be.
#[must_use]
pub fn carrier(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.host(2), 5060)
}

/// Where Microsoft has to be.
#[must_use]
pub fn microsoft(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.host(3), 5061)
}

/// The configuration on a lab's addresses, with one of Microsoft's names for a peer.
#[must_use]
pub fn configuration(lab: &Lab) -> String {
    let names = [(MICROSOFT, lab.host(3))];
    let preset = "preset = \"acs\"\n";
    let peers = format!("{preset}peers = [\"tls:{MICROSOFT}:5061\"]\n");
    between(lab.host(1), carrier(lab), &names).replacen(preset, &peers, 1)
}

/// The configuration of a gateway at this address: whatever Microsoft calls goes to the carrier
/// and the other way round. Microsoft's names are where `names` says.
#[must_use]
pub fn between(gateway: IpAddr, carrier: SocketAddr, names: &[(&str, IpAddr)]) -> String {
    let host = |(name, place): &(&str, IpAddr)| format!("\"{name}\" = \"{place}\"\n");
    let hosts: String = names.iter().map(host).collect();
    format!(
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
ports = "20000-20399"
shards = 1
[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:{gateway}:5061"
allow = ["127.0.0.0/8"]
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:{gateway}:5060"
peers = ["udp:{carrier}"]
options = {{ interval = "0s" }}
[[route]]
name = "in"
from = "carrier"
to = "acs"
[[route]]
name = "out"
from = "acs"
to = "carrier"
[admin]
listen = "{gateway}:9090"
socket = "admin.sock"
[log]
level = "debug"
[hosts]
{hosts}
"#
    )
}

/// Starts it with this identity, trusting this authority's root.
#[must_use]
pub fn start(lab: &Lab, authority: &Authority, identity: &Leaf) -> Process {
    identity.write(lab, "sbc1");
    lab.write("roots.pem", &authority.root());
    daemon::start(lab, &configuration(lab))
}

/// The metrics page.
///
/// # Panics
/// It is not served.
#[must_use]
pub fn metrics(lab: &Lab) -> String {
    let mut stream = TcpStream::connect((lab.host(1), 9090)).expect("pages are served");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("answered");
    page
}

/// Waits until Microsoft has answered the gateway's OPTIONS: before that, no call is sent there.
///
/// # Panics
/// It does not within ten seconds.
pub fn wait_online(lab: &Lab) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let page = metrics(lab);
        let up = |line: &str| {
            line.starts_with("trunkline_peer_up{trunk=\"acs\"") && line.ends_with(" 1")
        };
        if page.lines().any(up) {
            return;
        }
        assert!(Instant::now() < until, "{page}");
        // The page tells no one when it changes.
        std::thread::sleep(Duration::from_millis(20));
    }
}
