//! What is handed to those who install the program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(file)
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}{err}", output.status)
}

/// Puts a program of this name and text into `folder`.
fn stand_in(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("a program can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = fs::read_to_string(packaging("trunkline.service")).expect("the unit is there");
    // Where it will be installed, nothing is yet.
    let file = folder.path().join("trunkline.service");
    fs::write(&file, unit.replace("/usr/bin/trunkline", "/bin/true")).expect("a file");
    let mut verify = Command::new("systemd-analyze");
    let Ok(judged) = verify.arg("verify").arg(file).output() else {
        return corpora::skip("systemd-analyze is not installed");
    };
    assert!(
        judged.status.success() && judged.stderr.is_empty(),
        "{}",
        said(&judged)
    );
}

#[test]
fn a_build_without_its_tools_says_what_it_lacks_and_what_can_be_built() {
    let folder = tempfile::tempdir().expect("a folder");
    let compiler = "printf 'host: x86_64-unknown-linux-gnu\\nLLVM version: 990.1.2\\n'";
    stand_in(folder.path(), "rustc", compiler);
    stand_in(folder.path(), "sudo", "exec \"$@\"");
    let asked = folder.path().join("asked");
    let install = format!(
        "echo \"$@\" >>{}; [ \"$1\" = update ]",
        asked.to_string_lossy()
    );
    stand_in(folder.path(), "apt-get", &install);
    let path = std::env::var("PATH").unwrap_or_default();
    let built = Command::new(packaging("build"))
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .output()
        .expect("it can be run");
    assert_eq!(built.status.code(), Some(1), "{}", said(&built));
    let asked = fs::read_to_string(asked).unwrap_or_default();
    assert!(
        asked.contains("install") && asked.contains("llvm-990 bolt-990"),
        "{asked}"
    );
    for told in [
        "llvm-990 bolt-990",
        "LLVM 990",
        "cargo build --profile dist",
    ] {
        assert!(said(&built).contains(told), "{}", said(&built));
    }
}
