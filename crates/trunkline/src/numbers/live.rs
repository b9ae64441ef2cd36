//! What Azure says of its numbers, in the words of the inventory.

use acs_client::Client;
use acs_client::phone_numbers::{
    AssignmentType, BillingFrequency, Capability as Way, Cost, NumberType as Kind, PurchasedNumber,
};
use e164::NumberType;
use routing::{Currency, Money, Owner, micros};
use store::inventory::{Assignment, Capability, Listed, State};

use crate::azure::Stop;

/// Every number the resource owns.
pub(super) async fn numbers(client: &Client) -> Result<Vec<Listed>, Stop> {
    let numbers = client.purchased_numbers().await;
    let numbers = numbers.map_err(|error| Stop::azure(&error))?;
    Ok(numbers.iter().map(listed).collect())
}

/// What Azure says of one number. What it says in words this program does not know is left open.
pub(super) fn listed(number: &PurchasedNumber) -> Listed {
    Listed {
        number: number.phone_number.clone(),
        kind: kind(&number.phone_number_type),
        owner: Some(Owner::Microsoft),
        country: Some(number.country_code.to_ascii_uppercase()),
        calling: Some(capability(number.capabilities.calling)),
        sms: Some(capability(number.capabilities.sms)),
        assignment: match number.assignment_type {
            AssignmentType::Person => Some(Assignment::Person),
            AssignmentType::Application => Some(Assignment::Application),
            AssignmentType::Other(_) => None,
        },
        cost: money(&number.cost),
        state: Some(State::Active),
    }
}

pub(super) fn kind(kind: &Kind) -> Option<NumberType> {
    match kind {
        Kind::Geographic => Some(NumberType::Geographic),
        Kind::TollFree => Some(NumberType::TollFree),
        Kind::Mobile => Some(NumberType::Mobile),
        Kind::Other(_) => None,
    }
}

pub(super) fn capability(way: Way) -> Capability {
    match way {
        Way::None => Capability::None,
        Way::Inbound => Capability::Inbound,
        Way::Outbound => Capability::Outbound,
        Way::Both => Capability::Both,
    }
}

pub(super) fn way(capability: Capability) -> Way {
    match capability {
        Capability::None => Way::None,
        Capability::Inbound => Way::Inbound,
        Capability::Outbound => Way::Outbound,
        Capability::Both => Way::Both,
    }
}

/// The exact amount a month. JSON has it as a binary fraction; its shortest decimal is what was
/// written there.
pub(super) fn money(cost: &Cost) -> Option<Money> {
    if cost.billing_frequency != BillingFrequency::Monthly {
        return None;
    }
    Some(Money {
        micros: micros(&cost.amount.to_string())?,
        currency: Currency::parse(&cost.currency_code)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let cost = |amount, frequency| Cost {
            amount,
            currency_code: "usd".to_owned(),
            billing_frequency: frequency,
        };
        for (amount, written) in [
            (2.0, Some("2.00 USD")),
            (0.1, Some("0.10 USD")),
            (19.88, Some("19.88 USD")),
            (0.000_001, Some("0.000001 USD")),
            (0.000_000_1, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            let money = money(&cost(amount, BillingFrequency::Monthly));
            let shown = money.map(|money| money.to_string());
            assert_eq!(shown.as_deref(), written, "{amount}");
        }
        let once = BillingFrequency::Other("once".to_owned());
        assert_eq!(money(&cost(1.0, once)), None);
    }
}
