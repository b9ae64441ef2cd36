//! `[media]` and `[trunk.media]`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use b2bua::profile::{MediaPolicy, TrunkProfile};
use media_io::{PathChoice, PathKind};
use media_relay::LatchPolicy;
use sdp::{CodecPattern, Suite};

use super::choice;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// One call with a failed attempt takes three pairs at once; more than the most are more sockets
/// than systems grant.
const RESERVE: RangeInclusive<u16> = 4..=4096;

/// What holds for all media ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPlane {
    /// How long a released pair of ports rests.
    pub quarantine: Duration,
    /// How long it rests at least.
    pub quarantine_floor: Duration,
    /// Pairs that each shard keeps bound on each interface ahead of need.
    pub reserve: u16,
    /// Percent of an interface's pairs from which on its alarm is raised.
    pub ports_alarm: u8,
    /// The code point of RTP and RTCP.
    pub dscp: u8,
    /// How packets travel between the kernel and the shards.
    pub path: PathChoice,
}

impl Default for MediaPlane {
    fn default() -> Self {
        Self {
            quarantine: Duration::from_secs(30),
            quarantine_floor: Duration::from_millis(500),
            reserve: 128,
            ports_alarm: 80,
            dscp: 46,
            path: PathChoice::Auto,
        }
    }
}

/// Reads `[media]`.
pub(super) fn plane(raw: &raw::Media, findings: &mut Findings) -> MediaPlane {
    let mut plane = MediaPlane::default();
    if let Some(span) = raw.quarantine {
        plane.quarantine = span.0;
    }
    if let Some(span) = raw.quarantine_floor {
        plane.quarantine_floor = span.0;
    }
    if let Some(pairs) = &raw.reserve {
        plane.reserve = *pairs.get_ref();
        if !RESERVE.contains(&plane.reserve) {
            findings.error(pairs.span(), "media: `reserve` is a number from 4 to 4096");
        }
    }
    if let Some(percent) = &raw.ports_alarm {
        plane.ports_alarm = *percent.get_ref();
        if !(10..=100).contains(&plane.ports_alarm) {
            findings.error(
                percent.span(),
                "media: `ports_alarm` is a number from 10 to 100",
            );
        }
    }
    if let Some(dscp) = &raw.dscp {
        plane.dscp = *dscp.get_ref();
        if plane.dscp > 63 {
            findings.error(dscp.span(), "media: `dscp` is a number from 0 to 63");
        }
    }
    let known: Vec<&str> = std::iter::once("auto")
        .chain(PathKind::ALL.map(PathKind::name))
        .collect();
    let path = choice(raw.path.as_ref(), "media: path", &known, findings);
    if let Some(kind) = path.as_deref().and_then(PathKind::named) {
        plane.path = PathChoice::Prefer(kind);
    }
    plane
}

/// Puts what the tables say over the preset's values.
pub(super) fn apply(media: &raw::TrunkMedia, profile: &mut TrunkProfile, findings: &mut Findings) {
    let microsoft = profile.preset.is_microsoft();
    profile.rtcp_mux = media.rtcp_mux.unwrap_or(profile.rtcp_mux);
    let what = format!("trunk {}: media: latch", profile.name);
    let known = ["authenticated", "signalled", "same-host"];
    match choice(media.latch.as_ref(), &what, &known, findings).as_deref() {
        Some("authenticated") => profile.latch = LatchPolicy::Authenticated,
        Some("signalled") => profile.latch = LatchPolicy::Signalled,
        Some("same-host") => profile.latch = LatchPolicy::SameHost,
        Some(_) | None => {}
    }
    networks(media, profile, findings);
    let policy = &mut profile.media;
    deny(media, policy, findings);
    suites(media, microsoft, policy, findings);
    if let Some(transcode) = &media.transcode {
        policy.transcode = *transcode.get_ref();
    }
    if let Some(span) = media.hold_inactivity {
        policy.hold_inactivity = Some(span.0).filter(|span| !span.is_zero());
    }
}

/// Microsoft's media comes from where its signalling comes from, also where that is a laboratory.
fn networks(media: &raw::TrunkMedia, profile: &mut TrunkProfile, findings: &mut Findings) {
    let mut networks = Vec::new();
    for text in &media.networks.0 {
        match b2bua::profile::network(text.get_ref()) {
            Ok(network) => networks.push(network),
            Err(fault) => {
                let name = &profile.name;
                findings.error(
                    text.span(),
                    format!("trunk {name}: media: networks: {fault}"),
                );
            }
        }
    }
    if networks.is_empty() && profile.preset.is_microsoft() {
        networks.clone_from(&profile.allow);
    }
    profile.media.networks = networks.into();
}

fn deny(media: &raw::TrunkMedia, policy: &mut MediaPolicy, findings: &mut Findings) {
    for text in &media.deny.0 {
        if CodecPattern::parse(text.get_ref()).is_some() {
            policy.deny.push(Arc::from(text.get_ref().as_str()));
        } else {
            findings
                .error(
                    text.span(),
                    format!("media: `{}` names no codec", text.get_ref()),
                )
                .help("write the encoding name of SDP: \"G729\", \"SILK/16000\"");
        }
    }
}

fn suites(
    media: &raw::TrunkMedia,
    microsoft: bool,
    policy: &mut MediaPolicy,
    findings: &mut Findings,
) {
    let mut suites = Vec::new();
    for text in &media.srtp_suites.0 {
        match Suite::from_token(text.get_ref()) {
            Some(suite) if microsoft && suite != Suite::AesCm128HmacSha1_80 => {
                findings.error(
                    text.span(),
                    "media: Microsoft's media takes `AES_CM_128_HMAC_SHA1_80` and nothing else",
                );
            }
            Some(suite) if suites.contains(&suite) => {
                let twice = format!("media: suite `{}` is there twice", suite.as_str());
                findings.error(text.span(), twice);
            }
            Some(suite) => suites.push(suite),
            None => {
                let known = Suite::ALL.map(Suite::as_str).join(", ");
                findings
                    .error(
                        text.span(),
                        format!("media: suite `{}` is not known", text.get_ref()),
                    )
                    .help(format!("one of {known}"));
            }
        }
    }
    if !suites.is_empty() {
        policy.suites = suites;
    }
}
