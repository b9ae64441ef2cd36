//! The configuration file as it is written: one struct a table, every key with its default.
//!
//! Nothing here is checked against anything else; [`super::resolve()`] does that. Positions survive
//! as [`Spanned`] where a later check may have to point at a value.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

/// A length of time written as `"4s"`, `"500ms"`, `"2m"` or `"1h 30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not a length of time; write it as \"4s\", \"500ms\" or \"2m\""
            ))
        })
    }
}

/// One value or a list of them; lists are what the rest of the program sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Either>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self(match spanned.into_inner() {
            Either::One(value) => vec![Spanned::new(span, value)],
            Either::Many(values) => values,
        }))
    }
}

/// By hand, because an untagged enum would lose the items' places.
enum Either {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Either {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Either;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Either, E> {
                Ok(Either::One(value.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Either, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = items.next_element()? {
                    values.push(value);
                }
                Ok(Either::Many(values))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

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
}

/// `[media]`: ports and shards of the packet path.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Port range `"20000-29999"`; RTP takes even ports, RTCP the next odd one.
    pub ports: Option<Spanned<String>>,
    /// Threads that carry packets. Default: one a core, at least 2, at most 16.
    pub shards: Option<Spanned<u8>>,
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

/// `numbers = { country = "US", area = "425" }`: how a side writes telephone numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// ISO 3166 code of the country whose dial plan applies.
    pub country: Option<Spanned<String>>,
    /// Area code put before local numbers.
    pub area: Option<Spanned<String>>,
    /// How numbers are written to this side: `"e164"` (+14255550100), `"digits"` (14255550100) or
    /// `"national"`. Default: `"national"` where `country` is given, else `"e164"`.
    pub style: Option<Spanned<String>>,
}

/// `options = { … }` of a trunk: how its health is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Time between two OPTIONS to one peer; `"0s"` sends none. Default: `"60s"`.
    pub interval: Option<Span>,
    /// Unanswered OPTIONS in a row after which a peer counts as down. Default: 2.
    pub losses: Option<Spanned<u32>>,
}

/// `[[trunk]]`: one SIP peering.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// The trunk's name.
    pub name: Spanned<String>,
    /// `"acs"`, `"teams"`, `"carrier"` or `"pbx"`.
    pub preset: Spanned<String>,
    /// Where the peer's messages arrive: `"udp:0.0.0.0:5060"`, also `tcp:` and `tls:`.
    #[serde(default)]
    pub listen: OneOrMany,
    /// The peers in the order they are tried: `"udp:198.51.100.7:5060"`, `"tls:sip.carrier.example"`.
    #[serde(default)]
    pub peers: OneOrMany,
    /// Networks the peer's messages may come from. Default: the peers' own addresses; for `acs`
    /// and `teams` Microsoft's ranges.
    #[serde(default)]
    pub allow: OneOrMany,
    /// Name of the `[[interface]]`. Default: the one of `[gateway]`.
    pub interface: Option<Spanned<String>>,
    /// Name of the `[[certificate]]`. Default: the one of `[tls]`.
    pub certificate: Option<Spanned<String>>,
    /// The name this trunk's peer knows the gateway by. Default: `[gateway] fqdn`.
    pub fqdn: Option<Spanned<String>>,
    /// How this side writes numbers.
    pub numbers: Option<Numbers>,
    /// Calls at once. Default: no limit but the gateway's.
    pub calls: Option<Spanned<u32>>,
    /// New calls a second. Default: no limit.
    pub calls_per_second: Option<Spanned<u32>>,
    /// SRTP towards this trunk. Default: `true` for `acs` and `teams`, else `false`.
    pub srtp: Option<Spanned<bool>>,
    /// Codecs allowed, in order of preference: `["PCMA", "PCMU"]`. Default: whatever is offered.
    #[serde(default)]
    pub codecs: OneOrMany,
    /// Health.
    pub options: Option<Options>,
    /// A target that sends nothing is left after this. Default: `"4s"`.
    pub attempt_timeout: Option<Span>,
    /// A call nobody answers ends after this. Default: `"3m"`.
    pub no_answer: Option<Span>,
    /// A call ends after this. Default: `"4h"`.
    pub max_duration: Option<Span>,
    /// A call without any media ends after this; held calls are left alone. Default: `"5m"`.
    pub media_inactivity: Option<Span>,
}

/// `[[route]]`: which calls go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The route's name, as it appears in records and explanations.
    pub name: Spanned<String>,
    /// Trunks the call may come from. Default: any.
    #[serde(default)]
    pub from: OneOrMany,
    /// Called numbers: `"+1800*"`, `"+14255550100-+14255550199"`, `"+1425555????"`. Default: any.
    #[serde(default)]
    pub called: OneOrMany,
    /// Calling numbers, written alike. Default: any.
    #[serde(default)]
    pub calling: OneOrMany,
    /// Trunks to try, in this order.
    #[serde(default)]
    pub to: OneOrMany,
}

/// `[admin]`: where the running daemon answers its operator.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Unix socket of `/metrics`, `/healthz`; reachable by whoever may open the file.
    pub socket: Option<Spanned<String>>,
    /// TCP address of `/metrics` and `/healthz`: `"127.0.0.1:9090"`. Read-only pages; anything
    /// but a loopback address needs `token`.
    pub listen: Option<Spanned<String>>,
    /// Bearer token for `listen`; write it as `"${NAME}"`.
    pub token: Option<Spanned<String>>,
}

/// `[cloud_calling]`: Microsoft as the carrier. Read, so that a file that has it is understood.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudCalling {
    /// Connection string of the Azure resource; write it as `"${NAME}"`.
    pub connection_string: Option<Spanned<String>>,
    /// Numbers bought from Microsoft.
    #[serde(default)]
    pub caller_ids: OneOrMany,
}

/// `[log]`: the daemon's own messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`. Default: `"info"`.
    pub level: Option<Spanned<String>>,
    /// `"text"` or `"json"`. Default: `"text"`.
    pub format: Option<Spanned<String>>,
}
