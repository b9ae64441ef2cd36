//! Sending past the kernel's IP stack: headers, checksums, and the way to a peer.

pub mod checksum;
pub mod headers;
mod netlink;
pub mod next_hop;
pub mod transmitter;
