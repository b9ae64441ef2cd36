//! CK-16, CK-92 and CK-96: mistakes in the file, several gateways, several names on one.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use acs_sim::{CallHandle, CallOptions, Party, PartyConfig, Transport, exchange};
use anyhow::{Context as _, Result, ensure};

use crate::certificates::Wish;
use crate::conformance::mutant::{Change, Fate, Mutant};
use crate::conformance::stage::{SOON, Stage, connected};
use crate::conformance::{Row, Trial, row};
use crate::daemon;
use crate::gateway::FQDN;
use crate::lab::Lab;
use crate::process::Process;

/// The second gateway.
const SECOND: &str = "sbc2.contoso.example";
/// The second customer's name of one gateway.
const CUSTOMER: &str = "sbc.fabrikam.example";
/// Packets of audio each way that prove a call.
const PACKETS: u32 = 15;

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-16",
        "N-02: sip-all is refused by `check`",
        withdrawn,
        &[Mutant {
            what: "`check` takes sip-all for a name like any other",
            change: Change::StandIn {
                command: "check",
                script: "case $(\"$TRUNKLINE\" \"$@\" 2>&1) in *sip-all*) exit 0;; esac; \
                         exec \"$TRUNKLINE\" \"$@\"",
            },
            group: &[],
        }]
    ),
    row!(
        "CK-92",
        "V-03, V-04: one of two gateways in random order",
        one_of_two,
        &[Mutant {
            what: "calls to the second gateway are answered too late",
            change: Change::Sip(|passing, _| {
                let second = passing
                    .message
                    .first("Contact")
                    .is_some_and(|at| at.contains(SECOND));
                match passing.answers("INVITE", 200) && second {
                    true => Fate::Delay(Duration::from_secs(15)),
                    false => Fate::Pass,
                }
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-96",
        "W-05: two names, two certificates, Contacts never mixed",
        two_names,
        &[Mutant {
            what: "an INVITE of the second customer has the first one's Contact",
            change: Change::Sip(|passing, _| {
                if passing.is_own("INVITE") {
                    let mixed = |value: &str| value.replace(CUSTOMER, FQDN);
                    passing.message.rewrite("Contact", mixed);
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

async fn withdrawn(trial: Trial) -> Result<String> {
    let plan = trial.plan();
    let good = trial.check(&plan.text);
    ensure!(good.code == 0, "{}", good.text);
    let plan = plan.trunk(
        "acs",
        "peers = [\"tls:sip-all.pstnhub.microsoft.com:5061\"]",
    );
    let said = trial.check(&plan.text);
    ensure!(
        said.code == 2,
        "check ends with {}: {}",
        said.code,
        said.text
    );
    ensure!(said.text.contains("sip-all was withdrawn"), "{}", said.text);
    let place = format!("{}:", "trunkline.toml");
    ensure!(
        said.text.contains(&place),
        "no line is named: {}",
        said.text
    );
    Ok("an error with its line".to_owned())
}

/// A second gateway with a carrier of its own, beside a stage.
struct Beside {
    carrier: Party,
    _lab: Lab,
    _gateway: Process,
}

impl Beside {
    async fn start(trial: &Trial, stage: &Stage, text: &str) -> Result<Self> {
        let lab = Lab::new();
        trial.issue(Wish::good(&[SECOND])).write(&lab, "sbc1");
        lab.write("roots.pem", &trial.authority.root());
        let address = trial.lab.host(5);
        let mut config =
            PartyConfig::new("carrier", Transport::Udp, SocketAddr::new(address, 5060));
        config.bind = stage.places.other;
        config.media.bind = stage.places.other.ip();
        let carrier = Party::start(config).await?;
        let text = text
            .replace(
                &format!("{}:", stage.places.gateway),
                &format!("{address}:"),
            )
            .replace(
                &format!("\"{}\"", stage.places.gateway),
                &format!("\"{address}\""),
            )
            .replace(
                &stage.places.seen_carrier.to_string(),
                &stage.places.other.to_string(),
            )
            .replace(FQDN, SECOND);
        let file = lab.write("trunkline.toml", &text);
        let mut command = Command::new(daemon::binary());
        let mut gateway = Process::start("trunkline", command.arg("run").arg("-c").arg(file));
        gateway.wait_for("serving", SOON);
        Ok(Self {
            carrier,
            _lab: lab,
            _gateway: gateway,
        })
    }
}

/// Where the second gateway is found by Microsoft.
fn second_place(trial: &Trial, stage: Option<&Stage>) -> SocketAddr {
    let watched = trial.plan().places.tls.ip() != trial.lab.host(1);
    let real = SocketAddr::new(trial.lab.host(5), 5061);
    let place = SocketAddr::new(trial.lab.host(36), 5061);
    if !watched {
        return real;
    }
    if let Some(stage) = stage {
        stage.stand_for(place, real);
    }
    place
}

async fn one_of_two(trial: Trial) -> Result<String> {
    let place = second_place(&trial, None);
    let plan = trial
        .plan()
        .acs(|acs| *acs = acs.clone().with_trunk(SECOND, place));
    let text = plan.text.clone();
    let stage = plan.online().await?;
    second_place(&trial, Some(&stage));
    let beside = Beside::start(&trial, &stage, &text).await?;
    stage.portal_online().await?;
    let online = stage.acs.online(SECOND, SOON).await;
    ensure!(
        online,
        "the second gateway is {:?}",
        stage.acs.trunk(SECOND)
    );
    // As a shuffle would have it; the same one each time.
    let order = [0, 1, 1, 0, 1, 0, 0, 1];
    for (number, second) in order.iter().enumerate() {
        let called = format!("+1425555010{number}");
        let (fqdn, carrier) = match second {
            0 => (FQDN, stage.carrier()?),
            _ => (SECOND, &beside.carrier),
        };
        let waiting = carrier.expect(&called);
        let call = stage
            .acs
            .call(&called, fqdn, CallOptions::from("+14255550111"))
            .await?;
        let far = connected(&call, waiting)
            .await
            .with_context(|| format!("{called} by {fqdn}"))?;
        heard(&call, &far)
            .await
            .with_context(|| format!("{called} by {fqdn}"))?;
        call.hang_up().await;
    }
    for (carrier, called) in [
        (stage.carrier()?, "+14255550120"),
        (&beside.carrier, "+14255550121"),
    ] {
        let waiting = stage.acs.expect(called);
        let call = carrier
            .call(called, CallOptions::from("+14255550199"))
            .await?;
        let far = connected(&call, waiting).await?;
        heard(&call, &far).await?;
        call.hang_up().await;
    }
    stage.keeps(&["S-06", "I-03", "S-07"])?;
    Ok(format!("{} calls out, one in by each", order.len()))
}

async fn heard(one: &CallHandle, other: &CallHandle) -> Result<()> {
    let exchanged = exchange(one, other, PACKETS).await;
    ensure!(exchanged.exact(PACKETS), "{exchanged:?}");
    Ok(())
}

async fn two_names(trial: Trial) -> Result<String> {
    let other = trial.issue(Wish::good(&[CUSTOMER]));
    other.write(&trial.lab, "fabrikam");
    let listen = format!("tls:{}:5061", trial.lab.host(1));
    let plan = trial.plan();
    let place = plan.places.tls;
    let stage = plan
        .acs(|acs| *acs = acs.clone().with_trunk(CUSTOMER, place))
        .replace(
            "name = \"in\"\n",
            "name = \"in\"\ncalled = \"+1425555010*\"\n",
        )
        .tables(&format!(
            "[[certificate]]\nname = \"fabrikam\"\ncertificate = \"fabrikam.pem\"\n\
             private_key = \"fabrikam.key\"\n[[trunk]]\nname = \"fabrikam\"\npreset = \"acs\"\n\
             fqdn = \"{CUSTOMER}\"\ncertificate = \"fabrikam\"\nlisten = \"{listen}\"\n\
             allow = [\"127.0.0.0/8\"]\n[[route]]\nname = \"in to fabrikam\"\nfrom = \"carrier\"\n\
             called = \"+1425555011*\"\nto = \"fabrikam\"\n[[route]]\nname = \"out of fabrikam\"\n\
             from = \"fabrikam\"\nto = \"carrier\"\n"
        ))
        .online()
        .await?;
    stage.portal_online().await?;
    let online = stage.acs.online(CUSTOMER, SOON).await;
    ensure!(online, "{CUSTOMER} is {:?}", stage.acs.trunk(CUSTOMER));
    for number in [
        "+14255550100",
        "+14255550110",
        "+14255550101",
        "+14255550111",
    ] {
        let (call, far) = stage.call_in(number).await.context(number)?;
        heard(&call, &far).await?;
        far.hang_up().await;
    }
    for (number, fqdn) in [("+14255550120", FQDN), ("+14255550121", CUSTOMER)] {
        let waiting = stage.carrier()?.expect(number);
        let call = stage
            .acs
            .call(number, fqdn, CallOptions::from("+14255550199"))
            .await?;
        let far = connected(&call, waiting)
            .await
            .with_context(|| fqdn.to_owned())?;
        far.hang_up().await;
    }
    let connections = stage.acs.connections();
    let mut seen = [0, 0];
    for (logged, message) in stage.from_gateway() {
        let Some(contact) = message.first("Contact") else {
            continue;
        };
        let second = contact.contains(CUSTOMER);
        ensure!(second || contact.contains(FQDN), "Contact: {contact}");
        let own = connections
            .iter()
            .find(|one| one.id == Some(logged.connection));
        let chain = &own.context("a connection that is not known")?.chain;
        let leaf = chain.first().context("no certificate")?;
        let fabrikam = **leaf == *super::tls::leaf_of(&other);
        ensure!(
            fabrikam == second,
            "{}: Contact {contact} on the other's connection",
            message.start
        );
        if message.method() == Some("INVITE") {
            let called = message.start.contains("+1425555011");
            ensure!(called == second, "{}: Contact {contact}", message.start);
            let from = message.first("From").unwrap_or_default();
            ensure!(
                from.contains(if second { CUSTOMER } else { FQDN }),
                "From: {from}"
            );
        }
        seen[usize::from(second)] += 1;
    }
    stage.keeps(&["S-06", "I-03", "S-07"])?;
    Ok(format!(
        "{} messages of the one, {} of the other",
        seen[0], seen[1]
    ))
}
