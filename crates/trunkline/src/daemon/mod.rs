//! The daemon: transport, core and media wired together, run, drained.

pub mod clock;
pub mod logging;
pub mod metrics;
pub mod pages;
pub mod record_json;
pub mod records;
pub mod signalling;
pub mod wiring;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ambient::{KeyRng, TokenRng};
use anyhow::{Context as _, Result};
use b2bua::B2bua;
use b2bua::record::CallRecord;
use b2bua::trace::TraceRing;
use routing::Snapshot;
use sip_transport::Transport;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Config;
use clock::Clock;
use records::RecordWriter;
use signalling::{Inboxes, Signalling, Wish};
use wiring::Keys;

/// Page requests that may wait for the loop.
const PAGES: usize = 64;

/// Longest wait for the first media ports.
const PREPARED_WITHIN: Duration = Duration::from_secs(5);

/// What a start may be told beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where TLS session secrets are appended; for the demo's captures, never in production.
    pub key_log: Option<PathBuf>,
    /// Where a copy of each call record goes.
    pub record_copies: Option<mpsc::UnboundedSender<Box<CallRecord>>>,
}

/// A running daemon. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Daemon {
    wish: watch::Sender<Wish>,
    ended: oneshot::Receiver<()>,
}

impl Daemon {
    /// Binds every socket, starts every part, and returns when calls can be taken.
    ///
    /// # Errors
    /// A socket cannot be bound, a file cannot be opened; nothing keeps running.
    pub async fn start(config: &Config, keys: &Keys, options: Options) -> Result<Self> {
        let clock = Clock::start();
        let snapshot = Snapshot::compile(&config.routing)
            .map_err(|errors| anyhow::anyhow!("routes: {} mistakes", errors.len()))?;
        let core_config = wiring::core(config)?;
        let mut transport_config = wiring::transport(config, keys)?;
        transport_config.key_log = options.key_log;
        let records = match &config.records {
            Some(path) => {
                Some(RecordWriter::open(path).with_context(|| path.display().to_string())?)
            }
            None => None,
        };
        let (media, media_events) = wiring::media(config, clock)?;
        let ring = TraceRing::new(core_config.bounds.trace_bytes);
        let (transport, incoming) = Transport::start(transport_config)?;
        let (page_requests, pages) = mpsc::channel(PAGES);
        pages::serve(&config.admin, page_requests)
            .await
            .context("admin pages")?;
        let core = B2bua::new(
            core_config,
            Arc::new(snapshot),
            TokenRng::from_seed(entropy()?),
            KeyRng::from_entropy(entropy()?),
            clock.now(),
        );
        let (wish, wished) = watch::channel(Wish::Run);
        let (finished, ended) = oneshot::channel();
        let (ready, prepared) = oneshot::channel();
        let stopping = transport.clone();
        let signalling = Signalling {
            core,
            clock,
            transport,
            media,
            records,
            record_copies: options.record_copies,
            ring,
            grace: config.drain,
            faults: 0,
            ready: Some(ready),
        };
        let inboxes = Inboxes {
            transport: incoming,
            media: media_events,
            pages,
            wish: wished,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        thread::Builder::new()
            .name("signalling".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    signalling.run(inboxes).await;
                    stopping.stop().await;
                });
                // Whoever waits may have gone away.
                let _ = finished.send(());
            })?;
        // Without a single port calls are refused one by one, which is said there.
        if tokio::time::timeout(PREPARED_WITHIN, prepared)
            .await
            .is_err()
        {
            tracing::warn!("media ports are not all bound yet");
        }
        Ok(Self { wish, ended })
    }

    /// Takes no new calls from now on and ends when the last call has ended.
    pub fn drain(&self) {
        self.want(Wish::Drain);
    }

    /// Hangs up and ends.
    pub fn stop(&self) {
        self.want(Wish::Stop);
    }

    /// Waits until the daemon has ended.
    pub async fn ended(&mut self) {
        // A sender that went away without a word has ended as well.
        let _ = (&mut self.ended).await;
    }

    fn want(&self, wish: Wish) {
        // Wishes only grow; a daemon that has ended needs none.
        self.wish.send_if_modified(|now| {
            let grows = wish > *now;
            *now = wish.max(*now);
            grows
        });
    }
}

fn entropy() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

/// Runs a daemon until SIGTERM or SIGINT has drained it; a second signal stops it at once.
///
/// # Errors
/// As [`Daemon::start`].
pub async fn run(config: &Config, keys: &Keys) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut daemon = Daemon::start(config, keys, Options::default()).await?;
    tracing::info!(
        trunks = config.trunks.len(),
        routes = config.routing.routes.len(),
        "serving"
    );
    loop {
        tokio::select! {
            () = daemon.ended() => break,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if *daemon.wish.borrow() == Wish::Run {
            daemon.drain();
        } else {
            daemon.stop();
        }
    }
    tracing::info!("ended");
    Ok(())
}

/// Longest wait for a runtime's tasks when the process ends.
pub const WIND_UP: Duration = Duration::from_secs(2);
