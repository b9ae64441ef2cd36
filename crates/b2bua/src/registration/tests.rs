use ambient::{TokenRng, WallTime};
use sip_msg::TransportKind;
use sip_msg::wire::ListenerId;

use super::*;
use crate::limits::GateLimits;
use crate::profile::{Advertised, Algorithm, Credentials, Password, PeerProfile};

const FIRST: &str = "sip:reg1.carrier.example";
const SECOND: &str = "sip:reg2.carrier.example";

fn at(seconds: u64) -> Now {
    Now {
        moment: Moment::ZERO + Duration::from_secs(seconds),
        wall: WallTime::from_unix_micros(0) + Duration::from_secs(seconds),
    }
}

fn profiles(registering: Option<Registering>) -> Profiles {
    let advertised = Advertised {
        host: "192.0.2.1".into(),
        port: 5060,
    };
    let peer = PeerProfile::new("198.51.100.7", Some(5060), TransportKind::Udp);
    let mut trunk = TrunkProfile::carrier("carrier".into(), advertised, ListenerId(0), vec![peer]);
    trunk.register = registering;
    Profiles::new([trunk], GateLimits::default())
}

fn registering() -> Registering {
    let uri = |text: &str| text.parse().unwrap();
    Registering::new(
        uri("sip:+14255550100@carrier.example"),
        vec![uri(FIRST), uri(SECOND)],
    )
}

fn start(registering: Registering) -> Registrations {
    let profiles = profiles(Some(registering));
    let mut registrations = Registrations::new(
        at(0),
        &profiles,
        "Trunkline/0".into(),
        TokenRng::from_seed([3; 32]),
    );
    registrations.handle_timeout(at(0));
    registrations
}

fn answer(register: &Register, status: u16, fields: &[(HeaderName, &str)]) -> Response {
    let status = StatusCode::new(status).unwrap();
    let mut response = Response::to_request(&register.request, status, Some("t"));
    for (name, value) in fields {
        response.headers.push(name.clone(), value);
    }
    response
}

fn granted_for(register: &Register, seconds: u32) -> Response {
    let contact = register
        .request
        .headers
        .get_str(&HeaderName::Contact)
        .unwrap();
    let ours = contact.split_once('>').unwrap().0;
    let field = format!("<sip:other@203.0.113.9>;expires=9, {ours}>;expires={seconds}");
    answer(register, 200, &[(HeaderName::Contact, &field)])
}

fn seq(register: &Register) -> u32 {
    register.request.headers.cseq().unwrap().seq
}

fn expires(register: &Register) -> u32 {
    register.request.headers.expires().unwrap().unwrap()
}

fn state(registrations: &Registrations) -> RegistrationState {
    registrations.views().next().unwrap().state
}

/// When something is due, in seconds.
fn due(registrations: &Registrations) -> u64 {
    registrations.poll_timeout().unwrap().as_nanos() / 1_000_000_000
}

#[test]
fn what_was_granted_is_refreshed_in_time_under_the_same_call_id() {
    let mut registrations = start(registering());
    let first = registrations.poll_output().unwrap();
    assert_eq!(first.next_hop.as_str(), FIRST);
    assert_eq!(first.request.uri.as_str(), "sip:carrier.example");
    assert_eq!(expires(&first), 3600);
    registrations.handle_answer(at(1), first.id, &granted_for(&first, 600));
    assert_eq!(
        state(&registrations),
        RegistrationState::Registered {
            until: at(601).wall
        }
    );
    let refresh = due(&registrations);
    assert!((481..=541).contains(&refresh), "{refresh}");
    registrations.handle_timeout(at(refresh + 1));
    let second = registrations.poll_output().unwrap();
    let call_id = |register: &Register| register.request.headers.call_id().unwrap().to_owned();
    assert_eq!(call_id(&first), call_id(&second));
    assert!(
        seq(&second) >= seq(&first) + 3,
        "challenges take numbers too"
    );
}

#[test]
fn a_longer_interval_is_asked_for_at_once_where_423_wants_one() {
    let mut registrations = start(registering());
    let first = registrations.poll_output().unwrap();
    let brief = answer(&first, 423, &[(HeaderName::MinExpires, "7200")]);
    registrations.handle_answer(at(0), first.id, &brief);
    registrations.handle_timeout(at(0));
    let second = registrations.poll_output().unwrap();
    assert_eq!((expires(&second), second.next_hop.as_str()), (7200, FIRST));
    // The same again contradicts itself: on to the next one.
    let brief = answer(&second, 423, &[(HeaderName::MinExpires, "7200")]);
    registrations.handle_answer(at(0), second.id, &brief);
    registrations.handle_timeout(at(0));
    assert_eq!(
        registrations.poll_output().unwrap().next_hop.as_str(),
        SECOND
    );
}

#[test]
fn the_next_registrar_is_asked_at_once_and_the_round_is_repeated_ever_later() {
    let mut registrations = start(registering());
    let mut now = 0;
    let mut waits = Vec::new();
    for round in 0..12 {
        let register = registrations.poll_output().unwrap();
        let expected = if round % 2 == 0 { FIRST } else { SECOND };
        assert_eq!(register.next_hop.as_str(), expected);
        registrations.handle_failure(at(now), register.id);
        waits.push(due(&registrations) - now);
        now = due(&registrations);
        registrations.handle_timeout(at(now));
    }
    assert_eq!(waits, [0, 30, 0, 60, 0, 120, 0, 240, 0, 480, 0, 600]);
    assert_eq!(
        state(&registrations),
        RegistrationState::Failed { status: None }
    );
}

#[test]
fn a_refused_account_waits_long_and_stays_where_it_is() {
    for status in [401, 403, 404, 407] {
        let mut registrations = start(registering());
        let first = registrations.poll_output().unwrap();
        registrations.handle_answer(at(5), first.id, &answer(&first, status, &[]));
        assert_eq!(due(&registrations), 605);
        registrations.handle_timeout(at(605));
        assert_eq!(
            registrations.poll_output().unwrap().next_hop.as_str(),
            FIRST
        );
        let status = StatusCode::new(status);
        assert_eq!(state(&registrations), RegistrationState::Failed { status });
    }
}

#[test]
fn retry_after_is_kept_where_there_is_no_other_registrar() {
    let mut one = registering();
    one.registrars.truncate(1);
    let mut registrations = start(one);
    let first = registrations.poll_output().unwrap();
    let busy = answer(&first, 503, &[(HeaderName::RetryAfter, "120")]);
    registrations.handle_answer(at(0), first.id, &busy);
    assert_eq!(due(&registrations), 120);
}

#[test]
fn a_required_registration_that_failed_shuts_the_trunk_once_it_is_over() {
    let mut required = registering();
    required.required = true;
    let mut registrations = start(required);
    let (trunk, other) = (TrunkName::from("carrier"), TrunkName::from("pbx"));
    assert!(!registrations.is_usable(at(0).moment, &trunk));
    assert!(registrations.is_usable(at(0).moment, &other));
    let first = registrations.poll_output().unwrap();
    registrations.handle_answer(at(0), first.id, &granted_for(&first, 100));
    assert!(registrations.is_usable(at(0).moment, &trunk));
    registrations.handle_timeout(at(95));
    let second = registrations.poll_output().unwrap();
    registrations.handle_failure(at(95), second.id);
    assert!(registrations.is_usable(at(99).moment, &trunk));
    assert!(!registrations.is_usable(at(100).moment, &trunk));
}

#[test]
fn a_drain_takes_back_what_holds_and_what_was_still_on_its_way() {
    let mut registrations = start(registering());
    let first = registrations.poll_output().unwrap();
    registrations.withdraw(at(1));
    assert!(registrations.poll_output().is_none(), "nothing holds yet");
    registrations.handle_answer(at(2), first.id, &granted_for(&first, 600));
    let back = registrations.poll_output().unwrap();
    assert_eq!(expires(&back), 0);
    assert_eq!(state(&registrations), RegistrationState::Withdrawn);
    assert_eq!(registrations.poll_timeout(), None);
    registrations.resume(at(3));
    registrations.handle_timeout(at(3));
    let again = registrations.poll_output().unwrap();
    assert_eq!(expires(&again), 3600);
    registrations.handle_answer(at(3), again.id, &granted_for(&again, 600));
    registrations.withdraw(at(4));
    assert_eq!(expires(&registrations.poll_output().unwrap()), 0);
    assert!(registrations.poll_output().is_none(), "once");
}

#[test]
fn a_reload_with_another_password_is_tried_at_once() {
    let mut registrations = start(registering());
    let first = registrations.poll_output().unwrap();
    registrations.handle_answer(at(0), first.id, &answer(&first, 401, &[]));
    registrations.reload(at(9), &profiles(Some(registering())));
    assert_eq!(due(&registrations), 600, "nothing has changed");
    let mut mended = profiles(Some(registering()));
    let name = TrunkName::from("carrier");
    let mut trunk = TrunkProfile::clone(mended.trunk(&name).unwrap());
    trunk.auth.credentials = vec![Credentials {
        realm: None,
        username: "acme".to_owned(),
        password: Password::new("right"),
        weakest: Algorithm::Md5,
    }];
    mended.trunks.insert(name, Arc::new(trunk));
    registrations.reload(at(10), &mended);
    assert_eq!(due(&registrations), 10);
}

#[test]
fn a_reload_keeps_an_account_and_takes_back_another() {
    let mut registrations = start(registering());
    let first = registrations.poll_output().unwrap();
    registrations.handle_answer(at(0), first.id, &granted_for(&first, 600));
    let refresh = registrations.poll_timeout();
    let mut shorter = registering();
    shorter.expires = Duration::from_secs(300);
    registrations.reload(at(1), &profiles(Some(shorter)));
    assert_eq!(registrations.poll_timeout(), refresh);
    assert!(registrations.poll_output().is_none());
    let mut moved = registering();
    moved.aor = "sip:+14255550101@carrier.example".parse().unwrap();
    registrations.reload(at(2), &profiles(Some(moved)));
    let back = registrations.poll_output().unwrap();
    assert_eq!(expires(&back), 0);
    assert!(
        back.request
            .headers
            .get_str(&HeaderName::To)
            .unwrap()
            .contains("550100")
    );
    registrations.handle_timeout(at(2));
    let fresh = registrations.poll_output().unwrap();
    assert!(
        fresh
            .request
            .headers
            .get_str(&HeaderName::To)
            .unwrap()
            .contains("550101")
    );
    registrations.handle_answer(at(2), fresh.id, &granted_for(&fresh, 600));
    registrations.reload(at(3), &profiles(None));
    assert_eq!(expires(&registrations.poll_output().unwrap()), 0);
    assert_eq!(registrations.views().count(), 0);
}
