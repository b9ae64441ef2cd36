//! The rights of this thread (capabilities(7)), as far as a path asks for them.

use std::fmt;

/// A right that a path needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// CAP_BPF, which CAP_SYS_ADMIN contains: to load programs.
    Bpf,
    /// CAP_NET_ADMIN: to have a program choose sockets.
    NetAdmin,
    /// CAP_NET_RAW: to send frames and packets with headers of one's own.
    NetRaw,
}

impl Capability {
    /// The bits that grant it, each alone.
    fn bits(self) -> u64 {
        const SYS_ADMIN: u64 = 1 << 21;
        match self {
            Self::Bpf => 1 << 39 | SYS_ADMIN,
            Self::NetAdmin => 1 << 12,
            Self::NetRaw => 1 << 13,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
        }
    }
}

/// Rights that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(Vec<Capability>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|right| right.name()).collect();
        write!(f, "the process lacks {}", names.join(" and "))
    }
}

impl std::error::Error for Missing {}

/// Whether this thread has all of `rights`; those that it lacks otherwise. Where the system does
/// not say, it is taken to have them: the system call that needs them will tell.
pub fn require(rights: &[Capability]) -> Result<(), Missing> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let missing = lacking(&status, rights);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Missing(missing))
    }
}

fn lacking(status: &str, rights: &[Capability]) -> Vec<Capability> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    rights
        .iter()
        .copied()
        .filter(|right| effective & right.bits() == 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Capability; 3] = [Capability::Bpf, Capability::NetAdmin, Capability::NetRaw];

    #[test]
    fn what_is_missing_has_its_name() {
        let status = "Name:\ttrunkline\nCapPrm:\t0000000000003000\nCapEff:\t0000000000002000\n";
        let missing = Missing(lacking(status, &ALL));
        let text = "the process lacks CAP_BPF and CAP_NET_ADMIN";
        assert_eq!(missing.to_string(), text);
    }

    #[test]
    fn the_administrator_may_load_programs() {
        let status = "CapEff:\t0000000000203000\n";
        assert_eq!(lacking(status, &ALL), []);
        assert_eq!(lacking("", &ALL), []);
    }
}
