//! CK-48, CK-79 to CK-90: descriptions, keys and packets.

use std::time::Duration;

use acs_sim::{
    Behaviour, CallOptions, Codec, HoldDialect, InDialogRequest, MediaConfig, Provisional, SdpEdit,
    Sound, exchange_digits,
};
use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::conformance::calls::{
    AGENT, APP, CALLER, PHONE, audio, line, refused, soon, with_media,
};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Packet, Passing, Side};
use crate::conformance::stage::{SOON, Stage};
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

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
            group: &["CK-63", "CK-67", "CK-82", "CK-90"],
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
    row!(
        "CK-83",
        "D-05: codecs in the order and within the list of the trunk; none in common is transcoded",
        codecs,
        &[Mutant {
            what: "PCMA is never offered",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    let body = &mut passing.message.body;
                    *body = body.replace("RTP/SAVP 8 ", "RTP/SAVP ");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-84",
        "D-08: no payload type twice, in the format list or among the maps",
        payload_types,
        &[Mutant {
            what: "an event type other than 101 is listed twice",
            change: Change::Sip(|passing, _| {
                let body = &mut passing.message.body;
                let media = line(body, "m=audio ").unwrap_or_default().to_owned();
                if passing.towards == Side::Peer && media.split(' ').any(|one| one == "96") {
                    *body = body.replacen(&media, &format!("{media} 96"), 1);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-85",
        "D-09: RFC 4733 both ways; tones and INFO of the carrier are turned into it and back",
        digits,
        &[Mutant {
            what: "the carrier's INFO is refused",
            change: Change::Carrier(|passing, _| {
                if passing.message.method() == Some("INFO") && passing.towards == Side::Gateway {
                    passing.message.body = "Signal=x\r\n".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-86",
        "D-10: comfort noise is taken and not required",
        comfort_noise,
        &[Mutant {
            what: "an offer without comfort noise is refused",
            change: Change::Sip(|passing, memory| {
                let message = &passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                let offer = message.method() == Some("INVITE") && message.body.contains("m=audio");
                if passing.towards == Side::Gateway
                    && offer
                    && !message.body.contains("CN/8000")
                    && !message.first("To").unwrap_or_default().contains("tag=")
                {
                    memory.keep(&key, "");
                }
                if memory.kept(&key).is_some() && passing.answers("INVITE", 200) {
                    refuse(passing);
                }
                Fate::Pass
            }),
            group: &[],
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
                "CK-41", "CK-47", "CK-48", "CK-62", "CK-63", "CK-66", "CK-67", "CK-74", "CK-81",
                "CK-82", "CK-83", "CK-85", "CK-86", "CK-87",
            ],
        }]
    ),
];

/// Turns an acceptance into a refusal.
fn refuse(passing: &mut Passing) {
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

fn media(stage: &Stage, edit: SdpEdit) -> MediaConfig {
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

async fn codecs(trial: Trial) -> Result<String> {
    // In common: the trunk's own order, and nothing outside its list.
    let fresh = trial.again();
    let stage = fresh
        .plan()
        .trunk("acs", "codecs = [\"PCMA\", \"PCMU\"]")
        .online()
        .await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 10).await?;
    let invite = stage.microsoft_invite()?;
    let media = line(&invite.body, "m=audio ")
        .context("no audio")?
        .to_owned();
    let formats: Vec<&str> = media.split(' ').skip(2).collect();
    ensure!(formats.starts_with(&["8", "0"]), "offered {formats:?}");
    ensure!(!formats.contains(&"9"), "offered {formats:?}");
    drop(stage);
    // Nothing in common: the gateway turns one into the other.
    let fresh = trial.again();
    let stage = fresh
        .plan()
        .acs(|acs| acs.media.codecs = vec![Codec::Pcma])
        .carrier(|carrier| carrier.media.codecs = vec![Codec::Pcmu])
        .online()
        .await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    near.play(Sound::Tone(1000), 50).await;
    far.play(Sound::Tone(1000), 50).await;
    let heard = far.media_until(SOON, |counts| counts.sound >= 40).await;
    ensure!(heard, "PCMU to PCMA: {} packets", far.media().sound);
    let heard = near.media_until(SOON, |counts| counts.sound >= 40).await;
    ensure!(heard, "PCMA to PCMU: {} packets", near.media().sound);
    Ok(format!(
        "offered {formats:?}; PCMU and PCMA turned into each other"
    ))
}

async fn payload_types(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let bind = stage.places.carrier.ip();
    let mut seen = 0;
    for event in [96, 100, 101, 127] {
        let media = MediaConfig {
            bind,
            telephone_event: Some(event),
            ..MediaConfig::default()
        };
        let (near, far) = stage.inward(with_media(CALLER, media)).await?;
        let digits = exchange_digits(&near, &far, "42").await;
        ensure!(digits == "42", "event type {event}: heard {digits:?}");
    }
    let (_, called) = stage.outward(CallOptions::from(AGENT)).await?;
    soon("an offer that lists a type twice", async {
        let twice = format!(
            "v=0\r\no=- 9 9 IN IP4 {bind}\r\ns=-\r\nc=IN IP4 {bind}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0 8 0 101 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            called.media_address().port()
        );
        // Refused or not: what counts is what goes on to Microsoft.
        let _ = called.reoffer(&twice).await;
    })
    .await?;
    for (_, message) in stage.from_gateway() {
        let Some(media) = line(&message.body, "m=audio ") else {
            continue;
        };
        let mut formats: Vec<&str> = media.split(' ').skip(2).collect();
        let mut maps: Vec<&str> = message
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next())
            .collect();
        for list in [&mut formats, &mut maps] {
            let before = list.len();
            list.sort_unstable();
            list.dedup();
            ensure!(list.len() == before, "{}: {}", message.start, message.body);
        }
        seen += 1;
    }
    stage.keeps(&["D-08"])?;
    Ok(format!("{seen} descriptions"))
}

async fn digits(trial: Trial) -> Result<String> {
    let keys = "159*0#";
    let fresh = trial.again();
    let stage = fresh.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    for (from, to) in [(&near, &far), (&far, &near)] {
        let heard = exchange_digits(from, to, keys).await;
        ensure!(heard == keys, "events: {keys} became {heard:?}");
    }
    drop(stage);
    // A carrier that knows no events: tones in the audio, both ways.
    let fresh = trial.again();
    let stage = fresh
        .plan()
        .trunk("carrier", "dtmf = { mode = \"inband\" }")
        .carrier(|carrier| carrier.media.telephone_event = None)
        .online()
        .await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    for key in keys.chars() {
        near.play(Sound::Key(key), 6).await;
        near.play(Sound::Silence, 4).await;
    }
    let heard = far.digits(keys.len(), SOON).await;
    ensure!(
        heard == keys,
        "tones of the carrier: {keys} became {heard:?}"
    );
    far.send_digits(keys).await;
    near.media_until(SOON, |counts| counts.keys.len() >= keys.len())
        .await;
    let heard = near.media().keys;
    ensure!(
        heard == keys,
        "tones for the carrier: {keys} became {heard:?}"
    );
    drop(stage);
    // A carrier that sends INFO.
    let fresh = trial.again();
    let stage = fresh
        .plan()
        .trunk("carrier", "dtmf = { mode = \"info\" }")
        .online()
        .await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    for key in keys.chars() {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        let info = InDialogRequest::new("INFO").body("application/dtmf-relay", &body);
        let answer = soon("INFO", near.request(info))
            .await?
            .context("INFO was not answered")?;
        ensure!(
            answer.status.code() == 200,
            "INFO was answered {}",
            answer.status.code()
        );
    }
    let heard = far.digits(keys.len(), SOON).await;
    ensure!(
        heard == keys,
        "INFO of the carrier: {keys} became {heard:?}"
    );
    far.send_digits(keys).await;
    let signals = stage
        .until("INFO at the carrier", || {
            let infos = stage.asked_of_carrier("INFO").ok()?;
            let signals: String = infos
                .iter()
                .filter_map(|(_, info)| line(&info.body, "Signal="))
                .map(str::trim)
                .collect();
            (signals.len() >= keys.len()).then_some(signals)
        })
        .await?;
    ensure!(
        signals == keys,
        "INFO for the carrier: {keys} became {signals:?}"
    );
    stage.keeps(&["M-01"])?;
    Ok(format!("{keys} as events, tones and INFO, both ways"))
}

async fn comfort_noise(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let without = SdpEdit::new(|text| {
        let lines = text.lines().filter(|line| !line.contains("CN/8000"));
        let mut text: String = lines.map(|line| format!("{line}\r\n")).collect();
        if let Some(media) = line(&text.clone(), "m=audio ") {
            text = text.replace(media, media.trim_end_matches(" 13"));
        }
        text
    });
    for (what, edit) in [("with", SdpEdit::default()), ("without", without)] {
        let options = with_media(AGENT, media(&stage, edit));
        let (caller, called) = stage.outward(options).await.context(what)?;
        audio(&caller, &called, 10).await.context(what)?;
        caller.play(Sound::ComfortNoise, 5).await;
        audio(&caller, &called, 10).await.context(what)?;
        let wrong = called.media().wrong_type;
        ensure!(
            wrong == 0,
            "{what}: {wrong} packets of a type not agreed on"
        );
    }
    Ok("with and without".to_owned())
}

async fn control(trial: Trial) -> Result<String> {
    let mut told = Vec::new();
    let stage = trial.plan().online().await?;
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
        sleep(Duration::from_secs(11)).await;
        let times = caller.media().rtcp_times;
        let held = &times[before.min(times.len())..];
        ensure!(
            held.len() >= 2,
            "mux {mux}: {} reports in 11 s of hold",
            held.len()
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
        audio(&caller, &called, 10).await?;
        told.push(format!(
            "mux {mux}: {} reports, longest gap {longest:.1?}",
            held.len()
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
