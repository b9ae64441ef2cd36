//! PJSIP's command-line telephone on both sides. Debian has no package of it: the tests run where
//! `TRUNKLINE_PJSUA` names the program, and are counted as skipped elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trunkline_tests::audio::{self, Tone};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::two_trunks::{Gateway, Plan};

use crate::registrations::REGISTERS;

const PATIENCE: Duration = Duration::from_secs(15);
/// What the carrier's telephone plays, hertz.
const CARRIER_TONE: u32 = 400;
/// What the exchange's telephone plays, hertz.
const PBX_TONE: u32 = 1000;
/// How long the telephones play: they have clocks of their own, so there is nothing else to await.
const TALK: Duration = Duration::from_secs(3);

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("TRUNKLINE_PJSUA");
    if named.is_none() {
        corpora::skip("TRUNKLINE_PJSUA names no pjsua");
    }
    named.map(PathBuf::from)
}

/// A telephone at `host` that plays a tone to whoever is there and writes down what it hears.
fn telephone(program: &Path, lab: &Lab, host: u8, tone: u32, more: &[&str]) -> Process {
    let at = lab.host(host).to_string();
    let file = |kind: &str| lab.path(&format!("{kind}-{host}.wav"));
    std::fs::write(file("tone"), audio::wave(tone, 30)).expect("the folder is ours");
    // Into a pipe it would write whole blocks only.
    let mut command = Command::new("stdbuf");
    command
        .arg("-oL")
        .arg(program)
        .args(["--null-audio", "--no-vad", "--no-color", "--no-tones"])
        .args(["--clock-rate", "8000", "--ec-tail", "0"])
        .args(["--app-log-level", "4", "--local-port", "5060"])
        .args(["--bound-addr", &at, "--ip-addr", &at])
        .args(["--auto-play", "--auto-rec", "--play-file"])
        .arg(file("tone"))
        .arg("--rec-file")
        .arg(file("heard"))
        .args(more);
    if !more.iter().any(|word| word.ends_with("transport=tcp")) {
        command.arg("--no-tcp");
    }
    // Codecs that are not tones after all.
    for codec in ["speex", "iLBC", "GSM", "G722", "opus", "PCMA"] {
        command.args(["--dis-codec", codec]);
    }
    let mut process = Process::start_with_input("pjsua", &mut command);
    process.wait_for("PJSUA state changed: STARTING --> RUNNING", PATIENCE);
    process
}

fn assert_heard(lab: &Lab, host: u8, tone: u32) {
    let wave = std::fs::read(lab.path(&format!("heard-{host}.wav"))).expect("it was written");
    let samples = audio::wave_samples(&wave);
    assert!(samples.len() > 12_000, "{} samples", samples.len());
    let heard = Tone::of(&samples[samples.len() / 3..samples.len() * 2 / 3], tone);
    assert!(heard.share > 0.9, "host {host}: {heard:?}");
}

/// A call of the carrier's telephone, with these options, three seconds of tones both ways, a hold
/// and a resume by the caller.
fn call(more: &[&str]) {
    let Some(program) = program() else {
        return;
    };
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let mut pbx = telephone(&program, &lab, 3, PBX_TONE, &["--auto-answer", "200"]);
    let mut carrier = telephone(&program, &lab, 2, CARRIER_TONE, more);
    let target = format!("m\nsip:+14255550123@{}\n", gateway.carrier_side());
    assert!(carrier.say(&target), "it listens");
    carrier.wait_for("Call 0 state changed to CONFIRMED", PATIENCE);
    pbx.wait_for("state changed to CONFIRMED", PATIENCE);
    std::thread::sleep(TALK);
    assert!(carrier.say("H\n"), "it listens");
    pbx.wait_for("status is Remote hold", PATIENCE);
    assert!(carrier.say("v\n"), "it listens");
    pbx.wait_for("ACK/cseq=3", PATIENCE);
    assert!(carrier.say("h\n"), "it listens");
    pbx.wait_for("is DISCONNECTED", PATIENCE);
    gateway.await_no_calls(PATIENCE);
    for telephone in [&mut carrier, &mut pbx] {
        telephone.say("q\n");
        telephone.wait(PATIENCE);
    }
    let record = gateway.records(1).remove(0);
    assert_eq!(record["status"], 200, "{record}");
    assert_heard(&lab, 3, CARRIER_TONE);
    assert_heard(&lab, 2, PBX_TONE);
}

#[test]
fn a_call_between_two_carries_sound_and_holds() {
    call(&[]);
}

#[test]
fn a_caller_that_demands_a_session_timer_is_served() {
    call(&["--use-timer", "3", "--timer-se", "90"]);
}

#[test]
fn a_caller_that_demands_reliable_ringing_is_served() {
    call(&["--use-100rel"]);
}

/// An exchange's telephone registers with the gateway over this transport, and is called by the
/// way it registered; it hangs up by the same way.
fn registers(transport: &str) {
    let Some(program) = program() else {
        return;
    };
    let lab = Lab::new();
    let plan = Plan {
        pbx: REGISTERS.to_owned(),
        ..Plan::over("udp")
    };
    let gateway = Gateway::start(&lab, &plan);
    let at = gateway.pbx_side();
    let (id, registrar) = (
        format!("sip:office@{at}"),
        format!("sip:{at};transport={transport}"),
    );
    let account = ["--id", &id, "--registrar", &registrar, "--realm", "*"];
    let secret = ["--username", "office", "--password", "secret"];
    let answering = ["--auto-answer", "200", "--reg-timeout", "120"];
    let more: Vec<&str> = [&account[..], &secret, &answering].concat();
    let mut pbx = telephone(&program, &lab, 3, PBX_TONE, &more);
    pbx.wait_for("registration success, status=200", PATIENCE);
    assert_eq!(gateway.metric("trunkline_registered_contacts"), 1);
    let mut carrier = telephone(&program, &lab, 2, CARRIER_TONE, &[]);
    let target = format!("m\nsip:+14255550123@{}\n", gateway.carrier_side());
    assert!(carrier.say(&target), "it listens");
    carrier.wait_for("Call 0 state changed to CONFIRMED", PATIENCE);
    pbx.wait_for("state changed to CONFIRMED", PATIENCE);
    std::thread::sleep(TALK);
    assert!(pbx.say("h\n"), "it listens");
    carrier.wait_for("is DISCONNECTED", PATIENCE);
    gateway.await_no_calls(PATIENCE);
    // At its end it takes its registration back.
    pbx.say("q\n");
    pbx.wait(PATIENCE);
    carrier.say("q\n");
    carrier.wait(PATIENCE);
    let page = gateway.page("/metrics");
    assert!(!page.contains("registered_contacts{"), "{page}");
    let record = gateway.records(1).remove(0);
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["ended_by"], "called", "{record}");
    assert_heard(&lab, 3, CARRIER_TONE);
    assert_heard(&lab, 2, PBX_TONE);
}

#[test]
fn an_exchange_registers_over_udp_and_is_called() {
    registers("udp");
}

#[test]
fn an_exchange_registers_over_tcp_and_is_called_on_its_connection() {
    registers("tcp");
}
