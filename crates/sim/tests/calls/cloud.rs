//! Calls that Microsoft carries: the caller is not answered before the called party is.

use std::time::Duration;

use b2bua::Input;
use b2bua::cloud::{CloudEvent, CloudRequest, DESTINATION_HEADER, Expectation, NONCE_HEADER};
use b2bua::record::EndedBy;
use e164::E164Number;
use media_relay::LegId;
use routing::CloudDoc;
use sim::{Dial, Handle, Script, Sim, World};
use sip_msg::{HeaderName, StatusCode};

use crate::{SUBSCRIBER, nothing_is_left};

const MARKER: &str = "+14255550199";

fn number(text: &str) -> E164Number {
    E164Number::parse(text).expect("a number")
}

/// The PBX calls through Microsoft, then through the carrier.
fn world(seed: u64) -> World {
    World::new(seed)
        .without_routes()
        .without_pings()
        .route("out", &["pbx"], &[], &["cloud-calling", "carrier"])
        .policy(|document| {
            document.cloud = Some(CloudDoc {
                trunk: "acs".into(),
                marker: number(MARKER),
                caller_ids: vec![number("+18005550101")],
                rates: None,
            });
        })
        .party("acs", |party| party.script = Script::new().answer())
}

/// What the core expects of Azure now.
fn expected(sim: &Sim) -> Expectation {
    let asked = sim.clouds().iter().rev();
    let mut asked = asked.filter_map(|request| match request {
        CloudRequest::Expect(expectation) => Some(expectation.clone()),
        CloudRequest::Release { .. } | CloudRequest::Resume { .. } => None,
    });
    asked.next().expect("an INVITE to the marker")
}

/// Legs that Azure was told to let go, and what they were called there.
fn released(sim: &Sim) -> Vec<(LegId, Option<String>)> {
    let asked = sim.clouds().iter();
    let released = asked.filter_map(|request| match request {
        CloudRequest::Release { leg, connection } => {
            Some((*leg, connection.as_deref().map(str::to_owned)))
        }
        CloudRequest::Expect(_) | CloudRequest::Resume { .. } => None,
    });
    released.collect()
}

fn tell(sim: &mut Sim, event: CloudEvent) {
    let leg = expected(sim).leg;
    sim.input(Input::Cloud(leg, event));
}

fn accepted(sim: &mut Sim) {
    tell(
        sim,
        CloudEvent::Accepted {
            connection: "c-1".into(),
            correlation: Some("k-1".into()),
        },
    );
}

fn failed(status: StatusCode) -> CloudEvent {
    CloudEvent::Failed {
        status,
        reason: "Azure said so".into(),
    }
}

/// A call that Azure has taken and whose called party rings.
fn ringing(sim: &mut Sim) -> Handle {
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    accepted(sim);
    sim.run_for(Duration::from_secs(3));
    assert!(!sim.view(caller).is_up() && !sim.view(caller).is_over());
    assert!(sim.view(sim.called("acs")).is_up(), "{}", sim.ladder());
    assert_eq!(
        sim.ladder().count("pbx", "180 INVITE"),
        1,
        "{}",
        sim.ladder()
    );
    caller
}

fn connected(sim: &mut Sim) -> Handle {
    let caller = ringing(sim);
    tell(sim, CloudEvent::Connected);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    caller
}

/// Everything is given back, and Azure was told once of this leg.
fn ended(sim: &mut Sim, leg: LegId, connection: Option<&str>) {
    nothing_is_left(sim);
    assert_eq!(released(sim), [(leg, connection.map(str::to_owned))]);
    assert!(sim.core().metrics().caller_ids.is_empty());
}

#[test]
fn the_caller_is_answered_when_the_called_party_is() {
    let mut sim = world(901).start();
    let caller = connected(&mut sim);
    let leg = expected(&sim).leg;
    let called = sim.called("acs");
    for end in [caller, called] {
        sim.talk(end, 100);
    }
    sim.run_for(Duration::from_secs(3));
    assert_eq!(sim.heard(caller).numbers.len(), 100, "{}", sim.ladder());
    assert_eq!(sim.heard(called).numbers.len(), 100, "{}", sim.ladder());
    assert_eq!(
        sim.core().metrics().caller_ids,
        [(number("+18005550101"), 1)]
    );
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
    let [record] = sim.records() else {
        panic!("one record: {:?}", sim.records())
    };
    assert_eq!(record.attempts.len(), 1);
    let cloud = record.attempts[0].cloud.as_ref().unwrap();
    assert_eq!(cloud.caller_id.reveal(), "+18005550101");
    assert_eq!(cloud.to.reveal(), SUBSCRIBER);
    assert_eq!(cloud.connection.as_deref(), Some("c-1"));
    assert_eq!(cloud.correlation.as_deref(), Some("k-1"));
    let talked = record.talk_time();
    assert!(talked >= Duration::from_secs(3), "{talked:?}");
    let rang = record.ring_time().unwrap();
    assert!(rang >= Duration::from_secs(3), "{rang:?}");
}

#[test]
fn the_marker_invite_carries_the_nonce_and_the_destination_and_no_context_of_the_caller() {
    let mut sim = world(902)
        .profile("pbx", |profile| profile.context.pass = Some(true))
        .start();
    let dial = Dial {
        headers: vec![(
            "User-To-User".to_owned(),
            "00c0ffee;encoding=hex".to_owned(),
        )],
        ..Dial::default()
    };
    let caller = sim.call_with("pbx", SUBSCRIBER, &dial);
    sim.run_for(Duration::from_secs(1));
    accepted(&mut sim);
    let expectation = expected(&sim);
    let invite = &sim.view(sim.called("acs")).invite;
    assert_eq!(invite.uri.user(), Some(MARKER));
    let value = |name: &str| {
        let name = HeaderName::parse(name.as_bytes()).unwrap();
        let value = invite.headers.get(&name).unwrap();
        String::from_utf8_lossy(value).into_owned()
    };
    assert_eq!(value(NONCE_HEADER), expectation.nonce.to_wire());
    assert_eq!(value(DESTINATION_HEADER), SUBSCRIBER);
    assert!(!invite.headers.contains(&HeaderName::UserToUser));
    // Who reads a ladder learns no nonce.
    let nonce = expectation.nonce.to_wire();
    let mut trace = sim.trace().iter();
    assert!(!trace.any(|entry| String::from_utf8_lossy(&entry.text).contains(&nonce)));
    assert_eq!(expectation.to, number(SUBSCRIBER));
    sim.cancel(caller);
    sim.run_until_quiet();
    ended(&mut sim, expectation.leg, Some("c-1"));
}

#[test]
fn what_azure_does_not_reach_the_carrier_does() {
    for status in [486, 403, 480, 603, 503] {
        let mut sim = world(903).start();
        let caller = ringing(&mut sim);
        let leg = expected(&sim).leg;
        tell(&mut sim, failed(StatusCode::new(status).unwrap()));
        sim.run_until_quiet();
        assert!(sim.view(caller).is_up(), "{}", sim.ladder());
        assert!(sim.view(sim.called("carrier")).is_up());
        assert!(sim.view(sim.called("acs")).is_over());
        // Other peers of the trunk lead to the same resource.
        for other in ["acs2", "acs3"] {
            assert_eq!(sim.ladder().count(other, "INVITE"), 0);
        }
        sim.hang_up(caller);
        sim.run_until_quiet();
        ended(&mut sim, leg, Some("c-1"));
        let attempts = &sim.records()[0].attempts;
        assert_eq!(attempts.len(), 2);
        assert_eq!(attempts[0].status, Some(status));
        let cloud = attempts[0].cloud.as_ref().unwrap();
        assert_eq!(cloud.reason.as_deref(), Some("Azure said so"));
    }
}

#[test]
fn azure_refuses_before_its_leg_has_answered() {
    let mut sim = world(904)
        .party("acs", |party| party.script = Script::new())
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    let leg = expected(&sim).leg;
    tell(&mut sim, failed(StatusCode::FORBIDDEN));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "CANCEL"), 1);
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, None);
}

#[test]
fn microsofts_proxies_refuse_the_marker() {
    let mut sim = world(905)
        .party("acs", |party| party.script = Script::reject(404))
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert!(sim.view(sim.called("carrier")).is_up());
    assert_eq!(sim.ladder().count("acs2", "INVITE"), 0);
    sim.hang_up(caller);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
    assert_eq!(released(&sim).len(), 1);
}

#[test]
fn a_busy_proxy_leads_to_the_next_one_with_another_nonce() {
    let mut sim = world(906)
        .party("acs", |party| party.script = Script::reject(503))
        .party("acs2", |party| party.script = Script::new().answer())
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(2));
    let nonces: Vec<String> = sim
        .clouds()
        .iter()
        .filter_map(|request| match request {
            CloudRequest::Expect(expectation) => Some(expectation.nonce.to_wire()),
            CloudRequest::Release { .. } | CloudRequest::Resume { .. } => None,
        })
        .collect();
    assert_eq!(nonces.len(), 2, "{}", sim.ladder());
    assert_ne!(nonces[0], nonces[1]);
    accepted(&mut sim);
    tell(&mut sim, CloudEvent::Connected);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
    assert_eq!(released(&sim).len(), 2);
}

#[test]
fn azures_event_never_comes() {
    let mut sim = world(919)
        .party("acs", |party| party.script = Script::new().ring())
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    // Longer than a caller waits that hears nothing.
    sim.run_for(Duration::from_secs(10));
    assert_eq!(sim.ladder().count("pbx", "180 INVITE"), 1);
    let leg = expected(&sim).leg;
    tell(&mut sim, failed(StatusCode::REQUEST_TIMEOUT));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert!(sim.view(sim.called("carrier")).is_up());
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, None);
}

#[test]
fn nobody_ever_says_a_word() {
    let mut sim = world(907).start();
    let caller = ringing(&mut sim);
    let leg = expected(&sim).leg;
    sim.run_for(Duration::from_secs(100));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert!(sim.view(sim.called("carrier")).is_up());
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
    let cloud = sim.records()[0].attempts[0].cloud.clone().unwrap();
    assert!(cloud.reason.unwrap().contains("in time"));
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let mut sim = world(908).start();
    let caller = ringing(&mut sim);
    let leg = expected(&sim).leg;
    sim.cancel(caller);
    sim.run_until_quiet();
    assert!(sim.view(sim.called("acs")).is_over(), "{}", sim.ladder());
    assert_eq!(sim.ladder().count("acs", "BYE"), 1);
    // News that crossed is nobody's.
    tell(&mut sim, CloudEvent::Connected);
    tell(&mut sim, failed(StatusCode::BUSY_HERE));
    sim.run_until_quiet();
    assert_eq!(sim.ladder().count("carrier", "INVITE"), 0);
    ended(&mut sim, leg, Some("c-1"));
    assert_eq!(sim.records()[0].ended_by, EndedBy::Caller);
}

#[test]
fn azure_hangs_up_while_it_rings() {
    let mut sim = world(909).start();
    let caller = ringing(&mut sim);
    let leg = expected(&sim).leg;
    sim.hang_up(sim.called("acs"));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    assert!(sim.view(sim.called("carrier")).is_up());
    // What crossed concerns a leg that is over.
    sim.input(Input::Cloud(leg, CloudEvent::Connected));
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn a_hang_up_of_azure_that_crosses_ends_no_call_of_the_carrier() {
    let mut sim = world(920)
        .party("carrier", |party| party.script = Script::new().answer())
        .start();
    let caller = ringing(&mut sim);
    let leg = expected(&sim).leg;
    let azure = sim.called("acs");
    tell(&mut sim, failed(StatusCode::BUSY_HERE));
    sim.hang_up(azure);
    sim.run_for(Duration::from_secs(3));
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn the_called_party_answers_before_azures_own_answer_has_come() {
    let mut sim = world(910)
        .party("acs", |party| {
            party.script = Script::new().wait(Duration::from_secs(3)).answer();
        })
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    let leg = expected(&sim).leg;
    accepted(&mut sim);
    tell(&mut sim, CloudEvent::Connected);
    sim.run_for(Duration::from_secs(1));
    assert!(!sim.view(caller).is_up());
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn either_side_and_azure_itself_may_end_the_call() {
    for (seed, by) in [(911, "caller"), (912, "microsoft"), (913, "azure")] {
        let mut sim = world(seed).start();
        let caller = connected(&mut sim);
        let leg = expected(&sim).leg;
        let called = sim.called("acs");
        match by {
            "caller" => sim.hang_up(caller),
            "microsoft" => sim.hang_up(called),
            _ => tell(
                &mut sim,
                CloudEvent::Gone {
                    reason: "the called party left".into(),
                },
            ),
        }
        sim.run_until_quiet();
        for end in [caller, called] {
            assert!(sim.view(end).is_over(), "{by}: {}", sim.ladder());
        }
        ended(&mut sim, leg, Some("c-1"));
        let record = &sim.records()[0];
        let ended_by = if by == "caller" {
            EndedBy::Caller
        } else {
            EndedBy::Called
        };
        assert_eq!(record.ended_by, ended_by);
        assert_eq!(record.failure, None);
    }
}

#[test]
fn a_number_is_shown_by_two_calls_and_the_third_goes_to_the_carrier() {
    let mut sim = world(914).start();
    let callers = [connected(&mut sim), connected_again(&mut sim)];
    let third = sim.call("pbx", SUBSCRIBER);
    sim.run_until_quiet();
    assert!(sim.view(third).is_up());
    assert!(sim.view(sim.called("carrier")).is_up(), "{}", sim.ladder());
    for caller in callers.into_iter().chain([third]) {
        sim.hang_up(caller);
    }
    sim.run_until_quiet();
    nothing_is_left(&mut sim);
    assert_eq!(released(&sim).len(), 2);
    let carried = sim.records().iter().filter(|record| {
        let last = record.attempts.last().unwrap();
        last.cloud.is_none()
    });
    let carried: Vec<_> = carried.collect();
    assert_eq!(carried.len(), 1);
    let why = "every caller id has as many calls as it may";
    assert!(carried[0].why().any(|step| step.contains(why)));
    assert_eq!(carried[0].facts.caller_ids.len(), 1);
}

fn connected_again(sim: &mut Sim) -> Handle {
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    accepted(sim);
    tell(sim, CloudEvent::Connected);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    caller
}

#[test]
fn a_call_goes_on_in_another_process_and_azure_is_told_when_it_is_over() {
    let mut sim = world(915).start();
    let caller = connected(&mut sim);
    let leg = expected(&sim).leg;
    sim.restore_everywhere();
    let called = sim.called("acs");
    for end in [caller, called] {
        sim.talk(end, 100);
    }
    sim.run_for(Duration::from_secs(3));
    sim.restore();
    for end in [caller, called] {
        sim.talk(end, 100);
    }
    sim.run_for(Duration::from_secs(3));
    assert_eq!(sim.heard(caller).numbers.len(), 200, "{}", sim.ladder());
    assert_eq!(
        sim.core().metrics().caller_ids,
        [(number("+18005550101"), 1)]
    );
    let resumed = sim.clouds().iter().filter(|request| {
        matches!(request, CloudRequest::Resume { leg: known, connection }
            if *known == leg && connection.as_deref() == Some("c-1"))
    });
    assert!(resumed.count() > 0);
    let gone = CloudEvent::Gone {
        reason: "the called party left".into(),
    };
    sim.input(Input::Cloud(leg, gone));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over() && sim.view(called).is_over());
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn the_caller_hears_a_tone_of_ours_where_the_trunk_says_so() {
    let mut sim = world(916)
        .profile("acs", |profile| profile.early.ring_here = true)
        .start();
    let caller = sim.call("pbx", SUBSCRIBER);
    sim.run_for(Duration::from_secs(1));
    accepted(&mut sim);
    let leg = expected(&sim).leg;
    // What Azure sends meanwhile is not heard by the caller.
    sim.talk(sim.called("acs"), 50);
    sim.run_for(Duration::from_secs(3));
    assert_eq!(
        sim.ladder().count("pbx", "183 INVITE"),
        1,
        "{}",
        sim.ladder()
    );
    assert!(sim.heard(caller).numbers.is_empty());
    tell(&mut sim, CloudEvent::Connected);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.talk(sim.called("acs"), 50);
    sim.run_for(Duration::from_secs(2));
    assert_eq!(sim.heard(caller).numbers.len(), 50);
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn azure_asks_for_something_while_it_rings() {
    let mut sim = world(917).start();
    let caller = ringing(&mut sim);
    let leg = expected(&sim).leg;
    let called = sim.called("acs");
    sim.hold(called);
    sim.run_for(Duration::from_millis(500));
    assert!(
        sim.ladder().count("acs", "491 INVITE") > 0,
        "{}",
        sim.ladder()
    );
    tell(&mut sim, CloudEvent::Connected);
    sim.run_until_quiet();
    assert!(sim.view(caller).is_up(), "{}", sim.ladder());
    sim.hang_up(caller);
    sim.run_until_quiet();
    ended(&mut sim, leg, Some("c-1"));
}

#[test]
fn a_fault_in_the_handler_leaves_nothing_at_azure() {
    let mut sim = world(918).start();
    let caller = ringing(&mut sim);
    let expectation = expected(&sim);
    let input = Input::Cloud(expectation.leg, CloudEvent::Connected);
    assert_eq!(sim.fault(expectation.call, input), Some(expectation.call));
    sim.run_until_quiet();
    assert!(sim.view(caller).is_over(), "{}", sim.ladder());
    ended(&mut sim, expectation.leg, Some("c-1"));
}
