//! The command line.
//!
//! Exit codes: 0 fine, 1 the thing asked about is not fine, 2 wrong usage or configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use b2bua::passlist::{Carriage, Rule, Subject};
use b2bua::profile::{Profiles, TrunkProfile};
use clap::{Args, Parser, Subcommand};
use rustls::pki_types::UnixTime;
use sip_transport::Transport;

use crate::config::{self, Reading, Severity};
use crate::daemon::names;
use crate::daemon::wiring::Keys;
use crate::demo::{self, DemoArgs};
use crate::sim::{self, SimAcsArgs};
use crate::{acs, bench, daemon, explain, numbers, operate, output, replay, report};

/// Session border controller between carriers, PBXs and Azure Communication Services.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version,
    about,
    after_help = "Begin with:  trunkline demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what this host carries: a statement that can be made again
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Check a configuration file: every mistake with its line and column
    #[command(after_help = "Example:  trunkline check -c config/trunkline.toml")]
    Check(CheckArgs),
    /// Show real calls between a carrier, a PBX and Microsoft's side, all on this machine
    #[command(after_help = "Example:  trunkline demo --once --json --pcap /tmp/demo.pcap")]
    Demo(DemoArgs),
    /// Run the gateway; SIGTERM drains it, a second one stops it
    #[command(after_help = "Example:  trunkline run -c /etc/trunkline/trunkline.toml")]
    Run(RunArgs),
    /// Show how the running gateway is: trunks, names, certificates, calls
    #[command(after_help = "Example:  trunkline status --json")]
    Status(operate::StatusArgs),
    /// List the trunks of the running gateway with their health
    #[command(after_help = "Example:  trunkline trunks --customer contoso")]
    Trunks(operate::StatusArgs),
    /// List the calls of the running gateway
    #[command(after_help = "Example:  trunkline calls --json")]
    Calls(operate::StatusArgs),
    /// Show one call, its ladder, or end it
    #[command(after_help = "Example:  trunkline call 00c0ffee00c0ffee ladder")]
    Call(operate::CallArgs),
    /// Read the configuration again: trunks, routes, limits, certificates; calls are kept
    #[command(after_help = "Example:  trunkline reload --dry-run")]
    Reload(operate::ReloadArgs),
    /// Take no new calls and end when the last one has ended
    #[command(after_help = "Example:  trunkline drain")]
    Drain(operate::DrainArgs),
    /// Compare Azure's trunks and voice routes with a configuration, and set them from it
    #[command(subcommand)]
    Acs(AcsCommand),
    /// Keep the inventory of numbers; buy, change and give up numbers of Azure's
    #[command(subcommand)]
    Numbers(numbers::NumbersCommand),
    /// Count the calls of some days, as Azure's logs do and each once
    #[command(after_help = "Example:  trunkline report --since 2026-11-01 --until 2026-11-30")]
    Report(report::ReportArgs),
    /// Simulate the other side of a gateway
    #[command(subcommand)]
    Sim(SimCommand),
    /// Show where calls go
    #[command(subcommand)]
    Route(RouteCommand),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
    /// Also print what crosses from leg to leg towards each trunk; nothing else does
    #[arg(long)]
    pass_list: bool,
    /// Leave certificate files unread
    #[arg(long)]
    no_certificates: bool,
    /// Ask no name server where this gateway's names lead
    #[arg(long)]
    no_dns: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum AcsCommand {
    /// Show what `apply` would change in Azure, and what that would do to calls
    #[command(after_help = "Example:  trunkline acs diff -c /etc/trunkline/trunkline.toml")]
    Diff(acs::DiffArgs),
    /// Set Azure's trunks and voice routes from the configuration, in one step
    #[command(after_help = "Example:  trunkline acs apply -c /etc/trunkline/trunkline.toml --yes")]
    Apply(acs::ApplyArgs),
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    /// Microsoft's side of the SIP Interface: three proxies, mutual TLS, OPTIONS, SRTP, strict
    #[command(after_help = crate::sim::EXAMPLES)]
    Acs(SimAcsArgs),
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Explain the decision for one call, rule by rule; no call is placed
    #[command(
        after_help = "Example:  trunkline route explain +14255550123 --via office-pbx -c config/trunkline.toml"
    )]
    Explain(explain::ExplainArgs),
    /// Decide recorded calls again, by this configuration and another one: what would change
    #[command(
        after_help = "Example:  trunkline route replay calls.jsonl --with new.toml -c config/trunkline.toml"
    )]
    Replay(replay::ReplayArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Bench(command) => bench::run(&command),
        Command::Check(args) => check(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run(&args),
        Command::Status(args) => operate::status(&args),
        Command::Trunks(args) => operate::trunks(&args),
        Command::Calls(args) => operate::calls(&args),
        Command::Call(args) => operate::call(&args),
        Command::Reload(args) => operate::reload(&args),
        Command::Drain(args) => operate::drain(&args),
        Command::Acs(AcsCommand::Diff(args)) => acs::diff(&args),
        Command::Acs(AcsCommand::Apply(args)) => acs::apply(&args),
        Command::Numbers(command) => numbers::run(&command),
        Command::Report(args) => report::run(&args),
        Command::Sim(SimCommand::Acs(args)) => sim::acs(&args),
        Command::Route(RouteCommand::Explain(args)) => explain::run(&args),
        Command::Route(RouteCommand::Replay(args)) => replay::run(&args),
    }
}

/// Reads a configuration; prints why and gives the exit code where it cannot be used.
pub(crate) fn usable(path: &std::path::Path, certificates: bool) -> Result<Reading, ExitCode> {
    let mut reading = config::read(path).map_err(|error| {
        output::error(format_args!("error: {}: {error}", path.display()));
        ExitCode::from(2)
    })?;
    if certificates && !reading.findings.has_errors() {
        config::certificates::check(&reading.config, UnixTime::now(), &mut reading.findings);
    }
    Ok(reading)
}

/// The routes of a file for whoever asks about nothing else: neither secrets nor certificates need
/// be there.
pub(crate) fn routes(path: &std::path::Path) -> Result<Reading, ExitCode> {
    let reading = config::read_routes(path).map_err(|error| {
        output::error(format_args!("error: {}: {error}", path.display()));
        ExitCode::from(2)
    })?;
    if reading.findings.has_errors() {
        report(&reading);
        return Err(ExitCode::from(2));
    }
    Ok(reading)
}

fn check(args: &CheckArgs) -> ExitCode {
    let mut reading = match usable(&args.config, !args.no_certificates) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    if !args.no_dns && !reading.findings.has_errors() {
        own_names(&mut reading);
    }
    if args.json {
        output::line(findings_json(&reading));
    } else {
        report(&reading);
    }
    if args.pass_list
        && let Ok(profiles) = daemon::wiring::profiles(&reading.config)
    {
        pass_lists(&profiles);
    }
    ExitCode::from(if reading.findings.has_errors() { 2 } else { 0 })
}

fn run(args: &RunArgs) -> ExitCode {
    let reading = match usable(&args.config, true) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    for finding in &reading.findings.0 {
        output::error(reading.source.render(finding));
    }
    if reading.findings.has_errors() {
        return ExitCode::from(2);
    }
    let _logging = daemon::logging::start(&reading.config.log);
    let keys = match Keys::load(&reading.config) {
        Ok(keys) => keys,
        Err(error) => {
            output::error(format_args!("error: {error:#}"));
            return ExitCode::from(2);
        }
    };
    block_on(async {
        match daemon::run(&args.config, &reading.config, &keys).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::error(format_args!("error: {error:#}"));
                ExitCode::from(1)
            }
        }
    })
}

/// Asks DNS where the names lead that Microsoft knows this gateway by (C-01), as the daemon does
/// while it runs.
fn own_names(reading: &mut Reading) {
    let config = &reading.config;
    let microsoft = config
        .trunks
        .iter()
        .filter(|trunk| trunk.preset.is_microsoft());
    let mut trunks: Vec<_> = microsoft
        .filter_map(|trunk| Some((trunk.fqdn.clone()?, trunk.span.clone())))
        .collect();
    trunks.sort_by(|one, other| one.0.cmp(&other.0));
    trunks.dedup_by(|one, other| one.0 == other.0);
    if config.self_check.is_none() || trunks.is_empty() {
        return;
    }
    let own = names::own_addresses(config);
    let settings = daemon::wiring::lookups(config);
    let findings = &mut reading.findings;
    block_on(async {
        let (transport, _incoming) = match Transport::start(settings) {
            Ok(started) => started,
            Err(error) => {
                findings.warning_anywhere(format!("names cannot be looked up: {error}"));
                return ExitCode::SUCCESS;
            }
        };
        for (name, span) in trunks {
            let found = names::ask(&transport, &name, &own).await;
            if found.is_wrong() {
                findings.warning(span, found.in_words(&name));
            }
        }
        transport.stop().await;
        ExitCode::SUCCESS
    });
}

/// Runs a future on a runtime of the process's own.
pub(crate) fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            runtime.shutdown_timeout(daemon::WIND_UP);
            code
        }
        Err(error) => {
            output::error(format_args!("error: {error}"));
            ExitCode::from(1)
        }
    }
}

/// What crosses between each two trunks.
fn pass_lists(profiles: &Profiles) {
    for (from_name, from) in &profiles.trunks {
        for (to_name, to) in &profiles.trunks {
            if from_name == to_name {
                continue;
            }
            output::line(format_args!("\n{from_name} to {to_name}:"));
            for rule in b2bua::passlist::rules(from, to) {
                output::line(format_args!("  {}", pass_line(rule, to)));
            }
            for name in b2bua::passlist::passed_by_rule(from, to) {
                let name = name.canonical();
                output::line(format_args!("  {name:<32} by a rule, without hosts"));
            }
        }
    }
}

fn pass_line(rule: &Rule, to: &TrunkProfile) -> String {
    let subject = match rule.subject {
        Subject::Header(name) => name.to_owned(),
        Subject::HeaderPrefix(prefix) => format!("{prefix}*"),
        Subject::RequestUriParam(name) => format!("Request-URI parameter {name}"),
        Subject::DisplayName => "display names of From and To".to_owned(),
        Subject::ReasonPhrase => "reason phrase".to_owned(),
    };
    let form = match rule.carriage {
        Carriage::Verbatim => "as it is".to_owned(),
        Carriage::Rehosted => "with this gateway's host".to_owned(),
        Carriage::Seconds => "seconds, of what the called party says".to_owned(),
        Carriage::Reason => "protocol and cause".to_owned(),
        Carriage::Redirections => "with this gateway's host, each as the other".to_owned(),
        Carriage::Bounded => {
            let limits = &to.context;
            let fields = match rule.subject {
                Subject::HeaderPrefix(_) => limits.fields,
                Subject::Header(_)
                | Subject::RequestUriParam(_)
                | Subject::DisplayName
                | Subject::ReasonPhrase => limits.user_to_user,
            };
            let (name, value) = (limits.name, limits.value);
            format!("at most {fields}, names to {name} and values to {value} octets")
        }
    };
    let phases: Vec<&str> = rule.phases.iter().map(|phase| phase.as_str()).collect();
    format!("{subject:<32} {form:<50} in {}", phases.join(", "))
}

/// Prints findings and a summary for people.
pub(crate) fn report(reading: &Reading) {
    for finding in &reading.findings.0 {
        output::error(reading.source.render(finding));
    }
    let count = |severity| {
        reading
            .findings
            .0
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let path = reading.source.path.display();
    if errors == 0 {
        output::line(format_args!(
            "{path}: fine ({}, {}, {})",
            many(reading.config.trunks.len(), "trunk"),
            many(reading.config.routing.routes.len(), "route"),
            many(warnings, "warning"),
        ));
    } else {
        output::line(format_args!(
            "{path}: {}, {}",
            many(errors, "error"),
            many(warnings, "warning")
        ));
    }
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn findings_json(reading: &Reading) -> serde_json::Value {
    let findings: Vec<_> = reading
        .findings
        .0
        .iter()
        .map(|finding| {
            let position = finding
                .span
                .as_ref()
                .map(|span| reading.source.position(span.start));
            serde_json::json!({
                "severity": match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "line": position.map(|(line, _)| line),
                "column": position.map(|(_, column)| column),
                "message": finding.message,
                "help": finding.help,
            })
        })
        .collect();
    serde_json::json!({
        "file": reading.source.path.display().to_string(),
        "fine": !reading.findings.has_errors(),
        "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_daemon_is_named_before_or_after_what_is_asked_of_a_call() {
        for line in [
            "trunkline call -c lab.toml --json 00c0ffee00c0ffee ladder",
            "trunkline call 00c0ffee00c0ffee ladder --json -c lab.toml",
            "trunkline call 00c0ffee00c0ffee hangup --socket admin.sock",
            "trunkline call 00c0ffee00c0ffee --socket admin.sock",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }
}
