//! Our own descriptions: nothing in them comes from the other leg but what was understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zeroize::Zeroize as _;

use crate::audio::{Format, Profile};
use crate::crypto::LocalCrypto;
use crate::description::SessionDescription;
use crate::direction::Direction;
use crate::local::{LocalMedia, RefusedMedia};
use crate::print::{Digits, Line};

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

/// Octets of a usual description of ours, of a format, of a key, and of a line that is refused.
const USUAL: usize = 160;
const FORMAT: usize = 64;
const KEY: usize = 128;
const REFUSED: usize = 32;

/// Writes a description and accounts for it in `local.origin`.
pub(crate) fn write(local: &mut LocalMedia, content: &Content<'_>) -> SessionDescription {
    let refused = &local.layout.refused;
    let others = refused.iter().map(|line| line.fmt.len() + REFUSED);
    let keys = content.cryptos.len() * KEY;
    // Room for all of it, so that no key is left behind where it did not fit.
    let room = USUAL + content.formats.len() * FORMAT + keys + others.sum::<usize>();
    let mut text = Vec::with_capacity(room);
    let before = put_session(&mut text, local, content);
    let position = local.layout.audio.min(refused.len());
    for line in &refused[..position] {
        put_refused(&mut text, line);
    }
    put_audio(&mut text, local, content);
    for line in &refused[position..] {
        put_refused(&mut text, line);
    }
    local.origin.advance(fingerprint(&text));
    let version = Digits::of(local.origin.version);
    let (head, tail) = (&text[..before], &text[before + VERSION.len()..]);
    let told = [head, version.as_str().as_bytes(), tail].concat();
    let secret = !content.cryptos.is_empty();
    if secret {
        text.zeroize();
    }
    SessionDescription::of_ours(told, secret)
}

/// The version that a description is compared by.
const VERSION: &str = "0";

/// Everything before the media; where the version stands.
fn put_session(text: &mut Vec<u8>, local: &LocalMedia, content: &Content<'_>) -> usize {
    text.extend_from_slice(b"v=0\r\no=- ");
    text.number(local.origin.session_id);
    text.push(b' ');
    let before = text.len();
    text.extend_from_slice(VERSION.as_bytes());
    text.push(b' ');
    text.address(local.origin.addr);
    text.extend_from_slice(b"\r\ns=-\r\nc=");
    text.address(match (content.null_address, local.addr.ip()) {
        (false, ip) => ip,
        (true, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (true, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    });
    text.extend_from_slice(b"\r\nt=0 0\r\n");
    before
}

fn put_refused(text: &mut Vec<u8>, line: &RefusedMedia) {
    text.extend_from_slice(b"m=");
    text.words(&[&line.media, "0", &line.proto, &line.fmt]);
    text.extend_from_slice(b"\r\n");
}

fn put_audio(text: &mut Vec<u8>, local: &LocalMedia, content: &Content<'_>) {
    text.extend_from_slice(b"m=audio ");
    text.number(local.addr.port().into());
    text.push(b' ');
    text.extend_from_slice(content.profile.as_str().as_bytes());
    for format in content.formats {
        text.push(b' ');
        text.number(format.pt.into());
    }
    text.extend_from_slice(b"\r\n");
    for format in content.formats {
        put_format(text, format);
    }
    for (name, ms) in [("ptime", content.ptime), ("maxptime", content.maxptime)] {
        if let Some(ms) = ms {
            text.attribute(name, Some(Digits::of(ms.into()).as_str()));
        }
    }
    if local.addr.port().checked_add(1) != Some(local.rtcp_port) {
        let port = Digits::of(local.rtcp_port.into());
        text.attribute("rtcp", Some(port.as_str()));
    }
    if content.rtcp_mux {
        text.attribute("rtcp-mux", None);
    }
    for crypto in content.cryptos {
        let mut line = crypto.to_attribute().to_string();
        text.attribute("crypto", Some(&line));
        line.zeroize();
    }
    text.attribute(content.direction.as_str(), None);
}

fn put_format(text: &mut Vec<u8>, format: &Format) {
    text.extend_from_slice(b"a=rtpmap:");
    text.number(format.pt.into());
    text.push(b' ');
    text.text(&format.encoding);
    text.push(b'/');
    text.number(format.clock.into());
    if format.channels != 1 {
        text.push(b'/');
        text.number(format.channels.into());
    }
    text.extend_from_slice(b"\r\n");
    if let Some(fmtp) = &format.fmtp {
        text.extend_from_slice(b"a=fmtp:");
        text.number(format.pt.into());
        text.push(b' ');
        text.text(fmtp);
        text.extend_from_slice(b"\r\n");
    }
}

/// FNV-1a over a description as written with version 0.
fn fingerprint(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
