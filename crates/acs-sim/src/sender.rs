//! Sends one call's stream: coded audio, telephone events and reports, one step every 20 ms.

use std::sync::Arc;
use std::time::Duration;

use rtp_rs::RtpPacketBuilder;
use sha2::Digest as _;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::media::{Path, Shared};
use crate::payload::{self, StreamId};
use crate::receiver::DIGITS;
use crate::rtcp::{self, Sent};
use crate::sound::Sound;
use crate::tap::Carrier;

/// One packet's time.
const PACE: Duration = Duration::from_millis(20);
/// One packet's time in units of the 8 kHz clock.
const STEP: u32 = 160;
/// Steps between two reports.
const REPORT_EVERY: u32 = 50;
/// Steps during which an event grows, then how often its end is sent, then the pause after it.
const EVENT_STEPS: u16 = 5;
const EVENT_ENDS: u16 = 3;
const EVENT_PAUSE: u16 = 3;

/// Work for the sender, done in the order given.
pub(crate) enum Job {
    Talk {
        packets: u32,
        done: oneshot::Sender<()>,
    },
    Digits {
        digits: String,
        done: oneshot::Sender<()>,
    },
    Play {
        sound: Sound,
        packets: u32,
        done: oneshot::Sender<()>,
    },
    /// One packet with this payload, at once.
    Payload(Vec<u8>),
    /// Another SSRC, sequence and timestamp from here on.
    NewSource,
}

/// The sending end of one stream.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    stream: StreamId,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    index: u32,
    packets: u32,
    silent: bool,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, stream: StreamId, sequence: u16) -> Self {
        let timestamp = crate::random::u32();
        Self {
            shared,
            stream,
            ssrc: crate::random::u32(),
            sequence,
            timestamp,
            index: 0,
            packets: 0,
            silent: true,
        }
    }

    /// Runs until the queue is dropped.
    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        let mut pace = interval(PACE);
        // Catching up in a burst would test the listener's buffers, not its logic.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut job = None;
        let mut steps = 0u32;
        loop {
            pace.tick().await;
            self.timestamp = self.timestamp.wrapping_add(STEP);
            steps = steps.wrapping_add(1);
            if self.shared.reports && steps.is_multiple_of(REPORT_EVERY) {
                self.report().await;
            }
            while job.is_none() {
                match queue.try_recv() {
                    Ok(Job::Payload(payload)) => self.hand_on(&payload).await,
                    Ok(Job::NewSource) => self.change_source(),
                    Ok(next) => job = Work::begin(next),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                }
            }
            let Some(work) = &mut job else {
                self.silent = true;
                continue;
            };
            if !self.may_send() {
                self.silent = true;
                continue;
            }
            if self.step(work).await {
                job = None;
            }
        }
    }

    fn may_send(&self) -> bool {
        let path = self.shared.path();
        path.send && path.rtp.is_some()
    }

    /// Does one step of the work; says whether it was the last.
    async fn step(&mut self, work: &mut Work) -> bool {
        let finished = match work {
            Work::Talk { left, .. } => {
                if *left > 0 {
                    self.audio().await;
                    *left -= 1;
                }
                *left == 0
            }
            Work::Play {
                sound, index, left, ..
            } => {
                if *left > 0 {
                    self.sound(*sound, *index).await;
                    *index += 1;
                    *left -= 1;
                }
                *left == 0
            }
            Work::Digits { digits, event, .. } => {
                if let Some(current) = event {
                    if current.over() {
                        *event = None;
                    }
                } else if let Some(code) = digits.pop() {
                    *event = Some(Event {
                        code,
                        timestamp: self.timestamp,
                        step: 0,
                    });
                }
                match event {
                    Some(event) => {
                        self.event(event).await;
                        false
                    }
                    None => digits.is_empty(),
                }
            }
        };
        if finished {
            work.finish();
        }
        finished
    }

    async fn audio(&mut self) {
        let mut payload = payload::encode(self.stream, self.index);
        self.index += 1;
        let faults = self.shared.faults;
        if faults
            .corrupt_sent
            .is_some_and(|n| self.index.is_multiple_of(n))
        {
            payload[80] ^= 0x40;
        }
        let dropped = faults
            .drop_sent
            .is_some_and(|n| self.index.is_multiple_of(n));
        let payload_type = self.shared.path().payload_type;
        let packet = self.packet(payload_type, self.timestamp, self.silent, &payload);
        self.silent = false;
        {
            let mut counts = self.shared.counts();
            counts.sent += 1;
            counts.ssrc = Some(self.ssrc);
            if !dropped {
                counts.sent_digest.update(payload);
            }
        }
        if !dropped {
            self.send_rtp(packet).await;
        }
    }

    /// One coded packet that is in nobody's account.
    pub(crate) fn coded(&mut self, payload_type: u8) -> Vec<u8> {
        let payload = payload::encode(self.stream, self.index);
        self.index += 1;
        self.timestamp = self.timestamp.wrapping_add(STEP);
        self.packet(payload_type, self.timestamp, false, &payload)
    }

    async fn sound(&mut self, sound: Sound, index: u32) {
        let (codec, payload_type) = {
            let path = self.shared.path();
            (path.codec, path.payload_type)
        };
        let payload_type = sound.payload_type().unwrap_or(payload_type);
        let payload = sound.payload(codec, index);
        let packet = self.packet(payload_type, self.timestamp, self.silent, &payload);
        self.silent = false;
        self.send_rtp(packet).await;
    }

    /// A packet of a call this one is bridged with; it is coded in another stream's name.
    async fn hand_on(&mut self, payload: &[u8]) {
        if !self.may_send() {
            return;
        }
        let payload_type = self.shared.path().payload_type;
        let packet = self.packet(payload_type, self.timestamp, self.silent, payload);
        self.timestamp = self.timestamp.wrapping_add(STEP);
        self.silent = false;
        self.send_rtp(packet).await;
    }

    fn change_source(&mut self) {
        self.ssrc = crate::random::u32();
        self.sequence = crate::random::u32() as u16;
        self.timestamp = crate::random::u32();
        self.silent = true;
    }

    async fn event(&mut self, event: &mut Event) {
        let Some(payload_type) = self.shared.path().telephone_event else {
            event.step = u16::MAX;
            return;
        };
        let grown = (event.step + 1).min(EVENT_STEPS) * STEP as u16;
        let end = event.step >= EVENT_STEPS;
        let first = event.step == 0;
        if event.step < EVENT_STEPS + EVENT_ENDS {
            let [high, low] = grown.to_be_bytes();
            let payload = [event.code, if end { 0x80 | 10 } else { 10 }, high, low];
            let packet = self.packet(payload_type, event.timestamp, first, &payload);
            self.send_rtp(packet).await;
        }
        event.step += 1;
        self.silent = true;
    }

    fn packet(&mut self, payload_type: u8, timestamp: u32, mark: bool, payload: &[u8]) -> Vec<u8> {
        let packet = RtpPacketBuilder::new()
            .payload_type(payload_type)
            .sequence(self.sequence.into())
            .timestamp(timestamp)
            .ssrc(self.ssrc)
            .marked(mark)
            .payload(payload)
            .build()
            .expect("a payload type of seven bits and no extension");
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        packet
    }

    async fn send_rtp(&self, packet: Vec<u8>) {
        let (target, packet) = {
            let mut path = self.shared.path();
            let Some(target) = path.rtp else { return };
            let packet = match &mut path.outbound {
                Some(crypto) => crypto.protect_rtp(&packet),
                None => Some(packet.into()),
            };
            (target, packet)
        };
        if let Some(packet) = packet {
            self.send(&self.shared.rtp, self.shared.local_rtp, target, &packet)
                .await;
        }
    }

    async fn report(&self) {
        let sent = Sent {
            ssrc: self.ssrc,
            timestamp: self.timestamp,
            packets: self.packets,
            octets: self.packets.wrapping_mul(payload::LEN as u32),
        };
        let heard = self.shared.counts().ssrcs.last().copied();
        let heard = heard.map(|ssrc| rtcp::Heard { ssrc, highest: 0 });
        let plain = rtcp::compound(sent, heard, "audio@simulated.invalid");
        let (mux, target, packet) = {
            let mut path = self.shared.path();
            let Path { mux, rtp, rtcp, .. } = *path;
            let Some(target) = (if mux { rtp } else { rtcp }) else {
                return;
            };
            let packet = match &mut path.outbound {
                Some(crypto) => crypto.protect_rtcp(&plain),
                None => Some(plain.into()),
            };
            (mux, target, packet)
        };
        let Some(packet) = packet else { return };
        self.shared.counts().rtcp_sent += 1;
        if mux {
            self.send(&self.shared.rtp, self.shared.local_rtp, target, &packet)
                .await;
        } else {
            self.send(&self.shared.rtcp, self.shared.local_rtcp, target, &packet)
                .await;
        }
    }

    async fn send(
        &self,
        socket: &UdpSocket,
        local: std::net::SocketAddr,
        target: std::net::SocketAddr,
        packet: &[u8],
    ) {
        // A datagram that cannot be sent is a lost one, and the receiver's account shows it.
        if socket.send_to(packet, target).await.is_ok() {
            self.shared.tap.record(Carrier::Udp, local, target, packet);
        }
    }
}

/// A job begun.
enum Work {
    Talk {
        left: u32,
        done: Option<oneshot::Sender<()>>,
    },
    Play {
        sound: Sound,
        index: u32,
        left: u32,
        done: Option<oneshot::Sender<()>>,
    },
    /// Event codes still to send, last first.
    Digits {
        digits: Vec<u8>,
        event: Option<Event>,
        done: Option<oneshot::Sender<()>>,
    },
}

impl Work {
    /// What takes steps; the rest is done at once.
    fn begin(job: Job) -> Option<Self> {
        Some(match job {
            Job::Talk { packets, done } => Self::Talk {
                left: packets,
                done: Some(done),
            },
            Job::Play {
                sound,
                packets,
                done,
            } => Self::Play {
                sound,
                index: 0,
                left: packets,
                done: Some(done),
            },
            Job::Digits { digits, done } => {
                let codes = digits.chars().rev().filter_map(|digit| {
                    DIGITS
                        .chars()
                        .position(|known| known == digit)
                        .map(|code| code as u8)
                });
                Self::Digits {
                    digits: codes.collect(),
                    event: None,
                    done: Some(done),
                }
            }
            Job::Payload(_) | Job::NewSource => return None,
        })
    }

    fn finish(&mut self) {
        let (Self::Talk { done, .. } | Self::Play { done, .. } | Self::Digits { done, .. }) = self;
        if let Some(done) = done.take() {
            // Nobody waiting is nobody to tell.
            let _ = done.send(());
        }
    }
}

/// A telephone event under way.
struct Event {
    code: u8,
    timestamp: u32,
    step: u16,
}

impl Event {
    fn over(&self) -> bool {
        self.step >= EVENT_STEPS + EVENT_ENDS + EVENT_PAUSE
    }
}
