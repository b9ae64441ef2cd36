//! Bytes nobody sane would send, to the running daemon, one after the other.
//!
//! After each of them the same process answers OPTIONS within a second, no call is left open, and
//! what reached the exchange, if anything did, is a clean message with nothing of the sender's.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use trunkline_tests::lab::Lab;
use trunkline_tests::sip::Sip;
use trunkline_tests::two_trunks::{Gateway, Plan, options, unique};

const SOON: Duration = Duration::from_secs(1);

struct Stage {
    gateway: Gateway,
    carrier: UdpSocket,
    pbx: Receiver<Vec<u8>>,
    seen: HashSet<Vec<u8>>,
    process: u32,
}

/// What may come of a stimulus.
#[derive(Debug)]
struct Verdict {
    codes: Vec<u16>,
    silence: bool,
    pass: bool,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    codes: Vec<u16>,
    closed: bool,
    passed: Vec<Vec<u8>>,
}

impl Verdict {
    fn read(expected: &str, stimulus: &[u8]) -> Self {
        let codes: Vec<u16> = expected
            .split(|letter: char| !letter.is_ascii_digit())
            .filter(|digits| digits.len() == 3)
            .filter_map(|digits| digits.parse().ok())
            .filter(|code| (200..700).contains(code))
            .collect();
        let error = expected.contains("error");
        let says = |words: &[&str]| words.iter().any(|word| expected.contains(word));
        Self {
            silence: stimulus.starts_with(b"SIP/2.0")
                || says(&["drop", "ignored", "close", "waits", "never split"]),
            pass: says(&[
                "accept",
                "processed",
                "ignored",
                "used",
                "usable",
                "normalised",
                "consistent",
                "repaired",
                "parses",
                "answered",
                "first message",
                "no crash",
            ]) && !says(&["response dropped"]),
            codes: if error { (400..700).collect() } else { codes },
        }
    }

    fn assert(&self, name: &str, outcome: &Outcome) {
        if outcome.codes.is_empty() {
            assert!(
                self.silence || outcome.closed && self.codes.contains(&400),
                "{name}: no answer, but {self:?}"
            );
        }
        for code in &outcome.codes {
            // A refusal of 400 says that it was not understood; accepted means anything else.
            let fits = self.codes.contains(code) || self.pass && *code != 400;
            assert!(fits, "{name}: {outcome:?} instead of {self:?}");
        }
        assert!(
            self.pass || outcome.passed.is_empty(),
            "{name}: refused, and yet the exchange got {:?}",
            outcome
                .passed
                .iter()
                .map(|bytes| text(bytes))
                .collect::<Vec<_>>()
        );
    }
}

impl Stage {
    fn start(lab: &Lab) -> Self {
        let plan = Plan {
            // A stream that names no address of its own comes from 127.0.0.1.
            trunks: format!("allow = [\"{}/30\", \"127.0.0.1\"]", lab.host(0)),
            ..Plan::over("udp")
        };
        let gateway = Gateway::start(lab, &plan);
        let carrier = UdpSocket::bind((lab.host(2), 5060)).expect("the carrier's port is free");
        let pbx = UdpSocket::bind((lab.host(3), 5060)).expect("the exchange's port is free");
        Self {
            process: gateway.process.id(),
            gateway,
            carrier,
            pbx: busy(pbx),
            seen: HashSet::new(),
        }
    }

    fn datagram(&mut self, bytes: &[u8]) -> Outcome {
        let to = self.gateway.carrier_side();
        // What is longer than a datagram can be arrives cut short.
        let bytes = &bytes[..bytes.len().min(65_000)];
        // Without `rport` the answer goes to the port that the sender says it has.
        let other = sent_by_port(bytes).map(|port| {
            let own = self.carrier.local_addr().expect("bound").ip();
            UdpSocket::bind((own, port)).expect("the port is free")
        });
        self.carrier.send_to(bytes, to).expect("sent");
        let mut outcome = Outcome::default();
        for round in 0..2 {
            if round == 1 {
                self.gateway.await_no_calls(SOON);
            }
            for answer in self.gateway.probe(&self.carrier, to) {
                if self.seen.insert(answer.clone()) {
                    outcome.codes.extend(self.heard(&answer));
                }
            }
        }
        if let Some(other) = other {
            other.set_nonblocking(true).expect("a socket of ours");
            let mut answer = [0; 4096];
            while let Ok(length) = other.recv(&mut answer) {
                outcome.codes.extend(self.heard(&answer[..length]));
            }
        }
        outcome.passed = self.pbx.try_iter().collect();
        outcome
    }

    /// The final status, if that is one; acknowledged if it has to be.
    fn heard(&self, answer: &[u8]) -> Option<u16> {
        let response = Sip::parse(&text(answer));
        let status = response.status().filter(|status| *status >= 200)?;
        // What lacks a part of a transaction's name was refused without a transaction.
        let whole = ["From", "To", "Call-ID", "Via"]
            .iter()
            .all(|name| response.all(name).len() == 1);
        if whole && response.header("CSeq").ends_with(" INVITE") {
            let ack = acknowledgement(&response);
            self.carrier
                .send_to(ack.as_bytes(), self.gateway.carrier_side())
                .expect("sent");
        }
        Some(status)
    }

    fn stream(&self, bytes: &[u8]) -> Outcome {
        let to = self.gateway.carrier_side();
        let mut stream = TcpStream::connect(to).expect("accepted");
        let mut outcome = Outcome::default();
        let mut received = Vec::new();
        // A connection that is closed on the way has got its answer already.
        let mut closed = stream.write_all(bytes).is_err();
        for round in 0..2 {
            if round == 1 {
                self.gateway.await_no_calls(SOON);
            }
            closed = closed || ask(&mut stream, to, &mut received);
        }
        outcome.closed = closed;
        while let Some(message) = Sip::take(&mut received) {
            if message
                .all("Call-ID")
                .iter()
                .any(|id| id.starts_with("alive-"))
            {
                continue;
            }
            outcome
                .codes
                .extend(message.status().filter(|status| *status >= 200));
        }
        let rest = self.gateway.probe(&self.carrier, to);
        assert!(rest.is_empty(), "answered elsewhere: {:?}", text(&rest[0]));
        outcome.passed = self.pbx.try_iter().collect();
        outcome
    }

    fn assert_clean(&self, name: &str, stimulus: &[u8], outcome: &Outcome) {
        assert!(
            Path::new(&format!("/proc/{}", self.process)).exists(),
            "{name} ends the daemon"
        );
        let call_id = text(stimulus)
            .lines()
            .find_map(|line| line.strip_prefix("Call-ID:").map(|id| id.trim().to_owned()));
        for datagram in &outcome.passed {
            assert!(!text(datagram).contains("Authorization"), "{name}");
            assert_well_formed(name, datagram);
            if let Some(call_id) = &call_id {
                assert!(
                    !text(datagram).contains(call_id.as_str()),
                    "{name}: Call-ID"
                );
            }
        }
        assert_eq!(
            self.gateway.metric("trunkline_internal_faults_total"),
            0,
            "{name}"
        );
    }
}

/// The port in the topmost Via, where it is not SIP's own and no `rport` is asked for.
fn sent_by_port(bytes: &[u8]) -> Option<u16> {
    let text = text(bytes);
    let via = text.lines().find(|line| line.starts_with("Via:"))?;
    let (sent_by, parameters) = via.split_once(';')?;
    let port = sent_by.rsplit(':').next()?.trim().parse().ok()?;
    (port != 5060 && !parameters.contains("rport")).then_some(port)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An exchange that is always busy; what reaches it can be looked at.
fn busy(socket: UdpSocket) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = buffer[..length].to_vec();
            let message = Sip::parse(&text(&datagram));
            if message.method() == Some("INVITE") {
                let answer = message.response("486 Busy Here", "busy", &[], "");
                socket.send_to(answer.as_bytes(), from).expect("sent");
            }
            if message.method() != Some("ACK") && sender.send(datagram).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Sends OPTIONS and reads until its answer; `true` when the other side closes instead.
fn ask(stream: &mut TcpStream, to: SocketAddr, received: &mut Vec<u8>) -> bool {
    let token = format!("{:x}", unique());
    let here = stream.local_addr().expect("it is connected");
    let question = options(here, to, &token, "TCP");
    if stream.write_all(question.as_bytes()).is_err() {
        return true;
    }
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    let mut buffer = [0; 16_384];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => received.extend(&buffer[..length]),
            // The frame is not complete: the question is a part of its body.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
        if text(received).contains(&format!("alive-{token}")) {
            return false;
        }
    }
}

fn acknowledgement(response: &Sip) -> String {
    let via = response.all("Via").first().map_or("", |via| *via);
    let number = response.header("CSeq").split(' ').next().unwrap_or("1");
    format!(
        "ACK sip:x@example.net SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: {number} ACK\r\nContent-Length: 0\r\n\r\n",
        response.header("From"),
        response.header("To"),
        response.header("Call-ID"),
    )
}

/// A message no two parsers read differently.
fn assert_well_formed(name: &str, datagram: &[u8]) {
    let shown = text(datagram);
    let bytes = std::str::from_utf8(datagram).expect("UTF-8");
    let (head, body) = bytes.split_once("\r\n\r\n").expect("a head");
    for line in head.split("\r\n").skip(1) {
        let (field, _) = line.split_once(':').expect("a header field");
        let token = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        assert!(field.chars().all(token), "{name}: {field:?} in {shown}");
        let control = |letter: char| letter.is_control() && letter != '\t';
        assert!(!line.chars().any(control), "{name}: {line:?}");
    }
    let message = Sip::parse(bytes);
    for once in ["Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards"] {
        assert_eq!(message.all(once).len(), 1, "{name}: {once} in {shown}");
    }
    assert_eq!(
        message.header("Content-Length").parse(),
        Ok(body.len()),
        "{name}: {shown}"
    );
}

fn index(folder: &Path, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join(name)).expect("the folder has an index");
    serde_json::from_str(&text).expect("it is JSON")
}

fn entry<'a>(entry: &'a serde_json::Value, key: &str) -> &'a str {
    entry[key].as_str().expect("a string")
}

#[test]
fn published_attacks_get_a_refusal_at_most() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let lab = Lab::new();
    let mut stage = Stage::start(&lab);
    let mut tried = 0;
    for case in index(&folder, "INDEX.json") {
        let name = entry(&case, "file");
        let bytes = std::fs::read(folder.join(name)).expect("the file is there");
        let mut verdict = Verdict::read(entry(&case, "expected"), &bytes);
        // The trunk is known by its address: credentials are neither asked for nor passed on.
        verdict.pass |= name.starts_with("33-");
        let outcome = match entry(&case, "transport") {
            "udp" => stage.datagram(&bytes),
            "tcp" => stage.stream(&bytes),
            _ => continue,
        };
        stage.assert_clean(name, &bytes, &outcome);
        verdict.assert(name, &outcome);
        tried += 1;
    }
    assert!(tried > 20, "{tried} stimuli");
    corpora::tally(
        "cve-stimuli on the wire",
        "as expected, the daemon unharmed",
        tried,
    );
}

/// What the process holds in memory, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    size.and_then(|size| size.parse().ok()).expect("a size")
}

#[test]
fn ten_thousand_media_lines_cost_no_memory_that_stays() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let stimulus = std::fs::read(folder.join("21-sdp-10000-m-lines.bin")).expect("it is there");
    let stimulus = text(&stimulus);
    let lab = Lab::new();
    let mut stage = Stage::start(&lab);
    let mut before = 0;
    for round in 0..120 {
        // Each a transaction and a call of its own.
        let another = stimulus
            .replace("branch=z9hG4bK", &format!("branch=z9hG4bK{round}-"))
            .replace("Call-ID: ", &format!("Call-ID: {round}-"));
        let outcome = stage.datagram(another.as_bytes());
        assert!(outcome.passed.is_empty(), "the exchange is called");
        assert!(outcome.codes.iter().all(|code| *code >= 400), "{outcome:?}");
        // Tables and the ring of ladders have their size by then.
        if round == 40 {
            before = resident(stage.process);
        }
    }
    let grown = resident(stage.process).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more after 80 more of them");
}

#[test]
fn torture_messages_are_judged_as_the_rfcs_say() {
    for corpus in ["rfc4475", "rfc5118"] {
        let Some(folder) = corpora::folder(corpus) else {
            continue;
        };
        let cases = index(&folder, "verdicts.json");
        for case in &cases {
            let name = entry(case, "file");
            let bytes = std::fs::read(folder.join(name)).expect("the file is there");
            for stream in [false, true] {
                let mut verdict = Verdict::read(entry(case, "expected"), &bytes);
                verdict.codes.extend(match name {
                    // Over TCP the second message is an INVITE without Contact.
                    "dblreq.dat" if stream => Some(400),
                    // Nobody registers here, with credentials or without.
                    "regaut01.dat" | "cparam02.dat" | "regescrt.dat" => Some(405),
                    _ => None,
                });
                // Many have one branch: to one daemon they would be one transaction.
                let lab = Lab::new();
                let mut stage = Stage::start(&lab);
                let outcome = if stream {
                    stage.stream(&bytes)
                } else {
                    stage.datagram(&bytes)
                };
                stage.assert_clean(name, &bytes, &outcome);
                verdict.assert(name, &outcome);
            }
        }
        let verdict = "judged over UDP and TCP as the RFC says";
        corpora::tally(&format!("{corpus} on the wire"), verdict, cases.len());
    }
}
