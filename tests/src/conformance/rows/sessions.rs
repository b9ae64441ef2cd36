//! CK-63 to CK-69, CK-91: what happens within a confirmed call.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use acs_sim::{By, CallError, CallOptions, Ending, HoldDialect};
use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::conformance::calls::{
    AGENT, APP, CALLER, audio, becomes, ended, line, resumed, soon, uri,
};
use crate::conformance::mutant::{Change, Fate, Memory, Mutant, Passing, Side};
use crate::conformance::stage::Stage;
use crate::conformance::{Row, Trial, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-63",
        "G-01: the description repeated at the timer is answered with the same bytes",
        refreshed,
        &[Mutant {
            what: "the answer to a re-INVITE has the next version",
            change: Change::Sip(|passing, memory| {
                if later_answer(passing, memory) {
                    let body = &mut passing.message.body;
                    let words: Vec<_> = line(body, "o=").unwrap_or_default().split(' ').collect();
                    if let [user, id, version, rest @ ..] = &words[..] {
                        let before = words.join(" ");
                        let after = format!("{user} {id} {version}1 {}", rest.join(" "));
                        *body = body.replacen(&before, &after, 1);
                    }
                }
                Fate::Pass
            }),
            group: &["CK-81"],
        }]
    ),
    row!(
        "CK-64",
        "G-02: the carrier's refresh goes no further",
        carrier_refresh,
        &[Mutant {
            what: "an INVITE is sent twice",
            change: Change::Sip(|passing, _| match passing.is_own("INVITE") {
                true => Fate::Times(2),
                false => Fate::Pass,
            }),
            group: &["CK-50", "CK-63", "CK-76", "CK-91"],
        }]
    ),
    row!(
        "CK-65",
        "G-03: the media address stays through hold, resume and a carrier that moves",
        one_address,
        &[Mutant {
            what: "a later description names another port",
            change: Change::Sip(|passing, memory| {
                if later_description(passing, memory) {
                    let body = &mut passing.message.body;
                    let media = line(body, "m=audio ").unwrap_or_default().to_owned();
                    if let Some((port, rest)) = media.split_once(' ')
                        && let Ok(port) = port.parse::<u16>()
                    {
                        *body = body.replacen(&media, &format!("{} {rest}", port ^ 2), 1);
                    }
                }
                Fate::Pass
            }),
            group: &["CK-63", "CK-66", "CK-81"],
        }]
    ),
    row!(
        "CK-66",
        "G-04: hold of the carrier, in every dialect, is inactive with the real address",
        carrier_hold,
        &[Mutant {
            what: "hold is written sendonly",
            change: Change::Sip(|passing, _| {
                if passing.towards == Side::Peer {
                    let body = &mut passing.message.body;
                    *body = body.replace("a=inactive", "a=sendonly");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-67",
        "G-04: inactive from Microsoft holds the carrier, and the call resumes",
        microsoft_hold,
        &[Mutant {
            what: "hold is not passed on",
            change: Change::Carrier(|passing, _| {
                if passing.is_own("INVITE") {
                    let body = &mut passing.message.body;
                    *body = body.replace("a=inactive", "a=sendrecv");
                    *body = body.replace("a=sendonly", "a=sendrecv");
                }
                Fate::Pass
            }),
            group: &["CK-87"],
        }]
    ),
    row!(
        "CK-68",
        "G-05: an odd Contact is kept byte for byte, and requests take the route",
        odd_contact,
        &[Mutant {
            what: "a BYE goes to the port of the connection",
            change: Change::Sip(|passing, _| {
                if passing.is_own("BYE") {
                    let start = &mut passing.message.start;
                    *start = start.replace(":443", ":5061");
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-69",
        "G-06: BYE on another connection from another address ends the call",
        bye_from_elsewhere,
        &[Mutant {
            what: "BYE is answered 481",
            change: Change::Sip(|passing, _| {
                if passing.answers("BYE", 200) {
                    passing.message.start =
                        "SIP/2.0 481 Call/Transaction Does Not Exist".to_owned();
                }
                Fate::Pass
            }),
            group: &["CK-20"],
        }]
    ),
    row!(
        "CK-91",
        "D-19: T.38 of the carrier is refused 488 and not passed on; the call stays",
        fax,
        &[Mutant {
            what: "T.38 is refused with 500",
            change: Change::Carrier(|passing, _| {
                if passing.answers("INVITE", 488) {
                    passing.message.start = "SIP/2.0 500 Server Internal Error".to_owned();
                }
                Fate::Pass
            }),
            group: &[],
        }]
    ),
];

/// Whether this is a description of the gateway's in a call in which it gave one before.
fn later_description(passing: &Passing, memory: &mut Memory) -> bool {
    let key = passing.message.first("Call-ID").unwrap_or_default();
    let described = passing.message.body.contains("m=audio");
    passing.towards == Side::Peer && described && memory.count(&format!("described {key}")) > 0
}

/// Whether this is an answer to a re-INVITE.
fn later_answer(passing: &Passing, memory: &mut Memory) -> bool {
    let key = passing.message.first("Call-ID").unwrap_or_default();
    let to_be_counted = passing.answers("INVITE", 200);
    if passing.towards == Side::Gateway
        && passing.message.method() == Some("INVITE")
        && passing
            .message
            .first("To")
            .is_some_and(|to| to.contains(";tag="))
    {
        memory.keep(&format!("again {key}"), "");
    }
    to_be_counted && memory.kept(&format!("again {key}")).is_some()
}

fn one_address_in(stage: &Stage, call_id: &str) -> Result<usize> {
    let all = stage.descriptions(call_id);
    let place = |body: &str| {
        let port = line(body, "m=audio ").and_then(|media| media.split(' ').next());
        (line(body, "c=").map(str::to_owned), port.map(str::to_owned))
    };
    let first = place(all.first().context("no description")?);
    for body in &all {
        ensure!(
            place(body) == first,
            "media moved from {first:?} to {:?}",
            place(body)
        );
    }
    Ok(all.len())
}

async fn refreshed(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    // Microsoft offered first: what it repeats is answered with the very bytes of the first time.
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    audio(&caller, &called, 10).await?;
    for _ in 0..2 {
        soon("a refresh", caller.refresh()).await??;
    }
    audio(&caller, &called, 10).await?;
    let bodies = stage.descriptions(&caller.parties().call_id);
    ensure!(bodies.len() >= 3, "{} descriptions", bodies.len());
    ensure!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:#?}");
    // The gateway offered first: Microsoft repeats its answer as an offer.
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    soon("a refresh", far.refresh()).await??;
    soon("a refresh", far.refresh()).await??;
    audio(&near, &far, 10).await?;
    let bodies = stage.descriptions(&far.parties().call_id);
    let [offer, first, second] = &bodies[..] else {
        anyhow::bail!("{} descriptions", bodies.len());
    };
    ensure!(first == second, "{first} and then {second}");
    ensure!(
        line(offer, "a=crypto:") == line(first, "a=crypto:"),
        "another key"
    );
    let reinvited = called.state().reinvites + near.state().reinvites;
    ensure!(reinvited == 0, "the carrier was asked {reinvited} times");
    stage.keeps(&["G-01", "G-03"])?;
    Ok("four refreshes".to_owned())
}

async fn carrier_refresh(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    for _ in 0..3 {
        soon("a refresh", near.refresh()).await??;
    }
    audio(&near, &far, 10).await?;
    let invites = stage.requests("INVITE").len();
    ensure!(invites == 1, "{invites} INVITEs at Microsoft");
    ensure!(
        far.state().reinvites == 0,
        "{} re-INVITEs",
        far.state().reinvites
    );
    Ok("three refreshes stayed here".to_owned())
}

/// What a re-INVITE that crossed another waits before it is sent again. RFC 3261 §14.1 draws up to
/// four seconds, so that two sides do not meet again; here only one of them tries.
const AFTER_491: Duration = Duration::from_millis(200);

/// Does something that crosses nothing once the other side is done (RFC 3261 §14.1: 491 says wait).
async fn patiently<F>(what: &str, mut attempt: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<(), CallError>>,
{
    for _ in 0..10 {
        match soon(what, attempt()).await? {
            Err(CallError::Refused(491)) => sleep(AFTER_491).await,
            done => return done.context(what.to_owned()),
        }
    }
    anyhow::bail!("{what}: 491 again and again")
}

async fn one_address(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let call_id = far.parties().call_id.clone();
    audio(&near, &far, 5).await?;
    for dialect in [
        HoldDialect::SendOnly,
        HoldDialect::Inactive,
        HoldDialect::BlackHole,
    ] {
        patiently("hold", || near.hold(dialect)).await?;
        patiently("resume", || near.resume()).await?;
    }
    patiently("hold there", || far.hold(HoldDialect::Inactive)).await?;
    patiently("resume there", || far.resume()).await?;
    let moved = format!(
        "v=0\r\no=- 9 9 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
        stage.places.carrier.ip()
    );
    patiently("another address", || near.reoffer(&moved)).await?;
    let described = one_address_in(&stage, &call_id)?;
    stage.keeps(&["G-03"])?;
    Ok(format!("{described} descriptions, one address"))
}

async fn carrier_hold(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let call_id = far.parties().call_id.clone();
    let dialects = [
        HoldDialect::SendOnly,
        HoldDialect::RecvOnly,
        HoldDialect::Inactive,
        HoldDialect::BlackHole,
    ];
    for dialect in dialects {
        let what = format!("{dialect:?}");
        soon(&what, near.hold(dialect))
            .await?
            .context(what.clone())?;
        if dialect != HoldDialect::RecvOnly {
            becomes(&what, &far, |call| call.held).await?;
        }
        soon(&what, near.resume()).await?.context(what.clone())?;
        becomes("its end", &far, resumed).await?;
        audio(&near, &far, 5).await.context(what)?;
    }
    soon("hold", near.hold(HoldDialect::Inactive)).await??;
    soon("resume without an offer", near.resume_without_offer()).await??;
    becomes("resumed without an offer", &far, resumed).await?;
    audio(&near, &far, 5)
        .await
        .context("resume without an offer")?;
    for body in stage.descriptions(&call_id) {
        for wrong in ["a=sendonly", "a=recvonly", "c=IN IP4 0.0.0.0"] {
            ensure!(!body.contains(wrong), "{wrong} in {body}");
        }
    }
    one_address_in(&stage, &call_id)?;
    stage.keeps(&["G-04", "G-03", "M-03"])?;
    Ok(format!(
        "{} dialects and a resume without an offer",
        dialects.len()
    ))
}

async fn microsoft_hold(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    for inward in [true, false] {
        let (app, phone) = if inward {
            let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
            (far, near)
        } else {
            stage.outward(CallOptions::from(AGENT)).await?
        };
        for _ in 0..2 {
            soon("hold", app.hold(HoldDialect::Inactive)).await??;
            becomes("hold at the carrier", &phone, |call| call.held).await?;
            soon("resume", app.resume()).await??;
            becomes("resume at the carrier", &phone, resumed).await?;
            audio(&app, &phone, 10).await?;
        }
        ensure!(
            app.media().while_held == 0,
            "{} packets while held",
            app.media().while_held
        );
        phone.hang_up().await;
        ended(&app).await?;
    }
    Ok("both directions, twice each".to_owned())
}

async fn odd_contact(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    near.hang_up().await;
    ended(&far).await?;
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    called.hang_up().await;
    ended(&caller).await?;
    let mut seen = 0;
    for call in [&far, &caller] {
        let call_id = &call.parties().call_id;
        let contact = stage
            .from_microsoft()
            .into_iter()
            .filter(|(_, sip)| sip.first("Call-ID") == Some(call_id) && sip.about() == "INVITE")
            .find_map(|(_, sip)| sip.first("Contact").map(str::to_owned))
            .context("Microsoft gave no Contact")?;
        let contact = contact.trim_matches(['<', '>']).to_owned();
        ensure!(
            contact.contains(":443;") && contact.contains('/'),
            "{contact}"
        );
        for method in ["ACK", "BYE"] {
            let of_call = stage
                .requests(method)
                .into_iter()
                .find(|(_, sip)| sip.first("Call-ID") == Some(call_id));
            // Microsoft acknowledges the calls it placed itself.
            let Some((_, request)) = of_call else {
                continue;
            };
            ensure!(
                uri(&request) == contact,
                "{method} {} for {contact}",
                uri(&request)
            );
            let route = request
                .first("Route")
                .with_context(|| format!("{method} without Route"))?;
            ensure!(route.contains("pstnhub.microsoft.com"), "Route: {route}");
            seen += 1;
        }
    }
    ensure!(seen == 3, "{seen} requests within a dialog");
    stage.keeps(&["G-05", "K-01"])?;
    Ok(format!("{seen} requests"))
}

async fn bye_from_elsewhere(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    audio(&near, &far, 5).await?;
    let IpAddr::V4(own) = stage.places.gateway else {
        anyhow::bail!("the stage is IPv4");
    };
    let [a, b, c, _] = own.octets();
    let elsewhere = IpAddr::V4(Ipv4Addr::new(a, b, c, 19));
    soon("BYE", far.hang_up_from(elsewhere)).await?;
    ensure!(
        ended(&near).await? == Ending::HungUp(By::Them),
        "{:?}",
        near.ended().await
    );
    let bye = stage
        .from_microsoft()
        .into_iter()
        .find(|(_, sip)| sip.method() == Some("BYE"))
        .context("no BYE")?
        .0;
    ensure!(
        bye.local.ip() == elsewhere,
        "BYE came from {}",
        bye.local.ip()
    );
    let answered = stage
        .from_gateway()
        .iter()
        .any(|(at, sip)| sip.answers("BYE", 200) && at.connection == bye.connection);
    ensure!(answered, "BYE was not answered 200 on its connection");
    Ok(format!("from {elsewhere}"))
}

async fn fax(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let (near, far) = stage.inward(CallOptions::from(CALLER)).await?;
    let address = stage.places.carrier.ip();
    let head = format!("v=0\r\no=- 9 9 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n");
    let image = format!("{head}m=image 40000 udptl t38\r\na=T38FaxVersion:0\r\n");
    let refusal = soon("an answer to T.38", near.reoffer(&image)).await?;
    ensure!(refusal == Err(CallError::Refused(488)), "{refusal:?}");
    audio(&near, &far, 20).await?;
    ensure!(
        stage.requests("INVITE").len() == 1,
        "a re-INVITE reached Microsoft"
    );
    stage.keeps(&["D-19"])?;
    let (caller, called) = stage.outward(CallOptions::from(AGENT)).await?;
    let refusal = soon("an answer to T.38", called.reoffer(&image)).await?;
    ensure!(refusal == Err(CallError::Refused(488)), "{refusal:?}");
    audio(&caller, &called, 20).await?;
    Ok(format!("488 both times, {APP} talks on"))
}
