//! Dialogs: RFC 3261 §12.

use sip_msg::wire::To;
use sip_msg::{Message, Method, StatusCode, TransportKind, Uri};

use super::bench::{
    Bench, arrival, destination, field, incoming, message, names, read, settings, within,
};
use crate::{DialogError, DialogKey, DialogSettings, DialogState, Role, UaConfig, UaEvent};

/// A confirmed dialog that the peer set up with these header fields more.
fn called_with(bench: &mut Bench, more: &str, settings: &DialogSettings) -> (DialogKey, String) {
    bench.receive(&(incoming("INVITE", "z9hG4bK1") + more));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let mut response = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    response
        .headers
        .push(sip_msg::HeaderName::Contact, "<sip:gateway@192.0.2.1>");
    let tag = response.headers.to_tag().unwrap();
    let dialog = bench
        .ua
        .respond(bench.now(), server, response, Some(settings))
        .unwrap();
    bench.receive(&within("ACK", 1, "z9hG4bKack", &tag));
    bench.events();
    bench.sent();
    (dialog.unwrap(), tag)
}

/// The same, with no more.
pub(super) fn called(bench: &mut Bench) -> (DialogKey, String) {
    called_with(bench, "", &settings())
}

/// The BYE that ends `dialog`, and where it is sent.
fn bye(bench: &mut Bench, dialog: DialogKey) -> (Message, To) {
    bench
        .ua
        .dialog_request(bench.now(), dialog, Method::Bye, |_| {})
        .unwrap();
    let transmit = bench.transmits().remove(0);
    (read(transmit.message), transmit.to)
}

pub(super) fn request_uri(message: &Message) -> &str {
    let Message::Request(request) = message else {
        panic!("a response")
    };
    request.uri.as_str()
}

#[test]
fn rfc_3261_12_2_1_1_without_a_route_set_the_remote_target_is_the_next_hop() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    let (bye, to) = bye(&mut bench, dialog);
    assert_eq!(request_uri(&bye), "sip:bob@192.0.2.2:5060");
    assert_eq!(destination(&to).to_string(), "192.0.2.2:5060");
    assert_eq!(
        field(&bye, "From"),
        format!("<sip:alice@example.com>;tag={tag}")
    );
    assert_eq!(field(&bye, "To"), "<sip:bob@example.net>;tag=theirs");
    assert_eq!(field(&bye, "Call-ID"), "call-2@example.net");
    assert_eq!(field(&bye, "CSeq"), "1 BYE");
    assert_eq!(field(&bye, "Route"), "");
}

#[test]
fn rfc_3261_12_2_1_1_loose_routes_are_visited_in_order() {
    let mut bench = Bench::new();
    let routes = "Record-Route: <sip:198.51.100.1;lr>, <sip:198.51.100.2:5070;lr;x=1>\n";
    let (dialog, _) = called_with(&mut bench, routes, &settings());
    let (bye, to) = bye(&mut bench, dialog);
    assert_eq!(request_uri(&bye), "sip:bob@192.0.2.2:5060");
    let routes: Vec<_> = bye
        .headers()
        .routes()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        routes,
        ["<sip:198.51.100.1;lr>", "<sip:198.51.100.2:5070;lr;x=1>"]
    );
    assert_eq!(destination(&to).to_string(), "198.51.100.1:5060");
}

#[test]
fn rfc_3261_12_2_1_1_a_strict_router_gets_itself_as_request_uri() {
    let mut bench = Bench::new();
    let routes = "Record-Route: <sip:198.51.100.1;method=INVITE>, <sip:198.51.100.2;lr>\n";
    let (dialog, _) = called_with(&mut bench, routes, &settings());
    let (bye, to) = bye(&mut bench, dialog);
    assert_eq!(request_uri(&bye), "sip:198.51.100.1");
    let routes: Vec<_> = bye
        .headers()
        .routes()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        routes,
        ["<sip:198.51.100.2;lr>", "<sip:bob@192.0.2.2:5060>"]
    );
    assert_eq!(destination(&to).to_string(), "198.51.100.1:5060");
}

#[test]
fn a_pinned_hop_is_used_where_there_is_no_route_set_and_the_contact_stays_octet_for_octet() {
    const ODD: &str = "sip:api-du-a.example.com:443;x-i=0f3c;x-c=a35e/s/1/4b30";
    let pinned = Uri::parse("sip:198.51.100.9:5061;transport=tls".to_owned()).unwrap();
    let settings = DialogSettings {
        pinned_hop: Some(pinned),
        ..settings()
    };
    let mut bench = Bench::new().over(TransportKind::Tls);
    let contact = format!("CONTACT: <{ODD}>\n");
    bench.receive(
        &(incoming("INVITE", "z9hG4bK1").replace("Contact: <sip:bob@192.0.2.2:5060>\n", &contact)),
    );
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    let tag = ok.headers.to_tag().unwrap();
    let dialog = bench
        .ua
        .respond(bench.now(), server, ok, Some(&settings))
        .unwrap()
        .unwrap();
    bench.receive(&within("ACK", 1, "z9hG4bKack", &tag));
    bench.sent();
    let (bye, to) = bye(&mut bench, dialog);
    assert_eq!(request_uri(&bye), ODD);
    assert_eq!(destination(&to).to_string(), "198.51.100.9:5061");
}

#[test]
fn an_address_over_tls_must_show_the_name_of_its_peer() {
    for (named_peer, shown) in [
        (None, "198.51.100.9"),
        (
            Some("sip:sip.carrier.example;transport=tls"),
            "sip.carrier.example",
        ),
    ] {
        let settings = DialogSettings {
            named_peer: named_peer.map(|uri| Uri::parse(uri.to_owned()).unwrap()),
            ..settings()
        };
        let mut bench = Bench::new().over(TransportKind::Tls);
        let contact = "Contact: <sip:bob@198.51.100.9:5061;transport=tls>\n";
        let invite = incoming("INVITE", "z9hG4bK1");
        bench.receive(&invite.replace("Contact: <sip:bob@192.0.2.2:5060>\n", contact));
        let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
            panic!()
        };
        let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
        let tag = ok.headers.to_tag().unwrap();
        let (now, told) = (bench.now(), Some(&settings));
        let dialog = bench.ua.respond(now, server, ok, told).unwrap().unwrap();
        bench.receive(&within("ACK", 1, "z9hG4bKack", &tag));
        bench.sent();
        let (_, to) = bye(&mut bench, dialog);
        let To::Hop(hop) = to else { panic!() };
        assert_eq!(hop.addr.to_string(), "198.51.100.9:5061");
        assert_eq!(&*hop.server_name, shown);
    }
}

#[test]
fn rfc_3261_13_2_2_4_the_2xx_replaces_the_route_set_of_the_early_dialog() {
    let mut bench = Bench::new();
    bench.send(Method::Invite);
    let invite = bench.sent().remove(0);
    bench.answer_with(&invite, 180, "b", "Record-Route: <sip:198.51.100.1;lr>\n");
    let last =
        "Record-Route: <sip:198.51.100.3;lr>, <sip:198.51.100.2;lr>\nContact: <sip:b@192.0.2.7>\n";
    bench.answer_with(&invite, 200, "b", last);
    let events = bench.events();
    let UaEvent::Final {
        dialog: Some(dialog),
        ..
    } = events[1]
    else {
        panic!()
    };
    bench.ua.ack(bench.now(), dialog, None).unwrap();
    let ack = bench.transmits().remove(0);
    assert_eq!(
        destination(&ack.to).to_string(),
        "198.51.100.2:5060",
        "reversed for the caller"
    );
    let ack = read(ack.message);
    assert_eq!(request_uri(&ack), "sip:b@192.0.2.7");
    assert_ne!(
        field(&ack, "Via"),
        field(&invite, "Via"),
        "a transaction of its own"
    );
    assert_eq!(field(&ack, "CSeq"), "1 ACK");
    let dialog = bench.ua.dialog(dialog).unwrap();
    assert_eq!(
        (dialog.state, dialog.role),
        (DialogState::Confirmed, Role::Uac)
    );
}

#[test]
fn rfc_3261_12_2_1_2_a_target_refresh_moves_the_remote_target() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    let update = within("UPDATE", 2, "z9hG4bK2", &tag);
    bench.receive(&update.replace(
        "Contact: <sip:bob@192.0.2.2:5060>",
        "Contact: <sip:b@192.0.2.3>",
    ));
    assert_eq!(
        bench.ua.dialog(dialog).unwrap().remote_target.as_str(),
        "sip:b@192.0.2.3"
    );
    let info = within("INFO", 3, "z9hG4bK3", &tag);
    bench.receive(&info.replace(
        "Contact: <sip:bob@192.0.2.2:5060>",
        "Contact: <sip:b@192.0.2.4>",
    ));
    assert_eq!(
        bench.ua.dialog(dialog).unwrap().remote_target.as_str(),
        "sip:b@192.0.2.3"
    );
}

#[test]
fn our_contact_is_repeated_in_a_reinvite() {
    let mut bench = Bench::new();
    let (dialog, _) = called(&mut bench);
    bench
        .ua
        .dialog_request(bench.now(), dialog, Method::Invite, |_| {})
        .unwrap();
    assert_eq!(
        field(&bench.sent()[0], "Contact"),
        "<sip:gateway@192.0.2.1>"
    );
}

#[test]
fn rfc_3261_12_2_2_a_request_out_of_order_is_answered_500() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    bench.receive(&within("INFO", 7, "z9hG4bK2", &tag));
    assert_eq!(names(&bench.events()), ["Request INFO"], "a gap is legal");
    bench.receive(&within("INFO", 6, "z9hG4bK3", &tag));
    assert_eq!(bench.sent_lines(), ["500 INFO"]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.dialog(dialog).unwrap().remote_seq, Some(7));
    assert_eq!(bench.ua.counters().out_of_order, 1);
}

#[test]
fn rfc_3261_12_2_2_a_request_for_an_unknown_dialog_is_answered_481_and_its_ack_dropped() {
    let mut bench = Bench::new();
    bench.receive(&within("BYE", 2, "z9hG4bK1", "unknown"));
    bench.receive(&within("INVITE", 3, "z9hG4bK2", "unknown"));
    bench.receive(&within("ACK", 3, "z9hG4bK2", "unknown"));
    assert_eq!(bench.sent_lines(), ["481 BYE", "481 INVITE"]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.ua.counters().stray_acks, 1);
    assert_eq!(bench.ua.load().servers, 0);
}

#[test]
fn a_dialog_is_found_by_its_identifiers_from_any_flow_and_address() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    let elsewhere = "203.0.113.77:40000".parse().unwrap();
    bench.receive_from(&within("BYE", 2, "z9hG4bK2", &tag), elsewhere);
    let events = bench.events();
    assert!(matches!(&events[..], [UaEvent::Request { dialog: Some(d), .. }] if *d == dialog));
    let found = bench.ua.find_dialog("call-2@example.net", &tag, "theirs");
    assert_eq!(found, Some(dialog));
}

#[test]
fn a_dialog_ends_with_the_answer_to_its_bye() {
    let mut bench = Bench::new();
    let (dialog, tag) = called(&mut bench);
    bench.receive(&within("BYE", 2, "z9hG4bK2", &tag));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    assert!(bench.ua.dialog(dialog).is_some());
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    bench.ua.respond(bench.now(), server, ok, None).unwrap();
    assert!(bench.ua.dialog(dialog).is_none());
    bench.sent();
    bench.receive(&within("INFO", 3, "z9hG4bK3", &tag));
    assert_eq!(bench.sent_lines(), ["481 INFO"]);
}

#[test]
fn requests_pass_in_an_early_dialog() {
    let mut bench = Bench::new();
    bench.receive(&incoming("INVITE", "z9hG4bK1"));
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let ringing = bench.ua.respond_to(server, StatusCode::RINGING).unwrap();
    let tag = ringing.headers.to_tag().unwrap();
    let early = bench
        .ua
        .respond(bench.now(), server, ringing, Some(&settings()))
        .unwrap()
        .unwrap();
    bench.sent();
    bench.receive(&within("UPDATE", 2, "z9hG4bK2", &tag));
    let events = bench.events();
    assert!(matches!(&events[..], [UaEvent::Request { dialog: Some(d), .. }] if *d == early));
    let refused = bench
        .ua
        .dialog_request(bench.now(), early, Method::Invite, |_| {});
    assert_eq!(refused, Err(DialogError::Glare));
    assert!(bench.ua.checkpoint_dialog(early).is_none());
}

#[test]
fn a_restored_dialog_sends_the_bytes_the_original_would_have_sent() {
    let mut bench = Bench::new();
    let routes = "Record-Route: <sip:198.51.100.1;lr>\n";
    let (dialog, tag) = called_with(&mut bench, routes, &settings());
    bench.receive(&within("INFO", 5, "z9hG4bK5", &tag));
    bench
        .ua
        .dialog_request(bench.now(), dialog, Method::Info, |_| {})
        .unwrap();
    bench.sent();
    let written = serde_json::to_string(&bench.ua.checkpoint_dialog(dialog).unwrap()).unwrap();

    let mut other = Bench::with(UaConfig::default());
    let restored = other
        .ua
        .restore_dialog(serde_json::from_str(&written).unwrap())
        .unwrap();
    assert_eq!(other.ua.dialog(restored), bench.ua.dialog(dialog));
    let bodies = [(&mut bench, dialog), (&mut other, restored)].map(|(bench, dialog)| {
        let now = bench.now();
        bench
            .ua
            .dialog_request(now, dialog, Method::Invite, |_| {})
            .unwrap();
        let transmit = bench.transmits().remove(0);
        let mut message = read(transmit.message);
        message.headers_mut().remove(&sip_msg::HeaderName::Via);
        (message.to_bytes(), transmit.to)
    });
    assert_eq!(bodies[0], bodies[1]);
    other.receive(&within("INFO", 5, "z9hG4bK6", &tag));
    assert_eq!(
        other.sent_lines(),
        ["500 INFO"],
        "the peer's sequence goes on too"
    );
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let mut bench = Bench::new();
    let (dialog, _) = called(&mut bench);
    let written = serde_json::to_string(&bench.ua.checkpoint_dialog(dialog).unwrap()).unwrap();
    let later = written.replace("\"version\":1", "\"version\":2");
    let refused = bench
        .ua
        .restore_dialog(serde_json::from_str(&later).unwrap());
    assert_eq!(refused, Err(crate::CheckpointError::Version(2)));
    let again = bench
        .ua
        .restore_dialog(serde_json::from_str(&written).unwrap());
    assert_eq!(again, Err(crate::CheckpointError::Exists));
}

#[test]
fn a_sips_target_is_only_reached_over_tls() {
    let mut bench = Bench::new().over(TransportKind::Tls);
    let invite =
        incoming("INVITE", "z9hG4bK1").replace("sip:bob@192.0.2.2:5060", "sips:bob@192.0.2.2:5071");
    let now = bench.now();
    bench.ua.handle_message(
        now,
        arrival(TransportKind::Tls, super::bench::PEER.parse().unwrap()),
        message(&invite),
    );
    let Some(UaEvent::Request { server, .. }) = bench.events().pop() else {
        panic!()
    };
    let ok = bench.ua.respond_to(server, StatusCode::OK).unwrap();
    let tag = ok.headers.to_tag().unwrap();
    let dialog = bench
        .ua
        .respond(now, server, ok, Some(&settings()))
        .unwrap()
        .unwrap();
    bench.receive(&within("ACK", 1, "z9hG4bKack", &tag));
    bench.sent();
    let (_, to) = bye(&mut bench, dialog);
    let To::Hop(hop) = to else { panic!() };
    assert_eq!((hop.transport, hop.addr.port()), (TransportKind::Tls, 5071));
}
