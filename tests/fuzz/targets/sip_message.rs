//! Any datagram: parsed or rejected; what is parsed prints to what reads back alike, and every
//! typed header can be asked for.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_msg::{Framing, HeaderName, Headers, Limits, Response, parse};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    match parse(Bytes::copy_from_slice(data), &limits, Framing::Datagram) {
        Ok(message) => {
            read(message.headers());
            let printed = message.to_bytes();
            if let Ok(again) = parse(printed.clone(), &limits, Framing::Stream) {
                assert!(
                    message
                        .headers()
                        .iter()
                        .all(|field| again.headers().contains(&field.name()))
                );
                assert_eq!(again.to_bytes(), printed);
            } else {
                // Only by the Content-Length printing added can a message outgrow a limit.
                let grown = printed.len() > limits.message_bytes
                    || message.headers().len() >= limits.headers;
                assert!(grown, "{message:?}");
            }
        }
        Err(rejected) => {
            let Some(request) = rejected.request else {
                return;
            };
            assert!(request.headers.top_via().is_ok());
            read(&request.headers);
            let response = Response::to_request(&request, rejected.status, Some("tag")).to_bytes();
            let head_end = response.windows(4).position(|four| four == b"\r\n\r\n");
            assert_eq!(
                head_end,
                Some(response.len() - 4),
                "the response holds a line end too many"
            );
        }
    }
});

fn read(headers: &Headers) {
    let _ = (
        headers.vias(),
        headers.from(),
        headers.to(),
        headers.contacts(),
        headers.routes(),
    );
    let _ = (
        headers.record_routes(),
        headers.p_asserted_identities(),
        headers.refer_to(),
    );
    let _ = (
        headers.cseq(),
        headers.call_id(),
        headers.max_forwards(),
        headers.reason(),
    );
    let _ = (
        headers.replaces(),
        headers.session_expires(),
        headers.min_se(),
        headers.rack(),
    );
    let _ = (
        headers.warnings(),
        headers.retry_after(),
        headers.date(),
        headers.content_type(),
    );
    let _ = (
        headers.privacy(),
        headers.event(),
        headers.user_to_user(),
        headers.allow(),
    );
    let _ = (
        headers.accepts("application/sdp"),
        headers.content_type_params(),
    );
    let _ = headers.authentication(&HeaderName::Authorization);
}
