//! The store of call records: what it holds outlives the gateway, and `trunkline report` counts it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::two_trunks::{Gateway, Plan};

const CALLS: u32 = 20;

/// The counts of `trunkline report --count` this.
fn report(lab: &Lab, count: &str) -> Vec<Value> {
    let arguments = ["report", "--count", count, "--json"];
    let (code, out, error) = daemon::operate(lab, &arguments);
    assert_eq!(code, 0, "{out}{error}");
    let tables: Value = serde_json::from_str(&out).expect("JSON");
    tables[0]["days"].as_array().expect("days").clone()
}

#[test]
fn acknowledged_records_outlive_a_gateway_that_is_killed() {
    let lab = Lab::new();
    let mut gateway = Gateway::start(
        &lab,
        &Plan {
            tables: "[store]\npath = \"calls.db\"\n".to_owned(),
            ..Plan::over("udp")
        },
    );
    let called = ["called/invited", "called/answer", "wait_bye"];
    let pbx = Sipp::new(&lab, "pbx", SocketAddr::new(lab.host(3), 5060), &called);
    let pbx = pbx.calls(CALLS, CALLS).start();
    let caller = ["caller/invite", "caller/answered", "caller/bye"];
    let carrier = Sipp::new(&lab, "carrier", SocketAddr::new(lab.host(2), 5060), &caller);
    let carrier = carrier.towards(SocketAddr::new(lab.host(1), 5060));
    carrier.calls(CALLS, CALLS).start().succeed();
    pbx.succeed();
    gateway.await_metric(
        &format!("trunkline_records_stored_total{{state=\"acknowledged\"}} {CALLS}"),
        Duration::from_secs(10),
    );
    gateway.process.signal("KILL");
    gateway.process.wait(Duration::from_secs(5));
    let days = report(&lab, "calls");
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!(days[0]["call_type"], "P2P", "{days:?}");
    assert_eq!(days[0]["total"], CALLS, "{days:?}");
    assert_eq!(report(&lab, "participants")[0]["total"], 2 * CALLS);
}

#[test]
fn a_report_needs_a_store() {
    let lab = Lab::new();
    for (tables, wrong) in [
        ("", "there is no [store]"),
        (
            "[store]\npath = \"none.db\"\n",
            "none.db: the store: unable to open",
        ),
        (
            "[store]\npath = \"trunkline.toml\"\n",
            "trunkline.toml: the store: file is not a database",
        ),
    ] {
        lab.write("trunkline.toml", tables);
        let (code, _, error) = daemon::operate(&lab, &["report"]);
        assert_eq!(code, 2);
        assert!(error.contains(wrong), "{error}");
    }
}
