//! One decision, wherever it is told: before a call, in its record, by the running daemon, by a
//! replay and beside another configuration; and what a day has cost over a restart.

use std::time::Duration;

use serde_json::Value;
use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::sip::Sip;
use trunkline_tests::two_trunks::{Gateway, Plan};

use crate::telephones::{CALLED, CALLING, Stage};

/// One call costs what one day may.
const TABLES: &str = r#"
[store]
path = "calls.db"
[shadow]
config = "tomorrow.toml"
[[rates]]
name = "local"
file = "rates.csv"
[[limit]]
name = "a dime a day"
spend_per_day = "0.10 USD"
"#;

fn plan(lab: &Lab) -> Plan {
    lab.write(
        "rates.csv",
        "prefix,rate_per_minute,currency,initial,subsequent\n1,0.10,USD,60,60\n",
    );
    let plan = Plan {
        trunks: "rates = \"local\"".to_owned(),
        tables: TABLES.to_owned(),
        ..Plan::over("udp")
    };
    // Tomorrow only what is for nobody here is routed.
    let today = plan.text(lab);
    let tomorrow = today.replace(
        "from = \"carrier\"",
        "from = \"carrier\"\ncalled = \"+44*\"",
    );
    assert_ne!(today, tomorrow);
    lab.write("tomorrow.toml", &tomorrow);
    plan
}

/// What `route explain` says of a call, with its exit code.
fn explain(lab: &Lab, more: &[&str]) -> (i32, Value) {
    let mut arguments = vec!["route", "explain", CALLED, "--from", CALLING];
    arguments.extend(["--via", "carrier", "--json"]);
    arguments.extend(more);
    let (code, out, error) = daemon::operate(lab, &arguments);
    (
        code,
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}{error}")),
    )
}

/// Calls, is answered, and hangs up; gives the INVITE as it arrived.
fn call(stage: &mut Stage) -> Sip {
    stage.carrier.call(CALLING, CALLED, stage.media[0]);
    let invite = stage.pbx.request("INVITE");
    let _ = stage.pbx.pick_up(&invite, stage.media[1]);
    let ok = stage.carrier.response("INVITE", 200);
    let dialog = stage.carrier.acknowledge(&ok);
    stage.pbx.request("ACK");
    stage.carrier.hang_up(&dialog);
    let bye = stage.pbx.request("BYE");
    stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
    invite
}

#[test]
fn a_decision_is_told_alike_everywhere() {
    let lab = Lab::new();
    let plan = plan(&lab);
    let mut stage = Stage::start(&lab, &plan);
    let (code, before) = explain(&lab, &[]);
    assert_eq!(code, 0, "{before}");
    let (code, running) = explain(&lab, &["--running"]);
    assert_eq!((code, &running), (0, &before));
    let invite = call(&mut stage);
    let record = stage.gateway.records(1).remove(0);
    let attempt = &before["attempts"][0];
    for field in attempt["headers"].as_array().expect("header fields") {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        let sent = invite.header(name);
        // Its display name and its tag are the call's own.
        let sent = sent.strip_prefix("\"A caller\" ").unwrap_or(sent);
        let sent = sent.split(";tag=").next().unwrap();
        assert_eq!(sent, value, "{name}");
    }
    let recorded = &record["decision"];
    for key in ["decision", "route", "announcement", "reject"] {
        assert_eq!(recorded[key], before[key], "{key}");
    }
    for key in ["trunk", "peer", "request_uri", "from", "cost_per_minute"] {
        assert_eq!(recorded["attempts"][0][key], attempt[key], "{key}");
    }
    assert_eq!(
        record["shadow"]["reject"]["reason"], "no route matches",
        "{record}"
    );
    assert_eq!(stage.gateway.metric("trunkline_shadow_calls_total"), 1);
    let page = stage.gateway.page("/metrics");
    assert!(
        page.contains("trunkline_shadow_calls_total{choice=\"refused\"} 1"),
        "{page}"
    );
    // A replay by the other configuration finds what the shadow recorded.
    let tomorrow = lab.path("tomorrow.toml");
    let records = lab.path("records.jsonl");
    let arguments = [
        "route",
        "replay",
        records.to_str().unwrap(),
        "--with",
        tomorrow.to_str().unwrap(),
        "--json",
    ];
    let (code, out, error) = daemon::operate(&lab, &arguments);
    assert_eq!(code, 1, "{out}{error}");
    let replayed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(replayed["newly_refused"], 1, "{replayed}");
    assert_eq!(replayed["cost_before"]["USD"], "0.10", "{replayed}");
}

#[test]
fn what_a_day_has_cost_outlives_the_daemon() {
    let lab = Lab::new();
    let plan = plan(&lab);
    let mut stage = Stage::start(&lab, &plan);
    let _ = call(&mut stage);
    stage.gateway.await_metric(
        "trunkline_records_stored_total{state=\"acknowledged\"} 1",
        Duration::from_secs(10),
    );
    let (code, running) = explain(&lab, &["--running"]);
    assert_eq!(code, 1, "{running}");
    stage.gateway.process.signal("KILL");
    stage.gateway.process.wait(Duration::from_secs(5));
    // Another process, the same day (but for the one run in a million at midnight).
    stage.gateway = Gateway::start(&lab, &plan);
    let (code, running) = explain(&lab, &["--running"]);
    assert_eq!(code, 1, "{running}");
    let reason = &running["reject"]["reason"];
    assert_eq!(
        reason,
        "limit `a dime a day`: the money of the day is spent"
    );
    // The offline answer knows of no calls.
    assert_eq!(explain(&lab, &[]).0, 0);
}
