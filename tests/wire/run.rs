//! The daemon as its operator sees it: it starts, answers its pages, drains, refuses what is wrong.

use std::process::Command;
use std::time::Duration;

use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::two_trunks::{Gateway, Plan};

#[test]
fn pages_are_served_and_a_drain_ends_the_daemon() {
    let lab = Lab::new();
    let mut gateway = Gateway::start(&lab, &Plan::over("udp"));
    assert!(gateway.page("/healthz").ends_with("serving\n"));
    let metrics = gateway.page("/metrics");
    assert!(
        metrics.contains("trunkline_calls{stage=\"established\"} 0"),
        "{metrics}"
    );
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    gateway.process.signal("TERM");
    assert!(gateway.process.wait(Duration::from_secs(10)).success());
}

#[test]
fn a_wrong_configuration_never_starts() {
    let lab = Lab::new();
    let text = Plan::over("udp")
        .text(&lab)
        .replace("to = \"pbx\"", "to = \"pxb\"")
        .replace("preset = \"pbx\"", "present = \"pbx\"");
    let file = lab.write("wrong.toml", &text);
    let mut gateway = Process::start(
        "trunkline",
        Command::new(daemon::binary())
            .arg("run")
            .arg("-c")
            .arg(&file),
    );
    assert_eq!(gateway.wait(Duration::from_secs(10)).code(), Some(2));
    let said = gateway.output();
    let line = text
        .lines()
        .position(|line| line.starts_with("present"))
        .expect("planted")
        + 1;
    assert!(said.contains(&format!("wrong.toml:{line}:1")), "{said}");
    assert!(said.contains("did you mean `preset`"), "{said}");
}

#[test]
fn shipped_configurations_are_fine_and_route() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    for (file, via) in [
        ("trunkline.toml", "contoso-telecom"),
        ("carrier-managed.toml", "contoso-telecom"),
    ] {
        let path = config.join(file);
        let check = Command::new(daemon::binary())
            .args(["check", "--no-certificates", "--no-dns", "-c"])
            .arg(&path)
            .output()
            .expect("runs");
        assert!(
            check.status.success(),
            "{file}: {}",
            String::from_utf8_lossy(&check.stderr)
        );
        let explain = Command::new(daemon::binary())
            .args([
                "route",
                "explain",
                "+14255550123",
                "--via",
                via,
                "--json",
                "-c",
            ])
            .arg(&path)
            .output()
            .expect("runs");
        let answer: serde_json::Value =
            serde_json::from_slice(&explain.stdout).expect("explain prints JSON");
        assert_eq!(answer["decision"], "route", "{file}: {answer}");
        assert_eq!(answer["attempts"][0]["trunk"], "acs", "{file}: {answer}");
    }
}

#[test]
fn the_limit_of_open_files_is_raised_and_one_that_is_too_low_is_told() {
    let lab = Lab::new();
    let file = lab.write("trunkline.toml", &Plan::over("udp").text(&lab));
    let mut gateway = Process::start(
        "trunkline",
        Command::new("prlimit")
            .arg("--nofile=256:4096")
            .arg(daemon::binary())
            .args(["run", "-c"])
            .arg(&file),
    );
    gateway.wait_for("too few files may be open", Duration::from_secs(10));
    gateway.wait_for("serving", Duration::from_secs(10));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id()));
    let limits = limits.expect("the process runs");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.expect("a limit").split_whitespace().collect();
    assert_eq!(words[3..5], ["4096", "4096"], "{limits}");
}
