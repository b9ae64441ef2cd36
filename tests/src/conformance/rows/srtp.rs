//! CK-79 to CK-82: keys and rollover counters.

use acs_sim::{CallOptions, MediaConfig, SdpEdit};
use anyhow::{Context as _, Result, ensure};

use crate::conformance::calls::{AGENT, CALLER, PHONE, audio, line, refused, soon, with_media};
use crate::conformance::mutant::{Change, Fate, Mutant, Passing, Side};
use crate::conformance::stage::{SOON, Stage};
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-79",
        "D-03: of several crypto lines the one of 80 bits without MKI is taken",
        crypto,
        &[Mutant {
            what: "an answer names a line that was not offered",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 200) {
                    let body = &mut passing.message.body;
                    *body = body.replace("a=crypto:1 ", "a=crypto:7 ");
                    *body = body.replace("a=crypto:2 ", "a=crypto:7 ");
                }
                Fate::Pass
            }),
            group: &["CK-63"],
        }]
    ),
    row!(
        "CK-80",
        "D-01: plain RTP is refused 488 and never offered",
        plain,
        &[Mutant {
            what: "plain RTP is refused with 500",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 488) {
                    passing.message.start = "SIP/2.0 500 Server Internal Error".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-81",
        "D-04: the rollover counter is kept across a wrap and a refresh under the same key",
        rollover,
        &[Mutant {
            what: "the answer to a re-INVITE has another key",
            change: Change::Sip(|passing, memory| {
                let key = passing.message.first("Call-ID").unwrap_or_default();
                if passing.answers("INVITE", 200) && memory.count(key) > 0 {
                    other_key(&mut passing.message.body);
                }
                Fate::Pass
            }),
            group: &["CK-63", "CK-67", "CK-82", "CK-87", "CK-90"],
        }]
    ),
    row!(
        "CK-82",
        "D-04: a new key begins at rollover counter 0, in both directions",
        new_key,
        &[Mutant {
            what: "a re-INVITE with a new key is refused",
            change: Change::Sip(|passing, memory| {
                let message = &mut passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                let crypto = message
                    .body
                    .lines()
                    .rfind(|line| line.starts_with("a=crypto"));
                if let (Side::Gateway, Some(crypto)) = (passing.towards, crypto) {
                    if memory.kept(&key).is_some_and(|before| before != crypto) {
                        memory.keep(&format!("new {key}"), "");
                    }
                    memory.keep(&key, crypto);
                }
                let new = memory.kept(&format!("new {key}")).is_some();
                if new && passing.answers("INVITE", 200) {
                    refuse(passing);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

/// Turns an acceptance into a refusal.
pub(super) fn refuse(passing: &mut Passing) {
    passing.message.start = "SIP/2.0 488 Not Acceptable Here".to_owned();
    passing.message.body.clear();
    passing.message.remove("Content-Type");
}

fn other_key(body: &mut String) {
    let key = line(body, "a=crypto:")
        .and_then(|line| line.split("inline:").nth(1))
        .and_then(|rest| rest.get(..40))
        .map(str::to_owned);
    if let Some(key) = key {
        let other: String = key.chars().rev().collect();
        *body = body.replace(&key, &other);
    }
}

/// Media of Microsoft's side with an edited description.
pub(super) fn media(stage: &Stage, edit: SdpEdit) -> MediaConfig {
    MediaConfig {
        secure: true,
        bind: stage.acs.proxies()[0].1.ip(),
        sdp: edit,
        ..MediaConfig::default()
    }
}

/// Puts a line of the same suite with an MKI before the one that counts.
fn with_mki(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("a=crypto:1 "));
    let Some(line) = line else {
        return text.to_owned();
    };
    let second = line.replacen("a=crypto:1 ", "a=crypto:2 ", 1);
    let first = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 \
        inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw|2^31|1:1";
    text.replace(line, &format!("{first}\r\n{second}"))
}

async fn crypto(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    for (what, edit, tag) in [
        ("tag 0 of 32 bits before tag 1", SdpEdit::default(), "1"),
        ("a line with MKI before tag 2", SdpEdit::new(with_mki), "2"),
    ] {
        let options = with_media(AGENT, media(&stage, edit));
        let (caller, called) = stage.outward(options).await.context(what)?;
        audio(&caller, &called, 10).await.context(what)?;
        let bodies = stage.descriptions(&caller.parties().call_id);
        let answer = bodies.last().context("no answer")?;
        let lines: Vec<_> = answer
            .lines()
            .filter(|one| one.starts_with("a=crypto:"))
            .collect();
        ensure!(lines.len() == 1, "{what}: {} crypto lines", lines.len());
        let wanted = format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:");
        ensure!(
            lines[0].starts_with(&wanted),
            "{what}: tag and suite of {}",
            &lines[0][..34]
        );
    }
    stage.keeps(&["D-03", "D-01"])?;
    Ok("tags 1 and 2".to_owned())
}

async fn plain(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let options = with_media(
        AGENT,
        MediaConfig {
            secure: false,
            bind: stage.acs.proxies()[0].1.ip(),
            ..MediaConfig::default()
        },
    );
    let call = stage.acs.call(PHONE, FQDN, options).await?;
    let status = refused(&call, SOON).await?;
    ensure!(status == 488, "plain RTP was answered {status}");
    stage.inward(CallOptions::from(CALLER)).await?;
    stage.outward(CallOptions::from(AGENT)).await?;
    for (_, message) in stage.from_gateway() {
        ensure!(
            !message.body.contains("RTP/AVP"),
            "{}: RTP/AVP",
            message.start
        );
    }
    stage.keeps(&["D-01"])?;
    Ok("refused, never offered".to_owned())
}

async fn near_the_end(trial: &Trial) -> Result<Stage> {
    let plan = trial
        .plan()
        .acs(|acs| acs.media.first_sequence = Some(65_500))
        .carrier(|carrier| carrier.media.first_sequence = Some(65_500));
    plan.online().await
}

async fn rollover(trial: Trial) -> Result<String> {
    let stage = near_the_end(&trial).await?;
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    audio(&caller, &called, 60)
        .await
        .context("across the wrap")?;
    soon("a refresh", caller.refresh()).await??;
    audio(&caller, &called, 30)
        .await
        .context("after the refresh")?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 60)
        .await
        .context("across the wrap, inward")?;
    soon("a refresh", far.refresh()).await??;
    audio(&near, &far, 30)
        .await
        .context("after the refresh, inward")?;
    stage.keeps(&["G-01"])?;
    Ok("wrap, refresh, both directions".to_owned())
}

async fn new_key(trial: Trial) -> Result<String> {
    let stage = near_the_end(&trial).await?;
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    audio(&caller, &called, 60)
        .await
        .context("across the wrap")?;
    soon("a new key", caller.rekey()).await??;
    audio(&caller, &called, 30)
        .await
        .context("under the new key")?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 60)
        .await
        .context("across the wrap, inward")?;
    soon("a new key", far.rekey()).await??;
    audio(&near, &far, 30)
        .await
        .context("under the new key, inward")?;
    let damaged = caller.media().undecryptable + far.media().undecryptable;
    ensure!(damaged == 0, "{damaged} packets could not be opened");
    Ok("wrap, new key, both directions".to_owned())
}
