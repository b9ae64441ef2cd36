//! A gateway process between Microsoft's side and a carrier, all on one trial's loopback network.

mod plan;

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use acs_sim::acs::PROXY_NAMES;
use acs_sim::{AcsSim, CallHandle, CallOptions, Logged, Party};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tokio::time::{sleep, timeout};

use super::dial::Dial;
use super::mitm::{Man, Relay};
use super::trial::{Common, Trial};
use crate::certificates::{Leaf, Usage, Wish};
use crate::gateway::FQDN;
use crate::process::Process;
use crate::sip::Sip;

pub use plan::{Places, Plan};

/// What Microsoft's side is called: `sip`, `sip2`, `sip3`.
pub const NAMES: [&str; 3] = PROXY_NAMES;
/// How long anything that should come at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);
/// For how long something that would come at once must not come.
pub const QUIET: Duration = Duration::from_secs(1);
/// How often a page of the gateway is looked at, which tells no one of its changes.
const GLANCE: Duration = Duration::from_millis(20);

/// Whether the gateway counts this peer of a trunk as up; `None` when it does not know it.
fn up(page: &str, trunk: &str, peer: &str) -> Option<bool> {
    let head = format!("trunkline_peer_up{{trunk=\"{trunk}\"");
    let mut lines = page.lines();
    let line = lines.find(|line| line.starts_with(&head) && line.contains(peer))?;
    Some(line.ends_with(" 1"))
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

    /// Waits until there is something to be seen in the messages or connections of Microsoft's side
    /// or the carrier.
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
        let mut acs = self.acs.activity();
        let mut carrier = self.carrier.as_ref().map(Party::activity);
        let seen = async {
            loop {
                if let Some(seen) = look() {
                    return Ok(seen);
                }
                let carrier = async {
                    match &mut carrier {
                        Some(carrier) => carrier.changed().await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    changed = acs.changed() => changed?,
                    changed = carrier => changed?,
                }
            }
        };
        timeout(patience, seen)
            .await
            .unwrap_or_else(|_| bail!("not within {patience:?}: {what}"))
    }

    /// Sees to it that for [`QUIET`] there is nothing to be seen where [`until`](Self::until) looks.
    ///
    /// # Errors
    /// There is.
    pub async fn never(&self, what: &str, mut look: impl FnMut() -> bool) -> Result<()> {
        let seen = self.within(QUIET, what, || look().then_some(())).await;
        ensure!(seen.is_err(), "{what}");
        Ok(())
    }

    /// Looks again and again at what the gateway shows of itself.
    ///
    /// # Errors
    /// It does not show it within [`SOON`].
    pub async fn shown<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
        self.shown_within(SOON, what, look).await
    }

    /// As [`shown`](Self::shown), with another patience.
    ///
    /// # Errors
    /// It does not show it within `patience`.
    pub async fn shown_within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let shown = async {
            loop {
                if let Some(shown) = look() {
                    return shown;
                }
                sleep(GLANCE).await;
            }
        };
        timeout(patience, shown)
            .await
            .map_err(|_| anyhow!("not within {patience:?}: {what}"))
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

    /// A connection to the gateway as Microsoft makes one.
    #[must_use]
    pub fn dial<'a>(&self, from: IpAddr, identity: &'a Leaf) -> Dial<'a> {
        Dial {
            to: self.places.tls,
            from,
            server_name: Some(FQDN),
            identity: Some(identity),
        }
    }

    /// The gateway's metrics.
    ///
    /// # Errors
    /// They are not served.
    pub fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect((self.places.gateway, 9090))?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Waits until the gateway counts this peer of a trunk as up, or as down.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn peer_is(&self, trunk: &str, peer: &str, wanted: bool) -> Result<()> {
        let word = if wanted { "up" } else { "down" };
        self.shown(
            &format!("{peer} of {trunk} is {word} for the gateway"),
            || {
                let page = self.metrics().ok()?;
                (up(&page, trunk, peer) == Some(wanted)).then_some(())
            },
        )
        .await
    }

    /// Waits until all of Microsoft's names are up for the gateway.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn names_up(&self) -> Result<()> {
        for name in NAMES {
            self.peer_is("acs", name, true).await?;
        }
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

    /// The man in the middle, if there is one, stands at `place` for a further gateway.
    ///
    /// # Panics
    /// Somebody else is there.
    pub fn stand_for(&self, place: SocketAddr, gateway: SocketAddr) {
        if let Some(man) = &self.man {
            let stood = man.stand_for_gateway(place, gateway);
            stood.expect("the place is the trial's own");
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
    let answered = timeout(SOON, waiting)
        .await
        .context("the call does not arrive")?
        .context("the far end is gone")?;
    let ended = |ending| anyhow!("the call ended: {ending:?}");
    acs_sim::connected_within(call, SOON).await.map_err(ended)?;
    acs_sim::connected_within(&answered, SOON)
        .await
        .map_err(ended)?;
    Ok(answered)
}

/// A leaf for the gateway as older public certificates are.
#[must_use]
pub fn old_leaf(trial: &Trial) -> Leaf {
    trial.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&[FQDN])
    })
}
