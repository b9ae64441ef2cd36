//! `numbers search` and `purchase`.

use acs_client::phone_numbers::{
    AssignmentType, Capabilities, NumberType as Kind, Search, SearchResult,
};
use acs_client::{Client, Error, Repeatability, RequestId};
use clap::Args;
use e164::NumberType;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::inventory::rules::{Offer, offered};
use store::inventory::{Assignment, Capability, Inventory, Order, OrderState};

use super::watch::{Ended, Unseen, watched};
use super::{Manner, Place, change, lists, live};
use crate::azure::{self, Stop};
use crate::output;

/// Arguments of `numbers search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The country, ISO 3166
    #[arg(long, value_name = "CC", value_parser = country)]
    country: String,
    /// geographic, toll-free or mobile
    #[arg(long = "type", value_name = "TYPE", value_parser = lists::kind)]
    kind: NumberType,
    /// person or application
    #[arg(long, value_name = "WHOM", default_value = "application", value_parser = assignment)]
    assignment: Assignment,
    /// none, inbound, outbound or both
    #[arg(long, value_name = "WAY", default_value = "both", value_parser = capability)]
    calling: Capability,
    /// none, inbound, outbound or both
    #[arg(long, value_name = "WAY", default_value = "none", value_parser = capability)]
    sms: Capability,
    /// The area code the numbers are to have
    #[arg(long, value_name = "DIGITS")]
    area_code: Option<String>,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    quantity: u32,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `numbers purchase`.
#[derive(Debug, Args)]
pub struct PurchaseArgs {
    /// What `search` found
    #[arg(value_name = "SEARCH_ID")]
    search: String,
    /// Promise not to sell the numbers on, where Azure wants that
    #[arg(long)]
    agree_to_not_resell: bool,
    #[command(flatten)]
    manner: Manner,
}

pub(super) fn country(text: &str) -> Result<String, String> {
    let known = e164::country_of_numbers(text);
    known
        .map(str::to_owned)
        .ok_or_else(|| "two letters of ISO 3166, such as US".to_owned())
}

pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    Assignment::from_name(text).ok_or_else(|| "person or application".to_owned())
}

pub(super) fn capability(text: &str) -> Result<Capability, String> {
    Capability::read(text).ok_or_else(|| "none, inbound, outbound or both".to_owned())
}

/// Runs `numbers search`.
pub(super) async fn search(args: &SearchArgs) -> Result<u8, Stop> {
    let offer = Offer {
        kind: args.kind,
        country: &args.country,
        assignment: args.assignment,
        calling: args.calling,
        sms: args.sms,
    };
    allowed(&offer)?;
    let kind = match args.kind {
        NumberType::TollFree => Kind::TollFree,
        NumberType::Geographic => Kind::Geographic,
        NumberType::Mobile => Kind::Mobile,
        NumberType::ShortCode
        | NumberType::Premium
        | NumberType::SharedCost
        | NumberType::Voip
        | NumberType::Personal
        | NumberType::Pager
        | NumberType::Company
        | NumberType::Voicemail
        | NumberType::Emergency
        | NumberType::Unknown => {
            return Err(Stop::usage(
                "Azure's interface searches geographic, toll-free and mobile numbers; short codes \
                 are asked for in its portal",
            ));
        }
    };
    let config = args.place.config()?;
    let client = args.place.client(&config)?;
    let wanted = Search {
        phone_number_type: kind,
        assignment_type: match args.assignment {
            Assignment::Person => AssignmentType::Person,
            Assignment::Application => AssignmentType::Application,
        },
        capabilities: Capabilities {
            calling: live::way(args.calling),
            sms: live::way(args.sms),
        },
        area_code: args.area_code.clone(),
        quantity: args.quantity,
    };
    let found = watched(async |progress| {
        client
            .search_numbers(&args.country, &wanted, progress)
            .await
    });
    let found = found.await.map_err(|unseen| unseen.stop("the search"))?;
    usable(&found)?;
    if args.json {
        output::line(object(&found));
        return Ok(0);
    }
    show(&found);
    output::line(format_args!(
        "buy: trunkline numbers purchase {}{}",
        found.search_id,
        if found.is_agreement_to_not_resell_required {
            " --agree-to-not-resell"
        } else {
            ""
        }
    ));
    Ok(0)
}

/// Whether Microsoft offers such a number.
pub(super) fn allowed(offer: &Offer<'_>) -> Result<(), Stop> {
    let broken = offered(offer);
    if broken.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
    Err(Stop::usage(told.join("; ")))
}

fn usable(found: &SearchResult) -> Result<(), Stop> {
    match found.error.as_deref() {
        None | Some("" | "NoError") => Ok(()),
        Some(code) => {
            let unseen = Unseen {
                why: Ended::Azure(Error::GivenUp {
                    operation: found.search_id.clone(),
                    code: code.to_owned(),
                    message: "the search found nothing that can be bought".to_owned(),
                }),
                operation: None,
            };
            Err(unseen.stop("the search"))
        }
    }
}

fn object(found: &SearchResult) -> Value {
    let cost = live::money(&found.cost);
    json!({
        "search": found.search_id,
        "numbers": found.phone_numbers,
        "type": live::kind(&found.phone_number_type).map(NumberType::as_str),
        "calling": live::capability(found.capabilities.calling).as_str(),
        "sms": live::capability(found.capabilities.sms).as_str(),
        "monthly_cost": cost.map(|cost| routing::decimal(cost.micros)),
        "monthly_total": cost.map(|cost| routing::decimal(total(found, cost.micros))),
        "currency": cost.map(|cost| cost.currency.to_string()),
        "expires": found.search_expires_by,
        "agreement_to_not_resell_required": found.is_agreement_to_not_resell_required,
    })
}

fn total(found: &SearchResult, micros: u64) -> u64 {
    micros.saturating_mul(u64::try_from(found.phone_numbers.len()).unwrap_or(u64::MAX))
}

fn show(found: &SearchResult) {
    for number in &found.phone_numbers {
        output::line(number);
    }
    let calling = live::capability(found.capabilities.calling).as_str();
    let sms = live::capability(found.capabilities.sms).as_str();
    output::line(format_args!("calling {calling}, SMS {sms}"));
    output::line(format_args!("cost: {}", price(found)));
    let left = found.search_expires_by.parse::<Timestamp>().map(|at| {
        let left = at.duration_since(Timestamp::now()).as_secs();
        match left {
            ..=0 => "it is over".to_owned(),
            _ => format!("{} min left", left / 60),
        }
    });
    let left = left.map_or_else(|_| String::new(), |left| format!(" ({left})"));
    output::line(format_args!("kept until {}{left}", found.search_expires_by));
}

fn price(found: &SearchResult) -> String {
    match live::money(&found.cost) {
        Some(cost) => {
            let all = routing::Money {
                micros: total(found, cost.micros),
                ..cost
            };
            format!("{cost} a month each, {all} a month together; calls are extra")
        }
        None => format!(
            "{} {}, in terms this version does not know",
            found.cost.amount, found.cost.currency_code
        ),
    }
}

/// Runs `numbers purchase`.
pub(super) async fn purchase(args: &PurchaseArgs) -> Result<u8, Stop> {
    let config = args.manner.place.config()?;
    let client = args.manner.place.client(&config)?;
    let mut desk = Desk::open(args, &config)?;
    if desk
        .order
        .as_ref()
        .is_some_and(|order| order.state == OrderState::Done)
    {
        return Ok(done(args, &[], true));
    }
    let found = client.search_result(&args.search).await.map_err(|error| {
        let unseen = Unseen {
            why: Ended::Azure(error),
            operation: None,
        };
        let sentence = unseen.sentence("the search");
        if matches!(unseen.why, Ended::Azure(Error::NotFound(_))) {
            Stop(1, desk.lapsed(&sentence))
        } else {
            Stop(1, sentence)
        }
    })?;
    usable(&found)?;
    if found.is_agreement_to_not_resell_required && !args.agree_to_not_resell {
        return Err(Stop::usage(
            "for these numbers Azure wants the promise not to sell them on: \
             --agree-to-not-resell",
        ));
    }
    if !args.manner.json {
        show(&found);
    }
    if desk.order.is_some() {
        output::error(
            "an earlier run sent this purchase; the same request is sent again, which is no second \
             purchase",
        );
    }
    let many = found.phone_numbers.len();
    let question = format!("buy {many} numbers, {}?", price(&found));
    azure::agreed(
        &question,
        args.manner.yes,
        args.manner.json,
        "nothing was bought",
    )?;
    let repeatability = desk.begin()?;
    let bought = watched(async |progress| {
        let agreed = args.agree_to_not_resell;
        client
            .purchase_numbers(&args.search, agreed, repeatability, progress)
            .await
    });
    match bought.await {
        Ok(()) => {
            desk.end(OrderState::Done, None);
        }
        Err(unseen) => desk.doubt(&client, &found, &unseen).await?,
    }
    change::remember(&client, desk.store.as_mut()).await;
    Ok(done(args, &found.phone_numbers, false))
}

fn done(args: &PurchaseArgs, numbers: &[String], already: bool) -> u8 {
    if args.manner.json {
        output::line(json!({
            "bought": true, "already": already, "search": args.search, "numbers": numbers,
        }));
    } else if already {
        output::line("bought already by an earlier run; nothing was sent");
    } else {
        output::line(format_args!("bought: {}", numbers.join(", ")));
    }
    0
}

/// A purchase and what the store knows of it.
struct Desk<'a> {
    search: &'a str,
    store: Option<Inventory>,
    /// What an earlier run sent.
    order: Option<Order>,
}

impl<'a> Desk<'a> {
    fn open(args: &'a PurchaseArgs, config: &crate::config::Config) -> Result<Self, Stop> {
        let store = change::store(&args.manner.place, config)?;
        let order = match &store {
            Some(store) => store.order(&args.search).map_err(unkept)?,
            None => None,
        };
        Ok(Self {
            search: &args.search,
            store,
            order: order.filter(|order| order.state != OrderState::Refused),
        })
    }

    /// Azure does not know the search, or not any longer.
    fn lapsed(&self, sentence: &str) -> String {
        let id = self.search;
        let Some(order) = &self.order else {
            let why = "Azure keeps one for about 15 minutes; search again";
            return format!("there is no search {id}: {why} ({sentence})");
        };
        let look = match &order.operation {
            Some(operation) => format!("trunkline numbers operation {operation}"),
            None => "trunkline numbers list --azure".to_owned(),
        };
        format!(
            "an earlier run sent this purchase, and Azure keeps its search no longer: see whether \
             the numbers were bought before you search again: {look} ({sentence})"
        )
    }

    /// The name the purchase is sent under: the one it was sent under before, if it was. It is on
    /// the disk before anything is sent.
    fn begin(&mut self) -> Result<Repeatability, Stop> {
        let earlier = self.order.as_ref().and_then(|order| {
            let id = RequestId::parse(&order.request)?;
            let first_sent = Timestamp::from_second(order.first_sent).ok()?;
            Some(Repeatability { id, first_sent })
        });
        let name = earlier.unwrap_or_else(Repeatability::fresh);
        self.order = Some(Order {
            search: self.search.to_owned(),
            request: name.id.to_string(),
            first_sent: name.first_sent.as_second(),
            operation: None,
            state: OrderState::Sent,
        });
        self.keep().map_err(unkept)?;
        if self.store.is_none() {
            output::error(
                "warning: there is no [store] to remember this purchase in; should it be cut \
                 short, look at trunkline numbers list --azure before buying again",
            );
        }
        Ok(name)
    }

    fn keep(&mut self) -> Result<(), store::StoreError> {
        match (&mut self.store, &self.order) {
            (Some(store), Some(order)) => store.keep_order(order),
            _ => Ok(()),
        }
    }

    /// What became of it. It is done by then: that it cannot be written down is told, and no more.
    fn end(&mut self, state: OrderState, operation: Option<&str>) {
        if let Some(order) = &mut self.order {
            order.state = state;
            order.operation = operation.map(str::to_owned);
        }
        if let Err(error) = self.keep() {
            output::error(format_args!("warning: the order cannot be kept: {error}"));
        }
    }

    /// A purchase that was not seen to be done: what is there tells, if anything does.
    async fn doubt(
        &mut self,
        client: &Client,
        found: &SearchResult,
        unseen: &Unseen,
    ) -> Result<(), Stop> {
        let conflict = matches!(unseen.why, Ended::Azure(Error::Conflict(_)));
        let interrupted = matches!(unseen.why, Ended::Interrupted);
        if (unseen.is_open() || conflict) && !interrupted {
            let owned = client.purchased_numbers().await.unwrap_or_default();
            let has = |number: &String| owned.iter().any(|one| one.phone_number == *number);
            if !found.phone_numbers.is_empty() && found.phone_numbers.iter().all(has) {
                output::error(format_args!(
                    "warning: {}; the numbers are there all the same",
                    unseen.sentence("the purchase")
                ));
                self.end(OrderState::Done, unseen.id());
                return Ok(());
            }
        }
        let sentence = unseen.sentence("the purchase");
        if unseen.is_open() {
            self.end(OrderState::Sent, unseen.id());
            let again = match &self.store {
                Some(_) => format!(
                    "whether the numbers were bought is not known; trunkline numbers purchase {} \
                     sends the same request again, which is no second purchase",
                    self.search
                ),
                None => "whether the numbers were bought is not known; look at trunkline numbers \
                         list --azure before buying again"
                    .to_owned(),
            };
            return Err(Stop(1, format!("{sentence}; {again}")));
        }
        // A refused name stays refused; one that never arrived can be used again.
        if !matches!(
            unseen.why,
            Ended::Azure(Error::Unreachable { .. } | Error::Throttled { .. })
        ) {
            self.end(OrderState::Refused, unseen.id());
        }
        Err(Stop(1, format!("nothing was bought: {sentence}")))
    }
}

fn unkept(error: store::StoreError) -> Stop {
    Stop(
        1,
        format!("nothing was sent: the order cannot be kept: {error}"),
    )
}
