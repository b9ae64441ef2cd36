//! CK-01 to CK-13: names, certificates, handshakes.

use anyhow::{Result, ensure};

use crate::conformance::mutant::{Change, Mutant, Side, TlsChange};
use crate::conformance::stage::NAMES;
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[row!(
    "CK-04",
    "C-14: SNI is the name dialled",
    server_name,
    &[Mutant {
        what: "SNI towards sip3 is that of sip",
        change: Change::Tls(TlsChange {
            hello: Some(|hello, _| {
                if hello.towards == Side::Peer && hello.proxy == 2 {
                    hello.server_name = Some(NAMES[0].to_owned());
                }
            }),
            ..TlsChange::NONE
        }),
        group: &[],
    }]
)];

async fn server_name(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut seen = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let connection = stage
            .until(&format!("a connection to {name}"), || {
                let mut all = stage.acs.connections();
                all.retain(|one| one.listener == Some(index) && one.id.is_some());
                all.pop()
            })
            .await?;
        let asked = connection.server_name.unwrap_or_default();
        ensure!(asked == *name, "{name} was asked for `{asked}`");
        seen.push(asked);
    }
    Ok(seen.join(", "))
}
