//! The REST interface of the simulated resource, and its calls.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acs_sim::acs::AcsSim;
use acs_sim::rest::calls::{CallAutomation, CallsConfig, FarEnd, FarSound, Meter, Subscription};
use acs_sim::rest::{Owned, RestConfig, RestSim};
use anyhow::{Context as _, Result};
use clap::Args;

use super::{identity, issue};
use crate::demo::authority::Authority;
use crate::output;

/// How long a number nothing is said about rings.
const RINGS: Duration = Duration::from_secs(1);
/// The wait before a webhook that was not there is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of the resource.
#[derive(Debug, Args)]
pub(super) struct ResourceArgs {
    /// Also serve the REST interface of a resource here, over TLS for `localhost`
    #[arg(long, value_name = "ADDRESS:PORT")]
    rest: Option<SocketAddr>,
    /// Tell this webhook of calls that come in, as Event Grid does; they wait to be answered by
    /// Call Automation
    #[arg(long, value_name = "URL", requires = "rest")]
    events: Option<String>,
    /// Tell it in CloudEvents instead of Event Grid's own schema
    #[arg(long, requires = "events")]
    cloud_events: bool,
    /// A number the resource owns and may call with; may be repeated
    #[arg(long, value_name = "NUMBER", requires = "rest")]
    owned: Vec<String>,
    /// What becomes of a number that is called by Call Automation: `busy`, `no-answer`, `never`,
    /// `not-found`, `refuses-caller-id`, a status from 400 to 599 by which the request itself is
    /// refused, or the milliseconds after which it is answered. Others are answered after a
    /// second, and say back what is said to them. May be repeated
    #[arg(long, value_name = "NUMBER=WHAT", value_parser = far_end, requires = "rest")]
    far_end: Vec<(String, FarEnd)>,
    /// For whom the tokens of callbacks are: the resource's id
    #[arg(long, value_name = "ID", requires = "rest")]
    audience: Option<String>,
    /// Certificates (PEM) to trust where events and callbacks go, instead of the system's
    #[arg(long, value_name = "FILE", requires = "rest")]
    event_roots: Option<PathBuf>,
    /// Take callbacks over plain HTTP, which Azure does not
    #[arg(long, requires = "rest")]
    http_callbacks: bool,
}

fn far_end(text: &str) -> Result<(String, FarEnd), String> {
    let wrong = || format!("`{text}` is not NUMBER=WHAT");
    let (number, what) = text.split_once('=').ok_or_else(wrong)?;
    let far_end = match what {
        "busy" => FarEnd::busy(),
        "no-answer" => FarEnd::no_answer(),
        "never" => FarEnd::Never,
        "not-found" => FarEnd::no_such_number(),
        "refuses-caller-id" => FarEnd::refuses_caller_id(),
        figure => match figure.parse::<u64>().map_err(|_| wrong())? {
            status @ 400..=599 => {
                let status = u16::try_from(status).map_err(|_| wrong())?;
                FarEnd::refused(status, "Refused")
            }
            wait => FarEnd::answers_after(Duration::from_millis(wait)).sounding(FarSound::Echo),
        },
    };
    Ok((number.to_owned(), far_end))
}

/// A running resource.
pub(super) struct Resource {
    rest: RestSim,
    told: usize,
    meter: Meter,
}

impl ResourceArgs {
    /// Whether calls that come in are told by events.
    pub(super) fn tells(&self) -> bool {
        self.events.is_some()
    }

    /// Begins to serve, where that is asked for. The resource's key is made here, and told with
    /// its connection string.
    pub(super) async fn start(&self, folder: &Path, side: &AcsSim) -> Result<Option<Resource>> {
        let Some(address) = self.rest else {
            return Ok(None);
        };
        if !folder.join("rest.pem").exists() {
            let authority = Authority::generate()?;
            fs::write(folder.join("rest-roots.pem"), authority.root())?;
            issue(folder, &authority, "rest", &["localhost"])?;
        }
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let rest = RestSim::start(RestConfig {
            bind: address,
            identity: Some(identity(folder, "rest")?),
            calls: self.calls()?,
            ..RestConfig::new(key)
        })
        .await
        .with_context(|| address.to_string())?;
        output::line(format_args!(
            "REST listens at {}, roots {}; connection string: {}",
            rest.address(),
            folder.join("rest-roots.pem").display(),
            rest.connection_string("localhost"),
        ));
        for number in &self.owned {
            rest.own(Owned::toll_free(number));
        }
        for (number, far_end) in &self.far_end {
            rest.calls().set_far_end(number, far_end.clone());
        }
        if let Some(url) = &self.events {
            output::line(format_args!(
                "callbacks carry tokens of {}; their keys: https://localhost:{}/calling/keys",
                acs_sim::rest::calls::ISSUER,
                rest.address().port(),
            ));
            rest.calls().attach(side);
            let subscription = Subscription::new(url);
            let subscription = if self.cloud_events {
                subscription.cloud_events()
            } else {
                subscription
            };
            tokio::spawn(subscribe(rest.calls().clone(), subscription));
        }
        Ok(Some(Resource {
            rest,
            told: 0,
            meter: Meter::default(),
        }))
    }

    fn calls(&self) -> Result<CallsConfig> {
        let roots = self
            .event_roots
            .as_deref()
            .map(|file| fs::read(file).with_context(|| file.display().to_string()));
        let mut config = CallsConfig {
            roots: roots.transpose()?,
            plain_callbacks: self.http_callbacks,
            otherwise: FarEnd::answers_after(RINGS).sounding(FarSound::Echo),
            ..CallsConfig::default()
        };
        if let Some(audience) = &self.audience {
            config.audience.clone_from(audience);
        }
        Ok(config)
    }
}

/// Asks the webhook until it wants the events: whoever serves it may come later.
async fn subscribe(calls: CallAutomation, subscription: Subscription) {
    let mut said = String::new();
    while let Err(why) = calls.subscribe(subscription.clone()).await {
        if why != said {
            output::line(format_args!("no events yet: {why}"));
            said = why;
        }
        tokio::time::sleep(AGAIN).await;
    }
    output::line(format_args!("events go to {}", subscription.url));
}

impl Resource {
    /// Tells of events that were posted and of what the meter shows, since the last time.
    pub(super) fn news(&mut self) {
        let calls = self.rest.calls();
        let posted = calls.posted();
        for one in posted.iter().skip(self.told) {
            let status = one
                .status
                .map_or_else(|| "no answer".to_owned(), |s| s.to_string());
            output::line(format_args!("event {} to {}: {status}", one.kind, one.url));
        }
        self.told = posted.len();
        let meter = calls.meter();
        if (meter.up.len(), meter.ringing.len()) != (self.meter.up.len(), self.meter.ringing.len())
        {
            output::line(format_args!(
                "telephone network: {} ringing, {} talking",
                meter.ringing.len(),
                meter.up.len(),
            ));
        }
        self.meter = meter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_end_is_read() {
        for (text, wanted) in [
            ("+14255550123=busy", FarEnd::busy()),
            ("+14255550123=403", FarEnd::refused(403, "Refused")),
            ("+14255550123=never", FarEnd::Never),
            (
                "+14255550123=1500",
                FarEnd::answers_after(Duration::from_millis(1500)).sounding(FarSound::Echo),
            ),
        ] {
            assert_eq!(
                far_end(text),
                Ok(("+14255550123".to_owned(), wanted)),
                "{text}"
            );
        }
        for text in ["+14255550123", "+14255550123=", "+14255550123=soon"] {
            far_end(text).expect_err(text);
        }
    }
}
