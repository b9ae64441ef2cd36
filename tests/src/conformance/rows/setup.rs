//! CK-38 to CK-51: methods, offers and answers of a call that is being set up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acs_sim::{Behaviour, CallOptions, InDialogRequest, Offer, Provisional, ProxyMode, Transfer};
use anyhow::{Context as _, Result, ensure};

use super::headers::HANGS_UP;
use crate::conformance::calls::{AGENT, APP, CALLER, PHONE, audio, ended, soon, with_headers};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Passing, Side};
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-38",
        "M-01: no UPDATE, PRACK, INFO, REFER, SUBSCRIBE or MESSAGE is ever sent",
        methods,
        &[Mutant {
            what: "a call is hung up with INFO instead of BYE",
            change: Change::Sip(|passing, _| {
                if passing.is_own("BYE") {
                    let message = &mut passing.message;
                    message.start = message.start.replacen("BYE", "INFO", 1);
                    message.rewrite("CSeq", |value| value.replace("BYE", "INFO"));
                }
                Fate::Pass
            }),
            group: HANGS_UP,
        }]
    ),
    row!(
        "CK-39",
        "M-01: no Require: 100rel; what the carrier requires ends here",
        reliable,
        &[Mutant {
            what: "an INVITE requires 100rel",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing.message.push("Require", "100rel");
                }
                Fate::Pass
            }),
            group: &["CK-38", "CK-41", "CK-77", "CK-85"],
        }]
    ),
    row!(
        "CK-40",
        "M-03: an INVITE without an offer becomes one with an offer",
        late_offer,
        &[Mutant {
            what: "a caller who made no offer is made none",
            change: Change::Carrier(no_offer_to_who_made_none),
            group: &["CK-66"],
        }]
    ),
    row!(
        "CK-43",
        "M-06: an INVITE of 8,000 octets, octet by octet and in 16 TLS records",
        pieces,
        &[Mutant {
            what: "an INVITE of more than 4,096 octets is 400",
            change: Change::Sip(|passing, memory| {
                let message = &passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                let large = message.text().len() > 4096;
                if passing.towards == Side::Gateway && message.method() == Some("INVITE") && large {
                    memory.keep(&key, "");
                }
                if memory.kept(&key).is_some() && passing.answers("INVITE", 200) {
                    passing.message.start = "SIP/2.0 400 Bad Request".to_owned();
                    passing.message.body.clear();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-44",
        "M-07: 503 with Retry-After: 1 closes the connection, and the next name takes the call",
        busy_name,
        &[Mutant {
            what: "the next name is not tried",
            change: Change::Sip(|passing, memory| {
                let message = &passing.message;
                let about_invite = message.about() == "INVITE";
                let busy = message.status() == Some(503) && about_invite;
                if passing.towards == Side::Gateway && busy {
                    memory.keep("busy", "");
                }
                match passing.is_own("INVITE") && memory.kept("busy").is_some() {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
];

fn no_offer_to_who_made_none(passing: &mut Passing, memory: &mut Memory) -> Fate {
    let message = &mut passing.message;
    let key = message.first("Call-ID").unwrap_or_default().to_owned();
    if passing.towards == Side::Gateway
        && message.method() == Some("INVITE")
        && message.body.is_empty()
    {
        memory.keep(&key, "no offer");
    }
    if passing.towards == Side::Peer && message.status() == Some(200) && memory.kept(&key).is_some()
    {
        message.body.clear();
        message.remove("Content-Type");
    }
    Fate::Pass
}

async fn methods(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.call_in(APP).await?;
    let (called, caller) = {
        let (call, answered) = stage.call_out(PHONE).await?;
        (answered, call)
    };
    // Before the requests: the tone that INFO asks for would take the place of speech.
    audio(&caller, &called, 10).await?;
    let mut emitted = 0;
    for call in [&near, &called] {
        for method in ["INFO", "UPDATE", "SUBSCRIBE", "MESSAGE", "PRACK", "PUBLISH"] {
            let mut request = InDialogRequest::new(method);
            if method == "INFO" {
                request = request.body("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
            }
            let answer = soon(method, call.request(request)).await?;
            answer.with_context(|| format!("{method} was not answered"))?;
            emitted += 1;
        }
    }
    let elsewhere = Transfer::to("sip:+14255550155@carrier.example");
    soon("REFER", near.refer(elsewhere))
        .await?
        .context("REFER was not answered")?;
    near.hang_up().await;
    ended(&far).await?;
    caller.hang_up().await;
    stage.keeps(&["M-01"])?;
    let sent: BTreeSet<String> = stage
        .from_gateway()
        .iter()
        .filter_map(|(_, sip)| sip.method().map(str::to_owned))
        .collect();
    let known = ["ACK", "BYE", "CANCEL", "INVITE", "NOTIFY", "OPTIONS"];
    let strange: Vec<_> = sent
        .iter()
        .filter(|one| !known.contains(&one.as_str()))
        .collect();
    ensure!(strange.is_empty(), "sent to Microsoft: {strange:?}");
    ensure!(sent.contains("BYE"), "no BYE came");
    Ok(format!(
        "{} requests of the carrier stayed here",
        emitted + 1
    ))
}

async fn reliable(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let ringing = Behaviour::answer(
        vec![
            Provisional::ringing(Duration::ZERO),
            Provisional::early_media(Duration::from_millis(100)),
        ],
        Duration::from_millis(600),
    );
    stage.acs.set_behaviour(APP, ringing);
    let (near, far) = stage
        .inward(with_headers(CALLER, &[("Require", "100rel")]))
        .await?;
    ensure!(
        near.state().pracks > 0,
        "the caller was sent nothing reliable"
    );
    audio(&near, &far, 10).await?;
    let reliable = Behaviour::answer(
        vec![Provisional::early_media(Duration::ZERO).reliably()],
        Duration::from_millis(300),
    );
    stage.carrier()?.set_behaviour(PHONE, reliable);
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    ensure!(
        called.state().pracks == 1,
        "the carrier's 183 was not acknowledged"
    );
    audio(&caller, &called, 10).await?;
    stage.keeps(&["M-01"])?;
    for (_, message) in stage.from_gateway() {
        let required = message.all("Require").join(",");
        ensure!(
            !required.contains("100rel"),
            "{}: Require: {required}",
            message.start
        );
    }
    Ok(format!(
        "{} acknowledged to the caller",
        near.state().pracks
    ))
}

async fn late_offer(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let options = CallOptions {
        offer: Offer::Delayed,
        ..CallOptions::from(CALLER)
    };
    let (near, far) = stage.inward(options).await?;
    audio(&near, &far, 20).await?;
    stage.keeps(&["M-03", "D-01"])?;
    let invite = stage.microsoft_invite()?;
    ensure!(
        invite.body.contains("RTP/SAVP"),
        "the INVITE offers {:?}",
        invite.body
    );
    Ok("the gateway made the offer".to_owned())
}

async fn pieces(trial: Trial) -> Result<String> {
    let filling = "x".repeat(500);
    let names: Vec<String> = (0..15)
        .map(|number| format!("X-Filling-{number}"))
        .collect();
    let fields: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), filling.as_str()))
        .collect();
    for piece in [1, 512] {
        let fresh = trial.again();
        let stage = fresh
            .plan()
            .acs(|acs| acs.piece = Some(piece))
            .online()
            .await?;
        let (caller, called) = stage
            .outward(with_headers(AGENT, &fields))
            .await
            .with_context(|| format!("in pieces of {piece}"))?;
        audio(&caller, &called, 5).await?;
        let sent = stage.from_microsoft();
        let invite = sent.iter().find(|(_, sip)| sip.method() == Some("INVITE"));
        let length = invite.context("no INVITE")?.0.bytes.len();
        ensure!(length > 8000, "an INVITE of {length} octets");
    }
    Ok("pieces of 1 and of 512 octets".to_owned())
}

async fn busy_name(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.acs.set_mode(0, ProxyMode::Busy).await?;
    let mut seconds = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
        seconds.push(format!("{:.1} s", start.elapsed().as_secs_f64()));
        audio(&near, &far, 5).await?;
        near.hang_up().await;
        ended(&far).await?;
    }
    let busy = stage.from_microsoft();
    let busy = busy
        .iter()
        .filter(|(_, sip)| sip.answers("INVITE", 503))
        .count();
    ensure!(busy > 0, "the first name was not tried");
    stage.keeps(&["M-07"])?;
    Ok(format!(
        "{busy} refusals, calls after {}",
        seconds.join(" and ")
    ))
}
