//! Redirections told across trunks (RFC 7044, RFC 5806, RFC 7544, U-09, U-10).

use b2bua::profile::Redirections;
use sim::World;

use crate::{APPLICATION, SUBSCRIBER, dial, end, values};

/// As Microsoft prints it: two redirections in one field, escapes and all.
const HISTORY: &str = "<sip:+123456@sip.pstnhub.microsoft.com:5061;user=phone?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20temporarily%22>;index=1,\
<sip:+113579@sip.pstnhub.microsoft.com:5061;user=phone?Reason=SIP%3Bcause%3D486%3Btext%3D%22User%20Busy%22>;index=1.1";

#[test]
fn history_info_becomes_diversion_for_carriers_that_want_it() {
    for (form, history, diversion) in [
        (Redirections::None, 0, 0),
        (Redirections::HistoryInfo, 2, 0),
        (Redirections::Diversion, 0, 2),
        (Redirections::Both, 2, 2),
    ] {
        let mut sim = World::new(91)
            .profile("carrier", move |carrier| {
                carrier.headers.redirections = form
            })
            .start();
        let call = dial(
            &mut sim,
            "acs",
            SUBSCRIBER,
            None,
            &[("History-Info", HISTORY)],
        );
        let invite = &sim.view(sim.called("carrier")).invite.headers;
        let told = values(invite, "Diversion");
        assert_eq!(values(invite, "History-Info").len(), history, "{form:?}");
        assert_eq!(told.len(), diversion, "{form:?}");
        if diversion > 0 {
            assert_eq!(
                told,
                [
                    "<sip:+113579@192.0.2.1;user=phone>;reason=user-busy;counter=1;privacy=off",
                    "<sip:+123456@192.0.2.1;user=phone>;reason=unconditional;counter=1;privacy=off",
                ]
            );
        }
        end(&mut sim, call);
    }
}

#[test]
fn diversion_becomes_history_info_for_microsoft() {
    let diversion = "<sip:+12065550102@198.51.100.7>;reason=no-answer;counter=2;privacy=off, \
                     <sip:+12065550101@198.51.100.7>;reason=unconditional";
    let mut sim = World::new(92).start();
    let call = dial(
        &mut sim,
        "carrier",
        APPLICATION,
        None,
        &[("Diversion", diversion)],
    );
    let invite = &sim.view(sim.called("acs")).invite.headers;
    assert_eq!(
        values(invite, "History-Info"),
        [
            "<sip:+12065550101@sbc1.example.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1",
            "<sip:+12065550102@sbc1.example.com;user=phone;cause=302?Reason=SIP%3Bcause%3D408>;index=1.1.1;mp=1",
            "<sip:+14255550123@sbc1.example.com;user=phone;cause=408>;index=1.1.1.1;mp=1.1.1",
        ]
    );
    assert!(values(invite, "Diversion").is_empty());
    end(&mut sim, call);
}

#[test]
fn history_info_is_preserved_inward() {
    let history = "<sip:+12065550101@198.51.100.7?Reason=SIP%3Bcause%3D302>;index=1, \
                   <sip:+14255550123@198.51.100.7;cause=302>;index=1.1;rc=1";
    let mut sim = World::new(93).start();
    let call = dial(
        &mut sim,
        "carrier",
        APPLICATION,
        None,
        &[("History-Info", history)],
    );
    assert_eq!(
        values(&sim.view(sim.called("acs")).invite.headers, "History-Info"),
        [
            "<sip:+12065550101@sbc1.example.com?Reason=SIP%3Bcause%3D302>;index=1",
            "<sip:+14255550123@sbc1.example.com;cause=302>;index=1.1;rc=1",
        ]
    );
    end(&mut sim, call);
}

#[test]
fn who_asks_for_it_is_not_named_outside_the_trust_domain() {
    let history =
        "<sip:UserB@sip.pstnhub.microsoft.com?Privacy=history&Reason=SIP%3Bcause%3D486>;index=1";
    for (form, trunk, count) in [
        (Redirections::Both, "carrier", 0),
        (Redirections::Both, "pbx", 1),
    ] {
        let mut sim = World::new(94)
            .without_routes()
            .route("all", &[], &[], &[trunk])
            .profile(trunk, move |profile| profile.headers.redirections = form)
            .start();
        let call = dial(
            &mut sim,
            "acs",
            SUBSCRIBER,
            None,
            &[("History-Info", history)],
        );
        let invite = &sim.view(sim.called(trunk)).invite.headers;
        assert_eq!(values(invite, "History-Info").len(), count, "{trunk}");
        let diversion = values(invite, "Diversion");
        assert_eq!(diversion.len(), count, "{trunk}");
        assert!(
            diversion
                .iter()
                .all(|value| value.ends_with("privacy=full"))
        );
        end(&mut sim, call);
    }
}
