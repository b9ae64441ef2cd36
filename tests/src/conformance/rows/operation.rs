//! CK-11, CK-34, CK-95, CK-97 and CK-98: what the operator does and is told.

use std::time::{Duration, SystemTime};

use acs_sim::acs::{PingStatus, TrunkStatus};
use acs_sim::{By, Connection, ProxyMode, exchange};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::connections::ended;
use super::tls::leaf_of;
use crate::certificates::Wish;
use crate::conformance::dns::{NameServer, Records};
use crate::conformance::mutant::{Change, Fate, Mutant, Side, TlsChange};
use crate::conformance::stage::{NAMES, Stage};
use crate::conformance::{Play, Row, Trial, row};
use crate::gateway::FQDN;

/// The window of CK-95 in place of 15 minutes, and by how much that is shorter.
const WINDOW: Duration = Duration::from_secs(5);
const FACTOR: u32 = 180;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-11",
        "C-19: a reload with a new certificate remakes every TLS connection and keeps calls",
        renewed_certificate,
        &[Mutant {
            what: "connections of before the reload stay open",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| hello.linger |= hello.towards == Side::Peer),
                ..TlsChange::NONE
            }),
            group: &["CK-22"],
        }]
    ),
    row!(
        "CK-34",
        "P-05: the gateway says that its OPTIONS are answered and none come",
        split_health,
        &[Mutant {
            what: "`status` calls a trunk well that gets no OPTIONS",
            change: Change::StandIn {
                command: "status",
                script: "\"$TRUNKLINE\" \"$@\" | sed 's/inbound never/all is well/g'",
            },
            group: &[],
        }]
    ),
    row!(
        "CK-95",
        "H-01, H-05: what Azure will say of the trunk is foretold",
        foretold,
        &[Mutant {
            what: "the forecast never expires",
            change: Change::StandIn {
                command: "status",
                script: "\"$TRUNKLINE\" \"$@\" | sed -E 's/\"ping\": *\"expired\"/\"ping\": \"ok\"/'",
            },
            group: &[],
        }]
    ),
    row!(
        "CK-97",
        "C-01: a name that has only TXT, or is none, is told by `check` and at start",
        own_name,
        &[Mutant {
            what: "a name without an address seems to lead somewhere",
            change: Change::Dns(|answer, _| {
                if answer.kind == 1 && answer.addresses.is_empty() && answer.name == FQDN {
                    answer.exists = true;
                    answer.addresses = vec![[127, 0, 0, 1].into()];
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    Row {
        id: "CK-98",
        requirement: "a day of OPTIONS and short calls with renewals: descriptors and memory stay",
        play: Play::Impossible("it takes 24 hours"),
        mutants: &[],
    },
];

/// What `status` says of the first name.
fn status(trial: &Trial) -> Option<Value> {
    let said = trial.command(&["status", "--json", "-c", "trunkline.toml"]);
    let whole: Value = serde_json::from_str(said.text.trim()).ok()?;
    whole["names"].get(0).cloned()
}

async fn renewed_certificate(trial: Trial) -> Result<String> {
    let old = trial.issue(Wish::good(&[FQDN]));
    let stage = trial
        .plan()
        .identity(&old)
        .trunk("acs", "options = { interval = \"1s\" }")
        // A connection that is to go is closed once it has been quiet for a second.
        .acs(|acs| acs.options_interval = Duration::from_secs(3))
        .online()
        .await?;
    stage.names_up().await?;
    stage.portal_online().await?;
    let (call, far) = stage.call_in("+14255550123").await?;
    let before = stage.acs.connections().len();
    let new = trial.issue(Wish::good(&[FQDN]));
    new.write(&trial.lab, "sbc1");
    let renewal = SystemTime::now();
    let said = trial.command(&["reload", "-c", "trunkline.toml"]);
    ensure!(
        said.code == 0,
        "reload ends with {}: {}",
        said.code,
        said.text
    );
    let closed = || {
        let all = stage.acs.connections();
        all[..before]
            .iter()
            .all(|one| one.closed.is_some())
            .then_some(())
    };
    let patience = Duration::from_secs(20);
    stage
        .within(patience, "the end of every connection of before", closed)
        .await?;
    let leaf = leaf_of(&new);
    let fresh = |one: &Connection| {
        one.opened > renewal && one.id.is_some() && one.chain.first() == Some(&leaf)
    };
    let remade = || {
        let all = stage.acs.connections();
        let own = |index| {
            all.iter()
                .any(|one| fresh(one) && one.listener == Some(index))
        };
        let from = all.iter().any(|one| fresh(one) && one.listener.is_none());
        ((0..NAMES.len()).all(own) && from).then_some(())
    };
    stage
        .within(
            patience,
            "connections with the new certificate, both ways",
            remade,
        )
        .await?;
    let heard = exchange(&call, &far, 20).await;
    ensure!(heard.exact(20), "{heard:?}");
    call.hang_up().await;
    ended(&far, By::Them).await?;
    Ok(format!(
        "{before} connections remade, the call and its audio stayed"
    ))
}

async fn split_health(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk(
            "acs",
            "options = { interval = \"1s\", expect_inbound = \"2s\" }",
        )
        .acs(|acs| acs.probes = false)
        .online()
        .await?;
    let told = || {
        let words = status(&trial)?["in_words"].as_str()?.to_owned();
        words
            .contains("outbound ok, inbound never")
            .then_some(words)
    };
    let words = stage.shown("`status` says so", told).await?;
    let page = stage.metrics()?;
    let asked = stage
        .acs
        .messages()
        .iter()
        .any(|one| one.sent && one.text().starts_with("OPTIONS"));
    ensure!(!asked, "Microsoft asked all the same");
    ensure!(!page.is_empty(), "no metrics");
    Ok(words)
}

async fn foretold(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk(
            "acs",
            &format!(
                "options = {{ interval = \"1s\", interval_down = \"1s\", expired_after = \"{}s\" }}",
                WINDOW.as_secs()
            ),
        )
        .acs(|acs| {
            acs.options_interval = Duration::from_secs(1);
            acs.expired_after = WINDOW;
        })
        .online()
        .await?;
    let mut told = Vec::new();
    told.push(agrees(&trial, &stage, PingStatus::Ok).await?);
    for index in 0..NAMES.len() {
        stage.acs.set_mode(index, ProxyMode::Down).await?;
    }
    told.push(agrees(&trial, &stage, PingStatus::Expired).await?);
    for index in 0..NAMES.len() {
        stage.acs.set_mode(index, ProxyMode::Up).await?;
    }
    told.push(agrees(&trial, &stage, PingStatus::Ok).await?);
    Ok(format!(
        "the window shortened by {FACTOR}: {}",
        told.join(", ")
    ))
}

/// Waits until Microsoft's side is in this state and the forecast says the same of it.
async fn agrees(trial: &Trial, stage: &Stage, wanted: PingStatus) -> Result<String> {
    let mut last = Value::Null;
    let look = || {
        let trunk = stage.acs.trunk(FQDN);
        let azure = status(trial)?["azure"].clone();
        let ping = match trunk.ping() {
            PingStatus::Unknown => "unknown",
            PingStatus::Ok => "ok",
            PingStatus::Expired => "expired",
            PingStatus::Error => "error",
        };
        let portal = match trunk.status() {
            TrunkStatus::Unknown => "Unknown",
            TrunkStatus::Online => "Online",
            TrunkStatus::Warning => "Warning",
            TrunkStatus::Inactive => "Inactive",
        };
        last = azure.clone();
        let same = azure["ping"] == ping && azure["portal"] == portal;
        (trunk.ping() == wanted && same).then(|| format!("{ping} and {portal}"))
    };
    let seen = stage
        .shown_within(
            Duration::from_secs(20),
            &format!("{wanted:?} on both sides"),
            look,
        )
        .await;
    seen.with_context(|| {
        format!(
            "the portal shows {:?}, the forecast {last}",
            stage.acs.trunk(FQDN)
        )
    })
}

async fn own_name(trial: Trial) -> Result<String> {
    let names = NameServer::start(&trial)?;
    let plan = || trial.plan().tables(&names.table());
    let own = trial.lab.host(1);
    let mut told = Vec::new();
    for (records, words) in [
        (None, "does not exist in DNS"),
        (
            Some(Records {
                text: Some("ms=123".to_owned()),
                ttl: 1,
                ..Records::default()
            }),
            "has no A record in DNS",
        ),
        (
            Some(Records {
                addresses: vec![own],
                ttl: 1,
                ..Records::default()
            }),
            "is 127.",
        ),
    ] {
        if let Some(records) = records {
            names.set(FQDN, records);
        }
        let checked = trial.check(&plan().text);
        ensure!(checked.code == 0, "{}", checked.text);
        let wrong = words.contains("DNS");
        ensure!(
            checked.text.contains(words) == wrong,
            "`check` says: {}",
            checked.text
        );
        let stage = plan().start().await?;
        let said = || {
            let dns = status(&trial)?["dns"]["in_words"].as_str()?.to_owned();
            dns.contains(words).then_some(dns)
        };
        told.push(
            stage
                .shown(&format!("`status` says: {words}"), said)
                .await?,
        );
    }
    Ok(told.join("; "))
}
