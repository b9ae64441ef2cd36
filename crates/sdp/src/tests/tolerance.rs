//! Descriptions as peers write them, and as nobody should.

use super::*;

fn parse(body: &[u8]) -> Result<SessionDescription, SdpError> {
    SessionDescription::parse(body)
}

#[test]
fn what_real_peers_send_is_understood() {
    let body = b"v=0\r\no=Example Exchange 1 99999999999999999999999 IN IP4 192.0.2.1\r\n\
        c=IN IP4 192.0.2.1\nb=\nb=AS\r\n\r\nm=audio 4000 RTP/AVP 0 \na=label:caf\xe9\n";
    let description = parse(body).unwrap();
    assert_eq!(
        description.audio().unwrap().addr.to_string(),
        "192.0.2.1:4000"
    );
    assert!(parse(b"v=0\nm=audio 70000 RTP/AVP 0\n").is_err_and(|e| e.status() == 400));
    assert!(parse(b"").is_err());
}

#[test]
fn bombs_are_refused() {
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
    let many = |line: &str, count| format!("{head}{}", line.repeat(count)).into_bytes();
    let media = many("m=audio 4000 RTP/AVP 0\n", 33);
    assert_eq!(parse(&media).unwrap_err(), SdpError::TooManyMedia);
    assert_eq!(
        parse(&many("a=x\n", 1025)).unwrap_err(),
        SdpError::TooManyLines
    );
    let long = parse(&many("a=xxxxxxxxxxxxxxxxxx\n", 100_000)).unwrap_err();
    assert_eq!((long, long.status()), (SdpError::TooLong, 413));
}

#[test]
fn media_that_cannot_be_carried_has_a_reason() {
    let reason = |media: &str| sdp(media).usable_audio().unwrap_err();
    assert_eq!(reason(""), Unusable::NoAudio);
    assert_eq!(reason("m=video 4000 RTP/AVP 31\n"), Unusable::NoAudio);
    assert_eq!(reason("m=audio 0 RTP/AVP 0\n"), Unusable::PortZero);
    assert_eq!(
        reason("m=audio 4000 UDP/TLS/RTP/SAVP 0\n"),
        Unusable::Transport
    );
    let at = |address: &str| reason(&format!("m=audio 4 RTP/AVP 0\nc=IN IP4 {address}\n"));
    assert_eq!(at("224.2.1.1/127"), Unusable::Multicast);
    assert_eq!(at("255.255.255.255"), Unusable::Multicast);
    assert_eq!(at("host.example"), Unusable::Address);
    assert_eq!(
        reason("m=audio 4000 RTP/AVP abc -1 4294967296\n"),
        Unusable::NoFormat
    );
}

#[test]
fn duplicate_formats_are_used_once() {
    let description = sdp("m=audio 4000 RTP/AVP 0 0 0 8 8 101 101\n\
        a=rtpmap:0 PCMU/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\n");
    let types: Vec<_> = description
        .audio()
        .unwrap()
        .formats
        .iter()
        .map(|format| format.pt)
        .collect();
    assert_eq!(types, [0, 8, 101]);
}

#[test]
fn a_name_that_is_no_token_goes_no_further() {
    let description = sdp(
        "m=audio 4000 RTP/AVP 0 96 97 101\na=rtpmap:96 op\u{1}us/8000\n\
         a=rtpmap:97 c\u{f6}dec/8000\na=rtpmap:101 telephone-event/8000\n",
    );
    let audio = description.audio().unwrap();
    let types: Vec<_> = audio.formats.iter().map(|format| format.pt).collect();
    assert_eq!(types, [0, 101]);
    assert_eq!(audio.unnamed, [96, 97]);
}
