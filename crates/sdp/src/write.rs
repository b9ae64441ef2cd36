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

/// Octets at most of a description without its formats, keys and refused lines, of each of these
/// without its texts, and of a key.
const BARE: usize = 384;
const FORMAT: usize = 64;
const REFUSED: usize = 16;
const KEY: usize = 160;

/// Octets that a description can take: no key is left behind where there was no room.
fn room(refused: &[RefusedMedia], content: &Content<'_>) -> usize {
    let format = |format: &Format| {
        let fmtp = format.fmtp.as_ref().map_or(0, |fmtp| fmtp.len());
        FORMAT + format.encoding.len() + fmtp
    };
    let line = |line: &RefusedMedia| REFUSED + line.media.len() + line.proto.len() + line.fmt.len();
    let formats: usize = content.formats.iter().map(format).sum();
    let refused: usize = refused.iter().map(line).sum();
    BARE + formats + refused + content.cryptos.len() * KEY
}

/// Writes a description and accounts for it in `local.origin`.
pub(crate) fn write(local: &mut LocalMedia, content: &Content<'_>) -> SessionDescription {
    let refused = &local.layout.refused;
    let mut text = Vec::with_capacity(room(refused, content));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{MasterKey, Suite};

    #[test]
    fn there_is_room_for_the_longest() {
        let suites = Suite::ALL.iter();
        let keys = suites.map(|suite| MasterKey::draw(*suite, |key| key.fill(0xff)));
        let cryptos = LocalCrypto::numbered(keys);
        let addr = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65534";
        let mut local = LocalMedia::secure(addr.parse().unwrap(), u64::MAX, cryptos.clone());
        local.origin.version = u64::MAX;
        local.rtcp_port = 65533;
        let long = "x".repeat(300);
        local.layout.refused = vec![
            RefusedMedia {
                media: long.clone(),
                proto: long.clone(),
                fmt: long.clone(),
            };
            3
        ];
        let format = Format {
            pt: 127,
            encoding: long.as_str().into(),
            clock: u32::MAX,
            channels: u8::MAX,
            fmtp: Some(long.as_str().into()),
        };
        for formats in [&[][..], &vec![format; 9]] {
            let content = Content {
                profile: Profile::Savpf,
                formats,
                direction: Direction::SendRecv,
                null_address: false,
                ptime: Some(u16::MAX),
                maxptime: Some(u16::MAX),
                rtcp_mux: true,
                cryptos: &cryptos,
            };
            let room = room(&local.layout.refused, &content);
            let written = write(&mut local, &content).to_bytes().len();
            assert!(written <= room, "{written} of {room}");
        }
    }
}
