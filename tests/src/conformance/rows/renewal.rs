//! CK-15, CK-22, CK-23: connections that are made again.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acs_sim::{By, CallOptions, ProxyMode};
use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use super::connections::ended;
use crate::conformance::dns::NameServer;
use crate::conformance::mutant::{Change, Fate, Mutant, Side, TlsChange};
use crate::conformance::stage::NAMES;
use crate::conformance::trial::locked;
use crate::conformance::{Row, Trial, row};
use crate::gateway::MICROSOFT;

/// How long a connection lives in CK-22 instead of an hour.
const RENEWAL: Duration = Duration::from_secs(3);

/// How long Microsoft stays away in CK-23.
const AWAY: Duration = Duration::from_secs(12);
/// How long each of the calls lasts that are tried meanwhile.
const CALL_PACE: Duration = Duration::from_millis(400);
/// How long the addresses of CK-15 may be kept, in seconds: nothing but time ends that.
const TTL: u32 = 1;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-15",
        "N-04: names are resolved again, by TTL and after a failure",
        resolved_again,
        &[Mutant {
            what: "the first answer for a name is kept for good",
            change: Change::Dns(|answer, memory| {
                if let Some(address) = answer.addresses.first() {
                    match memory.kept(&answer.name).and_then(|kept| kept.parse().ok()) {
                        Some(first) => answer.addresses = vec![first],
                        None => memory.keep(&answer.name, &address.to_string()),
                    }
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-22",
        "K-06: a connection is renewed before an hour is over",
        renewed,
        &[Mutant {
            what: "the connection to sip is never renewed",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    if hello.towards == Side::Peer && hello.proxy == 0 {
                        hello.linger = true;
                        hello.stick = hello.number > 0;
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &["CK-11", "CK-92", "CK-96"],
        }]
    ),
    row!(
        "CK-23",
        "K-07: reconnects with growing pauses, no storm",
        reconnects,
        &[Mutant {
            what: "every connection is tried fifty times",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    if hello.towards == Side::Peer && hello.number > 0 {
                        hello.surplus = 50;
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
];

/// Rows in which the gateway has to come back to `sip` after a connection has ended.
pub const RECONNECTS: &[&str] = &["CK-11", "CK-15", "CK-22", "CK-23", "CK-37"];

async fn resolved_again(trial: Trial) -> Result<String> {
    let names = NameServer::start(&trial)?;
    let mut plan = trial.plan();
    let (first, second) = (plan.places.names[0], plan.further_name(MICROSOFT));
    names.point(MICROSOFT, first.ip(), TTL);
    let mapped = format!("\"{MICROSOFT}\" = \"{}\"\n", first.ip());
    let stage = plan
        .replace(&mapped, "")
        .trunk("acs", "options = { interval = \"1s\" }")
        .tables(&names.table())
        .online()
        .await?;
    let asked_at = |place: usize, since: usize| {
        let at = stage.acs.proxies()[place].1;
        stage
            .requests("OPTIONS")
            .iter()
            .skip(since)
            .any(|(logged, _)| logged.local == at)
    };
    ensure!(
        asked_at(0, 0) && !asked_at(3, 0),
        "the first answer is not where OPTIONS goes"
    );
    // The record's time is over when the connection ends.
    names.point(MICROSOFT, second.ip(), TTL);
    sleep(Duration::from_secs(TTL.into()) * 3 / 2).await;
    let before = stage.requests("OPTIONS").len();
    stage.acs.close_connections();
    let moved = || asked_at(3, before).then_some(());
    stage.until("OPTIONS at the new address", moved).await?;
    // The new one fails as well, and the answer has changed by then.
    names.point(MICROSOFT, first.ip(), TTL);
    let before = stage.requests("OPTIONS").len();
    stage.acs.set_mode(3, ProxyMode::Down).await?;
    let back = || asked_at(0, before).then_some(());
    stage
        .until("OPTIONS at the first address again", back)
        .await?;
    Ok("moved after its time, moved back after a failure".to_owned())
}

async fn renewed(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk(
            "acs",
            "options = { interval = \"1s\" }\nconnection = { renewal = \"3s\" }",
        )
        .online()
        .await?;
    let (call, far) = stage.call_in("+14255550123").await?;
    let mut least = usize::MAX;
    for (index, name) in NAMES.iter().enumerate() {
        let lived = || {
            let all = stage.acs.connections();
            let mut own: Vec<_> = all
                .iter()
                .filter(|one| one.listener == Some(index))
                .collect();
            own.retain(|one| one.id.is_some());
            let ended: Vec<Duration> = own
                .iter()
                .filter_map(|one| one.closed?.duration_since(one.opened).ok())
                .collect();
            (ended.len() >= 2 && own.len() > ended.len()).then_some(ended)
        };
        let patience = Duration::from_secs(12);
        let lives = stage
            .within(patience, &format!("two renewals at {name}"), lived)
            .await?;
        for life in &lives {
            let good = (RENEWAL * 8 / 10..RENEWAL * 3 / 2).contains(life);
            ensure!(good, "{name}: a connection lived {life:?}");
        }
        least = least.min(lives.len());
    }
    ensure!(
        call.state().ending.is_none(),
        "the call ended with its connection"
    );
    far.hang_up().await;
    ended(&call, By::Them).await?;
    Ok(format!(
        "an hour shortened by 1200: each name renewed {least} times, the call stayed"
    ))
}

async fn reconnects(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk("acs", "options = { interval = \"1s\" }")
        .online()
        .await?;
    stage.names_up().await?;
    let places: Vec<SocketAddr> = stage
        .acs
        .proxies()
        .iter()
        .map(|(_, place)| *place)
        .collect();
    for index in 0..places.len() {
        stage.acs.set_mode(index, ProxyMode::Down).await?;
    }
    let knocks = Knocks::at(places)?;
    let end = Instant::now() + AWAY;
    let mut calls = 0;
    while Instant::now() < end {
        // Calls that cannot go anywhere must not open the flood either.
        let options = CallOptions::from("+14255550199");
        let call = stage
            .carrier()?
            .call(&format!("+142555501{calls:02}"), options)
            .await?;
        sleep(CALL_PACE).await;
        call.cancel();
        calls += 1;
    }
    let times = knocks.leave();
    let mut told = Vec::new();
    for (name, times) in NAMES.iter().zip(&times) {
        ensure!(!times.is_empty(), "{name} was given up");
        // Pauses of 0.25 s at least that double: half a dozen fit, and a few for luck.
        ensure!(
            times.len() <= 12,
            "{name} was tried {} times in {AWAY:?}",
            times.len()
        );
        told.push(times.len().to_string());
    }
    for index in 0..NAMES.len() {
        stage.acs.set_mode(index, ProxyMode::Up).await?;
    }
    stage
        .shown_within(Duration::from_secs(40), "Microsoft is up again", || {
            let page = stage.metrics().ok()?;
            page.lines()
                .any(|line| {
                    line.contains(MICROSOFT)
                        && line.starts_with("trunkline_peer_up")
                        && line.ends_with(" 1")
                })
                .then_some(())
        })
        .await?;
    stage
        .call_in("+14255550123")
        .await
        .context("after Microsoft is back")?;
    Ok(format!(
        "{AWAY:?} away, {calls} calls meanwhile; tried {} times",
        told.join(", ")
    ))
}

/// Counts who knocks at Microsoft's places and lets nobody in.
struct Knocks {
    times: Arc<Mutex<Vec<Vec<Instant>>>>,
    gone: Arc<AtomicBool>,
    places: Vec<SocketAddr>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Knocks {
    fn at(places: Vec<SocketAddr>) -> Result<Self> {
        let times = Arc::new(Mutex::new(vec![Vec::new(); places.len()]));
        let gone = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let listener = TcpListener::bind(place)?;
            let (times, gone) = (Arc::clone(&times), Arc::clone(&gone));
            threads.push(std::thread::spawn(move || {
                for _stream in listener.incoming().map_while(Result::ok) {
                    if gone.load(Ordering::Acquire) {
                        return;
                    }
                    locked(&times)[index].push(Instant::now());
                }
            }));
        }
        Ok(Self {
            times,
            gone,
            places,
            threads,
        })
    }

    fn leave(self) -> Vec<Vec<Instant>> {
        self.gone.store(true, Ordering::Release);
        for place in &self.places {
            // Wakes the one who listens.
            let _ = std::net::TcpStream::connect(place);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
        let times = locked(&self.times);
        times.clone()
    }
}
