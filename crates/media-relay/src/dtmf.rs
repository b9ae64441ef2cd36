//! Telephone events: each digit is reported once (RFC 4733 §2.5).

/// A digit that was held and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digit {
    pub(crate) digit: char,
    pub(crate) duration_ms: u32,
}

/// Follows the events of one leg.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detector {
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// The SSRC and the timestamp of its beginning: what tells one event from the next (§2.3.5).
    ssrc: u32,
    start: u32,
    code: u8,
    duration: u16,
    reported: bool,
}

impl Detector {
    /// Takes a `telephone-event` payload; `rate` is its clock in Hz. An event is reported with its
    /// first end packet, or when another one begins although all of those were lost.
    pub(crate) fn on_event(
        &mut self,
        ssrc: u32,
        start: u32,
        payload: &[u8],
        rate: u32,
    ) -> Option<Digit> {
        let &[code, flags, high, low, ..] = payload else {
            return None;
        };
        let duration = u16::from_be_bytes([high, low]);
        let ended = flags & 0x80 != 0;
        let known = self
            .event
            .filter(|event| (event.ssrc, event.start) == (ssrc, start));
        let missed = if known.is_none() {
            self.on_end(rate)
        } else {
            None
        };
        let mut event = known.unwrap_or(Event {
            ssrc,
            start,
            code,
            duration,
            reported: false,
        });
        event.duration = event.duration.max(duration);
        self.event = Some(event);
        match missed {
            None if ended => self.on_end(rate),
            // The end of this one comes three times; it is reported with the next.
            missed => missed,
        }
    }

    /// Takes note that something else than the event is being sent.
    pub(crate) fn on_end(&mut self, rate: u32) -> Option<Digit> {
        let event = self.event.as_mut().filter(|event| !event.reported)?;
        event.reported = true;
        let digit = match event.code {
            code @ 0..=9 => char::from(b'0' + code),
            10 => '*',
            11 => '#',
            code @ 12..=15 => char::from(b'A' + (code - 12)),
            16 => '!',
            _ => return None,
        };
        Some(Digit {
            digit,
            duration_ms: u32::from(event.duration) * 1000 / rate.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(code: u8, ended: bool, duration: u16) -> [u8; 4] {
        let [high, low] = duration.to_be_bytes();
        [code, u8::from(ended) << 7 | 10, high, low]
    }

    #[test]
    fn each_digit_once() {
        let mut detector = Detector::default();
        for n in 1..8 {
            assert_eq!(
                detector.on_event(1, 1000, &payload(5, false, 160 * n), 8000),
                None
            );
        }
        let right = Digit {
            digit: '5',
            duration_ms: 160,
        };
        assert_eq!(
            detector.on_event(1, 1000, &payload(5, true, 1280), 8000),
            Some(right)
        );
        for _ in 0..2 {
            assert_eq!(
                detector.on_event(1, 1000, &payload(5, true, 1280), 8000),
                None
            );
        }
        assert_eq!(detector.on_end(8000), None);
        assert!(
            detector
                .on_event(1, 3000, &payload(5, true, 800), 8000)
                .is_some()
        );
    }

    #[test]
    fn lost_ends_are_made_up_for() {
        let mut detector = Detector::default();
        assert_eq!(
            detector.on_event(1, 0, &payload(11, false, 800), 8000),
            None
        );
        let hash = Digit {
            digit: '#',
            duration_ms: 100,
        };
        assert_eq!(
            detector.on_event(1, 5000, &payload(1, true, 80), 8000),
            Some(hash)
        );
        assert!(
            detector
                .on_event(1, 5000, &payload(1, true, 80), 8000)
                .is_some()
        );
        assert_eq!(
            detector.on_event(1, 9000, &payload(10, false, 80), 8000),
            None
        );
        assert_eq!(detector.on_end(8000).map(|digit| digit.digit), Some('*'));
        assert_eq!(detector.on_event(1, 9500, &[1, 2, 3], 8000), None);
        assert_eq!(
            detector.on_event(1, 9900, &payload(99, true, 80), 8000),
            None
        );
    }
}
