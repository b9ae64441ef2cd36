//! Which trunk a request belongs to.
//!
//! In this order: the listener it arrived at, the TLS identity of its sender, the host of its
//! Request-URI, the longest source prefix, a registration. Each step narrows what the one before
//! left; a step that would leave nothing refuses, unless it has nothing to say about a trunk. The
//! source address is always checked where a trunk names prefixes, so that a right host name never
//! lets a stranger in.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use sip_msg::wire::{Arrival, ListenerId, PeerIdentity, TrunkName};
use sip_msg::{Request, StatusCode, TransportKind};
use thiserror::Error;

use crate::profile::{Profiles, TrunkProfile, holds};

/// A request that belongs to no trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Unidentified {
    /// No trunk takes requests at this listener.
    #[error("no trunk takes requests at this listener")]
    Listener,
    /// The sender's certificate has none of the names that a trunk here expects.
    #[error("the sender's certificate has none of the expected names")]
    TlsIdentity,
    /// The source address is in no trunk's allowed networks.
    #[error("the source address is not allowed")]
    Source,
    /// Several trunks fit, and nothing in the request tells them apart.
    #[error("the request fits several trunks")]
    Ambiguous,
}

impl Unidentified {
    /// Every variant, in the order of [`Counts`].
    pub const ALL: [Self; 4] = [
        Self::Listener,
        Self::TlsIdentity,
        Self::Source,
        Self::Ambiguous,
    ];

    /// What the sender sees: silence on UDP, where the source may be forged and an answer would
    /// only help a scan; 403 on connections.
    #[must_use]
    pub fn answer(self, transport: TransportKind) -> Option<StatusCode> {
        (transport != TransportKind::Udp).then_some(StatusCode::FORBIDDEN)
    }

    /// The name in metrics and traces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::TlsIdentity => "tls-identity",
            Self::Source => "source",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// How many requests belonged to no trunk, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Unidentified::ALL.len()]);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, reason: Unidentified) {
        self.0[reason as usize] += 1;
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Unidentified, u64)> + '_ {
        Unidentified::ALL.into_iter().zip(self.0)
    }
}

/// The trunk that `request`, which came as `arrival` says, belongs to. `registered` is the trunk
/// whose registration the flow carries, if it carries one.
///
/// # Errors
/// At which step nothing, or too much, was left.
pub fn identify<'a>(
    profiles: &'a Profiles,
    arrival: &Arrival,
    request: &Request,
    registered: Option<&TrunkName>,
) -> Result<&'a Arc<TrunkProfile>, Unidentified> {
    if let Some(trunk) = &arrival.opened_for {
        return profiles.trunk(trunk).ok_or(Unidentified::Listener);
    }
    let listener = arrival.listener.ok_or(Unidentified::Listener)?;
    let mut left: Vec<&Arc<TrunkProfile>> = profiles.at_listener(listener).iter().collect();
    if left.is_empty() {
        return Err(Unidentified::Listener);
    }
    keep_tls_identity(&mut left, arrival.identity.as_deref());
    if left.is_empty() {
        return Err(Unidentified::TlsIdentity);
    }
    let source = arrival.remote.ip();
    left.retain(|trunk| {
        trunk.allow.is_empty()
            || trunk.allow.iter().any(|net| holds(net, source))
            || registered == Some(&trunk.name)
    });
    if left.is_empty() {
        return Err(Unidentified::Source);
    }
    keep_request_host(&mut left, request.uri.host_str());
    keep_longest_prefix(&mut left, |net| holds(net, source));
    if left.len() > 1 {
        left.retain(|trunk| registered == Some(&trunk.name));
    }
    match left.as_slice() {
        [trunk] => Ok(trunk),
        [] | [_, ..] => Err(Unidentified::Ambiguous),
    }
}

/// Trunks that expect a name get only those who have it; if one fits, those that expect none
/// are out.
fn keep_tls_identity(left: &mut Vec<&Arc<TrunkProfile>>, identity: Option<&PeerIdentity>) {
    let has_name = |trunk: &TrunkProfile| {
        identity.is_some_and(|identity| {
            trunk
                .expected_names
                .iter()
                .any(|expected| identity.names.iter().any(|name| covers(name, expected)))
        })
    };
    left.retain(|trunk| trunk.expected_names.is_empty() || has_name(trunk));
    if left.iter().any(|trunk| !trunk.expected_names.is_empty()) {
        left.retain(|trunk| !trunk.expected_names.is_empty());
    }
}

/// Whether the certificate name covers the expected one (RFC 6125 §6.4.3: a wildcard stands for
/// the left-most label alone).
fn covers(certified: &str, expected: &str) -> bool {
    let Some(parent) = certified.strip_prefix("*.") else {
        return certified.eq_ignore_ascii_case(expected);
    };
    expected
        .split_once('.')
        .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
}

/// If the host is one trunk's own, the others are out. If it is nobody's, it speaks for trunks
/// that name no host: carriers write our address there as they please.
fn keep_request_host(left: &mut Vec<&Arc<TrunkProfile>>, host: &str) {
    let owns = |trunk: &TrunkProfile| {
        trunk
            .request_hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
    };
    if left.iter().any(|trunk| owns(trunk)) {
        left.retain(|trunk| owns(trunk));
    } else if left.iter().any(|trunk| trunk.request_hosts.is_empty()) {
        left.retain(|trunk| trunk.request_hosts.is_empty());
    }
}

fn keep_longest_prefix(left: &mut Vec<&Arc<TrunkProfile>>, holds: impl Fn(&IpNet) -> bool) {
    let length = |trunk: &TrunkProfile| {
        trunk
            .allow
            .iter()
            .filter(|net| holds(net))
            .map(IpNet::prefix_len)
            .max()
    };
    let longest = left.iter().filter_map(|trunk| length(trunk)).max();
    left.retain(|trunk| length(trunk) == longest);
}

/// Two trunks that some request could belong to equally.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a request could belong to trunk {first} as well as to {second}")]
pub struct Ambiguity {
    /// The trunk whose name sorts first.
    pub first: TrunkName,
    /// The other one.
    pub second: TrunkName,
    /// The listener where both take requests.
    pub listener: ListenerId,
}

/// Every pair of trunks that some request could belong to equally: same listener, compatible TLS
/// names, a shared or missing Request-URI host, and an equally long shared source prefix. Such a
/// configuration is a mistake, for the request would be refused.
#[must_use]
pub fn ambiguities(profiles: &Profiles) -> Vec<Ambiguity> {
    let mut by_listener: BTreeMap<ListenerId, Vec<&TrunkProfile>> = BTreeMap::new();
    for trunk in profiles.trunks.values() {
        for &listener in &trunk.listeners {
            by_listener.entry(listener).or_default().push(trunk);
        }
    }
    let mut found = Vec::new();
    for (listener, trunks) in by_listener {
        for (index, first) in trunks.iter().enumerate() {
            for second in &trunks[index + 1..] {
                if indistinguishable(first, second) {
                    let (first, second) = (first.name.clone(), second.name.clone());
                    found.push(Ambiguity {
                        first,
                        second,
                        listener,
                    });
                }
            }
        }
    }
    found
}

fn indistinguishable(first: &TrunkProfile, second: &TrunkProfile) -> bool {
    let names = match (
        first.expected_names.is_empty(),
        second.expected_names.is_empty(),
    ) {
        (true, true) => true,
        (false, false) => shares(&first.expected_names, &second.expected_names),
        (true, false) | (false, true) => false,
    };
    let hosts = match (
        first.request_hosts.is_empty(),
        second.request_hosts.is_empty(),
    ) {
        (false, false) => shares(&first.request_hosts, &second.request_hosts),
        (true, true) => true,
        // The one with a host wins whenever it is named.
        (true, false) | (false, true) => false,
    };
    names && hosts && sources_clash(&first.allow, &second.allow)
}

fn shares(first: &[Arc<str>], second: &[Arc<str>]) -> bool {
    first
        .iter()
        .any(|name| second.iter().any(|other| name.eq_ignore_ascii_case(other)))
}

/// Whether an address exists whose longest prefix is equally long on both sides.
fn sources_clash(first: &[IpNet], second: &[IpNet]) -> bool {
    if first.is_empty() && second.is_empty() {
        return true;
    }
    // Of two blocks with prefixes of one length that share an address, each is the other.
    first.iter().any(|net| second.contains(net))
}

#[cfg(test)]
mod tests;
