//! Azure is away: calls for it go where the route says next, in time, and without asking the dead
//! first once they are known to be dead; or the caller hears why nobody answers.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use trunkline_tests::audio::{Tone, converse, wave};
use trunkline_tests::certificates::Authority;
use trunkline_tests::daemon;
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::Telephone;

/// Within this the caller must hear something (U-04).
const BUDGET: Duration = Duration::from_millis(9_500);

#[test]
fn calls_go_to_the_office_when_all_three_proxies_are_away() {
    let (lab, authority) = (Lab::new(), Authority::new());
    authority.good(&[FQDN]).write(&lab, "sbc1");
    lab.write("roots.pem", &authority.root());
    // Somebody takes connections there and never says a word: the slowest way to be away.
    let _mute = TcpListener::bind(gateway::microsoft(&lab)).expect("the port is free");
    let names = ["sip", "sip2", "sip3"].map(|name| format!("{name}.pstnhub.microsoft.com"));
    let peers: Vec<String> = names
        .iter()
        .map(|name| format!("\"tls:{name}:5061\""))
        .collect();
    let hosts: Vec<String> = names[1..]
        .iter()
        .map(|name| format!("\"{name}\" = \"{}\"\n", lab.host(3)))
        .collect();
    let text = gateway::configuration(&lab)
        .replacen(&format!("\"tls:{MICROSOFT}:5061\""), &peers.join(", "), 1)
        .replacen("to = \"acs\"", "to = [\"acs\", \"office\"]", 1)
        .replacen("[hosts]\n", &format!("[hosts]\n{}", hosts.concat()), 1)
        .replacen(
            "[[route]]",
            &format!(
                "[[trunk]]\nname = \"office\"\npreset = \"pbx\"\nlisten = \"udp:{}:5070\"\n\
                 peers = [\"udp:{}:5060\"]\noptions = {{ interval = \"0s\" }}\n[[route]]",
                lab.host(1),
                lab.host(4),
            ),
            1,
        );
    let _daemon = daemon::start(&lab, &text);
    let mut office = Telephone::at(
        SocketAddr::new(lab.host(4), 5060),
        SocketAddr::new(lab.host(1), 5070),
    );
    let mut carrier = Telephone::start(&lab);
    let media = [2, 4].map(|host| SocketAddr::new(lab.host(host), 6000));
    for (call, patience) in [(1, BUDGET), (2, Duration::from_secs(1))] {
        let begun = Instant::now();
        carrier.call("+14255550177", "+14255550123", media[0]);
        let invite = office.request("INVITE");
        let took = begun.elapsed();
        assert!(took < patience, "call {call} took {took:?}");
        let _ = office.pick_up(&invite, media[1]);
        let ok = carrier.response("INVITE", 200);
        let dialog = carrier.acknowledge(&ok);
        office.request("ACK");
        carrier.hang_up(&dialog);
        let bye = office.request("BYE");
        office.send(&bye.response("200 OK", "phone", &[], ""));
    }
}

#[test]
fn callers_hear_an_announcement_where_nobody_takes_their_call() {
    let (lab, authority) = (Lab::new(), Authority::new());
    authority.good(&[FQDN]).write(&lab, "sbc1");
    lab.write("roots.pem", &authority.root());
    std::fs::write(lab.path("away.wav"), wave(440, 2)).expect("the lab takes files");
    // Nobody listens where Microsoft's name leads.
    let text = gateway::configuration(&lab)
        .replacen("to = \"acs\"", "to = \"acs\"\nannouncement = \"away\"", 1)
        .replacen(
            "[[route]]",
            "[[announcement]]\nname = \"away\"\nfile = \"away.wav\"\n[[route]]",
            1,
        );
    let _daemon = daemon::start(&lab, &text);
    let mut carrier = Telephone::start(&lab);
    let media = SocketAddr::new(lab.host(2), 6000);
    let socket = UdpSocket::bind(media).expect("the telephone's port is free");
    let patience = Some(Duration::from_secs(5));
    socket
        .set_read_timeout(patience)
        .expect("a timeout can be set");
    carrier.call("+14255550177", "+14255550123", media);
    let progress = carrier.response("INVITE", 183);
    assert!(progress.body.contains("m=audio"), "{progress:?}");
    let heard = Tone::of(&converse(&socket, 1000, 75), 440);
    assert!(heard.share > 0.9 && heard.energy > 1e6, "{heard:?}");
    carrier.response("INVITE", 503);
}
