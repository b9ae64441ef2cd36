//! Media ports and packets.

use std::fmt;

use b2bua::ports::InterfacePorts;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Reading, Samples, counter, gauge, int, one};

impl Reading {
    pub(super) fn ports(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let ports = &self.core.ports;
        let ports = vec![
            (vec![("state", "free".to_owned())], int(ports.free as u64)),
            (
                vec![("state", "resting".to_owned())],
                int(ports.resting as u64),
            ),
            (
                vec![("state", "leased".to_owned())],
                int(ports.leased as u64),
            ),
            (vec![("state", "asked".to_owned())], int(ports.asked as u64)),
        ];
        gauge(
            encoder,
            "media_port_pairs",
            "Pairs of media ports by state",
            ports,
        )?;
        counter(
            encoder,
            "media_port_pairs_hurried",
            "Pairs of media ports leased before their quarantine was over: the range is too small",
            one(self.core.ports.hurried),
        )?;
        counter(
            encoder,
            "media_port_pairs_refused",
            "Legs that found no pair of media ports",
            one(self.core.ports.refused),
        )
    }

    pub(super) fn interfaces(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let named = |value: &dyn Fn(&InterfacePorts) -> u64| -> Samples<'_> {
            let interfaces = self.core.interfaces.iter();
            interfaces
                .map(|ports| {
                    let labels = vec![("interface", ports.interface.to_string())];
                    (labels, int(value(ports)))
                })
                .collect()
        };
        for (name, help, value) in [
            (
                "media_ports",
                "Pairs of media ports that the range of an interface has",
                named(&|ports| ports.pairs.into()),
            ),
            (
                "media_ports_leased",
                "Pairs of media ports of an interface that legs hold",
                named(&|ports| ports.leased.into()),
            ),
            (
                "media_ports_resting",
                "Pairs of media ports of an interface in quarantine",
                named(&|ports| ports.resting.into()),
            ),
            (
                "media_ports_alarm",
                "Whether the media ports of an interface are nearly used up",
                named(&|ports| ports.alarm.into()),
            ),
        ] {
            gauge(encoder, name, help, value)?;
        }
        Ok(())
    }

    pub(super) fn media(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let by_shard = |pick: &dyn Fn(&media_io::Counters) -> Vec<(&'static str, u64)>| {
            let mut samples: Samples<'_> = Vec::new();
            for (shard, counters) in self.media.iter().enumerate() {
                for (what, value) in pick(counters) {
                    let labels = vec![("shard", shard.to_string()), ("what", what.to_owned())];
                    samples.push((labels, int(value)));
                }
            }
            samples
        };
        let packets = by_shard(&|shard| {
            vec![
                ("received", shard.received),
                ("sent", shard.sent),
                ("dropped", shard.dropped),
                ("no_leg", shard.no_leg),
                ("send_full", shard.send_full),
                ("send_failed", shard.send_failed),
                ("receive_failed", shard.receive_failed),
                ("converted", shard.converted),
                ("unconverted", shard.unconverted),
                ("turned_away", shard.turned_away),
                ("overflowed", shard.overflowed),
            ]
        });
        counter(
            encoder,
            "media_packets",
            "RTP and RTCP packets of the media shards",
            packets,
        )?;
        let faults = by_shard(&|shard| vec![("caught", shard.faults)]);
        counter(
            encoder,
            "media_faults",
            "Internal faults caught in the media shards",
            faults,
        )?;
        let open = by_shard(&|shard| {
            vec![
                ("legs", shard.legs),
                ("ports", shard.ports),
                ("connected", shard.connected),
            ]
        });
        gauge(
            encoder,
            "media_open",
            "Legs, port pairs and connected sockets of the media shards",
            open,
        )?;
        let paths = media_io::PathKind::ALL.into_iter();
        let taken = paths.map(|kind| {
            let labels = vec![("path", kind.name().to_owned())];
            (labels, i64::from(kind == self.media_path))
        });
        gauge(
            encoder,
            "media_path",
            "Whether media packets travel by this path",
            taken.collect(),
        )
    }
}
