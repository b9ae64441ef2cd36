//! What a reload changes in a running transport: identities, trunks, the sources that are heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sip_msg::TransportKind;
use sip_msg::wire::{ListenerId, TrunkName};

use crate::config::TrunkFlow;
use crate::flow::Origin;
use crate::network::{self, AllowedNetwork};
use crate::shared::{Trunk, Trunks};
use crate::tls::{self, Terms, TlsClientSettings, TlsError, TlsServerSettings};
use crate::transport::Transport;

/// New identities and roots, for [`Transport::set_identities`].
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// By TLS listener.
    pub listeners: Vec<(ListenerId, TlsServerSettings)>,
    /// By trunk that opens TLS connections.
    pub trunks: Vec<(TrunkName, TlsClientSettings)>,
}

impl Transport {
    /// Takes new certificates, keys and roots into use, all or none. Connections of the listeners
    /// and trunks named are made anew: those we opened at once, those of peers when they are
    /// quiet.
    pub fn set_identities(&self, identities: Identities) -> Result<(), TlsError> {
        let shared = &self.shared;
        let mut servers = Vec::new();
        for (id, settings) in &identities.listeners {
            let config = tls::server_config(settings, &shared.terms)?;
            servers.push((*id, Arc::new(config)));
        }
        let mut trunks = Trunks::clone(&shared.trunks.load());
        let mut renewed = BTreeSet::new();
        for (name, settings) in identities.trunks {
            if let Some(trunk) = trunks.get(&name) {
                let trunk = trunk.with_tls(settings, &shared.terms)?;
                trunks.insert(name.clone(), trunk);
                renewed.insert(name);
            }
        }
        for (id, config) in servers {
            if let Some(tls) = self.listener(id).and_then(|listener| listener.tls.as_ref()) {
                tls.store(config);
            }
        }
        shared.trunks.store(Arc::new(trunks));
        shared.flows.forgive();
        let relisten: BTreeSet<_> = identities.listeners.iter().map(|(id, _)| *id).collect();
        for stream in shared.flows.streams() {
            match &stream.origin {
                Origin::Accepted(listener) if relisten.contains(listener) => stream.retire(),
                Origin::Opened(hop)
                    if hop.transport == TransportKind::Tls && renewed.contains(&hop.trunk) =>
                {
                    stream.renew.notify_one();
                }
                Origin::Accepted(_) | Origin::Opened(_) => {}
            }
        }
        Ok(())
    }

    /// Takes another set of trunks into use. Connections of trunks that are gone end when they
    /// are quiet; others go on, and follow their trunk's new settings when they are renewed.
    pub fn set_trunks(&self, trunks: Vec<TrunkFlow>) -> Result<(), (TrunkName, TlsError)> {
        let shared = &self.shared;
        let trunks = Arc::new(compile(trunks, &shared.terms)?);
        shared.trunks.store(Arc::clone(&trunks));
        shared.flows.forgive();
        for stream in shared.flows.streams() {
            if let Origin::Opened(hop) = &stream.origin
                && !trunks.contains_key(&hop.trunk)
            {
                shared.flows.detach(&stream);
                stream.retire();
            }
        }
        Ok(())
    }

    /// Changes the sources a listener hears, for what comes from now on.
    pub fn set_networks(&self, listener: ListenerId, networks: Vec<AllowedNetwork>) {
        if let Some(listener) = self.listener(listener) {
            listener.networks.store(Arc::new(networks));
        }
    }

    /// Whether a listener hears a source at all.
    pub fn hears(&self, listener: ListenerId, source: IpAddr) -> bool {
        self.listener(listener)
            .is_some_and(|listener| network::is_allowed(&listener.networks.load(), source))
    }
}

/// The trunks with their TLS settings made ready.
pub(crate) fn compile(
    trunks: Vec<TrunkFlow>,
    terms: &Terms,
) -> Result<Trunks, (TrunkName, TlsError)> {
    let mut compiled = BTreeMap::new();
    for flow in trunks {
        let name = flow.name.clone();
        let trunk = Trunk::new(flow, terms).map_err(|error| (name.clone(), error))?;
        compiled.insert(name, trunk);
    }
    Ok(compiled)
}
