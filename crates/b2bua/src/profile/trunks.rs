//! Every trunk of one configuration, and what holds over all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use media_relay::Clip;
use sip_msg::wire::{ListenerId, TrunkName};

use super::TrunkProfile;
use super::derived::Derived;
use crate::cloud::CloudProfile;
use crate::limits::GateLimits;

/// Trunks and limits as of one reload.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// Every trunk by its name.
    pub trunks: BTreeMap<TrunkName, Arc<TrunkProfile>>,
    /// Limits of the gateway as a whole.
    pub limits: GateLimits,
    /// How calls through Azure Cloud Calling are made.
    pub cloud: CloudProfile,
    /// What routes have callers hear when no target takes their call, by name.
    pub announcements: BTreeMap<Box<str>, Arc<Clip>>,
    /// Who takes requests at a listener, in the order of their names.
    by_listener: BTreeMap<ListenerId, Vec<Arc<TrunkProfile>>>,
}

impl Profiles {
    /// Profiles of the given trunks; of two with one name the later stays.
    #[must_use]
    pub fn new(trunks: impl IntoIterator<Item = TrunkProfile>, limits: GateLimits) -> Self {
        let trunks: BTreeMap<_, _> = trunks
            .into_iter()
            .map(|mut t| {
                t.derived = Derived::of(&t);
                (t.name.clone(), Arc::new(t))
            })
            .collect();
        let mut by_listener: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for trunk in trunks.values() {
            for &listener in &trunk.listeners {
                let there: &mut Vec<Arc<TrunkProfile>> = by_listener.entry(listener).or_default();
                // One socket may stand twice in a trunk's list.
                if there.last().is_none_or(|last| !Arc::ptr_eq(last, trunk)) {
                    there.push(Arc::clone(trunk));
                }
            }
        }
        Self {
            trunks,
            limits,
            cloud: CloudProfile::default(),
            announcements: BTreeMap::new(),
            by_listener,
        }
    }

    /// The same with these announcements.
    #[must_use]
    pub fn with_announcements(mut self, announcements: BTreeMap<Box<str>, Arc<Clip>>) -> Self {
        self.announcements = announcements;
        self
    }

    /// The same with calls through Azure Cloud Calling made like this.
    #[must_use]
    pub fn with_cloud(mut self, cloud: CloudProfile) -> Self {
        self.cloud = cloud;
        self
    }

    /// The trunks that take requests at this listener.
    #[must_use]
    pub fn at_listener(&self, listener: ListenerId) -> &[Arc<TrunkProfile>] {
        self.by_listener.get(&listener).map_or(&[], Vec::as_slice)
    }

    /// The trunk of that name.
    #[must_use]
    pub fn trunk(&self, name: &TrunkName) -> Option<&Arc<TrunkProfile>> {
        self.trunks.get(name)
    }
}
