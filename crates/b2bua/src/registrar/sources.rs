//! Which trunks are registered from where: an index of the bindings, kept with them, so that a
//! message of an unknown source costs no search through all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ambient::Moment;
use sip_msg::TransportKind;
use sip_msg::wire::TrunkName;

use super::Binding;

/// Where a REGISTER came from.
type Source = (TransportKind, SocketAddr);

/// How many bindings end at each moment.
type Ends = BTreeMap<Moment, usize>;

/// The index. As large as the bindings it is of.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<Source, BTreeMap<TrunkName, Ends>>);

impl Sources {
    /// Bindings of a trunk came.
    pub(super) fn add(&mut self, trunk: &TrunkName, bindings: &[Binding]) {
        for binding in bindings {
            let trunks = self.0.entry(source(binding)).or_default();
            let ends = trunks.entry(trunk.clone()).or_default();
            *ends.entry(binding.until).or_default() += 1;
        }
    }

    /// Bindings that came once are gone.
    pub(super) fn remove(&mut self, trunk: &TrunkName, bindings: &[Binding]) {
        for binding in bindings {
            let source = source(binding);
            let Some(trunks) = self.0.get_mut(&source) else {
                continue;
            };
            if let Some(ends) = trunks.get_mut(trunk) {
                if let Some(count) = ends.get_mut(&binding.until) {
                    *count -= 1;
                    if *count == 0 {
                        ends.remove(&binding.until);
                    }
                }
                if ends.is_empty() {
                    trunks.remove(trunk);
                }
            }
            if trunks.is_empty() {
                self.0.remove(&source);
            }
        }
    }

    /// The first trunk, by name, with a binding from there that still holds.
    pub(super) fn trunk_at(&self, now: Moment, source: Source) -> Option<&TrunkName> {
        let mut trunks = self.0.get(&source)?.iter();
        let holds = |ends: &Ends| ends.last_key_value().is_some_and(|(until, _)| now < *until);
        let found = trunks.find(|(_, ends)| holds(ends));
        found.map(|(name, _)| name)
    }

    /// Whether nothing is left of any binding.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn source(binding: &Binding) -> Source {
    (binding.transport, binding.received)
}
