//! Payload types of one side by those of the other.

/// Payload types towards a leg by the payload type that arrived from the joined leg.
#[derive(Clone)]
pub struct PtMap(Map);

/// How many payload types are told in place.
const FEW: usize = 10;

#[derive(Clone)]
enum Map {
    /// The first `known` become what stands beside them. A call knows two or three.
    Few {
        others_pass: bool,
        known: u8,
        pairs: [(u8, u8); FEW],
    },
    /// By the payload type that arrived.
    Many(Box<[u8; 128]>),
}

impl PtMap {
    const UNMAPPED: u8 = 0xff;

    /// Every payload type passes unchanged.
    pub fn identity() -> Self {
        Self::few(true)
    }

    /// Nothing passes; add with [`PtMap::with`].
    pub fn empty() -> Self {
        Self::few(false)
    }

    fn few(others_pass: bool) -> Self {
        Self(Map::Few {
            others_pass,
            known: 0,
            pairs: [(0, 0); FEW],
        })
    }

    /// Lets `from` leave as `to`. Payload types above 127 do not exist and are ignored.
    pub fn with(mut self, from: u8, to: u8) -> Self {
        if from > 127 || to > 127 {
            return self;
        }
        if let Map::Few { known, pairs, .. } = &mut self.0 {
            let mut told = pairs.iter().take((*known).into());
            let at = told.position(|(told, _)| *told == from);
            if let Some(free) = pairs.get_mut(at.unwrap_or((*known).into())) {
                *free = (from, to);
                *known += u8::from(at.is_none());
                return self;
            }
        }
        let mut map = [Self::UNMAPPED; 128];
        self.pairs()
            .for_each(|(from, to)| map[usize::from(from)] = to);
        map[usize::from(from)] = to;
        Self(Map::Many(Box::new(map)))
    }

    /// What `from` becomes, `None` where it must not pass.
    pub fn map(&self, from: u8) -> Option<u8> {
        match &self.0 {
            Map::Few {
                others_pass,
                known,
                pairs,
            } => {
                let mut told = pairs.iter().take((*known).into());
                let told = told.find(|(told, _)| *told == from).map(|(_, to)| *to);
                told.or((*others_pass && from < 128).then_some(from))
            }
            Map::Many(map) => {
                let to = *map.get(usize::from(from))?;
                (to != Self::UNMAPPED).then_some(to)
            }
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (u8, u8)> {
        (0..128).filter_map(|from| Some((from, self.map(from)?)))
    }
}

impl Default for PtMap {
    fn default() -> Self {
        Self::identity()
    }
}

impl PartialEq for PtMap {
    fn eq(&self, other: &Self) -> bool {
        self.pairs().eq(other.pairs())
    }
}

impl Eq for PtMap {}

impl std::fmt::Debug for PtMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::identity() {
            return f.write_str("PtMap(identity)");
        }
        f.debug_map().entries(self.pairs()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            others_pass in any::<bool>(),
            told in prop::collection::vec((0u8..140, 0u8..140), 0..40),
        ) {
            let all = (0..128).map(|pt| (pt, pt)).filter(|_| others_pass);
            let mut model: BTreeMap<u8, u8> = all.collect();
            let mut map = if others_pass { PtMap::identity() } else { PtMap::empty() };
            for (from, to) in told {
                map = map.with(from, to);
                if from < 128 && to < 128 {
                    model.insert(from, to);
                }
            }
            for pt in 0..=255 {
                prop_assert_eq!(map.map(pt), model.get(&pt).copied());
            }
            let same = model.iter().fold(PtMap::empty(), |map, (from, to)| map.with(*from, *to));
            prop_assert_eq!(map, same);
        }
    }

    #[test]
    fn a_map_of_a_few_lies_in_the_leg() {
        assert!(size_of::<PtMap>() <= 24);
    }
}
