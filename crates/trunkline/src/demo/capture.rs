//! A packet capture made from what sockets carried: every byte on the wire, without privileges.
//!
//! Datagrams become UDP packets; the bytes of a stream become TCP segments with sequence and
//! acknowledgement numbers that follow, so that a reader reassembles and, given the key log
//! beside the file, decrypts them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use etherparse::PacketBuilder;

/// libpcap's magic number for microsecond time stamps, and LINKTYPE_RAW: packets begin at IP.
const MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_RAW: u32 = 101;
const SNAP_LENGTH: u32 = 262_144;
/// Streams are cut into segments a link would carry.
const SEGMENT: usize = 1400;
const WINDOW: u16 = 65_000;

/// A capture file being written. Writing never fails a call: the first error stops the capture
/// and is told by [`Capture::finish`].
#[derive(Debug)]
pub struct Capture(Mutex<State>);

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    streams: BTreeMap<(SocketAddr, SocketAddr), u32>,
    packets: u64,
    failed: Option<io::Error>,
}

impl Capture {
    /// Starts a capture in `path`, replacing what is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&MAGIC.to_le_bytes())?;
        file.write_all(&2u16.to_le_bytes())?;
        file.write_all(&4u16.to_le_bytes())?;
        file.write_all(&[0; 8])?; // UTC, no accuracy claimed
        file.write_all(&SNAP_LENGTH.to_le_bytes())?;
        file.write_all(&LINKTYPE_RAW.to_le_bytes())?;
        Ok(Self(Mutex::new(State {
            file,
            streams: BTreeMap::new(),
            packets: 0,
            failed: None,
        })))
    }

    /// One datagram.
    pub fn datagram(&self, at: SystemTime, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let packet = ip(from, to, |builder| {
            let mut packet = Vec::with_capacity(payload.len() + 48);
            builder
                .udp(from.port(), to.port())
                .write(&mut packet, payload)
                .map(|()| packet)
                .ok()
        });
        self.lock().packet(at, packet.as_deref());
    }

    /// A stream was opened by `from`.
    pub fn opened(&self, at: SystemTime, from: SocketAddr, to: SocketAddr) {
        let mut state = self.lock();
        state.streams.insert((from, to), 0);
        state.streams.insert((to, from), 0);
        let syn = tcp(
            from,
            to,
            0,
            Flags {
                syn: true,
                ack: None,
                fin: false,
            },
            &[],
        );
        state.packet(at, syn.as_deref());
        let answer = tcp(
            to,
            from,
            0,
            Flags {
                syn: true,
                ack: Some(1),
                fin: false,
            },
            &[],
        );
        state.packet(at, answer.as_deref());
        let done = tcp(
            from,
            to,
            1,
            Flags {
                syn: false,
                ack: Some(1),
                fin: false,
            },
            &[],
        );
        state.packet(at, done.as_deref());
        state.streams.insert((from, to), 1);
        state.streams.insert((to, from), 1);
    }

    /// Bytes of a stream.
    pub fn stream(&self, at: SystemTime, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let mut state = self.lock();
        for segment in payload.chunks(SEGMENT) {
            let sequence = *state.streams.entry((from, to)).or_insert(1);
            let ack = *state.streams.entry((to, from)).or_insert(1);
            let packet = tcp(
                from,
                to,
                sequence,
                Flags {
                    syn: false,
                    ack: Some(ack),
                    fin: false,
                },
                segment,
            );
            state.packet(at, packet.as_deref());
            state
                .streams
                .insert((from, to), sequence.wrapping_add(segment.len() as u32));
        }
    }

    /// `from` closed its side of a stream.
    pub fn closed(&self, at: SystemTime, from: SocketAddr, to: SocketAddr) {
        let mut state = self.lock();
        let Some(sequence) = state.streams.get(&(from, to)).copied() else {
            return;
        };
        let ack = state.streams.get(&(to, from)).copied();
        let packet = tcp(
            from,
            to,
            sequence,
            Flags {
                syn: false,
                ack,
                fin: true,
            },
            &[],
        );
        state.packet(at, packet.as_deref());
        state.streams.insert((from, to), sequence.wrapping_add(1));
    }

    /// Writes out what is buffered and gives the number of packets.
    ///
    /// # Errors
    /// The first error that came up while writing.
    pub fn finish(&self) -> io::Result<u64> {
        let mut state = self.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        state.file.flush()?;
        Ok(state.packets)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A capture is of use even after a writer panicked between two packets.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn packet(&mut self, at: SystemTime, packet: Option<&[u8]>) {
        let Some(packet) = packet else { return };
        if self.failed.is_some() {
            return;
        }
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = (packet.len() as u32).to_le_bytes();
        let written = self
            .file
            .write_all(&(since.as_secs() as u32).to_le_bytes())
            .and_then(|()| self.file.write_all(&since.subsec_micros().to_le_bytes()))
            .and_then(|()| self.file.write_all(&length))
            .and_then(|()| self.file.write_all(&length))
            .and_then(|()| self.file.write_all(packet));
        match written {
            Ok(()) => self.packets += 1,
            Err(error) => self.failed = Some(error),
        }
    }
}

struct Flags {
    syn: bool,
    ack: Option<u32>,
    fin: bool,
}

fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    flags: Flags,
    payload: &[u8],
) -> Option<Vec<u8>> {
    ip(from, to, |builder| {
        let mut segment = builder.tcp(from.port(), to.port(), sequence, WINDOW);
        if flags.syn {
            segment = segment.syn();
        }
        if flags.fin {
            segment = segment.fin();
        }
        if let Some(ack) = flags.ack {
            segment = segment.ack(ack);
        }
        if !payload.is_empty() {
            segment = segment.psh();
        }
        let mut packet = Vec::with_capacity(payload.len() + 60);
        segment.write(&mut packet, payload).map(|()| packet).ok()
    })
}

fn ip(
    from: SocketAddr,
    to: SocketAddr,
    finish: impl FnOnce(etherparse::PacketBuilderStep<etherparse::IpHeaders>) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    const TTL: u8 = 64;
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            finish(PacketBuilder::ipv4(from.octets(), to.octets(), TTL))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            finish(PacketBuilder::ipv6(from.octets(), to.octets(), TTL))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::SlicedPacket;

    #[test]
    fn a_stream_reads_back_in_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let capture = Capture::create(file.path()).unwrap();
        let (a, b) = (
            "127.0.0.1:5000".parse().unwrap(),
            "127.0.0.2:5061".parse().unwrap(),
        );
        let at = UNIX_EPOCH + std::time::Duration::from_millis(1500);
        capture.opened(at, a, b);
        capture.stream(at, a, b, &[7; 3000]);
        capture.datagram(at, b, a, b"hello");
        capture.closed(at, a, b);
        assert_eq!(capture.finish().unwrap(), 3 + 3 + 1 + 1);

        let bytes = std::fs::read(file.path()).unwrap();
        let mut rest = &bytes[24..];
        let mut carried = 0;
        let mut expected = 1;
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let packet = SlicedPacket::from_ip(&rest[16..16 + length]).unwrap();
            if let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport
                && tcp.source_port() == 5000
                && !tcp.payload().is_empty()
            {
                assert_eq!(tcp.sequence_number(), expected);
                expected += tcp.payload().len() as u32;
                carried += tcp.payload().len();
            }
            rest = &rest[16 + length..];
        }
        assert_eq!(carried, 3000);
    }
}
