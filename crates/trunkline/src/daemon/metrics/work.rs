//! How the signalling loop keeps up.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{NoLabels, Reading, counter, gauge, int, one};

impl Reading {
    pub(super) fn work(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let begun = ["waited", "rested"].into_iter().zip(self.turns);
        counter(
            encoder,
            "signalling_turns",
            "Turns of the signalling loop, by what it did before: under load it rests a little \
             instead of being woken for each message",
            begun
                .map(|(what, turns)| (vec![("before", what.to_owned())], int(turns)))
                .collect(),
        )?;
        gauge(
            encoder,
            "timer_lateness_most_microseconds",
            "How late the signalling loop was for a deadline at worst, since the start",
            one(self.lateness.most_micros()),
        )?;
        let mut family = encoder.encode_descriptor(
            "timer_lateness",
            "How late the signalling loop was for its deadlines",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let (sum, count) = (self.lateness.sum(), self.lateness.count());
        family.encode_histogram::<NoLabels>(sum, count, &self.lateness.classes(), None)
    }
}
