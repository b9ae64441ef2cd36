//! CK-31 to CK-37: OPTIONS in both directions.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use acs_sim::{CallOptions, Logged, ProxyMode};
use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::{sleep, sleep_until};

use crate::conformance::dial::{Brought, Line, options};
use crate::conformance::mutant::{Change, Fate, Mutant, Side, TlsChange};
use crate::conformance::stage::{NAMES, Stage};
use crate::conformance::{Row, Trial, row};
use crate::gateway::{FQDN, MICROSOFT};

/// The interval of rows that may shorten it, and by how much that is.
const SHORT: &str = "options = { interval = \"1s\" }";
const FACTOR: u32 = 60;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-31",
        "P-01, P-03: the gateway asks first, each of three names, on a schedule with jitter",
        schedule,
        &[Mutant {
            what: "every other OPTIONS to sip3 is half an interval late",
            change: Change::Sip(|passing, memory| {
                let late = passing.is_own("OPTIONS") && passing.proxy == 2;
                match late && memory.count("sip3") % 2 == 1 {
                    true => Fate::Delay(Duration::from_millis(500)),
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-32",
        "P-02: inbound OPTIONS answered 200 within a second, never relayed",
        answered,
        &[Mutant {
            what: "OPTIONS is answered after a second and a half",
            change: Change::Sip(|passing, _| match passing.answers("OPTIONS", 200) {
                true => Fate::Delay(Duration::from_millis(1500)),
                false => Fate::Pass,
            }),
            group: NEEDS_PORTAL,
        }]
    ),
    row!(
        "CK-33",
        "P-04: still 200 while the carrier is down; calls get 503",
        carrier_down,
        &[
            Mutant {
                what: "OPTIONS is answered 503 after a call was",
                change: Change::Sip(|passing, memory| {
                    if passing.answers("INVITE", 503) {
                        memory.keep("down", "yes");
                    }
                    if passing.answers("OPTIONS", 200) && memory.kept("down").is_some() {
                        passing.message.start = "SIP/2.0 503 Service Unavailable".to_owned();
                    }
                    Fate::Pass
                }),
                group: &["CK-56", "CK-62"],
            },
            Mutant {
                what: "a call that no carrier can take is answered 500",
                change: Change::Sip(|passing, _| {
                    if passing.answers("INVITE", 503) {
                        passing.message.start = "SIP/2.0 500 Server Internal Error".to_owned();
                    }
                    Fate::Pass
                }),
                group: &["CK-56", "CK-62"],
            },
        ]
    ),
    row!(
        "CK-35",
        "P-06: 200 OPTIONS a second from an allowed network, each answered",
        storm,
        &[Mutant {
            what: "after 250 OPTIONS the others are dropped",
            change: Change::Sip(|passing, memory| {
                match passing.answers("OPTIONS", 200) && memory.count("answers") >= 250 {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-36",
        "P-08: a 200 in upper case, without a To tag, is understood",
        texture,
        &[Mutant {
            what: "a 200 without a To tag is not understood, seen at sip3",
            change: Change::Sip(|passing, _| {
                let to_us = passing.towards == Side::Gateway && passing.proxy == 2;
                let untagged = passing
                    .message
                    .first("To")
                    .is_some_and(|to| !to.contains(";tag="));
                match to_us && passing.message.answers("OPTIONS", 200) && untagged {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &["CK-11", "CK-14", "CK-23", "CK-31", "CK-37", "CK-44"],
        }]
    ),
    row!(
        "CK-37",
        "P-07: no gap of five minutes for any name, whatever fails",
        gaps,
        &[Mutant {
            what: "sip2 is not connected to again",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    hello.refuse |=
                        hello.towards == Side::Peer && hello.proxy == 1 && hello.number > 0;
                }),
                ..TlsChange::NONE
            }),
            group: &["CK-11", "CK-15", "CK-20", "CK-22", "CK-23"],
        }]
    ),
];

/// Rows that wait until the trunk is Online for Microsoft.
pub const NEEDS_PORTAL: &[&str] = &[
    "CK-11", "CK-01", "CK-08", "CK-10", "CK-13", "CK-18", "CK-20", "CK-24", "CK-25", "CK-26",
    "CK-27", "CK-28", "CK-29", "CK-30", "CK-33", "CK-35", "CK-92", "CK-95", "CK-96",
];

/// OPTIONS that the gateway sent, by the name they came to.
fn by_name(stage: &Stage) -> HashMap<usize, Vec<Logged>> {
    let proxies = stage.acs.proxies();
    let mut all: HashMap<usize, Vec<Logged>> = HashMap::new();
    for (logged, _) in stage.requests("OPTIONS") {
        let at = proxies.iter().position(|(_, place)| *place == logged.local);
        all.entry(at.unwrap_or(usize::MAX))
            .or_default()
            .push(logged);
    }
    all
}

async fn schedule(trial: Trial) -> Result<String> {
    const ROUNDS: usize = 8;
    let stage = trial.plan().trunk("acs", SHORT).start().await?;
    let patience = Duration::from_secs(ROUNDS as u64 + 8);
    let enough = || {
        let all = by_name(&stage);
        (0..3)
            .all(|name| all.get(&name).is_some_and(|seen| seen.len() > ROUNDS))
            .then_some(all)
    };
    let all = stage
        .within(patience, "enough OPTIONS to each name", enough)
        .await?;
    let first = stage
        .acs
        .messages()
        .into_iter()
        .next()
        .context("nothing was sent")?;
    ensure!(
        !first.sent && first.text().starts_with("OPTIONS "),
        "the first message is {}",
        first.first_line()
    );
    let mut spread = Vec::new();
    for (name, seen) in &all {
        let times: Vec<SystemTime> = seen.iter().map(|one| one.at).collect();
        let pauses: Vec<Duration> = times
            .windows(2)
            .filter_map(|two| two[1].duration_since(two[0]).ok())
            .collect();
        // A tenth either way. A busy machine is forgiven one pause in four, not the schedule.
        let good = Duration::from_millis(850)..Duration::from_millis(1150);
        let off = pauses.iter().filter(|pause| !good.contains(*pause)).count();
        ensure!(
            off * 4 <= pauses.len(),
            "{}: pauses of {pauses:?}",
            NAMES[*name]
        );
        let mean = pauses.iter().sum::<Duration>() / u32::try_from(pauses.len())?;
        ensure!(
            good.contains(&mean),
            "{}: {mean:?} between two OPTIONS",
            NAMES[*name]
        );
        spread.extend(pauses);
    }
    let (least, most) = (
        spread.iter().min().copied().unwrap_or_default(),
        spread.iter().max().copied().unwrap_or_default(),
    );
    Ok(format!(
        "interval shortened by {FACTOR}; pauses of {least:.2?} to {most:.2?}"
    ))
}

async fn answered(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    // One from each name.
    let asked = || {
        let all = stage.acs.messages();
        let sent: Vec<Logged> = all
            .iter()
            .filter(|message| message.sent && message.text().starts_with("OPTIONS "))
            .cloned()
            .collect();
        let answers: Vec<Duration> = sent
            .iter()
            .filter_map(|request| {
                let answer = all.iter().find(|message| {
                    !message.sent
                        && message.connection == request.connection
                        && message.text().starts_with("SIP/2.0 200 ")
                })?;
                answer.at.duration_since(request.at).ok()
            })
            .collect();
        (answers.len() >= NAMES.len()).then_some(answers)
    };
    let answers = stage.until("an answer to each name", asked).await?;
    let slowest = answers.iter().max().context("none")?;
    ensure!(
        *slowest <= Duration::from_secs(1),
        "answered after {slowest:?}"
    );
    stage.keeps(&["P-02"])?;
    let relayed = stage.carrier()?.messages();
    ensure!(
        relayed.is_empty(),
        "the carrier saw {} messages",
        relayed.len()
    );
    Ok(format!(
        "{} answers, the slowest after {} ms",
        answers.len(),
        slowest.as_millis()
    ))
}

async fn carrier_down(trial: Trial) -> Result<String> {
    // On TCP, where a carrier that is down says so: nobody listens.
    let plan = trial.plan().without_carrier();
    let (gateway, carrier) = (plan.places.gateway, plan.places.carrier);
    let seen = plan.places.seen_carrier;
    let stage = plan
        .replace(
            &format!("udp:{gateway}:5060"),
            &format!("tcp:{gateway}:5060"),
        )
        .replace(&format!("udp:{seen}"), &format!("tcp:{carrier}"))
        .online()
        .await?;
    stage.portal_online().await?;
    let call = stage
        .acs
        .call("+14255550123", FQDN, CallOptions::from("+14255550111"))
        .await?;
    let ending = tokio::time::timeout(Duration::from_secs(15), call.ended()).await?;
    ensure!(ending.status() == Some(503), "the call ended {ending:?}");
    let leaf = trial.far_leaf(&[MICROSOFT]);
    let mut line = stage.dial(trial.lab.host(11), &leaf).open()?;
    let answer = line.ask("while-down")?;
    ensure!(answer == Some(200), "OPTIONS is answered {answer:?}");
    Ok("the call 503, OPTIONS 200".to_owned())
}

async fn storm(trial: Trial) -> Result<String> {
    const LINES: usize = 4;
    const COUNT: usize = 600;
    let stage = trial.plan().start().await?;
    let leaf = trial.far_leaf(&[MICROSOFT]);
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..LINES {
        lines.push(stage.dial(trial.lab.host(11), &leaf).open()?);
    }
    let start = Instant::now();
    for number in 0..COUNT {
        let due = start + Duration::from_millis(5) * u32::try_from(number)?;
        sleep_until(due.into()).await;
        let text = options(trial.lab.host(11), &format!("storm-{number}"));
        lines[number % LINES].send(&text)?;
    }
    let sent = start.elapsed();
    let mut answers = 0;
    for line in &mut lines {
        for _ in 0..COUNT / LINES {
            let brought = line.next(Duration::from_secs(3));
            let Brought::Message(answer) = brought else {
                bail!("{answers} of {COUNT} are answered, then {brought:?}");
            };
            ensure!(answer.status() == Some(200), "{}", answer.start);
            answers += 1;
        }
    }
    Ok(format!(
        "{answers} answers to {COUNT} sent in {:.1} s",
        sent.as_secs_f64()
    ))
}

async fn texture(trial: Trial) -> Result<String> {
    let stage = trial.plan().start().await?;
    stage.names_up().await?;
    let answers: Vec<String> = stage
        .acs
        .messages()
        .iter()
        .filter(|message| message.sent && message.text().starts_with("SIP/2.0 200 "))
        .map(Logged::text)
        .collect();
    ensure!(answers.len() >= NAMES.len(), "{} answers", answers.len());
    for answer in &answers {
        let to = answer.lines().find(|line| line.starts_with("TO: "));
        ensure!(
            to.is_some_and(|to| !to.contains("tag=")),
            "the far end is too kind: {answer}"
        );
    }
    Ok(format!(
        "{} answers as Microsoft's, three names up",
        answers.len()
    ))
}

/// How long each fault lasts: OPTIONS must go on meanwhile.
const SPELL: Duration = Duration::from_secs(2);
/// How long everything is well in between: a few intervals.
const CALM: Duration = Duration::from_secs(5);

async fn gaps(trial: Trial) -> Result<String> {
    let stage = trial.plan().trunk("acs", SHORT).online().await?;
    stage.names_up().await?;
    // Five minutes, shortened alike.
    let limit = Duration::from_secs(300) / FACTOR;
    // Every connection is closed; one name stays away for a while; all answer 503 to calls.
    stage.acs.close_connections();
    sleep(SPELL).await;
    let gone = SystemTime::now();
    stage.acs.set_mode(1, ProxyMode::Down).await?;
    sleep(SPELL).await;
    stage.acs.set_mode(1, ProxyMode::Up).await?;
    let back = SystemTime::now();
    sleep(CALM).await;
    stage.acs.set_mode(0, ProxyMode::Busy).await?;
    sleep(SPELL).await;
    let end = SystemTime::now();
    let mut longest = Duration::ZERO;
    let all = by_name(&stage);
    for (index, name) in NAMES.iter().enumerate() {
        let mut times: Vec<SystemTime> = all
            .get(&index)
            .with_context(|| format!("{name} was never asked"))?
            .iter()
            .map(|one| one.at)
            .collect();
        if index == 1 {
            // While it is away nobody can ask it.
            times.retain(|at| *at < gone || *at > back);
            times.push(back);
            times.sort();
        }
        times.push(end);
        for two in times.windows(2) {
            let gap = two[1].duration_since(two[0]).unwrap_or_default();
            let away = index == 1 && two[1] == back;
            ensure!(away || gap < limit, "{name}: {gap:?} without OPTIONS");
            longest = longest.max(gap);
        }
    }
    Ok(format!(
        "intervals shortened by {FACTOR}: longest gap {longest:?} of {limit:?}"
    ))
}
