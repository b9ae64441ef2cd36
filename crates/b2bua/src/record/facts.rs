//! Facts written down and read back.

use ambient::WallTime;
use e164::E164Number;
use routing::Facts;
use sip_msg::wire::TrunkName;

use super::{FactsRecord, Number};

impl From<&Facts> for FactsRecord {
    fn from(facts: &Facts) -> Self {
        let peers = facts
            .up
            .iter()
            .map(|((trunk, peer), up)| (trunk.to_string(), *peer, *up));
        let room = facts
            .room
            .iter()
            .map(|(trunk, room)| (trunk.to_string(), *room));
        let limits = facts.limits.iter();
        Self {
            peers: peers.collect(),
            room: room.collect(),
            limits: limits
                .map(|(name, left)| (name.to_string(), *left))
                .collect(),
            caller_ids: facts
                .caller_ids
                .iter()
                .map(|(number, room)| (Number::new(&number.to_wire()), *room))
                .collect(),
            wall_us: facts.wall.as_unix_micros(),
            draw: facts.draw,
        }
    }
}

impl FactsRecord {
    /// The facts as they were, for deciding the same call again.
    #[must_use]
    pub fn to_facts(&self) -> Facts {
        let peers = self.peers.iter();
        let room = self.room.iter();
        Facts {
            up: peers
                .map(|(trunk, peer, up)| ((TrunkName::from(&**trunk), *peer), *up))
                .collect(),
            room: room
                .map(|(trunk, room)| (TrunkName::from(&**trunk), *room))
                .collect(),
            limits: self
                .limits
                .iter()
                .map(|(name, left)| (name.as_str().into(), *left))
                .collect(),
            caller_ids: self
                .caller_ids
                .iter()
                .filter_map(|(number, room)| {
                    Some((E164Number::parse(number.reveal()).ok()?, *room))
                })
                .collect(),
            wall: WallTime::from_unix_micros(self.wall_us),
            draw: self.draw,
        }
    }
}
