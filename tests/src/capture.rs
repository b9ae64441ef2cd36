//! Captures: written for SIPp to play, recorded by dumpcap, read back datagram by datagram.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::process::Process;

/// One UDP datagram of a capture.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// From where.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
    /// What.
    pub payload: Vec<u8>,
}

/// A running dumpcap on loopback.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
    address: IpAddr,
}

impl Capture {
    /// Records all UDP of the lab's network; packets are seen from the moment this returns.
    #[must_use]
    pub fn start(lab: &Lab) -> Self {
        let file = lab.path("capture.pcap");
        let net = lab.host(0);
        let mut process = Process::start(
            "dumpcap",
            Command::new("dumpcap")
                .args(["-i", "lo", "-P", "-B", "16", "-f"])
                .arg(format!("udp and net {net}/24"))
                .arg("-w")
                .arg(&file),
        );
        process.wait_for("File:", Duration::from_secs(10));
        Self {
            process,
            file,
            address: lab.host(9),
        }
    }

    /// Ends it and gives what was on the wire, in order.
    ///
    /// # Panics
    /// dumpcap lost packets.
    #[must_use]
    pub fn stop(mut self) -> Vec<Datagram> {
        // dumpcap reads the kernel's buffer in blocks: what is in the file after a last datagram
        // of ours is there whole.
        const LAST: &[u8] = b"the last datagram of this capture";
        let socket = UdpSocket::bind((self.address, 0)).expect("the address is the lab's");
        let here = socket.local_addr().expect("it is bound");
        socket.send_to(LAST, here).expect("sent");
        let until = Instant::now() + Duration::from_secs(10);
        while !std::fs::read(&self.file).is_ok_and(|bytes| bytes.ends_with(LAST)) {
            assert!(Instant::now() < until, "dumpcap does not keep up");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process.signal("INT");
        assert!(self.process.wait(Duration::from_secs(10)).success());
        let said = self.process.output();
        assert!(
            said.lines()
                .any(|line| line.contains("received/dropped") && line.contains("/0 ")),
            "{said}"
        );
        read(&self.file)
    }
}

/// Reads the UDP datagrams of a capture file.
///
/// # Panics
/// It is no little-endian pcap of Ethernet frames.
#[must_use]
pub fn read(file: &Path) -> Vec<Datagram> {
    let bytes = std::fs::read(file).expect("the capture is there");
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a pcap file");
    let mut rest = &bytes[24..];
    let mut datagrams = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        datagrams.extend(datagram(&rest[16..16 + length]));
        rest = &rest[16 + length..];
    }
    datagrams
}

fn datagram(frame: &[u8]) -> Option<Datagram> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let udp = ip.get(usize::from(ip[0] & 15) * 4..)?;
    if ip[9] != 17 || udp.len() < 8 {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    let end = |ip: &[u8], port| {
        SocketAddr::V4(SocketAddrV4::new(
            Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]),
            port,
        ))
    };
    Some(Datagram {
        from: end(&ip[12..16], port(0)),
        to: end(&ip[16..20], port(2)),
        payload: udp[8..usize::from(port(4))].to_vec(),
    })
}

/// The audio of packet `number` of a talker: 20 ms of G.711 that no other packet has.
#[must_use]
pub fn audio(talker: u8, number: u16) -> Vec<u8> {
    let mut state = u32::from(talker) << 16 | u32::from(number) | 0x5500_0000;
    (0..160)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// An RTP packet of PCMU.
#[must_use]
pub fn rtp(talker: u8, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    if number == 0 {
        packet[1] |= 0x80;
    }
    packet.extend((7000 + number).to_be_bytes());
    packet.extend((u32::from(number) * 160 + 90_000).to_be_bytes());
    packet.extend((0x1122_3300 | u32::from(talker)).to_be_bytes());
    packet.extend(audio(talker, number));
    packet
}

/// Writes a capture of `count` packets of a talker, 20 ms apart.
#[must_use]
pub fn write(lab: &Lab, name: &str, talker: u8, count: u16) -> PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for number in 0..count {
        let frame = frame(&rtp(talker, number));
        let micros = u32::from(number) * 20_000;
        let length = u32::try_from(frame.len()).expect("a short frame");
        for word in [micros / 1_000_000, micros % 1_000_000, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    let path = lab.path(name);
    std::fs::write(&path, bytes).expect("the lab's folder can be written");
    path
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = |extra: usize| {
        u16::try_from(payload.len() + extra)
            .expect("a short packet")
            .to_be_bytes()
    };
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(length(28));
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend([0x17, 0x70, 0x17, 0x70]);
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}
