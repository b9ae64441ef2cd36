//! Offers and answers that another product passed on, compared by what they mean: number of media
//! descriptions, payload types, direction, keys. Every pair has a verdict and every difference a
//! reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sdp::*;

/// What a pair comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Both products say the same.
    Same,
    /// The other product was told to do something else than pass on.
    Told(&'static str),
    /// This one refuses on purpose, or says it in another way.
    OnPurpose(&'static str),
    /// Nobody knows why they differ.
    Unexplained(String),
}

/// Flags of the other product that ask for something else than passing on.
const TOLD: &[(&str, &str)] = &[
    ("codec", "to change codecs"),
    ("transcode", "to change codecs"),
    ("'ptime", "to change the packet time"),
    ("T.38", "to make fax of speech"),
    ("T38", "to make fax of speech"),
    ("OSRTP", "to offer SRTP that need not be used"),
    ("sdp-attr", "to rewrite attributes"),
    ("SDES", "to choose among suites"),
    ("original sendrecv", "to keep the direction of the address"),
    (
        "allow-asymmetric-codecs",
        "to let both sides use other codecs",
    ),
    (
        "'transport-protocol' => 'accept'",
        "to keep the answer's profile",
    ),
    ("WebRTC", "to speak WebRTC"),
];

/// Whether a description is of a kind, and why that kind is treated otherwise here.
type Purpose = (fn(&str) -> bool, &'static str);

/// Where this product does otherwise, and why.
const ON_PURPOSE: &[Purpose] = &[
    (
        |text| text.contains("a=fingerprint") && !text.contains("a=crypto"),
        "DTLS-SRTP is not spoken",
    ),
    (
        |text| text.contains("c=IN IP4 0.0.0.0") || text.contains("c=IN IP6 ::\n"),
        "a null address is a hold (RFC 3264 §8.4)",
    ),
    (
        |text| text.matches("m=audio").count() > 1,
        "of two audio descriptions the encrypted one is carried",
    ),
    (
        |text| text.contains("telephone-event") && text.contains("RTP/AVP 8 101"),
        "a format may have another number in each direction (RFC 3264 §5.1)",
    ),
    (
        |text| text.contains("this-is-unknown"),
        "parameters of a codec are its users' to know",
    ),
    (
        |text| text.contains("AMR/8000"),
        "a format may have another number in each direction (RFC 3264 §5.1)",
    ),
];

#[derive(Clone)]
struct Record {
    name: String,
    call: String,
    is_offer: bool,
    flags: String,
    heard: String,
    expected: String,
}

fn records(text: &str) -> Vec<Record> {
    let field = |value: &serde_json::Value, name: &str| match &value[name] {
        serde_json::Value::String(text) => text.clone(),
        other @ (serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_)) => other.to_string(),
    };
    let records = text.lines().map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let file = field(&value, "file");
        Record {
            name: format!("{file} {}", field(&value, "line")),
            call: format!("{file} {}", field(&value, "call")),
            is_offer: field(&value, "op") == "offer",
            flags: field(&value, "flags"),
            heard: field(&value, "sdp_in"),
            expected: numbered(&field(&value, "sdp_expected")),
        }
    });
    records.collect()
}

/// With values in the place of names that stand for any.
fn numbered(expected: &str) -> String {
    let key = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
    let lines = expected.lines().map(|line| {
        let line = line.replace("PORT", "9");
        match line.split_once("inline:CRYPTO") {
            Some((start, _)) => format!("{start}inline:{key}"),
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn local(secure: bool) -> LocalMedia {
    let addr = "203.0.113.10:20000".parse().unwrap();
    if !secure {
        return LocalMedia::plain(addr, 7);
    }
    let keys = Suite::ALL
        .iter()
        .map(|suite| MasterKey::draw(*suite, |key| key.fill(9)));
    LocalMedia::secure(addr, 7, LocalCrypto::numbered(keys))
}

fn is_secure(text: &str) -> bool {
    text.contains("RTP/SAVP")
}

/// The audio's payload types with their names, its direction, and whether it is encrypted.
type Meaning = (BTreeSet<(u8, String)>, Direction, bool);

fn meaning(description: &SessionDescription) -> Option<Meaning> {
    let audio = description.audio()?;
    let formats = audio
        .formats
        .iter()
        .map(|format| (format.pt, format.encoding.to_ascii_lowercase()))
        .map(|(pt, name)| (pt, name.replace("g729a", "g729")));
    Some((
        formats.collect(),
        audio.direction,
        audio.profile.is_secure(),
    ))
}

fn judge(record: &Record, offer: Option<&Record>) -> Verdict {
    let flags = offer.map_or("", |offer| offer.flags.as_str());
    let told = |(word, reason): &(&str, &'static str)| {
        let told = record.flags.contains(word) || flags.contains(word);
        told.then_some(*reason)
    };
    let difference = match difference(record, offer) {
        Ok(()) => return Verdict::Same,
        Err(difference) => difference,
    };
    if let Some(reason) = difference.reason {
        return Verdict::OnPurpose(reason);
    }
    if record.name.contains("-moh.pl") {
        return Verdict::Told("to hold by itself");
    }
    if let Some(reason) = TOLD.iter().find_map(told) {
        return Verdict::Told(reason);
    }
    let text = offer.map_or(&record.heard, |offer| &offer.heard);
    match ON_PURPOSE.iter().find(|(applies, _)| applies(text)) {
        Some((_, reason)) => Verdict::OnPurpose(reason),
        None => Verdict::Unexplained(difference.what),
    }
}

struct Difference {
    reason: Option<&'static str>,
    what: String,
}

impl From<String> for Difference {
    fn from(what: String) -> Self {
        Self { reason: None, what }
    }
}

fn refused(reason: &'static str) -> Difference {
    Difference {
        reason: Some(reason),
        what: String::new(),
    }
}

fn difference(record: &Record, offer: Option<&Record>) -> Result<(), Difference> {
    let heard = SessionDescription::parse(record.heard.as_bytes())
        .map_err(|error| format!("not read: {error}"))?;
    let expected = SessionDescription::parse(record.expected.as_bytes())
        .map_err(|error| format!("the expectation is not read: {error}"))?;
    let Some(audio) = heard.audio() else {
        return Err(refused(match heard.usable_audio() {
            Err(Unusable::Transport) => "DTLS-SRTP is not spoken",
            Err(Unusable::PortZero) => "the audio is switched off",
            _ => "fax and video alone are refused",
        }));
    };
    let ours = if record.is_offer {
        let mut local = local(is_secure(&record.expected));
        let (ours, _) = offer_for(audio, &mut local, &Policy::default())
            .map_err(|error| format!("not offered: {error}"))?;
        ours
    } else {
        let Some(offer) = offer else {
            return Err(refused("its offer is not part of the corpus"));
        };
        let offer = SessionDescription::parse(offer.heard.as_bytes())
            .map_err(|error| format!("the offer is not read: {error}"))?;
        let mut local = local(is_secure(&record.expected));
        let (ours, _) = answer_for(&offer, audio, &mut local, &Policy::default())
            .map_err(|error| format!("not answered: {error}"))?;
        if ours.media_count() != expected.media_count() {
            return Err(format!("{} media descriptions", ours.media_count()).into());
        }
        let keys = ours.audio().map_or(0, |audio| audio.cryptos.len());
        if keys != usize::from(is_secure(&record.expected)) {
            return Err(format!("{keys} keys").into());
        }
        ours
    };
    match (meaning(&ours), meaning(&expected)) {
        (Some(ours), Some(theirs)) if ours == theirs => Ok(()),
        (ours, theirs) => Err(format!("{ours:?} instead of {theirs:?}").into()),
    }
}

#[test]
fn every_pair_of_another_product_has_a_verdict() {
    let Some(folder) = corpora::folder("sdp-interwork") else {
        return;
    };
    let text = fs::read_to_string(folder.join("rtpengine-offer-answer.jsonl")).unwrap();
    let records = records(&text);
    assert_eq!(records.len(), 923);
    let mut offers = BTreeMap::new();
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for record in &records {
        let offer = (!record.is_offer)
            .then(|| offers.get(&record.call))
            .flatten();
        let verdict = judge(record, offer.copied());
        if let Verdict::Unexplained(what) = &verdict {
            unexplained.push(format!("{} {}: {what}", record.name, record.flags));
        }
        *verdicts.entry(verdict).or_default() += 1;
        if record.is_offer {
            offers.insert(&record.call, record);
        }
    }
    assert!(
        unexplained.is_empty(),
        "{}\n{verdicts:#?}",
        unexplained.join("\n")
    );
    for (verdict, count) in &verdicts {
        corpora::tally("sdp-interwork pairs", &format!("{verdict:?}"), *count);
    }
}
