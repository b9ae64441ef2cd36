//! The operator's commands against a running daemon: reload under calls, status, ladder, hang-up.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use trunkline_tests::certificates::{Authority, Usage, Wish};
use trunkline_tests::daemon::{self, operate};
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::Telephone;
use trunkline_tests::two_trunks::Plan;

use crate::telephones::{CALLED, CALLING, Stage};

const PATIENCE: Duration = Duration::from_secs(10);

/// Changes the file of the daemon's configuration.
fn edit(lab: &Lab, from: &str, to: &str) {
    let file = lab.path("trunkline.toml");
    let text = std::fs::read_to_string(&file).expect("written at the start");
    assert!(text.contains(from), "{text}");
    lab.write("trunkline.toml", &text.replacen(from, to, 1));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_reload_shows_what_changes_and_keeps_calls_of_a_trunk_that_goes() {
    let lab = Lab::new();
    let mut stage = Stage::start(&lab, &Plan::over("udp"));
    let dialog = stage.call();
    // The exchange goes, another takes its socket, and the carrier is limited.
    let other = lab.host(4);
    edit(&lab, "name = \"pbx\"", "name = \"branch\"");
    edit(
        &lab,
        &format!("peers = [\"udp:{}:5060\"]", lab.host(3)),
        &format!("peers = [\"udp:{other}:5060\"]"),
    );
    edit(&lab, "to = \"pbx\"", "to = \"branch\"");
    edit(&lab, "from = \"pbx\"", "from = \"branch\"");
    edit(&lab, "name = \"carrier\"", "name = \"carrier\"\ncalls = 5");
    let away = "[[announcement]]\nname = \"away\"\n[admin]";
    edit(&lab, "[admin]", away);

    let (code, said, _) = operate(&lab, &["reload", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("- trunk pbx") && said.contains("dry run"),
        "{said}"
    );
    stage.carrier.call(CALLING, "+14255550124", stage.media[0]);
    let invite = stage.pbx.request("INVITE");
    let _ = stage.pbx.pick_up(&invite, stage.media[1]);
    let ok = stage.carrier.response("INVITE", 200);
    let second = stage.carrier.acknowledge(&ok);
    stage.pbx.request("ACK");

    let (code, said, _) = operate(&lab, &["reload"]);
    assert_eq!(code, 0, "{said}");
    for shown in [
        "+ trunk branch",
        "- trunk pbx",
        "~ trunk carrier: calls",
        "~ route in",
        "~ announcements",
        "taken",
    ] {
        assert!(said.contains(shown), "no `{shown}`: {said}");
    }
    // New calls go the new way; the old trunk's go on, and end from either side.
    let mut branch = Telephone::at(SocketAddr::new(other, 5060), stage.gateway.pbx_side());
    stage.carrier.call(CALLING, CALLED, stage.media[0]);
    let invite = branch.request("INVITE");
    let third = branch.pick_up(&invite, stage.media[1]);
    let ok = stage.carrier.response("INVITE", 200);
    stage.carrier.acknowledge(&ok);
    branch.request("ACK");
    stage.carrier.hang_up(&dialog);
    let bye = stage.pbx.request("BYE");
    stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
    stage.carrier.hang_up(&second);
    let bye = stage.pbx.request("BYE");
    stage.pbx.send(&bye.response("200 OK", "phone", &[], ""));
    branch.hang_up(&third);
    let bye = stage.carrier.request("BYE");
    stage
        .carrier
        .send(&bye.response("200 OK", "phone", &[], ""));
    stage.gateway.await_no_calls(PATIENCE);
    assert_eq!(stage.gateway.records(3).len(), 3);
    let (_, said, _) = operate(&lab, &["reload"]);
    assert!(said.contains("nothing differs"), "{said}");
}

#[test]
fn a_file_with_mistakes_changes_nothing() {
    let lab = Lab::new();
    let mut stage = Stage::start(&lab, &Plan::over("udp"));
    let dialog = stage.call();
    let right = std::fs::read_to_string(lab.path("trunkline.toml")).expect("written");
    let socket = lab.path("admin.sock").display().to_string();
    let reload = || operate(&lab, &["reload", "--socket", &socket]);
    for (from, to, says) in [
        ("to = \"pbx\"", "to = \"pxb\"", "there is no trunk `pxb`"),
        ("[media]", "[medai]", "unknown section `medai`"),
        ("shards = 2", "shards = 3", "takes a restart"),
        (
            "ports = \"20000-23999\"",
            "ports = \"20000-23997\"",
            "interfaces or media ports",
        ),
        (":5070\"", ":5080\"", "takes a restart"),
    ] {
        lab.write("trunkline.toml", &right.replacen(from, to, 1));
        let (code, said, errors) = reload();
        assert_eq!(code, 2, "{to}: {said}{errors}");
        assert!(
            errors.contains(says) && errors.contains("nothing was changed"),
            "{errors}"
        );
    }
    lab.write("trunkline.toml", &right);
    // A signal says the same to the log.
    lab.write("trunkline.toml", "[gateway");
    stage.gateway.process.signal("HUP");
    stage.gateway.process.wait_for("not reloaded", PATIENCE);
    stage.carrier.hang_up(&dialog);
    stage.pbx.request("BYE");
}

#[test]
fn the_commands_show_trunks_calls_and_ladders_and_end_a_call() {
    let lab = Lab::new();
    let mut stage = Stage::start(&lab, &Plan::over("udp"));
    let _ = stage.call();
    let (code, said, _) = operate(&lab, &["status", "--json"]);
    assert_eq!(code, 0, "{said}");
    let status = json(&said);
    assert_eq!(status["calls"]["established"], 1);
    assert_eq!(status["trunks"].as_array().map(Vec::len), Some(2));
    let (_, said, _) = operate(&lab, &["trunks"]);
    assert!(said.contains("carrier") && said.contains("pbx"), "{said}");
    let (_, said, _) = operate(&lab, &["calls", "--json"]);
    let calls = json(&said);
    let id = calls[0]["call"].as_str().expect("a call").to_owned();
    assert_eq!(calls[0]["from"], "carrier");
    assert!(!said.contains("5550123"), "numbers are masked: {said}");
    let (_, said, _) = operate(&lab, &["call", &id, "ladder"]);
    let arrows: Vec<&str> = said.lines().collect();
    for (message, count) in [
        ("  INVITE sip:", 2),
        ("  SIP/2.0 100 ", 1),
        ("  SIP/2.0 200 OK", 2),
        ("  ACK sip:", 2),
    ] {
        let found = arrows.iter().filter(|arrow| arrow.contains(message));
        assert_eq!(found.count(), count, "{message}: {said}");
    }
    assert!(arrows[0].contains("INVITE sip:"), "{said}");
    assert!(
        said.lines().last().is_some_and(|line| line.contains("ACK")),
        "{said}"
    );
    assert_eq!(operate(&lab, &["call", &id, "hangup"]).0, 0);
    stage.pbx.request("BYE");
    stage.carrier.request("BYE");
    assert_eq!(operate(&lab, &["call", "00000000000000ff"]).0, 1);
    assert_eq!(operate(&lab, &["call", "not-a-call"]).0, 2);
    let (code, said, _) = operate(&lab, &["drain"]);
    assert_eq!(code, 0, "{said}");
    assert!(stage.gateway.process.wait(PATIENCE).success());
}

#[test]
fn without_a_daemon_the_commands_say_so() {
    let lab = Lab::new();
    lab.write("trunkline.toml", "[admin]\nsocket = \"admin.sock\"\n");
    let (code, _, errors) = operate(&lab, &["status"]);
    assert_eq!(code, 2, "{errors}");
    assert!(
        errors.contains("admin.sock") && errors.contains("no daemon answers"),
        "{errors}"
    );
    lab.write("trunkline.toml", "[admin]\n");
    let (code, _, errors) = operate(&lab, &["calls"]);
    assert!(
        code == 2 && errors.contains("no `socket` in [admin]"),
        "{errors}"
    );
    let (code, _, errors) = operate(&lab, &["trunks", "--customer", "a b"]);
    assert!(code == 2 && errors.contains("`a b`"), "{errors}");
}

/// What OpenSSL is shown by a TLS listener that it asks for this name.
fn shown(lab: &Lab, name: Option<&str>) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &gateway::tls(lab).to_string()]);
    match name {
        Some(name) => openssl.args(["-servername", name]),
        None => openssl.arg("-noservername"),
    };
    let output = openssl
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let subject = text.lines().find(|line| line.starts_with("subject="));
    subject.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn a_new_certificate_is_shown_at_once_and_old_connections_go() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let wish = || Wish {
        usage: Usage::Both,
        ..Wish::good(&[FQDN])
    };
    let daemon = gateway::start(&lab, &authority, &authority.issue(wish()));
    // Microsoft's side of a connection, held open.
    let (chain, key) = authority.good(&[MICROSOFT]).write(&lab, "far");
    let mut held = trunkline_tests::process::Process::start_with_input(
        "openssl s_client",
        Command::new("openssl")
            .args(["s_client", "-connect", &gateway::tls(&lab).to_string()])
            .arg("-cert")
            .arg(&chain)
            .arg("-cert_chain")
            .arg(&chain)
            .arg("-key")
            .arg(&key),
    );
    held.wait_for("SSL handshake has read", PATIENCE);
    authority.issue(wish()).write(&lab, "sbc1");
    let (code, said, errors) = operate(&lab, &["reload", "--json"]);
    assert_eq!(code, 0, "{said}{errors}");
    let differences = json(&said)["differences"].clone();
    assert_eq!(
        differences.as_array().map(Vec::len),
        Some(1),
        "{differences}"
    );
    assert_eq!(differences[0]["kind"], "certificate");
    let what = differences[0]["what"].as_str().unwrap_or_default();
    assert!(what.contains("serial") && what.contains("ends"), "{what}");
    // Nobody waits for an answer on it: it is closed, long before any idle time.
    held.wait(PATIENCE);
    drop(daemon);
}

#[test]
fn each_customer_is_shown_its_own_certificate() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let names = ["a.contoso.example", "b.contoso.example"];
    authority.good(&[names[0]]).write(&lab, "sbc1");
    authority.good(&[names[1]]).write(&lab, "b");
    lab.write("roots.pem", &authority.root());
    let text = gateway::configuration(&lab).replace(FQDN, names[0]);
    let text = text.replacen(
        "[[trunk]]",
        &format!(
            "[[certificate]]\nname = \"b\"\ncertificate = \"b.pem\"\nprivate_key = \"b.key\"\n\
             [[trunk]]\nname = \"acs-b\"\npreset = \"acs\"\ncustomer = \"fabrikam\"\n\
             fqdn = \"{}\"\ncertificate = \"b\"\nlisten = \"tls:{}:5061\"\n\
             peers = [\"tls:{MICROSOFT}:5061\"]\nallow = [\"127.0.0.0/8\"]\n[[trunk]]",
            names[1],
            lab.host(1),
        ),
        1,
    );
    let _daemon = daemon::start(&lab, &text);
    assert!(shown(&lab, Some(names[0])).contains(names[0]));
    assert!(shown(&lab, Some(names[1])).contains(names[1]));
    let default = [shown(&lab, None), shown(&lab, Some("nobody.example"))];
    assert_eq!(
        default[0], default[1],
        "one default for who asks for nobody we are"
    );
    let until = Instant::now() + PATIENCE;
    loop {
        let (_, said, _) = operate(&lab, &["status", "--json", "--customer", "fabrikam"]);
        let status = json(&said);
        let trunks = status["trunks"].as_array().expect("a list");
        assert_eq!(trunks.len(), 1, "{status}");
        assert_eq!(status["names"][0]["fqdn"], names[1]);
        let certificates = status["certificates"].as_array().expect("a list");
        assert_eq!(certificates.len(), 1, "{status}");
        assert_eq!(certificates[0]["name"], "b");
        // DNS is asked a moment after the start; it has never heard of an example.
        if status["names"][0]["dns"]["fine"] == false {
            break;
        }
        assert!(Instant::now() < until, "{status}");
        // The daemon tells no one when it has its answer.
        std::thread::sleep(Duration::from_millis(50));
    }
}
