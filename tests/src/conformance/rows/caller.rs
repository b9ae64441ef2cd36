//! CK-54, CK-59, CK-60: what one side is told of the other's caller, and by its application.

use acs_sim::CallOptions;
use anyhow::{Context as _, Result, ensure};

use crate::conformance::calls::{AGENT, CALLER, with_headers};
use crate::conformance::mutant::{Change, Fate, Mutant};
use crate::conformance::{Row, Trial, row};
use crate::sip::Sip;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-54",
        "U-03: P-Asserted-Identity and Privacy are kept, left out or replaced; two values are taken",
        asserted,
        &[Mutant {
            what: "the second asserted identity is lost",
            change: Change::Carrier(|passing, _| {
                let identities = passing.message.all("P-Asserted-Identity").len();
                if passing.is_own("INVITE") && identities > 1 {
                    let first = passing.message.first("P-Asserted-Identity");
                    let first = first.unwrap_or_default().to_owned();
                    passing.message.set("P-Asserted-Identity", &first);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-59",
        "U-10: History-Info is undone into Diversion for a carrier",
        diversion,
        &[Mutant {
            what: "the reason of a diversion is unknown",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") {
                    passing.message.rewrite("Diversion", |value| {
                        value.replace("reason=unconditional", "reason=unknown")
                    });
                }
                Fate::Pass
            }),
            group: &["CK-58"],
        }]
    ),
    row!(
        "CK-60",
        "U-11: five fields of context and User-To-User, both ways, and none to strangers",
        context,
        &[Mutant {
            what: "User-To-User does not reach Microsoft",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    passing.message.remove("User-To-User");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

/// The number that is billed.
const BILLED: &str = "+14255550177";
/// A number that an operator shows instead.
const SHOWN: &str = "+14255550100";

/// Whether `value` is an address of this number and scheme.
fn is_of(value: &str, scheme: &str, number: &str) -> bool {
    let start = format!("<{scheme}:{number}");
    let Some(rest) = value.split_once(&start).map(|(_, rest)| rest) else {
        return false;
    };
    rest.starts_with(['@', ';', '>'])
}

/// What the carrier's trunk is configured to, the numbers it is told, and whether of privacy.
type Policy<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

async fn asserted(trial: Trial) -> Result<String> {
    let identities = format!("<sip:{BILLED}@sip.pstnhub.microsoft.com;user=phone>,<tel:{BILLED}>");
    let told = [
        ("P-Asserted-Identity", identities.as_str()),
        ("Privacy", "id"),
    ];
    let both: &[(&str, &str)] = &[("sip", BILLED), ("tel", BILLED)];
    let table: [Policy<'_>; 5] = [
        ("trusted = true", both, true),
        ("privacy = \"strip\"", both, false),
        ("", &[], false),
        ("trusted = true, asserted = \"strip\"", &[], true),
        (
            "asserted = \"replace:+14255550100\", privacy = \"strip\"",
            &[("sip", SHOWN)],
            false,
        ),
    ];
    for (policy, wanted, private) in table {
        let fresh = trial.again();
        let line = format!("identity = {{ {policy} }}");
        let stage = fresh.plan().trunk("carrier", &line).online().await?;
        stage.outward(with_headers(AGENT, &told)).await?;
        let invite = stage.carrier_invite()?;
        let values = items(&invite, "P-Asserted-Identity");
        let met = values.len() == wanted.len()
            && values
                .iter()
                .zip(wanted)
                .all(|(value, (scheme, number))| is_of(value, scheme, number));
        ensure!(met, "{policy}: asserted {values:?}");
        ensure!(
            values.iter().all(|value| !value.contains("pstnhub")),
            "{policy}: {values:?}"
        );
        let privacy = invite.all("Privacy");
        ensure!(
            privacy.contains(&"id") == private,
            "{policy}: Privacy: {privacy:?}"
        );
        let from = invite.header("From");
        ensure!(is_of(from, "sip", AGENT), "{policy}: From: {from}");
    }
    Ok(format!("{} policies", table.len()))
}

/// The values of a header field, also where several stand on one line.
fn items(message: &Sip, name: &str) -> Vec<String> {
    let joined = message.all(name).join(",");
    let items = joined.split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

async fn diversion(trial: Trial) -> Result<String> {
    let stage = trial
        .plan()
        .trunk("carrier", "headers = { diversion = \"diversion\" }")
        .online()
        .await?;
    let entry = |number: &str, cause: &str, text: &str, index: &str| {
        format!(
            "<sip:{number}@sip.pstnhub.microsoft.com:5061;user=phone?Reason=SIP%3Bcause%3D{cause}\
             %3Btext%3D%22{text}%22>;index={index}"
        )
    };
    let history = [
        entry(BILLED, "302", "Moved%20temporarily", "1"),
        entry("+14255550178", "486", "Busy%20here", "1.1"),
    ]
    .join(",");
    let options = with_headers(AGENT, &[("History-Info", &history)]);
    stage.outward(options).await?;
    let invite = stage.carrier_invite()?;
    let (_, host) = invite.uri("From").split_once('@').context("no host")?;
    let host = host.split(';').next().unwrap_or_default();
    let golden = [
        format!("<sip:+14255550178@{host};user=phone>;reason=user-busy;counter=1;privacy=off"),
        format!("<sip:{BILLED}@{host};user=phone>;reason=unconditional;counter=1;privacy=off"),
    ];
    let told = items(&invite, "Diversion");
    ensure!(told == golden, "Diversion: {told:?}");
    let history = invite.all("History-Info");
    ensure!(history.is_empty(), "History-Info: {history:?}");
    Ok(format!("{} diversions, the last one first", told.len()))
}

/// What an application may say, and what is too long or too much; with the names of what fits, in
/// lower case.
fn said() -> (Vec<(String, String)>, Vec<String>) {
    let prefix = "X-MS-Custom-";
    let name = |length: usize| format!("{prefix}{}", "n".repeat(length - prefix.len()));
    let value = |length: usize| "v".repeat(length);
    let short = |number: usize| (format!("{prefix}Key{number}"), format!("value {number}"));
    let mut fields = vec![
        (name(64), value(1)),
        (name(65), value(1)),
        (format!("{prefix}Fits"), value(256)),
        (format!("{prefix}TooLong"), value(257)),
    ];
    fields.extend((1..=4).map(short));
    let fitting = [0, 2, 4, 5, 6].map(|at: usize| fields[at].0.to_ascii_lowercase());
    fields.push((
        "User-To-User".to_owned(),
        "56a390f3d2b7310023;encoding=hex".to_owned(),
    ));
    (fields, fitting.to_vec())
}

/// The names of the custom fields of an INVITE, in lower case, and its User-To-User.
fn heard(invite: &Sip) -> (Vec<String>, Vec<String>) {
    let names = invite
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase());
    (
        names
            .filter(|name| name.starts_with("x-ms-custom-"))
            .collect(),
        items(invite, "User-To-User"),
    )
}

async fn context(trial: Trial) -> Result<String> {
    let (fields, fitting) = said();
    let with = |caller: &str| CallOptions {
        headers: fields.clone(),
        ..CallOptions::from(caller)
    };
    for trusted in [true, false] {
        let fresh = trial.again();
        let line = format!("identity = {{ trusted = {trusted} }}");
        let stage = fresh.plan().trunk("carrier", &line).online().await?;
        stage.inward(with(CALLER)).await?;
        stage.outward(with(AGENT)).await?;
        for (who, invite) in [
            ("Microsoft", stage.microsoft_invite()?),
            ("the carrier", stage.carrier_invite()?),
        ] {
            let (mut names, user) = heard(&invite);
            names.sort_by_key(|name| fitting.iter().position(|one| one == name));
            let wanted = if trusted { fitting.as_slice() } else { &[] };
            ensure!(
                names == wanted && user.len() == usize::from(trusted),
                "trusted: {trusted}, {who} hears {names:?} and {user:?}"
            );
            let whole = user
                .iter()
                .all(|one| *one == "56a390f3d2b7310023;encoding=hex");
            ensure!(whole, "{who} hears {user:?}");
        }
        stage.keeps(&["U-11"])?;
    }
    Ok(format!("{} of {} fields", fitting.len(), fields.len() - 1))
}
