//! `numbers update`, `release` and `operation`.

use acs_client::phone_numbers::{Capabilities, PurchasedNumber};
use acs_client::{Client, Error, OperationState};
use clap::Args;
use e164::{E164Number, NumberType};
use serde_json::json;
use store::inventory::rules::Offer;
use store::inventory::{Capability, Entry, Imported, Inventory, Origin};

use super::market::{allowed, capability};
use super::watch::{watched, word};
use super::{Manner, Place, inventory, lists, live, now};
use crate::azure::{self, Stop};
use crate::config::Config;
use crate::output;

/// Arguments of `numbers update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The number, in E.164 with `+`
    #[arg(value_name = "NUMBER", value_parser = number)]
    number: String,
    /// none, inbound, outbound or both; as it is when left out
    #[arg(long, value_name = "WAY", value_parser = capability, required_unless_present = "sms")]
    calling: Option<Capability>,
    /// none, inbound, outbound or both; as it is when left out
    #[arg(long, value_name = "WAY", value_parser = capability)]
    sms: Option<Capability>,
    #[command(flatten)]
    manner: Manner,
}

/// Arguments of `numbers release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The number, in E.164 with `+`
    #[arg(value_name = "NUMBER", value_parser = number)]
    number: String,
    #[command(flatten)]
    manner: Manner,
}

/// Arguments of `numbers operation`.
#[derive(Debug, Args)]
pub struct OperationArgs {
    /// Its id, as it was told when it began
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn number(text: &str) -> Result<String, String> {
    let read = E164Number::parse(text);
    read.map(|number| number.to_wire())
        .map_err(|error| error.to_string())
}

/// The store of the configuration, where there is one.
pub(super) fn store(place: &Place, config: &Config) -> Result<Option<Inventory>, Stop> {
    let path = place.stored(config);
    path.map(|path| inventory(&path)).transpose()
}

/// Brings what Azure has now into the store. What was asked for is done by then: that it cannot be
/// written down is told, and no more.
pub(super) async fn remember(client: &Client, store: Option<&mut Inventory>) {
    let Some(store) = store else { return };
    let why = match live::numbers(client).await {
        Ok(listed) => {
            let rows = (1..).zip(listed).collect();
            match store.import(&Origin::Azure, rows, now(), false) {
                Ok(Imported::Whole(_)) => return,
                Ok(Imported::Refused(_)) => "Azure's list breaks the inventory's rules".to_owned(),
                Err(error) => error.to_string(),
            }
        }
        Err(Stop(_, why)) => why,
    };
    output::error(format_args!(
        "warning: the inventory was not brought up to date: {why}; trunkline numbers import --azure"
    ));
}

async fn owned(client: &Client, number: &str) -> Result<(PurchasedNumber, Entry), Stop> {
    let owned = client.purchased_number(number).await;
    let owned = owned.map_err(|error| {
        if matches!(error, Error::NotFound(_)) {
            Stop(1, format!("the resource does not own {number} ({error})"))
        } else {
            Stop::azure(&error)
        }
    })?;
    let entry = live::listed(&owned).over(None);
    let entry = entry.ok_or_else(|| Stop(1, format!("Azure does not say what {number} is")))?;
    Ok((owned, entry))
}

/// Runs `numbers update`.
pub(super) async fn update(args: &UpdateArgs) -> Result<u8, Stop> {
    let config = args.manner.place.config()?;
    let client = args.manner.place.client(&config)?;
    let mut store = store(&args.manner.place, &config)?;
    let (before, entry) = owned(&client, &args.number).await?;
    let offer = Offer {
        kind: entry.kind,
        country: &entry.country,
        assignment: entry.assignment,
        calling: args.calling.unwrap_or(entry.calling),
        sms: args.sms.unwrap_or(entry.sms),
    };
    allowed(&offer)?;
    let wanted = Capabilities {
        calling: live::way(offer.calling),
        sms: live::way(offer.sms),
    };
    if before.capabilities == wanted {
        return Ok(updated(args, &entry, false));
    }
    let shown = |calling: Capability, sms: Capability| {
        format!("calling {}, SMS {}", calling.as_str(), sms.as_str())
    };
    let question = format!(
        "{}: {} → {}?",
        args.number,
        shown(entry.calling, entry.sms),
        shown(offer.calling, offer.sms)
    );
    azure::agreed(
        &question,
        args.manner.yes,
        args.manner.json,
        "nothing was changed",
    )?;
    let changed =
        watched(async |progress| client.update_number(&args.number, wanted, progress).await).await;
    let now = match changed {
        Ok(number) => number,
        Err(unseen) if unseen.is_open() => {
            let sentence = unseen.sentence("the change");
            let unknown = |_| Stop(1, sentence.clone());
            let number = client
                .purchased_number(&args.number)
                .await
                .map_err(unknown)?;
            if number.capabilities != wanted {
                return Err(Stop(
                    1,
                    format!("{sentence}; read back, it is not made yet"),
                ));
            }
            output::error(format_args!("warning: {sentence}; read back, it was made"));
            number
        }
        Err(unseen) => {
            let sentence = unseen.sentence("the change");
            return Err(Stop(1, format!("nothing was changed: {sentence}")));
        }
    };
    if now.capabilities != wanted {
        return Err(Stop(
            1,
            "Azure took the change, and says something else now: see trunkline numbers list --azure"
                .to_owned(),
        ));
    }
    remember(&client, store.as_mut()).await;
    let entry = live::listed(&now).over(None).unwrap_or(entry);
    Ok(updated(args, &entry, true))
}

fn updated(args: &UpdateArgs, entry: &Entry, changed: bool) -> u8 {
    if args.manner.json {
        output::line(json!({"changed": changed, "number": lists::entry(entry)}));
    } else {
        let (calling, sms) = (entry.calling.as_str(), entry.sms.as_str());
        let word = if changed { "now" } else { "as it was" };
        output::line(format_args!(
            "{}: {word} calling {calling}, SMS {sms}",
            args.number
        ));
    }
    0
}

/// Runs `numbers release`.
pub(super) async fn release(args: &ReleaseArgs) -> Result<u8, Stop> {
    let config = args.manner.place.config()?;
    let client = args.manner.place.client(&config)?;
    let mut store = store(&args.manner.place, &config)?;
    let (_, entry) = owned(&client, &args.number).await?;
    let kind = entry.kind;
    let kind = if kind == NumberType::Unknown {
        ""
    } else {
        kind.as_str()
    };
    let question = format!(
        "give up {} ({kind}, {}) for good? Whether it can be had again nobody knows",
        args.number, entry.country
    );
    azure::agreed(
        &question,
        args.manner.yes,
        args.manner.json,
        "nothing was given up",
    )?;
    let released = watched(async |progress| client.release_number(&args.number, progress).await);
    if let Err(unseen) = released.await {
        let sentence = unseen.sentence("the release");
        // A repetition finds nothing where the first one did it.
        let gone = matches!(
            client.purchased_number(&args.number).await,
            Err(Error::NotFound(_))
        );
        if !gone && unseen.is_open() {
            return Err(Stop(
                1,
                format!("{sentence}; read back, the number is still there"),
            ));
        }
        if !gone {
            return Err(Stop(1, format!("nothing was given up: {sentence}")));
        }
        output::error(format_args!(
            "warning: {sentence}; read back, it is given up"
        ));
    }
    remember(&client, store.as_mut()).await;
    if args.manner.json {
        output::line(json!({"released": true, "number": args.number}));
    } else {
        output::line(format_args!("{}: given up", args.number));
    }
    Ok(0)
}

/// Runs `numbers operation`.
pub(super) async fn operation(args: &OperationArgs) -> Result<u8, Stop> {
    let config = args.place.config()?;
    let client = args.place.client(&config)?;
    let seen = client.operation(&args.id).await;
    let seen = seen.map_err(|error| Stop::azure(&error))?;
    let state = word(&seen.status);
    if args.json {
        let (code, message) = seen.failure().unzip();
        output::line(json!({
            "operation": seen.id, "type": seen.operation_type, "state": state,
            "code": code, "message": message,
        }));
    } else {
        let why = seen.failure();
        let why = why.map_or_else(String::new, |(code, message)| {
            format!(": {code}: {message}")
        });
        output::line(format_args!(
            "{} ({}): {state}{why}",
            seen.id, seen.operation_type
        ));
    }
    Ok(u8::from(seen.status != OperationState::Succeeded))
}
