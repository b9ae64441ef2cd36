//! How the daemon leaves, and that it places calls as it explains them.

use std::process::Command;
use std::time::Duration;

use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::two_trunks::{self, Plan};

use crate::telephones::{CALLED, CALLING, Stage};

#[test]
fn a_drain_refuses_new_calls_and_waits_for_the_old_ones() {
    let lab = Lab::new();
    let mut stage = Stage::start(&lab, &Plan::over("udp"));
    let dialog = stage.call();
    stage.gateway.process.signal("TERM");
    stage
        .gateway
        .process
        .wait_for("draining", Duration::from_secs(2));
    stage.carrier.call(CALLING, CALLED, stage.media[0]);
    let refusal = stage.carrier.response("INVITE", 503);
    assert!(!refusal.all("Retry-After").is_empty(), "{refusal:?}");
    assert!(stage.gateway.page("/healthz").ends_with("draining\n"));
    let ping = two_trunks::options(
        stage.carrier.address(),
        stage.gateway.carrier_side(),
        "d",
        "UDP",
    );
    stage.carrier.send(&ping);
    stage.carrier.response("OPTIONS", 503);
    stage.carrier.hang_up(&dialog);
    let bye = stage.pbx.request("BYE");
    stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
    let status = stage.gateway.process.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    let records = stage.gateway.records(2);
    assert_eq!(records[0]["status"], 503, "{records:?}");
    assert_eq!(records[1]["ended_by"], "caller", "{records:?}");
}

#[test]
fn a_second_signal_hangs_up_both_parties() {
    let lab = Lab::new();
    let mut stage = Stage::start(&lab, &Plan::over("udp"));
    let _ = stage.call();
    stage.gateway.process.signal("TERM");
    stage
        .gateway
        .process
        .wait_for("draining", Duration::from_secs(2));
    stage.gateway.process.signal("TERM");
    for party in [&mut stage.carrier, &mut stage.pbx] {
        let bye = party.request("BYE");
        party.send(&bye.response("200 OK", "phone", &[], ""));
    }
    let status = stage.gateway.process.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    let record = stage.gateway.records(1).remove(0);
    assert_eq!(record["ended_by"], "operator", "{record}");
}

#[test]
fn a_call_goes_where_route_explain_says() {
    let lab = Lab::new();
    let plan = Plan {
        trunks: "numbers = { country = \"US\", area = \"425\" }".to_owned(),
        ..Plan::over("udp")
    };
    let mut stage = Stage::start(&lab, &plan);
    for called in [CALLED, "14255550123", "5550123", "011442079460123"] {
        let explain = Command::new(daemon::binary())
            .args(["route", "explain", called, "--from", CALLING])
            .args(["--via", "carrier", "--json", "-c"])
            .arg(&stage.gateway.file)
            .output()
            .expect("it runs");
        let answer: serde_json::Value =
            serde_json::from_slice(&explain.stdout).expect("it prints JSON");
        let attempt = &answer["attempts"][0];
        stage.carrier.call(CALLING, called, stage.media[0]);
        let invite = stage.pbx.request("INVITE");
        stage
            .pbx
            .send(&invite.response("486 Busy Here", "busy", &[], ""));
        let _ = stage.pbx.request("ACK");
        let uri = invite.start.split(' ').nth(1).expect("a Request-URI");
        assert_eq!(attempt["request_uri"], uri, "{called}: {answer}");
        assert_eq!(attempt["trunk"], "pbx", "{called}: {answer}");
        let _ = stage.carrier.response("INVITE", 486);
    }
    for record in stage.gateway.records(4) {
        assert_eq!(record["route"], "in", "{record}");
    }
}
