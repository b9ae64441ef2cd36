//! A-law and µ-law of ITU-T G.711, one octet a sample.

/// The two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// A-law, `PCMA`.
    Alaw,
    /// µ-law, `PCMU`.
    Ulaw,
}

impl Law {
    /// One sample of 16 bits as this law writes it.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Alaw => encode_alaw(sample),
            Self::Ulaw => encode_ulaw(sample),
        }
    }

    /// The sample of 16 bits that an octet stands for.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Alaw => ALAW[usize::from(octet)],
            Self::Ulaw => ULAW[usize::from(octet)],
        }
    }

    /// The octet of silence.
    #[must_use]
    pub fn quiet(self) -> u8 {
        self.encode(0)
    }
}

const ALAW: [i16; 256] = alaw_table();
const ULAW: [i16; 256] = ulaw_table();

const fn alaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let bits = octet as u8 ^ 0x55;
        let segment = bits >> 4 & 7;
        let step = ((bits & 0x0f) as i16) << 4 | 8;
        let value = if segment == 0 {
            step
        } else {
            (step + 0x100) << (segment - 1)
        };
        table[octet] = if bits & 0x80 != 0 { value } else { -value };
        octet += 1;
    }
    table
}

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let bits = !(octet as u8);
        let step = ((bits & 0x0f) as i16) << 3;
        let value = ((step + 132) << (bits >> 4 & 7)) - 132;
        table[octet] = if bits & 0x80 != 0 { -value } else { value };
        octet += 1;
    }
    table
}

fn encode_ulaw(sample: i16) -> u8 {
    let magnitude = (i32::from(sample).abs() + 132).min(32_767) as u32;
    let segment = magnitude.ilog2() - 7;
    let step = magnitude >> (segment + 3) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

fn encode_alaw(sample: i16) -> u8 {
    // Thirteen bits; negative values are one's complement, so that both signs have a zero.
    let (magnitude, sign) = if sample < 0 {
        ((!sample) as u32 >> 3, 0)
    } else {
        (sample as u32 >> 3, 0x80)
    };
    let segment = if magnitude < 32 {
        0
    } else {
        magnitude.ilog2() - 4
    };
    let step = magnitude >> segment.max(1) & 0x0f;
    (sign | (segment << 4) as u8 | step as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_samples_decode_within_half_a_step() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let wide = i32::from(sample);
            let bound = 16 + wide.abs() / 16;
            let through = |law: Law| i32::from(law.decode(law.encode(sample)));
            assert!((through(Law::Ulaw) - wide).abs() <= bound + 620, "{sample}");
            assert!((through(Law::Alaw) - wide).abs() <= bound, "{sample}");
        }
        assert_eq!((Law::Ulaw.quiet(), Law::Alaw.quiet()), (0xff, 0xd5));
        let ends = |law: Law| (law.encode(i16::MAX), law.encode(i16::MIN));
        assert_eq!(ends(Law::Ulaw), (0x80, 0x00));
        assert_eq!(ends(Law::Alaw), (0xaa, 0x2a));
        for octet in 0..=255u8 {
            assert_eq!(Law::Alaw.encode(Law::Alaw.decode(octet)), octet);
            // µ-law has two zeros.
            assert!(Law::Ulaw.encode(Law::Ulaw.decode(octet)) == octet || octet == 0x7f);
        }
    }

    #[test]
    fn decision_values_are_those_of_the_recommendation() {
        // The largest output of each law (G.711 tables 1 and 2, 14 and 13 bits, as 16).
        assert_eq!(Law::Ulaw.decode(0x80), 8031 * 4);
        assert_eq!(Law::Alaw.decode(0xaa), 4032 * 8);
        assert_eq!((Law::Ulaw.decode(0xff), Law::Ulaw.decode(0xfe)), (0, 8));
        assert_eq!((Law::Alaw.decode(0xd5), Law::Alaw.decode(0x55)), (8, -8));
    }
}
