//! `numbers plan`: the decision an operator faces before a number, walked through.

mod decide;
mod offers;

#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::{Args, ValueEnum};
use e164::{E164Number, NumberClass, NumberType};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use store::inventory::{Assignment, Capability};

use self::decide::{Plan, Standing, Way, Wish, decide};
use self::offers::{OFFERS, Offers, Price};
use super::{lists, market};
use crate::azure::Stop;
use crate::output;

/// Arguments of `numbers plan`. What is left out is asked on a terminal.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The country of the number, ISO 3166; of an existing number it is known
    #[arg(long, value_name = "CC", value_parser = market::country)]
    country: Option<String>,
    /// The number that is there already, in E.164 with `+`
    #[arg(long, value_name = "NUMBER", conflicts_with = "new")]
    number: Option<String>,
    /// A new number is wanted
    #[arg(long)]
    new: bool,
    /// Who is to carry its calls: your own carrier, or Microsoft (an existing number is ported)
    #[arg(long, value_enum)]
    carrier: Option<Carrier>,
    /// none, inbound, outbound or both
    #[arg(long, value_name = "WAY", value_parser = market::capability)]
    calling: Option<Capability>,
    /// none, inbound, outbound or both
    #[arg(long, value_name = "WAY", value_parser = market::capability)]
    sms: Option<Capability>,
    /// Whom it is to serve: person or application
    #[arg(long, value_name = "WHOM", value_parser = market::assignment)]
    assignment: Option<Assignment>,
    /// The type of a new number: geographic or toll-free; the one that does most when left out
    #[arg(long = "type", value_name = "TYPE", value_parser = lists::kind)]
    kind: Option<NumberType>,
    /// What there is at Azure
    #[arg(long, value_enum)]
    azure: Option<AtAzure>,
    /// Whether the Azure subscription is a paid one
    #[arg(long, value_enum)]
    paid: Option<YesNo>,
    /// The country the subscription is billed in, ISO 3166
    #[arg(long, value_name = "CC", value_parser = market::country)]
    billing: Option<String>,
    /// The day of the decision; default: today (UTC)
    #[arg(long, value_name = "DAY")]
    today: Option<Date>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Carrier {
    /// Your own carrier
    Own,
    /// Microsoft
    Microsoft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AtAzure {
    /// A resource, and numbers bought before September 2026
    Numbers,
    /// A resource without numbers
    Resource,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    /// Yes
    Yes,
    /// No
    No,
}

/// How often a question is asked again.
const PATIENCE: usize = 3;

/// Runs `numbers plan`.
pub(super) fn run(args: &PlanArgs) -> Result<u8, Stop> {
    let asks = io::stdin().is_terminal() && !args.json;
    let mut clerk = Clerk {
        asks,
        unsaid: Vec::new(),
    };
    let wish = wish(args, &mut clerk)?;
    if wish.calling == Capability::None && wish.sms == Capability::None {
        return Err(Stop::usage("a number is for calls, for SMS or for both"));
    }
    let plan = decide(&wish, &OFFERS);
    if args.json {
        output::line(object(&wish, &plan, &OFFERS));
    } else {
        show(&wish, &plan, &OFFERS);
    }
    Ok(u8::from(plan.way == Way::None || !plan.without.is_empty()))
}

/// Asks for what the command line leaves open.
struct Clerk {
    asks: bool,
    /// What was left open where nobody can be asked.
    unsaid: Vec<&'static str>,
}

impl Clerk {
    /// What was said, or the answer to the question; `None` where there is none.
    fn need<T: Clone>(
        &mut self,
        said: Option<&T>,
        flag: &'static str,
        question: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Stop> {
        if let Some(said) = said {
            return Ok(Some(said.clone()));
        }
        if !self.asks {
            self.unsaid.push(flag);
            return Ok(None);
        }
        for _ in 0..PATIENCE {
            output::progress(format_args!("{question} "));
            let mut line = String::new();
            match io::stdin().lock().read_line(&mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            match read(line.trim()) {
                Ok(answer) => return Ok(Some(answer)),
                Err(wanted) => output::line(format_args!("{wanted}?")),
            }
        }
        Err(Stop::usage(format!(
            "no answer that is understood: say {flag}"
        )))
    }

    fn choice<T: ValueEnum>(
        &mut self,
        said: Option<&T>,
        flag: &'static str,
        question: &str,
    ) -> Result<Option<T>, Stop> {
        let names = || {
            let names = T::value_variants().iter();
            let names =
                names.filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()));
            names.collect::<Vec<_>>().join(" or ")
        };
        let question = format!("{question} ({})", names());
        self.need(said, flag, &question, |text| {
            T::from_str(text, true).map_err(|_| names())
        })
    }
}

/// What the number is that is there already; `None` for a new one.
fn existing(args: &PlanArgs, clerk: &mut Clerk) -> Result<Option<NumberClass>, Stop> {
    let number = match (&args.number, args.new) {
        (Some(number), _) => Some(number.clone()),
        (None, true) => None,
        (None, false) => {
            let question = "Which number is there already? (+…, or an empty line for a new one)";
            let text = clerk.need(None, "--number or --new", question, |text| {
                if text.is_empty() || E164Number::parse(text).is_ok() {
                    Ok(text.to_owned())
                } else {
                    Err("a number such as +14255550100, or nothing".to_owned())
                }
            })?;
            text.filter(|text| !text.is_empty())
        }
    };
    let Some(number) = number else {
        return Ok(None);
    };
    let read = E164Number::parse(&number);
    let read = read.map_err(|error| Stop::usage(format!("{number}: {error}")))?;
    Ok(Some(read.class()))
}

fn wish(args: &PlanArgs, clerk: &mut Clerk) -> Result<Wish, Stop> {
    let class = existing(args, clerk)?;
    let known = class.and_then(|class| class.country).map(str::to_owned);
    let country = clerk.need(
        args.country.as_ref().or(known.as_ref()),
        "--country",
        "Which country?",
        market::country,
    )?;
    let question = "Who is to carry its calls: your own carrier, or Microsoft?";
    let carrier = clerk.choice(args.carrier.as_ref(), "--carrier", question)?;
    let ways = "(none, inbound, outbound, both)";
    let question = format!("Calls? {ways}");
    let calling = clerk.need(
        args.calling.as_ref(),
        "--calling",
        &question,
        market::capability,
    )?;
    let question = format!("SMS? {ways}");
    let sms = clerk.need(args.sms.as_ref(), "--sms", &question, market::capability)?;
    let question = "Whom is it to serve? (person, application)";
    let assignment = clerk.need(
        args.assignment.as_ref(),
        "--assignment",
        question,
        market::assignment,
    )?;
    let question = "What do you have at Azure: numbers bought before September 2026, a resource \
                    without numbers, or nothing?";
    let standing = clerk.choice(args.azure.as_ref(), "--azure", question)?;
    let microsoft = carrier == Some(Carrier::Microsoft);
    let (mut paid, mut billing) = (None, None);
    if microsoft {
        let question = "Is the Azure subscription a paid one?";
        paid = clerk.choice(args.paid.as_ref(), "--paid", question)?;
        let question = "In which country is it billed?";
        billing = clerk.need(
            args.billing.as_ref(),
            "--billing",
            question,
            market::country,
        )?;
    }
    let open = Stop::usage(format!(
        "nobody is here to be asked: say {}",
        clerk.unsaid.join(", ")
    ));
    if !clerk.unsaid.is_empty() {
        return Err(open);
    }
    let (Some(country), Some(calling), Some(sms)) = (country, calling, sms) else {
        return Err(open);
    };
    let today = || Timestamp::now().to_zoned(TimeZone::UTC).date();
    Ok(Wish {
        country,
        existing: class.map(|class| {
            if class.kind == NumberType::Unknown {
                NumberType::Geographic
            } else {
                class.kind
            }
        }),
        kind: args.kind,
        microsoft,
        calling,
        sms,
        assignment: assignment.unwrap_or(Assignment::Application),
        standing: match standing {
            Some(AtAzure::Numbers) => Standing::Numbers,
            Some(AtAzure::Resource) => Standing::Resource,
            Some(AtAzure::None) | None => Standing::Nothing,
        },
        paid: paid == Some(YesNo::Yes),
        billing,
        today: args.today.unwrap_or_else(today),
    })
}

fn object(wish: &Wish, plan: &Plan<'_>, offers: &Offers) -> Value {
    json!({
        "recommendation": plan.way.as_str(),
        "in_words": plan.way.in_words(),
        "country": wish.country,
        "type": plan.kind.as_str(),
        "assignment": wish.assignment.as_str(),
        "calling": plan.calling.as_str(),
        "sms": plan.sms.as_str(),
        "offered_by_microsoft": plan.price.is_some(),
        "may_buy_from_microsoft": wish.microsoft.then_some(plan.eligible),
        "why": plan.why,
        "cannot_be_had": plan.without,
        "microsofts_list_price_usd": plan.price.map(|price| json!({
            "month": known(price.month),
            "minute_out": known(price.out),
            "minute_in": known(price.inbound),
        })),
        "prices_of": offers.prices,
        "collected": offers.collected,
        "note": NOTE,
    })
}

const NOTE: &str = "historic list prices: verify before you buy";

fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn show(wish: &Wish, plan: &Plan<'_>, offers: &Offers) {
    output::line(format_args!("recommended: {}", plan.way.in_words()));
    output::line(format_args!(
        "  {} {} for {}: calling {}, SMS {}",
        wish.country,
        plan.kind,
        match wish.assignment {
            Assignment::Person => "a person",
            Assignment::Application => "an application",
        },
        plan.calling.as_str(),
        plan.sms.as_str(),
    ));
    for why in &plan.why {
        output::line(format_args!("  - {why}"));
    }
    for without in &plan.without {
        output::line(format_args!("  cannot be had: {without}"));
    }
    match plan.price {
        Some(Price {
            month,
            out,
            inbound,
            ..
        }) => {
            let shown = |text: &'static str, price| {
                known(price).map_or_else(
                    || format!("{text} not known"),
                    |price| format!("{text} {price}"),
                )
            };
            output::line(format_args!(
                "  Microsoft's list price in USD: {}, {}, {}",
                shown("a month", month),
                shown("a minute out", out),
                shown("a minute in", inbound),
            ));
        }
        None => output::line(format_args!(
            "  Microsoft lists no price for such a number of {}",
            wish.country
        )),
    }
    output::line(format_args!(
        "  ({NOTE}; Microsoft's page of {}, read {})",
        offers.prices, offers.collected
    ));
}
