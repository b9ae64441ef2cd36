//! A name server whose answers a row can change while the gateway runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::mutant::{Answer, Change, Fate, Passed};
use super::trial::{Common, Trial, locked};

/// Record types (RFC 1035 §3.2.2, RFC 3596).
const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;

/// What a name has.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// A text.
    pub text: Option<String>,
    /// Time to live, in seconds.
    pub ttl: u32,
}

/// A running name server; names it does not know do not exist.
#[derive(Debug)]
pub struct NameServer {
    place: SocketAddr,
    names: Arc<Mutex<BTreeMap<String, Records>>>,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one on the trial's network.
    ///
    /// # Errors
    /// Its place is taken.
    pub fn start(trial: &Trial) -> std::io::Result<Self> {
        let place = SocketAddr::new(trial.lab.host(53), 5353);
        let socket = UdpSocket::bind(place)?;
        let names = Arc::new(Mutex::new(BTreeMap::new()));
        let gone = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (names, gone) = (Arc::clone(&names), Arc::clone(&gone));
            let common = Arc::clone(&trial.common);
            move || serve(&socket, &names, &gone, &common)
        });
        Ok(Self {
            place,
            names,
            gone,
            thread: Some(thread),
        })
    }

    /// The configuration's table that names it.
    #[must_use]
    pub fn table(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\n", self.place)
    }

    /// Gives a name these records from now on.
    pub fn set(&self, name: &str, records: Records) {
        locked(&self.names).insert(name.to_ascii_lowercase(), records);
    }

    /// Gives a name this one address from now on.
    pub fn point(&self, name: &str, to: IpAddr, ttl: u32) {
        self.set(
            name,
            Records {
                addresses: vec![to],
                text: None,
                ttl,
            },
        );
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        if let Ok(socket) = UdpSocket::bind((self.place.ip(), 0)) {
            // Wakes the one who serves.
            let _ = socket.send_to(b"", self.place);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    socket: &UdpSocket,
    names: &Mutex<BTreeMap<String, Records>>,
    gone: &AtomicBool,
    common: &Common,
) {
    let mut buffer = [0; 4096];
    loop {
        let received = socket.recv_from(&mut buffer);
        if gone.load(Ordering::Acquire) {
            return;
        }
        let Ok((length, from)) = received else {
            continue;
        };
        let Some((name, kind, end)) = question(&buffer[..length]) else {
            continue;
        };
        let records = locked(names).get(&name).cloned();
        let mut answer = Answer {
            name,
            kind,
            exists: records.is_some(),
            ttl: records.as_ref().map_or(0, |records| records.ttl),
            addresses: records
                .iter()
                .flat_map(|records| &records.addresses)
                .filter(|address| {
                    matches!((kind, address), (A, IpAddr::V4(_)) | (AAAA, IpAddr::V6(_)))
                })
                .copied()
                .collect(),
        };
        common.note(Passed::Dns(answer.clone()));
        let fate = match common.change() {
            Some(Change::Dns(edit)) => edit(&mut answer, &mut common.memory()),
            _ => Fate::Pass,
        };
        if fate == Fate::Drop {
            continue;
        }
        let text = records
            .and_then(|records| records.text)
            .filter(|_| kind == TXT);
        let bytes = response(&buffer[..end], &answer, text.as_deref());
        // One who has gone meanwhile needs no answer.
        let _ = socket.send_to(&bytes, from);
    }
}

/// Name, type and end of the one question of a query.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    (query.len() >= at + 4).then(|| (labels.join("."), kind, at + 4))
}

/// The response to a query, which is given up to the end of its question.
fn response(query: &[u8], answer: &Answer, text: Option<&str>) -> Vec<u8> {
    let mut records = Vec::new();
    let mut count = 0_u16;
    let mut add = |data: &[u8]| {
        // A pointer to the question's name.
        records.extend([0xc0, 12]);
        records.extend(answer.kind.to_be_bytes());
        records.extend([0, 1]);
        records.extend(answer.ttl.to_be_bytes());
        records.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        records.extend(data);
        count += 1;
    };
    for address in &answer.addresses {
        match address {
            IpAddr::V4(address) => add(&address.octets()),
            IpAddr::V6(address) => add(&address.octets()),
        }
    }
    if let Some(text) = text {
        let mut data = vec![u8::try_from(text.len()).unwrap_or(0)];
        data.extend(text.as_bytes());
        add(&data);
    }
    let mut bytes = query[..2].to_vec();
    // A response, recursion desired and available; name error for what does not exist.
    bytes.extend([0x81, if answer.exists { 0x80 } else { 0x83 }]);
    bytes.extend([0, 1]);
    bytes.extend(count.to_be_bytes());
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(&query[12..]);
    bytes.extend(records);
    bytes
}
