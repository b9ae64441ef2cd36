//! Our own descriptions: nothing in them comes from the other leg but what was understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sdp_types::{Attribute, Connection, Media, NetType, Origin as OriginLine, Session, Time};
use zeroize::Zeroize as _;

use crate::audio::{Format, Profile};
use crate::crypto::LocalCrypto;
use crate::description::{SessionDescription, holds_keys, written};
use crate::direction::Direction;
use crate::local::{LocalMedia, RefusedMedia};
use crate::print::{Digits, address};

/// The parts of an audio media description that differ from one description to the next.
pub(crate) struct Content<'a> {
    pub(crate) profile: Profile,
    pub(crate) formats: &'a [Format],
    pub(crate) direction: Direction,
    /// The hold of RFC 2543: an address that nothing can be sent to, in the place of ours.
    pub(crate) null_address: bool,
    pub(crate) ptime: Option<u16>,
    pub(crate) maxptime: Option<u16>,
    pub(crate) rtcp_mux: bool,
    pub(crate) cryptos: &'a [LocalCrypto],
}

/// Writes a description and accounts for it in `local.origin`.
pub(crate) fn write(local: &mut LocalMedia, content: &Content<'_>) -> SessionDescription {
    let origin = OriginLine {
        username: None,
        sess_id: local.origin.session_id.to_string(),
        sess_version: 0,
        nettype: NetType::In,
        addrtype: local.origin.addr.into(),
        unicast_address: address(local.origin.addr),
    };
    let mut session = Session::new(origin, "-");
    let ip = match (content.null_address, local.addr.ip()) {
        (false, ip) => ip,
        (true, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (true, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    };
    session.connection = Some(Connection {
        nettype: NetType::In,
        addrtype: ip.into(),
        connection_address: address(ip),
    });
    session.times.push(Time::new(0, 0));
    session
        .medias
        .extend(local.layout.refused.iter().map(refused));
    let position = local.layout.audio.min(session.medias.len());
    session.medias.insert(position, audio(local, content));
    let mut text = written(&session);
    local.origin.advance(fingerprint(&text));
    session.origin.sess_version = local.origin.version;
    let before = "v=0\r\no=- ".len() + session.origin.sess_id.len() + " ".len();
    let version = Digits::of(local.origin.version);
    let (head, tail) = (&text[..before], &text[before + "0".len()..]);
    let told = [head, version.as_str().as_bytes(), tail].concat();
    if holds_keys(&session) {
        text.zeroize();
    }
    SessionDescription::of_ours(session, told)
}

fn refused(line: &RefusedMedia) -> Media {
    Media {
        media: line.media.clone(),
        port: 0,
        num_ports: None,
        proto: line.proto.clone(),
        fmt: line.fmt.clone(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

fn audio(local: &LocalMedia, content: &Content<'_>) -> Media {
    let formats: Vec<_> = content
        .formats
        .iter()
        .map(|format| format.pt.to_string())
        .collect();
    let mut media = refused(&RefusedMedia {
        media: "audio".to_owned(),
        proto: content.profile.as_str().to_owned(),
        fmt: formats.join(" "),
    });
    media.port = local.addr.port();
    let mut push = |name: &str, value: Option<String>| {
        media.attributes.push(Attribute {
            attribute: name.to_owned(),
            value,
        });
    };
    for format in content.formats {
        push("rtpmap", Some(rtpmap(format)));
        if let Some(fmtp) = &format.fmtp {
            let pt = Digits::of(format.pt.into());
            push("fmtp", Some([pt.as_str(), " ", fmtp].concat()));
        }
    }
    if let Some(ms) = content.ptime {
        push("ptime", Some(ms.to_string()));
    }
    if let Some(ms) = content.maxptime {
        push("maxptime", Some(ms.to_string()));
    }
    if local.addr.port().checked_add(1) != Some(local.rtcp_port) {
        push("rtcp", Some(local.rtcp_port.to_string()));
    }
    if content.rtcp_mux {
        push("rtcp-mux", None);
    }
    for crypto in content.cryptos {
        push("crypto", Some(crypto.to_attribute().to_string()));
    }
    push(content.direction.as_str(), None);
    media
}

fn rtpmap(format: &Format) -> String {
    let Format {
        pt,
        encoding,
        clock,
        channels,
        ..
    } = format;
    let (pt, clock) = (Digits::of((*pt).into()), Digits::of((*clock).into()));
    let (pt, clock) = (pt.as_str(), clock.as_str());
    if *channels == 1 {
        [pt, " ", encoding, "/", clock].concat()
    } else {
        let channels = Digits::of((*channels).into());
        [pt, " ", encoding, "/", clock, "/", channels.as_str()].concat()
    }
}

/// FNV-1a over a description as written with version 0.
fn fingerprint(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
