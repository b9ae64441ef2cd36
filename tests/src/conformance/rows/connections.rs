//! CK-14 to CK-23: which name is dialled, which connection carries what, how long they live.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acs_sim::{By, CallHandle, CallOptions, Ending, ProxyMode};
use anyhow::{Context as _, Result, bail, ensure};

use super::headers::ENDS_BY_BYE;
use crate::conformance::dial::{Brought, Line, ask, options};
use crate::conformance::dns::NameServer;
use crate::conformance::mutant::{Change, Fate, Mutant, Side, TlsChange};
use crate::conformance::stage::{NAMES, SOON};
use crate::conformance::trial::locked;
use crate::conformance::{Row, Trial, row};
use crate::gateway::MICROSOFT;

/// Connections at once that CK-19 asks for.
const MANY: usize = 64;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-14",
        "N-01: sip, then sip2, then sip3",
        order,
        &[Mutant {
            what: "calls that sip does not take never reach sip2",
            change: Change::Sip(|passing, _| {
                match passing.is_own("INVITE") && passing.proxy == 1 {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &["CK-44"],
        }]
    ),
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
        "CK-17",
        "N-05, N-06: requests from any allowed network, from no other",
        networks,
        &[Mutant {
            what: "connections from everywhere are let in",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, memory| {
                    if hello.towards == Side::Gateway {
                        match memory.kept("source").and_then(|kept| kept.parse().ok()) {
                            Some(first) => hello.source = first,
                            None => memory.keep("source", &hello.source.to_string()),
                        }
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-18",
        "K-01: own requests never go on a connection that the peer opened",
        one_way,
        &[Mutant {
            what: "a BYE goes on the connection that Microsoft opened",
            change: Change::Sip(|passing, _| match passing.is_own("BYE") {
                true => Fate::Astray,
                false => Fate::Pass,
            }),
            group: ENDS_BY_BYE,
        }]
    ),
    row!(
        "CK-19",
        "K-02: 64 connections of Microsoft's at once, each answered",
        many,
        &[Mutant {
            what: "no more than 40 connections are accepted",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    hello.refuse |= hello.towards == Side::Gateway && hello.number >= 40;
                }),
                ..TlsChange::NONE
            }),
            group: &["CK-62"],
        }]
    ),
    row!(
        "CK-20",
        "K-03, K-07: a call outlives every connection, and ends from either side",
        outlived,
        &[Mutant {
            what: "sip is never connected to again",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    hello.refuse |=
                        hello.towards == Side::Peer && hello.proxy == 0 && hello.number > 0;
                }),
                ..TlsChange::NONE
            }),
            group: RECONNECTS,
        }]
    ),
    row!(
        "CK-21",
        "K-04: a CRLF ping is answered, a stray CRLF is none",
        pings,
        &[Mutant {
            what: "pings are not answered",
            change: Change::Sip(|passing, _| {
                let pong = passing.towards == Side::Peer && passing.message.start.is_empty();
                match pong && passing.opened_by == Side::Peer {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
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
            group: &["CK-11", "CK-96"],
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

async fn order(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.names_up().await?;
    let mut taken = Vec::new();
    for (index, number) in ["+14255550123", "+14255550124", "+14255550125"]
        .iter()
        .enumerate()
    {
        if index > 0 {
            stage.acs.set_mode(index - 1, ProxyMode::Down).await?;
        }
        let (call, _) = stage
            .call_in(number)
            .await
            .with_context(|| format!("call {index}"))?;
        let invites = stage.requests("INVITE");
        let (last, _) = invites.last().context("no INVITE")?;
        let at = stage
            .acs
            .proxies()
            .iter()
            .position(|(_, place)| *place == last.local);
        ensure!(
            at == Some(index),
            "with {index} names down the call came to name {at:?}"
        );
        taken.push(NAMES[index]);
        call.hang_up().await;
    }
    Ok(taken.join(", "))
}

async fn networks(trial: Trial) -> Result<String> {
    let net = trial.lab.host(0);
    let octets = net.to_string();
    let start = octets.trim_end_matches('0');
    let stage = trial
        .plan()
        .replace(
            "allow = [\"127.0.0.0/8\"]",
            &format!("allow = [\"{start}64/28\", \"{start}96/30\"]"),
        )
        .start()
        .await?;
    let leaf = trial.far_leaf(&[MICROSOFT]);
    let dial = |host| stage.dial(trial.lab.host(host), &leaf);
    for host in [64, 70, 79, 96, 99] {
        let answer = ask(dial(host), &format!("in-{host}"))?;
        ensure!(answer == Some(200), "{start}{host} is answered {answer:?}");
    }
    for host in [63, 80, 100, 200] {
        let answer = ask(dial(host), &format!("out-{host}"))?;
        ensure!(answer != Some(200), "{start}{host} is let in");
    }
    Ok("five addresses of two networks let in, four beside them not".to_owned())
}

async fn one_way(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    let (call, far) = stage.call_out("+14255550123").await?;
    far.hang_up().await;
    let (logged, _) = stage
        .until("the BYE", || stage.requests("BYE").pop())
        .await?;
    let connections = stage.acs.connections();
    let carried = connections
        .iter()
        .find(|one| one.id == Some(logged.connection));
    let carried = carried.context("the BYE's connection is not known")?;
    ensure!(
        carried.listener.is_some(),
        "the BYE came on a connection that Microsoft opened"
    );
    ended(&call, By::Them).await?;
    // All of the gateway's requests, not only the BYE.
    for (logged, message) in stage.from_gateway() {
        let Some(method) = message.method() else {
            continue;
        };
        let own = connections
            .iter()
            .any(|one| one.id == Some(logged.connection) && one.listener.is_some());
        ensure!(own, "{method} came on a connection that Microsoft opened");
    }
    stage.keeps(&["K-01"])?;
    Ok("BYE on a connection of the gateway's own".to_owned())
}

/// Waits until a call has been hung up by this side.
pub async fn ended(call: &CallHandle, by: By) -> Result<()> {
    let ending = tokio::time::timeout(SOON, call.ended()).await;
    let ending = ending.context("the call does not end")?;
    ensure!(
        ending == Ending::HungUp(by),
        "the call ended otherwise: {ending:?}"
    );
    Ok(())
}

async fn many(trial: Trial) -> Result<String> {
    let stage = trial.plan().start().await?;
    let leaf = trial.far_leaf(&[MICROSOFT]);
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..MANY {
        let dial = stage.dial(trial.lab.host(11), &leaf);
        let line = dial
            .open()
            .with_context(|| format!("connection {}", lines.len() + 1))?;
        lines.push(line);
    }
    for (number, line) in lines.iter_mut().enumerate() {
        line.send(&options(trial.lab.host(11), &format!("many-{number}")))?;
    }
    for (number, line) in lines.iter_mut().enumerate() {
        let brought = line.next(SOON);
        let Brought::Message(answer) = brought else {
            bail!("connection {number}: {brought:?}");
        };
        ensure!(
            answer.status() == Some(200),
            "connection {number}: {}",
            answer.start
        );
    }
    Ok(format!("{MANY} connections, {MANY} answers"))
}

async fn outlived(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    let (first, first_far) = stage.call_in("+14255550123").await?;
    let (second, second_far) = stage.call_out("+14255550124").await?;
    let open = || {
        stage
            .acs
            .connections()
            .iter()
            .filter(|one| one.closed.is_none())
            .count()
    };
    ensure!(open() > 0, "there are no connections");
    let before = stage.acs.connections().len();
    stage.acs.close_connections();
    let closed = || {
        let all = stage.acs.connections();
        all.iter()
            .take(before)
            .all(|one| one.closed.is_some())
            .then_some(())
    };
    stage.until("the end of every connection", closed).await?;
    for call in [&first, &first_far, &second, &second_far] {
        ensure!(
            call.state().ending.is_none(),
            "a call ended with its connections"
        );
    }
    // The carrier ends one, Microsoft the other.
    first.hang_up().await;
    ended(&first_far, By::Them)
        .await
        .context("hung up by the carrier")?;
    second.hang_up().await;
    ended(&second_far, By::Them)
        .await
        .context("hung up by Microsoft")?;
    let (logged, _) = stage.requests("BYE").pop().context("no BYE")?;
    let connections = stage.acs.connections();
    let fresh = connections[before..]
        .iter()
        .any(|one| one.id == Some(logged.connection));
    ensure!(fresh, "the BYE came on a connection from before");
    Ok(format!(
        "{before} connections closed, two calls ended afterwards"
    ))
}

async fn pings(trial: Trial) -> Result<String> {
    let stage = trial.plan().start().await?;
    let leaf = trial.far_leaf(&[MICROSOFT]);
    let mut line = stage.dial(trial.lab.host(11), &leaf).open()?;
    for round in 0..3 {
        line.send("\r\n\r\n")?;
        let pong = line.next(SOON);
        ensure!(pong == Brought::Blank, "ping {round} is answered {pong:?}");
        let text = format!(
            "\r\n{}",
            options(trial.lab.host(11), &format!("after-{round}"))
        );
        line.send(&text)?;
        let brought = line.next(SOON);
        let Brought::Message(answer) = brought else {
            bail!("OPTIONS after a stray CRLF: {brought:?}");
        };
        ensure!(answer.status() == Some(200), "{}", answer.start);
    }
    Ok("three pings, three stray CRLFs".to_owned())
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

/// How long Microsoft stays away in CK-23.
const AWAY: Duration = Duration::from_secs(12);

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
        tokio::time::sleep(Duration::from_millis(400)).await;
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
        .within(Duration::from_secs(40), "Microsoft is up again", || {
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

async fn resolved_again(trial: Trial) -> Result<String> {
    let names = NameServer::start(&trial)?;
    let mut plan = trial.plan();
    let (first, second) = (plan.places.names[0], plan.further_name(MICROSOFT));
    names.point(MICROSOFT, first.ip(), 1);
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
    names.point(MICROSOFT, second.ip(), 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let before = stage.requests("OPTIONS").len();
    stage.acs.close_connections();
    let moved = || asked_at(3, before).then_some(());
    stage.until("OPTIONS at the new address", moved).await?;
    // The new one fails as well, and the answer has changed by then.
    names.point(MICROSOFT, first.ip(), 1);
    let before = stage.requests("OPTIONS").len();
    stage.acs.set_mode(3, ProxyMode::Down).await?;
    let back = || asked_at(0, before).then_some(());
    stage
        .until("OPTIONS at the first address again", back)
        .await?;
    Ok("moved after its time, moved back after a failure".to_owned())
}

/// How long a connection lives in CK-22 instead of an hour.
const RENEWAL: Duration = Duration::from_secs(3);

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
