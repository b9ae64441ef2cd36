//! Any stream: the same frames in one piece and in small ones, and none larger than the limit.
//! The first octet says how small.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_msg::{Frame, FrameError, Framing, Limits, StreamFramer, parse};

const LIMITS: Limits = Limits {
    message_bytes: 4096,
    headers: 64,
    header_bytes: 1024,
    vias: 10,
    uri_bytes: 256,
};

fn frames(stream: &[u8], chunk: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = StreamFramer::new(LIMITS);
    let mut frames = Vec::new();
    for chunk in stream.chunks(chunk) {
        framer.push(chunk);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(framer.pending() <= LIMITS.message_bytes);
    }
    (frames, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, stream)) = data.split_first() else {
        return;
    };
    let (whole, error) = frames(stream, usize::MAX.min(stream.len().max(1)));
    let (pieces, other) = frames(stream, usize::from(chunk).max(1));
    assert_eq!(whole, pieces);
    assert_eq!(error.is_some(), other.is_some());
    for frame in whole {
        let Frame::Message(message) = frame else {
            continue;
        };
        assert!(message.len() <= LIMITS.message_bytes);
        let _ = parse(message, &LIMITS, Framing::Stream);
    }
    if let Some(error) = error {
        let expected = error.error.clone();
        assert_eq!(error.into_rejected(&LIMITS).error, expected);
    }
});
