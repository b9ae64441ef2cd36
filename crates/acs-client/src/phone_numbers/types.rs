//! What Azure says about numbers.

use serde::{Deserialize, Serialize};

/// What kind of number it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumberType {
    /// Belongs to a place.
    Geographic,
    /// Its owner pays for calls to it.
    TollFree,
    /// Belongs to a mobile network.
    Mobile,
    /// A kind this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// Whom a number serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AssignmentType {
    /// A person.
    Person,
    /// An application.
    Application,
    /// Something this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// Which way a service works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capability {
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// Towards the number.
    #[serde(rename = "inbound")]
    Inbound,
    /// From the number.
    #[serde(rename = "outbound")]
    Outbound,
    /// Both ways.
    #[serde(rename = "inbound+outbound")]
    Both,
}

/// What a number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Calls.
    pub calling: Capability,
    /// Short messages.
    pub sms: Capability,
}

/// How often a cost falls due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BillingFrequency {
    /// Each month.
    Monthly,
    /// At times this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// What a number costs, calls aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// How much.
    pub amount: f64,
    /// In which currency, ISO 4217.
    #[serde(alias = "isoCurrencySymbol")]
    pub currency_code: String,
    /// How often.
    pub billing_frequency: BillingFrequency,
}

/// A number the resource owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchasedNumber {
    /// Azure's id of it: its digits.
    pub id: String,
    /// In E.164 with `+`.
    pub phone_number: String,
    /// ISO 3166, two letters.
    pub country_code: String,
    /// What kind it is.
    pub phone_number_type: NumberType,
    /// What it is for.
    pub capabilities: Capabilities,
    /// Whom it serves.
    pub assignment_type: AssignmentType,
    /// When it was bought, RFC 3339.
    pub purchase_date: String,
    /// What it costs.
    pub cost: Cost,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Search {
    /// What kind of number.
    pub phone_number_type: NumberType,
    /// Whom it is to serve.
    pub assignment_type: AssignmentType,
    /// What it is to be for.
    pub capabilities: Capabilities,
    /// The area code it is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_code: Option<String>,
    /// How many.
    pub quantity: u32,
}

/// What was found and is kept for the buyer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// What a purchase names.
    pub search_id: String,
    /// The numbers, in E.164 with `+`.
    pub phone_numbers: Vec<String>,
    /// Their kind.
    pub phone_number_type: NumberType,
    /// Whom they serve.
    pub assignment_type: AssignmentType,
    /// What they are for.
    pub capabilities: Capabilities,
    /// What each costs.
    pub cost: Cost,
    /// Until when they are kept, RFC 3339.
    pub search_expires_by: String,
    /// Whether the buyer must promise not to resell.
    #[serde(default)]
    pub is_agreement_to_not_resell_required: bool,
    /// Why the search found nothing; `NoError` where it did.
    #[serde(default)]
    pub error: Option<String>,
}
