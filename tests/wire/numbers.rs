//! `trunkline numbers` as an operator runs it, against the simulated resource and its faults.

use std::process::Command;
use std::time::Duration;

use acs_sim::rest::{Fault, Owned, RestConfig, RestSim, Trouble};
use serde_json::Value;
use trunkline_tests::daemon::{binary, operate};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;

const PATIENCE: Duration = Duration::from_secs(30);

/// A resource and a configuration that names it.
async fn resource(lab: &Lab, running: u32, tables: &str) -> RestSim {
    let config = RestConfig {
        running,
        ..RestConfig::new(b"a key for tests".as_slice())
    };
    let sim = RestSim::start(config).await.expect("a socket");
    let connection = sim.connection_string("127.0.0.1");
    lab.write(
        "trunkline.toml",
        &format!(
            r#"
[gateway]
fqdn = "sbc1.contoso.example"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
[acs]
connection_string = "{connection}"
timeout = "400ms"
{tables}
[[trunk]]
name = "acs"
preset = "acs"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:127.0.0.1:5060"
peers = ["udp:198.51.100.7:5060"]
[[trunk]]
name = "pbx"
preset = "pbx"
listen = "udp:127.0.0.1:5070"
peers = ["udp:192.0.2.20:5060"]
[[route]]
name = "of the carrier"
from = ["carrier"]
called_owner = "carrier"
to = ["pbx"]
[[route]]
name = "of the application"
from = ["carrier"]
called_owner = "ported"
to = ["acs"]
"#
        ),
    );
    sim
}

const STORE: &str = "[store]\npath = \"calls.db\"\n[inventory]\nstore = true";

/// Runs `numbers` with these words and gives code, JSON and errors.
fn numbers(lab: &Lab, words: &str) -> (i32, Value, String) {
    let words: Vec<&str> = std::iter::once("numbers").chain(words.split(' ')).collect();
    let (code, out, err) = operate(lab, &words);
    assert!(!format!("{out}{err}").contains("accesskey"), "{out}{err}");
    let json = serde_json::from_str(&out).unwrap_or(Value::Null);
    (code, json, err)
}

/// Requests of this method, with this beginning of their path.
fn requests(sim: &RestSim, method: &str, path: &str) -> Vec<acs_sim::rest::Request> {
    let seen = sim.seen().into_iter().map(|seen| seen.request);
    seen.filter(|request| request.method == method && request.path().starts_with(path))
        .collect()
}

const SEARCH: &str = "search --country US --type toll-free --sms both --area-code 833 --json";

fn search(lab: &Lab) -> String {
    let (code, found, err) = numbers(lab, SEARCH);
    assert_eq!(code, 0, "{err}");
    found["search"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_whole_or_not_at_all_and_routes_follow_it() {
    let lab = Lab::new();
    let _sim = resource(&lab, 1, STORE).await;
    let broken = lab.write(
        "carrier.csv",
        "number,owner,type,sms\n+14255550100,carrier,,\n+14255550101,microsoft,,both\n\
         +14255550102,carrier,toll-free,\n",
    );
    let import = format!("import {} --json", broken.display());
    let (code, told, err) = numbers(&lab, &import);
    assert_eq!(code, 1, "{err}");
    assert_eq!(told["imported"], false);
    for line in [
        "carrier.csv:3: geographic numbers",
        "carrier.csv:4: by its beginning",
    ] {
        assert!(err.contains(line), "{err}");
    }
    assert_eq!(numbers(&lab, "list --json").1, serde_json::json!([]));
    lab.write(
        "carrier.csv",
        "number,owner,calling,monthly_cost,currency\n+14255550100,carrier,both,1.50,USD\n\
         +14255550101,ported,both,,\n",
    );
    let (code, told, err) = numbers(&lab, &import);
    assert_eq!(
        (code, &told["added"][1]),
        (0, &Value::from("+14255550101")),
        "{err}"
    );
    let listed = numbers(&lab, "list --owner carrier --json").1;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["monthly_cost"], "1.50");
    assert_eq!(listed[0]["source"], "carrier.csv");
    let route = |number: &str| {
        let words = ["route", "explain", number, "--via", "carrier", "--json"];
        let (_, out, err) = operate(&lab, &words);
        let decision: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        decision["route"].clone()
    };
    assert_eq!(route("+14255550100"), "of the carrier");
    assert_eq!(route("+14255550101"), "of the application");
    // An export is an import, and the routes are the same by the file.
    let export = lab.path("export.csv");
    let (code, _, err) = numbers(&lab, &format!("export {}", export.display()));
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = numbers(&lab, &format!("export {}", export.display()));
    assert_eq!(code, 2, "an export overwrites: {err}");
    let again = format!("import {} --dry-run --json", export.display());
    assert_eq!(numbers(&lab, &again).1["same"], 2);
    let text = std::fs::read_to_string(lab.path("trunkline.toml")).expect("a file");
    lab.write(
        "trunkline.toml",
        &text.replace("store = true", "file = \"export.csv\""),
    );
    assert_eq!(route("+14255550101"), "of the application");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_searched_bought_changed_and_given_up() {
    let lab = Lab::new();
    let sim = resource(&lab, 2, STORE).await;
    let (code, found, err) = numbers(&lab, &format!("{SEARCH} --quantity 2"));
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("search_") && err.contains("running"), "{err}");
    assert_eq!(found["numbers"][0], "+18335550100");
    assert_eq!(found["monthly_total"], "4.00");
    let id = found["search"].as_str().expect("an id");
    let (code, _, err) = numbers(&lab, &format!("purchase {id}"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert!(requests(&sim, "POST", "/availablePhoneNumbers/:purchase").is_empty());
    let (code, bought, err) = numbers(&lab, &format!("purchase {id} --yes --json"));
    assert_eq!((code, &bought["bought"]), (0, &Value::Bool(true)), "{err}");
    assert_eq!(sim.owned().len(), 2);
    let known = numbers(&lab, "list --json").1;
    assert_eq!(known.as_array().map(Vec::len), Some(2), "{known}");
    assert_eq!(known[0]["owner"], "microsoft");

    let (code, _, err) = numbers(&lab, "update +18335550100 --sms inbound --yes");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("none, outbound or both"), "{err}");
    let (code, _, err) = numbers(&lab, "update +18335550100 --sms none");
    assert_eq!((code, err.contains("--yes")), (2, true), "{err}");
    let (code, changed, err) = numbers(&lab, "update +18335550100 --sms none --yes --json");
    assert_eq!(
        (code, &changed["number"]["sms"]),
        (0, &Value::from("none")),
        "{err}"
    );
    let (code, _, err) = numbers(&lab, "update +18335550100 --sms none --yes");
    assert_eq!((code, requests(&sim, "PATCH", "/").len()), (0, 1), "{err}");

    let (code, _, err) = numbers(&lab, "release +18335550101");
    assert_eq!((code, sim.owned().len()), (2, 2), "{err}");
    let (code, _, err) = numbers(&lab, "release +18335550101 --yes");
    assert_eq!((code, sim.owned().len()), (0, 1), "{err}");
    let gone = numbers(&lab, "list --all --json").1;
    assert_eq!(gone[1]["state"], "released");
    assert_eq!(numbers(&lab, "list --azure --json").1[0]["sms"], "none");
    let (code, _, err) = numbers(&lab, "release +18335550101 --yes");
    assert_eq!(code, 1);
    assert!(err.contains("does not own"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_was_cut_short_is_no_second_one() {
    let lab = Lab::new();
    let sim = resource(&lab, 1, STORE).await;
    let id = search(&lab);
    // Azure buys and its answers are lost; what it owns is not told either.
    sim.inject(Fault::next(Trouble::AnswerLost).on("POST").times(4));
    let list = Fault::refused(403, "Forbidden").on("GET");
    let list = Fault {
        path: "/phoneNumbers".to_owned(),
        ..list
    };
    sim.inject(list);
    let (code, _, err) = numbers(&lab, &format!("purchase {id} --yes"));
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("whether the numbers were bought is not known"),
        "{err}"
    );
    assert!(err.contains("no second purchase"), "{err}");
    let (code, bought, err) = numbers(&lab, &format!("purchase {id} --yes --json"));
    assert_eq!(
        (code, &bought["already"]),
        (0, &Value::Bool(false)),
        "{err}"
    );
    let sent = requests(&sim, "POST", "/availablePhoneNumbers/:purchase");
    assert_eq!(sent.len(), 5);
    for name in ["repeatability-request-id", "repeatability-first-sent"] {
        let first = sent[0].header(name).expect("a name");
        assert!(
            sent.iter()
                .all(|request| request.header(name) == Some(first)),
            "{name}"
        );
    }
    assert_eq!(sim.owned().len(), 1);
    let (code, bought, _) = numbers(&lab, &format!("purchase {id} --yes --json"));
    assert_eq!((code, &bought["already"]), (0, &Value::Bool(true)));
    assert_eq!(
        requests(&sim, "POST", "/availablePhoneNumbers/:purchase").len(),
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_read_back() {
    let lab = Lab::new();
    let sim = resource(&lab, 1, STORE).await;
    let id = search(&lab);
    sim.inject(Fault::next(Trouble::AnswerLost).on("POST").times(4));
    let (code, _, err) = numbers(&lab, &format!("purchase {id} --yes"));
    assert_eq!((code, sim.owned().len()), (0, 1), "{err}");
    assert!(err.contains("there all the same"), "{err}");
    sim.inject(Fault::next(Trouble::AnswerLost).on("DELETE"));
    let (code, _, err) = numbers(&lab, "release +18335550100 --yes");
    assert_eq!((code, sim.owned().len()), (0, 0), "{err}");
    assert!(err.contains("read back, it is given up"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_told_in_words_and_with_azures_code() {
    let lab = Lab::new();
    let sim = resource(&lab, 1, STORE).await;
    let id = search(&lab);
    let purchase = format!("purchase {id} --yes");
    for (status, code, words) in [
        (401, "Denied", "does not accept the signature"),
        (403, "Forbidden", "forbids"),
        (404, "NotFound", "no such thing"),
        (409, "Conflict", "contradicts"),
        (422, "InvalidOfferModel", "offers no numbers with this"),
        (400, "NotEnoughCredit", "credit does not suffice"),
    ] {
        sim.inject(Fault::refused(status, code).on("POST"));
        let (exit, _, err) = numbers(&lab, &purchase);
        assert_eq!(exit, 1, "{status}: {err}");
        for part in [words, code, "nothing was bought"] {
            assert!(err.contains(part), "{status}: {part}: {err}");
        }
    }
    let throttled = Fault::next(Trouble::Refused {
        status: 429,
        code: "TooManyRequests".to_owned(),
        retry_after: Some(3600),
    });
    sim.inject(throttled.on("POST"));
    let (exit, _, err) = numbers(&lab, &purchase);
    assert_eq!((exit, err.contains("3600 s")), (1, true), "{err}");
    sim.inject(Fault::next(Trouble::Slow(Duration::from_millis(200))).on("POST"));
    sim.inject(Fault::refused(500, "InternalError").on("POST"));
    sim.fail_operation("NoWallet", "There is no way to pay.");
    let (exit, _, err) = numbers(&lab, &purchase);
    assert_eq!((exit, sim.owned().len()), (1, 0), "{err}");
    assert!(err.contains("no way to pay (Azure gave up"), "{err}");
    let (exit, _, err) = numbers(&lab, &purchase);
    assert_eq!((exit, sim.owned().len()), (0, 1), "{err}");
    // Never an answer to a question changes nothing and ends.
    sim.inject(Fault::next(Trouble::Never).on("GET").times(4));
    let (exit, _, err) = numbers(&lab, "list --azure");
    assert_eq!(
        (exit, err.contains("nothing was changed")),
        (1, true),
        "{err}"
    );
    sim.inject(Fault::refused(500, "InternalError").on("GET").times(4));
    let (exit, _, err) = numbers(&lab, "import --azure");
    assert_eq!((exit, err.contains("after 4 tries")), (1, true), "{err}");
    assert_eq!(
        numbers(&lab, "list --json").1.as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_says_what_goes_on() {
    let lab = Lab::new();
    let _sim = resource(&lab, 1_000, STORE).await;
    let mut process = Process::start(
        "trunkline",
        Command::new(binary())
            .args("numbers search --country US --type geographic -c".split(' '))
            .arg(lab.path("trunkline.toml")),
    );
    process.wait_for("running", PATIENCE);
    process.signal("INT");
    let line = process.wait_for("trunkline numbers operation", PATIENCE);
    assert_eq!(process.wait(PATIENCE).code(), Some(1));
    let id = line.rsplit(' ').next().expect("an id").trim();
    assert!(id.starts_with("search_"), "{line}");
    let (code, operation, err) = numbers(&lab, &format!("operation {id} --json"));
    assert_eq!(
        (code, &operation["state"]),
        (1, &Value::from("running")),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_disagree_are_told_number_by_number() {
    let lab = Lab::new();
    let sim = resource(&lab, 1, STORE).await;
    sim.own(Owned::toll_free("+18335550100"));
    let (code, _, err) = numbers(&lab, "import --azure");
    assert_eq!(code, 0, "{err}");
    let list = lab.write("contoso.csv", "number,calling\n+14255550100,both\n");
    let inventory = lab.write(
        "ours.csv",
        "number,owner\n+14255550100,carrier\n+14255550101,carrier\n",
    );
    let (code, _, err) = numbers(&lab, &format!("import {}", inventory.display()));
    assert_eq!(code, 0, "{err}");
    let reconcile = format!("reconcile --carrier {} --json", list.display());
    let (code, told, err) = numbers(&lab, &reconcile);
    assert_eq!(code, 1, "{err}");
    assert_eq!(
        told["disagreements"].as_array().map(Vec::len),
        Some(1),
        "{told}"
    );
    assert_eq!(told["disagreements"][0]["about"], "extra");
    assert_eq!(told["disagreements"][0]["number"], "+14255550101");
    lab.write(
        "contoso.csv",
        "number,calling\n+14255550100,both\n+14255550101,\n",
    );
    let (code, told, err) = numbers(&lab, &reconcile);
    assert_eq!(
        (code, &told["agree"]),
        (0, &Value::Bool(true)),
        "{told}{err}"
    );
    // Somebody buys one, and the other one is changed.
    sim.own(Owned::toll_free("+18335550101"));
    sim.own(Owned {
        calling: "inbound".to_owned(),
        ..Owned::toll_free("+18335550100")
    });
    let (code, told, _) = numbers(&lab, &reconcile);
    let abouts: Vec<&str> = told["disagreements"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["about"].as_str())
        .collect();
    assert_eq!((code, abouts), (1, vec!["calling", "missing"]), "{told}");
}

#[test]
fn a_plan_needs_no_configuration_and_asks_nobody_who_is_not_there() {
    let plan = |words: &str| {
        let output = Command::new(binary())
            .args(["numbers", "plan"])
            .args(words.split(' '))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code(), json, text(&output.stderr))
    };
    let (code, _, err) = plan("--new --country US");
    assert_eq!(code, Some(2), "{err}");
    for flag in ["--carrier", "--calling", "--sms", "--assignment", "--azure"] {
        assert!(err.contains(flag), "{err}");
    }
    let all = "--new --country US --carrier microsoft --calling both --sms both --assignment \
               application --azure numbers --paid yes --billing US --today 2026-11-21 --json";
    let (code, told, err) = plan(all);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(told["recommendation"], "direct-offer");
    assert_eq!(told["type"], "toll-free");
    assert_eq!(told["microsofts_list_price_usd"]["month"], "2.00");
    let own = "--number +14255550100 --carrier own --calling both --sms both --assignment person \
               --azure resource --today 2026-11-21 --json";
    let (code, told, err) = plan(own);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(told["recommendation"], "sip-interface");
    assert_eq!(told["sms"], "none");
}
