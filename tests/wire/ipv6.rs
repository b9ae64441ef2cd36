//! A carrier on IPv6 and an exchange on IPv4, joined in signalling and in media.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use trunkline_tests::capture;
use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::Telephone;

const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const CALLED: &str = "+14255550123";
const CALLING: &str = "+14255550177";

/// A port of `::1` that was free a moment ago: unlike those of IPv4, loopback addresses of IPv6
/// are not many.
fn free() -> SocketAddr {
    let socket = UdpSocket::bind((HERE, 0)).expect("a port is free");
    socket.local_addr().expect("bound")
}

fn sound(address: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).expect("a port is free");
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    socket
}

fn there(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// Where a description says that audio is heard.
fn described(body: &str) -> SocketAddr {
    let value = |start: &str| {
        let line = body.lines().find_map(|line| line.strip_prefix(start));
        line.expect("a description has it")
    };
    let (family, address) = value("c=IN ").split_once(' ').expect("an address");
    let address: IpAddr = address.parse().expect("an address");
    assert_eq!(family == "IP6", address.is_ipv6(), "{body}");
    let port = value("m=audio ").split(' ').next().expect("a port");
    SocketAddr::new(address, port.parse().expect("a port"))
}

/// What one end says, the other hears.
fn heard(from: &UdpSocket, to: SocketAddr, listener: &UdpSocket, ssrc: u8) {
    let mut buffer = [0; 2048];
    for number in 0..50 {
        let packet = capture::rtp(ssrc, number);
        from.send_to(&packet, to).expect("sent");
        while let Ok((length, _)) = listener.recv_from(&mut buffer) {
            if buffer[12..length] == packet[12..] {
                return;
            }
        }
    }
    panic!("nothing is heard from {to}");
}

fn configuration(lab: &Lab, gateway: SocketAddr, carrier: SocketAddr) -> String {
    format!(
        r#"
[gateway]
records = "records.jsonl"
[media]
shards = 2
# There is one ::1 for all tests: each leaves ports to the others.
reserve = 8
[[interface]]
name = "old"
bind = "{old}"
ports = "20000-20199"
[[interface]]
name = "new"
bind = "::1"
ports = "24000-24199"
[[trunk]]
name = "carrier"
preset = "carrier"
interface = "new"
listen = "udp:{gateway}"
peers = ["udp:{carrier}"]
options = {{ interval = "0s" }}
[[trunk]]
name = "pbx"
preset = "pbx"
interface = "old"
listen = "udp:{old}:5070"
peers = ["udp:{pbx}:5060"]
options = {{ interval = "0s" }}
[[route]]
name = "in"
from = "carrier"
to = "pbx"
[[route]]
name = "out"
from = "pbx"
to = "carrier"
[admin]
socket = "admin.sock"
"#,
        old = lab.host(1),
        pbx = lab.host(3),
    )
}

#[test]
fn a_carrier_on_ipv6_and_an_exchange_on_ipv4_call_each_other() {
    let lab = Lab::new();
    let (gateway, own) = (free(), free());
    let _process = daemon::start(&lab, &configuration(&lab, gateway, own));
    let old = SocketAddr::new(lab.host(1), 5070);
    let mut carrier = Telephone::at(own, gateway);
    let mut pbx = Telephone::at(SocketAddr::new(lab.host(3), 5060), old);
    let media = [sound(HERE), sound(lab.host(3))];
    for inward in [true, false] {
        let (caller, called, sounds) = if inward {
            (&mut carrier, &mut pbx, [&media[0], &media[1]])
        } else {
            (&mut pbx, &mut carrier, [&media[1], &media[0]])
        };
        caller.call(CALLING, CALLED, there(sounds[0]));
        let invite = called.request("INVITE");
        let offered = described(&invite.body);
        let family = there(sounds[1]).is_ipv6();
        assert_eq!(offered.is_ipv6(), family, "{invite:?}");
        for hidden in [there(sounds[0]).ip(), caller.address().ip()] {
            let shown = format!("{invite:?}");
            assert!(!shown.contains(&format!("{hidden}")), "{shown}");
        }
        let _ = called.pick_up(&invite, there(sounds[1]));
        let ok = caller.response("INVITE", 200);
        let answered = described(&ok.body);
        assert_eq!(answered.is_ipv6(), !family, "{ok:?}");
        let dialog = caller.acknowledge(&ok);
        called.request("ACK");
        heard(sounds[0], answered, sounds[1], 1);
        heard(sounds[1], offered, sounds[0], 2);
        caller.hang_up(&dialog);
        let bye = called.request("BYE");
        called.send(&bye.response("200 OK", "phone", &[], ""));
    }
}
