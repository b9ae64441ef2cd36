//! CK-55 to CK-57, CK-61, CK-62: calls that Microsoft places and that do not simply go through.

use std::time::{Duration, Instant};

use acs_sim::{Behaviour, CallOptions};
use anyhow::{Context as _, Result, ensure};

use crate::conformance::calls::{AGENT, PHONE, audio, ended, refused, soon};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Passing, Side};
use crate::conformance::stage::Stage;
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// Microsoft's own patience for 18x or a final response.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-55",
        "U-04: 100 within 200 ms; a carrier that is silent is answered for within 10 s",
        silent_carrier,
        &[Mutant {
            what: "100 comes after 700 ms",
            change: Change::Sip(|passing, _| match passing.answers("INVITE", 100) {
                true => Fate::Delay(Duration::from_millis(700)),
                false => Fate::Pass,
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-56",
        "U-05: carrier down 503, silent 408 or 504, results of the user unchanged",
        codes,
        &[Mutant {
            what: "486 becomes 480",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 486) {
                    passing.message.start = "SIP/2.0 480 Temporarily Unavailable".to_owned();
                }
                Fate::Pass
            }),
            group: &[
                "CK-24", "CK-25", "CK-26", "CK-27", "CK-28", "CK-29", "CK-30",
            ],
        }]
    ),
    row!(
        "CK-57",
        "U-06: the same call again from another address, under a new Call-ID",
        again,
        &[Mutant {
            what: "a call repeated from another address gets no answer",
            change: Change::Sip(deaf_to_repetition),
            group: &["CK-62"],
        }]
    ),
    row!(
        "CK-61",
        "U-12: the carrier's 302 is dealt with here",
        redirected,
        &[Mutant {
            what: "a refusal after a redirection is a redirection",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 404) {
                    passing.message.start = "SIP/2.0 302 Moved Temporarily".to_owned();
                }
                Fate::Pass
            }),
            group: &["CK-56"],
        }]
    ),
    row!(
        "CK-62",
        "U-15: overload is answered 503 within 200 ms and drops no call",
        overload,
        &[Mutant {
            what: "503 comes after 400 ms",
            change: Change::Sip(|passing, _| match passing.answers("INVITE", 503) {
                true => Fate::Delay(Duration::from_millis(400)),
                false => Fate::Pass,
            }),
            group: &[],
        }]
    ),
];

/// While a call has no final response, the same call under another Call-ID is not answered.
fn deaf_to_repetition(passing: &mut Passing, memory: &mut Memory) -> Fate {
    let message = &passing.message;
    let call = message.first("Call-ID").unwrap_or_default().to_owned();
    if passing.towards == Side::Gateway && message.method() == Some("INVITE") {
        let open = memory.kept(&message.start).unwrap_or_default().to_owned();
        if open.is_empty() {
            memory.keep(&message.start, &call);
            memory.keep(&format!("line {call}"), &message.start);
        } else if open != call {
            memory.keep(&call, "again");
        }
    }
    if passing.towards == Side::Gateway || message.about() != "INVITE" {
        return Fate::Pass;
    }
    if memory.kept(&call) == Some("again") {
        return Fate::Drop;
    }
    let settled = message.status().is_some_and(|status| status >= 200);
    let line = memory.kept(&format!("line {call}")).map(str::to_owned);
    if let (true, Some(line)) = (settled, line) {
        memory.keep(&line, "");
    }
    Fate::Pass
}

async fn silent_carrier(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut told = Vec::new();
    for behaviour in [Behaviour::NeverAnswer { ring: false }, Behaviour::Ignore] {
        stage.carrier()?.set_behaviour(PHONE, behaviour);
        let start = Instant::now();
        let call = stage
            .acs
            .call(PHONE, FQDN, CallOptions::from(AGENT))
            .await?;
        let status = refused(&call, PATIENCE).await?;
        ensure!(start.elapsed() < PATIENCE, "after {:?}", start.elapsed());
        ensure!(
            [408, 503, 504].contains(&status),
            "Microsoft is told {status}"
        );
        told.push(format!(
            "{status} after {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        let trying = call.state().progress.first().cloned().context("no 100")?;
        ensure!(trying.status == 100, "first came {}", trying.status);
        let limit = Duration::from_millis(200);
        ensure!(trying.after <= limit, "100 after {:?}", trying.after);
    }
    stage.keeps(&["U-04"])?;
    Ok(told.join(", "))
}

async fn answered_with(stage: &Stage) -> Result<u16> {
    let call = stage
        .acs
        .call(PHONE, FQDN, CallOptions::from(AGENT))
        .await?;
    refused(&call, PATIENCE).await
}

async fn codes(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    for (carrier, wanted) in [
        (Behaviour::busy(), 486),
        (Behaviour::decline(), 603),
        (Behaviour::reject(404), 404),
        (Behaviour::reject(484), 484),
        (Behaviour::reject(480), 480),
        (Behaviour::unavailable(None), 503),
    ] {
        stage.carrier()?.set_behaviour(PHONE, carrier);
        let status = answered_with(&stage).await?;
        ensure!(status == wanted, "{wanted} of the carrier becomes {status}");
    }
    stage
        .carrier()?
        .set_behaviour(PHONE, Behaviour::NeverAnswer { ring: false });
    let status = answered_with(&stage).await?;
    ensure!(
        [408, 504].contains(&status),
        "a silent carrier becomes {status}"
    );
    // Nobody at all at the carrier's place, which the first call finds out.
    drop(stage);
    let fresh = trial.again();
    let stage = fresh
        .plan()
        .without_carrier()
        .replace("interval = \"0s\"", "interval = \"1s\", losses = 1")
        .online()
        .await?;
    let status = answered_with(&stage).await?;
    ensure!(
        [408, 503, 504].contains(&status),
        "a carrier that is gone becomes {status}"
    );
    let status = answered_with(&stage).await?;
    ensure!(status == 503, "a carrier that is down becomes {status}");
    Ok("six results, silence, absence".to_owned())
}

async fn again(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let carrier = stage.carrier()?;
    carrier.set_behaviour(PHONE, Behaviour::answer_after(Duration::from_millis(400)));
    let place = |from_proxy| {
        let options = CallOptions {
            from_proxy,
            ..CallOptions::from(AGENT)
        };
        stage.acs.call(PHONE, FQDN, options)
    };
    let arrived = carrier.expect(PHONE);
    let first = place(0).await?;
    soon("the first call at the carrier", arrived).await??;
    let second = place(1).await?;
    let mut fates = Vec::new();
    for call in [&first, &second] {
        match soon("an answer to each", call.connected()).await? {
            Ok(_) => fates.push("answered".to_owned()),
            Err(ending) => {
                let status = ending.status().with_context(|| format!("{ending:?}"))?;
                fates.push(status.to_string());
            }
        }
    }
    ensure!(fates.iter().any(|fate| fate == "answered"), "{fates:?}");
    let asked = stage.asked_of_carrier("INVITE")?.len();
    let answered = fates.iter().filter(|fate| *fate == "answered").count();
    ensure!(
        asked <= 2 && answered <= asked,
        "{asked} INVITEs, {fates:?}"
    );
    Ok(format!(
        "{}; the carrier was called {asked} times",
        fates.join(", ")
    ))
}

async fn redirected(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let carrier = stage.carrier()?;
    let other = "+14255550155";
    let place = stage.places.seen_carrier;
    carrier.set_behaviour(PHONE, Behaviour::redirect(&format!("sip:{other}@{place}")));
    let waiting = carrier.expect(other);
    let call = stage
        .acs
        .call(PHONE, FQDN, CallOptions::from(AGENT))
        .await?;
    let answered = crate::conformance::stage::connected(&call, waiting).await?;
    audio(&call, &answered, 10).await?;
    call.hang_up().await;
    ended(&answered).await?;
    // One that leads nowhere ends in a refusal, not in a redirection.
    carrier.set_behaviour(other, Behaviour::reject(404));
    let status = answered_with(&stage).await?;
    ensure!(status == 404, "Microsoft is told {status}");
    let crossed = stage.from_gateway().iter().any(|(_, sip)| {
        let status = sip.status().unwrap_or_default();
        (300..400).contains(&status)
    });
    ensure!(!crossed, "a 3xx reached Microsoft");
    Ok("followed, and refused where it led nowhere".to_owned())
}

async fn overload(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk("acs", "calls_per_second = 5")
        .online()
        .await?;
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    let talk = audio(&caller, &called, 100);
    let flood = async {
        let mut calls = Vec::new();
        for _ in 0..40 {
            calls.push(
                stage
                    .acs
                    .call(PHONE, FQDN, CallOptions::from(AGENT))
                    .await?,
            );
        }
        let (mut answered, mut refused) = (0, 0);
        for call in &calls {
            match soon("an answer to each", call.connected()).await? {
                Ok(_) => answered += 1,
                Err(ending) => {
                    ensure!(ending.status() == Some(503), "{ending:?}");
                    refused += 1;
                }
            }
        }
        Ok((answered, refused))
    };
    let (talked, flooded) = tokio::join!(talk, flood);
    talked.context("the call that was there before")?;
    let (answered, refused): (u32, u32) = flooded?;
    ensure!(refused > 10, "{refused} of 40 were refused");
    let invites = stage.from_microsoft();
    let mut slowest = Duration::ZERO;
    for (at, answer) in stage.from_gateway() {
        if !answer.answers("INVITE", 503) {
            continue;
        }
        let of_call = |sip: &crate::sip::Sip| {
            sip.method() == Some("INVITE") && sip.first("Call-ID") == answer.first("Call-ID")
        };
        let (asked, _) = invites
            .iter()
            .find(|(_, sip)| of_call(sip))
            .context("no INVITE")?;
        slowest = slowest.max(at.at.duration_since(asked.at)?);
    }
    ensure!(
        slowest < Duration::from_millis(200),
        "503 after {slowest:?}"
    );
    Ok(format!(
        "{answered} answered, {refused} refused, slowest {} ms",
        slowest.as_millis()
    ))
}
