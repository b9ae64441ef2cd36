//! CK-46 to CK-51: from the first ringing to the answer, or to none.

use std::time::Duration;

use acs_sim::{Answer, Behaviour, By, CallHandle, CallOptions, Ending, Provisional};
use anyhow::{Context as _, Result, ensure};
use tokio::sync::oneshot;

use crate::conformance::calls::{AGENT, APP, CALLER, PHONE, audio, ended, refused, soon};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Passing, Side};
use crate::conformance::stage::{SOON, Stage, connected};
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-46",
        "I-04: three 180 of different tags, a 183 of a new one, a 200 of a fifth",
        forks,
        &[Mutant {
            what: "ACK names the endpoint that rang first",
            change: Change::Sip(|passing, memory| {
                let message = &mut passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                let to = message.first("To").unwrap_or_default().to_owned();
                if message.status() == Some(180)
                    && passing.towards == Side::Gateway
                    && memory.kept(&key).is_none()
                {
                    memory.keep(&key, &to);
                }
                if passing.is_own("ACK")
                    && let Some(first) = memory.kept(&key)
                {
                    passing.message.set("To", first);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-47",
        "I-04: 200 without 18x; 183 without 180; 181",
        odd_progress,
        &[Mutant {
            what: "an answer that nothing preceded is not acknowledged",
            change: Change::Sip(|passing, memory| {
                let key = passing.message.first("Call-ID").unwrap_or_default();
                let status = passing.message.status().unwrap_or_default();
                if passing.towards == Side::Gateway && (101..200).contains(&status) {
                    memory.keep(key, "rang");
                }
                let silent = passing.is_own("ACK") && memory.kept(key).is_none();
                let failed = passing.message.first("To").is_none();
                if silent && !failed {
                    Fate::Drop
                } else {
                    Fate::Pass
                }
            }),
            group: &["CK-41", "CK-44", "CK-50", "CK-61"],
        }]
    ),
    row!(
        "CK-49",
        "I-06: ACK within 500 ms, on a connection of the gateway's own",
        acknowledged,
        &[Mutant {
            what: "ACK comes after 700 ms",
            change: Change::Sip(|passing, _| match passing.is_own("ACK") {
                true => Fate::Delay(Duration::from_millis(700)),
                false => Fate::Pass,
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-50",
        "I-07: 603 is tried nowhere else",
        declined,
        &[Mutant {
            what: "an INVITE is sent twice",
            change: Change::Sip(twice),
            group: &["CK-63", "CK-64", "CK-76", "CK-91"],
        }]
    ),
    row!(
        "CK-51",
        "I-08: CANCEL after a provisional response only; 487; a 200 that crosses it gets BYE",
        cancelled,
        &[Mutant {
            what: "a call whose answer crossed the CANCEL is left standing",
            change: Change::Sip(|passing, memory| {
                let key = passing.message.first("Call-ID").unwrap_or_default();
                if passing.is_own("CANCEL") {
                    memory.keep(key, "cancelled");
                }
                match passing.is_own("BYE") && memory.kept(key).is_some() {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
];

fn twice(passing: &mut Passing, _: &mut Memory) -> Fate {
    match passing.is_own("INVITE") {
        true => Fate::Times(2),
        false => Fate::Pass,
    }
}

async fn forks(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage
        .acs
        .set_behaviour(APP, Behaviour::forked(Duration::from_millis(500)));
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 20).await?;
    let mut tags: Vec<_> = near
        .state()
        .progress
        .into_iter()
        .filter_map(|one| one.tag)
        .collect();
    tags.extend(near.state().remote_tag);
    tags.sort_unstable();
    tags.dedup();
    ensure!(tags.len() == 1, "the caller saw {} endpoints", tags.len());
    let (_, ack) = stage.requests("ACK").pop().context("no ACK")?;
    let tag = format!(";tag={}", far.parties().tag);
    ensure!(
        ack.first("To").is_some_and(|to| to.contains(&tag)),
        "ACK: {:?}",
        ack.first("To")
    );
    Ok("five endpoints there, one here".to_owned())
}

async fn odd_progress(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let after = Duration::from_millis(150);
    let scripts = [
        ("200 without 18x", vec![], Duration::ZERO),
        (
            "183 without 180",
            vec![Provisional::early_media(Duration::ZERO)],
            after,
        ),
        ("181", vec![Provisional::new(181, Duration::ZERO)], after),
        (
            "181, then 183 with an empty body",
            vec![
                Provisional::new(181, Duration::ZERO),
                Provisional::new(183, Duration::ZERO).forked(),
            ],
            after,
        ),
    ];
    let count = scripts.len();
    for (what, provisionals, after) in scripts {
        stage
            .acs
            .set_behaviour(APP, Behaviour::answer(provisionals, after));
        let (near, far) = stage
            .inward(CallOptions::from(CALLER))
            .await
            .context(what)?;
        audio(&near, &far, 10).await.context(what)?;
        near.hang_up().await;
        ended(&far).await.context(what)?;
    }
    Ok(format!("{count} scripts"))
}

async fn acknowledged(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let (near, far) = stage.call_in(APP).await?;
        let call_id = far.parties().call_id.clone();
        let answer = stage
            .from_microsoft()
            .into_iter()
            .find(|(_, sip)| sip.answers("INVITE", 200) && sip.first("Call-ID") == Some(&call_id))
            .context("no 200")?;
        let invite = stage
            .requests("INVITE")
            .into_iter()
            .find(|(_, sip)| sip.first("Call-ID") == Some(&call_id))
            .context("no INVITE")?;
        let ack = stage
            .requests("ACK")
            .into_iter()
            .find(|(_, sip)| sip.first("Call-ID") == Some(&call_id))
            .context("no ACK")?;
        let took = ack.0.at.duration_since(answer.0.at)?;
        ensure!(took < Duration::from_millis(500), "ACK after {took:?}");
        ensure!(
            ack.0.connection == invite.0.connection,
            "ACK on another connection than the INVITE's"
        );
        slowest = slowest.max(took);
        near.hang_up().await;
        ended(&far).await?;
    }
    stage.keeps(&["K-01", "I-06"])?;
    Ok(format!("slowest {} ms", slowest.as_millis()))
}

async fn declined(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.acs.set_behaviour(APP, Behaviour::decline());
    let call = stage
        .carrier()?
        .call(APP, CallOptions::from(CALLER))
        .await?;
    let status = refused(&call, SOON).await?;
    ensure!(status == 603, "the caller is told {status}");
    // Whoever would try elsewhere does so at once.
    let invites = || stage.requests("INVITE").len();
    stage.never("a second INVITE", || invites() > 1).await?;
    ensure!(invites() == 1, "{} INVITEs", invites());
    stage.keeps(&["I-07"])?;
    Ok("one INVITE".to_owned())
}

/// A call from the carrier to [`APP`], and what will be its far end.
async fn placed(stage: &Stage) -> Result<(CallHandle, oneshot::Receiver<CallHandle>)> {
    let expected = stage.acs.expect(APP);
    let options = CallOptions::from(CALLER);
    let call = stage.carrier()?.call(APP, options).await?;
    Ok((call, expected))
}

/// Waits for the end of a call and looks at why it came.
async fn ends(call: &CallHandle, wanted: Ending) -> Result<()> {
    let ending = ended(call).await?;
    ensure!(ending == wanted, "{ending:?}");
    Ok(())
}

async fn cancelled(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let cancels = || stage.requests("CANCEL").len();
    // After ringing.
    stage
        .acs
        .set_behaviour(APP, Behaviour::NeverAnswer { ring: true });
    let (call, expected) = placed(&stage).await?;
    soon("ringing", call.ringing()).await?;
    ensure!(
        call.hang_up().await == Ending::Cancelled(By::Us),
        "no 487 to the caller"
    );
    let far = soon("the call", expected).await??;
    ends(&far, Ending::Cancelled(By::Them)).await?;
    // Before anything was heard.
    stage
        .acs
        .set_behaviour(APP, Behaviour::Manual { trying: false });
    let (call, expected) = placed(&stage).await?;
    let far = soon("the call", expected).await??;
    let before = cancels();
    call.cancel();
    ended(&call).await?;
    let early = "CANCEL before any provisional response";
    stage.never(early, || cancels() > before).await?;
    far.progress(Provisional::new(100, Duration::ZERO));
    ends(&far, Ending::Cancelled(By::Them)).await?;
    // The answer crosses it.
    let crossing = Answer {
        provisionals: vec![Provisional::ringing(Duration::ZERO)],
        after: SOON,
        crossing_cancel: true,
        ..Answer::default()
    };
    stage.acs.set_behaviour(APP, Behaviour::Answer(crossing));
    let (call, expected) = placed(&stage).await?;
    soon("ringing", call.ringing()).await?;
    call.cancel();
    let far = soon("the call", expected).await??;
    ends(&far, Ending::HungUp(By::Them)).await?;
    // Microsoft gives up.
    stage
        .carrier()?
        .set_behaviour(PHONE, Behaviour::NeverAnswer { ring: true });
    let expected = stage.carrier()?.expect(PHONE);
    let call = stage
        .acs
        .call(PHONE, FQDN, CallOptions::from(AGENT))
        .await?;
    soon("ringing", call.ringing()).await?;
    ensure!(
        call.hang_up().await == Ending::Cancelled(By::Us),
        "no 487 to Microsoft"
    );
    let far = soon("the call", expected).await??;
    ends(&far, Ending::Cancelled(By::Them)).await?;
    // A call after all that is as any other.
    stage
        .acs
        .set_behaviour(APP, Behaviour::answer_after(Duration::ZERO));
    let (call, expected) = placed(&stage).await?;
    connected(&call, expected).await?;
    Ok("late, early, crossing, from Microsoft".to_owned())
}
