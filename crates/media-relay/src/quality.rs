//! How a stream sounds: bursts and gaps of loss (RFC 3611 §4.7.2) and an estimate of the mean
//! opinion score by the E-model (ITU-T G.107).
//!
//! The rating is that of G.107 with its default values, for which it comes to
//!
//! ```text
//! R   = 93.2 − Id − Ie_eff
//! Id  = 0.024 · d + 0.11 · (d − 177.3) where d > 177.3, else 0.024 · d
//! Ie_eff = Ie + (95 − Ie) · Ppl / (Ppl / BurstR + Bpl)                    G.107 equation (7-29)
//! MOS = 1 + 0.035 · R + R · (R − 60) · (100 − R) · 7 · 10⁻⁶               G.107 annex B
//! ```
//!
//! with `d` the mouth-to-ear delay in milliseconds, taken as half the round trip to the peer, twice
//! the jitter for its buffer, and a packet's length; `Ppl` the packet loss in per cent; `BurstR` the
//! mean length of runs of loss by that under random loss; `Ie` and `Bpl` what the codec costs
//! (G.113 appendix I). It says how well this gateway heard the leg, not what lies beyond.

/// Packets in a row that must arrive to end a burst (RFC 3611 §4.7.2: 16).
const GMIN: u32 = 16;

/// What a codec costs in quality (ITU-T G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impairment {
    /// The equipment impairment factor `Ie`, without loss.
    pub equipment: u8,
    /// The robustness against random loss `Bpl`.
    pub robustness: u8,
}

impl Impairment {
    /// G.711 with concealment of loss; also taken for G.722.
    pub const G711: Self = Self {
        equipment: 0,
        robustness: 25,
    };
    /// G.729 with annex A.
    pub const G729: Self = Self {
        equipment: 11,
        robustness: 19,
    };
}

/// Bursts and gaps of loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Loss within bursts, in 1/256.
    pub burst_density: u8,
    /// Loss within gaps, in 1/256.
    pub gap_density: u8,
    /// The mean length of a burst in packets; 0 without one.
    pub burst_packets: u32,
    /// The mean length of a gap in packets.
    pub gap_packets: u32,
    /// Bursts.
    pub count: u32,
}

/// Follows which packets of a stream were lost, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LossRuns {
    /// Packets received since the last loss.
    since: u32,
    /// Losses of the burst that is under way: one alone is none yet.
    open: u32,
    /// Packets, lost or not, from the first loss of that burst to its last.
    span: u32,
    gap_packets: u64,
    gap_lost: u64,
    burst_packets: u64,
    burst_lost: u64,
    bursts: u32,
    /// Runs of losses without a packet between them, and losses: what BurstR is made of.
    runs: u64,
    lost: u64,
}

impl LossRuns {
    pub(crate) fn receive(&mut self) {
        self.since = self.since.saturating_add(1);
        if self.open > 0 && self.since == GMIN {
            self.close();
        }
    }

    /// `count` packets in a row never came.
    pub(crate) fn lose(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        self.lost += count;
        let many = u32::try_from(count).unwrap_or(u32::MAX);
        if self.open == 0 {
            self.gap_packets += u64::from(self.since);
            self.runs += 1;
            (self.open, self.span) = (many, many);
        } else {
            self.runs += u64::from(self.since > 0);
            self.open = self.open.saturating_add(many);
            self.span = self.span.saturating_add(self.since).saturating_add(many);
        }
        self.since = 0;
    }

    fn close(&mut self) {
        if self.open == 1 {
            // A loss between two long stretches of packets belongs to the gap (§4.7.2).
            self.gap_packets += 1;
            self.gap_lost += 1;
        } else {
            self.burst_packets += u64::from(self.span);
            self.burst_lost += u64::from(self.open);
            self.bursts += 1;
        }
        (self.open, self.span) = (0, 0);
    }

    pub(crate) fn bursts(&self) -> Bursts {
        let mut done = *self;
        if done.open > 0 {
            done.close();
        }
        done.gap_packets += u64::from(done.since);
        let density = |lost: u64, of: u64| (lost * 256).checked_div(of).unwrap_or(0).min(255) as u8;
        let mean = |packets: u64, parts: u32| {
            let mean = packets.checked_div(parts.into()).unwrap_or(0);
            u32::try_from(mean).unwrap_or(u32::MAX)
        };
        Bursts {
            burst_density: density(done.burst_lost, done.burst_packets),
            gap_density: density(done.gap_lost, done.gap_packets),
            burst_packets: mean(done.burst_packets, done.bursts),
            gap_packets: mean(done.gap_packets, done.bursts + 1),
            count: done.bursts,
        }
    }

    /// The mean length of runs of loss by that under random loss of the same rate (G.107 §7.4).
    fn burst_ratio(&self, loss: f32) -> f32 {
        if self.runs == 0 {
            return 1.0;
        }
        let mean = self.lost as f32 / self.runs as f32;
        (mean * (1.0 - loss)).max(1.0)
    }

    /// The mean opinion score in hundredths, 100 to 450.
    pub(crate) fn opinion(&self, codec: Impairment, loss: f32, delay_ms: f32) -> u16 {
        let burst_ratio = self.burst_ratio(loss);
        score(rating(codec, loss * 100.0, burst_ratio, delay_ms))
    }
}

fn rating(codec: Impairment, loss_percent: f32, burst_ratio: f32, delay_ms: f32) -> f32 {
    let beyond = (delay_ms - 177.3).max(0.0);
    let delay = 0.024 * delay_ms + 0.11 * beyond;
    let (ie, bpl) = (f32::from(codec.equipment), f32::from(codec.robustness));
    let loss = (95.0 - ie) * loss_percent / (loss_percent / burst_ratio + bpl);
    93.2 - delay - ie - loss
}

fn score(rating: f32) -> u16 {
    let r = rating.clamp(0.0, 100.0);
    let opinion = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
    (opinion.clamp(1.0, 4.5) * 100.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pattern: &str) -> LossRuns {
        let mut runs = LossRuns::default();
        for packet in pattern.chars() {
            match packet {
                'x' => runs.lose(1),
                _ => runs.receive(),
            }
        }
        runs
    }

    #[test]
    fn bursts_and_gaps_are_told_apart_as_rfc_3611_does() {
        let gap = "....................";
        let alone = format!("{gap}x{gap}x{gap}");
        let told = runs(&alone).bursts();
        assert_eq!(
            (told.count, told.burst_packets, told.gap_packets),
            (0, 0, 62)
        );
        assert_eq!(told.gap_density, (2 * 256 / 62) as u8);
        // Three losses within sixteen packets of each other: one burst of eight packets.
        let burst = format!("{gap}x..xx...x{gap}{gap}xx{gap}");
        let told = runs(&burst).bursts();
        assert_eq!((told.count, told.burst_packets), (2, (9 + 2) / 2));
        assert_eq!(told.burst_density, (6 * 256 / 11) as u8);
        assert_eq!((told.gap_density, told.gap_packets), (0, 80 / 3));
        // Fifteen packets do not end a burst, sixteen do.
        assert_eq!(
            runs(&format!("x{}x{gap}", ".".repeat(15))).bursts().count,
            1
        );
        assert_eq!(
            runs(&format!("x{}x{gap}", ".".repeat(16))).bursts().count,
            0
        );
    }

    #[test]
    fn scores_are_those_of_the_recommendation() {
        // G.107 §B: R and MOS at the ends and between.
        for (r, mos) in [
            (93.2, 441),
            (80.0, 402),
            (70.0, 360),
            (60.0, 310),
            (50.0, 258),
            (0.0, 100),
        ] {
            assert!(score(r).abs_diff(mos) <= 2, "{r}: {}", score(r));
        }
        let g711 = Impairment::G711;
        assert!((rating(g711, 0.0, 1.0, 0.0) - 93.2).abs() < 0.01);
        // Delay hurts little below 177 ms and much above.
        let at = |delay| rating(g711, 0.0, 1.0, delay);
        assert!(at(150.0) > 89.0 && at(400.0) < 60.0);
        // A twentieth lost at random; in bursts it is worse, and so is a codec with less to lose.
        let random = rating(g711, 5.0, 1.0, 20.0);
        assert!((random - (93.2 - 0.48 - 95.0 * 5.0 / 30.0)).abs() < 0.01);
        assert!(rating(g711, 5.0, 3.0, 20.0) < random);
        assert!(rating(Impairment::G729, 5.0, 1.0, 20.0) < random);
        let clustered = runs(&format!("{}xxxx", ".".repeat(76)));
        let spread = runs(&format!("{}x", ".".repeat(19)).repeat(4));
        let score = |runs: LossRuns| runs.opinion(g711, 0.05, 20.0);
        assert!(score(clustered) < score(spread));
    }
}
