//! Event Grid: the subscription to calls that come in, its handshake and its deliveries.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::{Arrival, Schema, grid};
use super::post::Post;
use super::{CallAutomation, Inner};
use crate::acs::guid;

const INCOMING: &str = "Microsoft.Communication.IncomingCall";
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
/// How long the link of a validation may be read.
const LINK: Duration = Duration::from_secs(300);
/// Who asks whether CloudEvents are wanted.
const ORIGIN: &str = "eventgrid.azure.net";

/// Where calls that come in are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The webhook.
    pub url: String,
    /// In which form.
    pub schema: Schema,
}

impl Subscription {
    /// In Event Grid's own schema.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: Schema::EventGrid,
        }
    }

    /// The same, as CloudEvents.
    #[must_use]
    pub fn cloud_events(self) -> Self {
        Self {
            schema: Schema::CloudEvents,
            ..self
        }
    }

    fn post(&self, kind: &str, what: &'static str, body: Value) -> Post {
        let (media_type, headers) = match self.schema {
            Schema::EventGrid => (
                "application/json; charset=utf-8",
                vec![
                    ("aeg-event-type", what.to_owned()),
                    ("aeg-subscription-name", "CALLS".to_owned()),
                    ("aeg-data-version", "1.0".to_owned()),
                    ("aeg-metadata-version", "1".to_owned()),
                ],
            ),
            Schema::CloudEvents => ("application/cloudevents+json; charset=utf-8", Vec::new()),
        };
        Post {
            kind: kind.rsplit('.').next().unwrap_or(kind).to_owned(),
            url: self.url.clone(),
            media_type,
            body,
            headers,
        }
    }
}

impl CallAutomation {
    /// Subscribes a webhook to calls that come in, once it has shown that it wants them.
    ///
    /// # Errors
    /// What it answered instead, in words.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<(), String> {
        match subscription.schema {
            Schema::EventGrid => self.0.validate(&subscription).await?,
            Schema::CloudEvents => self.0.ask(&subscription).await?,
        }
        self.0.state().subscription = Some(subscription);
        self.0.news.send_replace(());
        Ok(())
    }

    /// Subscribes a webhook without asking it.
    pub fn subscribe_unasked(&self, subscription: Subscription) {
        self.0.state().subscription = Some(subscription);
    }

    /// Tells the webhook of a call that never came, with these header fields; gives what was
    /// answered, `None` where nobody subscribed or nothing was answered.
    pub async fn forge_incoming(
        &self,
        to: &str,
        from: &str,
        headers: &[(String, String)],
    ) -> Option<u16> {
        let subscription = self.0.state().subscription.clone()?;
        let (call, correlation, context) = (guid(), guid(), guid());
        let arrival = Arrival {
            to,
            from,
            display_name: "",
            context: &context,
            server_call_id: &call,
            correlation_id: &correlation,
            headers,
        };
        let post = self.0.arrival(&subscription, &arrival);
        self.0.send(&post, None, 1).await
    }

    /// Whether the address of the other form of validation was read.
    #[must_use]
    pub fn validated_by_link(&self) -> bool {
        self.0.state().validated
    }
}

impl Inner {
    /// The handshake of Event Grid's own schema: a code that is given back, or a link that is
    /// read.
    async fn validate(&self, subscription: &Subscription) -> Result<(), String> {
        let (code, id) = (guid(), guid());
        let base = self.base.get().cloned().unwrap_or_default();
        {
            let mut state = self.state();
            state.validation = Some(id.clone());
            state.validated = false;
        }
        let data = json!({
            "validationCode": code, "validationUrl": format!("{base}/eventgrid/validate?id={id}"),
        });
        let now = Timestamp::now();
        let topic = &self.config.topic;
        let body = grid(Schema::EventGrid, VALIDATION, topic, "", now, &data);
        let post = subscription.post(VALIDATION, "SubscriptionValidation", body);
        let answer = self
            .http
            .post(&post.url)
            .header("content-type", post.media_type)
            .header("aeg-event-type", "SubscriptionValidation")
            .body(post.body.to_string())
            .send()
            .await
            .map_err(|error| format!("the webhook cannot be reached: {error}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        match (status, said["validationResponse"].as_str()) {
            (200, Some(given)) if given == code => Ok(()),
            (200, None) if self.link_is_read().await => Ok(()),
            (200, _) => Err("the webhook did not give the code back".to_owned()),
            (status, _) => Err(format!("the webhook answered {status}")),
        }
    }

    /// Waits until the link of a validation was read.
    async fn link_is_read(&self) -> bool {
        let mut news = self.news.subscribe();
        let read = async {
            while !self.state().validated {
                if news.changed().await.is_err() {
                    break;
                }
            }
        };
        let limit = LINK.mul_f32(self.config.pace);
        tokio::time::timeout(limit, read).await.is_ok()
    }

    /// The handshake of CloudEvents' webhooks.
    async fn ask(&self, subscription: &Subscription) -> Result<(), String> {
        let answer = self
            .http
            .request(reqwest::Method::OPTIONS, &subscription.url)
            .header("webhook-request-origin", ORIGIN)
            .send()
            .await
            .map_err(|error| format!("the webhook cannot be reached: {error}"))?;
        let status = answer.status().as_u16();
        let allowed = answer.headers().get("webhook-allowed-origin");
        let allowed = allowed.and_then(|value| value.to_str().ok());
        match (status, allowed) {
            (200, Some("*" | ORIGIN)) => Ok(()),
            (200, _) => Err("the webhook does not allow Event Grid".to_owned()),
            (status, _) => Err(format!("the webhook answered {status}")),
        }
    }

    /// The link of a validation was read.
    pub(super) fn read_link(&self, id: &str) -> bool {
        let mut state = self.state();
        let known = state.validation.as_deref() == Some(id);
        state.validated |= known;
        drop(state);
        self.news.send_replace(());
        known
    }

    /// Tells whoever subscribed of a call; false where nobody did.
    pub(super) fn tell(self: &Arc<Self>, arrival: &Arrival<'_>) -> bool {
        let Some(subscription) = self.state().subscription.clone() else {
            return false;
        };
        let post = self.arrival(&subscription, arrival);
        self.spawn(Arc::clone(self).notify(post));
        true
    }

    fn arrival(&self, subscription: &Subscription, arrival: &Arrival<'_>) -> Post {
        let body = grid(
            subscription.schema,
            INCOMING,
            &self.config.topic,
            &arrival.subject(),
            Timestamp::now(),
            &arrival.data(),
        );
        subscription.post(INCOMING, "Notification", body)
    }
}
