//! What the operator's commands ask of a running daemon, over its Unix socket: JSON over HTTP.
//!
//! Whoever may open the socket may look; only root, the daemon's own user and its own group may
//! change anything, by the credentials the kernel vouches for.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ambient::WallTime;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path as UrlPath, RawQuery, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use b2bua::CallKey;
use b2bua::admin::{CallSummary, Stage};
use b2bua::health::{PeerState, PeerView, ProbeFailure, ProbeResult, TrunkView};
use b2bua::limits::Usage;
use b2bua::trace::{Direction, TraceEntry, TraceVerdict};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::net::unix::UCred;
use tokio::sync::watch;

use super::accounts;
use super::names::{self, Names};
use super::pages::{self, PageRequest, Pages, Status};
use super::reload::{Outcome, Reloader};
use super::signalling::Wish;

/// Most calls one answer lists.
const CALLS: usize = 10_000;

/// What the pages of commands need.
#[derive(Clone, Debug)]
pub struct Operations {
    /// Reads the configuration again.
    pub reloader: Option<Arc<Reloader>>,
    /// Run, drain or stop.
    pub wish: watch::Sender<Wish>,
    /// What the world is told about this gateway.
    pub names: Arc<Names>,
}

/// Who opened a connection to the socket.
#[derive(Clone, Debug)]
pub struct Caller(Option<UCred>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok())
    }
}

/// The pages of the commands; `socket` is the file they are reached by.
pub fn router(socket: &Path) -> Router<Pages> {
    let owner = std::fs::metadata(socket)
        .map(|file| (file.uid(), file.gid()))
        .ok();
    let guard = axum::middleware::from_fn(move |request: Request, next: Next| async move {
        if may_change(owner, &request) {
            next.run(request).await
        } else {
            let text = "only root and the daemon's own user and group may do this";
            fault(StatusCode::FORBIDDEN, text)
        }
    });
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/trunks", get(trunks))
        .route("/v1/calls", get(calls))
        .route("/v1/calls/{id}", get(call))
        .route("/v1/calls/{id}/ladder", get(ladder))
        .route("/v1/calls/{id}/hangup", post(hang_up))
        .route("/v1/route", get(route))
        .route("/v1/reload", post(reload))
        .route("/v1/drain", post(drain))
        .layer(guard)
}

fn may_change(owner: Option<(u32, u32)>, request: &Request) -> bool {
    if request.method() == Method::GET {
        return true;
    }
    let caller = request.extensions().get::<ConnectInfo<Caller>>();
    let credentials = caller.and_then(|ConnectInfo(Caller(credentials))| *credentials);
    let allowed = match (credentials, owner) {
        (Some(caller), _) if caller.uid() == 0 => true,
        (Some(caller), Some((uid, gid))) => caller.uid() == uid || caller.gid() == gid,
        (Some(_) | None, _) => false,
    };
    tracing::info!(
        uid = credentials.map(|caller| caller.uid()),
        pid = credentials.and_then(|caller| caller.pid()),
        command = request.uri().path(),
        allowed,
        "operator"
    );
    allowed
}

fn fault(status: StatusCode, text: &str) -> Response {
    (status, json_page(&json!({ "error": text }))).into_response()
}

fn json_page(value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, format!("{value}\n")).into_response()
}

fn stuck() -> Response {
    fault(
        StatusCode::SERVICE_UNAVAILABLE,
        "the signalling loop does not answer",
    )
}

/// The value of a query's parameter; names of customers are written without escapes.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

async fn status(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let Some(status) = pages::ask(&pages, PageRequest::Status).await else {
        return stuck();
    };
    let operations = &pages.operations;
    let metrics = &status.metrics;
    let customer = parameter(query.as_deref(), "customer");
    // Who attacks the gateway is its operator's affair, and no customer's.
    let whole = customer.is_none();
    let health = metrics.health.iter();
    let shown = health.filter(|view| operations.names.belongs(&view.trunk, customer));
    let trunks: Vec<Value> = shown
        .map(|view| trunk_json(view, &status, operations))
        .collect();
    json_page(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "draining": metrics.draining,
        "calls": {
            "setup": metrics.stages[0],
            "answered": metrics.stages[1],
            "established": metrics.stages[2],
            "ending": metrics.stages[3],
            "limit": metrics.gateway.limit,
        },
        "faults": status.faults,
        "media": {
            "path": status.media_path.kind.name(),
            "reason": status.media_path.reason,
        },
        "banned": whole.then(|| accounts::banned_json(metrics)),
        "trunks": trunks,
        "certificates": operations.names.certificates_json(customer),
        "names": operations.names.json(&status, customer),
    }))
}

/// What routing would say of a call now: the question as JSON, in the query.
async fn route(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let query = query.as_deref();
    let draw = parameter(query, "draw").map_or(Some(0), |draw| draw.parse().ok());
    let question = parameter(query, "question").and_then(|question| {
        let text = percent_decode_str(question).decode_utf8().ok()?;
        serde_json::from_str(&text).ok()
    });
    let (Some(draw), Some(question)) = (draw, question) else {
        let text = "a query is wanted: question={\"v\":1,\"trunk\":…,\"called\":…}, percent-coded";
        return fault(StatusCode::BAD_REQUEST, text);
    };
    let asked = pages::ask(&pages, |answer| {
        PageRequest::Explain(Box::new(question), draw, answer)
    });
    match asked.await {
        Some(told) => json_page(&json!({
            "question": told.asked.question,
            "facts": told.facts,
            "decision": told.decision,
        })),
        None => stuck(),
    }
}

async fn trunks(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let Some(status) = pages::ask(&pages, PageRequest::Status).await else {
        return stuck();
    };
    let operations = &pages.operations;
    let health = status.metrics.health.iter();
    let shown = health.filter(|view| {
        operations
            .names
            .belongs(&view.trunk, parameter(query.as_deref(), "customer"))
    });
    let trunks: Vec<Value> = shown
        .map(|view| trunk_json(view, &status, operations))
        .collect();
    json_page(&Value::Array(trunks))
}

fn trunk_json(view: &TrunkView, status: &Status, operations: &Operations) -> Value {
    let usage = status
        .metrics
        .trunks
        .iter()
        .find(|(name, _)| *name == view.trunk)
        .map(|(_, usage)| *usage)
        .unwrap_or_default();
    let Usage {
        in_use,
        peak,
        limit,
        admitted,
        refused,
    } = usage;
    json!({
        "name": view.trunk.as_str(),
        "customer": operations.names.customer(&view.trunk),
        "health": view.health.as_str(),
        "in_words": names::health_in_words(view),
        "last_inbound_options": view.last_inbound.map(|(at, by)| json!({
            "at": at.to_string(), "from": by.to_string(),
        })),
        "peers": view.peers.iter().map(peer_json).collect::<Vec<_>>(),
        "registration": accounts::registration_json(&status.metrics, &view.trunk),
        "registered": accounts::registered_json(&status.metrics, &view.trunk),
        "legs": in_use, "peak": peak, "limit": limit, "admitted": admitted, "refused": refused,
    })
}

fn peer_json(peer: &PeerView) -> Value {
    let (state, since) = match peer.state {
        PeerState::Unknown => ("unknown", None),
        PeerState::Up { since } => ("up", Some(since)),
        PeerState::Down { since } => ("down", Some(since)),
    };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let last = peer.last.map(|(at, result)| {
        let (what, status, round_trip) = match result {
            ProbeResult::Answered { status, round_trip } => {
                ("answered", Some(status), Some(millis(round_trip)))
            }
            ProbeResult::Call { status } => ("call", Some(status), None),
            ProbeResult::Failed(ProbeFailure::TimedOut) => ("timed-out", None, None),
            ProbeResult::Failed(ProbeFailure::Unresolved) => ("unresolved", None, None),
            ProbeResult::Failed(ProbeFailure::Transport(_)) => ("not-delivered", None, None),
        };
        json!({ "at": at.to_string(), "what": what, "status": status, "round_trip_ms": round_trip })
    });
    json!({
        "target": peer.target.to_string(),
        "state": state,
        "since": since.map(|at| at.to_string()),
        "aside_ms": peer.aside.map(millis),
        "losses": peer.losses,
        "last": last,
    })
}

async fn calls(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let asked = pages::ask(&pages, |answer| PageRequest::Calls(CALLS, answer)).await;
    let Some(calls) = asked else { return stuck() };
    let names = &pages.operations.names;
    let customer = parameter(query.as_deref(), "customer");
    let shown = calls.iter().filter(|call| {
        let to = call.to.as_ref();
        names.belongs(&call.from, customer) || to.is_some_and(|to| names.belongs(to, customer))
    });
    json_page(&Value::Array(shown.map(call_json).collect()))
}

/// Numbers as the core masks them: whoever may see them in full reads the records.
fn call_json(call: &CallSummary) -> Value {
    json!({
        "call": call.key.to_string(),
        "stage": match call.stage {
            Stage::Setup => "setup",
            Stage::Answered => "answered",
            Stage::Established => "established",
            Stage::Ending => "ending",
        },
        "started": call.started.to_string(),
        "talking_ms": call.talking.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        "from": call.from.as_str(),
        "to": call.to.as_ref().map(|to| to.as_str()),
        "called": call.called.to_string(),
        "calling": call.calling.as_ref().map(ToString::to_string),
    })
}

fn key(id: &str) -> Option<CallKey> {
    u64::from_str_radix(id, 16).ok().map(CallKey)
}

fn no_name() -> Response {
    let text = "a call is named by 16 hexadecimal digits";
    fault(StatusCode::BAD_REQUEST, text)
}

async fn call(State(pages): State<Pages>, UrlPath(id): UrlPath<String>) -> Response {
    let Some(key) = key(&id) else {
        return no_name();
    };
    let asked = pages::ask(&pages, |answer| PageRequest::Calls(usize::MAX, answer)).await;
    let Some(calls) = asked else { return stuck() };
    match calls.iter().find(|call| call.key == key) {
        Some(call) => json_page(&call_json(call)),
        None => fault(StatusCode::NOT_FOUND, "there is no such call"),
    }
}

async fn ladder(State(pages): State<Pages>, UrlPath(id): UrlPath<String>) -> Response {
    let Some(key) = key(&id) else {
        return no_name();
    };
    let asked = pages::ask(&pages, |answer| PageRequest::Ladder(key, answer)).await;
    match asked {
        None => stuck(),
        Some(entries) if entries.is_empty() => {
            fault(StatusCode::NOT_FOUND, "no message of this call is kept")
        }
        Some(entries) => json_page(&Value::Array(entries.iter().map(message_json).collect())),
    }
}

fn message_json(entry: &TraceEntry) -> Value {
    json!({
        "at": entry.at.to_string(),
        "direction": match entry.direction { Direction::In => "in", Direction::Out => "out" },
        "trunk": entry.trunk.as_ref().map(|trunk| trunk.as_str()),
        "transport": entry.transport.uri_token(),
        "remote": entry.remote.to_string(),
        "verdict": match entry.verdict {
            TraceVerdict::Accepted => "accepted",
            TraceVerdict::Rejected { .. } => "rejected",
            TraceVerdict::Unidentified(_) => "unidentified",
            TraceVerdict::Failed => "failed",
        },
        "first_line": entry.first_line(),
        "text": String::from_utf8_lossy(&entry.text),
    })
}

async fn hang_up(State(pages): State<Pages>, UrlPath(id): UrlPath<String>) -> Response {
    let Some(key) = key(&id) else {
        return no_name();
    };
    match pages::ask(&pages, |answer| PageRequest::HangUp(key, answer)).await {
        None => stuck(),
        Some(true) => json_page(&json!({ "call": key.to_string(), "hung_up": true })),
        Some(false) => fault(StatusCode::NOT_FOUND, "there is no such call"),
    }
}

async fn reload(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let Some(reloader) = &pages.operations.reloader else {
        let text = "this daemon was not started from a file";
        return fault(StatusCode::CONFLICT, text);
    };
    let dry_run = parameter(query.as_deref(), "dry_run") == Some("true");
    match reloader.reload(dry_run).await {
        Outcome::Taken {
            differences,
            warnings,
        } => {
            let differences: Vec<Value> = differences
                .iter()
                .map(|found| json!({ "kind": found.kind(), "what": found.to_string() }))
                .collect();
            let body = json!({
                "taken": !dry_run, "differences": differences, "diagnostics": warnings,
            });
            json_page(&body)
        }
        Outcome::Refused { diagnostics } => {
            let body = json!({ "taken": false, "differences": [], "diagnostics": diagnostics });
            (StatusCode::UNPROCESSABLE_ENTITY, json_page(&body)).into_response()
        }
    }
}

async fn drain(State(pages): State<Pages>) -> Response {
    pages.operations.wish.send_if_modified(|wish| {
        let grows = Wish::Drain > *wish;
        *wish = Wish::Drain.max(*wish);
        grows
    });
    let calls = pages::ask(&pages, PageRequest::Status)
        .await
        .map(|status| status.metrics.stages.iter().sum::<usize>());
    json_page(&json!({ "draining": true, "calls": calls, "at": now().to_string() }))
}

fn now() -> WallTime {
    super::clock::Clock::start().now().wall
}
