//! Kamailio as the far end of an `acs` trunk: TLS, parser and dialogs of nobody here.

use std::process::Command;
use std::time::Duration;

use trunkline_tests::certificates::Authority;
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::microsoft::gateway_identity;
use trunkline_tests::process::Process;
use trunkline_tests::sip::Sip;
use trunkline_tests::telephone::description;

const PATIENCE: Duration = Duration::from_secs(20);
const CALLED: &str = "+14255550123";
const CALLING: &str = "+14255550199";

/// Starts Kamailio where Microsoft would be. It demands a certificate, shows its right one only to
/// whoever asks for it by name, and prints every request.
fn kamailio(lab: &Lab, authority: &Authority, invite: &str) -> Process {
    let at = lab.host(3);
    authority.good(&[MICROSOFT]).write(lab, "far");
    authority.good(&["nobody.example"]).write(lab, "nobody");
    lab.write("far-roots.pem", &authority.root());
    let file = |name: &str| lab.path(name).display().to_string();
    let profile = |name: &str| {
        format!(
            "method = TLSv1.2+\ncertificate = {}\nprivate_key = {}\nca_list = {}\n\
             verify_certificate = yes\nrequire_certificate = yes\n",
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
            file("far-roots.pem")
        )
    };
    lab.write(
        "tls.cfg",
        &format!(
            "[server:default]\n{}\n[server:{at}:5061]\n{}server_name = {MICROSOFT}\n\
             [client:default]\n{}",
            profile("nobody"),
            profile("far"),
            profile("far")
        ),
    );
    let configuration = format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=2
auto_aliases=no
enable_tls=yes
alias={MICROSOFT}:5061
listen=tls:{at}:5061
listen=udp:{at}:5070
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("tls", "config", "{tls}")
event_route[core:worker-one-init] {{ xlog("L_ALERT", "READY\n"); }}
request_route {{
    if (proto == TLS) {{
        xlog("L_ALERT", "CLIENT cn=$tls_peer_subject_cn verified=$tls_peer_verified version=$tls_version sni=$tls_peer_server_name\n");
    }}
    xlog("L_ALERT", "BEGIN $rm $pr\n$mb\nFINISH $rm\n");
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (!is_method("ACK")) {{ sl_send_reply("404", "Not here"); }}
        exit;
    }}
    {invite}
}}
onreply_route {{ xlog("L_ALERT", "REPLY $rs $rm\n"); }}
"#,
        tls = file("tls.cfg")
    );
    run(lab, &configuration)
}

/// Starts Kamailio with this configuration, which prints READY.
pub(crate) fn run(lab: &Lab, configuration: &str) -> Process {
    let configuration = lab.write("kamailio.cfg", configuration);
    let mut kamailio = Process::start(
        "kamailio",
        Command::new("kamailio")
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-f"])
            .arg(configuration)
            .arg("-Y")
            .arg(lab.folder())
            .arg("-P")
            .arg(lab.path("kamailio.pid")),
    )
    .ending_gently();
    kamailio.wait_for("READY", PATIENCE);
    kamailio
}

/// The last request of a method that Kamailio printed.
fn printed(kamailio: &mut Process, method: &str) -> Sip {
    kamailio.wait_for(&format!("FINISH {method}"), PATIENCE);
    let output = kamailio.output();
    let from = output
        .rfind(&format!("BEGIN {method} "))
        .expect("it begins before it ends");
    let text = &output[from..];
    let text = text.split_once('\n').expect("the message follows").1;
    let text = text.split_once("FINISH").expect("it ends").0;
    Sip::parse(&text.replace('\n', "\r\n"))
}

/// A SIPp scenario of the carrier: one call that ends as told.
fn caller(lab: &Lab, rest: &str) -> Process {
    let own = gateway::carrier(lab);
    let gateway = gateway::udp(lab);
    let media = std::net::SocketAddr::new(lab.host(2), 40_000);
    let request = |method: &str, number: u32, to: &str, more: &str| {
        format!(
            "<send><![CDATA[\n{method} sip:{CALLED}@{gateway} SIP/2.0\n\
             Via: SIP/2.0/UDP {own};branch=[branch]\nMax-Forwards: 70\n\
             From: \"Caller\" <sip:{CALLING}@{own}>;tag=[call_number]\n{to}\n\
             Call-ID: [call_id]\nCSeq: {number} {method}\n{more}\n]]></send>\n"
        )
    };
    let rest = rest
        .replace(
            "ACK!",
            &request("ACK", 1, "[last_To:]", "Content-Length: 0\n"),
        )
        .replace(
            "BYE!",
            &request("BYE", 2, "[last_To:]", "Content-Length: 0\n"),
        );
    let invite = request(
        "INVITE",
        1,
        &format!("To: <sip:{CALLED}@{gateway}>"),
        &format!(
            "Contact: <sip:{CALLING}@{own}>\nContent-Type: application/sdp\n\
             Content-Length: [len]\n\n{}",
            description(media).replace("\r\n", "\n")
        ),
    );
    let scenario = lab.write(
        "caller.xml",
        &format!(
            "<?xml version=\"1.0\"?>\n<scenario name=\"caller\">\n{invite}\
             <recv response=\"100\" optional=\"true\"/>\n{rest}</scenario>\n"
        ),
    );
    sipp("sipp caller", lab, &scenario, own, Some(gateway))
}

fn sipp(
    name: &str,
    lab: &Lab,
    scenario: &std::path::Path,
    own: std::net::SocketAddr,
    to: Option<std::net::SocketAddr>,
) -> Process {
    let mut command = Command::new("sipp");
    command
        .current_dir(lab.folder())
        .args(["-m", "1", "-nostdin", "-timeout", "20s", "-timeout_error"])
        .args(["-i", &own.ip().to_string(), "-p", &own.port().to_string()])
        .arg("-sf")
        .arg(scenario);
    if let Some(to) = to {
        command.arg(to.to_string());
    }
    Process::start(name, &mut command)
}

#[test]
fn kamailio_believes_us_by_our_certificate_and_reads_our_invite() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let mut far = kamailio(
        &lab,
        &authority,
        r#"sl_send_reply("486", "Busy Here"); exit;"#,
    );
    let _near = gateway::start(&lab, &authority, &gateway_identity(&authority));
    let options = printed(&mut far, "OPTIONS");
    let client = far.wait_for("CLIENT", PATIENCE);
    assert!(
        client.contains(&format!("cn={FQDN} verified=1")),
        "{client}"
    );
    assert!(client.contains(&format!("sni={MICROSOFT}")), "{client}");
    assert_eq!(
        options.header("Contact"),
        format!("<sip:{FQDN}:5061;transport=tls>")
    );
    gateway::wait_online(&lab);
    let mut near = caller(
        &lab,
        "<recv response=\"180\" optional=\"true\"/><recv response=\"486\"/>ACK!",
    );
    let invite = printed(&mut far, "INVITE");
    assert!(
        invite
            .start
            .starts_with(&format!("INVITE sip:{CALLED}@{MICROSOFT}:5061;")),
        "{}",
        invite.start
    );
    assert!(invite.start.contains("user=phone"), "{}", invite.start);
    assert_eq!(
        invite.header("Contact"),
        format!("<sip:{CALLING}@{FQDN}:5061;transport=tls>")
    );
    assert_eq!(invite.all("Record-Route"), [""; 0]);
    let from = invite.uri("From");
    assert!(
        from.starts_with(&format!("sip:{CALLING}@{FQDN}")) && from.contains("user=phone"),
        "{from}"
    );
    assert!(invite.header("X-MS-SBC").starts_with("Trunkline/"));
    assert!(
        !invite
            .headers
            .iter()
            .any(|(_, value)| value.contains("sips:")),
        "{invite:?}"
    );
    assert!(invite.body.contains("RTP/SAVP"), "{}", invite.body);
    assert!(near.wait(PATIENCE).success(), "{}", near.output());
}

#[test]
fn a_call_is_set_up_and_ended_across_kamailio_as_a_proxy() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let callee = std::net::SocketAddr::new(lab.host(4), 5060);
    let relay = format!(
        "record_route_preset(\"{MICROSOFT}:5061;transport=tls\"); $du = \"sip:{callee}\"; t_relay(); exit;"
    );
    let mut far = kamailio(&lab, &authority, &relay);
    let sdp = trunkline_tests::microsoft::description(callee).replace("\r\n", "\n");
    let answer = |status: &str, more: &str| {
        format!(
            "<send><![CDATA[\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n\
             [last_To:];tag=callee\n[last_Call-ID:]\n[last_CSeq:]\n[last_Record-Route:]\n\
             Contact: <sip:{CALLED}@{callee}>\n{more}\n]]></send>\n"
        )
    };
    let scenario = lab.write(
        "callee.xml",
        &format!(
            "<?xml version=\"1.0\"?>\n<scenario name=\"callee\">\n<recv request=\"INVITE\"/>\n\
             {}{}<recv request=\"ACK\"/>\n<recv request=\"BYE\"/>\n{}</scenario>\n",
            answer("180 Ringing", "Content-Length: 0\n"),
            answer(
                "200 OK",
                &format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}")
            ),
            answer("200 OK", "Content-Length: 0\n").replace(";tag=callee", ""),
        ),
    );
    let mut there = sipp("sipp callee", &lab, &scenario, callee, None);
    let _near = gateway::start(&lab, &authority, &gateway_identity(&authority));
    gateway::wait_online(&lab);
    let mut here = caller(
        &lab,
        "<recv response=\"180\"/><recv response=\"200\"/>ACK!BYE!<recv response=\"200\"/>",
    );
    assert!(
        here.wait(PATIENCE).success(),
        "{}\n{}",
        here.output(),
        far.output()
    );
    assert!(
        there.wait(PATIENCE).success(),
        "{}\n{}",
        there.output(),
        far.output()
    );
    let bye = printed(&mut far, "BYE");
    let routes = bye.all("Route").join(", ");
    assert!(
        routes.starts_with(&format!("<sip:{MICROSOFT}:5061;")),
        "{routes}"
    );
    assert!(bye.start.contains(&callee.to_string()), "{}", bye.start);
}
