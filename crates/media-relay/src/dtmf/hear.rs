//! Telephone events as a leg sends them: each digit is reported once (RFC 4733 §2.5).

use std::time::Duration;

use ambient::Moment;

use crate::Digit;

/// An event of which nothing was heard for so long has ended: its end packets were lost, and those
/// that update it come every 50 ms or oftener (§2.5.1.2).
const LOST_AFTER: Duration = Duration::from_millis(250);

/// A digit that was held and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) digit: Digit,
    pub(crate) duration_ms: u32,
    /// Its tones were heard in the sound; else it was an event.
    pub(crate) in_band: bool,
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
    /// Of the present segment, and of those before it (§2.5.1.3).
    duration: u16,
    before: u32,
    rate: u32,
    last: Moment,
    reported: bool,
}

impl Event {
    /// Whether a segment that begins at `start` goes on with this event: a digit that is held for
    /// longer than a duration can say is sent in several, each beginning where the last one ended.
    fn goes_on(&self, ssrc: u32, start: u32, code: u8) -> bool {
        let ahead = start.wrapping_sub(self.start);
        // The last update of the old segment may be lost: its end is known to within some packets.
        let ended = u32::from(self.duration);
        let slack = self.rate / 5;
        !self.reported
            && (self.ssrc, self.code) == (ssrc, code)
            && ahead >= ended
            && ahead <= 0xffff
            && (ahead == 0xffff || ahead - ended <= slack && ended >= 0x8000)
    }
}

impl Detector {
    /// Takes a `telephone-event` payload; `rate` is its clock in Hz. An event is reported with its
    /// first end packet, or when another one begins although all of those were lost.
    pub(crate) fn on_event(
        &mut self,
        now: Moment,
        (ssrc, start): (u32, u32),
        payload: &[u8],
        rate: u32,
    ) -> Option<Held> {
        let &[code, flags, high, low, ..] = payload else {
            return None;
        };
        let duration = u16::from_be_bytes([high, low]);
        let ended = flags & 0x80 != 0;
        let known = self.event;
        let same = known.filter(|event| (event.ssrc, event.start) == (ssrc, start));
        let segment = known.filter(|event| event.goes_on(ssrc, start, code));
        let missed = if same.is_none() && segment.is_none() {
            self.on_end()
        } else {
            None
        };
        let fresh = Event {
            ssrc,
            start,
            code,
            duration,
            before: 0,
            rate,
            last: now,
            reported: false,
        };
        let mut event = match (same, segment) {
            (Some(event), _) => event,
            (None, Some(event)) => Event {
                before: event.before + start.wrapping_sub(event.start),
                ..fresh
            },
            (None, None) => fresh,
        };
        event.duration = event.duration.max(duration);
        event.last = now;
        self.event = Some(event);
        match missed {
            None if ended => self.on_end(),
            // The end of this one comes three times; it is reported with the next.
            missed => missed,
        }
    }

    /// Takes note that something else than the event is being sent.
    pub(crate) fn on_end(&mut self) -> Option<Held> {
        let event = self.event.as_mut().filter(|event| !event.reported)?;
        event.reported = true;
        let units = u64::from(event.before) + u64::from(event.duration);
        Some(Held {
            digit: Digit::from_code(event.code)?,
            duration_ms: (units * 1000 / u64::from(event.rate.max(1))) as u32,
            in_band: false,
        })
    }

    /// When an event of which nothing more is heard counts as over.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let event = self.event.filter(|event| !event.reported)?;
        Some(event.last + LOST_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_nanos(0);

    fn payload(code: u8, ended: bool, duration: u16) -> [u8; 4] {
        let [high, low] = duration.to_be_bytes();
        [code, u8::from(ended) << 7 | 10, high, low]
    }

    fn held(digit: char, duration_ms: u32) -> Option<Held> {
        Some(Held {
            digit: Digit::from_char(digit).unwrap(),
            duration_ms,
            in_band: false,
        })
    }

    #[test]
    fn each_digit_once() {
        let mut detector = Detector::default();
        let mut hear = |start, payload: [u8; 4]| detector.on_event(NOW, (1, start), &payload, 8000);
        for n in 1..8 {
            assert_eq!(hear(1000, payload(5, false, 160 * n)), None);
        }
        assert_eq!(hear(1000, payload(5, true, 1280)), held('5', 160));
        for _ in 0..2 {
            assert_eq!(hear(1000, payload(5, true, 1280)), None);
        }
        assert_eq!(hear(3000, payload(5, true, 800)), held('5', 100));
        assert_eq!(detector.on_end(), None);
        assert_eq!(detector.deadline(), None);
    }

    #[test]
    fn lost_ends_are_made_up_for() {
        let mut detector = Detector::default();
        let hear = |detector: &mut Detector, start, payload: &[u8]| {
            detector.on_event(NOW, (1, start), payload, 8000)
        };
        assert_eq!(hear(&mut detector, 0, &payload(11, false, 800)), None);
        assert_eq!(detector.deadline(), Some(NOW + LOST_AFTER));
        let next = payload(1, true, 80);
        assert_eq!(hear(&mut detector, 5000, &next), held('#', 100));
        assert_eq!(hear(&mut detector, 5000, &next), held('1', 10));
        assert_eq!(hear(&mut detector, 9000, &payload(10, false, 80)), None);
        assert_eq!(detector.on_end(), held('*', 10));
        assert_eq!(hear(&mut detector, 9500, &[1, 2, 3]), None);
        assert_eq!(hear(&mut detector, 9900, &payload(99, true, 80)), None);
    }

    #[test]
    fn a_digit_held_long_is_one_digit() {
        let mut detector = Detector::default();
        let mut heard = Vec::new();
        // Two and a half segments at 48 kHz: 3.4 s.
        let total = 163_840_u32;
        for units in (960..=total).step_by(960) {
            let (segment, duration) = (units / 0xffff * 0xffff, units % 0xffff);
            let ended = units + 960 > total;
            let payload = payload(4, ended, duration as u16);
            heard.extend(detector.on_event(NOW, (9, segment), &payload, 48_000));
        }
        assert_eq!(heard, Vec::from_iter(held('4', 3400)));
    }
}
