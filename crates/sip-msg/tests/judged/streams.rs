//! Streams of many messages, cut in every way.

use std::fs;

use bytes::Bytes;
use proptest::prelude::*;
use sip_msg::{Frame, Framing, Limits, Message, StreamFramer, parse};

const LIMITS: Limits = Limits {
    message_bytes: 64 << 10,
    headers: 256,
    header_bytes: 8 << 10,
    vias: 70,
    uri_bytes: 2 << 10,
};

/// Every frame of `stream` pushed in chunks of these sizes in turn, and whether it broke.
fn frames(stream: &[u8], chunks: &[usize]) -> (Vec<Frame>, bool) {
    let mut framer = StreamFramer::new(LIMITS);
    let mut frames = Vec::new();
    let (mut rest, mut sizes) = (stream, chunks.iter().cycle());
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        rest = behind;
        framer.push(chunk);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn stored(file: &str) -> Option<Vec<u8>> {
    let path = corpora::folder("sip-streams")?.join(file);
    let Ok(text) = fs::read(path) else {
        corpora::skip(&format!("stream {file} is not there"));
        return None;
    };
    let mut stream = Vec::with_capacity(text.len() + 4096);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        stream.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        stream.extend_from_slice(b"\r\n");
    }
    Some(stream)
}

#[test]
fn stored_streams_give_the_same_messages_for_every_chunking() {
    for file in ["generic.txt", "lioneagle-sipparser.txt"] {
        let Some(stream) = stored(file) else { return };
        let (whole, broken) = frames(&stream, &[usize::MAX]);
        assert!(
            whole.len() > 50,
            "{file}: {} frames, broken: {broken}",
            whole.len()
        );
        for chunks in [&[1][..], &[2], &[3, 1, 7], &[1460], &[64, 1, 1, 1, 4096]] {
            assert_eq!(
                frames(&stream, chunks),
                (whole.clone(), broken),
                "{file} {chunks:?}"
            );
        }
        let verdict = format!("frames of {file}, the same for five ways to cut it");
        corpora::tally("sip-streams", &verdict, whole.len());
    }
}

fn message(body: &str) -> String {
    format!(
        "MESSAGE sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP c.example.com;branch=z9hG4bK1\r\n\
         From: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: 1\r\n\
         CSeq: 1 MESSAGE\r\nl: {}\r\n\r\n{body}",
        body.len()
    )
}

proptest! {
    #[test]
    fn messages_and_pings_come_back_whole(
        bodies in prop::collection::vec("[ -~\r\n]{0,200}", 1..12),
        chunks in prop::collection::vec(1usize..700, 1..20),
        pings in any::<u16>(),
    ) {
        let mut stream = String::new();
        let mut expected = Vec::new();
        for (at, body) in bodies.iter().enumerate() {
            if pings & (1 << at) != 0 {
                stream.push_str("\r\n\r\n");
                expected.push(Frame::Ping);
            }
            let message = message(body);
            stream.push_str(&message);
            expected.push(Frame::Message(message.into()));
        }
        prop_assert_eq!(frames(stream.as_bytes(), &chunks), (expected, false));
    }

    #[test]
    fn any_bytes_are_framed_alike_however_they_arrive(
        stream in prop::collection::vec(prop::sample::select(&b"\r\n\r\nl: 3Via:xSIP/2.0 "[..]), 0..400),
        chunks in prop::collection::vec(1usize..30, 1..10),
    ) {
        prop_assert_eq!(frames(&stream, &chunks), frames(&stream, &[usize::MAX]));
    }
}

#[test]
fn a_single_line_end_between_messages_is_skipped() {
    let stream = format!("\r\n{}\r\n{}\r\n", message("a"), message("b"));
    for chunks in [&[1][..], &[usize::MAX]] {
        let (frames, broken) = frames(stream.as_bytes(), chunks);
        assert_eq!((frames.len(), broken), (2, false));
    }
}

#[test]
fn a_stream_that_cannot_be_framed_is_answered_and_given_up() {
    let valid = message("hello");
    for (from, to, status) in [
        ("l: 5", "l: -5", 400),
        ("l: 5", "l: 5 5", 400),
        ("l: 5", "l: +5", 400),
        ("l: 5", "l: 0x5", 400),
        ("l: 5", "l:", 400),
        ("l: 5", "l: 5\r\nContent-Length: 5", 400),
        ("l: 5", "l: 5\r\nCONTENT-LENGTH \t: 6", 400),
        ("l: 5", "l: 4294967296", 413),
        ("l: 5", "l: 18446744073709551621", 400),
        ("l: 5", "l: 99999", 413),
        ("Call-ID: 1\r\n", "Call-ID: 1\n", 400),
    ] {
        let stream = format!(
            "{}BYE sip:smuggled@example.com SIP/2.0\r\n\r\n",
            valid.replace(from, to)
        );
        let mut framer = StreamFramer::new(LIMITS);
        framer.push(stream.as_bytes());
        let error = framer.next().unwrap_err();
        let rejected = error.clone().into_rejected(&LIMITS);
        assert_eq!(rejected.status.code(), status, "{to:?}");
        assert!(rejected.request.is_some(), "{to:?}: {rejected:?}");
        framer.push(valid.as_bytes());
        assert_eq!(framer.next(), Err(error), "{to:?}");
    }
}

#[test]
fn a_folded_content_length_is_one_value() {
    let mut framer = StreamFramer::new(LIMITS);
    framer.push(
        message("hello")
            .replace("l: 5", "Content-Length :\r\n\t5")
            .as_bytes(),
    );
    let Ok(Some(Frame::Message(frame))) = framer.next() else {
        panic!("no frame")
    };
    let Ok(Message::Request(request)) = parse(frame, &LIMITS, Framing::Stream) else {
        panic!()
    };
    assert_eq!(request.body, Bytes::from_static(b"hello"));
}

#[test]
fn a_head_that_does_not_end_is_given_up_at_the_limit() {
    let mut framer = StreamFramer::new(LIMITS);
    framer.push(b"OPTIONS sip:a@example.com SIP/2.0\r\n");
    let mut pushed = 0;
    while framer.next() == Ok(None) {
        framer.push(b"X-Filler: 0123456789012345678901234567890123456789\r\n");
        pushed += 52;
        assert!(pushed < 70_000 && framer.pending() < 70_000);
    }
    assert_eq!(
        framer.next().unwrap_err().error,
        sip_msg::ParseError::MessageTooLarge
    );
    assert_eq!(framer.pending(), 0);
}
