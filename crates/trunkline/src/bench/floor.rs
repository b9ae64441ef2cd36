//! What the bare system calls of a relayed packet cost here: receive it, send it.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use serde::{Deserialize, Serialize};

use super::machine;
use super::wire::say;

/// Packets handed over in one call.
const BATCH: usize = 64;
/// Octets of a packet of PCMU.
const PACKET: usize = 172;
/// Batches in a round, and rounds.
const BATCHES: usize = 16;
const ROUNDS: usize = 150;

/// Arguments of `bench floor`.
#[derive(Debug, Args)]
pub(crate) struct FloorArgs {
    /// The core to run on
    #[arg(long)]
    core: Option<usize>,
}

/// ns for a packet of 172 octets in batches of 64 over loopback; the least and the median of the
/// rounds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// `recvmmsg`.
    pub(crate) receive: [f64; 2],
    /// `sendmmsg` of a connected socket, with what the kernel does to deliver.
    pub(crate) send: [f64; 2],
}

impl Floor {
    /// The least that one relayed packet can cost over sockets, in µs.
    pub(crate) fn packet_us(&self) -> f64 {
        (self.receive[0] + self.send[0]) / 1e3
    }
}

/// Measures and prints.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    machine::pin(args.core)?;
    say(&measure()?)
}

fn measure() -> Result<Floor> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect(receiver.local_addr()?)?;
    receiver.set_nonblocking(true)?;
    let headers = || MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let (mut sending, mut receiving) = (headers(), headers());
    let payload = [0x80; PACKET];
    let mut buffers = vec![[0u8; 256]; BATCH];
    let (mut sends, mut receives) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut send, mut receive) = (0.0, 0.0);
        for _ in 0..BATCHES {
            let slices = [[IoSlice::new(&payload)]; BATCH];
            let nobody = [None; BATCH];
            let began = Instant::now();
            let fd = sender.as_raw_fd();
            let flags = MsgFlags::empty();
            let sent = sendmmsg(fd, &mut sending, &slices, nobody, [], flags)?.count();
            send += began.elapsed().as_nanos() as f64;
            let mut slices: Vec<_> = buffers
                .iter_mut()
                .map(|buffer| [IoSliceMut::new(buffer)])
                .collect();
            let began = Instant::now();
            let fd = receiver.as_raw_fd();
            let got = recvmmsg(fd, &mut receiving, &mut slices, flags, None)?.count();
            receive += began.elapsed().as_nanos() as f64;
            ensure!(sent == BATCH && got == BATCH, "loopback lost a packet");
        }
        sends.push(send / (BATCH * BATCHES) as f64);
        receives.push(receive / (BATCH * BATCHES) as f64);
    }
    Ok(Floor {
        receive: least_and_median(receives),
        send: least_and_median(sends),
    })
}

fn least_and_median(mut all: Vec<f64>) -> [f64; 2] {
    all.sort_by(f64::total_cmp);
    [all[0], all[all.len() / 2]]
}
