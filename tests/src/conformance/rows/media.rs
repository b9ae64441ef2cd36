//! CK-48, CK-79 to CK-90: descriptions, keys and packets.

use std::time::Duration;

use acs_sim::{Behaviour, CallOptions, HoldDialect, MediaConfig, Provisional, SdpEdit, Sound};
use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use super::srtp::media;
use crate::conformance::calls::{AGENT, APP, CALLER, audio, becomes, resumed, soon, with_media};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Packet, Side};
use crate::conformance::stage::{SOON, Stage};
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-48",
        "I-05: ringing for the caller while early media is silent: first, ringing, wait-for-rtp",
        ringback,
        &[Mutant {
            what: "what the gateway plays is silence",
            change: Change::Media(no_tones),
            group: &["CK-75", "CK-83", "CK-85", "CK-90"],
        }]
    ),
    row!(
        "CK-87",
        "D-12: with and without rtcp-mux; SRTCP goes on while held",
        control,
        &[Mutant {
            what: "no SRTCP is sent",
            change: Change::Media(|packet, _| {
                match packet.control && !packet.carrier && packet.towards == Side::Peer {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-88",
        "D-13: unknown lines of a description are ignored, and the carrier sees none",
        unknown_lines,
        &[Mutant {
            what: "a label is passed on to the carrier",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") && !passing.message.body.is_empty() {
                    passing.message.body.push_str("a=label:main-audio\r\n");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-89",
        "D-14: candidates are ignored, and none are sent",
        candidates,
        &[Mutant {
            what: "an answer has a candidate",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 200) {
                    let line = "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n";
                    passing.message.body.push_str(line);
                }
                Fate::Pass
            }),
            group: &["CK-63"],
        }]
    ),
    row!(
        "CK-90",
        "D-15, D-16: a new source, early packets, packets under a wrong key",
        sources,
        &[Mutant {
            what: "a carrier hears nothing after the fortieth packet",
            change: Change::Media(|packet, memory| {
                let voice = packet.carrier && !packet.control && packet.towards == Side::Peer;
                match voice && memory.count("voice") > 40 {
                    true => Fate::Drop,
                    false => Fate::Pass,
                }
            }),
            group: &[
                "CK-11", "CK-39", "CK-41", "CK-47", "CK-48", "CK-62", "CK-63", "CK-66", "CK-67",
                "CK-74", "CK-75", "CK-76", "CK-77", "CK-81", "CK-82", "CK-83", "CK-85", "CK-86",
                "CK-87", "CK-92", "CK-96",
            ],
        }]
    ),
];

/// What is not coded as a simulated party codes it, and not a report, is made silence.
fn no_tones(packet: &mut Packet, _: &mut Memory) -> Fate {
    let coded = packet.bytes.get(12..16) == Some(&b"\x9dTLk"[..]);
    if packet.carrier && packet.towards == Side::Peer && !packet.control && !coded {
        let silence = if packet.bytes.get(1).is_some_and(|kind| kind & 0x7f == 8) {
            0xd5
        } else {
            0xff
        };
        for octet in packet.bytes.iter_mut().skip(12) {
            *octet = silence;
        }
    }
    Fate::Pass
}

async fn ringback(trial: Trial) -> Result<String> {
    let mut told = Vec::new();
    // One gateway a policy: each in its own surroundings.
    for policy in ["first", "ringing", "wait-for-rtp"] {
        let fresh = trial.again();
        let stage = fresh
            .plan()
            .trunk("acs", &format!("early = {{ policy = \"{policy}\" }}"))
            .online()
            .await?;
        let heard = ringing_of(&stage, policy).await.context(policy)?;
        told.push(format!("{policy}: {heard}"));
    }
    Ok(told.join("; "))
}

/// A call that rings at two endpoints and then has early media which is silent at first.
async fn ringing_of(stage: &Stage, policy: &str) -> Result<String> {
    stage
        .acs
        .set_behaviour(APP, Behaviour::Manual { trying: true });
    let expected = stage.acs.expect(APP);
    let near = stage
        .carrier()?
        .call(APP, CallOptions::from(CALLER))
        .await?;
    let far = soon("the call", expected).await??;
    if policy == "first" {
        far.progress(Provisional::ringing(Duration::ZERO).forked());
        far.progress(Provisional::ringing(Duration::ZERO).forked());
    }
    far.progress(Provisional::early_media(Duration::ZERO));
    soon("ringing", near.ringing()).await?;
    far.play(Sound::Silence, 60).await;
    let tone = near.media().sound;
    let above: Vec<_> = near
        .state()
        .progress
        .into_iter()
        .filter(|one| one.status > 100)
        .collect();
    let statuses: Vec<u16> = above.iter().map(|one| one.status).collect();
    let described = above.iter().any(|one| one.early_media);
    let heard = format!("told {statuses:?}, described: {described}, {tone} packets of a tone");
    match policy {
        "first" => ensure!(statuses == [180], "{heard}"),
        "ringing" => ensure!(statuses == [180] && !described, "{heard}"),
        _ => {
            ensure!(described && tone > 10, "{heard}");
            far.play(Sound::Tone(1000), 10).await;
            far.talk(20).await;
            let through = near.media_until(SOON, |counts| {
                counts.heard.values().any(|stream| stream.received() >= 10)
            });
            ensure!(
                through.await,
                "early media that can be heard does not get through"
            );
        }
    }
    far.answer(Vec::new());
    soon("the answer", near.connected())
        .await?
        .ok()
        .context("not answered")?;
    let before = near
        .media()
        .heard
        .values()
        .map(acs_sim::Heard::received)
        .sum::<u32>();
    far.talk(20).await;
    let more = near.media_until(SOON, |counts| {
        let now: u32 = counts.heard.values().map(acs_sim::Heard::received).sum();
        now >= before + 20
    });
    ensure!(more.await, "no audio after the answer");
    Ok(heard)
}

/// How long calls stay on hold: twice the interval of the reports, and a little.
const HOLD: Duration = Duration::from_secs(11);

async fn control(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut calls = Vec::new();
    for mux in [true, false] {
        let config = MediaConfig {
            rtcp_mux: mux,
            ..media(&stage, SdpEdit::default())
        };
        let (caller, called) = stage.outward(with_media(AGENT, config)).await?;
        audio(&caller, &called, 10).await?;
        let bodies = stage.descriptions(&caller.parties().call_id);
        let answer = bodies.last().context("no answer")?;
        let muxed = answer.lines().any(|line| line == "a=rtcp-mux");
        ensure!(muxed == mux, "rtcp-mux offered: {mux}, answered: {muxed}");
        soon("hold", caller.hold(HoldDialect::Inactive)).await??;
        let before = caller.media().rtcp_times.len();
        calls.push((mux, before, caller, called));
    }
    sleep(HOLD).await;
    let mut told = Vec::new();
    for (mux, before, caller, called) in &calls {
        let times = caller.media().rtcp_times;
        let held = &times[(*before).min(times.len())..];
        let reports = held.len();
        ensure!(
            reports >= 2,
            "mux {mux}: {reports} reports in {HOLD:?} of hold"
        );
        let gaps = held
            .windows(2)
            .filter_map(|two| two[1].duration_since(two[0]).ok());
        let longest = gaps.max().unwrap_or_default();
        ensure!(
            longest <= Duration::from_secs(5),
            "mux {mux}: {longest:?} without a report"
        );
        soon("resume", caller.resume()).await??;
        becomes("resume at the carrier", called, resumed).await?;
        audio(caller, called, 10).await?;
        told.push(format!(
            "mux {mux}: {reports} reports, longest gap {longest:.1?}"
        ));
    }
    Ok(told.join("; "))
}

const ODD_LINES: [&str; 4] = [
    "a=x-candidate-info:network=1",
    "a=x-bypassid:4f1c",
    "a=x-devicecaps:audio:send,recv",
    "a=unheard-of",
];

async fn unknown_lines(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let options = with_media(AGENT, media(&stage, SdpEdit::adding(&ODD_LINES)));
    let (caller, called) = stage.outward(options).await?;
    audio(&caller, &called, 10).await?;
    let body = stage.carrier_invite()?.body;
    let lines = ["a=x-", "a=unheard-of", "a=label", "b=CT", "a=crypto"];
    for leaked in lines {
        ensure!(!body.contains(leaked), "the carrier got {leaked}: {body}");
    }
    Ok(format!("{} kinds of lines", lines.len()))
}

async fn candidates(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let ice = SdpEdit::adding(&[
        "a=ice-ufrag:4f1c",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg",
        "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host",
        "a=candidate:1 2 UDP 2130706430 192.0.2.1 4001 typ host",
    ]);
    let (caller, called) = stage.outward(with_media(AGENT, media(&stage, ice))).await?;
    audio(&caller, &called, 10).await?;
    stage.inward(CallOptions::from(CALLER)).await?;
    let sent = stage.from_gateway().into_iter().chain(stage.to_carrier()?);
    for (_, message) in sent {
        for ice in ["a=candidate", "a=ice-", "a=remote-candidates"] {
            ensure!(!message.body.contains(ice), "{}: {ice}", message.start);
        }
    }
    stage.keeps(&["D-14"])?;
    Ok("ignored and not sent".to_owned())
}

async fn sources(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    // Media before the answer.
    stage
        .acs
        .set_behaviour(APP, Behaviour::Manual { trying: true });
    let expected = stage.acs.expect(APP);
    let near = stage
        .carrier()?
        .call(APP, CallOptions::from(CALLER))
        .await?;
    let far = soon("the call", expected).await??;
    far.listen();
    far.play(Sound::Tone(1000), 10).await;
    far.answer(Vec::new());
    soon("the answer", near.connected())
        .await?
        .ok()
        .context("not answered")?;
    audio(&near, &far, 20)
        .await
        .context("after early packets")?;
    // Another source under the same key.
    far.change_source();
    audio(&near, &far, 20).await.context("after a new source")?;
    // A stranger's packets, before and amid the rest.
    far.forge(50).await?;
    let talk = audio(&near, &far, 30);
    let forged = far.forge(50);
    let (talked, forged) = tokio::join!(talk, forged);
    forged?;
    talked.context("amid forged packets")?;
    let heard = near.media();
    ensure!(
        heard.heard.len() == 1,
        "{} streams were heard",
        heard.heard.len()
    );
    Ok("early, new, forged".to_owned())
}
