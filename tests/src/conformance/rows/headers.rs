//! CK-24 to CK-30: what every message of the gateway looks like.

use std::net::IpAddr;

use acs_sim::{Behaviour, CallOptions, HoldDialect};
use anyhow::{Context as _, Result, ensure};

use crate::conformance::mutant::{Change, Fate, Mutant};
use crate::conformance::{Row, Stage, Trial, row};
use crate::gateway::FQDN;
use crate::sip::Sip;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-24",
        "S-01: Contact on every OPTIONS and INVITE: FQDN, port, transport=tls",
        contact,
        &[Mutant {
            what: "the Contact of an INVITE lacks transport=tls",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    let shorter = |value: &str| value.replace(";transport=tls", "");
                    passing.message.rewrite("Contact", shorter);
                }
                Fate::Pass
            }),
            group: &["CK-25", "CK-26", "CK-70", "CK-72"],
        }]
    ),
    row!(
        "CK-25",
        "S-02: no IP address in Contact or Record-Route, of requests and responses",
        no_addresses,
        &[Mutant {
            what: "the Contact of a 180 has an address",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 180) {
                    let literal = |value: &str| value.replace(FQDN, "192.0.2.1");
                    passing.message.rewrite("Contact", literal);
                }
                Fate::Pass
            }),
            group: &["CK-96"],
        }]
    ),
    row!(
        "CK-26",
        "S-03: exactly one Contact",
        one_contact,
        &[Mutant {
            what: "OPTIONS has two Contacts",
            change: Change::Sip(|passing, _| {
                if passing.is_own("OPTIONS") {
                    let value = format!("<sip:{FQDN}:5061;transport=tls>");
                    passing.message.push("Contact", &value);
                }
                Fate::Pass
            }),
            group: &["CK-92", "CK-96"],
        }]
    ),
    row!(
        "CK-27",
        "S-04: no Record-Route is sent",
        no_record_route,
        &[Mutant {
            what: "the answer to OPTIONS has a Record-Route",
            change: Change::Sip(|passing, _| {
                if passing.answers("OPTIONS", 200) {
                    let value = format!("<sip:{FQDN}:5061;transport=tls;lr>");
                    passing.message.push("Record-Route", &value);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-28",
        "S-08: no sips URI anywhere",
        no_sips,
        &[Mutant {
            what: "the answer to OPTIONS has a sips Contact",
            change: Change::Sip(|passing, _| {
                if passing.answers("OPTIONS", 200) {
                    let value = format!("<sips:{FQDN}:5061;transport=tls>");
                    passing.message.set("Contact", &value);
                }
                Fate::Pass
            }),
            group: &["CK-92", "CK-96"],
        }]
    ),
    row!(
        "CK-29",
        "S-09: X-MS-SBC in requests and responses",
        software,
        &[Mutant {
            what: "the answer to OPTIONS does not say X-MS-SBC",
            change: Change::Sip(|passing, _| {
                if passing.answers("OPTIONS", 200) {
                    passing.message.remove("X-MS-SBC");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-30",
        "S-10: SIP/2.0 everywhere, CSeq names the method",
        grammar,
        &[
            Mutant {
                what: "a start line says SIP /2.0",
                change: Change::Sip(|passing, _| {
                    if passing.answers("INVITE", 100) {
                        passing.message.start = "SIP /2.0 100 Trying".to_owned();
                    }
                    Fate::Pass
                }),
                group: &["CK-18", "CK-29", "CK-38", "CK-55"],
            },
            Mutant {
                what: "the CSeq of a BYE says INVITE",
                change: Change::Sip(|passing, _| {
                    if passing.is_own("BYE") {
                        let wrong = |value: &str| value.replace("BYE", "INVITE");
                        passing.message.rewrite("CSeq", wrong);
                    }
                    Fate::Pass
                }),
                group: ENDS_BY_BYE,
            },
        ]
    ),
];

/// Rows in which Microsoft has to understand a BYE of the gateway.
pub const ENDS_BY_BYE: &[&str] = &[
    "CK-11", "CK-18", "CK-20", "CK-38", "CK-41", "CK-44", "CK-45", "CK-47", "CK-49", "CK-51",
    "CK-67", "CK-68", "CK-73", "CK-77", "CK-92",
];

/// Those, and the rows of this module, which hang up themselves.
pub const HANGS_UP: &[&str] = &[
    "CK-11", "CK-18", "CK-20", "CK-24", "CK-25", "CK-26", "CK-27", "CK-28", "CK-29", "CK-30",
    "CK-41", "CK-44", "CK-45", "CK-47", "CK-49", "CK-51", "CK-67", "CK-68", "CK-73", "CK-77",
    "CK-92",
];

/// Every kind of message that calls bring: both directions, answered, refused, cancelled, held.
async fn everything(trial: &Trial) -> Result<Stage> {
    let plan = trial.plan().carrier(|carrier| {
        carrier.behaviours = carrier
            .behaviours
            .clone()
            .with("+14255550133", Behaviour::busy());
    });
    let plan = plan.acs(|acs| {
        let slow = Behaviour::NeverAnswer { ring: true };
        acs.behaviours = acs.behaviours.clone().with("+14255550134", slow);
    });
    let stage = plan.online().await?;
    stage.portal_online().await?;
    let (caller, microsoft) = stage.call_in("+14255550123").await?;
    let (callee, far) = stage.call_out("+14255550124").await?;
    far.hold(HoldDialect::SendOnly).await.context("hold")?;
    far.resume().await.context("resume")?;
    // Of another call: the other side's hold may still be on its way through this one.
    microsoft
        .hold(HoldDialect::Inactive)
        .await
        .context("hold of Microsoft's")?;
    microsoft.resume().await.context("resume of Microsoft's")?;
    let busy = stage
        .acs
        .call("+14255550133", FQDN, CallOptions::from("+14255550111"))
        .await?;
    ensure!(busy.ended().await.status() == Some(486), "busy is not 486");
    let gives_up = stage
        .carrier()?
        .call("+14255550134", CallOptions::from("+14255550199"))
        .await?;
    ensure!(gives_up.ringing().await, "no ringing");
    gives_up.hang_up().await;
    caller.hang_up().await;
    callee.hang_up().await;
    stage
        .until("the BYE of the carrier's call", || {
            (!stage.requests("BYE").is_empty()).then_some(())
        })
        .await?;
    Ok(stage)
}

/// The URI of a Contact or Record-Route value.
fn uri(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, rest)| rest);
    inner.split('>').next().unwrap_or_default()
}

/// Host and port of a URI.
fn host(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.split(';').next().unwrap_or_default();
    rest.rsplit('@').next().unwrap_or_default()
}

async fn contact(trial: Trial) -> Result<String> {
    let stage = everything(&trial).await?;
    let mut seen = 0;
    for method in ["OPTIONS", "INVITE"] {
        let requests = stage.requests(method);
        ensure!(!requests.is_empty(), "no {method} was sent");
        for (_, request) in requests {
            let contact = request.first("Contact").context("no Contact")?;
            let uri = uri(contact);
            ensure!(uri.starts_with("sip:"), "{method}: Contact: {contact}");
            ensure!(
                host(uri) == format!("{FQDN}:5061"),
                "{method}: Contact: {contact}"
            );
            let tls = uri.split(';').any(|one| one == "transport=tls");
            ensure!(tls, "{method}: no transport=tls: Contact: {contact}");
            seen += 1;
        }
    }
    stage.keeps(&["S-01", "S-06"])?;
    Ok(format!("{seen} requests"))
}

/// Applies a look to every message the gateway sent to Microsoft.
async fn each(trial: &Trial, look: impl Fn(&Sip) -> Result<()>) -> Result<String> {
    let stage = everything(trial).await?;
    let all = stage.from_gateway();
    for (logged, message) in &all {
        look(message).with_context(|| logged.first_line())?;
    }
    Ok(format!("{} messages", all.len()))
}

async fn no_addresses(trial: Trial) -> Result<String> {
    each(&trial, |message| {
        for name in ["Contact", "Record-Route"] {
            for value in message.all(name) {
                let host = host(uri(value));
                let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
                let literal = host.starts_with('[') || bare.parse::<IpAddr>().is_ok();
                ensure!(!literal, "{name}: {value}");
            }
        }
        Ok(())
    })
    .await
}

async fn one_contact(trial: Trial) -> Result<String> {
    each(&trial, |message| {
        let values: usize = message
            .all("Contact")
            .iter()
            .map(|value| value.split(",").count())
            .sum();
        let needed = matches!(message.method(), Some("INVITE" | "OPTIONS"))
            || message.answers("INVITE", 200);
        ensure!(values <= 1 && (values == 1 || !needed), "{values} Contacts");
        Ok(())
    })
    .await
}

async fn no_record_route(trial: Trial) -> Result<String> {
    each(&trial, |message| {
        // A response repeats Microsoft's own; only what the gateway adds counts.
        let own = message
            .all("Record-Route")
            .iter()
            .any(|value| value.contains(FQDN));
        ensure!(!own, "it has a Record-Route");
        ensure!(
            message.method().is_none() || message.all("Record-Route").is_empty(),
            "a request has a Record-Route"
        );
        Ok(())
    })
    .await
}

async fn no_sips(trial: Trial) -> Result<String> {
    each(&trial, |message| {
        let found = message.text().to_ascii_lowercase().contains("sips:");
        ensure!(!found, "it has a sips URI");
        Ok(())
    })
    .await
}

async fn software(trial: Trial) -> Result<String> {
    each(&trial, |message| {
        if matches!(message.method(), Some("ACK" | "CANCEL")) || message.status() == Some(100) {
            return Ok(());
        }
        let value = message.first("X-MS-SBC").context("no X-MS-SBC")?;
        ensure!(value.split('/').count() >= 2, "X-MS-SBC: {value}");
        Ok(())
    })
    .await
}

async fn grammar(trial: Trial) -> Result<String> {
    let stage = everything(&trial).await?;
    let received = stage
        .acs
        .messages()
        .into_iter()
        .filter(|message| !message.sent);
    let mut count = 0;
    for logged in received {
        let line = logged.first_line();
        let message = Sip::read(&logged.bytes).with_context(|| format!("no SIP: {line}"))?;
        let good = match message.method() {
            Some(_) => message.start.ends_with(" SIP/2.0") && message.start.split(' ').count() == 3,
            None => message.start.starts_with("SIP/2.0 ") && message.status().is_some(),
        };
        ensure!(good, "start line: {line}");
        let cseq = message.first("CSeq").context("no CSeq")?;
        let mut parts = cseq.split(' ');
        let number = parts.next().unwrap_or_default();
        ensure!(number.parse::<u32>().is_ok(), "{line}: CSeq: {cseq}");
        let method = parts.next().unwrap_or_default();
        ensure!(
            message.method().is_none_or(|own| own == method),
            "{line}: CSeq: {cseq}"
        );
        let via = message.first("Via").context("no Via")?;
        ensure!(via.starts_with("SIP/2.0/TLS "), "{line}: Via: {via}");
        count += 1;
    }
    stage.keeps(&["S-10"])?;
    Ok(format!("{count} messages"))
}
