//! Bringing events to where they are wanted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::sleep;

use super::Inner;
use super::mischief::Mischief;
use super::token::{Claims, Signer};

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a callback is tried, and the wait before it is tried again.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);
/// How often Event Grid tries.
const GRID_TRIES: u32 = 30;
/// Deliveries remembered.
const MOST: usize = 10_000;

/// One delivery, as it was made.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The type of its event, without its prefix.
    pub kind: String,
    /// Where it went.
    pub url: String,
    /// What was sent.
    pub body: Value,
    /// Its `Authorization`.
    pub authorization: Option<String>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// What was answered; `None` for nothing.
    pub status: Option<u16>,
    /// When it was over.
    pub at: Timestamp,
    post: Post,
}

impl Posted {
    /// The same delivery, to be made again.
    pub(super) fn again(&self) -> &Post {
        &self.post
    }
}

/// Deliveries so far.
#[derive(Debug, Default)]
pub(super) struct Log(VecDeque<Posted>);

impl Log {
    fn note(&mut self, posted: Posted) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(posted);
    }

    pub(super) fn all(&self) -> Vec<Posted> {
        self.0.iter().cloned().collect()
    }
}

/// What is to be delivered.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) kind: String,
    pub(super) url: String,
    pub(super) media_type: &'static str,
    pub(super) body: Value,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Post {
    /// A callback about a call.
    pub(super) fn callback(kind: &str, url: &str, body: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            url: url.to_owned(),
            media_type: "application/json",
            body,
            headers: Vec::new(),
        }
    }
}

impl Inner {
    /// Delivers a callback, with whatever a test wants to happen to it.
    pub(super) async fn call_back(self: Arc<Self>, post: Post) {
        let mischief = self.state().wishes.take(&post.kind);
        match mischief {
            Some(Mischief::Lost) => {}
            Some(Mischief::Late(by)) => {
                let this = Arc::clone(&self);
                self.spawn(async move {
                    sleep(by).await;
                    let token = this.token(None);
                    this.try_callback(&post, token.as_deref()).await;
                });
            }
            Some(Mischief::Twice) => {
                let token = self.token(None);
                self.try_callback(&post, token.as_deref()).await;
                self.try_callback(&post, token.as_deref()).await;
            }
            spoilt @ (None
            | Some(
                Mischief::WrongKey
                | Mischief::Expired
                | Mischief::WrongAudience
                | Mischief::WrongIssuer
                | Mischief::NoToken,
            )) => {
                let token = self.token(spoilt);
                self.try_callback(&post, token.as_deref()).await;
            }
        }
    }

    /// How often Azure tries a callback is not written down.
    async fn try_callback(&self, post: &Post, token: Option<&str>) {
        for attempt in 1..=TRIES {
            let status = self.send(post, token, attempt).await;
            if status.is_some_and(|status| status < 500 && status != 429) {
                return;
            }
            sleep(AGAIN.mul_f32(self.config.pace)).await;
        }
    }

    /// Delivers an event of Event Grid's until it is taken or was tried often enough.
    pub(super) async fn notify(self: Arc<Self>, mut post: Post) {
        let mischief = self.state().wishes.take(&post.kind);
        match mischief {
            Some(Mischief::Lost) => return,
            Some(Mischief::Late(by)) => sleep(by).await,
            Some(Mischief::Twice) => {
                self.send(&post, None, 1).await;
            }
            // Event Grid signs nothing.
            Some(
                Mischief::WrongKey
                | Mischief::Expired
                | Mischief::WrongAudience
                | Mischief::WrongIssuer
                | Mischief::NoToken,
            )
            | None => {}
        }
        post.headers.push(("aeg-delivery-count", String::new()));
        for attempt in 1..=GRID_TRIES {
            if let Some((_, count)) = post.headers.last_mut() {
                *count = (attempt - 1).to_string();
            }
            let status = self.send(&post, None, attempt).await;
            // What is too large or malformed does not get better by trying.
            if matches!(status, Some(200..=204 | 400 | 413)) {
                return;
            }
            sleep(pause(attempt, status).mul_f32(self.config.pace)).await;
        }
    }

    /// Makes one delivery.
    pub(super) async fn send(&self, post: &Post, token: Option<&str>, attempt: u32) -> Option<u16> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut request = self
            .http
            .post(&post.url)
            .timeout(PATIENCE)
            .header("content-type", post.media_type)
            .body(post.body.to_string());
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in &post.headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await;
        if let Err(error) = &answer {
            tracing::debug!(url = %post.url, %error, "an event was not taken");
        }
        let status = answer.ok().map(|response| response.status().as_u16());
        self.state().log.note(Posted {
            kind: post.kind.clone(),
            url: post.url.clone(),
            body: post.body.clone(),
            authorization,
            attempt,
            status,
            at: Timestamp::now(),
            post: post.clone(),
        });
        self.news.send_replace(());
        status
    }

    /// A token for a callback, spoilt like this.
    pub(super) fn token(&self, spoilt: Option<Mischief>) -> Option<String> {
        if spoilt == Some(Mischief::NoToken) {
            return None;
        }
        let wrong = |wanted: Mischief, right: &str| {
            let spoil = spoilt == Some(wanted);
            format!("{right}{}", if spoil { "-other" } else { "" })
        };
        let hour = SignedDuration::from_hours(i64::from(spoilt == Some(Mischief::Expired)));
        let (issuer, audience) = (
            wrong(Mischief::WrongIssuer, &self.config.issuer),
            wrong(Mischief::WrongAudience, &self.config.audience),
        );
        let claims = Claims {
            issuer: &issuer,
            audience: &audience,
            at: Timestamp::now() - hour,
        };
        let id = self.signer().id();
        Some(if spoilt == Some(Mischief::WrongKey) {
            self.stranger
                .get_or_init(Signer::generate)
                .token(&claims, id)
        } else {
            self.signer().token(&claims, id)
        })
    }
}

/// How long Event Grid waits after a try that came to this.
fn pause(attempt: u32, status: Option<u16>) -> Duration {
    let seconds = match attempt {
        1 => 10,
        2 => 30,
        3 => 60,
        4 => 300,
        5 => 600,
        6 => 1800,
        _ => 3600,
    };
    let least = match status {
        Some(401 | 403 | 404) => 300,
        Some(408) => 120,
        Some(503) => 30,
        Some(_) | None => 10,
    };
    Duration::from_secs(seconds.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_grid_waits_longer_each_time_and_longest_for_the_forbidden() {
        let seconds = |attempt, status| pause(attempt, status).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 9].map(|n| seconds(n, None)),
            [10, 30, 60, 300, 3600]
        );
        assert_eq!(
            [401, 404, 408, 503, 500].map(|s| seconds(1, Some(s))),
            [300, 300, 120, 30, 10]
        );
    }
}
