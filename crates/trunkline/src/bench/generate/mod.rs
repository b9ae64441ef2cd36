//! The generator: drives any relay with the packets of many calls at once, and looks at what comes
//! back.
//!
//! One thread that never waits, one socket for all A legs and one for all B legs. Packets of a
//! flow are as far apart as in a call; the flows, two of each call, are spread over that time
//! evenly. What comes back is known by the port it comes from, counted by its sequence number, and
//! every n-th packet is authenticated and compared whole, by webrtc-srtp where it is SRTP.

mod flows;
mod packet;
mod run;
mod schedule;
mod side;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use clap::Args;

use super::machine;
use super::wire::{Ends, Key, Order, Plan, hear, say};
use run::Generator;

/// Arguments of `bench generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The core to run on
    #[arg(long)]
    core: Option<usize>,
    /// The address to send from and to hear on
    #[arg(long, default_value = "127.0.0.1")]
    bind: Ipv4Addr,
}

/// Prints its ends, hears whom to drive, and then answers each order with what it measured, until
/// there are none.
pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    machine::pin(args.core)?;
    let sockets = [bind(args.bind)?, bind(args.bind)?];
    let unread = UdpSocket::bind((args.bind, 0))?;
    let ends = Ends {
        a: sockets[0].local_addr()?,
        b: sockets[1].local_addr()?,
        rtcp: unread.local_addr()?,
        key_a: Key::random()?,
        key_b: Key::random()?,
    };
    say(&ends)?;
    let Some(plan) = hear::<Plan>()? else {
        return Ok(());
    };
    let mut generator = Generator::new(sockets, &ends, &plan)?;
    while let Some(order) = hear::<Order>()? {
        say(&generator.run(&order)?)?;
    }
    Ok(())
}

/// A socket that a second of the highest rate fits into, where the system allows that.
fn bind(address: Ipv4Addr) -> Result<UdpSocket> {
    use nix::sys::socket::{setsockopt, sockopt};
    const ROOM: usize = 64 << 20;
    let address = SocketAddr::from((address, 0));
    let socket = UdpSocket::bind(address).with_context(|| address.to_string())?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
    }
    setsockopt(&socket, sockopt::SndBuf, &ROOM)?;
    Ok(socket)
}
