//! Registrations with passwords: SIPp as an exchange that registers here, Kamailio as a carrier
//! that wants the gateway to register there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::two_trunks::{Gateway, Plan};

const PATIENCE: Duration = Duration::from_secs(20);

/// The lines of an exchange that registers here with the password `secret`.
pub(crate) const REGISTERS: &str =
    "auth = { users = { office = \"secret\" } }\nregistrar = { min_expires = \"10s\" }";

fn sipp(lab: &Lab, name: &str, parts: &[&str]) -> Sipp {
    let own = SocketAddr::new(lab.host(3), 5060);
    Sipp::new(lab, name, own, parts).towards(SocketAddr::new(lab.host(1), 5070))
}

fn await_metric(gateway: &Gateway, name: &str, value: u64) {
    let until = Instant::now() + PATIENCE;
    while gateway.metric(name) != value {
        let page = gateway.page("/metrics");
        assert!(Instant::now() < until, "{name} is not {value}:\n{page}");
        // The page tells no one when it changes.
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_exchange_registers_with_its_password_and_is_called() {
    let lab = Lab::new();
    let plan = Plan {
        // SIPp knows nothing better.
        pbx: REGISTERS.replace("auth = { ", "auth = { algorithms = \"MD5\", "),
        ..Plan::over("udp")
    };
    let gateway = Gateway::start(&lab, &plan);
    let caller = |parts: &[&str]| {
        let own = SocketAddr::new(lab.host(2), 5060);
        Sipp::new(&lab, "carrier", own, parts).towards(gateway.carrier_side())
    };
    // Nobody is there yet.
    caller(&["caller/invite", "caller/refused?status=480"])
        .start()
        .succeed();
    let asked = "register/asked?user=office";
    let proven = |password: &str, expires: u32, status: u16| {
        format!("register/proven?user=office&password={password}&expires={expires}&status={status}")
    };
    for (name, password, expires, status) in [
        ("guess", "guess", 600, 401),
        ("brief", "secret", 9, 423),
        ("right", "secret", 600, 200),
    ] {
        sipp(&lab, name, &[asked, &proven(password, expires, status)])
            .start()
            .succeed();
    }
    let own = SocketAddr::new(lab.host(3), 5060);
    let parts = [
        "called/invited",
        "called/ringing",
        "called/answer",
        "wait_bye",
    ];
    let called = Sipp::new(&lab, "called", own, &parts).start();
    caller(&["caller/invite", "caller/answered", "caller/bye"])
        .start()
        .succeed();
    called.succeed();
    let records = gateway.records(2);
    assert_eq!(records[0]["status"], 480, "{}", records[0]);
    assert_eq!(records[1]["status"], 200, "{}", records[1]);
    assert_eq!(gateway.metric("trunkline_registered_contacts"), 1);
    let metrics = gateway.page("/metrics");
    for counted in [
        "wrong_password\"} 1",
        "register_refused\"} 1",
        "challenged\"} 3",
    ] {
        assert!(metrics.contains(counted), "{counted}:\n{metrics}");
    }
}

/// Kamailio at the carrier's address, which lets nobody register or call without the password.
fn kamailio(lab: &Lab, algorithm: &str) -> Process {
    let at = lab.host(2);
    let configuration = format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
listen=udp:{at}:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_count", 1)
modparam("auth", "nonce_expire", 20)
event_route[core:worker-one-init] {{ xlog("L_ALERT", "READY\n"); }}
request_route {{
    if (is_method("ACK")) {{ exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("carrier.example", "secret", "0")) {{
            www_challenge("carrier.example", "1");
            exit;
        }}
        xlog("L_ALERT", "REGISTERED $tU for $hdr(Expires)\n");
        append_to_reply("Expires: 20\r\n");
        sl_send_reply("200", "OK");
        exit;
    }}
    if (is_method("INVITE")) {{
        if (!pv_proxy_authenticate("carrier.example", "secret", "0")) {{
            proxy_challenge("carrier.example", "1");
            exit;
        }}
        xlog("L_ALERT", "CALLED $rU by $au\n");
        sl_send_reply("486", "Busy Here");
        exit;
    }}
    sl_send_reply("200", "OK");
}}
"#
    );
    crate::kamailio::run(lab, &configuration)
}

#[test]
fn the_gateway_registers_and_calls_with_its_password() {
    for algorithm in ["MD5", "SHA-256"] {
        let lab = Lab::new();
        let mut carrier = kamailio(&lab, algorithm);
        let aor = "sip:+14255550100@carrier.example";
        let plan = Plan {
            carrier: format!(
                "auth = {{ username = \"acme\", password = \"secret\", realm = \"carrier.example\" }}\n\
                 register = {{ aor = \"{aor}\", required = true }}"
            ),
            ..Plan::over("udp")
        };
        let gateway = Gateway::start(&lab, &plan);
        carrier.wait_for("REGISTERED +14255550100 for 3600", PATIENCE);
        await_metric(&gateway, "trunkline_registration_up", 1);
        let own = SocketAddr::new(lab.host(3), 5060);
        let parts = ["caller/invite", "caller/refused?status=486"];
        Sipp::new(&lab, "pbx", own, &parts)
            .towards(gateway.pbx_side())
            .start()
            .succeed();
        carrier.wait_for("CALLED +14255550123 by acme", PATIENCE);
        // It is renewed before the 20 seconds are over, and taken back at the end.
        carrier.wait_for_nth(2, "REGISTERED +14255550100 for 3600", PATIENCE);
        gateway.process.signal("TERM");
        carrier.wait_for("REGISTERED +14255550100 for 0", PATIENCE);
    }
}
