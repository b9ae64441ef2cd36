//! CK-42, CK-45, CK-52, CK-53, CK-58, CK-93, CK-94: who calls whom, and how it is written.

use std::time::Duration;

use acs_sim::{Behaviour, CallOptions, Provisional};
use anyhow::{Context as _, Result, ensure};

use crate::conformance::calls::{
    AGENT, APP, CALLER, PHONE, audio, ended, soon, uri, user, with_headers,
};
use crate::conformance::mutant::{Change, Fate, Mutant, Side};
use crate::conformance::stage::connected;
use crate::conformance::{Row, Trial, row};
use crate::gateway::FQDN;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-42",
        "M-05: a # in the user of the Request-URI is taken",
        hash,
        &[Mutant {
            what: "an INVITE with # in its Request-URI is 400",
            change: Change::Sip(|passing, memory| {
                let message = &mut passing.message;
                let key = message.first("Call-ID").unwrap_or_default().to_owned();
                if passing.towards == Side::Gateway && message.start.contains('#') {
                    memory.keep(&key, "");
                }
                if memory.kept(&key).is_some() && passing.answers("INVITE", 200) {
                    passing.message.start = "SIP/2.0 400 Bad Request".to_owned();
                    passing.message.body.clear();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-45",
        "I-01, I-02: +E.164 in Request-URI and From, user=phone",
        e164,
        &[Mutant {
            what: "the called number has no plus",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    let start = &mut passing.message.start;
                    *start = start.replacen("sip:+", "sip:", 1);
                }
                Fate::Pass
            }),
            group: &["CK-96"],
        }]
    ),
    row!(
        "CK-52",
        "I-09: History-Info reaches Microsoft",
        history,
        &[Mutant {
            what: "History-Info is left out",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing.message.remove("History-Info");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-53",
        "U-02: a caller without a number is taken",
        anonymous,
        &[Mutant {
            what: "an anonymous caller is given a number",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") {
                    let named = |value: &str| value.replace("sip:anonymous@", "sip:+14255550100@");
                    passing.message.rewrite("From", named);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-58",
        "U-09: the cause parameter, and 181 both ways",
        forwarded,
        &[Mutant {
            what: "181 becomes 180",
            change: Change::Sip(|passing, _| {
                if passing.answers("INVITE", 181) {
                    passing.message.start = "SIP/2.0 180 Ringing".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-93",
        "V-08: numbers as each trunk writes them, both ways",
        numbers,
        &[Mutant {
            what: "the carrier is sent a plus",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") && !passing.message.start.contains("sip:+") {
                    let start = &mut passing.message.start;
                    *start = start.replacen("sip:", "sip:+", 1);
                }
                Fate::Pass
            }),
            group: &["CK-42", "CK-94"],
        }]
    ),
    row!(
        "CK-94",
        "V-09: 911 and 112, with and without +, reach the trunk for emergencies",
        emergency,
        &[Mutant {
            what: "112 is turned into 911",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") {
                    let start = &mut passing.message.start;
                    *start = start.replacen("sip:112@", "sip:911@", 1);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

async fn hash(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut calls = stage.carrier()?.incoming();
    let options = CallOptions {
        request_uri: Some(format!("sip:*31#@{FQDN}:5061;user=phone;transport=tls")),
        ..CallOptions::from(AGENT)
    };
    let call = stage.acs.call("*31", FQDN, options).await?;
    let answered = soon("the call at the carrier", calls.recv()).await??;
    soon("the answer", call.connected())
        .await?
        .ok()
        .context("not answered")?;
    let called = answered.parties().called.clone();
    ensure!(
        ["*31#", "*31%23"].contains(&called.as_str()),
        "the carrier was asked for {called}"
    );
    audio(&call, &answered, 10).await?;
    Ok(format!("called {called}"))
}

async fn e164(trial: Trial) -> Result<String> {
    let tables: [(&str, &[(&str, &str)]); 2] = [
        (
            "numbers = { country = \"US\", area = \"425\" }",
            &[
                ("4255550123", "+14255550123"),
                ("14255550123", "+14255550123"),
                ("5550123", "+14255550123"),
                ("011442079460018", "+442079460018"),
                ("+442079460018", "+442079460018"),
            ],
        ),
        (
            "numbers = { country = \"GB\", area = \"20\" }",
            &[
                ("0014255550123", "+14255550123"),
                ("02079460018", "+442079460018"),
                ("+14255550123", "+14255550123"),
            ],
        ),
    ];
    let mut seen = 0;
    for (plan, rows) in tables {
        let fresh = trial.again();
        let stage = fresh.plan().trunk("carrier", plan).online().await?;
        for (dialled, wanted) in rows {
            let caller = if plan.contains("US") {
                "4255550199"
            } else {
                "02079460099"
            };
            let from = if plan.contains("US") {
                "+14255550199"
            } else {
                "+442079460099"
            };
            let waiting = stage.acs.expect(wanted);
            let call = stage
                .carrier()?
                .call(dialled, CallOptions::from(caller))
                .await?;
            let answered = connected(&call, waiting)
                .await
                .with_context(|| (*dialled).to_owned())?;
            let invite = stage.microsoft_invite()?;
            ensure!(
                user(&invite) == *wanted,
                "{dialled} became {}",
                uri(&invite)
            );
            let phone = uri(&invite).split(';').any(|one| one == "user=phone");
            ensure!(phone, "no user=phone in {}", uri(&invite));
            let is_from = invite.header("From").contains(&format!("sip:{from}@"));
            ensure!(is_from, "{caller} became {}", invite.header("From"));
            call.hang_up().await;
            ended(&answered).await?;
            seen += 1;
        }
        stage.keeps(&["I-01", "I-02"])?;
    }
    Ok(format!("{seen} ways to dial"))
}

async fn history(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let entries = "<sip:+14255550177@carrier.example;user=phone?Reason=SIP%3Bcause%3D302%3B\
        text%3D%22Moved%20temporarily%22>;index=1,<sip:+14255550123@carrier.example;user=phone>;\
        index=1.1";
    let options = with_headers(CALLER, &[("History-Info", entries)]);
    stage.inward(options).await?;
    let invite = stage.microsoft_invite()?;
    let values = invite.all("History-Info").join(",");
    ensure!(!values.is_empty(), "no History-Info");
    let (first, last) = (values.find("+14255550177"), values.rfind("+14255550123"));
    ensure!(
        first.is_some() && last.is_some() && first < last,
        "History-Info: {values}"
    );
    for part in ["index=1,", "index=1.1", "Reason=SIP%3Bcause%3D302"] {
        ensure!(
            values.replace(", ", ",").contains(part),
            "no {part} in {values}"
        );
    }
    Ok(values)
}

async fn anonymous(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let without_user = "sip:sip.pstnhub.microsoft.com".to_owned();
    for from_uri in [None, Some(without_user)] {
        let what = from_uri.clone().unwrap_or_else(|| "anonymous".to_owned());
        let options = CallOptions {
            from_uri,
            ..CallOptions::default()
        };
        let (caller, called) = stage.outward(options).await.with_context(|| what.clone())?;
        audio(&caller, &called, 5).await?;
        let invite = stage.carrier_invite()?;
        let from = invite.header("From");
        ensure!(from.contains("sip:anonymous@"), "{what} became {from}");
        ensure!(!from.contains("pstnhub"), "{what} became {from}");
        caller.hang_up().await;
        ended(&called).await?;
    }
    Ok("anonymous, and no user at all".to_owned())
}

async fn forwarded(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let forward = vec![
        Provisional::new(181, Duration::ZERO),
        Provisional::ringing(Duration::from_millis(100)),
    ];
    let script = Behaviour::answer(forward, Duration::from_millis(300));
    stage.acs.set_behaviour(APP, script.clone());
    stage.carrier()?.set_behaviour(PHONE, script);
    let (near, _) = stage.inward(CallOptions::from(CALLER)).await?;
    let statuses = |call: &acs_sim::CallHandle| -> Vec<u16> {
        call.state().progress.iter().map(|one| one.status).collect()
    };
    ensure!(
        statuses(&near).contains(&181),
        "the carrier was told {:?}",
        statuses(&near)
    );
    let options = CallOptions {
        request_uri: Some(format!(
            "sip:{PHONE}@{FQDN}:5061;user=phone;cause=302;transport=tls"
        )),
        ..CallOptions::from(AGENT)
    };
    let (caller, called) = stage.outward(options).await.context("with a cause")?;
    ensure!(
        statuses(&caller).contains(&181),
        "Microsoft was told {:?}",
        statuses(&caller)
    );
    audio(&caller, &called, 5).await?;
    let invite = stage.carrier_invite()?;
    ensure!(
        user(&invite) == PHONE,
        "the carrier was asked for {}",
        uri(&invite)
    );
    let told = uri(&invite).contains("cause=302")
        || invite.all("History-Info").join(",").contains("302")
        || invite.all("Diversion").join(",").contains("reason=");
    ensure!(
        told,
        "the carrier does not learn that the call was forwarded: {}",
        uri(&invite)
    );
    Ok("181 both ways, cause=302".to_owned())
}

async fn numbers(trial: Trial) -> Result<String> {
    let tables: [(&str, &[(&str, &str)]); 3] = [
        (
            "numbers = { country = \"US\", area = \"425\" }",
            &[
                ("+14255550144", "14255550144"),
                ("+442079460018", "011442079460018"),
            ],
        ),
        (
            "numbers = { country = \"US\", style = \"digits\" }",
            &[
                ("+14255550144", "14255550144"),
                ("+442079460018", "442079460018"),
            ],
        ),
        (
            "numbers = { country = \"GB\", style = \"e164\" }",
            &[("+14255550144", "+14255550144")],
        ),
    ];
    let mut seen = 0;
    for (plan, rows) in tables {
        let fresh = trial.again();
        let stage = fresh.plan().trunk("carrier", plan).online().await?;
        for (called, wanted) in rows {
            let mut calls = stage.carrier()?.incoming();
            let call = stage
                .acs
                .call(called, FQDN, CallOptions::from(AGENT))
                .await?;
            let answered = soon(called, calls.recv()).await??;
            soon("the answer", call.connected())
                .await?
                .ok()
                .context("not answered")?;
            let invite = stage.carrier_invite()?;
            ensure!(
                user(&invite) == *wanted,
                "{plan}: {called} became {}",
                uri(&invite)
            );
            let from = invite.header("From").to_owned();
            let caller = match wanted.strip_prefix('+') {
                Some(_) => AGENT,
                None => &AGENT[1..],
            };
            ensure!(
                from.contains(&format!("sip:{caller}@")),
                "{plan}: {AGENT} became {from}"
            );
            call.hang_up().await;
            ended(&answered).await?;
            seen += 1;
        }
    }
    Ok(format!("{seen} numbers in three styles"))
}

/// Ordinary calls go to a trunk at which nobody is; only those for help reach the carrier.
async fn emergency(trial: Trial) -> Result<String> {
    let plan = trial.plan();
    let other = plan.places.other;
    let listen = format!("udp:{}:5062", plan.places.gateway);
    let stage = plan
        .replace("to = \"carrier\"", "to = \"other\"")
        .tables(&format!(
            "[[trunk]]\nname = \"other\"\npreset = \"carrier\"\nlisten = \"{listen}\"\n\
             peers = [\"udp:{other}\"]\noptions = {{ interval = \"0s\" }}\n\
             [emergency]\nto = [\"carrier\"]\n"
        ))
        .online()
        .await?;
    let mut calls = stage.carrier()?.incoming();
    let mut reached = Vec::new();
    for dialled in ["911", "+911", "112", "+112"] {
        let options = CallOptions {
            request_uri: Some(format!(
                "sip:{dialled}@{FQDN}:5061;user=phone;transport=tls"
            )),
            ..CallOptions::from(AGENT)
        };
        let call = stage.acs.call(dialled, FQDN, options).await?;
        let answered = soon(dialled, calls.recv()).await??;
        soon("the answer", call.connected())
            .await?
            .ok()
            .context("not answered")?;
        let called = answered.parties().called.clone();
        ensure!(
            called == dialled.trim_start_matches('+'),
            "{dialled} became {called}"
        );
        audio(&call, &answered, 5).await?;
        call.hang_up().await;
        ended(&answered).await?;
        reached.push(called);
    }
    Ok(format!("reached {}", reached.join(", ")))
}
