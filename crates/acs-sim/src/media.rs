//! The media of one call: a pair of ports, one task that sends every 20 ms, one that listens on
//! each port.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::payload::StreamId;
use crate::receiver::{Port, listen};
use crate::sdp::{Codec, Remote, SdpEdit};
use crate::sender::{Job, Sender};
use crate::sound::Sound;
use crate::srtp::{Crypto, Key, SUITE};
use crate::tally::MediaCounts;
use crate::tap::Tap;

/// How often a port pair is tried before giving up.
const PORT_ATTEMPTS: usize = 64;

/// How a party's media behaves.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The address media sockets are bound to and advertised with.
    pub bind: IpAddr,
    /// Offer and require SRTP with SDES keys instead of plain RTP.
    pub secure: bool,
    /// Offer and accept RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// Codecs offered and accepted, best first.
    pub codecs: Vec<Codec>,
    /// Sequence number of the first RTP packet; random when absent. Near 65,535 it makes the
    /// rollover counter advance within seconds.
    pub first_sequence: Option<u16>,
    /// Faults planted on purpose.
    pub faults: Faults,
    /// Done to every description before it is sent.
    pub sdp: SdpEdit,
    /// The payload type of telephone events in offers; none offers none.
    pub telephone_event: Option<u8>,
    /// Send reports.
    pub rtcp: bool,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            bind: IpAddr::from([127, 0, 0, 1]),
            secure: false,
            rtcp_mux: true,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            first_sequence: None,
            faults: Faults::default(),
            sdp: SdpEdit::default(),
            telephone_event: Some(101),
            rtcp: true,
        }
    }
}

/// Faults which a test plants to see them found: each is "one audio packet in this many".
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Packets counted as sent and withheld.
    pub drop_sent: Option<u32>,
    /// Packets thrown away on arrival.
    pub drop_received: Option<u32>,
    /// Packets sent with one byte of the payload changed.
    pub corrupt_sent: Option<u32>,
}

/// Where packets go and what is expected to come: changes with each answer.
#[derive(Default)]
pub(crate) struct Path {
    pub(crate) rtp: Option<SocketAddr>,
    pub(crate) rtcp: Option<SocketAddr>,
    pub(crate) mux: bool,
    pub(crate) send: bool,
    pub(crate) receive: bool,
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) inbound: Option<Crypto>,
    pub(crate) outbound: Option<Crypto>,
}

/// What an offer/answer exchange settled, seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) codec: Codec,
    pub(crate) send: bool,
    pub(crate) receive: bool,
}

/// What the tasks of one call share.
pub(crate) struct Shared {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    pub(crate) local_rtp: SocketAddr,
    pub(crate) local_rtcp: SocketAddr,
    pub(crate) tap: Tap,
    pub(crate) faults: Faults,
    pub(crate) reports: bool,
    /// Who is sent what is heard, besides the account of it.
    bridge: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    path: Mutex<Path>,
    counts: Mutex<MediaCounts>,
    /// Told of every packet received.
    pub(crate) news: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn path(&self) -> MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, MediaCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bridge(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Job>>> {
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what was heard to the call this one is bridged with.
    pub(crate) fn hand_on(&self, payload: &[u8]) {
        if let Some(other) = &*self.bridge() {
            // The other call may be over.
            let _ = other.send(Job::Payload(payload.to_vec()));
        }
    }
}

/// One call's media. Dropping it closes the ports and ends the tasks.
pub(crate) struct MediaSession {
    shared: Arc<Shared>,
    key: Mutex<Option<Key>>,
    jobs: mpsc::UnboundedSender<Job>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for MediaSession {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl MediaSession {
    /// Binds a pair of ports and starts listening; nothing is sent before [`Self::follow`].
    pub(crate) async fn open(config: &MediaConfig, tap: Tap) -> std::io::Result<Self> {
        let (rtp, rtcp) = bind_pair(config.bind).await?;
        let stream = StreamId(crate::random::u64());
        let key = config.secure.then(Key::random);
        let outbound = key.clone().and_then(|key| Crypto::new(SUITE, key));
        let shared = Arc::new(Shared {
            local_rtp: rtp.local_addr()?,
            local_rtcp: rtcp.local_addr()?,
            rtp,
            rtcp,
            tap,
            faults: config.faults,
            reports: config.rtcp,
            bridge: Mutex::default(),
            path: Mutex::new(Path {
                outbound,
                ..Path::default()
            }),
            counts: Mutex::new(MediaCounts {
                stream: Some(stream),
                ..MediaCounts::default()
            }),
            news: watch::Sender::new(()),
        });
        let (jobs, queue) = mpsc::unbounded_channel();
        let sequence = config
            .first_sequence
            .unwrap_or_else(|| crate::random::u32() as u16);
        let sender = Sender::new(Arc::clone(&shared), stream, sequence);
        let tasks = vec![
            tokio::spawn(sender.run(queue)),
            tokio::spawn(listen(Arc::clone(&shared), Port::Rtp)),
            tokio::spawn(listen(Arc::clone(&shared), Port::Rtcp)),
        ];
        Ok(Self {
            shared,
            key: Mutex::new(key),
            jobs,
            tasks,
        })
    }

    /// The address to advertise.
    pub(crate) fn local(&self) -> SocketAddr {
        self.shared.local_rtp
    }

    /// Our sending key, one for the whole call unless [`Self::rekey`] changes it (a key that
    /// never changes never resets the ROC).
    pub(crate) fn key(&self) -> Option<Key> {
        self.key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends under another key from now on, from packet index 0.
    pub(crate) fn rekey(&self, key: &Key) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        self.shared.path().outbound = Crypto::new(SUITE, key.clone());
    }

    /// Takes up what an offer/answer exchange settled.
    ///
    /// `retarget` says whether a changed address is believed; Microsoft's side never does.
    pub(crate) fn follow(&self, remote: &Remote, agreed: Agreed, retarget: bool) {
        let mut path = self.shared.path();
        if (retarget || path.rtp.is_none()) && !remote.black_hole() {
            path.rtp = Some(remote.rtp);
            path.rtcp = Some(remote.rtcp);
        }
        path.mux = remote.rtcp_mux;
        path.send = agreed.send;
        path.receive = agreed.receive;
        path.payload_type = agreed.codec.payload_type();
        path.codec = agreed.codec;
        path.telephone_event = remote.telephone_event();
        if let Some(line) = remote.usable_crypto()
            && !path
                .inbound
                .as_ref()
                .is_some_and(|known| known.is_for(&line.suite, &line.key))
        {
            path.inbound = Crypto::new(&line.suite, line.key.clone());
        }
    }

    /// Ends what is sent; what was heard stays known.
    pub(crate) fn stop(&self) {
        let mut path = self.shared.path();
        path.rtp = None;
        path.rtcp = None;
        path.send = false;
    }

    /// Queues `packets` packets of audio; resolves when the last has been sent.
    pub(crate) fn talk(&self, packets: u32) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        // A closed queue means the call is over; the receiver learns it from `done` dropped.
        let _ = self.jobs.send(Job::Talk { packets, done });
        finished
    }

    /// Queues telephone events; resolves when the last has been sent.
    pub(crate) fn dial(&self, digits: &str) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        let _ = self.jobs.send(Job::Digits {
            digits: digits.to_owned(),
            done,
        });
        finished
    }

    /// Queues packets of a sound; resolves when the last has been sent.
    pub(crate) fn play(&self, sound: Sound, packets: u32) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        let _ = self.jobs.send(Job::Play {
            sound,
            packets,
            done,
        });
        finished
    }

    /// Goes on under another SSRC, with another sequence number and timestamp.
    pub(crate) fn change_source(&self) {
        let _ = self.jobs.send(Job::NewSource);
    }

    /// What this call hears, `other` sends.
    pub(crate) fn forward_to(&self, other: &Self) {
        *self.shared.bridge() = Some(other.jobs.clone());
    }

    /// Sends packets which this call's peer must not take for ours.
    pub(crate) async fn forge(&self, packets: u32) -> std::io::Result<()> {
        let socket = UdpSocket::bind((self.shared.local_rtp.ip(), 0)).await?;
        let local = socket.local_addr()?;
        let (target, secure, payload_type) = {
            let path = self.shared.path();
            (path.rtp, path.outbound.is_some(), path.payload_type)
        };
        let Some(target) = target else { return Ok(()) };
        let mut crypto = secure.then(|| Crypto::new(SUITE, Key::random())).flatten();
        let mut forger = Sender::new(
            Arc::clone(&self.shared),
            StreamId(crate::random::u64()),
            crate::random::u32() as u16,
        );
        for _ in 0..packets {
            let plain = forger.coded(payload_type);
            let sealed = match &mut crypto {
                Some(crypto) => crypto.protect_rtp(&plain),
                None => Some(plain.into()),
            };
            if let Some(sealed) = sealed {
                socket.send_to(&sealed, target).await?;
                self.shared
                    .tap
                    .record(crate::tap::Carrier::Udp, local, target, &sealed);
            }
        }
        Ok(())
    }

    pub(crate) fn counts(&self) -> MediaCounts {
        self.shared.counts().clone()
    }

    /// Waits until `enough` holds of the counts, at most `limit`; says whether it came to hold.
    pub(crate) async fn wait_for(
        &self,
        limit: Duration,
        mut enough: impl FnMut(&MediaCounts) -> bool,
    ) -> bool {
        let mut news = self.shared.news.subscribe();
        tokio::time::timeout(limit, async {
            while !enough(&self.shared.counts()) {
                if news.changed().await.is_err() {
                    break;
                }
            }
        })
        .await
        .is_ok()
    }
}

async fn bind_pair(ip: IpAddr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        let rtp = UdpSocket::bind((ip, 0)).await?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 {
            continue;
        }
        match UdpSocket::bind((ip, port + 1)).await {
            Ok(rtcp) => return Ok((rtp, rtcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}
