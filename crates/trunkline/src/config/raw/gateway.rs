//! What concerns the gateway as a whole: `[gateway]`, `[tls]`, `[media]`, `[dns]`,
//! `[[interface]]`, `[[certificate]]`.

use std::net::IpAddr;

use serde::Deserialize;
use toml::Spanned;

use super::{OneOrMany, Span};

/// `[gateway]`: shorthand for one interface, and what concerns the whole gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The name Microsoft knows this gateway by. Required by `acs` and `teams` trunks.
    pub fqdn: Option<Spanned<String>>,
    /// The address seen from outside (1:1 NAT). Default: the interface's own.
    pub public_address: Option<Spanned<IpAddr>>,
    /// The address media and signalling are bound to. Default: `0.0.0.0`.
    pub bind: Option<Spanned<IpAddr>>,
    /// Calls at once, over all trunks. Default: 10000.
    pub calls: Option<Spanned<u32>>,
    /// New calls a second, over all trunks. Default: no limit.
    pub calls_per_second: Option<Spanned<u32>>,
    /// How long a drain waits for calls to end by themselves. Default: `"5m"`.
    pub drain: Option<Span>,
    /// The file call records are appended to, one JSON object a line. Default: standard log only.
    pub records: Option<Spanned<String>>,
}

/// `[tls]`: shorthand for one certificate, and the roots peers are checked against.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the leaf and every intermediate.
    pub certificate: Option<Spanned<String>>,
    /// PEM file: the leaf's key.
    pub private_key: Option<Spanned<String>>,
    /// PEM file of trusted roots. Default: the operating system's.
    pub roots: Option<Spanned<String>>,
    /// Versions spoken, of `"1.2"` and `"1.3"`. Default: both.
    #[serde(default)]
    pub versions: OneOrMany,
    /// Cipher suites by their IANA names, in order of preference. Default: AES-GCM and ChaCha20
    /// with ECDHE, those of TLS 1.3 first.
    #[serde(default)]
    pub suites: OneOrMany,
    /// How long before the end of a certificate the warnings begin. Default: `"30d"`.
    pub warn_before: Option<Span>,
    /// Roots that Microsoft's certificates chain to, whose absence from `roots` is warned of where
    /// a trunk leads to its proxies: each a name and the SHA-1 fingerprint of the certificate,
    /// `"DigiCert Global Root G2 df3c24f9bfd666761b268073fe06d1cc8d4f82a4"`, or the fingerprint
    /// alone; `[]` warns of none. Default: DigiCert Global Root CA, G2 and G3, DigiCert TLS ECC P384
    /// Root G5, DigiCert TLS RSA 4096 Root G5, and the Microsoft ECC and RSA Root Certificate
    /// Authorities 2017.
    pub microsoft_roots: Option<OneOrMany>,
    /// The fewest bits of an RSA key in a certificate shown to Microsoft, 2048 to 8192; fewer are
    /// an error. Default: 2048.
    pub rsa_bits: Option<Spanned<u32>>,
}

/// `[media]`: ports and shards of the packet path.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Port range `"20000-29999"`; RTP takes even ports, RTCP the next odd one.
    pub ports: Option<Spanned<String>>,
    /// Threads that carry packets. Default: one a core, at least 2, at most 16.
    pub shards: Option<Spanned<u8>>,
    /// How packets travel between the kernel and the shards: `"epoll"`, `"io_uring"`, `"steered"`,
    /// or `"auto"` for the best that is possible here. `"steered"` has one socket a shard for all
    /// ports instead of one a port, and sends frames past the kernel's IP stack; it takes CAP_BPF,
    /// CAP_NET_ADMIN and CAP_NET_RAW (`packaging/trunkline.service` grants them) and ports outside
    /// `net.ipv4.ip_local_port_range`, and the packet filter's output chains and address
    /// translation do not see its packets. Where the one named is not possible another is taken;
    /// the log, `trunkline status` and the metric `trunkline_media_path` say which, and why.
    /// Default: `"auto"`.
    pub path: Option<Spanned<String>>,
    /// How long a released pair of ports rests before another call may have it. Default: `"30s"`.
    pub quarantine: Option<Span>,
    /// How long it rests at least, where the range is too small for `quarantine`. Default:
    /// `"500ms"`.
    pub quarantine_floor: Option<Span>,
    /// Pairs of ports that each shard keeps bound on each interface ahead of need, 4 to 4096; half
    /// of them gone, it is filled again, and doubled where that took less than a tenth of a second.
    /// All shards together keep at most a quarter of the range, but 4 each. Default: 128.
    pub reserve: Option<Spanned<u16>>,
    /// Percent of an interface's port pairs, in use or resting, from which on a warning is logged
    /// and the metric `trunkline_media_ports_alarm` is 1, 10 to 100. Default: 80.
    pub ports_alarm: Option<Spanned<u8>>,
    /// The DSCP of RTP and RTCP, 0 to 63. Default: 46, expedited forwarding.
    pub dscp: Option<Spanned<u8>>,
}

/// `[[interface]]`: one address the gateway is reached at, written out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The name trunks use.
    pub name: Spanned<String>,
    /// The local address.
    pub bind: Spanned<IpAddr>,
    /// The address peers are told. Default: `bind`.
    pub advertise: Option<Spanned<IpAddr>>,
    /// The media ports of this interface. Default: `[media] ports`.
    pub ports: Option<Spanned<String>>,
}

/// `[[certificate]]`: one identity, written out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The name trunks use.
    pub name: Spanned<String>,
    /// PEM file: the leaf and every intermediate.
    pub certificate: Spanned<String>,
    /// PEM file: the leaf's key.
    pub private_key: Spanned<String>,
}

/// `[dns]`: who answers names that `[hosts]` does not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Servers as `"192.0.2.53"` or `"192.0.2.53:5353"`. Default: those of the operating system.
    #[serde(default)]
    pub servers: OneOrMany,
    /// How long one query may take. Default: `"4s"`.
    pub timeout: Option<Span>,
    /// Time between two looks at what the world is told about this gateway's own names; `"0s"`
    /// never looks. Default: `"5m"`.
    pub self_check: Option<Span>,
}
