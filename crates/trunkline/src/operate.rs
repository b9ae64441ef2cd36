//! Commands for a running daemon: `status`, `trunks`, `calls`, `call`, `reload`, `drain`.
//!
//! They speak HTTP with the daemon's Unix socket. Exit code 0: fine; 1: the thing asked about is
//! not fine, or is not there; 2: wrong usage, no daemon, or a configuration that cannot be used.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{config, output};

/// Where the daemon is, and how it is to be shown.
#[derive(Debug, Args)]
pub struct Target {
    /// The daemon's socket; default: `socket` of [admin] in the configuration file
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// The configuration file that names the socket
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml",
        global = true
    )]
    config: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Arguments of `status`, `trunks` and `calls`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    target: Target,
    /// Only what belongs to this customer
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
}

/// Arguments of `call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The call, as `trunkline calls` names it
    id: String,
    #[command(subcommand)]
    what: Option<CallCommand>,
    #[command(flatten)]
    target: Target,
}

/// What is to be done with a call.
#[derive(Clone, Copy, Debug, Subcommand)]
enum CallCommand {
    /// Show its messages
    Ladder,
    /// End it
    Hangup,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    target: Target,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    target: Target,
}

/// For an answer of the daemon; a reload reads every certificate first.
const PATIENCE: Duration = Duration::from_secs(30);

struct Answer {
    status: u16,
    body: Value,
}

/// Asks the daemon behind a socket; the status and the body of its answer. Whatever stands in the
/// way has been told.
pub(crate) fn answer(socket: &Path, method: &str, page: &str) -> Result<(u16, Value), ExitCode> {
    let unreachable = |error: &dyn std::fmt::Display| {
        output::error(format_args!("error: {}: {error}", socket.display()));
        ExitCode::from(2)
    };
    let text = exchange(socket, method, page).map_err(|error| {
        let nobody = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
        if nobody.contains(&error.kind()) {
            unreachable(&"no daemon answers there; is `trunkline run` running?")
        } else {
            unreachable(&error)
        }
    })?;
    let Answer { status, body } =
        read(&text).ok_or_else(|| unreachable(&"the answer cannot be read"))?;
    Ok((status, body))
}

impl Target {
    fn ask(&self, method: &str, page: &str) -> Result<Answer, ExitCode> {
        let (status, body) = answer(&self.socket()?, method, page)?;
        Ok(Answer { status, body })
    }

    fn socket(&self) -> Result<PathBuf, ExitCode> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let failed = |text: &dyn std::fmt::Display| {
            output::error(format_args!("error: {}: {text}", self.config.display()));
            ExitCode::from(2)
        };
        let reading = config::read(&self.config).map_err(|error| failed(&error))?;
        reading
            .config
            .admin
            .socket
            .ok_or_else(|| failed(&"no `socket` in [admin]; name it with --socket"))
    }
}

fn exchange(socket: &Path, method: &str, page: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {page} HTTP/1.1\r\nHost: trunkline\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn read(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = serde_json::from_str(body).ok()?;
    Some(Answer { status, body })
}

/// Prints an answer; `plain` for people where `--json` was not asked for.
fn show(
    target: &Target,
    answer: Result<Answer, ExitCode>,
    plain: impl FnOnce(&Value) -> ExitCode,
) -> ExitCode {
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let refused = answer.body.get("error").and_then(Value::as_str);
    if let Some(error) = refused.filter(|_| !target.json) {
        output::error(format_args!("error: {error}"));
        return ExitCode::from(1);
    }
    if target.json {
        output::line(&answer.body);
        return ExitCode::from(u8::from(answer.status >= 400));
    }
    plain(&answer.body)
}

fn query(page: &str, customer: Option<&str>) -> Result<String, ExitCode> {
    match customer {
        None => Ok(page.to_owned()),
        // As they may be written in a configuration.
        Some(name) if config::resolve::is_customer(name) => Ok(format!("{page}?customer={name}")),
        Some(name) => {
            output::error(format_args!("error: a customer is not named `{name}`"));
            Err(ExitCode::from(2))
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn listed(args: &StatusArgs, page: &str, plain: impl FnOnce(&Value) -> ExitCode) -> ExitCode {
    match query(page, args.customer.as_deref()) {
        Ok(page) => show(&args.target, args.target.ask("GET", &page), plain),
        Err(code) => code,
    }
}

/// `trunkline status`. Exit code 1 where a trunk takes no calls.
pub fn status(args: &StatusArgs) -> ExitCode {
    listed(args, "/v1/status", |body| {
        let draining = body.get("draining") == Some(&Value::Bool(true));
        let calls = &body["calls"];
        output::line(format_args!(
            "trunkline {}: {}; {} calls established, {} in set-up",
            text(body, "version"),
            if draining { "draining" } else { "serving" },
            calls["established"],
            calls["setup"],
        ));
        let fine = print_trunks(items(body, "trunks"));
        for name in items(body, "names") {
            let azure = &name["azure"];
            output::line(format_args!(
                "name  {}: {}; Azure says {} (tls {}, ping {})",
                text(name, "fqdn"),
                text(&name["dns"], "in_words"),
                text(azure, "portal"),
                text(azure, "tls"),
                text(azure, "ping"),
            ));
        }
        for ban in items(body, "banned") {
            let left = &ban["left_s"];
            output::line(format_args!("banned  {} for {left} s", text(ban, "source")));
        }
        for certificate in items(body, "certificates") {
            output::line(format_args!(
                "certificate  {}: {} days left (serial {}, ends {})",
                text(certificate, "name"),
                certificate["days"],
                text(certificate, "serial"),
                text(certificate, "ends"),
            ));
        }
        ExitCode::from(u8::from(!fine))
    })
}

/// `trunkline trunks`. Exit code 1 where one takes no calls.
pub fn trunks(args: &StatusArgs) -> ExitCode {
    listed(args, "/v1/trunks", |body| {
        let fine = print_trunks(body.as_array().into_iter().flatten());
        ExitCode::from(u8::from(!fine))
    })
}

fn print_trunks<'a>(trunks: impl Iterator<Item = &'a Value>) -> bool {
    let mut fine = true;
    for trunk in trunks {
        fine &= text(trunk, "health") != "down";
        output::line(format_args!(
            "trunk  {:<24} {:<16} {} legs  {}",
            text(trunk, "name"),
            text(trunk, "health"),
            trunk["legs"],
            text(trunk, "in_words"),
        ));
        let ours = &trunk["registration"];
        if ours.is_object() {
            output::line(format_args!(
                "         registration {} at {} {}",
                text(ours, "state"),
                text(ours, "registrar"),
                ours.get("status")
                    .filter(|status| !status.is_null())
                    .map_or_else(String::new, ToString::to_string),
            ));
        }
        for theirs in items(trunk, "registered") {
            output::line(format_args!(
                "         registered {} from {} for {} s",
                text(theirs, "user"),
                text(theirs, "from"),
                theirs["left_s"],
            ));
        }
        for peer in items(trunk, "peers") {
            let last = &peer["last"];
            output::line(format_args!(
                "         {:<44} {:<8} last {} {} {}",
                text(peer, "target"),
                text(peer, "state"),
                text(last, "what"),
                last.get("status")
                    .filter(|status| !status.is_null())
                    .map_or_else(String::new, ToString::to_string),
                text(last, "at"),
            ));
        }
    }
    fine
}

/// `trunkline calls`.
pub fn calls(args: &StatusArgs) -> ExitCode {
    listed(args, "/v1/calls", |body| {
        for call in body.as_array().into_iter().flatten() {
            print_call(call);
        }
        ExitCode::SUCCESS
    })
}

fn print_call(call: &Value) {
    output::line(format_args!(
        "{}  {:<12} {} → {}  {} → {}  since {}",
        text(call, "call"),
        text(call, "stage"),
        text(call, "from"),
        text(call, "to"),
        text(call, "calling"),
        text(call, "called"),
        text(call, "started"),
    ));
}

/// `trunkline call ID [ladder|hangup]`. Exit code 1 where there is no such call.
pub fn call(args: &CallArgs) -> ExitCode {
    if !args.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        output::error("error: a call is named by 16 hexadecimal digits");
        return ExitCode::from(2);
    }
    let page = format!("/v1/calls/{}", args.id);
    match args.what {
        None => show(&args.target, args.target.ask("GET", &page), |body| {
            print_call(body);
            ExitCode::SUCCESS
        }),
        Some(CallCommand::Ladder) => {
            let answer = args.target.ask("GET", &format!("{page}/ladder"));
            show(&args.target, answer, |body| {
                print_ladder(body);
                ExitCode::SUCCESS
            })
        }
        Some(CallCommand::Hangup) => {
            let answer = args.target.ask("POST", &format!("{page}/hangup"));
            show(&args.target, answer, |_| {
                output::line("hung up");
                ExitCode::SUCCESS
            })
        }
    }
}

fn print_ladder(body: &Value) {
    for message in body.as_array().into_iter().flatten() {
        let arrow = match text(message, "direction") {
            "in" => "──▶ trunkline",
            _ => "◀── trunkline",
        };
        output::line(format_args!(
            "{}  {:<20} {:<24} {arrow}  {}",
            text(message, "at"),
            text(message, "trunk"),
            text(message, "remote"),
            text(message, "first_line"),
        ));
    }
}

/// `trunkline reload`. Exit code 2 where the configuration cannot be used: nothing has changed.
pub fn reload(args: &ReloadArgs) -> ExitCode {
    let page = format!("/v1/reload?dry_run={}", args.dry_run);
    let answer = match args.target.ask("POST", &page) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let refused = answer.status == 422;
    let plain = |body: &Value| {
        for diagnostic in items(body, "diagnostics") {
            output::error(diagnostic.as_str().unwrap_or_default());
        }
        let mut count = 0;
        for difference in items(body, "differences") {
            count += 1;
            output::line(text(difference, "what"));
        }
        match (refused, args.dry_run, count) {
            (true, ..) => output::error("nothing was changed"),
            (false, _, 0) => output::line("nothing differs"),
            (false, true, _) => output::line("not taken: this was a dry run"),
            (false, false, _) => output::line("taken"),
        }
        ExitCode::SUCCESS
    };
    let code = show(&args.target, Ok(answer), plain);
    if refused { ExitCode::from(2) } else { code }
}

/// `trunkline drain`.
pub fn drain(args: &DrainArgs) -> ExitCode {
    let answer = args.target.ask("POST", "/v1/drain");
    show(&args.target, answer, |body| {
        output::line(format_args!("draining; {} calls left", body["calls"]));
        ExitCode::SUCCESS
    })
}
