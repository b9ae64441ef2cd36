//! The known failure causes F-01 to F-30, each with what would show it.

use acs_sim::acs::PingStatus;
use anyhow::{Context as _, Result, ensure};

use super::trial::{Interference, Trial};
use super::{Playing, Verdict, rows, suite};
use crate::gateway::FQDN;

/// What would show a cause.
#[derive(Clone, Copy)]
pub enum Proof {
    /// These rows of the checklist.
    Rows(&'static [&'static str]),
    /// A check of its own, of what a command says.
    Check(fn(Trial) -> Result<()>),
    /// A check of its own, over real sockets.
    Play(fn(Trial) -> Playing),
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
        id: "F-11",
        cause: "403 511532 on every message: the name in Contact is none that is registered",
        proofs: &[
            Proof::Play(|trial| Box::pin(unregistered(trial))),
            Proof::Rows(&["CK-10", "CK-24"]),
        ],
    },
    Failure {
        id: "F-12",
        cause: "488 SrtpEncryptionRequired: plain RTP is offered",
        proofs: &[Proof::Rows(&["CK-80"])],
    },
    Failure {
        id: "F-13",
        cause: "488 on calls to Microsoft: a payload type is listed twice",
        proofs: &[Proof::Rows(&["CK-84"])],
    },
    Failure {
        id: "F-14",
        cause: "hold ends the call: it is written with 0.0.0.0 or sendonly",
        proofs: &[Proof::Rows(&["CK-66"])],
    },
    Failure {
        id: "F-15",
        cause: "one-way audio after 22 minutes: the rollover counter is lost or kept over a re-INVITE",
        proofs: &[Proof::Rows(&["CK-81", "CK-82"])],
    },
    Failure {
        id: "F-16",
        cause: "calls end after 20 minutes: the carrier's refresh goes on to Microsoft",
        proofs: &[Proof::Rows(&["CK-64"])],
    },
    Failure {
        id: "F-17",
        cause: "the caller hears no ringing: early media is silent",
        proofs: &[Proof::Rows(&["CK-48"])],
    },
    Failure {
        id: "F-18",
        cause: "a transfer does nothing or is 400: sent to the carrier, or without Referred-By",
        proofs: &[Proof::Rows(&["CK-72", "CK-73"])],
    },
    Failure {
        id: "F-19",
        cause: "the call ends in a transfer: BYE instead of NOTIFY, no 202",
        proofs: &[Proof::Rows(&["CK-71"])],
    },
    Failure {
        id: "F-20",
        cause: "420 or transfers that fail: Replaces is not known, or sent",
        proofs: &[Proof::Rows(&["CK-41"])],
    },
    Failure {
        id: "F-21",
        cause: "no audio after hold or resume: the media address changes in a re-INVITE",
        proofs: &[Proof::Rows(&["CK-65"])],
    },
    Failure {
        id: "F-22",
        cause: "BYE or ACK never reaches Microsoft: sent on Microsoft's connection",
        proofs: &[Proof::Rows(&["CK-18"])],
    },
    Failure {
        id: "F-23",
        cause: "several missed calls for one decline: 603 is tried elsewhere",
        proofs: &[Proof::Rows(&["CK-50"])],
    },
    Failure {
        id: "F-24",
        cause: "a wrong caller or none: the asserted identity or Privacy is preferred",
        proofs: &[Proof::Rows(&["CK-54"])],
    },
    Failure {
        id: "F-25",
        cause: "long or lost failover: a trunk that is down is answered otherwise than 503",
        proofs: &[Proof::Rows(&["CK-33", "CK-56"])],
    },
    Failure {
        id: "F-26",
        cause: "digits are not heard: tones or INFO of the carrier are not turned into events",
        proofs: &[Proof::Rows(&["CK-85"])],
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
    Failure {
        id: "F-30",
        cause: "408 after the answer: ACK goes a wrong way or to a wrong endpoint",
        proofs: &[Proof::Rows(&["CK-46", "CK-49", "CK-68"])],
    },
];

/// The cause of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Failure> {
    FAILURES
        .iter()
        .find(|failure| failure.id.eq_ignore_ascii_case(id))
}

/// Whether the cause would be noticed: whatever shows it, played to the end.
///
/// # Errors
/// It would not.
pub fn shows(failure: &Failure) -> Result<()> {
    for proof in failure.proofs {
        match proof {
            Proof::Rows(ids) => ids.iter().try_for_each(|id| passes(id))?,
            Proof::Check(check) => check(Trial::new(Interference::None))?,
            Proof::Play(play) => {
                let played = suite::conduct(*play, Trial::new(Interference::None));
                played.map_err(anyhow::Error::msg)?;
            }
        }
    }
    Ok(())
}

fn passes(id: &str) -> Result<()> {
    let row = rows::find(id).with_context(|| format!("there is no {id}"))?;
    let report = suite::play(row, Interference::None);
    let line = suite::line(&report);
    ensure!(report.verdict == Verdict::Pass, "{line}\n{}", report.log);
    Ok(())
}

/// Microsoft knows a trunk of another name: `status` says that OPTIONS is refused, and what with.
async fn unregistered(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .acs(|acs| {
            for trunk in &mut acs.trunks {
                trunk.fqdn = "sbc9.contoso.example".to_owned();
            }
        })
        .start()
        .await?;
    let told = || {
        let said = trial.command(&["status", "-c", "trunkline.toml"]);
        (said.text.contains("403")).then_some(said.text)
    };
    let text = stage.shown("`status` tells of the 403", told).await?;
    ensure!(
        stage.acs.trunk(FQDN).ping() != PingStatus::Ok,
        "it is taken"
    );
    Ok(text)
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
        let told = said.text.contains("the trust store lacks") && said.text.contains(name);
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
