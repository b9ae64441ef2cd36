//! A daemon between a carrier and an office exchange, with its pages and its records.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon;
use crate::lab::Lab;
use crate::process::Process;

/// What differs from test to test; the rest is the same two trunks and two routes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `udp` or `tcp`: how the daemon reaches both sides. It listens for both.
    pub transport: &'static str,
    /// The exchange's peers in the order they are tried; empty means one at `host(3)`.
    pub pbx_peers: Vec<SocketAddr>,
    /// Lines added to both trunks.
    pub trunks: String,
    /// Lines added to the carrier's trunk.
    pub carrier: String,
    /// Lines of the exchange's trunk instead of its peers.
    pub pbx: String,
    /// Lines added to `[gateway]`.
    pub gateway: String,
    /// Whole tables added at the end.
    pub tables: String,
}

impl Plan {
    /// Two plain trunks over this transport.
    #[must_use]
    pub fn over(transport: &'static str) -> Self {
        Self {
            transport,
            pbx_peers: Vec::new(),
            trunks: String::new(),
            carrier: String::new(),
            pbx: String::new(),
            gateway: String::new(),
            tables: String::new(),
        }
    }

    /// The configuration on a lab's addresses.
    #[must_use]
    pub fn text(&self, lab: &Lab) -> String {
        let peers = if self.pbx_peers.is_empty() {
            vec![SocketAddr::new(lab.host(3), 5060)]
        } else {
            self.pbx_peers.clone()
        };
        let peers: Vec<String> = peers
            .iter()
            .map(|peer| format!("\"{}:{peer}\"", self.transport))
            .collect();
        format!(
            r#"
[gateway]
bind = "{gateway}"
records = "{records}"
{gateway_lines}
[media]
ports = "20000-23999"
shards = 2
[[trunk]]
name = "carrier"
preset = "carrier"
listen = {carrier_listen}
peers = ["{transport}:{carrier}:5060"]
options = {{ interval = "0s" }}
{trunk_lines}
{carrier_lines}
[[trunk]]
name = "pbx"
preset = "pbx"
listen = {pbx_listen}
{pbx_lines}
options = {{ interval = "0s" }}
{trunk_lines}
{pbx_tables}
[[route]]
name = "in"
from = "carrier"
to = "pbx"
[[route]]
name = "out"
from = "pbx"
to = "carrier"
[admin]
listen = "{gateway}:9090"
socket = "admin.sock"
{tables}
"#,
            gateway = lab.host(1),
            carrier = lab.host(2),
            records = records(lab).display(),
            gateway_lines = self.gateway,
            trunk_lines = self.trunks,
            transport = self.transport,
            carrier_listen = listen(lab, 5060),
            pbx_listen = listen(lab, 5070),
            pbx_lines = if self.pbx.is_empty() {
                format!("peers = [{}]", peers.join(", "))
            } else {
                String::new()
            },
            pbx_tables = self.pbx,
            carrier_lines = self.carrier,
            tables = self.tables,
        )
    }
}

fn records(lab: &Lab) -> PathBuf {
    lab.path("records.jsonl")
}

/// The running daemon of a test.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// Its configuration file.
    pub file: PathBuf,
    address: IpAddr,
    records: PathBuf,
}

impl Gateway {
    /// Starts one: the carrier is `host(2)`, the exchange `host(3)`, the gateway `host(1)`, where
    /// the carrier's side listens at 5060 and the exchange's at 5070.
    #[must_use]
    pub fn start(lab: &Lab, plan: &Plan) -> Self {
        Self {
            process: daemon::start(lab, &plan.text(lab)),
            file: lab.path("trunkline.toml"),
            address: lab.host(1),
            records: records(lab),
        }
    }

    /// Where the carrier's requests go.
    #[must_use]
    pub fn carrier_side(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5060)
    }

    /// Where the exchange's requests go.
    #[must_use]
    pub fn pbx_side(&self) -> SocketAddr {
        SocketAddr::new(self.address, 5070)
    }

    /// One of the operator's pages, with its header.
    ///
    /// # Panics
    /// It is not served.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect((self.address, 9090)).expect("the pages are served");
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout can be set");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    /// The sum of a metric over all its labels.
    ///
    /// # Panics
    /// There is no such metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let values: Vec<u64> = page
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(!values.is_empty(), "no metric {name}:\n{page}");
        values.iter().sum()
    }

    /// Waits until no call is left in any stage.
    ///
    /// # Panics
    /// Calls are left when `patience` is over.
    pub fn await_no_calls(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.metric("trunkline_calls") > 0 {
            assert!(
                Instant::now() < until,
                "calls are left open:\n{}",
                self.page("/metrics")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the page of metrics has this line.
    ///
    /// # Panics
    /// It has not when `patience` is over.
    pub fn await_metric(&self, line: &str, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            let page = self.page("/metrics");
            if page.lines().any(|one| one == line) {
                return;
            }
            assert!(Instant::now() < until, "no {line}:\n{page}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The call records, as soon as there are `count` of them.
    ///
    /// # Panics
    /// There are fewer after five seconds, or more.
    #[must_use]
    pub fn records(&self, count: usize) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let text = std::fs::read_to_string(&self.records).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let records: Vec<Value> = whole
                .lines()
                .map(|line| serde_json::from_str(line).expect("a record is one line of JSON"))
                .collect();
            if records.len() >= count {
                assert_eq!(records.len(), count, "more records than calls:\n{text}");
                return records;
            }
            assert!(
                Instant::now() < until,
                "{} of {count} records:\n{text}",
                records.len()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks the daemon for a sign of life over UDP, from `socket`, which a trunk allows.
    /// Datagrams that come before the answer are given back: what was sent earlier was answered
    /// earlier.
    ///
    /// # Panics
    /// No 200 within a second.
    #[must_use]
    pub fn probe(&self, socket: &UdpSocket, to: SocketAddr) -> Vec<Vec<u8>> {
        let here = socket.local_addr().expect("the socket is bound");
        let token = format!("{:x}", unique());
        let request = options(here, to, &token, "UDP");
        socket.send_to(request.as_bytes(), to).expect("sent");
        let until = Instant::now() + Duration::from_secs(1);
        let mut before = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "OPTIONS is not answered within a second");
            socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok((length, _)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let datagram = buffer[..length].to_vec();
            let text = String::from_utf8_lossy(&datagram).into_owned();
            if text.contains(&format!("alive-{token}")) && text.starts_with("SIP/2.0") {
                assert!(text.starts_with("SIP/2.0 200 "), "{text}");
                return before;
            }
            before.push(datagram);
        }
    }
}

fn listen(lab: &Lab, port: u16) -> String {
    let gateway = lab.host(1);
    format!("[\"udp:{gateway}:{port}\", \"tcp:{gateway}:{port}\"]")
}

/// A valid OPTIONS whose Call-ID starts with `alive-` and the token.
#[must_use]
pub fn options(here: SocketAddr, to: SocketAddr, token: &str, transport: &str) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {here};branch=z9hG4bKalive{token};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:alive@{here}>;tag={token}\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: alive-{token}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:alive@{here}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A number no other call of this process gives.
#[must_use]
pub fn unique() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let counted = NEXT.fetch_add(1, Ordering::Relaxed);
    u128::from(std::process::id()) << 32 | u128::from(counted)
}
