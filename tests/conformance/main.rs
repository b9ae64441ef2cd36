//! Plays the conformance suite: `conformance [--json] [--mutants] [--against=ROWS] [--witness]
//! [--log] [ROW…]`.

use std::io::Write as _;
use std::process::ExitCode;

use trunkline_tests::conformance::suite::{self, Verdict};
use trunkline_tests::conformance::trial::Interference;
use trunkline_tests::conformance::{Row, rows};

const USAGE: &str = "\
conformance [--json] [--mutants] [--against=ROWS] [--witness] [--log] [ROW…]

Plays the rows (all of them, or those named: CK-24) against the gateway and prints
`id · requirement · verdict · seconds · detail`.

  --json      print one list of objects instead
  --mutants   play each row's mutants against every row that goes through what they change
  --against=CK-11,CK-24
              against these rows and the mutant's own alone
  --witness   with a man in the middle who changes nothing
  --log       print what a failing row's gateway and far ends said
";

struct Wish {
    json: bool,
    mutants: bool,
    witness: bool,
    log: bool,
    against: Vec<&'static Row>,
    rows: Vec<&'static Row>,
}

fn named(id: &str) -> Result<&'static Row, String> {
    rows::find(id).ok_or_else(|| format!("there is no row {id}\n\n{USAGE}"))
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish {
        json: false,
        mutants: false,
        witness: false,
        log: false,
        against: Vec::new(),
        rows: Vec::new(),
    };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => wish.json = true,
            "--mutants" => wish.mutants = true,
            "--witness" => wish.witness = true,
            "--log" => wish.log = true,
            "--help" | "-h" => return Err(USAGE.to_owned()),
            other => match other.strip_prefix("--against=") {
                Some(ids) => {
                    wish.against = ids.split(',').map(named).collect::<Result<_, _>>()?;
                }
                None => wish.rows.push(named(other)?),
            },
        }
    }
    if wish.rows.is_empty() {
        wish.rows = rows::all();
    }
    if wish.against.is_empty() {
        wish.against = rows::all();
    }
    Ok(wish)
}

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => wish,
        Err(text) => {
            // A terminal that is gone cannot be told.
            let _ = writeln!(std::io::stderr(), "{text}");
            return ExitCode::from(2);
        }
    };
    // A row that panics says so in its verdict.
    std::panic::set_hook(Box::new(|_| {}));
    let played = if wish.mutants {
        hunt(&wish)
    } else {
        play(&wish)
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(wish: &Wish) -> anyhow::Result<bool> {
    let between = if wish.witness {
        Interference::Witness
    } else {
        Interference::None
    };
    let reports = suite::run(&wish.rows, between, |report| {
        if !wish.json {
            let _ = writeln!(std::io::stdout(), "{}", suite::line(report));
        }
        if wish.log && report.verdict == Verdict::Fail {
            let _ = writeln!(std::io::stderr(), "{}", report.log);
        }
    });
    let count = |verdict| {
        reports
            .iter()
            .filter(|report| report.verdict == verdict)
            .count()
    };
    let mut out = std::io::stdout().lock();
    if wish.json {
        writeln!(out, "{:#}", suite::json(&reports))?;
    } else {
        writeln!(
            out,
            "{} pass, {} fail, {} not testable here",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::NotTestable)
        )?;
    }
    Ok(count(Verdict::Fail) == 0)
}

fn hunt(wish: &Wish) -> anyhow::Result<bool> {
    let mut out = std::io::stdout();
    let hunts = if wish.json {
        suite::hunt(&wish.against, &wish.rows, &mut std::io::stderr())?
    } else {
        suite::hunt(&wish.against, &wish.rows, &mut out)?
    };
    let fine = hunts.iter().filter(|hunt| hunt.is_fine()).count();
    if wish.json {
        writeln!(out, "{:#}", suite::hunts_json(&hunts))?;
        return Ok(fine == hunts.len());
    }
    writeln!(
        out,
        "{fine} of {} mutants caught, each within its group",
        hunts.len()
    )?;
    Ok(fine == hunts.len())
}
