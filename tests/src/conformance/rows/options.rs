//! CK-31 to CK-37: OPTIONS in both directions.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::conformance::mutant::{Change, Fate, Mutant};
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[row!(
    "CK-32",
    "P-02: inbound OPTIONS answered 200 within a second, never relayed",
    answered,
    &[Mutant {
        what: "OPTIONS is answered after a second and a half",
        change: Change::Sip(|passing, _| match passing.answers("OPTIONS", 200) {
            true => Fate::Delay(Duration::from_millis(1500)),
            false => Fate::Pass,
        }),
        group: &["CK-29"],
    }]
)];

async fn answered(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    stage.keeps(&["P-02"])?;
    let all = stage.acs.messages();
    let sent: Vec<_> = all
        .iter()
        .filter(|message| message.sent && message.text().starts_with("OPTIONS "))
        .collect();
    ensure!(!sent.is_empty(), "Microsoft sent no OPTIONS");
    let slowest = sent
        .iter()
        .filter_map(|request| {
            let answer = all.iter().find(|message| {
                !message.sent
                    && message.connection == request.connection
                    && message.text().starts_with("SIP/2.0 200 ")
            })?;
            answer.at.duration_since(request.at).ok()
        })
        .max()
        .context("none was answered")?;
    ensure!(
        slowest <= Duration::from_secs(1),
        "answered after {slowest:?}"
    );
    let relayed = stage.carrier()?.messages();
    ensure!(
        relayed.is_empty(),
        "the carrier saw {} messages",
        relayed.len()
    );
    Ok(format!(
        "{} asked, slowest answer {} ms",
        sent.len(),
        slowest.as_millis()
    ))
}
