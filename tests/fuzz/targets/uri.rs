//! Any text as URI, address, Via and parameters: what is read prints to what reads back alike.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_msg::{NameAddr, Params, Uri, Via};

fuzz_target!(|data: &[u8]| {
    let text = Bytes::copy_from_slice(data);
    if let Ok(uri) = Uri::parse(text.clone()) {
        assert_eq!(uri.as_str().as_bytes(), data);
        assert!(uri.equivalent(&uri));
        let _ = (
            uri.user(),
            uri.password(),
            uri.decoded_user(),
            uri.host(),
            uri.headers(),
        );
        let built = uri
            .with_param("x", "y")
            .with_user("u")
            .with_host("h.example", Some(1));
        assert_ne!(built.as_str(), "sip:invalid");
    }
    if let Ok(addr) = NameAddr::parse(text.clone()) {
        let again = NameAddr::parse(addr.to_string()).expect("what is printed is read");
        assert_eq!(again.to_string(), addr.to_string());
    }
    if let Ok(via) = Via::parse(text.clone()) {
        assert_eq!(
            Via::parse(via.to_string()).expect("what is printed is read"),
            via
        );
        let _ = (via.received(), via.rport(), via.sent_by_host());
    }
    if let Ok(mut params) = Params::parse(text) {
        params.set("tag", "x y");
        assert!(Params::parse(params.to_string().into()).is_ok(), "{params}");
    }
    if let Ok(text) = str::from_utf8(data) {
        let built = Uri::sip(Some(text), text, Some(1)).with_param(text, text);
        assert!(built.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }
});
