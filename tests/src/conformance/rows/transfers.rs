//! CK-41, CK-70 to CK-78: transfers, whoever asks for them.

use std::time::Duration;

use acs_sim::{Behaviour, By, CallHandle, CallOptions, Ending, Provisional, Transfer};
use anyhow::{Context as _, Result, ensure};

use crate::conformance::calls::{AGENT, CALLER, audio, ended, soon, uri};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Passing, Side};
use crate::conformance::stage::Stage;
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// Whom a transfer goes to.
pub(super) const TARGET: &str = "+14255550166";

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-70",
        "X-01: Allow names REFER where it is enabled, and NOTIFY always",
        allow,
        &[Mutant {
            what: "Allow of an INVITE does not name REFER",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing
                        .message
                        .rewrite("Allow", |value| value.replace("REFER", "INFO"));
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-71",
        "X-02: 202, then NOTIFY of 100, of ringing and of 200; no BYE",
        sequence,
        &[Mutant {
            what: "REFER is answered 200",
            change: Change::Sip(|passing, _| {
                if passing.answers("REFER", 202) {
                    passing.message.start = "SIP/2.0 200 OK".to_owned();
                }
                Fate::Pass
            }),
            group: &["CK-72", "CK-73", "CK-74", "CK-75", "CK-76", "CK-78"],
        }]
    ),
    row!(
        "CK-72",
        "X-03: the new INVITE has Refer-To and Referred-By byte for byte",
        verbatim,
        &[Mutant {
            what: "an escape in Referred-By is undone",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing
                        .message
                        .rewrite("Referred-By", |value| value.replace("%3D", "="));
                }
                Fate::Pass
            }),
            group: &["CK-71", "CK-73", "CK-74", "CK-75", "CK-78"],
        }]
    ),
    row!(
        "CK-73",
        "X-04: REFER with values of 400 and of 2,000 characters",
        long,
        &[Mutant {
            what: "Referred-By is cut at 512 characters",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing.message.rewrite("Referred-By", |value| {
                        value.get(..512).unwrap_or(value).to_owned()
                    });
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-74",
        "X-06: the target is a telephone; Microsoft calls it through the gateway",
        hairpin,
        &[Mutant {
            what: "who was asked for a transfer takes no call",
            change: Change::Sip(no_call_after_a_transfer),
            group: &[],
        }]
    ),
    row!(
        "CK-75",
        "X-07: whoever is transferred hears ringing",
        ringing,
        &[Mutant {
            what: "what the gateway plays is silence",
            change: Change::Media(|packet, _| {
                let coded = packet.bytes.get(12..16) == Some(&b"\x9dTLk"[..]);
                if packet.carrier && packet.towards == Side::Peer && !packet.control && !coded {
                    packet
                        .bytes
                        .iter_mut()
                        .skip(12)
                        .for_each(|octet| *octet = 0xff);
                }
                Fate::Pass
            }),
            group: &["CK-48", "CK-83", "CK-85", "CK-90"],
        }]
    ),
    row!(
        "CK-76",
        "X-09: a Refer-To with the gateway's own name goes to the telephone network",
        direct,
        &[Mutant {
            what: "success is not reported",
            change: Change::Sip(|passing, _| {
                let success = passing.message.body.starts_with("SIP/2.0 200");
                match passing.is_own("NOTIFY") && success {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &["CK-71", "CK-72", "CK-73", "CK-74", "CK-75"],
        }]
    ),
    row!(
        "CK-78",
        "X-02: a target that fails is reported, and the old call goes on",
        failed,
        &[Mutant {
            what: "failure is reported as success",
            change: Change::Sip(|passing, _| {
                if passing.is_own("NOTIFY") && passing.message.body.starts_with("SIP/2.0 4") {
                    passing.message.body = "SIP/2.0 200 OK\r\n".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

fn no_call_after_a_transfer(passing: &mut Passing, memory: &mut Memory) -> Fate {
    let message = &mut passing.message;
    let key = message.first("Call-ID").unwrap_or_default().to_owned();
    let refer = message.method() == Some("REFER");
    let invite = message.method() == Some("INVITE");
    if passing.towards == Side::Gateway && refer {
        memory.keep("asked", "");
    }
    if passing.towards == Side::Gateway && invite && memory.kept("asked").is_some() {
        memory.keep(&key, "");
    }
    if memory.kept(&key).is_some() && passing.answers("INVITE", 200) {
        passing.message.start = "SIP/2.0 503 Service Unavailable".to_owned();
        passing.message.body.clear();
    }
    Fate::Pass
}

fn statuses(call: &CallHandle) -> Vec<u16> {
    call.state().notified.iter().map(|one| one.status).collect()
}

/// Asks for a transfer to Microsoft itself; gives the call that comes of it.
async fn transferred(stage: &Stage, far: &CallHandle, transfer: Transfer) -> Result<CallHandle> {
    let waiting = stage.acs.expect("");
    let status = soon("an answer to REFER", stage.acs.transfer(far, transfer)).await?;
    ensure!(status == Some(202), "REFER was answered {status:?}");
    let call = soon("the new INVITE", waiting).await??;
    soon("the new call", call.connected())
        .await?
        .ok()
        .context("not confirmed")?;
    Ok(call)
}

async fn allow(trial: Trial) -> Result<String> {
    for enabled in [true, false] {
        let fresh = trial.again();
        let line = format!("transfer = {{ refer = {enabled} }}");
        let stage = fresh.plan().trunk("acs", &line).online().await?;
        stage.inward(CallOptions::from(CALLER)).await?;
        stage.outward(CallOptions::from(AGENT)).await?;
        let mut seen = 0;
        for (_, message) in stage.from_gateway() {
            let telling = message.method() == Some("INVITE") || message.answers("INVITE", 200);
            if !telling {
                continue;
            }
            let allowed = message.all("Allow").join(",");
            let names = |method: &str| allowed.split(',').any(|one| one.trim() == method);
            ensure!(
                names("REFER") == enabled,
                "enabled: {enabled}, Allow: {allowed}"
            );
            ensure!(names("NOTIFY"), "Allow: {allowed}");
            seen += 1;
        }
        ensure!(seen >= 2, "{seen} messages");
    }
    Ok("with and without".to_owned())
}

async fn sequence(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage
        .acs
        .set_behaviour("", Behaviour::answer_after(Duration::from_millis(400)));
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let from = stage.acs.proxies()[1].1.ip();
    let transfer = stage.acs.transfer_to_itself(0).from(from);
    let call = transferred(&stage, &far, transfer).await?;
    ensure!(
        ended(&far).await? == Ending::HungUp(By::Us),
        "{:?}",
        far.ended().await
    );
    let told = statuses(&far);
    let ordered = told.first() == Some(&100)
        && told.last() == Some(&200)
        && told.iter().any(|status| (180..200).contains(status));
    ensure!(ordered, "NOTIFY of {told:?}");
    let byes = stage.requests("BYE").len();
    ensure!(byes == 0, "the gateway sent {byes} BYE");
    audio(&near, &call, 20)
        .await
        .context("after the transfer")?;
    stage.keeps(&["X-02"])?;
    Ok(format!("202, NOTIFY of {told:?}"))
}

async fn verbatim(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let transfer = stage.acs.transfer_to_itself(0);
    let call = transferred(&stage, &far, transfer.clone()).await?;
    let invite = stage.microsoft_invite()?;
    ensure!(
        uri(&invite) == transfer.uri(),
        "{} for {}",
        uri(&invite),
        transfer.uri()
    );
    let referred_by = invite.first("Referred-By");
    ensure!(
        referred_by == transfer.referred_by.as_deref(),
        "Referred-By: {referred_by:?} for {:?}",
        transfer.referred_by
    );
    stage.keeps(&["X-03", "M-04", "S-01", "S-02"])?;
    audio(&near, &call, 10).await?;
    Ok(format!(
        "{} characters",
        transfer.referred_by.unwrap_or_default().len()
    ))
}

/// A URI in angle brackets, filled up to this many characters.
fn lengthened(value: &str, size: usize) -> String {
    let filling = "Zz0%3D".repeat(size.saturating_sub(value.len()).div_ceil(6));
    value.replacen('>', &format!("{filling}>"), 1)
}

async fn long(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    for size in [400, 2000] {
        let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
        let mut transfer = stage.acs.transfer_to_itself(0);
        transfer.refer_to = lengthened(&transfer.refer_to, size);
        transfer.referred_by = transfer.referred_by.map(|value| lengthened(&value, size));
        let call = transferred(&stage, &far, transfer)
            .await
            .with_context(|| format!("{size} characters"))?;
        audio(&near, &call, 5).await?;
        near.hang_up().await;
        ended(&call).await?;
    }
    stage.keeps(&["X-03"])?;
    Ok("400 and 2,000 characters".to_owned())
}

async fn hairpin(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage
        .acs
        .set_behaviour("", Behaviour::Manual { trying: true });
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let waiting = stage.acs.expect("");
    let transfer = stage.acs.transfer_to_itself(0);
    let status = soon("REFER", stage.acs.transfer(&far, transfer)).await?;
    ensure!(status == Some(202), "REFER was answered {status:?}");
    let bridge = soon("the new INVITE", waiting).await??;
    // Microsoft calls the telephone, and joins it to whoever was transferred once it answers.
    let (leg, phone) = stage.outward(CallOptions::from(AGENT)).await?;
    bridge.progress(Provisional::ringing(Duration::ZERO));
    bridge.answer(Vec::new());
    soon("the transfer", bridge.connected())
        .await?
        .ok()
        .context("not confirmed")?;
    leg.bridge(&bridge);
    ensure!(
        ended(&far).await? == Ending::HungUp(By::Us),
        "{:?}",
        far.ended().await
    );
    audio(&near, &phone, 20)
        .await
        .context("from telephone to telephone")?;
    Ok("two legs, joined there".to_owned())
}

async fn ringing(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage
        .acs
        .set_behaviour("", Behaviour::answer_after(Duration::from_millis(1500)));
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let before = near.media().sound;
    let transfer = stage.acs.transfer_to_itself(0);
    let call = transferred(&stage, &far, transfer).await?;
    let heard = near.media().sound - before;
    ensure!(heard > 20, "{heard} packets of ringing in 1.5 s");
    audio(&near, &call, 10).await?;
    Ok(format!("{heard} packets of ringing"))
}

async fn direct(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let waiting = stage.carrier()?.expect(TARGET);
    let mut transfer = stage.acs.transfer_to_itself(0);
    transfer.refer_to = format!("<sip:{TARGET}@{FQDN}:5061;user=phone;transport=tls>");
    let status = soon("REFER", stage.acs.transfer(&far, transfer)).await?;
    ensure!(status == Some(202), "REFER was answered {status:?}");
    let phone = soon("the target at the carrier", waiting).await??;
    soon("its answer", phone.connected())
        .await?
        .ok()
        .context("not confirmed")?;
    ensure!(
        ended(&far).await? == Ending::HungUp(By::Us),
        "{:?}",
        far.ended().await
    );
    audio(&near, &phone, 20).await?;
    let invites = stage.requests("INVITE").len();
    ensure!(invites == 1, "{invites} INVITEs at Microsoft");
    Ok(format!("NOTIFY of {:?}", statuses(&far)))
}

async fn failed(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.acs.set_behaviour("", Behaviour::busy());
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 5).await?;
    let transfer = stage.acs.transfer_to_itself(0);
    let status = soon("REFER", stage.acs.transfer(&far, transfer)).await?;
    ensure!(status == Some(202), "REFER was answered {status:?}");
    let told = soon(
        "the last NOTIFY",
        far.wait(|state| state.notified.last().is_some_and(|one| one.status >= 200)),
    )
    .await?;
    ensure!(told.ending.is_none(), "{:?}", told.ending);
    ensure!(
        statuses(&far).last() == Some(&486),
        "NOTIFY of {:?}",
        statuses(&far)
    );
    audio(&near, &far, 20).await.context("the old call")?;
    stage.keeps(&["X-02"])?;
    Ok(format!("NOTIFY of {:?}", statuses(&far)))
}
