//! Call Automation: calls that reach Microsoft's side are told by Event Grid, answered over REST,
//! and joined with numbers of a scripted telephone network; what happens to them is posted to the
//! application with Microsoft's tokens.
//!
//! Read top down: [`CallAutomation`] is what tests hold; `desk` answers requests; `conduct` is what
//! happens to a call over time; `state` is what there is; `post` and `grid` bring events to where
//! they are wanted.

mod body;
mod conduct;
mod config;
mod desk;
mod event;
mod grid;
mod mischief;
mod network;
mod post;
mod state;
mod token;
mod way;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use config::{CallsConfig, ISSUER};
pub(super) use desk::Resource;
pub use event::Schema;
pub use grid::Subscription;
pub use mischief::{Mischief, Seal};
pub use network::{FarEnd, FarSound, Outcome};
pub use post::Posted;
pub use state::{LiveCall, Meter, Metered};

use crate::acs::Dialler;
use post::Post;
use state::State;
use token::Signer;

/// The calls of a simulated resource. Clones are the same.
#[derive(Clone)]
pub struct CallAutomation(Arc<Inner>);

impl std::fmt::Debug for CallAutomation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallAutomation").finish_non_exhaustive()
    }
}

struct Inner {
    config: CallsConfig,
    state: Mutex<State>,
    http: reqwest::Client,
    signer: OnceLock<Signer>,
    /// A key that is not published.
    stranger: OnceLock<Signer>,
    /// How numbers of voice routes are called.
    dialler: OnceLock<Dialler>,
    /// Where the simulation listens.
    base: OnceLock<String>,
    news: watch::Sender<()>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signer(&self) -> &Signer {
        self.signer.get_or_init(Signer::generate)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

impl CallAutomation {
    pub(super) fn new(config: CallsConfig) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &config.roots {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        for (name, address) in &config.hosts {
            builder = builder.resolve(name, (*address, 0).into());
        }
        Ok(Self(Arc::new(Inner {
            config,
            state: Mutex::new(State::new()),
            http: builder.build()?,
            signer: OnceLock::new(),
            stranger: OnceLock::new(),
            dialler: OnceLock::new(),
            base: OnceLock::new(),
            news: watch::Sender::new(()),
            tasks: Mutex::default(),
        })))
    }

    /// Says where the simulation listens.
    pub(super) fn listens_at(&self, base: String) {
        // Said once, when it begins.
        let _ = self.0.base.set(base);
    }

    /// Ends everything without a word.
    pub(super) fn shutdown(&self) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.drain(..) {
            task.abort();
        }
    }

    /// Decides what becomes of calls to a number of the telephone network.
    pub fn set_far_end(&self, number: &str, far_end: FarEnd) {
        self.0.state().network.set(number, far_end);
    }

    /// Has this happen to the next so many events of a type, named without its prefix as in
    /// `CallConnected` or `IncomingCall`; to any where it is empty.
    pub fn wish(&self, kind: &str, mischief: Mischief, times: u32) {
        self.0.state().wishes.add(kind, mischief, times);
    }

    /// Every delivery so far, oldest first; at most the last 10,000.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.0.state().log.all()
    }

    /// What Microsoft's meter shows.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.0.state().meter()
    }

    /// Every call that was answered or made and is not over.
    #[must_use]
    pub fn live(&self) -> Vec<LiveCall> {
        self.0.state().live()
    }

    /// Calls that came in and wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.state().waiting.len()
    }

    /// Waits until `enough` holds, at most `limit`; says whether it does.
    pub async fn until(&self, limit: Duration, mut enough: impl FnMut(&Self) -> bool) -> bool {
        let mut news = self.0.news.subscribe();
        let reached = async {
            while !enough(self) {
                if news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(limit, reached).await.is_ok()
    }

    /// Waits until nobody of the telephone network is called or talks; says whether that is so.
    pub async fn still(&self, limit: Duration) -> bool {
        self.until(limit, |calls| calls.meter().is_still()).await
    }

    /// Delivers again what was delivered last of a type, token and all; gives what was answered.
    pub async fn replay(&self, kind: &str) -> Option<u16> {
        let last = self
            .posted()
            .into_iter()
            .rev()
            .find(|one| one.kind == kind)?;
        let token = last.authorization.as_deref();
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        self.0.send(last.again(), token, last.attempt).await
    }

    /// Posts an event about a call that never happened; gives what was answered. `url` is a
    /// callback, `data` what it says besides the call.
    pub async fn forge(&self, url: &str, kind: &str, data: &Value, seal: Seal) -> Option<u16> {
        let spoilt = match seal {
            Seal::Right => None,
            Seal::Spoilt(mischief) => Some(mischief),
        };
        let call = data["callConnectionId"].as_str().unwrap_or("forged");
        let body = event::cloud(kind, call, Timestamp::now(), data);
        let post = Post::callback(kind, url, body);
        let token = self.0.token(spoilt);
        self.0.send(&post, token.as_deref(), 1).await
    }

    /// Somebody on the telephone network hangs up; false where nobody with that number talks.
    pub fn far_end_hangs_up(&self, number: &str) -> bool {
        self.0.leave(number)
    }
}
