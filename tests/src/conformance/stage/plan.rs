//! What is to be started, and where everybody is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acs_sim::acs::ProxyConfig;
use acs_sim::{AcsConfig, AcsSim, Party, PartyConfig, Transport};
use anyhow::Result;

use super::{NAMES, Stage};
use crate::certificates::{Leaf, Wish};
use crate::conformance::mitm::{Man, Relay};
use crate::conformance::trial::{Interference, Trial};
use crate::gateway::{self, FQDN, MICROSOFT};
use crate::{daemon, lab::Lab};

/// Where everybody is.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The gateway.
    pub gateway: IpAddr,
    /// The carrier's SIP.
    pub carrier: SocketAddr,
    /// A second party, for rows that have one.
    pub other: SocketAddr,
    /// Microsoft's three names, as the gateway finds them.
    pub names: [SocketAddr; 3],
    /// The gateway's TLS, as Microsoft finds it.
    pub tls: SocketAddr,
    /// The carrier's SIP, as the gateway finds it.
    pub seen_carrier: SocketAddr,
    /// The gateway's SIP, as the carrier finds it.
    pub seen_udp: SocketAddr,
}

impl Places {
    fn new(lab: &Lab, watched: bool) -> Self {
        let at = |host, port| SocketAddr::new(lab.host(host), port);
        let shift = if watched { 20 } else { 10 };
        Self {
            gateway: lab.host(1),
            carrier: at(2, 5060),
            other: at(3, 5060),
            names: [1, 2, 3].map(|number| at(shift + number, 5061)),
            tls: if watched { at(31, 5061) } else { at(1, 5061) },
            seen_carrier: if watched { at(32, 5060) } else { at(2, 5060) },
            seen_udp: if watched { at(33, 5060) } else { at(1, 5060) },
        }
    }
}

/// What is to be started.
#[derive(Debug)]
pub struct Plan<'a> {
    trial: &'a Trial,
    /// Where everybody is.
    pub places: Places,
    /// Microsoft's side.
    pub acs: AcsConfig,
    /// The carrier; `None` for one who is not there.
    pub carrier: Option<PartyConfig>,
    /// The gateway's configuration.
    pub text: String,
}

impl<'a> Plan<'a> {
    pub(in crate::conformance) fn new(trial: &'a Trial) -> Self {
        let lab = &trial.lab;
        let watched = !matches!(trial.common.interference, Interference::None);
        let places = Places::new(lab, watched);
        let identity = trial.issue(Wish::good(&[FQDN]));
        identity.write(lab, "sbc1");
        lab.write("roots.pem", &trial.authority.root());
        let far = trial.far_leaf(&NAMES);
        let mut acs = AcsConfig::new(trial.settings(&far)).with_trunk(FQDN, places.tls);
        acs.proxies = NAMES
            .iter()
            .zip(11..)
            .map(|(name, host)| ProxyConfig {
                name: (*name).to_owned(),
                bind: SocketAddr::new(lab.host(host), 5061),
            })
            .collect();
        acs.media.bind = lab.host(11);
        let mut carrier = PartyConfig::new("carrier", Transport::Udp, places.seen_udp);
        carrier.bind = places.carrier;
        carrier.media.bind = lab.host(2);
        let addresses = places.names.map(|place| place.ip());
        let names: Vec<_> = NAMES.into_iter().zip(addresses).collect();
        Self {
            trial,
            places,
            acs,
            carrier: Some(carrier),
            text: gateway::between(places.gateway, places.seen_carrier, &names),
        }
    }

    /// Changes Microsoft's side.
    #[must_use]
    pub fn acs(mut self, change: impl FnOnce(&mut AcsConfig)) -> Self {
        change(&mut self.acs);
        self
    }

    /// Changes the carrier.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn carrier(mut self, change: impl FnOnce(&mut PartyConfig)) -> Self {
        change(self.carrier.as_mut().expect("there is a carrier"));
        self
    }

    /// Nobody is at the carrier's place.
    #[must_use]
    pub fn without_carrier(mut self) -> Self {
        self.carrier = None;
        self
    }

    /// One more place of Microsoft's under this name; gives where the gateway finds it.
    pub fn further_name(&mut self, name: &str) -> SocketAddr {
        let number = u8::try_from(self.acs.proxies.len()).unwrap_or(0) + 1;
        self.acs.proxies.push(ProxyConfig {
            name: name.to_owned(),
            bind: SocketAddr::new(self.trial.lab.host(10 + number), 5061),
        });
        let watched = !matches!(self.trial.common.interference, Interference::None);
        let shift = if watched { 20 } else { 10 };
        SocketAddr::new(self.trial.lab.host(shift + number), 5061)
    }

    /// The gateway's identity, chain and key.
    #[must_use]
    pub fn identity(self, leaf: &Leaf) -> Self {
        self.trial
            .known(leaf.clone())
            .write(&self.trial.lab, "sbc1");
        self
    }

    /// The gateway's trusted roots, PEM.
    #[must_use]
    pub fn roots(self, pem: &str) -> Self {
        self.trial.lab.write("roots.pem", pem);
        self
    }

    /// Replaces a text in the configuration.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn replace(mut self, before: &str, after: &str) -> Self {
        assert!(self.text.contains(before), "no `{before}` in {}", self.text);
        self.text = self.text.replace(before, after);
        self
    }

    /// Adds lines to a trunk's table, before its sub-tables.
    #[must_use]
    pub fn trunk(self, name: &str, lines: &str) -> Self {
        let head = format!("name = \"{name}\"\npreset");
        let longer = format!("name = \"{name}\"\n{lines}\npreset");
        self.replace(&head, &longer)
    }

    /// Adds whole tables at the end: routes, trunks.
    #[must_use]
    pub fn tables(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Starts everything; the gateway serves, and nothing else is waited for.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(self) -> Result<Stage> {
        let common = Arc::clone(&self.trial.common);
        let watched = !matches!(common.interference, Interference::None);
        let lab = &self.trial.lab;
        let places = self.places;
        let gateway_tls = SocketAddr::new(places.gateway, 5061);
        let gateway_udp = SocketAddr::new(places.gateway, 5060);
        let real: Vec<SocketAddr> = self.acs.proxies.iter().map(|proxy| proxy.bind).collect();
        let acs = AcsSim::start(self.acs).await?;
        let carrier = match self.carrier {
            Some(config) => Some(Party::start(config).await?),
            None => None,
        };
        let (man, relay) = if watched {
            let places_of_names = real.len();
            let man = Man::new(Arc::clone(&common), real, lab.host(34));
            for (proxy, host) in (0..places_of_names).zip(21..) {
                man.stand_for_name(SocketAddr::new(lab.host(host), 5061), proxy)?;
            }
            man.stand_for_gateway(places.tls, gateway_tls)?;
            let relay = Relay::start(
                Arc::clone(&common),
                gateway_udp,
                places.carrier,
                places.seen_carrier,
                places.seen_udp,
                lab.host(35),
            )?;
            (Some(man), Some(relay))
        } else {
            (None, None)
        };
        let process = daemon::start(lab, &self.text);
        Ok(Stage {
            acs,
            carrier,
            gateway: process,
            places,
            man,
            common,
            _relay: relay,
        })
    }

    /// Starts everything and waits until the gateway sends calls to Microsoft.
    ///
    /// # Errors
    /// Something does not start, or Microsoft is not up for the gateway in time.
    pub async fn online(self) -> Result<Stage> {
        let stage = self.start().await?;
        stage.peer_is("acs", MICROSOFT, true).await?;
        Ok(stage)
    }
}
