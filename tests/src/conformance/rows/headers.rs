//! CK-24 to CK-30: what every message of the gateway looks like.

use anyhow::{Context as _, Result, ensure};

use crate::conformance::mutant::{Change, Fate, Mutant};
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

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
                    passing
                        .message
                        .rewrite("Contact", |value| value.replace(";transport=tls", ""));
                }
                Fate::Pass
            }),
            group: &[],
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
];

async fn contact(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.call_in("+14255550123").await?;
    let mut seen = 0;
    for method in ["OPTIONS", "INVITE"] {
        let requests = stage.requests(method);
        ensure!(!requests.is_empty(), "no {method} was sent");
        for (_, request) in requests {
            let contact = request.first("Contact").context("no Contact")?;
            let uri = contact
                .trim_start_matches('<')
                .split('>')
                .next()
                .unwrap_or_default();
            let (host, parameters) = uri.split_once(';').context("no parameters in Contact")?;
            let host = host.strip_prefix("sip:").context("no sip URI in Contact")?;
            let host = host.rsplit('@').next().unwrap_or_default();
            ensure!(
                host == format!("{FQDN}:5061"),
                "{method}: Contact: {contact}"
            );
            let tls = parameters.split(';').any(|one| one == "transport=tls");
            ensure!(tls, "{method}: no transport=tls: Contact: {contact}");
            seen += 1;
        }
    }
    Ok(format!("{seen} requests"))
}

async fn software(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    stage.call_in("+14255550123").await?;
    stage.call_out("+14255550124").await?;
    let (mut requests, mut responses) = (0, 0);
    for (_, message) in stage.from_gateway() {
        let counted = match (message.method(), message.status()) {
            (Some("ACK" | "CANCEL"), _) | (_, Some(100)) => continue,
            (Some(_), _) => &mut requests,
            (None, _) => &mut responses,
        };
        let value = message.first("X-MS-SBC");
        let value = value.with_context(|| format!("no X-MS-SBC: {}", message.start))?;
        ensure!(value.split('/').count() >= 2, "X-MS-SBC: {value}");
        *counted += 1;
    }
    ensure!(
        requests > 1 && responses > 1,
        "{requests} requests, {responses} responses"
    );
    Ok(format!("{requests} requests, {responses} responses"))
}
