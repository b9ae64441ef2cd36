//! TLS in both directions, judged by OpenSSL.

use std::process::Command;
use std::time::Duration;

use trunkline_tests::certificates::{Authority, DAY, Leaf, Usage, Wish, self_signed};
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;

const PATIENCE: Duration = Duration::from_secs(15);
const AES256: &str = "ECDHE-RSA-AES256-GCM-SHA384";
const AES128: &str = "ECDHE-RSA-AES128-GCM-SHA256";

/// OpenSSL where Microsoft would listen: it demands a certificate and trusts the root alone, so
/// that it accepts a whole chain or nothing.
fn server(lab: &Lab, authority: &Authority, options: &[&str]) -> Process {
    lab.write("far-roots.pem", &authority.root());
    lab.write("far-intermediate.pem", &authority.intermediate());
    let far = authority.good(&[MICROSOFT]);
    let (_, key) = far.write(lab, "far");
    let leaf = lab.write("far.pem", &far.leaf);
    let mut openssl = Process::start_with_input(
        "openssl s_server",
        Command::new("openssl")
            .args(["s_server", "-accept", &gateway::microsoft(lab).to_string()])
            .args(["-Verify", "3", "-verify_return_error", "-CAfile"])
            .arg(lab.path("far-roots.pem"))
            .arg("-cert")
            .arg(&leaf)
            .arg("-key")
            .arg(&key)
            .arg("-cert2")
            .arg(&leaf)
            .arg("-key2")
            .arg(&key)
            .arg("-cert_chain")
            .arg(lab.path("far-intermediate.pem"))
            // Without the chain in it, the second context would send the leaf alone.
            .args(["-servername", "nobody.example"])
            .args(options),
    );
    openssl.wait_for("ACCEPT", PATIENCE);
    openssl
}

/// The gateway connects, is believed, names whom it dials, and says OPTIONS.
fn gateway_is_believed(options: &[&str], cipher: &str) {
    let (lab, authority) = (Lab::new(), Authority::new());
    let mut far = server(&lab, &authority, options);
    // OpenSSL demands clientAuth of whoever is a client.
    let identity = authority.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&[FQDN])
    });
    let _gateway = gateway::start(&lab, &authority, &identity);
    far.wait_for(
        &format!("OPTIONS sip:{MICROSOFT}:5061;transport=tls SIP/2.0"),
        PATIENCE,
    );
    far.wait_for(&format!("CIPHER is {cipher}"), PATIENCE);
    let said = far.output();
    assert!(
        said.contains(&format!("Hostname in TLS extension: \"{MICROSOFT}\"")),
        "{said}"
    );
    assert!(said.contains(&format!("subject=CN = {FQDN}")), "{said}");
    assert!(said.contains("issuer=CN = Lab intermediate"), "{said}");
}

#[test]
fn outward_mutual_tls_1_2_with_aes_256() {
    gateway_is_believed(&["-tls1_2", "-cipher", AES256], AES256);
}

#[test]
fn outward_mutual_tls_1_2_with_aes_128() {
    gateway_is_believed(&["-tls1_2", "-cipher", AES128], AES128);
}

#[test]
fn outward_mutual_tls_1_3() {
    gateway_is_believed(&["-tls1_3"], "TLS_");
}

#[test]
fn tls_1_1_is_not_spoken() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let mut far = server(&lab, &authority, &old);
    let mut near = gateway::start(&lab, &authority, &authority.good(&[FQDN]));
    far.wait_for("unsupported protocol", PATIENCE);
    near.wait_for("ProtocolVersion", PATIENCE);
}

#[test]
fn without_its_intermediate_the_gateway_is_refused() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let mut far = server(&lab, &authority, &["-tls1_2"]);
    let mut identity = authority.good(&[FQDN]);
    identity.chain.clone_from(&identity.leaf);
    let _gateway = gateway::start(&lab, &authority, &identity);
    far.wait_for("unable to get local issuer certificate", PATIENCE);
    far.wait_for("certificate verify failed", PATIENCE);
}

#[test]
fn a_far_end_with_another_name_or_issuer_is_refused() {
    let authority = Authority::new();
    for (identity, fault) in [
        (
            authority.good(&["sip.pstnhub.example"]),
            "its certificate does not name sip.pstnhub.microsoft.com",
        ),
        (
            Authority::new().good(&[MICROSOFT]),
            "the signature of its certificate is not its issuer's",
        ),
    ] {
        let lab = Lab::new();
        let (leaf, key) = identity.write(&lab, "far");
        let mut far = Process::start_with_input(
            "openssl s_server",
            Command::new("openssl")
                .args(["s_server", "-accept", &gateway::microsoft(&lab).to_string()])
                .arg("-cert")
                .arg(&leaf)
                .arg("-cert_chain")
                .arg(&leaf)
                .arg("-key")
                .arg(&key),
        );
        far.wait_for("ACCEPT", PATIENCE);
        let mut near = gateway::start(&lab, &authority, &authority.good(&[FQDN]));
        near.wait_for(fault, PATIENCE);
        assert!(!far.output().contains("OPTIONS sip:"));
    }
}

/// A gateway with two identities on one listener, asked by OpenSSL.
struct Near {
    lab: Lab,
    authority: Authority,
    _gateway: Process,
}

const OTHER: &str = "teams1.contoso.example";

impl Near {
    fn start() -> Self {
        let (lab, authority) = (Lab::new(), Authority::new());
        authority.good(&[FQDN]).write(&lab, "sbc1");
        authority.good(&[OTHER]).write(&lab, "teams1");
        lab.write("roots.pem", &authority.root());
        let text = gateway::configuration(&lab).replace(
            "[[route]]\nname = \"in\"",
            &format!(
                r#"
[[certificate]]
name = "teams"
certificate = "teams1.pem"
private_key = "teams1.key"
[[trunk]]
name = "teams"
preset = "teams"
fqdn = "{OTHER}"
certificate = "teams"
listen = "tls:{}"
peers = ["tls:{MICROSOFT}:5061"]
allow = ["127.0.0.0/8"]
[[route]]
name = "in""#,
                gateway::tls(&lab)
            ),
        );
        let gateway = trunkline_tests::daemon::start(&lab, &text);
        Self {
            lab,
            authority,
            _gateway: gateway,
        }
    }

    /// What OpenSSL prints when it connects and sends OPTIONS, and whether it was answered.
    fn ask(&self, identity: Option<&Leaf>, options: &[&str]) -> (String, bool) {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-connect", &gateway::tls(&self.lab).to_string()])
            .args(["-verify_return_error", "-showcerts", "-CAfile"])
            .arg(self.lab.path("roots.pem"))
            .args(options);
        if let Some(leaf) = identity {
            let (chain, key) = leaf.write(&self.lab, "client");
            command
                .arg("-cert")
                .arg(&chain)
                .arg("-cert_chain")
                .arg(
                    self.lab
                        .write("client-chain.pem", &self.authority.intermediate()),
                )
                .arg("-key")
                .arg(key);
        }
        let mut openssl = Process::start_with_input("openssl s_client", &mut command);
        // With TLS 1.3 the client is through before its certificate has been judged.
        if openssl.says("Verify return code", PATIENCE) {
            // One that has been refused by now is gone, and is not answered either.
            let _ = openssl.say(&format!(
                "OPTIONS sip:{FQDN}:5061;transport=tls SIP/2.0\r\n\
                 Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK1\r\n\
                 Max-Forwards: 70\r\n\
                 From: <sip:{MICROSOFT}>;tag=1\r\n\
                 To: <sip:{FQDN}>\r\n\
                 Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
                 Contact: <sip:{MICROSOFT}:5061;transport=tls>\r\n\
                 Content-Length: 0\r\n\r\n"
            ));
        }
        let answered = openssl.says("SIP/2.0 200 OK", PATIENCE);
        (openssl.output(), answered)
    }
}

#[test]
fn the_certificate_is_chosen_by_the_name_asked_for_and_sent_with_its_chain() {
    let near = Near::start();
    let client = near.authority.good(&[MICROSOFT]);
    for (asked, shown) in [
        (&["-servername", FQDN][..], FQDN),
        (&["-servername", OTHER], OTHER),
        (&["-servername", "nobody.example"], FQDN),
        (&["-noservername"], FQDN),
    ] {
        let (said, answered) = near.ask(Some(&client), asked);
        assert!(answered, "{asked:?}: {said}");
        assert!(
            said.contains(&format!("0 s:CN = {shown}")),
            "{asked:?}: {said}"
        );
        assert!(
            said.contains("1 s:CN = Lab intermediate"),
            "{asked:?}: {said}"
        );
        assert!(
            said.contains("Verify return code: 0 (ok)"),
            "{asked:?}: {said}"
        );
    }
}

#[test]
fn clients_that_only_may_serve_are_accepted_with_either_version() {
    let near = Near::start();
    for usage in [Usage::Server, Usage::Both, Usage::Client] {
        let client = near.authority.issue(Wish {
            usage,
            ..Wish::good(&["mediaproxy.example", MICROSOFT])
        });
        for version in ["-tls1_2", "-tls1_3"] {
            let (said, answered) = near.ask(Some(&client), &[version]);
            assert!(answered, "{usage:?} {version}: {said}");
        }
    }
}

#[test]
fn clients_microsoft_would_not_be_are_refused() {
    let near = Near::start();
    let nobody = near.authority.good(&["sip.pstnhub.example"]);
    let stranger = Authority::new().good(&[MICROSOFT]);
    let alone = self_signed(Wish::good(&[MICROSOFT]));
    let expired = near.authority.issue(Wish {
        left: Err(DAY),
        ..Wish::good(&[MICROSOFT])
    });
    for version in ["-tls1_2", "-tls1_3"] {
        for (who, client, alert) in [
            ("no certificate", None, "certificate required"),
            ("another name", Some(&nobody), "bad certificate"),
            ("unknown root", Some(&stranger), "alert"),
            ("self-signed", Some(&alone), "alert"),
            ("expired", Some(&expired), "certificate expired"),
        ] {
            let (said, answered) = near.ask(client, &[version]);
            assert!(!answered, "{who} {version}: {said}");
            assert!(said.contains(alert), "{who} {version}: {said}");
        }
    }
}

#[test]
fn our_listener_speaks_nothing_older_than_tls_1_2() {
    let near = Near::start();
    let client = near.authority.good(&[MICROSOFT]);
    let (said, answered) = near.ask(Some(&client), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!answered, "{said}");
    assert!(said.contains("SSL alert number 40"), "{said}");
    for cipher in [AES256, AES128] {
        let (said, answered) = near.ask(Some(&client), &["-tls1_2", "-cipher", cipher]);
        assert!(answered, "{said}");
        assert!(said.contains(&format!("Cipher is {cipher}")), "{said}");
    }
}
