//! `trunkline route explain`: the routing decision for one call, without placing it.

use std::path::PathBuf;
use std::process::ExitCode;

use ambient::WallTime;
use clap::Args;
use routing::{CloudCall, Decision, Facts, Outcome, Question, Remaining, Snapshot};
use serde_json::{Value, json};
use sip_msg::wire::TrunkName;

use crate::cli::usable;
use crate::config::diagnostic::nearest;
use crate::daemon::clock::Clock;
use crate::{cli, output};

/// Arguments of `route explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The number called, as the trunk would write it
    number: String,
    /// The number calling
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// The trunk the call comes from; may be left out where there is only one
    #[arg(long, value_name = "TRUNK")]
    via: Option<String>,
    /// The configuration file; its certificates are not looked at
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml"
    )]
    config: PathBuf,
    /// Take this trunk's peers as down; may be repeated
    #[arg(long, value_name = "TRUNK")]
    down: Vec<String>,
    /// Take this `[[limit]]` as used up; may be repeated
    #[arg(long, value_name = "LIMIT")]
    used_up: Vec<String>,
    /// A header field of the call, as `"Name: value"`; may be repeated
    #[arg(long, value_name = "FIELD")]
    header: Vec<String>,
    /// The time of the call in RFC 3339; default: now
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// The random draw that targets are picked by where they have weights
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    draw: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command. Exit code 0: the call is routed; 1: it is refused; 2: wrong usage.
pub fn run(args: &ExplainArgs) -> ExitCode {
    let reading = match usable(&args.config, false) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    // What is wrong with secrets or certificates says nothing about routes; a document that does
    // not compile cannot be asked.
    let Ok(snapshot) = Snapshot::compile(&reading.config.routing) else {
        cli::report(&reading);
        return ExitCode::from(2);
    };
    let names: Vec<&str> = reading
        .config
        .trunks
        .iter()
        .map(|trunk| trunk.name.as_str())
        .collect();
    let via = match (&args.via, names.as_slice()) {
        (Some(via), _) => via.as_str(),
        (None, [only]) => only,
        (None, _) => {
            output::error(format_args!(
                "error: which trunk does the call come from? --via {}",
                names.join(" | ")
            ));
            return ExitCode::from(2);
        }
    };
    if let Some(wrong) = std::iter::once(via)
        .chain(args.down.iter().map(String::as_str))
        .find(|name| !names.contains(name))
    {
        let hint = nearest(wrong, names.iter().copied())
            .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        output::error(format_args!("error: there is no trunk `{wrong}`{hint}"));
        return ExitCode::from(2);
    }
    let question = Question {
        trunk: TrunkName::from(via),
        called: args.number.clone(),
        calling: args.from.clone(),
        headers: args
            .header
            .iter()
            .filter_map(|field| header(field))
            .collect(),
    };
    if let Some(wrong) = args.header.iter().find(|field| header(field).is_none()) {
        output::error(format_args!(
            "error: a header field is \"Name: value\", not `{wrong}`"
        ));
        return ExitCode::from(2);
    }
    let limits = || snapshot.limits().map(|limit| limit.name.as_str());
    if let Some(wrong) = args
        .used_up
        .iter()
        .find(|name| limits().all(|known| known != *name))
    {
        let hint = nearest(wrong, limits())
            .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        output::error(format_args!("error: there is no limit `{wrong}`{hint}"));
        return ExitCode::from(2);
    }
    let facts = facts(&reading.config, args);
    let decision = routing::explain(&snapshot, &facts, &question);
    let mut steps: Vec<String> = decision.steps.iter().map(ToString::to_string).collect();
    if let Outcome::Route(plan) = &decision.outcome
        && reading
            .config
            .left_to_azure
            .iter()
            .any(|route| **route == *plan.route)
    {
        steps.push(format!(
            "route `{}`: Azure carries these calls itself and sends none here",
            plan.route
        ));
    }
    if args.json {
        output::line(json_of(&decision, &steps));
    } else {
        print(&decision, &steps);
    }
    match decision.outcome {
        Outcome::Route(_) => ExitCode::SUCCESS,
        Outcome::Reject { .. } => ExitCode::from(1),
    }
}

fn header(field: &str) -> Option<(String, String)> {
    let (name, value) = field.split_once(':')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// Offline facts: every peer up but those said to be down, no limit reached but those said to be.
fn facts(config: &crate::config::Config, args: &ExplainArgs) -> Facts {
    let micros = |at: jiff::Timestamp| u64::try_from(at.as_microsecond()).unwrap_or(0);
    let at = args.at.map(|at| WallTime::from_unix_micros(micros(at)));
    let nothing = Remaining {
        calls: Some(0),
        ..Remaining::default()
    };
    let used_up = args
        .used_up
        .iter()
        .map(|name| (name.as_str().into(), nothing));
    let mut facts = Facts {
        wall: at.unwrap_or_else(|| Clock::start().now().wall),
        draw: args.draw,
        limits: used_up.collect(),
        ..Facts::default()
    };
    let down = &args.down;
    for trunk in config
        .trunks
        .iter()
        .filter(|trunk| down.iter().any(|name| name == trunk.name.as_str()))
    {
        for peer in 0..trunk.peers.len() {
            facts.up.insert((trunk.name.clone(), peer), false);
        }
    }
    facts
}

/// The decision as one JSON object; an absent half is `null`.
pub fn json_of(decision: &Decision, steps: &[String]) -> Value {
    match &decision.outcome {
        Outcome::Route(plan) => {
            let attempts: Vec<Value> = plan
                .attempts
                .iter()
                .map(|attempt| {
                    json!({
                        "target": attempt.target(),
                        "trunk": attempt.trunk.as_str(),
                        "dials": attempt.cloud.as_ref().map(|cloud| cloud.to.to_wire()),
                        "caller_id": attempt.cloud.as_ref().and_then(caller_id),
                        "request_uri": attempt.request_uri.as_str(),
                        "from": attempt.from_user,
                        "cost_per_minute": attempt.tariff.map(|tariff| json!({
                            "amount": routing::decimal(tariff.per_minute.micros),
                            "currency": tariff.per_minute.currency.as_str(),
                            "initial": tariff.initial,
                            "subsequent": tariff.subsequent,
                        })),
                    })
                })
                .collect();
            json!({
                "decision": "route", "route": plan.route.as_ref(), "attempts": attempts,
                "announcement": plan.announcement.as_deref(),
                "reject": Value::Null, "steps": steps,
            })
        }
        Outcome::Reject { status, reason, .. } => json!({
            "decision": "reject", "route": Value::Null, "attempts": [],
            "announcement": Value::Null,
            "reject": { "status": status.code(), "reason": reason.to_string() }, "steps": steps,
        }),
    }
}

/// The number that Azure shows.
fn caller_id(cloud: &CloudCall) -> Option<String> {
    cloud.caller_ids.first().map(|number| number.to_wire())
}

fn print(decision: &Decision, steps: &[String]) {
    for step in steps {
        output::line(format_args!("  {step}"));
    }
    match &decision.outcome {
        Outcome::Route(plan) => {
            output::line(format_args!("route: {}", plan.route));
            for (index, attempt) in plan.attempts.iter().enumerate() {
                let from = attempt.from_user.as_deref().unwrap_or("(withheld)");
                let cost = attempt
                    .tariff
                    .map_or_else(String::new, |tariff| format!("  {tariff}"));
                let by = attempt.cloud.as_ref().map_or_else(String::new, |cloud| {
                    let shown = caller_id(cloud).unwrap_or_default();
                    let (over, to) = (attempt.trunk.as_str(), cloud.to.to_wire());
                    format!(" over {over}, which dials {to} from {shown}")
                });
                output::line(format_args!(
                    "  {}. {}{by}  {}  from {from}{cost}",
                    index + 1,
                    attempt.target(),
                    attempt.request_uri.as_str(),
                ));
            }
        }
        Outcome::Reject { status, reason, .. } => {
            output::line(format_args!("reject: {} ({reason})", status.code()));
        }
    }
}
