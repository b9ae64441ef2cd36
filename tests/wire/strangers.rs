//! Who is not a party to a call: packets and requests of strangers, and those who only waste time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use trunkline_tests::capture;
use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::{Dialog, Telephone};
use trunkline_tests::two_trunks::{Gateway, Plan, options};

const CALLED: &str = "+14255550123";
const CALLING: &str = "+14255550177";

/// A call between two scripted telephones, with a media socket at each end.
struct Call {
    gateway: Gateway,
    carrier: Telephone,
    _pbx: Telephone,
    dialog: Dialog,
    /// The media sockets: the carrier's, then the exchange's.
    media: [UdpSocket; 2],
    /// Where the gateway takes the media of each.
    ports: [SocketAddr; 2],
}

fn audio_socket(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("the address is free");
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    socket
}

fn described(body: &str) -> SocketAddr {
    let value = |start: &str| {
        body.lines()
            .find_map(|line| line.strip_prefix(start))
            .and_then(|rest| rest.split(' ').next())
            .expect("a description has it")
    };
    format!("{}:{}", value("c=IN IP4 "), value("m=audio "))
        .parse()
        .expect("an address")
}

impl Call {
    fn start(lab: &Lab) -> Self {
        let gateway = Gateway::start(lab, &Plan::over("udp"));
        let at = |host| SocketAddr::new(lab.host(host), 5060);
        let media = [2, 3].map(|host| audio_socket(SocketAddr::new(lab.host(host), 6000)));
        let there = |socket: &UdpSocket| socket.local_addr().expect("bound");
        let mut carrier = Telephone::at(at(2), gateway.carrier_side());
        let mut pbx = Telephone::at(at(3), gateway.pbx_side());
        carrier.call(CALLING, CALLED, there(&media[0]));
        let invite = pbx.request("INVITE");
        let _ = pbx.pick_up(&invite, there(&media[1]));
        let ok = carrier.response("INVITE", 200);
        let dialog = carrier.acknowledge(&ok);
        pbx.request("ACK");
        Self {
            ports: [described(&ok.body), described(&invite.body)],
            gateway,
            carrier,
            _pbx: pbx,
            dialog,
            media,
        }
    }

    /// Sends a packet from one end and waits until the other has it.
    #[track_caller]
    fn passes(&self, from: usize, number: u16) {
        let packet = capture::rtp(from as u8 + 1, number);
        self.media[from]
            .send_to(&packet, self.ports[from])
            .expect("sent");
        let Some(heard) = receive(&self.media[1 - from]) else {
            panic!(
                "packet {number} is not relayed:\n{}",
                self.gateway.page("/metrics")
            );
        };
        assert_eq!(heard[12..], packet[12..], "that packet and no other");
    }

    /// Talks until both are heard: the ACK may be quicker than the joining of the legs.
    fn begin(&self) {
        for from in [0, 1] {
            let listener = &self.media[1 - from];
            let timeout = |length| {
                listener
                    .set_read_timeout(Some(Duration::from_millis(length)))
                    .expect("a timeout");
            };
            timeout(20);
            let heard = (0..50).any(|number| {
                let packet = capture::rtp(from as u8 + 1, number);
                self.media[from]
                    .send_to(&packet, self.ports[from])
                    .expect("sent");
                std::iter::from_fn(|| receive(listener)).any(|heard| heard[12..] == packet[12..])
            });
            assert!(heard, "the legs are not joined");
            timeout(1000);
        }
    }

    fn end(mut self) {
        self.carrier.hang_up(&self.dialog);
    }
}

fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 2048];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).expect("a socket of ours");
    let silent = receive(socket).is_none();
    socket.set_nonblocking(false).expect("a socket of ours");
    silent
}

#[test]
fn a_stranger_is_neither_relayed_nor_answered() {
    let lab = Lab::new();
    let call = Call::start(&lab);
    let stranger = audio_socket(SocketAddr::new(lab.host(7), 6000));
    // Before either party has sent anything, and after.
    for round in 0..2_u16 {
        for port in call.ports {
            for number in 0..50 {
                let packet = capture::rtp(9, number);
                stranger.send_to(&packet, port).expect("sent");
                let control = SocketAddr::new(port.ip(), port.port() + 1);
                stranger
                    .send_to(&[0x80, 200, 0, 1, 0, 0, 0, 9], control)
                    .expect("sent");
            }
        }
        if round == 0 {
            call.begin();
        }
        // A socket keeps its order: what comes first at the other end was sent by a party.
        for number in 0..20 {
            call.passes(0, 100 + round * 20 + number);
            call.passes(1, 100 + round * 20 + number);
        }
    }
    assert!(is_silent(&stranger), "a stranger is sent something");
    assert!(call.media.iter().all(is_silent));
    let gateway_records = call.gateway.metric("trunkline_internal_faults_total");
    assert_eq!(gateway_records, 0);
    call.end();
}

#[test]
fn malformed_media_is_not_relayed_and_the_call_stays() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let index = std::fs::read_to_string(folder.join("INDEX.json")).expect("an index");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&index).expect("JSON");
    let lab = Lab::new();
    let call = Call::start(&lab);
    call.begin();
    let mut sent = 0;
    for (number, case) in (100_u16..).zip(&cases) {
        let control = case["transport"] == "rtcp";
        if !control && case["transport"] != "rtp" {
            continue;
        }
        let file = case["file"].as_str().expect("a name");
        let bytes = std::fs::read(folder.join(file)).expect("the file is there");
        for end in [0, 1] {
            let port = call.ports[end];
            let to = SocketAddr::new(port.ip(), port.port() + u16::from(control));
            call.media[end].send_to(&bytes, to).expect("sent");
            call.media[end].send_to(&bytes, port).expect("sent");
            call.passes(end, number);
        }
        sent += 1;
    }
    assert!(sent >= 4, "{sent} stimuli");
    corpora::tally(
        "cve-stimuli, RTP and RTCP",
        "dropped, the call unhurt",
        sent,
    );
    call.end();
}

#[test]
fn a_party_that_moves_is_heard_again() {
    let lab = Lab::new();
    let mut call = Call::start(&lab);
    call.begin();
    for number in 100..110 {
        call.passes(0, number);
        call.passes(1, number);
    }
    call.media[0] = audio_socket(SocketAddr::new(lab.host(2), 6100));
    let moved = Instant::now();
    let heard = (110..140).find(|number| {
        let packet = capture::rtp(1, *number);
        call.media[0].send_to(&packet, call.ports[0]).expect("sent");
        call.media[1]
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        receive(&call.media[1]).is_some()
    });
    assert!(heard.is_some(), "never heard again");
    assert!(
        moved.elapsed() < Duration::from_millis(300),
        "{:?}",
        moved.elapsed()
    );
    call.passes(1, 150);
    call.end();
}

#[test]
fn a_stranger_makes_no_call_and_learns_nothing() {
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let stranger = audio_socket(SocketAddr::new(lab.host(7), 5060));
    let carrier = audio_socket(SocketAddr::new(lab.host(2), 5060));
    let pbx = audio_socket(SocketAddr::new(lab.host(3), 5060));
    let here = stranger.local_addr().expect("bound");
    for (number, called) in ["+19005550123", "011442079460123", "100", CALLED]
        .iter()
        .enumerate()
    {
        for method in [
            "INVITE",
            "REFER",
            "MESSAGE",
            "REGISTER",
            "OPTIONS",
            "SUBSCRIBE",
        ] {
            let request = options(
                here,
                gateway.carrier_side(),
                &format!("s{number}{method}"),
                "UDP",
            )
            .replace("OPTIONS", method)
            .replacen("sip:", &format!("sip:{called}@"), 1);
            for side in [gateway.carrier_side(), gateway.pbx_side()] {
                stranger.send_to(request.as_bytes(), side).expect("sent");
            }
        }
    }
    // One socket, one order: whatever the stranger's requests brought was before these answers.
    let before = gateway.probe(&carrier, gateway.carrier_side());
    assert!(before.is_empty());
    assert!(gateway.probe(&pbx, gateway.pbx_side()).is_empty());
    assert!(is_silent(&stranger), "a stranger is answered");
    assert_eq!(gateway.metric("trunkline_calls_begun_total"), 0);
}

#[test]
fn idle_and_slow_connections_keep_nobody_out() {
    let lab = Lab::new();
    let plan = Plan {
        trunks: "allow = [\"127.0.0.0/8\"]".to_owned(),
        ..Plan::over("tcp")
    };
    let gateway = Gateway::start(&lab, &plan);
    let side = gateway.carrier_side();
    let connect = || TcpStream::connect(side).expect("accepted");
    let idle: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    let mut slow = connect();
    slow.write_all(b"INVITE sip:").expect("sent");
    let asked = Instant::now();
    let mut honest = connect();
    let here = honest.local_addr().expect("connected");
    honest
        .write_all(options(here, side, "honest", "TCP").as_bytes())
        .expect("sent");
    honest
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    let mut answer = [0; 4096];
    let length = honest.read(&mut answer).expect("answered");
    assert!(answer[..length].starts_with(b"SIP/2.0 200 "));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    // One octet a second is not how a head arrives: the connection has an end.
    slow.set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    let begun = Instant::now();
    loop {
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "it may go on for ever"
        );
        match slow.read(&mut answer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if slow.write_all(b"x").is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    drop(idle);
}
