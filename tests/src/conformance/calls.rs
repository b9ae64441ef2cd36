//! Calls as the rows make them, and what is read from their messages.

use std::future::Future;
use std::time::Duration;

use acs_sim::{
    CallHandle, CallOptions, CallState, Ending, Exchanged, Logged, MediaConfig, exchange,
};
use anyhow::{Context as _, Result, ensure};

use super::stage::{SOON, Stage, connected};
use crate::gateway::FQDN;
use crate::sip::Sip;

/// A number in Azure.
pub const APP: &str = "+14255550123";
/// A number of the carrier.
pub const PHONE: &str = "+14255550144";
/// Who calls from the carrier.
pub const CALLER: &str = "+14255550199";
/// Who calls from Azure.
pub const AGENT: &str = "+14255550111";

/// Waits for what should come at once.
///
/// # Errors
/// It does not.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(SOON, wait)
        .await
        .with_context(|| format!("not within {SOON:?}: {what}"))
}

/// Waits until a call is in such a state.
///
/// # Errors
/// It is not within [`SOON`], or the call ends instead.
pub async fn becomes(
    what: &str,
    call: &CallHandle,
    wanted: impl Fn(&CallState) -> bool,
) -> Result<()> {
    let state = soon(what, call.wait(&wanted)).await?;
    ensure!(wanted(&state), "{what}: the call ended: {:?}", state.ending);
    Ok(())
}

/// Whether the party may talk again and the gateway knows that it agreed: before, what the other one
/// says may not be sent to it (RFC 3264 §8).
pub fn resumed(call: &CallState) -> bool {
    !call.held && call.settled
}

impl Stage {
    /// A call from the carrier to [`APP`]; both ends, confirmed.
    ///
    /// # Errors
    /// It is not answered in time.
    pub async fn inward(&self, options: CallOptions) -> Result<(CallHandle, CallHandle)> {
        let waiting = self.acs.expect(APP);
        let call = self.carrier()?.call(APP, options).await?;
        let answered = connected(&call, waiting)
            .await
            .context("carrier to Microsoft")?;
        Ok((call, answered))
    }

    /// A call from Microsoft to [`PHONE`]; both ends, confirmed.
    ///
    /// # Errors
    /// It is not answered in time.
    pub async fn outward(&self, options: CallOptions) -> Result<(CallHandle, CallHandle)> {
        let waiting = self.carrier()?.expect(PHONE);
        let call = self.acs.call(PHONE, FQDN, options).await?;
        let answered = connected(&call, waiting)
            .await
            .context("Microsoft to carrier")?;
        Ok((call, answered))
    }

    /// What the gateway sent to the carrier, in order.
    ///
    /// # Errors
    /// There is no carrier.
    pub fn to_carrier(&self) -> Result<Vec<(Logged, Sip)>> {
        Ok(read(self.carrier()?.messages(), false))
    }

    /// Requests of this method that the gateway sent to the carrier.
    ///
    /// # Errors
    /// There is no carrier.
    pub fn asked_of_carrier(&self, method: &str) -> Result<Vec<(Logged, Sip)>> {
        let mut all = self.to_carrier()?;
        all.retain(|(_, sip)| sip.method() == Some(method));
        Ok(all)
    }

    /// The last INVITE that the gateway sent to the carrier.
    ///
    /// # Errors
    /// There is none.
    pub fn carrier_invite(&self) -> Result<Sip> {
        let invite = self.asked_of_carrier("INVITE")?.pop();
        Ok(invite.context("the carrier got no INVITE")?.1)
    }

    /// The last INVITE that the gateway sent to Microsoft.
    ///
    /// # Errors
    /// There is none.
    pub fn microsoft_invite(&self) -> Result<Sip> {
        let invite = self.requests("INVITE").pop();
        Ok(invite.context("Microsoft got no INVITE")?.1)
    }

    /// What Microsoft's side sent, in order.
    #[must_use]
    pub fn from_microsoft(&self) -> Vec<(Logged, Sip)> {
        read(self.acs.messages(), true)
    }

    /// The bodies with a session description which the gateway sent to Microsoft in one call,
    /// those of retransmissions once.
    #[must_use]
    pub fn descriptions(&self, call_id: &str) -> Vec<String> {
        let all = self.from_gateway().into_iter().map(|(_, sip)| sip);
        let mut described: Vec<Sip> = all
            .filter(|sip| sip.first("Call-ID") == Some(call_id) && sip.body.starts_with("v=0"))
            .collect();
        described.dedup();
        described.into_iter().map(|sip| sip.body).collect()
    }
}

fn read(messages: Vec<Logged>, sent: bool) -> Vec<(Logged, Sip)> {
    let of_direction = messages.into_iter().filter(|message| message.sent == sent);
    of_direction
        .filter_map(|message| Sip::read(&message.bytes).map(|sip| (message, sip)))
        .collect()
}

/// Lets both ends talk and fails unless every packet arrived, once, whole and in order.
///
/// # Errors
/// One did not.
pub async fn audio(one: &CallHandle, other: &CallHandle, packets: u32) -> Result<Exchanged> {
    let heard = exchange(one, other, packets).await;
    ensure!(heard.exact(packets), "audio: {heard:?}");
    Ok(heard)
}

/// Waits for the end of a call.
///
/// # Errors
/// It goes on.
pub async fn ended(call: &CallHandle) -> Result<Ending> {
    soon("the end of a call", call.ended()).await
}

/// Waits until a call is refused, and gives the status.
///
/// # Errors
/// It ends otherwise, or not in time.
pub async fn refused(call: &CallHandle, patience: Duration) -> Result<u16> {
    let ending = tokio::time::timeout(patience, call.ended())
        .await
        .with_context(|| format!("not refused within {patience:?}"))?;
    ending
        .status()
        .with_context(|| format!("ended: {ending:?}"))
}

/// The first line of a description that starts so, without that start.
#[must_use]
pub fn line<'a>(description: &'a str, start: &str) -> Option<&'a str> {
    let mut lines = description.lines();
    lines.find_map(|line| line.strip_prefix(start))
}

/// A caller with this media.
#[must_use]
pub fn with_media(caller: &str, media: MediaConfig) -> CallOptions {
    CallOptions {
        media: Some(media),
        ..CallOptions::from(caller)
    }
}

/// A caller with these header fields.
#[must_use]
pub fn with_headers(caller: &str, headers: &[(&str, &str)]) -> CallOptions {
    CallOptions {
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..CallOptions::from(caller)
    }
}

/// The URI of a request.
#[must_use]
pub fn uri(request: &Sip) -> &str {
    request.start.split(' ').nth(1).unwrap_or_default()
}

/// The user part of a request's URI.
#[must_use]
pub fn user(request: &Sip) -> &str {
    let rest = uri(request).strip_prefix("sip:").unwrap_or_default();
    rest.rsplit_once('@').map_or("", |(user, _)| user)
}
