//! Sequence numbers beyond 16 bits, loss and jitter (RFC 3550 §6.4.1, A.1, A.3, A.8).

/// A sequence number with the count of its wraps above the low 16 bits.
///
/// For SRTP this is the packet index (RFC 3711 §3.3.1). 48 bits are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedSequence(pub u64);

impl ExtendedSequence {
    /// The first packet of a stream: no wrap yet.
    pub const fn first(sequence: u16) -> Self {
        Self(sequence as u64)
    }

    /// The extended number of `sequence`, taken as near to this one as possible (RFC 3711
    /// appendix A). `None` for one from before the first wrap's beginning.
    pub const fn near(self, sequence: u16) -> Option<Self> {
        let delta = sequence.wrapping_sub(self.0 as u16) as i16;
        match self.0.checked_add_signed(delta as i64) {
            Some(extended) if extended < 1 << 48 => Some(Self(extended)),
            Some(_) | None => None,
        }
    }

    /// The 16 bits that are on the wire.
    pub const fn sequence(self) -> u16 {
        self.0 as u16
    }

    /// The rollover counter.
    pub const fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Reception statistics of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionStats {
    base: u64,
    highest: u64,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    transit: Option<u32>,
    jitter_q4: u32,
}

impl ReceptionStats {
    /// Statistics of a stream whose first packet has this extended number.
    pub fn new(first: ExtendedSequence) -> Self {
        Self {
            base: first.0,
            highest: first.0,
            ..Self::default()
        }
    }

    /// Counts a packet. `arrival` is the time of arrival in units of the stream's clock, from any
    /// origin; jitter is the smoothed difference in transit of A.8.
    pub fn on_packet(&mut self, extended: ExtendedSequence, timestamp: u32, arrival: u32) {
        self.received += 1;
        self.highest = self.highest.max(extended.0);
        self.base = self.base.min(extended.0);
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let d = (transit.wrapping_sub(last) as i32).unsigned_abs();
            // A jump of the timestamps by more than this is a new talk spurt's, not the network's.
            let d = d.min(1 << 20);
            self.jitter_q4 = self.jitter_q4 + d - ((self.jitter_q4 + 8) >> 4);
        }
    }

    /// The highest extended sequence number.
    pub fn highest(&self) -> ExtendedSequence {
        ExtendedSequence(self.highest)
    }

    /// Packets that were counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have come and did not; duplicates count against it (A.3).
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Interarrival jitter in units of the stream's clock (A.8).
    pub fn jitter(&self) -> u32 {
        self.jitter_q4 >> 4
    }

    /// The fraction lost since this was last asked, in 1/256 (A.3).
    pub fn take_fraction_lost(&mut self) -> u8 {
        let expected = self.expected().saturating_sub(self.expected_prior);
        let received = self.received - self.received_prior;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let lost = expected.saturating_sub(received);
        (lost << 8)
            .checked_div(expected)
            .map_or(0, |fraction| fraction.min(255) as u8)
    }

    /// Packets that should have come by now (A.3).
    pub fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extends_across_wraps_both_ways() {
        let at = ExtendedSequence(0x2_fffe);
        assert_eq!(at.near(0xffff), Some(ExtendedSequence(0x2_ffff)));
        assert_eq!(at.near(3), Some(ExtendedSequence(0x3_0003)));
        assert_eq!(ExtendedSequence(0x3_0003).near(0xfffe), Some(at));
        assert_eq!(at.roc(), 2);
        assert_eq!(ExtendedSequence::first(3).near(0xfffe), None);
        assert_eq!(ExtendedSequence((1 << 48) - 1).near(0), None);
    }

    #[test]
    fn loss_is_expected_less_received() {
        let mut stats = ReceptionStats::new(ExtendedSequence(10));
        for n in [10, 11, 13, 12, 17, 18, 19] {
            stats.on_packet(ExtendedSequence(n), 0, 0);
        }
        assert_eq!(stats.lost(), 3);
        assert_eq!(stats.take_fraction_lost(), (3 * 256 / 10) as u8);
        stats.on_packet(ExtendedSequence(20), 0, 0);
        assert_eq!(stats.take_fraction_lost(), 0);
        assert_eq!(stats.take_fraction_lost(), 0);
    }

    #[test]
    fn jitter_follows_the_rfc_recurrence() {
        let mut stats = ReceptionStats::new(ExtendedSequence(0));
        let arrivals = [0u32, 170, 320, 500, 640];
        let (mut expected, mut last): (f64, Option<f64>) = (0.0, None);
        for (n, arrival) in (0u32..).zip(arrivals) {
            stats.on_packet(ExtendedSequence(n.into()), n * 160, arrival);
            let transit = f64::from(arrival) - f64::from(n * 160);
            if let Some(last) = last.replace(transit) {
                expected += ((transit - last).abs() - expected) / 16.0;
            }
        }
        assert!(
            (f64::from(stats.jitter()) - expected).abs() <= 1.0,
            "{}",
            stats.jitter()
        );
        assert!(stats.jitter() > 0);
    }
}
