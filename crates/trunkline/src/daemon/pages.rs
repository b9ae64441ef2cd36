//! The operator's pages: `/metrics` and `/healthz`, over a Unix socket and, if asked for, TCP.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use b2bua::CallKey;
use b2bua::admin::CallSummary;
use b2bua::metrics::Metrics;
use b2bua::profile::Profiles;
use b2bua::trace::TraceEntry;
use routing::{DecisionRecord, Facts, Question, Snapshot};
use sip_transport::FlowStatus;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};

use super::admin::{self, Operations};
use crate::config::resolve::{Admin, Token};
use crate::explain::Asked;

/// What a page asks the signalling loop for.
#[derive(Debug)]
pub enum PageRequest {
    /// The metrics in the text format of OpenMetrics.
    Metrics(oneshot::Sender<String>),
    /// Whether the loop turns, and whether it takes new calls.
    Health(oneshot::Sender<Health>),
    /// Everything countable, as it stands.
    Status(oneshot::Sender<Box<Status>>),
    /// The calls there are, at most so many.
    Calls(usize, oneshot::Sender<Vec<CallSummary>>),
    /// The messages of one call that are still kept, oldest first.
    Ladder(CallKey, oneshot::Sender<Vec<TraceEntry>>),
    /// Hang up; whether there was such a call.
    HangUp(CallKey, oneshot::Sender<bool>),
    /// Take these trunks and routes into use.
    Reload(Arc<Profiles>, Decisions, oneshot::Sender<()>),
    /// What routing says of a call that came now, by this random draw.
    Explain(Box<Question>, u64, oneshot::Sender<Box<Explained>>),
}

/// What calls are decided by.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// The routes in use.
    pub routes: Arc<Snapshot>,
    /// Those that are asked beside them.
    pub shadow: Option<Arc<Snapshot>>,
}

/// Answer to [`PageRequest::Explain`].
#[derive(Debug)]
pub struct Explained {
    /// What was asked, after the trunk's screening of callers.
    pub asked: Asked,
    /// What is decided, and why.
    pub decision: DecisionRecord,
    /// What it was decided by.
    pub facts: Facts,
}

/// Answer to [`PageRequest::Status`].
#[derive(Debug)]
pub struct Status {
    /// The core's counters and levels.
    pub metrics: Metrics,
    /// Every TCP and TLS connection.
    pub flows: Vec<FlowStatus>,
    /// Internal faults the loop caught.
    pub faults: u64,
    /// How media packets travel, and why so.
    pub media_path: media_io::PathReport,
}

/// Answer to [`PageRequest::Health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// New calls are taken.
    Serving,
    /// Calls go on, new ones are refused.
    Draining,
}

/// What every page can reach.
#[derive(Clone, Debug)]
pub struct Pages {
    loop_: mpsc::Sender<PageRequest>,
    token: Option<Arc<Token>>,
    /// What the commands need; the TCP listener serves none.
    pub operations: Operations,
}

/// A loop that does not answer within this is not healthy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves the pages until the runtime ends.
///
/// # Errors
/// A listener cannot be bound.
pub async fn serve(
    settings: &Admin,
    requests: mpsc::Sender<PageRequest>,
    operations: Operations,
) -> io::Result<()> {
    if let Some(path) = &settings.socket {
        // A socket left by a process that is gone would refuse the bind; a living one answers.
        if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        // Whoever may write to the file may look; what changes anything asks who it is.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        let pages = Pages {
            loop_: requests.clone(),
            token: None,
            operations: operations.clone(),
        };
        let pages = router(pages.clone())
            .merge(admin::router(path).with_state(pages))
            .into_make_service_with_connect_info::<admin::Caller>();
        tokio::spawn(async move { axum::serve(listener, pages).await });
    }
    if let Some(address) = settings.listen {
        let listener = TcpListener::bind(address).await?;
        let token = settings.token.clone().map(Arc::new);
        let pages = router(Pages {
            loop_: requests,
            token,
            operations,
        });
        tokio::spawn(async move { axum::serve(listener, pages).await });
    }
    Ok(())
}

fn router(pages: Pages) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .layer(middleware::from_fn_with_state(pages.clone(), authorize))
        .with_state(pages)
}

async fn authorize(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let Some(token) = &pages.token else {
        return next.run(request).await;
    };
    let offered = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match offered {
        Some(offered) if token.matches(offered) => next.run(request).await,
        Some(_) | None => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            "a token is wanted\n",
        )
            .into_response(),
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match ask(&pages, PageRequest::Metrics).await {
        Some(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        None => stuck(),
    }
}

async fn health(State(pages): State<Pages>) -> Response {
    match ask(&pages, PageRequest::Health).await {
        Some(Health::Serving) => "serving\n".into_response(),
        Some(Health::Draining) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
        None => stuck(),
    }
}

/// Asks the loop; `None` where it does not answer in time.
pub async fn ask<T>(
    pages: &Pages,
    request: impl FnOnce(oneshot::Sender<T>) -> PageRequest,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    pages.loop_.try_send(request(answer)).ok()?;
    tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
}

fn stuck() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the signalling loop does not answer\n",
    )
        .into_response()
}
