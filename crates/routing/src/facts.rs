//! What a decision is asked, and what it may know: values that can be written down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ambient::WallTime;
use e164::E164Number;
use serde::{Deserialize, Serialize};
use sip_msg::wire::TrunkName;
use thiserror::Error;

use crate::limits::Remaining;

/// Which call it is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenQuestion", into = "WrittenQuestion")]
pub struct Question {
    /// The trunk it comes from.
    pub trunk: TrunkName,
    /// User of the Request-URI as received, or the number of a `tel:` URI.
    pub called: String,
    /// The caller's number as received; `None` when withheld or not given.
    pub calling: Option<String>,
    /// Those header fields that routes ask for, see
    /// [`Snapshot::header_names`](crate::Snapshot::header_names); names in any case.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Question {
    // Numbers do not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question(from {})", self.trunk)
    }
}

/// What is true at the moment of the call; kept in its record, so that the decision can be made
/// again. Serialises in a versioned form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "WrittenFacts", into = "WrittenFacts")]
pub struct Facts {
    /// Whether a peer of a trunk answers; one that is not mentioned does.
    pub up: BTreeMap<(TrunkName, usize), bool>,
    /// How many more calls a trunk may carry; one that is not mentioned has no limit.
    pub room: BTreeMap<TrunkName, u32>,
    /// What is left of limits, by their names; one that is not mentioned is untouched.
    pub limits: BTreeMap<Arc<str>, Remaining>,
    /// How many more calls the numbers owned for Azure Cloud Calling may be shown for; one that is
    /// not mentioned is not in use.
    pub caller_ids: BTreeMap<E164Number, u32>,
    /// The time of day.
    pub wall: WallTime,
    /// One random draw, for rules that share load.
    pub draw: u64,
}

/// The version of written questions and facts.
pub const FACTS_VERSION: u32 = 1;

/// Written by a version that this one does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("version {0} of routing facts is not known here")]
pub struct UnknownVersion(u32);

fn known(version: u32) -> Result<(), UnknownVersion> {
    (version == FACTS_VERSION)
        .then_some(())
        .ok_or(UnknownVersion(version))
}

#[derive(Serialize, Deserialize)]
struct WrittenQuestion {
    v: u32,
    trunk: String,
    called: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calling: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
}

impl From<Question> for WrittenQuestion {
    fn from(question: Question) -> Self {
        Self {
            v: FACTS_VERSION,
            trunk: question.trunk.to_string(),
            called: question.called,
            calling: question.calling,
            headers: question.headers,
        }
    }
}

impl TryFrom<WrittenQuestion> for Question {
    type Error = UnknownVersion;

    fn try_from(written: WrittenQuestion) -> Result<Self, UnknownVersion> {
        known(written.v)?;
        Ok(Self {
            trunk: TrunkName::from(&*written.trunk),
            called: written.called,
            calling: written.calling,
            headers: written.headers,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct WrittenFacts {
    v: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    peers: Vec<(String, usize, bool)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    room: Vec<(String, u32)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<(String, Remaining)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    caller_ids: Vec<(String, u32)>,
    wall_us: u64,
    draw: u64,
}

impl From<Facts> for WrittenFacts {
    fn from(facts: Facts) -> Self {
        let peers = facts.up.into_iter();
        let room = facts.room.into_iter();
        let limits = facts.limits.into_iter();
        let caller_ids = facts.caller_ids.into_iter();
        Self {
            v: FACTS_VERSION,
            peers: peers
                .map(|((trunk, peer), up)| (trunk.to_string(), peer, up))
                .collect(),
            room: room
                .map(|(trunk, room)| (trunk.to_string(), room))
                .collect(),
            limits: limits
                .map(|(name, left)| (name.to_string(), left))
                .collect(),
            caller_ids: caller_ids
                .map(|(number, room)| (number.to_wire(), room))
                .collect(),
            wall_us: facts.wall.as_unix_micros(),
            draw: facts.draw,
        }
    }
}

impl TryFrom<WrittenFacts> for Facts {
    type Error = UnknownVersion;

    fn try_from(written: WrittenFacts) -> Result<Self, UnknownVersion> {
        known(written.v)?;
        let peers = written.peers.into_iter();
        let room = written.room.into_iter();
        let limits = written.limits.into_iter();
        let caller_ids = written.caller_ids.into_iter();
        Ok(Self {
            up: peers
                .map(|(trunk, peer, up)| ((TrunkName::from(&*trunk), peer), up))
                .collect(),
            room: room
                .map(|(trunk, room)| (TrunkName::from(&*trunk), room))
                .collect(),
            limits: limits.map(|(name, left)| (name.into(), left)).collect(),
            caller_ids: caller_ids
                .filter_map(|(number, room)| Some((E164Number::parse(&number).ok()?, room)))
                .collect(),
            wall: WallTime::from_unix_micros(written.wall_us),
            draw: written.draw,
        })
    }
}
