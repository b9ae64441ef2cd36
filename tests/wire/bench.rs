//! `trunkline bench`, short: its parts find each other, its figures make sense, and what goes wrong
//! is seen. How large the figures are is not judged: a machine that runs tests is never quiet.

use std::process::{Command, Output};

use serde_json::Value;
use trunkline_tests::daemon;

/// Runs a bench; its report and its exit code.
fn bench(arguments: &[&str]) -> (Value, i32) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(daemon::binary())
        .arg("bench")
        .args(arguments)
        .args(["--json", "-"])
        .output()
        .expect("the binary runs");
    let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        )
    });
    (report, status.code().expect("it was not killed"))
}

fn number(report: &Value, path: &str) -> f64 {
    let value = report.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {path} in {report:#}"))
}

#[test]
fn media_of_every_kind_comes_back_whole() {
    let (report, _) = bench(&["media", "--calls", "20", "--seconds", "1"]);
    let results = report["results"].as_array().expect("results");
    let kinds: Vec<_> = results
        .iter()
        .filter_map(|result| result["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["rtp-rtp", "rtp-srtp", "srtp-srtp"]);
    for result in results {
        let at = |path: &str| number(result, &format!("/usual{path}"));
        assert_eq!(at("/measured/sent"), 2000.0, "{result:#}");
        assert_eq!(at("/measured/lost"), 0.0, "{result:#}");
        assert_eq!(at("/measured/wrong"), 0.0, "{result:#}");
        assert_eq!(at("/measured/duplicates"), 0.0, "{result:#}");
        // Each of the forty flows once, and every 127th packet.
        assert!(at("/measured/verified") >= 40.0, "{result:#}");
        let (p50, p99, max) = (
            at("/measured/delay/p50"),
            at("/measured/delay/p99"),
            at("/measured/delay/max"),
        );
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{result:#}");
        assert!(at("/cpu_us_a_packet") > 0.5, "{result:#}");
        assert!(at("/opened_a_second") > 10.0, "{result:#}");
        assert!(at("/rss") > 1e6, "{result:#}");
        assert!(number(result, "/times_floor") > 0.2, "{result:#}");
        assert!(result["highest"].is_null(), "{result:#}");
    }
    assert!(number(&report, "/floor/send/0") > 100.0);
    assert!(number(&report, "/bare/0/cpu_us_a_packet") > 0.5);
    let not = report["does_not_prove"].as_array().expect("caveats");
    assert!(!not.is_empty());
}

#[test]
fn a_planted_loss_is_seen() {
    let plant = ["--plant-loss", "100", "--kind", "rtp-srtp"];
    let common = ["media", "--calls", "20", "--seconds", "1"];
    let (report, code) = bench(&[&common[..], &plant].concat());
    let trial = &report["results"][0]["usual"];
    assert_eq!(number(trial, "/measured/lost"), 20.0, "{trial:#}");
    assert_eq!(trial["fine"], false);
    assert_eq!(report["fine"], false);
    assert_eq!(code, 1);
}

#[test]
fn a_picture_is_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("media.svg");
    let name = file.to_str().expect("a plain name");
    let common = [
        "media",
        "--calls",
        "5",
        "--seconds",
        "1",
        "--kind",
        "rtp-rtp",
    ];
    bench(&[&common[..], &["--svg", name]].concat());
    let svg = std::fs::read_to_string(&file).expect("the picture");
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(svg.contains("CPU time of a packet"), "{svg}");
}

/// Calls in both ways; none fails, and no message is needed twice on a machine that is not
/// overrun.
fn calls(transport: &str) {
    let (report, _) = bench(&[
        "calls",
        "--rate",
        "20",
        "--seconds",
        "1",
        "--transport",
        transport,
    ]);
    let told = &report["usual"]["told"];
    for field in ["calls", "answered", "ended"] {
        assert_eq!(number(told, &format!("/{field}")), 20.0, "{told:#}");
    }
    assert_eq!(told["failed"], serde_json::json!({}), "{told:#}");
    assert!((19.0..=21.0).contains(&number(told, "/rate")), "{told:#}");
    assert!(number(told, "/delay/p50") > 10.0, "{told:#}");
    assert!(number(&report, "/usual/cpu_s_per_1000") > 0.01);
    assert_eq!(report["transport"], transport);
}

#[test]
fn calls_over_udp_are_set_up_and_ended() {
    calls("udp");
}

#[test]
fn calls_towards_tls_are_set_up_and_ended() {
    calls("tls");
}

#[test]
fn rates_that_cannot_be_are_refused() {
    for rate in ["0", "-1", "nan", "inf", "16001", "many"] {
        let argument = format!("--rate={rate}");
        let output = Command::new(daemon::binary())
            .args(["bench", "calls", &argument])
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rate}: {told}");
        let why = "calls a second are a number from 0.1 to 16000";
        assert!(told.contains(why), "{rate}: {told}");
    }
}
