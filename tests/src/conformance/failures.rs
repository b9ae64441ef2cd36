//! The known failure causes F-01 to F-30, each with what would show it.

use anyhow::{Result, ensure};

use super::trial::{Interference, Trial};
use crate::gateway::FQDN;

/// What would show a cause.
#[derive(Clone, Copy)]
pub enum Proof {
    /// These rows of the checklist.
    Rows(&'static [&'static str]),
    /// A check of its own.
    Check(fn(Trial) -> Result<()>),
}

/// One known cause of failed trunks and calls.
pub struct Failure {
    /// `F-01`.
    pub id: &'static str,
    /// What was seen, and why it was.
    pub cause: &'static str,
    /// What would show it.
    pub proofs: &'static [Proof],
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// The causes.
pub const FAILURES: &[Failure] = &[
    Failure {
        id: "F-01",
        cause: "403 on OPTIONS and INVITE: an IP address in Contact",
        proofs: &[Proof::Rows(&["CK-25"])],
    },
    Failure {
        id: "F-02",
        cause: "CertificateUnknown, never Online: no client certificate is sent",
        proofs: &[Proof::Rows(&["CK-02"])],
    },
    Failure {
        id: "F-03",
        cause: "TLS fails from one day to the next: the trust store lacks a new root",
        proofs: &[Proof::Check(missing_roots), Proof::Rows(&["CK-06"])],
    },
    Failure {
        id: "F-04",
        cause: "Microsoft's connections are refused: the verifier insists on clientAuth",
        proofs: &[Proof::Rows(&["CK-09"])],
    },
    Failure {
        id: "F-05",
        cause: "200 to our OPTIONS and none comes: firewall, DNS or port",
        proofs: &[Proof::Rows(&["CK-34"])],
    },
    Failure {
        id: "F-06",
        cause: "inactive now and then: literal addresses, or a missing intermediate",
        proofs: &[
            Proof::Check(literal_address),
            Proof::Rows(&["CK-03", "CK-15"]),
        ],
    },
    Failure {
        id: "F-07",
        cause: "calls from some regions fail: one of Microsoft's addresses is not trusted",
        proofs: &[Proof::Rows(&["CK-17"])],
    },
    Failure {
        id: "F-08",
        cause: "504 569016: the name has only a TXT record",
        proofs: &[Proof::Rows(&["CK-97"])],
    },
    Failure {
        id: "F-09",
        cause: "still expiring after the renewal: old connections are kept",
        proofs: &[Proof::Rows(&["CK-11"])],
    },
    Failure {
        id: "F-10",
        cause: "480 no callee endpoints: one name for Teams and ACS",
        proofs: &[Proof::Check(one_name_for_two)],
    },
    Failure {
        id: "F-22",
        cause: "BYE or ACK never reaches Microsoft: sent on Microsoft's connection",
        proofs: &[Proof::Rows(&["CK-18"])],
    },
    Failure {
        id: "F-25",
        cause: "long or lost failover: a trunk that is down is answered otherwise than 503",
        proofs: &[Proof::Rows(&["CK-33"])],
    },
    Failure {
        id: "F-27",
        cause: "the parser stumbles over a 200 without To tag and in upper case",
        proofs: &[Proof::Rows(&["CK-36"])],
    },
    Failure {
        id: "F-28",
        cause: "a large INVITE is cut off at a record of TLS",
        proofs: &[Proof::Rows(&["CK-43"])],
    },
    Failure {
        id: "F-29",
        cause: "OPTIONS storms are banned: a rate limit hits Microsoft",
        proofs: &[Proof::Rows(&["CK-35"])],
    },
];

/// The cause of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Failure> {
    FAILURES
        .iter()
        .find(|failure| failure.id.eq_ignore_ascii_case(id))
}

/// Runs a check of its own.
///
/// # Errors
/// The cause would go unnoticed.
pub fn check(check: fn(Trial) -> Result<()>) -> Result<()> {
    check(Trial::new(Interference::None))
}

fn missing_roots(trial: Trial) -> Result<()> {
    // The operating system's store, which in this test has one root of nobody's.
    let root = trial.lab.path("roots.pem").display().to_string();
    let text = trial.plan().text.replace("roots = \"roots.pem\"\n", "");
    let said = trial.check_in(&text, &[("SSL_CERT_FILE", &root), ("SSL_CERT_DIR", "")]);
    for name in [
        "DigiCert Global Root CA",
        "DigiCert Global Root G2",
        "DigiCert Global Root G3",
        "DigiCert TLS ECC P384 Root G5",
        "DigiCert TLS RSA 4096 Root G5",
        "Microsoft ECC Root Certificate Authority 2017",
        "Microsoft RSA Root Certificate Authority 2017",
    ] {
        let told = said.text.contains(&format!("the trust store lacks {name}"));
        ensure!(told, "{name} is not missed: {}", said.text);
    }
    Ok(())
}

fn literal_address(trial: Trial) -> Result<()> {
    let plan = trial
        .plan()
        .trunk("acs", "peers = [\"tls:52.114.132.46:5061\"]");
    let said = trial.check(&plan.text);
    let told = said
        .text
        .contains("Microsoft's addresses move; name the host");
    ensure!(told, "{}", said.text);
    Ok(())
}

fn one_name_for_two(trial: Trial) -> Result<()> {
    let listen = format!("tls:{}:5061", trial.lab.host(1));
    let plan = trial.plan().tables(&format!(
        "[[trunk]]\nname = \"teams\"\npreset = \"teams\"\nlisten = \"{listen}\"\n"
    ));
    let said = trial.check(&plan.text);
    let told = said.text.contains(&format!("{FQDN} serves Teams and ACS"));
    ensure!(said.code == 2 && told, "{}", said.text);
    Ok(())
}
