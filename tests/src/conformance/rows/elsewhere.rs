//! CK-41, CK-77: transfers that Microsoft does not ask for with REFER.

use acs_sim::{By, CallOptions, Ending, Leave, Transfer};
use anyhow::{Context as _, Result, ensure};

use super::transfers::TARGET;
use crate::conformance::calls::{AGENT, CALLER, PHONE, audio, ended, soon, with_headers};
use crate::conformance::mutant::{Change, Fate, Mutant, Side};
use crate::conformance::stage::connected;
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-41",
        "M-04: Replaces is never sent, and taken from Microsoft",
        replaces,
        &[Mutant {
            what: "an INVITE with Replaces is 420",
            change: Change::Sip(|passing, memory| {
                let message = &mut passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                if passing.towards == Side::Gateway && message.first("Replaces").is_some() {
                    memory.keep(&key, "");
                }
                if memory.kept(&key).is_some() && passing.answers("INVITE", 200) {
                    passing.message.start = "SIP/2.0 420 Bad Extension".to_owned();
                    passing.message.body.clear();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-77",
        "X-10: a transfer the carrier asks for is completed here",
        of_carrier,
        &[Mutant {
            what: "the carrier's REFER is refused",
            change: Change::Carrier(|passing, _| {
                if passing.answers("REFER", 202) {
                    passing.message.start = "SIP/2.0 403 Forbidden".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

async fn replaces(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk("carrier", "transfer = { refer = true }")
        .online()
        .await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 5).await?;
    // The carrier transfers with consultation: nothing of it may reach Microsoft.
    let other = "+14255550124";
    let waiting = stage.acs.expect(other);
    let second = stage
        .carrier()?
        .call(other, CallOptions::from("+14255550198"))
        .await?;
    let second_far = connected(&second, waiting).await?;
    let escaped = second.replaces().replace(';', "%3B").replace('=', "%3D");
    let place = stage.places.seen_udp;
    let target = Transfer::to(&format!("sip:{other}@{place}?Replaces={escaped}"));
    soon("REFER", near.refer(target))
        .await?
        .context("REFER was not answered")?;
    let crossed = || {
        let all = stage.from_gateway();
        all.iter().any(|(_, message)| {
            message.method() == Some("REFER") || message.first("Replaces").is_some()
        })
    };
    stage
        .never("REFER or Replaces at Microsoft", crossed)
        .await?;
    stage.keeps(&["M-04", "M-01"])?;
    drop(second_far);
    // Microsoft takes a call over.
    let third = "+14255550125";
    let waiting = stage.acs.expect(third);
    let held = stage
        .carrier()?
        .call(third, CallOptions::from("+14255550197"))
        .await?;
    let before = connected(&held, waiting).await?;
    let value = before.replaces();
    let options = with_headers(AGENT, &[("Replaces", &value), ("Require", "replaces")]);
    let after = stage.acs.call("+14255550197", FQDN, options).await?;
    soon("the replacing call", after.connected())
        .await?
        .map_err(|end| anyhow::anyhow!("INVITE with Replaces ended: {end:?}"))?;
    ensure!(
        ended(&before).await? == Ending::HungUp(By::Them),
        "{:?}",
        before.ended().await
    );
    audio(&held, &after, 20)
        .await
        .context("after the replacement")?;
    Ok("none sent, one taken".to_owned())
}

async fn of_carrier(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk("carrier", "transfer = { refer = true }")
        .online()
        .await?;
    let place = stage.places.seen_udp;
    // Blind: the party at Microsoft is joined to whom the carrier names.
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let waiting = stage.acs.expect(TARGET);
    let blind = Transfer::to(&format!("sip:{TARGET}@{place}"));
    let answer = soon("REFER", near.refer(blind))
        .await?
        .context("no answer to REFER")?;
    ensure!(
        answer.status.code() == 202,
        "REFER was answered {}",
        answer.status.code()
    );
    let target = soon("the target", waiting).await??;
    soon("its answer", target.connected())
        .await?
        .ok()
        .context("not confirmed")?;
    ended(&near).await?;
    audio(&far, &target, 20)
        .await
        .context("after a blind transfer")?;
    // With consultation: both parties at Microsoft are joined.
    let (one, one_far) = stage.inward(CallOptions::from(CALLER)).await?;
    let other = "+14255550124";
    let waiting = stage.acs.expect(other);
    let two = stage
        .carrier()?
        .call(other, CallOptions::from(PHONE))
        .await?;
    let two_far = connected(&two, waiting).await?;
    let escaped = two.replaces().replace(';', "%3B").replace('=', "%3D");
    let attended = Transfer {
        leave: Leave::OnSuccess,
        ..Transfer::to(&format!("sip:{other}@{place}?Replaces={escaped}"))
    };
    let answer = soon("REFER", one.refer(attended))
        .await?
        .context("no answer to REFER")?;
    ensure!(
        answer.status.code() == 202,
        "REFER was answered {}",
        answer.status.code()
    );
    ended(&one).await?;
    ended(&two).await?;
    audio(&one_far, &two_far, 20)
        .await
        .context("after a transfer with consultation")?;
    stage.keeps(&["M-01", "M-04", "G-03"])?;
    Ok("blind and with consultation".to_owned())
}
