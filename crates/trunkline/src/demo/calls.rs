//! The calls of the demonstration.

use std::collections::BTreeMap;
use std::time::Duration;

use acs_sim::acs::ProxyMode;
use acs_sim::{Audio, CallHandle, CallOptions, Ending, HoldDialect};
use tokio::sync::oneshot;

use super::mixed::{self, Foretold};
use super::plots::{Act, FIRST_DOWN, MIXED, Plot, TOGETHER, Who};
use super::world::{ACS_FQDN, PBX_TRUNK, World};

/// Audio packets each way in every call that is answered: three seconds.
pub const PACKETS: u32 = 150;
/// How long a call may take to be answered, and to end.
const PATIENCE: Duration = Duration::from_secs(15);
const DIGITS: &str = "1590#";

/// One call and what became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it shows.
    pub name: &'static str,
    /// Who calls.
    pub from: &'static str,
    /// Who is called.
    pub to: &'static str,
    /// The route the gateway chose, from its call record.
    pub route: Option<String>,
    /// What happened, in words.
    pub result: String,
    /// INVITE to answer.
    pub setup: Option<Duration>,
    /// The audio, caller to called and back.
    pub audio: Option<[Way; 2]>,
    /// Who was to carry it, and who did, where that was foretold.
    pub foretold: Option<Foretold>,
    /// Whether it went as it should.
    pub passed: bool,
    call_id: String,
}

/// One direction of a call's audio.
#[derive(Clone, Debug)]
pub struct Way {
    /// What was sent and what arrived.
    pub audio: Audio,
    /// The SSRC it was sent under.
    pub ssrc_sent: Option<u32>,
    /// Every SSRC the receiver heard.
    pub ssrcs_heard: Vec<u32>,
    /// SHA-256 over the payloads in the order sent, hexadecimal.
    pub payload_sha256: String,
}

impl Way {
    fn new(audio: Audio, sender: &CallHandle, receiver: &CallHandle) -> Self {
        let sent = sender.media();
        Self {
            audio,
            ssrc_sent: sent.ssrc,
            ssrcs_heard: receiver.media().ssrcs.into_iter().collect(),
            payload_sha256: sent
                .sent_digest()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

/// Places every call and tells each outcome as it comes.
pub async fn play(world: &mut World, mut tell: impl FnMut(&Outcome, usize, usize)) -> Vec<Outcome> {
    let together = TOGETHER.len() + MIXED.len();
    let all = together + 1;
    let mut outcomes = Vec::new();
    {
        let world = &*world;
        let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
        let calls = TOGETHER.map(|plot| {
            let done = done.clone();
            async move {
                let outcome = perform(world, plot).await;
                // The receiver waits for as many outcomes as there are calls.
                let _ = done.send(outcome);
            }
        });
        let [a, b, c, d, e, f, g, h, i, j] = calls;
        // One after the other: two of them reach Microsoft by the same number.
        let mixed = async {
            for plot in MIXED {
                let _ = done.send(perform(world, plot).await);
            }
        };
        let listen = async {
            while outcomes.len() < together {
                let Some(outcome) = finished.recv().await else {
                    return;
                };
                outcomes.push(outcome);
                tell(&outcomes[outcomes.len() - 1], outcomes.len(), all);
            }
        };
        tokio::join!(a, b, c, d, e, f, g, h, i, j, mixed, listen);
    }
    outcomes.sort_by_key(|outcome| {
        let mut plots = TOGETHER.iter().chain(&MIXED);
        plots
            .position(|plot| plot.name == outcome.name)
            .unwrap_or(usize::MAX)
    });
    let last = match world.acs.set_mode(0, ProxyMode::Down).await {
        Ok(()) => perform(world, FIRST_DOWN).await,
        Err(error) => failed(FIRST_DOWN, String::new(), error.to_string()),
    };
    // A proxy that cannot come back is the next demonstration's trouble, not this one's.
    let _ = world.acs.set_mode(0, ProxyMode::Up).await;
    tell(&last, all, all);
    outcomes.push(last);
    compare(world, &mut outcomes).await;
    outcomes
}

/// Takes the routes from the gateway's own records, and compares them with what was foretold.
async fn compare(world: &mut World, outcomes: &mut [Outcome]) {
    let mut records = BTreeMap::new();
    let collect = async {
        while outcomes
            .iter()
            .any(|outcome| !records.contains_key(&*outcome.call_id))
        {
            let Some(record) = world.records.recv().await else {
                return;
            };
            records.insert(record.call_id.clone(), record);
        }
    };
    let complete = tokio::time::timeout(PATIENCE, collect).await.is_ok();
    for outcome in outcomes {
        let Some(record) = records.get(&*outcome.call_id) else {
            if !complete {
                outcome.passed = false;
                outcome.result.push_str("; no call record");
            }
            continue;
        };
        outcome.route = record.route.as_deref().map(str::to_owned);
        if let Some(plot) = MIXED.iter().find(|plot| plot.name == outcome.name) {
            let explained = mixed::explain(&world.routes, PBX_TRUNK, plot.caller, plot.dialled);
            let foretold = Foretold::new(plot.dialled, &explained, record);
            if !foretold.as_explained {
                outcome.passed = false;
                outcome.result.push_str("; not as explained");
            }
            outcome.foretold = Some(foretold);
        }
    }
}

async fn perform(world: &World, plot: Plot) -> Outcome {
    let called = match plot.to {
        Who::Acs => world.acs.expect(plot.arrives),
        Who::Carrier => world.carrier.expect(plot.arrives),
        Who::Cloud => world.acs.expect(plot.arrives),
        Who::Pbx => world.pbx.expect(plot.arrives),
        Who::Teams => world.teams.expect(plot.arrives),
    };
    let mut options = CallOptions::from(plot.caller);
    if plot.act == Act::Cancel {
        options.cancel_after = Some(Duration::from_millis(700));
    }
    let placed = match plot.from {
        Who::Acs | Who::Cloud => world.acs.call(plot.dialled, ACS_FQDN, options).await,
        Who::Carrier => world.carrier.call(plot.dialled, options).await,
        Who::Pbx => world.pbx.call(plot.dialled, options).await,
        Who::Teams => {
            world
                .teams
                .call(plot.dialled, super::world::TEAMS_FQDN, options)
                .await
        }
    };
    let caller = match placed {
        Ok(caller) => caller,
        Err(error) => return failed(plot, String::new(), error.to_string()),
    };
    let id = caller.parties().call_id.clone();
    match tokio::time::timeout(PATIENCE * 2, act(plot, &caller, called)).await {
        Ok(outcome) => outcome,
        Err(_) => failed(plot, id, "stuck".to_owned()),
    }
}

async fn act(plot: Plot, caller: &CallHandle, called: oneshot::Receiver<CallHandle>) -> Outcome {
    let id = caller.parties().call_id.clone();
    let connected = caller.connected().await;
    let (setup, callee) = match (plot.act, connected) {
        (Act::Busy, Err(ending)) => {
            let busy = ending.status() == Some(486);
            return refused(plot, id, busy, &ending);
        }
        (Act::Cancel, Err(ending)) => return given_up(plot, id, called, &ending).await,
        (Act::Busy | Act::Cancel, Ok(_)) => {
            return failed(plot, id, "answered, and should not have been".to_owned());
        }
        (Act::Digits | Act::HoldAndResume | Act::Talk, Err(ending)) => {
            return failed(plot, id, words(&ending));
        }
        (Act::Digits | Act::HoldAndResume | Act::Talk, Ok(setup)) => {
            match tokio::time::timeout(PATIENCE, called).await {
                Ok(Ok(callee)) => (setup, callee),
                Ok(Err(_)) | Err(_) => {
                    return failed(plot, id, "answered by somebody else".to_owned());
                }
            }
        }
    };
    let mut faults = Vec::new();
    match plot.act {
        Act::HoldAndResume => faults.extend(hold_and_resume(caller, &callee).await),
        Act::Digits => faults.extend(digits(caller, &callee).await),
        Act::Busy | Act::Cancel | Act::Talk => {}
    }
    let exchanged = acs_sim::exchange(caller, &callee, PACKETS).await;
    let heard = callee.parties().called.clone();
    if heard.trim_start_matches('+') != plot.arrives.trim_start_matches('+') {
        faults.push(format!("arrived as {heard}"));
    }
    caller.hang_up().await;
    if tokio::time::timeout(PATIENCE, callee.ended())
        .await
        .is_err()
    {
        faults.push("the hang-up did not cross".to_owned());
    }
    let ways = [
        Way::new(exchanged.a_to_b, caller, &callee),
        Way::new(exchanged.b_to_a, &callee, caller),
    ];
    settle(plot, id, setup, ways, &faults)
}

fn settle(
    plot: Plot,
    call_id: String,
    setup: Duration,
    ways: [Way; 2],
    faults: &[String],
) -> Outcome {
    let whole = ways.iter().all(|way| way.audio.exact(PACKETS));
    let result = match (faults.is_empty(), whole) {
        (true, true) => match plot.act {
            Act::HoldAndResume => "answered, held twice, resumed",
            Act::Digits => "answered, digits heard",
            Act::Busy | Act::Cancel | Act::Talk => "answered",
        }
        .to_owned(),
        (true, false) => "answered, audio damaged".to_owned(),
        (false, _) => faults.join("; "),
    };
    Outcome {
        name: plot.name,
        from: plot.from.name(),
        to: plot.to.name(),
        route: None,
        foretold: None,
        result,
        setup: Some(setup),
        audio: Some(ways),
        passed: faults.is_empty() && whole,
        call_id,
    }
}

/// Hold from either side in its own dialect; silence while held is part of it.
async fn hold_and_resume(caller: &CallHandle, callee: &CallHandle) -> Option<String> {
    let dialects = [
        (caller, callee, HoldDialect::SendOnly, "the carrier's"),
        (callee, caller, HoldDialect::Inactive, "Microsoft's"),
    ];
    for (holder, held, dialect, whose) in dialects {
        if let Err(error) = holder.hold(dialect).await {
            return Some(format!("{whose} hold: {error}"));
        }
        if tokio::time::timeout(PATIENCE, held.wait(|state| state.held))
            .await
            .is_err()
        {
            return Some(format!("{whose} hold did not cross"));
        }
        if let Err(error) = holder.resume().await {
            return Some(format!("{whose} resume: {error}"));
        }
        if tokio::time::timeout(PATIENCE, held.wait(|state| !state.held))
            .await
            .is_err()
        {
            return Some(format!("{whose} resume did not cross"));
        }
    }
    None
}

async fn digits(caller: &CallHandle, callee: &CallHandle) -> Option<String> {
    for (from, to, whose) in [
        (caller, callee, "the carrier's"),
        (callee, caller, "Microsoft's"),
    ] {
        let heard = acs_sim::exchange_digits(from, to, DIGITS).await;
        if heard != DIGITS {
            return Some(format!("{whose} digits {DIGITS} arrived as `{heard}`"));
        }
    }
    None
}

fn refused(plot: Plot, call_id: String, passed: bool, ending: &Ending) -> Outcome {
    Outcome {
        name: plot.name,
        from: plot.from.name(),
        to: plot.to.name(),
        route: None,
        foretold: None,
        result: words(ending),
        setup: None,
        audio: None,
        passed,
        call_id,
    }
}

/// The caller's CANCEL must end the called side's ringing too.
async fn given_up(
    plot: Plot,
    call_id: String,
    called: oneshot::Receiver<CallHandle>,
    ending: &Ending,
) -> Outcome {
    let crossed = async { called.await.ok()?.ended().await.into() };
    let there: Option<Ending> = tokio::time::timeout(PATIENCE, crossed).await.ok().flatten();
    let passed =
        matches!(ending, Ending::Cancelled(_)) && matches!(there, Some(Ending::Cancelled(_)));
    let mut outcome = refused(plot, call_id, passed, ending);
    if !passed {
        outcome.result = format!("here {ending:?}, there {there:?}");
    }
    outcome
}

fn failed(plot: Plot, call_id: String, result: String) -> Outcome {
    Outcome {
        result,
        ..refused(plot, call_id, false, &Ending::Stopped)
    }
}

fn words(ending: &Ending) -> String {
    match ending {
        Ending::Rejected { status: 486, .. } => "busy, as it should be".to_owned(),
        Ending::Rejected { status, phrase, .. } => format!("refused: {status} {phrase}"),
        Ending::Cancelled(_) => "cancelled on both sides".to_owned(),
        Ending::HungUp(_) => "hung up".to_owned(),
        Ending::TimedOut => "no final response".to_owned(),
        Ending::Unreachable(why) => format!("unreachable: {why}"),
        Ending::NoAck => "the answer was not acknowledged".to_owned(),
        Ending::BadDescription => "the session description cannot be used".to_owned(),
        Ending::Stopped => "stopped".to_owned(),
    }
}
