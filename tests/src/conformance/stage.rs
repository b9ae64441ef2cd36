//! A gateway process between Microsoft's side and a carrier, all on one trial's loopback network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_sim::acs::{PROXY_NAMES, ProxyConfig};
use acs_sim::{AcsConfig, AcsSim, CallHandle, CallOptions, Logged, Party, PartyConfig, Transport};
use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::sleep;

use super::mitm::{Man, Relay};
use super::trial::{Common, Interference, Trial};
use crate::certificates::{Leaf, Usage, Wish};
use crate::gateway::{self, FQDN, MICROSOFT};
use crate::process::Process;
use crate::sip::Sip;
use crate::{daemon, lab::Lab};

/// What Microsoft's side is called: `sip`, `sip2`, `sip3`.
pub const NAMES: [&str; 3] = PROXY_NAMES;
/// How long anything that should come at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);
/// How often a page or a log that tells no one of its changes is looked at.
const GLANCE: Duration = Duration::from_millis(20);

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
    pub(super) fn new(trial: &'a Trial) -> Self {
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
        Self {
            trial,
            places,
            acs,
            carrier: Some(carrier),
            text: configuration(&places),
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
            let man = Man::new(Arc::clone(&common), real, lab.host(34));
            for (proxy, place) in places.names.iter().enumerate() {
                man.stand_for_name(*place, proxy)?;
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
        let lab = &self.trial.lab;
        let stage = self.start().await?;
        stage
            .until("Microsoft is up for the gateway", || {
                up(&gateway::metrics(lab)).then_some(())
            })
            .await?;
        Ok(stage)
    }
}

/// Whether the gateway counts one of Microsoft's names as up.
fn up(page: &str) -> bool {
    page.lines().any(|line| {
        line.starts_with("trunkline_peer_up{trunk=\"acs\"")
            && line.contains(MICROSOFT)
            && line.ends_with(" 1")
    })
}

/// Everything running.
pub struct Stage {
    /// Microsoft's side.
    pub acs: AcsSim,
    carrier: Option<Party>,
    /// The gateway.
    pub gateway: Process,
    /// Where everybody is.
    pub places: Places,
    man: Option<Man>,
    common: Arc<Common>,
    _relay: Option<Relay>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let said = self.gateway.output();
        self.common.log(&format!("the gateway said:\n{said}"));
        for (who, messages) in [
            ("Microsoft", self.acs.messages()),
            (
                "the carrier",
                self.carrier
                    .as_ref()
                    .map(Party::messages)
                    .unwrap_or_default(),
            ),
        ] {
            for message in messages {
                let verb = if message.sent { "sent" } else { "received" };
                let text = message.text();
                self.common
                    .log(&format!("{who} {verb} ({}):\n{text}", message.connection));
            }
        }
    }
}

impl Stage {
    /// The carrier.
    ///
    /// # Errors
    /// There is none.
    pub fn carrier(&self) -> Result<&Party> {
        self.carrier
            .as_ref()
            .context("there is no carrier on this stage")
    }

    /// Looks again and again until there is something to be seen.
    ///
    /// # Errors
    /// There is nothing within [`SOON`].
    pub async fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
        self.within(SOON, what, look).await
    }

    /// As [`until`](Self::until), with another patience.
    ///
    /// # Errors
    /// There is nothing within `patience`.
    pub async fn within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        loop {
            if let Some(seen) = look() {
                return Ok(seen);
            }
            if Instant::now() > end {
                bail!("not within {patience:?}: {what}");
            }
            sleep(GLANCE).await;
        }
    }

    /// Waits until Microsoft's side shows the trunk Online: OPTIONS in both directions.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn portal_online(&self) -> Result<()> {
        let online = self.acs.online(FQDN, SOON).await;
        ensure!(
            online,
            "the trunk is {:?} for Microsoft",
            self.acs.trunk(FQDN)
        );
        Ok(())
    }

    /// A call from the carrier to Microsoft; both ends, confirmed.
    ///
    /// # Errors
    /// It is not answered in time.
    pub async fn call_in(&self, number: &str) -> Result<(CallHandle, CallHandle)> {
        let waiting = self.acs.expect(number);
        let call = self
            .carrier()?
            .call(number, CallOptions::from("+14255550199"))
            .await?;
        let answered = connected(&call, waiting)
            .await
            .context("carrier to Microsoft")?;
        Ok((call, answered))
    }

    /// A call from Microsoft to the carrier; both ends, confirmed.
    ///
    /// # Errors
    /// It is not answered in time.
    pub async fn call_out(&self, number: &str) -> Result<(CallHandle, CallHandle)> {
        let waiting = self.carrier()?.expect(number);
        let call = self
            .acs
            .call(number, FQDN, CallOptions::from("+14255550111"))
            .await?;
        let answered = connected(&call, waiting)
            .await
            .context("Microsoft to carrier")?;
        Ok((call, answered))
    }

    /// What the gateway sent to Microsoft, in order.
    #[must_use]
    pub fn from_gateway(&self) -> Vec<(Logged, Sip)> {
        let all = self
            .acs
            .messages()
            .into_iter()
            .filter(|message| !message.sent);
        all.filter_map(|message| Sip::read(&message.bytes).map(|sip| (message, sip)))
            .collect()
    }

    /// Requests of this method that the gateway sent to Microsoft.
    #[must_use]
    pub fn requests(&self, method: &str) -> Vec<(Logged, Sip)> {
        let mut all = self.from_gateway();
        all.retain(|(_, sip)| sip.method() == Some(method));
        all
    }

    /// Fails where Microsoft's side noted a violation of one of these rules.
    ///
    /// # Errors
    /// It did.
    pub fn keeps(&self, rules: &[&str]) -> Result<()> {
        let broken: Vec<String> = self
            .acs
            .violations()
            .iter()
            .filter(|violation| rules.contains(&violation.rule))
            .map(ToString::to_string)
            .collect();
        ensure!(broken.is_empty(), "{}", broken.join("; "));
        Ok(())
    }

    /// Where a further gateway, which is really at `at`, is found by Microsoft.
    ///
    /// # Errors
    /// The man in the middle finds no place.
    pub fn seen(&self, at: SocketAddr, place: SocketAddr) -> Result<SocketAddr> {
        match &self.man {
            Some(man) => {
                man.stand_for_gateway(place, at)?;
                Ok(place)
            }
            None => Ok(at),
        }
    }
}

/// Waits until a call is answered at both ends.
///
/// # Errors
/// It is not, in time.
pub async fn connected(
    call: &CallHandle,
    waiting: tokio::sync::oneshot::Receiver<CallHandle>,
) -> Result<CallHandle> {
    let answered = tokio::time::timeout(SOON, waiting)
        .await
        .context("the call does not arrive")?
        .context("the far end is gone")?;
    let ended = |ending| anyhow::anyhow!("the call ended: {ending:?}");
    acs_sim::connected_within(call, SOON).await.map_err(ended)?;
    acs_sim::connected_within(&answered, SOON)
        .await
        .map_err(ended)?;
    Ok(answered)
}

/// Whatever Microsoft calls goes to the carrier and the other way round.
fn configuration(places: &Places) -> String {
    let hosts: String = NAMES
        .iter()
        .zip(places.names)
        .map(|(name, place)| format!("\"{name}\" = \"{}\"\n", place.ip()))
        .collect();
    format!(
        r#"
[gateway]
fqdn = "{FQDN}"
bind = "{gateway}"
records = "records.jsonl"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"
[media]
ports = "20000-20399"
shards = 1
[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:{gateway}:5061"
allow = ["127.0.0.0/8"]
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:{gateway}:5060"
peers = ["udp:{carrier}"]
options = {{ interval = "0s" }}
[[route]]
name = "in"
from = "carrier"
to = "acs"
[[route]]
name = "out"
from = "acs"
to = "carrier"
[admin]
listen = "{gateway}:9090"
[log]
level = "debug"
[hosts]
{hosts}
"#,
        gateway = places.gateway,
        carrier = places.seen_carrier,
    )
}

/// A leaf for the gateway as older public certificates are.
#[must_use]
pub fn old_leaf(trial: &Trial) -> Leaf {
    trial.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&[FQDN])
    })
}
