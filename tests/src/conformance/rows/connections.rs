//! CK-14 to CK-23: which name is dialled, which connection carries what, how long they live.

use acs_sim::{By, CallHandle, Ending, ProxyMode};
use anyhow::{Context as _, Result, bail, ensure};

use super::headers::ENDS_BY_BYE;
use super::renewal::RECONNECTS;
use crate::conformance::dial::{Brought, Line, ask, options};
use crate::conformance::mutant::{Change, Fate, Mutant, Side, TlsChange};
use crate::conformance::stage::{NAMES, SOON};
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
];

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
