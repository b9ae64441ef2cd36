//! `trunkline numbers`: the inventory in the store, the numbers bought from Azure, and whether
//! everybody agrees on them.
//!
//! Exit codes: 0 fine, 1 what was asked about is not fine or was not done, 2 wrong usage or
//! configuration.

pub mod change;
pub mod lists;
mod live;
pub mod market;
pub mod plan;
pub mod reconcile;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use store::inventory::Inventory;

use crate::azure::{self, Stop};
use crate::config::Config;

/// What is done with numbers.
#[derive(Debug, Subcommand)]
pub enum NumbersCommand {
    /// List the inventory of the store, or the numbers bought from Azure
    #[command(after_help = "Example:  trunkline numbers list --owner carrier --json")]
    List(lists::ListArgs),
    /// Bring a file, or the numbers bought from Azure, into the inventory: all of it or nothing
    #[command(after_help = "Example:  trunkline numbers import carrier.csv --complete --dry-run")]
    Import(lists::ImportArgs),
    /// Write the inventory as comma-separated values, which `import` reads
    #[command(after_help = "Example:  trunkline numbers export numbers.csv")]
    Export(lists::ExportArgs),
    /// Walk through the decision before a number: buy, port or keep the carrier, and what it costs
    #[command(
        after_help = "Example:  trunkline numbers plan --country US --new --carrier microsoft --calling both --sms both --assignment application --azure numbers --paid yes --billing US"
    )]
    Plan(plan::PlanArgs),
    /// Search numbers that Azure has to sell; it keeps them for some minutes
    #[command(
        after_help = "Example:  trunkline numbers search --country US --type toll-free --calling both --sms both --area-code 833"
    )]
    Search(market::SearchArgs),
    /// Buy what a search found; asks, or --yes
    #[command(
        after_help = "Example:  trunkline numbers purchase 00000001-0000-4000-8000-000000000000 --yes"
    )]
    Purchase(market::PurchaseArgs),
    /// Change what a number bought from Azure is for; asks, or --yes
    #[command(
        after_help = "Example:  trunkline numbers update +18335550100 --calling both --sms none"
    )]
    Update(change::UpdateArgs),
    /// Give a number bought from Azure up for good; asks, or --yes
    #[command(after_help = "Example:  trunkline numbers release +18335550100")]
    Release(change::ReleaseArgs),
    /// Look how far an operation at Azure is
    #[command(
        after_help = "Example:  trunkline numbers operation purchase_00000001-0000-4000-8000-000000000000"
    )]
    Operation(change::OperationArgs),
    /// Compare Azure, the carrier's lists, the inventory and the routes: what they disagree on
    #[command(after_help = "Example:  trunkline numbers reconcile --carrier contoso.csv --json")]
    Reconcile(reconcile::ReconcileArgs),
}

/// Runs `numbers`.
pub fn run(command: &NumbersCommand) -> ExitCode {
    match command {
        NumbersCommand::List(args) => azure::run(lists::list(args)),
        NumbersCommand::Import(args) => azure::run(lists::import(args)),
        NumbersCommand::Export(args) => azure::run(async { lists::export(args) }),
        NumbersCommand::Plan(args) => azure::run(async { plan::run(args) }),
        NumbersCommand::Search(args) => azure::run(market::search(args)),
        NumbersCommand::Purchase(args) => azure::run(market::purchase(args)),
        NumbersCommand::Update(args) => azure::run(change::update(args)),
        NumbersCommand::Release(args) => azure::run(change::release(args)),
        NumbersCommand::Operation(args) => azure::run(change::operation(args)),
        NumbersCommand::Reconcile(args) => azure::run(reconcile::run(args)),
    }
}

/// Where the inventory is.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file, which names the store and the Azure resource
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkline/trunkline.toml"
    )]
    config: PathBuf,
    /// The store itself, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// How a change is made.
#[derive(Debug, Args)]
struct Manner {
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Place {
    fn config(&self) -> Result<Config, Stop> {
        azure::configuration(&self.config)
    }

    /// The file of the store.
    fn path(&self) -> Result<PathBuf, Stop> {
        match &self.store {
            Some(path) => Ok(path.clone()),
            None => self.stored(&self.config()?).ok_or_else(|| {
                let file = self.config.display();
                Stop::usage(format!(
                    "{file}: there is no [store]; add one, or say --store FILE"
                ))
            }),
        }
    }

    /// The file of the store, where there is one.
    fn stored(&self, config: &Config) -> Option<PathBuf> {
        let configured = config.store.as_ref().map(|store| store.path.clone());
        self.store.clone().or(configured)
    }

    fn client(&self, config: &Config) -> Result<acs_client::Client, Stop> {
        let Some(resource) = &config.azure else {
            let file = self.config.display();
            return Err(Stop::usage(format!(
                "{file}: there is no Azure resource; write [cloud_calling] or [acs] with its \
                 connection_string"
            )));
        };
        azure::client(resource)
    }
}

/// Opens a store for writing.
fn inventory(path: &std::path::Path) -> Result<Inventory, Stop> {
    Inventory::open(path).map_err(|error| broken(path, &error))
}

/// A store that cannot be used.
fn broken(path: &std::path::Path, error: &store::StoreError) -> Stop {
    Stop::usage(format!("{}: {error}", path.display()))
}

/// Microseconds since the Unix epoch.
fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// A time of the inventory as people and other programs read it.
fn time(micros: i64) -> String {
    let at = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
