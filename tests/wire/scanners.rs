//! Tools that look a SIP server over: sipsak as an operator has it, sipvicious as its enemies do.

use std::net::UdpSocket;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;
use trunkline_tests::two_trunks::{Gateway, Plan};

use crate::registrations::REGISTERS;

/// Both programs send from the machine's plain loopback address, so that is the operator's here.
fn gateway(lab: &Lab, known: bool) -> Gateway {
    let mut plan = Plan::over("udp");
    if known {
        plan.trunks = "allow = [\"127.0.0.0/8\"]".to_owned();
    }
    Gateway::start(lab, &plan)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["60", program])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be started ({error}); use tests/run"))
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// It answers OPTIONS within a second.
fn assert_alive(gateway: &Gateway) {
    let asked = Instant::now();
    let answer = run(
        "sipsak",
        &["-v", "-s", &format!("sip:{}", gateway.carrier_side())],
    );
    assert!(answer.status.success(), "{}", text(&answer));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn sipsak_hears_what_is_allowed_and_trashes_in_vain() {
    let lab = Lab::new();
    let gateway = gateway(&lab, true);
    let target = format!("sip:{}", gateway.carrier_side());
    let answer = run("sipsak", &["-vv", "-s", &target]);
    let answer = text(&answer);
    assert!(answer.contains("SIP/2.0 200 OK"), "{answer}");
    assert!(answer.contains("Allow: INVITE"), "{answer}");
    // OPTIONS with octets exchanged at random, a hundred of them.
    run("sipsak", &["-R", "-t", "100", "-s", &target]);
    assert_alive(&gateway);
    gateway.await_no_calls(Duration::from_secs(3));
}

#[test]
fn a_scanner_finds_nothing() {
    let lab = Lab::new();
    let gateway = gateway(&lab, false);
    let host = gateway.carrier_side().ip().to_string();
    // OPTIONS, and what looks for servers that hide from it.
    for method in ["OPTIONS", "INVITE", "REGISTER"] {
        let found = text(&run("svmap", &["-m", method, "-p", "5060,5070", &host]));
        assert!(found.contains("found nothing"), "{method}: {found}");
    }
    let found = text(&run("svwar", &["-e", "100-110", "--force", &host]));
    assert!(!found.contains("reqauth"), "{found}");
    gateway.await_no_calls(Duration::from_secs(3));
}

#[test]
fn a_scanner_that_guesses_is_not_heard_any_more_and_others_are() {
    let lab = Lab::new();
    let plan = Plan {
        // It knows nothing better than MD5.
        pbx: REGISTERS.replace("auth = { ", "auth = { algorithms = \"MD5\", "),
        tables: "[bans]\nfailures = 10".to_owned(),
        ..Plan::over("udp")
    };
    let gateway = Gateway::start(&lab, &plan);
    let host = gateway.pbx_side().ip().to_string();
    let found = text(&run(
        "svcrack",
        &["-u", "office", "-r", "100-160", "-p", "5070", &host],
    ));
    assert!(found.contains("found nothing"), "{found}");
    assert_eq!(gateway.metric("trunkline_banned_sources"), 1, "{found}");
    let socket = UdpSocket::bind((lab.host(3), 0)).expect("the address is free");
    assert_eq!(gateway.probe(&socket, gateway.pbx_side()).len(), 0);
    let status = Command::new(daemon::binary())
        .args(["status", "-c"])
        .arg(&gateway.file)
        .output()
        .expect("the binary is there");
    let status = text(&status);
    assert!(status.contains("banned  127.0.0.1 for "), "{status}");
}
