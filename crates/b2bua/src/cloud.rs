//! Calls that Microsoft carries: what this core asks of whoever speaks Azure's REST interface, what
//! it is told, and the numbers such calls are shown to come from.
//!
//! The B leg of such a call is an INVITE to a marker number. It names the called number and a nonce
//! that was drawn for it; both come back in the event by which Azure offers the call. Whoever takes
//! that event answers the B leg by Azure's means, has the called number dialled, and tells this core
//! when the called party has answered. The states are in `call::held`.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use ambient::KeyRng;
use e164::E164Number;
use media_relay::LegId;
use routing::CloudCall;
use sip_msg::StatusCode;

use crate::key::CallKey;

/// The header field that carries the nonce to Azure and back.
pub const NONCE_HEADER: &str = "X-MS-Custom-Trunkline-Nonce";
/// The header field that names the called number, with `+`.
pub const DESTINATION_HEADER: &str = "X-MS-Custom-Trunkline-To";

/// Names one INVITE to the marker number, to nobody but Azure. 128 bits of the key generator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Draws one.
    #[must_use]
    pub fn drawn(keys: &mut KeyRng) -> Self {
        let mut bytes = [0; 16];
        keys.fill(&mut bytes);
        Self(bytes)
    }

    /// 32 hexadecimal digits, as they stand in the INVITE.
    #[must_use]
    pub fn to_wire(&self) -> String {
        let mut text = String::with_capacity(32);
        for byte in self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl fmt::Debug for Nonce {
    // Who knows it may use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}

/// What is to be done at Azure, from [`Output::Cloud`](crate::Output::Cloud).
#[derive(Clone, Debug)]
pub enum CloudRequest {
    /// An INVITE to the marker number is on its way.
    Expect(Expectation),
    /// The leg is over: whatever Azure still does for it ends. Said once for each
    /// [`CloudRequest::Expect`] and [`CloudRequest::Resume`].
    Release {
        /// The leg.
        leg: LegId,
        /// The `callConnectionId`, where it was told.
        connection: Option<Box<str>>,
    },
    /// A call of an earlier process goes on.
    Resume {
        /// The leg.
        leg: LegId,
        /// The `callConnectionId`, where it was told.
        connection: Option<Box<str>>,
    },
}

/// An INVITE to the marker number whose event is awaited.
#[derive(Clone)]
pub struct Expectation {
    /// The leg, which names it from now on.
    pub leg: LegId,
    /// The call.
    pub call: CallKey,
    /// What the event has to bring back.
    pub nonce: Nonce,
    /// The number to be dialled.
    pub to: E164Number,
    /// The owned number it is dialled from.
    pub caller_id: E164Number,
    /// How long the called party may ring.
    pub ring_timeout: Duration,
}

impl fmt::Debug for Expectation {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expectation({:?} of call {})", self.leg, self.call)
    }
}

/// What happened at Azure, for [`Input::Cloud`](crate::Input::Cloud).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudEvent {
    /// Azure took the call under these names.
    Accepted {
        /// The `callConnectionId`.
        connection: Box<str>,
        /// The `correlationId`, which Azure's logs have.
        correlation: Option<Box<str>>,
    },
    /// The called party has answered.
    Connected,
    /// The called party was not reached, or Azure did not do as it was asked.
    Failed {
        /// What it comes to in SIP, 400 to 699.
        status: StatusCode,
        /// Why, for the operator.
        reason: Box<str>,
    },
    /// The called party has left the call, or Azure has ended it.
    Gone {
        /// Why, for the operator.
        reason: Box<str>,
    },
}

/// How calls through Azure Cloud Calling are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudProfile {
    /// Most calls at once that show one number.
    pub calls_per_number: u32,
    /// How long a called party may ring.
    pub ring_timeout: Duration,
    /// How long all the rest may take: the event, Azure's answers.
    pub setup_timeout: Duration,
}

impl Default for CloudProfile {
    /// Two calls a number, which is what Azure grants unless asked for more.
    fn default() -> Self {
        Self {
            calls_per_number: 2,
            ring_timeout: Duration::from_secs(60),
            setup_timeout: Duration::from_secs(30),
        }
    }
}

/// A leg that Microsoft carries on.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) caller_id: E164Number,
    pub(crate) connection: Option<Box<str>>,
}

/// All legs that Microsoft carries on, and how often each number is shown. Bounded by the legs of
/// the gateway.
#[derive(Debug, Default)]
pub(crate) struct Clouds {
    legs: BTreeMap<LegId, Carried>,
    in_use: BTreeMap<E164Number, u32>,
}

impl Clouds {
    pub(crate) fn begin(&mut self, leg: LegId, carried: Carried) {
        *self.in_use.entry(carried.caller_id).or_default() += 1;
        self.legs.insert(leg, carried);
    }

    /// The leg is over. What Azure called it.
    pub(crate) fn end(&mut self, leg: LegId) -> Option<Carried> {
        let carried = self.legs.remove(&leg)?;
        if let Some(count) = self.in_use.get_mut(&carried.caller_id) {
            *count -= 1;
            if *count == 0 {
                self.in_use.remove(&carried.caller_id);
            }
        }
        Some(carried)
    }

    pub(crate) fn get(&self, leg: LegId) -> Option<&Carried> {
        self.legs.get(&leg)
    }

    pub(crate) fn name(&mut self, leg: LegId, connection: &str) {
        if let Some(carried) = self.legs.get_mut(&leg) {
            carried.connection = Some(connection.into());
        }
    }

    /// What is left of the numbers in use: a fact of routing.
    pub(crate) fn room(&self, most: u32) -> BTreeMap<E164Number, u32> {
        let left = |(number, count): (&E164Number, &u32)| (*number, most.saturating_sub(*count));
        self.in_use.iter().map(left).collect()
    }

    /// The first number of a call's choice that has room now.
    pub(crate) fn choose(&self, call: &CloudCall, most: u32) -> Option<E164Number> {
        let used = |number: &&E164Number| self.in_use.get(number).copied().unwrap_or(0);
        let mut numbers = call.caller_ids.iter();
        numbers.find(|number| used(number) < most).copied()
    }

    pub(crate) fn legs(&self) -> impl Iterator<Item = LegId> {
        self.legs.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.legs.len()
    }

    /// How many legs show each number in use.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (E164Number, u32)> {
        self.in_use.iter().map(|(number, count)| (*number, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164Number {
        E164Number::parse(text).unwrap()
    }

    #[test]
    fn a_number_is_shown_by_so_many_calls_and_no_more() {
        let (one, two) = (number("+18005550101"), number("+18005550102"));
        let call = CloudCall {
            to: number("+14255550123"),
            caller_ids: [one, two].into(),
        };
        let mut clouds = Clouds::default();
        let carried = |caller_id| Carried {
            caller_id,
            connection: None,
        };
        for leg in 0..4 {
            let chosen = clouds.choose(&call, 2).unwrap();
            assert_eq!(chosen, if leg < 2 { one } else { two });
            clouds.begin(LegId(leg), carried(chosen));
        }
        assert_eq!(clouds.choose(&call, 2), None);
        assert_eq!(clouds.room(2), [(one, 0), (two, 0)].into());
        assert!(clouds.end(LegId(1)).is_some());
        assert!(clouds.end(LegId(1)).is_none());
        assert_eq!(clouds.choose(&call, 2), Some(one));
        for leg in [0, 2, 3] {
            clouds.end(LegId(leg));
        }
        assert_eq!((clouds.len(), clouds.in_use().count()), (0, 0));
    }

    #[test]
    fn a_nonce_is_never_the_same_and_does_not_show() {
        let mut keys = KeyRng::from_entropy([7; 32]);
        let (one, two) = (Nonce::drawn(&mut keys), Nonce::drawn(&mut keys));
        assert_ne!(one, two);
        assert_eq!(one.to_wire().len(), 32);
        assert!(!format!("{one:?}").contains(&one.to_wire()));
    }
}
