//! `trunkline route explain`: the routing decision for one call, without placing it.

use std::path::PathBuf;
use std::process::ExitCode;

use ambient::WallTime;
use b2bua::limits::GateLimits;
use b2bua::preview::{self, Shown};
use b2bua::profile::Profiles;
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use routing::{
    Decision, DecisionRecord, Facts, Outcome, Question, Rejection, Remaining, Snapshot, Verdict,
};
use serde_json::json;
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;

use crate::config::Config;
use crate::config::diagnostic::nearest;
use crate::daemon::clock::Clock;
use crate::daemon::wiring;
use crate::{cli, operate, output};

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
    /// Ask the running daemon, by its trunks' health and what is left of its limits now
    #[arg(long, conflicts_with_all = ["down", "used_up", "at"])]
    running: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Who calls whom, as routing is asked: after the screening that the caller's trunk asks for.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    shown: Shown,
}

impl Asked {
    /// What the trunk's screening makes of a caller.
    pub fn screened(profiles: &Profiles, snapshot: &Snapshot, mut question: Question) -> Self {
        let shown = preview::screened(profiles, snapshot, &question);
        if let Shown::Replaced(own) = &shown {
            question.calling = Some(own.clone());
        }
        Self { question, shown }
    }

    /// A decision about it as it is told: with what screening did, and with the header fields of
    /// each attempt that say who calls.
    pub fn told(
        &self,
        profiles: &Profiles,
        snapshot: &Snapshot,
        decision: &Decision,
    ) -> DecisionRecord {
        let mut told = DecisionRecord::from(decision);
        let step = match &self.shown {
            Shown::Passes => None,
            Shown::Unscreened => Some("the caller's number is none of its trunk's: passed on"),
            Shown::Replaced(_) => Some("the caller's number is none of its trunk's: replaced"),
            Shown::Refused => Some("the caller's number is none of its trunk's: refused"),
        };
        if let Some(step) = step {
            told.steps.insert(0, step.to_owned());
        }
        if self.shown == Shown::Refused {
            told.decision = Verdict::Reject;
            (told.route, told.announcement) = (None, None);
            told.attempts.clear();
            told.reject = Some(Rejection {
                status: StatusCode::FORBIDDEN.code(),
                reason: "the caller's number is none of its trunk's".to_owned(),
            });
            told.steps.truncate(1);
            return told;
        }
        let replaced = matches!(self.shown, Shown::Replaced(_));
        if let Outcome::Route(plan) = &decision.outcome {
            for (told, attempt) in told.attempts.iter_mut().zip(&plan.attempts) {
                let question = &self.question;
                told.headers = preview::identity(profiles, snapshot, question, attempt, replaced);
            }
        }
        told
    }
}

/// Runs the command. Exit code 0: the call is routed; 1: it is refused; 2: wrong usage.
pub fn run(args: &ExplainArgs) -> ExitCode {
    match explained(args) {
        Ok(told) => {
            if args.json {
                output::line(json!(told));
            } else {
                print(&told);
            }
            ExitCode::from(u8::from(told.decision == Verdict::Reject))
        }
        Err(code) => code,
    }
}

fn explained(args: &ExplainArgs) -> Result<DecisionRecord, ExitCode> {
    let reading = cli::routes(&args.config)?;
    let trunks: Vec<&str> = reading
        .config
        .trunks
        .iter()
        .map(|trunk| trunk.name.as_str())
        .collect();
    let question = question(args, &trunks)?;
    if args.running {
        return ask(&reading.config, &question, args.draw);
    }
    let snapshot = Snapshot::compile(&reading.config.routing).map_err(|_| {
        cli::report(&reading);
        ExitCode::from(2)
    })?;
    known("trunk", &args.down, &trunks)?;
    let limits: Vec<&str> = snapshot.limits().map(|limit| limit.name.as_str()).collect();
    known("limit", &args.used_up, &limits)?;
    let profiles = wiring::profiles(&reading.config).unwrap_or_else(|error| {
        output::error(format_args!(
            "warning: {error:#}: callers are not screened, and no header fields are shown"
        ));
        Profiles::new(Vec::new(), GateLimits::default())
    });
    let asked = Asked::screened(&profiles, &snapshot, question);
    let facts = facts(&reading.config, args);
    let decision = routing::explain(&snapshot, &facts, &asked.question);
    let mut told = asked.told(&profiles, &snapshot, &decision);
    let mut azures = reading.config.left_to_azure.iter();
    if let Some(route) = azures.find(|route| told.route.as_ref() == Some(route)) {
        told.steps.push(format!(
            "route `{route}`: Azure carries these calls itself and sends none here"
        ));
    }
    Ok(told)
}

fn question(args: &ExplainArgs, trunks: &[&str]) -> Result<Question, ExitCode> {
    let via = match (&args.via, trunks) {
        (Some(via), _) => via.as_str(),
        (None, [only]) => only,
        (None, _) => {
            output::error(format_args!(
                "error: which trunk does the call come from? --via {}",
                trunks.join(" | ")
            ));
            return Err(ExitCode::from(2));
        }
    };
    known("trunk", &[via.to_owned()], trunks)?;
    let mut headers = Vec::new();
    for field in &args.header {
        headers.push(header(field).ok_or_else(|| {
            output::error(format_args!(
                "error: a header field is \"Name: value\", not `{field}`"
            ));
            ExitCode::from(2)
        })?);
    }
    Ok(Question {
        trunk: TrunkName::from(via),
        called: args.number.clone(),
        calling: args.from.clone(),
        headers,
    })
}

/// Whether everything named is there; what is not is told with the nearest that is.
fn known(what: &str, named: &[String], there: &[&str]) -> Result<(), ExitCode> {
    let Some(wrong) = named.iter().find(|name| !there.contains(&name.as_str())) else {
        return Ok(());
    };
    let hint = nearest(wrong, there.iter().copied())
        .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    output::error(format_args!("error: there is no {what} `{wrong}`{hint}"));
    Err(ExitCode::from(2))
}

/// The answer of the daemon that runs with this configuration, by its own facts.
fn ask(config: &Config, question: &Question, draw: u64) -> Result<DecisionRecord, ExitCode> {
    let failed = |text: &dyn std::fmt::Display| {
        output::error(format_args!("error: {text}"));
        ExitCode::from(2)
    };
    let socket = config.admin.socket.as_ref();
    let socket = socket.ok_or_else(|| failed(&"no `socket` in [admin]: no daemon can be asked"))?;
    let question = json!(question).to_string();
    let question = utf8_percent_encode(&question, NON_ALPHANUMERIC);
    let page = format!("/v1/route?draw={draw}&question={question}");
    let (status, mut body) = operate::answer(socket, "GET", &page)?;
    let told = serde_json::from_value(body["decision"].take());
    told.map_err(|_| failed(&format_args!("the daemon says {status}: {body}")))
}

fn header(field: &str) -> Option<(String, String)> {
    let (name, value) = field.split_once(':')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// Offline facts: every peer up but those said to be down, no limit reached but those said to be.
fn facts(config: &Config, args: &ExplainArgs) -> Facts {
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

fn print(told: &DecisionRecord) {
    for step in &told.steps {
        output::line(format_args!("  {step}"));
    }
    if let Some(Rejection { status, reason }) = &told.reject {
        output::line(format_args!("reject: {status} ({reason})"));
        return;
    }
    let route = told.route.as_deref().unwrap_or_default();
    output::line(format_args!("route: {route}"));
    for (number, attempt) in (1..).zip(&told.attempts) {
        let from = attempt.from.as_deref().unwrap_or("(withheld)");
        let cost = attempt.cost_per_minute.as_ref();
        let cost = cost.map_or_else(String::new, |cost| format!("  {cost}"));
        let by = attempt.dials.as_ref().map_or_else(String::new, |dials| {
            let shown = attempt.caller_id.as_deref().unwrap_or("nobody");
            format!(" over {}, which dials {dials} from {shown}", attempt.trunk)
        });
        output::line(format_args!(
            "  {number}. {}{by}  {}  from {from}{cost}",
            attempt.target, attempt.request_uri,
        ));
        for (name, value) in &attempt.headers {
            output::line(format_args!("       {name}: {value}"));
        }
    }
    if let Some(name) = &told.announcement {
        output::line(format_args!("  announcement: {name}"));
    }
}
