//! The dated table of what Microsoft offers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use e164::NumberType;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de};

/// The table.
pub(super) static OFFERS: LazyLock<Offers> = LazyLock::new(|| {
    toml::from_str(include_str!("offers.toml")).expect("the tests of this crate have read it")
});

/// What Microsoft offers, and when that was so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offers {
    /// When the table was put together.
    pub(super) collected: String,
    /// How old Microsoft's page of prices said it was.
    pub(super) prices: String,
    /// Since when new customers are shut out.
    #[serde(deserialize_with = "day")]
    pub(super) closed: Date,
    /// Before when a tenant must have bought numbers to buy more.
    #[serde(deserialize_with = "day")]
    pub(super) bought_before: Date,
    /// The last day of all of it.
    #[serde(deserialize_with = "day")]
    pub(super) retired: Date,
    /// Where subscriptions may be billed that buy numbers of the United States.
    pub(super) billing_us: Vec<String>,
    country: BTreeMap<String, InCountry>,
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InCountry {
    geographic: Option<[String; 3]>,
    toll_free: Option<[String; 3]>,
    /// Whether toll-free numbers take calls and make none.
    #[serde(default)]
    inbound_only: bool,
}

/// List prices in US dollars; empty where they are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price<'a> {
    /// A month.
    pub(super) month: &'a str,
    /// A minute of a call from the number.
    pub(super) out: &'a str,
    /// A minute of a call to it.
    pub(super) inbound: &'a str,
    /// Whether such numbers take calls and make none.
    pub(super) inbound_only: bool,
}

impl Offers {
    /// What numbers of a type and country cost; `None` where the table has none.
    pub(super) fn price(&self, country: &str, kind: NumberType) -> Option<Price<'_>> {
        let here = self.country.get(country)?;
        let (row, inbound_only) = if kind == NumberType::Geographic {
            (here.geographic.as_ref()?, false)
        } else if kind == NumberType::TollFree {
            (here.toll_free.as_ref()?, here.inbound_only)
        } else {
            return None;
        };
        let [month, out, inbound] = row;
        Some(Price {
            month,
            out,
            inbound,
            inbound_only,
        })
    }
}
