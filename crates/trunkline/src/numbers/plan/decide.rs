//! The decision itself: a wish in, a recommendation out.

use e164::NumberType;
use jiff::civil::Date;
use store::inventory::rules::{Offer, offered};
use store::inventory::{Assignment, Capability};

use super::offers::{Offers, Price};

/// What the operator has at Azure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A resource, and numbers bought before Microsoft announced the end.
    Numbers,
    /// A resource without numbers.
    Resource,
    /// Nothing.
    Nothing,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// ISO 3166-1 alpha-2, upper case.
    pub(super) country: String,
    /// The type of the number that is there already.
    pub(super) existing: Option<NumberType>,
    /// The type a new number is to have, where that matters.
    pub(super) kind: Option<NumberType>,
    /// Whether Microsoft is to be the carrier.
    pub(super) microsoft: bool,
    /// What it is to do for calls.
    pub(super) calling: Capability,
    /// What it is to do for short messages.
    pub(super) sms: Capability,
    /// Whom it is to serve.
    pub(super) assignment: Assignment,
    /// What there is at Azure.
    pub(super) standing: Standing,
    /// Whether the subscription is a paid one.
    pub(super) paid: bool,
    /// Where the subscription is billed, ISO 3166.
    pub(super) billing: Option<String>,
    /// The day of the decision.
    pub(super) today: Date,
}

/// The way to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Bought from Microsoft.
    DirectOffer,
    /// Ported to Microsoft.
    Porting,
    /// The carrier's own, through the SIP Interface of Azure Communication Services.
    SipInterface,
    /// The carrier's own, through Teams Direct Routing.
    Teams,
    /// There is none.
    None,
}

impl Way {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DirectOffer => "direct-offer",
            Self::Porting => "porting",
            Self::SipInterface => "sip-interface",
            Self::Teams => "teams",
            Self::None => "none",
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::DirectOffer => "buy the number from Microsoft (direct offer)",
            Self::Porting => "port the number to Microsoft",
            Self::SipInterface => {
                "keep the number with your own carrier and connect it through the SIP Interface"
            }
            Self::Teams => {
                "keep the number with your own carrier and connect it through Teams Direct Routing"
            }
            Self::None => "nothing of Microsoft's does this",
        }
    }
}

/// What is recommended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// The way.
    pub(super) way: Way,
    /// The number's type.
    pub(super) kind: NumberType,
    /// What it will do for calls.
    pub(super) calling: Capability,
    /// What it will do for short messages.
    pub(super) sms: Capability,
    /// Whether the wish is within the rules of who may buy.
    pub(super) eligible: bool,
    /// Why it is this way.
    pub(super) why: Vec<String>,
    /// What of the wish cannot be had.
    pub(super) without: Vec<String>,
    /// Microsoft's list prices of such a number.
    pub(super) price: Option<Price<'a>>,
}

/// Decides.
pub(super) fn decide<'a>(wish: &Wish, offers: &'a Offers) -> Plan<'a> {
    let kind = wish.existing.unwrap_or_else(|| kind(wish, offers));
    let mut plan = Plan {
        way: Way::None,
        kind,
        calling: wish.calling,
        sms: wish.sms,
        eligible: false,
        why: Vec::new(),
        without: Vec::new(),
        price: offers.price(&wish.country, kind),
    };
    let obstacles = obstacles(wish, kind, offers);
    plan.eligible = obstacles.is_empty();
    if wish.microsoft && plan.eligible {
        plan.way = match wish.existing {
            Some(_) => Way::Porting,
            None => Way::DirectOffer,
        };
        restrict(wish, &mut plan);
        if plan.calling != Capability::None || plan.sms != Capability::None {
            closing(wish, offers, &mut plan);
            return plan;
        }
        plan.why
            .push("nothing of the wish is left at Microsoft".to_owned());
    } else if wish.microsoft {
        plan.why.extend(obstacles);
    }
    own_carrier(wish, offers, &mut plan);
    plan
}

/// The type a new number had best have.
fn kind(wish: &Wish, offers: &Offers) -> NumberType {
    if let Some(kind) = wish.kind {
        return kind;
    }
    let texts = wish.sms != Capability::None && matches!(wish.country.as_str(), "US" | "CA");
    let application = wish.assignment == Assignment::Application;
    let local = offers
        .price(&wish.country, NumberType::Geographic)
        .is_some();
    let toll_free = offers.price(&wish.country, NumberType::TollFree).is_some();
    if application && toll_free && (texts || !local) {
        NumberType::TollFree
    } else {
        NumberType::Geographic
    }
}

/// Why Microsoft sells the operator no such number.
fn obstacles(wish: &Wish, kind: NumberType, offers: &Offers) -> Vec<String> {
    let mut found = Vec::new();
    let country = &wish.country;
    if wish.today > offers.retired {
        found.push(format!(
            "Microsoft ended its numbers and the SIP Interface on {}",
            offers.retired
        ));
        return found;
    }
    if wish.standing != Standing::Numbers && wish.today >= offers.bought_before {
        found.push(format!(
            "Microsoft sells numbers only to tenants that bought some before {}; new customers are \
             shut out since {}",
            offers.bought_before, offers.closed
        ));
    }
    if !wish.paid {
        found.push("numbers are sold to paid subscriptions only, not to trials".to_owned());
    }
    if let Some(billing) = &wish.billing
        && country == "US"
        && !offers.billing_us.contains(billing)
    {
        found.push(format!(
            "a subscription billed in {billing} cannot buy numbers of the United States (it can in \
             {})",
            offers.billing_us.join(", ")
        ));
    }
    if offers.price(country, kind).is_none() {
        found.push(format!(
            "Microsoft has no {kind} numbers of {country} in the table of {}",
            offers.collected
        ));
    }
    if kind == NumberType::TollFree && wish.assignment == Assignment::Person {
        found.push("toll-free numbers from Microsoft serve applications only".to_owned());
    }
    found
}

/// Takes away what Microsoft does not offer for such a number, and says so.
fn restrict(wish: &Wish, plan: &mut Plan<'_>) {
    if plan.price.is_some_and(|price| price.inbound_only) && plan.calling.is_outbound() {
        let kind = plan.kind;
        plan.without.push(format!(
            "outbound calls: {kind} numbers of {} take calls only",
            wish.country
        ));
        plan.calling = if plan.calling.is_inbound() {
            Capability::Inbound
        } else {
            Capability::None
        };
    }
    let offer = Offer {
        kind: plan.kind,
        country: &wish.country,
        assignment: wish.assignment,
        // A number without calls is told of by what is left.
        calling: Capability::Both,
        sms: plan.sms,
    };
    for broken in offered(&offer) {
        plan.without.push(format!("SMS: {broken}"));
        plan.sms = match (plan.kind, plan.sms) {
            (NumberType::Geographic, _) => Capability::None,
            (NumberType::TollFree, Capability::Inbound)
                if matches!(wish.country.as_str(), "US" | "CA") =>
            {
                Capability::Both
            }
            _ => Capability::None,
        };
    }
    if plan.kind == NumberType::Geographic && wish.sms != Capability::None {
        plan.why.push(
            "for SMS take a toll-free number of the United States or Canada beside it, or a short \
             code"
                .to_owned(),
        );
    }
}

/// The number stays with the operator's carrier; whether Microsoft can be reached with it.
fn own_carrier(wish: &Wish, offers: &Offers, plan: &mut Plan<'_>) {
    plan.without.clear();
    plan.calling = wish.calling;
    plan.sms = Capability::None;
    if wish.sms != Capability::None {
        plan.without.push(
            "SMS: it never passes the SIP Interface; the carrier's own SMS service has it"
                .to_owned(),
        );
    }
    if wish.calling == Capability::None {
        plan.way = Way::None;
        return;
    }
    let over = wish.today > offers.retired;
    let newcomer = wish.standing == Standing::Nothing && wish.today >= offers.closed;
    if over || newcomer {
        plan.way = Way::Teams;
        plan.why.push(if over {
            "Teams Direct Routing has the same proxies and goes on: preset = \"teams\"".to_owned()
        } else {
            format!(
                "new customers are shut out of the SIP Interface since {}; Teams Direct Routing \
                 has the same proxies: preset = \"teams\"",
                offers.closed
            )
        });
        return;
    }
    plan.way = Way::SipInterface;
    plan.why
        .push("calls of any carrier's numbers pass this gateway: preset = \"acs\"".to_owned());
    closing(wish, offers, plan);
}

/// What ends with Azure Communication Services.
fn closing(wish: &Wish, offers: &Offers, plan: &mut Plan<'_>) {
    if plan.way == Way::Porting {
        plan.why.push(
            "porting is ordered from Microsoft with the losing carrier's letter; until it is done \
             the number stays where it is"
                .to_owned(),
        );
    }
    if wish.today <= offers.retired {
        plan.why.push(format!(
            "all of it ends on {}: plan to take the number along",
            offers.retired
        ));
    }
}
