//! CK-07 to CK-10 and CK-12: what certificates say.

use anyhow::{Result, ensure};

use crate::certificates::{Authority, DAY, Usage, Wish};
use crate::conformance::dial::{Dial, ask};
use crate::conformance::mutant::{Change, Mutant, Side, TlsChange};
use crate::conformance::{Row, Trial, row};
use crate::gateway::{FQDN, MICROSOFT};

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-07",
        "C-16: a peer that connects must be sip.pstnhub.microsoft.com",
        peer_name,
        &[Mutant {
            what: "the name in a peer's certificate is not looked at",
            change: Change::Tls(TlsChange {
                client: Some(|shown, _| {
                    if shown.towards == Side::Gateway && shown.spare == Some("microsoft") {
                        shown.instead = shown.spare;
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-08",
        "C-17: a leaf for servers only works, one without serverAuth is refused at load",
        own_usage,
        &[Mutant {
            what: "`check` does not look at the extended key usage",
            change: Change::StandIn {
                command: "check",
                script: "case $(\"$TRUNKLINE\" \"$@\" 2>&1) in *serverAuth*) exit 0;; esac; \
                         exec \"$TRUNKLINE\" \"$@\"",
            },
            group: &[],
        }]
    ),
    row!(
        "CK-09",
        "C-18: a client certificate for servers, for clients, for both or without usage is accepted",
        peer_usage,
        &[Mutant {
            what: "a client certificate needs clientAuth",
            change: Change::Tls(TlsChange {
                client: Some(|shown, _| {
                    shown.refuse |= shown.towards == Side::Gateway
                        && shown.leaf_holds(EXTENDED_KEY_USAGE)
                        && !shown.leaf_holds(CLIENT_AUTH);
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-10",
        "C-07: a wildcard stands for one label",
        wildcard,
        &[Mutant {
            what: "`check` takes a wildcard for any number of labels",
            change: Change::StandIn {
                command: "check",
                script: "case $(\"$TRUNKLINE\" \"$@\" 2>&1) in *'does not name sbc.test.'*) exit 0;; esac; \
                         exec \"$TRUNKLINE\" \"$@\"",
            },
            group: &[],
        }]
    ),
    row!(
        "CK-12",
        "C-19, H-03: a certificate is warned of 30 days before its end",
        expiry,
        &[Mutant {
            what: "the warning begins a week before the end",
            change: Change::StandIn {
                command: "check",
                script: "out=$(\"$TRUNKLINE\" \"$@\" 2>&1); code=$?; \
                         echo \"$out\" | grep -v 'expires in 29'; exit $code",
            },
            group: &[],
        }]
    ),
];

/// DER of the object identifiers that mutants look for.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

async fn peer_name(trial: Trial) -> Result<String> {
    let right = trial.far_leaf(&["proxy.example", MICROSOFT]);
    trial.spare("microsoft", &right);
    let stage = trial.plan().start().await?;
    let answer = ask(stage.dial(trial.lab.host(11), &right), "right")?;
    ensure!(answer == Some(200), "the right name is answered {answer:?}");
    for name in [
        "sip.pstnhub.example",
        "microsoft.com",
        "sip2.pstnhub.microsoft.com",
    ] {
        let wrong = trial.far_leaf(&[name]);
        let answer = ask(stage.dial(trial.lab.host(11), &wrong), name)?;
        ensure!(answer.is_none(), "{name} is answered {answer:?}");
    }
    let stranger = trial.known(Authority::new().good(&[MICROSOFT]));
    let answer = ask(stage.dial(trial.lab.host(11), &stranger), "stranger")?;
    ensure!(answer.is_none(), "an unknown root is answered {answer:?}");
    let nobody = Dial {
        identity: None,
        ..stage.dial(trial.lab.host(11), &right)
    };
    let answer = ask(nobody, "nobody")?;
    ensure!(answer.is_none(), "no certificate is answered {answer:?}");
    Ok("one name let in; three others, an unknown root and no certificate refused".to_owned())
}

async fn own_usage(trial: Trial) -> Result<String> {
    // The usual identity of these rows is for servers only.
    let stage = trial.plan().online().await?;
    stage.portal_online().await?;
    drop(stage);
    let wish = Wish {
        usage: Usage::Client,
        ..Wish::good(&[FQDN])
    };
    let plan = trial.plan();
    let text = plan.text.clone();
    let _plan = plan.identity(&trial.issue(wish));
    let said = trial.check(&text);
    ensure!(
        said.code == 2,
        "check ends with {}: {}",
        said.code,
        said.text
    );
    ensure!(said.text.contains("lacks serverAuth"), "{}", said.text);
    let said = trial.command(&["run", "-c", "trunkline.toml"]);
    ensure!(
        said.code != 0 && said.text.contains("serverAuth"),
        "run: {}",
        said.text
    );
    Ok(
        "online with serverAuth alone; without it neither `check` nor `run` takes the file"
            .to_owned(),
    )
}

async fn peer_usage(trial: Trial) -> Result<String> {
    let stage = trial.plan().start().await?;
    for usage in [Usage::Server, Usage::Client, Usage::Both, Usage::Unsaid] {
        let leaf = trial.issue(Wish {
            usage,
            key: crate::certificates::KeyKind::P256,
            ..Wish::good(&[MICROSOFT])
        });
        let dial = stage.dial(trial.lab.host(11), &leaf);
        let answer = ask(dial, &format!("{usage:?}"))?;
        ensure!(answer == Some(200), "{usage:?}: {answer:?}");
    }
    Ok("all four".to_owned())
}

async fn wildcard(trial: Trial) -> Result<String> {
    let table = [
        ("*.contoso.example", "sbc.contoso.example", true),
        ("*.contoso.example", "sbc.test.contoso.example", false),
        ("*.contoso.example", "contoso.example", false),
        ("*.test.contoso.example", "sbc.test.contoso.example", true),
        ("sbc.contoso.example", "SBC.contoso.example", true),
        ("*.example", "sbc.contoso.example", false),
    ];
    for (name, fqdn, good) in table {
        let plan = trial.plan().identity(&trial.issue(Wish::good(&[name])));
        let text = plan.text.replace(FQDN, fqdn);
        let said = trial.check(&text);
        let named = !said.text.contains(&format!("does not name {fqdn}"));
        ensure!(
            named == good && (said.code == 0) == good,
            "{name} for {fqdn}: {}",
            said.text
        );
    }
    // On the wire, too.
    let leaf = trial.issue(Wish::good(&["*.contoso.example"]));
    let stage = trial.plan().identity(&leaf).online().await?;
    stage.portal_online().await?;
    Ok(format!("{} pairs; online with a wildcard", table.len()))
}

async fn expiry(trial: Trial) -> Result<String> {
    let half = DAY / 2;
    for (left, warned) in [(DAY * 31, false), (DAY * 29 + half, true), (DAY * 2, true)] {
        let leaf = trial.issue(Wish {
            left: Ok(left),
            ..Wish::good(&[FQDN])
        });
        let plan = trial.plan().identity(&leaf);
        let said = trial.check(&plan.text);
        ensure!(said.code == 0, "{}", said.text);
        let told = said.text.contains("expires in");
        ensure!(told == warned, "{left:?} left: {}", said.text);
    }
    Ok("silent with 31 days left, warned with 29".to_owned())
}
