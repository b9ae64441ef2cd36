//! The daemon: transport, core and media wired together, run, drained.

mod accounts;
pub mod admin;
mod answers;
pub mod clock;
pub mod cloud;
mod descriptors;
pub mod diff;
pub mod lateness;
pub mod lines;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod pace;
pub mod pages;
pub mod record_json;
pub mod records;
pub mod reload;
pub mod signalling;
mod spent;
pub mod stored;
pub mod wiring;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ambient::{KeyRng, TokenRng};
use anyhow::{Context as _, Result};
use b2bua::record::CallRecord;
use b2bua::trace::TraceRing;
use b2bua::{B2bua, Input};
use sip_transport::Transport;
use store::{CallLog, LogOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use admin::Operations;
use clock::Clock;
use names::Names;
use pages::Decisions;
use records::RecordWriter;
use reload::{Outcome, Reloader};
use signalling::{CloudLink, Inboxes, Load, Signalling, Wish};
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
    /// The file the configuration came from; without one there is no reload.
    pub file: Option<PathBuf>,
    /// Where a copy of each call record goes.
    pub record_copies: Option<mpsc::UnboundedSender<Box<CallRecord>>>,
}

/// A running daemon. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Daemon {
    wish: watch::Sender<Wish>,
    reloader: Option<Arc<Reloader>>,
    ended: Option<oneshot::Receiver<()>>,
    /// Ends when nothing is left at Azure.
    cloud: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Binds every socket, starts every part, and returns when calls can be taken.
    ///
    /// # Errors
    /// A socket cannot be bound, a file cannot be opened; nothing keeps running.
    pub async fn start(config: &Config, keys: &Keys, options: Options) -> Result<Self> {
        descriptors::raise(config);
        let clock = Clock::start();
        let Decisions { routes, shadow } = wiring::decisions(config)?;
        let core_config = wiring::core(config)?;
        let mut transport_config = wiring::transport(config, keys);
        transport_config.key_log = options.key_log;
        let records = match &config.records {
            Some(path) => {
                Some(RecordWriter::open(path).with_context(|| path.display().to_string())?)
            }
            None => None,
        };
        let mut charged = Vec::new();
        let call_log = match &config.store {
            Some(file) => {
                charged = spent::today(&file.path, &routes, clock.now().wall);
                let options = LogOptions {
                    keep: Some(file.keep),
                    ..LogOptions::default()
                };
                let log = CallLog::open(&file.path, options);
                Some(log.with_context(|| file.path.display().to_string())?)
            }
            None => None,
        };
        let (media, media_events) = wiring::media(config, clock)?;
        let ring = TraceRing::new(core_config.bounds.trace_bytes);
        let (transport, incoming) = Transport::start(transport_config)?;
        let (page_requests, pages) = mpsc::channel(PAGES);
        let (wish, wished) = watch::channel(Wish::Run);
        let names = Arc::new(Names::default());
        names.configure(config, keys);
        tokio::spawn(Arc::clone(&names).watch(transport.clone(), config.self_check));
        let cloud = match &config.cloud {
            Some(settings) => Some(cloud::start(settings, keys, clock).await?),
            None => None,
        };
        let cloud_tls = cloud.as_ref().map(|cloud| Arc::clone(&cloud.tls));
        let reloader = options.file.map(|file| {
            let (config, keys) = (config.clone(), keys.clone());
            let (transport, pages) = (transport.clone(), page_requests.clone());
            let names = Arc::clone(&names);
            let reloader = Reloader::new(file, config, keys, transport, pages, names);
            Arc::new(reloader.with_cloud(cloud_tls))
        });
        if let Some(reloader) = &reloader {
            tokio::spawn(Arc::clone(reloader).sweep());
        }
        let operations = Operations {
            reloader: reloader.clone(),
            wish: wish.clone(),
            names: Arc::clone(&names),
        };
        pages::serve(&config.admin, page_requests, operations)
            .await
            .context("admin pages")?;
        let core = B2bua::new(
            core_config,
            Arc::clone(&routes),
            TokenRng::from_seed(entropy()?),
            KeyRng::from_entropy(entropy()?),
            clock.now(),
        );
        let (ready, prepared) = oneshot::channel();
        let mut believed = None;
        let (cloud, cloud_events, cloud_ended) = match cloud {
            Some(running) => {
                let link = CloudLink {
                    requests: running.requests,
                    counts: running.counts,
                };
                believed = Some(running.ready);
                (Some(link), Some(running.events), Some(running.ended))
            }
            None => (None, None, None),
        };
        let signalling = Signalling {
            core,
            clock,
            transport,
            media,
            records,
            call_log,
            record_copies: options.record_copies,
            ring,
            grace: config.drain,
            faults: 0,
            names,
            cloud,
            ready: Some(ready),
            load: Load::start(),
        };
        let first = vec![Input::Shadow(shadow), Input::Spent(charged)];
        let inboxes = Inboxes {
            transport: incoming,
            media: media_events,
            pages,
            cloud: cloud_events,
            wish: wished,
        };
        let ended = start_signalling(signalling, inboxes, first)?;
        // Without a single port calls are refused one by one, which is said there.
        if tokio::time::timeout(PREPARED_WITHIN, prepared)
            .await
            .is_err()
        {
            tracing::warn!("media ports are not all bound yet");
        }
        // Until then calls go to the next target, with the reason.
        if let Some(believed) = believed
            && tokio::time::timeout(PREPARED_WITHIN, believed)
                .await
                .is_err()
        {
            tracing::warn!("the keys that Azure signs with are not known yet");
        }
        Ok(Self {
            wish,
            reloader,
            ended: Some(ended),
            cloud: cloud_ended,
        })
    }

    /// Takes no new calls from now on and ends when the last call has ended.
    pub fn drain(&self) {
        self.want(Wish::Drain);
    }

    /// Hangs up and ends.
    pub fn stop(&self) {
        self.want(Wish::Stop);
    }

    /// Reads the configuration file again, and says in the log what came of it.
    pub async fn reload(&self) {
        let Some(reloader) = &self.reloader else {
            return;
        };
        if let Outcome::Refused { diagnostics } = reloader.reload(false).await {
            for diagnostic in diagnostics {
                tracing::error!("not reloaded: {diagnostic}");
            }
        }
    }

    /// Waits until the daemon has ended.
    pub async fn ended(&mut self) {
        // A sender that went away without a word has ended as well.
        if let Some(ended) = &mut self.ended {
            let _ = ended.await;
        }
        self.ended = None;
        if let Some(cloud) = &mut self.cloud {
            let _ = cloud.await;
        }
        self.cloud = None;
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

/// Runs the signalling side on a thread of its own, and stops the transport after it; what is given
/// back is told of its end.
fn start_signalling(
    signalling: Signalling,
    inboxes: Inboxes,
    first: Vec<Input>,
) -> Result<oneshot::Receiver<()>> {
    let (finished, ended) = oneshot::channel();
    let transport = signalling.transport.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = move || {
        runtime.block_on(async {
            signalling.run(inboxes, first).await;
            transport.stop().await;
        });
        // Whoever waits may have gone away.
        let _ = finished.send(());
    };
    thread::Builder::new()
        .name("signalling".to_owned())
        .spawn(work)?;
    Ok(ended)
}

fn entropy() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

/// Runs a daemon until SIGTERM or SIGINT has drained it; a second signal stops it at once. SIGHUP
/// reads `file` again.
///
/// # Errors
/// As [`Daemon::start`].
pub async fn run(file: &Path, config: &Config, keys: &Keys) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let options = Options {
        file: Some(file.to_owned()),
        ..Options::default()
    };
    let mut daemon = Daemon::start(config, keys, options).await?;
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
            _ = hangup.recv() => {
                daemon.reload().await;
                continue;
            }
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
