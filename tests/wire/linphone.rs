//! Linphone's engine on both sides, in a telephone of a page of C (`peers/linphone.c`). Its
//! libraries weigh a lot: the tests run where `liblinphone-dev` is installed, and are counted as
//! skipped elsewhere; `tests/run full` installs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trunkline_tests::audio::{self, Tone};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::two_trunks::{Gateway, Plan};

const PATIENCE: Duration = Duration::from_secs(20);
/// What the carrier's telephone plays, hertz.
const CARRIER_TONE: u32 = 400;
/// What the exchange's telephone plays, hertz.
const PBX_TONE: u32 = 1000;

/// The telephone, built in the lab's folder.
fn telephone(lab: &Lab) -> Option<PathBuf> {
    if !Path::new("/usr/include/linphone/core.h").exists() {
        corpora::skip("liblinphone-dev is not installed");
        return None;
    }
    let program = lab.path("linphone");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/linphone.c");
    let built = Command::new("cc")
        .args(["-w", "-o"])
        .arg(&program)
        .arg(source)
        .args(["-llinphone", "-lbctoolbox"])
        .status()
        .expect("there is a C compiler; use tests/run");
    assert!(built.success(), "the telephone is not built");
    Some(program)
}

/// A telephone at `host` with a folder of its own.
fn start(lab: &Lab, program: &Path, host: u8, tone: u32, call: &[&str]) -> Process {
    let folder = lab.path(&host.to_string());
    std::fs::create_dir(&folder).expect("the folder is ours");
    std::fs::write(folder.join("tone.wav"), audio::wave(tone, 30)).expect("the folder is ours");
    let mut command = Command::new(program);
    command
        .arg(&folder)
        .arg(lab.host(host).to_string())
        .args(call)
        .env("HOME", &folder);
    Process::start("linphone", &mut command)
}

/// What the telephone at `host` recorded is the other's tone, and its receiver missed nothing.
fn assert_heard(lab: &Lab, telephone: &mut Process, host: u8, tone: u32) {
    let counts = telephone.wait_for("AUDIO ", PATIENCE);
    let count = |name: &str| -> i64 {
        let word = counts.split(' ').find_map(|word| word.strip_prefix(name));
        word.and_then(|value| value.parse().ok()).expect("counted")
    };
    assert!(count("received=") > 120, "{counts}");
    assert!(count("sent=") > 120, "{counts}");
    assert!(count("lost=") <= 0, "{counts}");
    let wave = std::fs::read(lab.path(&host.to_string()).join("heard.wav")).expect("written");
    let samples = audio::wave_samples(&wave);
    assert!(samples.len() > 12_000, "{} samples", samples.len());
    let heard = Tone::of(&samples[samples.len() / 3..samples.len() / 2], tone);
    assert!(heard.share > 0.9, "host {host}: {heard:?}");
}

#[test]
fn a_call_between_two_carries_sound_and_holds() {
    let lab = Lab::new();
    let Some(program) = telephone(&lab) else {
        return;
    };
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let mut pbx = start(&lab, &program, 3, PBX_TONE, &[]);
    pbx.wait_for("READY", PATIENCE);
    let target = format!("sip:+14255550123@{}", gateway.carrier_side());
    let call = [target.as_str(), "+14255550177"];
    let mut carrier = start(&lab, &program, 2, CARRIER_TONE, &call);
    pbx.wait_for("LinphoneCallPausedByRemote", PATIENCE);
    assert_heard(&lab, &mut carrier, 2, PBX_TONE);
    assert_heard(&lab, &mut pbx, 3, CARRIER_TONE);
    for telephone in [&mut carrier, &mut pbx] {
        assert!(telephone.wait(PATIENCE).success(), "{}", telephone.output());
    }
    gateway.await_no_calls(PATIENCE);
    let record = gateway.records(1).remove(0);
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["ended_by"], "caller", "{record}");
}
