//! Messages we print, read by the library `rsip` as far as its grammar reaches: no compact names,
//! no `tel:`, no folding.

use bytes::Bytes;
use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};
use sip_msg::{
    HeaderName, Method, NameAddr, Request, Response, StatusCode, TransportKind, Uri, Via,
};

fn invite() -> Request {
    let to = Uri::sip(Some("+14255550123"), "sip.example.com", Some(5061));
    let mut invite = Request::new(Method::Invite, to.with_param("transport", "tls"));
    let from = Uri::sip(Some("+14255550100"), "sbc.example.com", None).with_param("user", "phone");
    let via = Via::new(TransportKind::Tls, "sbc.example.com", Some(5061)).with_branch("z9hG4bK77");
    invite.headers.push(HeaderName::Via, via.to_string());
    let from_value = NameAddr::new(from.clone())
        .with_display("Anne \"A\"")
        .with_tag("a1");
    invite
        .headers
        .push(HeaderName::From, from_value.to_string());
    invite
        .headers
        .push(HeaderName::To, NameAddr::new(to).to_string());
    invite.headers.push(HeaderName::CallId, "c1");
    invite.headers.push(HeaderName::CSeq, "1 INVITE");
    invite.headers.push(HeaderName::MaxForwards, "70");
    invite
        .headers
        .push(HeaderName::Contact, NameAddr::new(from).to_string());
    invite.set_body("application/sdp", "v=0\r\n");
    invite
}

#[test]
fn rsip_reads_our_request() {
    let printed = invite().to_bytes();
    let read = rsip::Request::try_from(&printed[..]).unwrap();
    assert_eq!(read.method, rsip::Method::Invite);
    assert_eq!(
        read.uri.to_string(),
        "sip:+14255550123@sip.example.com:5061;transport=TLS"
    );
    let via = read.via_header().unwrap().typed().unwrap();
    assert_eq!(via.branch().unwrap().value(), "z9hG4bK77");
    assert_eq!(via.uri.host_with_port.to_string(), "sbc.example.com:5061");
    let from = read.from_header().unwrap().typed().unwrap();
    assert_eq!(from.tag().unwrap().value(), "a1");
    assert_eq!(from.uri.user().unwrap(), "+14255550100");
    assert_eq!(read.cseq_header().unwrap().seq().unwrap(), 1);
    assert_eq!(read.call_id_header().unwrap().value(), "c1");
    assert_eq!(read.max_forwards_header().unwrap().num().unwrap(), 70);
    assert_eq!(read.headers().iter().count(), 9);
    assert_eq!(Bytes::from(read.body), Bytes::from_static(b"v=0\r\n"));
}

#[test]
fn rsip_reads_our_response() {
    let response = Response::to_request(&invite(), StatusCode::RINGING, Some("b2"));
    let read = rsip::Response::try_from(&response.to_bytes()[..]).unwrap();
    assert_eq!(read.status_code, rsip::StatusCode::Ringing);
    assert_eq!(
        read.to_header().unwrap().tag().unwrap().unwrap().value(),
        "b2"
    );
    assert_eq!(
        read.cseq_header().unwrap().method().unwrap(),
        rsip::Method::Invite
    );
}
