//! `/metrics`: what core and transport count, in the text format of OpenMetrics.
//!
//! Nothing is counted here: at each scrape the layers' own numbers are read once and written out.

mod media;
mod work;

use std::collections::BTreeMap;
use std::fmt;

use b2bua::health::{PeerState, TrunkHealth};
use b2bua::metrics::Metrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use routing::Difference;
use sip_transport::Counters;

use super::accounts;
use super::lateness::Lateness;

/// One reading of everything.
#[derive(Debug)]
pub struct Reading {
    /// The core's.
    pub core: Metrics,
    /// The transport's.
    pub transport: Counters,
    /// The media shards', each.
    pub media: Vec<media_io::Counters>,
    /// How media packets travel.
    pub media_path: media_io::PathKind,
    /// Call records that could not be written.
    pub records_lost: u64,
    /// What became of the records handed to the database, if there is one.
    pub stored: Option<store::Progress>,
    /// Internal faults the loop caught.
    pub faults: u64,
    /// How late the loop was for deadlines.
    pub lateness: Lateness,
    /// Turns of the loop: after waiting, after resting.
    pub turns: [u64; 2],
    /// Days each certificate has left.
    pub certificates: Vec<(String, i64)>,
    /// Whether each of this gateway's names leads here in DNS.
    pub names: Vec<(String, bool)>,
    /// What became of Azure's posts, where there is a listener for them.
    pub posts: Option<Vec<(&'static str, u64)>>,
}

/// Writes a reading out.
pub fn render(reading: Reading) -> String {
    let mut registry = Registry::with_prefix("trunkline");
    registry.register_collector(Box::new(reading));
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

/// Exemplars would carry these; there are none.
type NoLabels = Vec<(String, String)>;
type Samples<'a> = Vec<(Vec<(&'a str, String)>, i64)>;

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.calls(&mut encoder)?;
        self.trunks(&mut encoder)?;
        self.accounts(&mut encoder)?;
        self.cloud(&mut encoder)?;
        self.identity(&mut encoder)?;
        self.signalling(&mut encoder)?;
        self.transport(&mut encoder)?;
        self.media(&mut encoder)
    }
}

impl Reading {
    /// Calls through Azure Cloud Calling, and the door that Azure's posts come in by.
    fn cloud(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(posts) = &self.posts else {
            return Ok(());
        };
        let counts = &self.core.counts;
        let calls = [
            ("asked", counts.cloud_asked),
            ("failed", counts.cloud_failed),
        ];
        let calls = calls.map(|(what, count)| (vec![("outcome", what.to_owned())], int(count)));
        counter(
            encoder,
            "cloud_calls",
            "Calls that Azure was asked to carry, and of these those that it did not",
            calls.to_vec(),
        )?;
        let mut in_use: Vec<u32> = self
            .core
            .caller_ids
            .iter()
            .map(|(_, calls)| *calls)
            .collect();
        in_use.sort_unstable();
        let in_use = [
            ("numbers", in_use.len() as u64),
            ("calls", in_use.iter().map(|calls| u64::from(*calls)).sum()),
        ];
        let in_use = in_use.map(|(what, count)| (vec![("of", what.to_owned())], int(count)));
        gauge(
            encoder,
            "cloud_caller_ids_in_use",
            "Numbers that Azure shows now, and the calls that show them",
            in_use.to_vec(),
        )?;
        let posts: Vec<_> = posts
            .iter()
            .map(|(what, count)| (vec![("outcome", (*what).to_owned())], int(*count)))
            .collect();
        counter(
            encoder,
            "cloud_posts",
            "Posts to the listener of [cloud_calling]: taken, or why not",
            posts,
        )
    }

    fn stored(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stored) = self.stored else {
            return Ok(());
        };
        let states = [
            ("accepted", stored.accepted),
            ("acknowledged", stored.acknowledged),
            ("spooled", stored.spooled),
            ("lost", stored.lost),
            ("unreadable", stored.unreadable),
        ];
        let states = states.map(|(state, count)| (vec![("state", state.to_owned())], int(count)));
        counter(
            encoder,
            "records_stored",
            "Call records handed to the store, by what became of them; every acknowledged one \
             outlives the process, spooled ones reach the database later",
            states.to_vec(),
        )
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.core.counts;
        let stages = ["setup", "answered", "established", "ending"]
            .iter()
            .zip(self.core.stages)
            .map(|(stage, calls)| (vec![("stage", (*stage).to_owned())], int(calls as u64)))
            .collect();
        gauge(encoder, "calls", "Calls by stage", stages)?;
        counter(
            encoder,
            "calls_begun",
            "Calls whose INVITE was read",
            one(counts.calls),
        )?;
        let ended = vec![
            (vec![("answered", "true".to_owned())], int(counts.answered)),
            (
                vec![("answered", "false".to_owned())],
                int(counts.unanswered),
            ),
        ];
        counter(encoder, "calls_ended", "Calls that have ended", ended)?;
        counter(
            encoder,
            "attempts",
            "Attempts of calls that have ended",
            one(counts.attempts),
        )?;
        counter(
            encoder,
            "internal_faults",
            "Internal faults the signalling loop caught; each ends at most one call",
            one(self.faults),
        )?;
        counter(
            encoder,
            "records_lost",
            "Call records that could not be written",
            one(self.records_lost),
        )?;
        self.stored(encoder)?;
        let differences = Difference::ALL.into_iter().zip(counts.shadowed);
        counter(
            encoder,
            "shadow_calls",
            "Calls that have ended, by what the configuration beside this one would have made of \
             them",
            differences
                .map(|(what, calls)| (vec![("choice", what.as_str().to_owned())], int(calls)))
                .collect(),
        )?;
        self.ports(encoder)?;
        self.interfaces(encoder)?;
        gauge(
            encoder,
            "draining",
            "Whether new calls are refused",
            one(u64::from(self.core.draining)),
        )
    }

    fn trunks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let named = |value: &dyn Fn(&b2bua::limits::Usage) -> u64| -> Samples<'_> {
            self.core
                .trunks
                .iter()
                .map(|(name, usage)| (vec![("trunk", name.as_str().to_owned())], int(value(usage))))
                .collect()
        };
        gauge(
            encoder,
            "trunk_legs",
            "Legs a trunk carries",
            named(&|usage| u64::from(usage.in_use)),
        )?;
        counter(
            encoder,
            "trunk_legs_admitted",
            "Legs admitted to a trunk",
            named(&|usage| usage.admitted),
        )?;
        counter(
            encoder,
            "trunk_legs_refused",
            "Legs a trunk's limit refused",
            named(&|usage| usage.refused),
        )?;
        let health = self
            .core
            .health
            .iter()
            .map(|view| {
                let word = match view.health {
                    TrunkHealth::Up => 1,
                    TrunkHealth::Unknown
                    | TrunkHealth::Degraded
                    | TrunkHealth::InboundMissing
                    | TrunkHealth::Down => 0,
                };
                let labels = vec![
                    ("trunk", view.trunk.as_str().to_owned()),
                    ("health", view.health.as_str().to_owned()),
                ];
                (labels, word)
            })
            .collect();
        gauge(
            encoder,
            "trunk_up",
            "Whether a trunk is well in every respect",
            health,
        )?;
        let peers = self
            .core
            .health
            .iter()
            .flat_map(|view| {
                view.peers.iter().map(|peer| {
                    let up = matches!(peer.state, PeerState::Up { .. }) && peer.aside.is_none();
                    let labels = vec![
                        ("trunk", view.trunk.as_str().to_owned()),
                        ("peer", peer.target.host_str().to_owned()),
                        (
                            "port",
                            peer.target
                                .port()
                                .map_or_else(String::new, |p| p.to_string()),
                        ),
                    ];
                    (labels, i64::from(up))
                })
            })
            .collect();
        gauge(encoder, "peer_up", "Whether a peer takes calls", peers)
    }

    fn accounts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let core = &self.core;
        let by_trunk = |name: &str| vec![("trunk", name.to_owned())];
        let holding = accounts::holding(core)
            .map(|(trunk, holds)| (by_trunk(trunk), i64::from(holds)))
            .collect();
        gauge(
            encoder,
            "registration_up",
            "Whether this gateway is registered with a trunk that wants it",
            holding,
        )?;
        let mut contacts: BTreeMap<&str, i64> = BTreeMap::new();
        for binding in &core.bindings {
            *contacts.entry(binding.trunk.as_str()).or_default() += 1;
        }
        let contacts = contacts.into_iter();
        gauge(
            encoder,
            "registered_contacts",
            "Contacts that a trunk has registered here",
            contacts
                .map(|(trunk, count)| (by_trunk(trunk), count))
                .collect(),
        )?;
        gauge(
            encoder,
            "banned_sources",
            "Sources that are not heard for a while",
            one(core.banned.len() as u64),
        )?;
        let counted = accounts::counted(core);
        counter(
            encoder,
            "access_events",
            "Passwords asked for and judged, registrations refused, sources banned",
            counted
                .map(|(what, count)| (vec![("what", what.to_owned())], int(count)))
                .to_vec(),
        )
    }

    fn identity(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let days = self.certificates.iter();
        let days = days.map(|(name, days)| (vec![("certificate", name.clone())], *days));
        gauge(
            encoder,
            "certificate_days",
            "Whole days until a certificate ends",
            days.collect(),
        )?;
        let names = self.names.iter();
        let names = names.map(|(name, fine)| (vec![("fqdn", name.clone())], i64::from(*fine)));
        gauge(
            encoder,
            "name_in_dns",
            "Whether a name of this gateway leads here in DNS",
            names.collect(),
        )
    }

    fn signalling(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.core.counts;
        let messages = vec![
            (
                vec![("direction", "in".to_owned())],
                int(counts.messages_in),
            ),
            (
                vec![("direction", "out".to_owned())],
                int(counts.messages_out),
            ),
        ];
        counter(encoder, "sip_messages", "SIP messages", messages)?;
        let unidentified = counts
            .unidentified
            .iter()
            .map(|(reason, count)| (vec![("reason", reason.as_str().to_owned())], int(count)))
            .collect();
        counter(
            encoder,
            "sip_unidentified",
            "Requests that match no trunk",
            unidentified,
        )?;
        let ua = &self.core.signalling;
        let odd = [
            ("request_absorbed", ua.requests_absorbed),
            ("response_absorbed", ua.responses_absorbed),
            ("request_retransmitted", ua.requests_retransmitted),
            ("response_retransmitted", ua.responses_retransmitted),
            ("stray_response", ua.stray_responses),
            ("stray_ack", ua.stray_acks),
            ("malformed", ua.malformed),
            ("refused_for_room", ua.refused_for_room),
            ("dropped_for_room", ua.dropped_for_room),
            ("unknown_dialog", ua.unknown_dialog),
            ("loop", ua.loops),
            ("too_many_hops", ua.too_many_hops),
            ("out_of_order", ua.out_of_order),
            ("glare", ua.glare),
            ("fork_refused", ua.forks_refused),
            ("refusal_unacknowledged", ua.refusals_unacknowledged),
            ("abandoned", ua.abandoned),
            ("failover", ua.failovers),
            ("long_by_stream", ua.long_by_stream),
            ("long_datagram", ua.long_datagrams),
            ("undelivered", ua.undelivered),
        ]
        .map(|(what, count)| (vec![("what", what.to_owned())], int(count)))
        .to_vec();
        counter(
            encoder,
            "sip_events",
            "Repeated, refused and dropped messages",
            odd,
        )?;
        let load = &self.core.load;
        let tables = [
            ("client_transactions", load.clients),
            ("server_transactions", load.servers),
            ("dialogs", load.dialogs),
            ("deadlines", load.deadlines),
            ("dns_cached", load.dns_cached),
        ]
        .map(|(table, rows)| (vec![("table", table.to_owned())], int(rows as u64)))
        .to_vec();
        gauge(
            encoder,
            "sip_table_rows",
            "Rows of the user agent's tables",
            tables,
        )?;
        self.work(encoder)
    }

    fn transport(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let samples = self
            .transport
            .iter()
            .map(|(reason, count)| (vec![("what", reason.name().to_owned())], int(count)))
            .collect();
        counter(
            encoder,
            "transport_events",
            "What the transport met",
            samples,
        )
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn one<'a>(value: u64) -> Samples<'a> {
    vec![(Vec::new(), int(value))]
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Samples<'_>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        let value = value.unsigned_abs();
        if labels.is_empty() {
            family.encode_counter::<NoLabels, _, u64>(&value, None)?;
        } else {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabels, _, u64>(&value, None)?;
        }
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Samples<'_>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            family.encode_gauge(&value)?;
        } else {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}
