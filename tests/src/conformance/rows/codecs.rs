//! CK-83 to CK-86: codecs, payload types, digits, comfort noise.

use acs_sim::{CallOptions, Codec, InDialogRequest, MediaConfig, SdpEdit, Sound, exchange_digits};
use anyhow::{Context as _, Result, ensure};

use super::srtp::{media, refuse};
use crate::conformance::calls::{AGENT, CALLER, audio, line, soon, with_media};
use crate::conformance::mutant::{Change, Fate, Mutant, Side};
use crate::conformance::stage::SOON;
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[
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
];

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
