//! Microsoft's connection rules and header rules, held against the gateway by a scripted peer.
//!
//! A connection carries requests of the side that opened it and nothing else but their answers;
//! a call outlives every connection.

use std::time::{Duration, Instant};

use trunkline_tests::certificates::Authority;
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::microsoft::{self, Id, Microsoft, REMOTE_TARGET, What};
use trunkline_tests::process::Process;
use trunkline_tests::sip::Sip;
use trunkline_tests::telephone::{Dialog, Telephone};

const CALLED: &str = "+14255550123";

/// A gateway between the two scripted ends, online.
struct Stage {
    lab: Lab,
    microsoft: Microsoft,
    telephone: Telephone,
    _gateway: Process,
}

impl Stage {
    fn start() -> Self {
        let (stage, options) = Self::start_unasked();
        stage.answer(&options);
        gateway::wait_online(&stage.lab);
        stage
    }

    /// Up to the gateway's first OPTIONS, not answered yet.
    fn start_unasked() -> (Self, (Id, Sip)) {
        let (lab, authority) = (Lab::new(), Authority::new());
        let mut microsoft = Microsoft::start(&lab, &authority);
        let telephone = Telephone::start(&lab);
        let identity = microsoft::gateway_identity(&authority);
        let gateway = gateway::start(&lab, &authority, &identity);
        let options = microsoft.request("OPTIONS");
        let stage = Self {
            lab,
            microsoft,
            telephone,
            _gateway: gateway,
        };
        (stage, options)
    }

    fn answer(&self, (on, request): &(Id, Sip)) {
        self.microsoft
            .send(*on, &request.response("200 OK", "proxy", &[], ""));
    }

    /// A call from Microsoft on `on`, picked up and acknowledged: the 200 and the carrier's side.
    fn call_from_microsoft(&mut self, on: Id, call: &str) -> (Sip, Dialog) {
        let media = std::net::SocketAddr::new(self.lab.host(2), 40_000);
        let invite = self.microsoft.invite(call, CALLED, &[]);
        self.microsoft.send(on, &invite);
        let invite = self.telephone.request("INVITE");
        self.telephone.ring(&invite);
        assert_eq!(self.microsoft.response("INVITE", 180).0, on);
        let dialog = self.telephone.pick_up(&invite, media);
        let (came_on, ok) = self.microsoft.response("INVITE", 200);
        assert_eq!(came_on, on);
        self.microsoft.send(on, &self.microsoft.within(&ok, "ACK"));
        self.telephone.request("ACK");
        (ok, dialog)
    }

    /// The carrier hangs up; gives the connection the BYE came on.
    fn carrier_hangs_up(&mut self, dialog: &Dialog) -> Id {
        self.telephone.hang_up(dialog);
        let bye = self.microsoft.request("BYE");
        assert_eq!(
            bye.1.start,
            format!("BYE {REMOTE_TARGET} SIP/2.0"),
            "the remote target is not the gateway's to change"
        );
        self.answer(&bye);
        bye.0
    }

    /// Ends every connection from Microsoft's end and waits until the gateway has as well.
    fn close_all(&mut self) {
        let open = self.microsoft.connections();
        self.microsoft.close_all();
        for id in 0..open {
            self.microsoft.expect("the end of a connection", |event| {
                event.on == id && matches!(event.what, What::Closed)
            });
        }
    }

    /// A line of the metrics page.
    fn metric(&self, name: &str) -> String {
        let page = gateway::metrics(&self.lab);
        page.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name} in {page}"))
            .trim()
            .to_owned()
    }
}

/// S-01 to S-10: what every request and every answer with a Contact must look like.
fn header_rules(message: &Sip, user: &str) {
    let contact = message.header("Contact");
    let at = if user.is_empty() {
        String::new()
    } else {
        format!("{user}@")
    };
    assert_eq!(contact, format!("<sip:{at}{FQDN}:5061;transport=tls>"));
    if message.method().is_some() {
        assert_eq!(message.all("Record-Route"), [""; 0]);
    }
    assert!(
        message.header("X-MS-SBC").split('/').count() >= 3,
        "{message:?}"
    );
    for (name, value) in &message.headers {
        assert!(!value.contains("sips:"), "{name}: {value}");
        assert!(!value.contains("sip:@"), "{name}: {value}");
    }
}

#[test]
fn the_trunk_comes_online_in_microsofts_order() {
    let (mut stage, options) = Stage::start_unasked();
    assert!(stage.microsoft.is_theirs(options.0));
    let request = &options.1;
    assert_eq!(
        request.start,
        format!("OPTIONS sip:{MICROSOFT}:5061;transport=tls SIP/2.0")
    );
    header_rules(request, "");
    assert!(
        request
            .header("Via")
            .starts_with(&format!("SIP/2.0/TLS {FQDN}:5061;branch=z9hG4bK")),
        "{request:?}"
    );
    assert!(request.uri("From").contains(FQDN), "{request:?}");
    assert!(request.header("From").contains(">;tag="), "{request:?}");
    stage.answer(&options);
    let own = stage.microsoft.open();
    let asked = Instant::now();
    stage.microsoft.send(own, &stage.microsoft.options(1));
    let (on, ok) = stage.microsoft.response("OPTIONS", 200);
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(on, own);
    assert!(ok.header("Allow").contains("NOTIFY"), "{ok:?}");
}

#[test]
fn a_call_from_microsoft_is_answered_where_it_came_and_ended_where_we_opened() {
    let mut stage = Stage::start();
    let own = stage.microsoft.open_from_its_port();
    let (ok, dialog) = stage.call_from_microsoft(own, "inward");
    header_rules(&ok, CALLED);
    let media: Vec<_> = ok
        .body
        .lines()
        .filter(|line| line.starts_with("m=") || line.starts_with("a=crypto"))
        .collect();
    assert_eq!(media.len(), 2, "{}", ok.body);
    assert!(media[0].contains("RTP/SAVP"), "{}", ok.body);
    let on = stage.carrier_hangs_up(&dialog);
    assert!(stage.microsoft.is_theirs(on), "BYE came on Microsoft's own");
}

#[test]
fn a_call_to_microsoft_keeps_the_header_rules() {
    let mut stage = Stage::start();
    let media = std::net::SocketAddr::new(stage.lab.host(2), 40_000);
    let call_id = stage.telephone.call("+14255550199", CALLED, media);
    let (on, invite) = stage.microsoft.request("INVITE");
    assert!(stage.microsoft.is_theirs(on));
    header_rules(&invite, "+14255550199");
    assert!(
        invite
            .start
            .starts_with(&format!("INVITE sip:{CALLED}@{MICROSOFT}:5061;"))
            && invite.start.contains("user=phone")
            && invite.start.contains("transport=tls"),
        "{}",
        invite.start
    );
    let from = invite.uri("From");
    assert!(
        from.starts_with(&format!("sip:+14255550199@{FQDN}")),
        "{from}"
    );
    assert!(from.contains("user=phone"), "{from}");
    assert!(invite.uri("To").contains("user=phone"), "{invite:?}");
    assert_ne!(invite.header("Call-ID"), call_id);
    // Nothing tells who and where the carrier is.
    let inside = stage.telephone.address().ip().to_string();
    for (name, value) in &invite.headers {
        assert!(!value.contains(&inside), "{name}: {value}");
    }
    assert!(!invite.body.contains(&inside), "{}", invite.body);
    assert!(invite.body.contains("RTP/SAVP"), "{}", invite.body);
    let at = std::net::SocketAddr::new(stage.lab.host(3), 5061);
    stage.microsoft.send(
        on,
        &invite.response(
            "200 OK",
            "ms",
            &[&format!("CONTACT: <{REMOTE_TARGET}>")],
            &microsoft::description(at),
        ),
    );
    let ok = stage.telephone.response("INVITE", 200);
    stage.telephone.acknowledge(&ok);
    let (on, ack) = stage.microsoft.request("ACK");
    assert!(stage.microsoft.is_theirs(on));
    assert_eq!(ack.start, format!("ACK {REMOTE_TARGET} SIP/2.0"));
    // Microsoft hangs up on a connection of its own.
    let own = stage.microsoft.open();
    let mut its = invite.clone();
    its.headers
        .retain(|(name, _)| !name.eq_ignore_ascii_case("To"));
    its.headers
        .push(("To".to_owned(), format!("{};tag=ms", invite.header("To"))));
    stage
        .microsoft
        .send(own, &stage.microsoft.within(&its, "BYE"));
    let (on, _) = stage.microsoft.response("BYE", 200);
    assert_eq!(on, own);
    let bye = stage.telephone.request("BYE");
    stage
        .telephone
        .send(&bye.response("200 OK", "phone", &[], ""));
}

#[test]
fn a_call_outlives_its_connections() {
    let mut stage = Stage::start();
    let own = stage.microsoft.open();
    let (_, first) = stage.call_from_microsoft(own, "ended-by-carrier");
    let (second, _) = stage.call_from_microsoft(own, "ended-by-microsoft");
    stage.close_all();
    let before = stage.microsoft.connections();
    assert_eq!(stage.metric("trunkline_calls{stage=\"established\"}"), "2");
    let on = stage.carrier_hangs_up(&first);
    assert!(on >= before && stage.microsoft.is_theirs(on));
    let again = stage.microsoft.open();
    stage
        .microsoft
        .send(again, &stage.microsoft.within(&second, "BYE"));
    let (on, _) = stage.microsoft.response("BYE", 200);
    assert_eq!(on, again);
    let bye = stage.telephone.request("BYE");
    stage
        .telephone
        .send(&bye.response("200 OK", "phone", &[], ""));
}

#[test]
fn empty_lines_between_messages_are_answered_and_harm_nothing() {
    let mut stage = Stage::start();
    let own = stage.microsoft.open();
    stage.microsoft.send(own, "\r\n\r\n");
    stage.microsoft.expect("a pong", |event| {
        event.on == own && matches!(event.what, What::Pong)
    });
    let text = format!("\r\n{}\r\n\r\n", stage.microsoft.options(1));
    stage.microsoft.send(own, &text);
    assert_eq!(stage.microsoft.response("OPTIONS", 200).0, own);
    stage.microsoft.expect("a pong", |event| {
        event.on == own && matches!(event.what, What::Pong)
    });
}

#[test]
fn a_large_invite_in_small_pieces_is_one_invite() {
    let mut stage = Stage::start();
    let own = stage.microsoft.open();
    let reason = "Reason%3DSIP%3Bcause%3D302%3Btext%3D%22Moved%20temporarily%22";
    let history: Vec<String> = (1..=60)
        .map(|index| {
            format!(
                "HISTORY-INFO: <sip:+142555501{index:02}@{MICROSOFT}:5061;user=phone?{reason}>;index={index}"
            )
        })
        .collect();
    let more: Vec<&str> = history.iter().map(String::as_str).collect();
    let invite = stage.microsoft.invite("large", CALLED, &more);
    assert!(invite.len() > 8192, "{}", invite.len());
    for at in 0..invite.len() {
        stage.microsoft.send(own, &invite[at..=at]);
    }
    let invite = stage.telephone.request("INVITE");
    stage
        .telephone
        .send(&invite.response("486 Busy Here", "phone", &[], ""));
    let (on, busy) = stage.microsoft.response("INVITE", 486);
    assert_eq!(on, own);
    assert_eq!(busy.header("Call-ID"), "large");
}

#[test]
fn sixty_four_connections_at_once_are_all_answered() {
    const COUNT: usize = 64;
    let mut stage = Stage::start();
    let first = stage.microsoft.connections();
    let all: Vec<Id> = (0..COUNT).map(|_| stage.microsoft.open()).collect();
    for (number, on) in (0..).zip(&all) {
        stage.microsoft.send(*on, &stage.microsoft.options(number));
    }
    let mut answered: Vec<Id> = all
        .iter()
        .map(|_| stage.microsoft.response("OPTIONS", 200).0)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, all);
    assert_eq!(stage.microsoft.connections(), first + COUNT);
}
