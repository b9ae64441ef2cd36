//! A number and what is known of it.

use e164::{E164Number, NumberType};
use routing::{Money, Owner};

/// An enum whose values have names in files and on the command line.
macro_rules! names {
    ($type:ident { $($value:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$value),+];

            /// The name in files and on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name),+
                }
            }

            /// Reads a name; `None` where there is none such.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == name)
            }
        }
    };
}

/// Which way a service works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Not at all.
    None,
    /// Towards the number.
    Inbound,
    /// From the number.
    Outbound,
    /// Both ways.
    Both,
}

names!(Capability { None = "none", Inbound = "inbound", Outbound = "outbound", Both = "both" });

impl Capability {
    /// Whether it works towards the number.
    #[must_use]
    pub fn is_inbound(self) -> bool {
        matches!(self, Self::Inbound | Self::Both)
    }

    /// Whether it works from the number.
    #[must_use]
    pub fn is_outbound(self) -> bool {
        matches!(self, Self::Outbound | Self::Both)
    }

    /// As [`from_name`](Self::from_name); also Azure's word for both ways.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "inbound+outbound" => Some(Self::Both),
            _ => Self::from_name(text),
        }
    }
}

/// Whom a number serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignment {
    /// A person.
    Person,
    /// An application.
    Application,
}

names!(Assignment { Person = "person", Application = "application" });

/// How a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In use, or ready for it.
    Active,
    /// On its way from one owner to another.
    Porting,
    /// Kept, and not working for now.
    Suspended,
    /// Given up; kept to be known by.
    Released,
}

names!(State {
    Active = "active",
    Porting = "porting",
    Suspended = "suspended",
    Released = "released",
});

/// Reads a type of number that an inventory can have; Azure's spellings are understood too.
#[must_use]
pub fn kind_from_name(name: &str) -> Option<NumberType> {
    match name {
        "tollFree" => Some(NumberType::TollFree),
        "shortCode" => Some(NumberType::ShortCode),
        _ => NumberType::from_name(name)
            .filter(|kind| !matches!(kind, NumberType::Emergency | NumberType::Unknown)),
    }
}

/// A property of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Its type.
    Type,
    /// Its owner.
    Owner,
    /// Its country.
    Country,
    /// What it does for calls.
    Calling,
    /// What it does for short messages.
    Sms,
    /// Whom it serves.
    Assignment,
    /// What it costs a month.
    Cost,
    /// How it is.
    State,
}

names!(Field {
    Type = "type",
    Owner = "owner",
    Country = "country",
    Calling = "calling",
    Sms = "sms",
    Assignment = "assignment",
    Cost = "monthly_cost",
    State = "state",
});

/// A number with everything known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In E.164 with `+`; a short code has its digits alone.
    pub number: String,
    /// Its type.
    pub kind: NumberType,
    /// Whose it is.
    pub owner: Owner,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// What it does for calls.
    pub calling: Capability,
    /// What it does for short messages.
    pub sms: Capability,
    /// Whom it serves.
    pub assignment: Assignment,
    /// What it costs a month, calls aside.
    pub cost: Option<Money>,
    /// How it is.
    pub state: State,
}

impl Entry {
    /// A property as text; empty where it is not known.
    #[must_use]
    pub fn text(&self, field: Field) -> String {
        match field {
            Field::Type => self.kind.as_str().to_owned(),
            Field::Owner => self.owner.as_str().to_owned(),
            Field::Country => self.country.clone(),
            Field::Calling => self.calling.as_str().to_owned(),
            Field::Sms => self.sms.as_str().to_owned(),
            Field::Assignment => self.assignment.as_str().to_owned(),
            Field::Cost => self.cost.map_or_else(String::new, |cost| cost.to_string()),
            Field::State => self.state.as_str().to_owned(),
        }
    }
}

/// What one list says of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// In E.164 with `+`; a short code has its digits alone.
    pub number: String,
    /// Its type, where the list says.
    pub kind: Option<NumberType>,
    /// Whose it is, where the list says.
    pub owner: Option<Owner>,
    /// ISO 3166-1 alpha-2, upper case, where the list says.
    pub country: Option<String>,
    /// What it does for calls, where the list says.
    pub calling: Option<Capability>,
    /// What it does for short messages, where the list says.
    pub sms: Option<Capability>,
    /// Whom it serves, where the list says.
    pub assignment: Option<Assignment>,
    /// What it costs a month, where the list says.
    pub cost: Option<Money>,
    /// How it is, where the list says.
    pub state: Option<State>,
}

impl Listed {
    /// A property as text, where the list says.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Type => self.kind.map(|kind| kind.as_str().to_owned()),
            Field::Owner => self.owner.map(|owner| owner.as_str().to_owned()),
            Field::Country => self.country.clone(),
            Field::Calling => self.calling.map(|calling| calling.as_str().to_owned()),
            Field::Sms => self.sms.map(|sms| sms.as_str().to_owned()),
            Field::Assignment => self.assignment.map(|whom| whom.as_str().to_owned()),
            Field::Cost => self.cost.map(|cost| cost.to_string()),
            Field::State => self.state.map(|state| state.as_str().to_owned()),
        }
    }

    /// The whole entry: what the list does not say is as before, or else what the number itself
    /// shows, calls both ways, no short messages, an application, in use. `None` where nobody says
    /// whose the number is or where it is.
    #[must_use]
    pub fn over(self, before: Option<&Entry>) -> Option<Entry> {
        let class = E164Number::parse(&self.number)
            .ok()
            .map(|number| number.class());
        let shown = class.map(|class| class.kind);
        let shown = shown.filter(|kind| *kind != NumberType::Unknown);
        let kind = self.kind.or(before.map(|entry| entry.kind)).or(shown);
        let country = self.country.or(before.map(|entry| entry.country.clone()));
        let by_prefix = class.and_then(|class| class.country);
        let short = !self.number.starts_with('+');
        let kind = kind.unwrap_or(if short {
            NumberType::ShortCode
        } else {
            NumberType::Geographic
        });
        let calling = self.calling.or(before.map(|entry| entry.calling));
        let assignment = self.assignment.or(before.map(|entry| entry.assignment));
        // Whoever lists a number that was given up has it again.
        let kept = before.map(|entry| entry.state);
        let kept = kept.filter(|state| *state != State::Released);
        Some(Entry {
            number: self.number,
            kind,
            owner: self.owner.or(before.map(|entry| entry.owner))?,
            country: country.or(by_prefix.map(str::to_owned))?,
            calling: calling.unwrap_or(if kind == NumberType::ShortCode {
                Capability::None
            } else {
                Capability::Both
            }),
            sms: self
                .sms
                .or(before.map(|entry| entry.sms))
                .unwrap_or(Capability::None),
            assignment: assignment.unwrap_or(Assignment::Application),
            cost: self.cost.or(before.and_then(|entry| entry.cost)),
            state: self.state.or(kept).unwrap_or(State::Active),
        })
    }
}
