//! What the lists disagree on, as values: no file, no network.

use std::collections::{BTreeMap, BTreeSet};

use e164::NumberType;
use routing::Owner;
use store::inventory::{Capability, Entry, Field, Listed, State};

/// Who is compared. Of the inventory, numbers that were given up are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a> {
    /// The gateway's own.
    pub(super) inventory: &'a [Entry],
    /// Everything the Azure resource owns; `None` where it was not asked.
    pub(super) azure: Option<&'a [Listed]>,
    /// Everything each carrier has, by the name of its list.
    pub(super) carriers: &'a [(String, Vec<Listed>)],
    /// What the routes do with the numbers; `None` where they were not asked.
    pub(super) routes: Option<&'a Routes>,
}

/// A number and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The number.
    pub(super) number: String,
    /// What names it.
    pub(super) by: String,
}

/// Where caller ids of calls through Microsoft are written.
pub(super) const CLOUD_CALLING: &str = "cloud_calling.caller_ids";

/// What the routes do with the numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    /// Whether conditions on owners can hold at all.
    pub(super) knows_owners: bool,
    /// Whose the numbers of the inventory are, as conditions see it.
    pub(super) owners: BTreeMap<String, Owner>,
    /// Numbers of the inventory to which no call from a carrier is routed.
    pub(super) unreached: BTreeSet<String>,
    /// Numbers that routes lead to the operator's own side.
    pub(super) led: Vec<Named>,
    /// Numbers that calls are said to come from.
    pub(super) caller_ids: Vec<Named>,
}

/// What is disagreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The inventory lacks a number that somebody has.
    Missing,
    /// The inventory has a number that its owner does not have.
    Extra,
    /// Two have the same number: it is paid for twice, or one of them is wrong.
    Double,
    /// A property.
    Of(Field),
    /// A route does what the number is not for, or none does what it is for.
    Route,
}

impl About {
    /// The word in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Double => "double",
            Self::Of(field) => field.as_str(),
            Self::Route => "route",
        }
    }
}

/// One thing that is disagreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    /// The number.
    pub(super) number: String,
    /// What it is about.
    pub(super) about: About,
    /// Who says what.
    pub(super) says: BTreeMap<String, String>,
    /// The same in a sentence.
    pub(super) sentence: String,
}

const INVENTORY: &str = "inventory";
const AZURE: &str = "Azure";
const ROUTES: &str = "routes";

/// What lists of others have to say of a number's properties.
const COMPARED: [Field; 6] = [
    Field::Type,
    Field::Country,
    Field::Calling,
    Field::Sms,
    Field::Assignment,
    Field::Cost,
];

#[derive(Default)]
struct Found(Vec<Disagreement>);

impl Found {
    fn add(&mut self, number: &str, about: About, says: &[(&str, &str)], sentence: String) {
        let says = says.iter();
        self.0.push(Disagreement {
            number: number.to_owned(),
            about,
            says: says
                .map(|(who, what)| ((*who).to_owned(), (*what).to_owned()))
                .collect(),
            sentence,
        });
    }
}

/// Lists of others by number: whose list, and what it says.
type Index<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a Listed)>>;

/// The inventory by number.
type Known<'a> = BTreeMap<&'a str, &'a Entry>;

/// Everything that is disagreed on, by number.
pub(super) fn judge(sides: &Sides<'_>) -> Vec<Disagreement> {
    let mut found = Found::default();
    let mut others: Index<'_> = BTreeMap::new();
    let azure = sides.azure.map(|listed| (AZURE, listed));
    let carriers = sides.carriers.iter();
    let carriers = carriers.map(|(name, listed)| (name.as_str(), listed.as_slice()));
    for (name, listed) in azure.into_iter().chain(carriers) {
        for one in listed {
            others.entry(&one.number).or_default().push((name, one));
        }
    }
    let own = sides.inventory.iter();
    let known: Known<'_> = own.map(|entry| (entry.number.as_str(), entry)).collect();
    for entry in sides.inventory {
        let listed = others
            .get(entry.number.as_str())
            .map_or(&[][..], Vec::as_slice);
        owned(sides, entry, listed, &mut found);
        properties(entry, listed, &mut found);
        if let Some(routes) = sides.routes {
            routed(entry, listed, routes, &mut found);
        }
    }
    for (number, listed) in &others {
        let names: Vec<&str> = listed.iter().map(|(name, _)| *name).collect();
        if !known.contains_key(number) {
            let has: Vec<(&str, &str)> = names.iter().map(|name| (*name, "has it")).collect();
            let who = names.join(" and ");
            let sentence = format!("{who} has it, the inventory has not");
            found.add(number, About::Missing, &has, sentence);
        }
        let entry = known.get(number);
        let moving = entry.is_some_and(|entry| entry.state == State::Porting);
        if names.len() > 1 && !moving {
            let has: Vec<(&str, &str)> = names.iter().map(|name| (*name, "has it")).collect();
            let sentence = format!("{} have it at the same time", names.join(" and "));
            found.add(number, About::Double, &has, sentence);
        }
    }
    if let Some(routes) = sides.routes {
        named(sides, routes, &known, &others, &mut found);
    }
    found
        .0
        .sort_by(|a, b| (&a.number, a.about).cmp(&(&b.number, b.about)));
    found.0
}

/// Whether a number's owner has it, and nobody else.
fn owned(sides: &Sides<'_>, entry: &Entry, listed: &[(&str, &Listed)], found: &mut Found) {
    if entry.state == State::Porting {
        return;
    }
    let number = entry.number.as_str();
    let owner = entry.owner.as_str();
    let at_azure = listed.iter().any(|(name, _)| *name == AZURE);
    let carrier = listed.iter().find(|(name, _)| *name != AZURE);
    // Azure's interface knows nothing of short codes.
    let azure_tells = sides.azure.is_some() && entry.kind != NumberType::ShortCode;
    let carriers_tell = !sides.carriers.is_empty();
    let wrong = match (entry.owner, carrier) {
        (Owner::Carrier, _) if at_azure => Some(AZURE),
        (Owner::Microsoft, Some((name, _))) => Some(*name),
        _ => None,
    };
    if let Some(name) = wrong {
        let sentence = format!("the inventory says it is {owner}'s, and {name} has it");
        let says = [(INVENTORY, owner), (name, "has it")];
        found.add(number, About::Of(Field::Owner), &says, sentence);
        return;
    }
    let (missed, who) = match entry.owner {
        Owner::Microsoft => (azure_tells && !at_azure, AZURE),
        Owner::Carrier => (carriers_tell && carrier.is_none(), "no carrier"),
        Owner::Ported => (
            azure_tells && carriers_tell && listed.is_empty(),
            "neither Azure nor a carrier",
        ),
    };
    if missed {
        let has = if who == AZURE { "has it not" } else { "has it" };
        let sentence = format!("the inventory says it is {owner}'s, and {who} {has}");
        let says = [(INVENTORY, owner), (who, has)];
        found.add(number, About::Extra, &says, sentence);
    }
}

/// Whether others say of a number what the inventory says.
fn properties(entry: &Entry, listed: &[(&str, &Listed)], found: &mut Found) {
    for field in COMPARED {
        let own = entry.text(field);
        for (name, other) in listed {
            let Some(theirs) = other.text(field).filter(|theirs| *theirs != own) else {
                continue;
            };
            // That nobody wrote a price down contradicts nothing.
            if field == Field::Cost && own.is_empty() {
                continue;
            }
            let what = field.as_str();
            let sentence = format!("{what}: the inventory says {own}, {name} says {theirs}");
            let says = [(INVENTORY, own.as_str()), (name, theirs.as_str())];
            found.add(&entry.number, About::Of(field), &says, sentence);
        }
    }
}

/// Whether the routes know a number as the inventory does, and take calls to it.
fn routed(entry: &Entry, listed: &[(&str, &Listed)], routes: &Routes, found: &mut Found) {
    let number = entry.number.as_str();
    let owner = entry.owner.as_str();
    if routes.knows_owners {
        let seen = routes.owners.get(number).copied();
        if seen != Some(entry.owner) {
            let seen = seen.map_or("nobody", Owner::as_str);
            let sentence =
                format!("owner: the inventory says {owner}, the routes take it for {seen}'s");
            let says = [(INVENTORY, owner), (ROUTES, seen)];
            found.add(number, About::Of(Field::Owner), &says, sentence);
        }
    }
    // Calls to Microsoft's numbers begin at Microsoft and need no route here.
    let at_azure = listed.iter().any(|(name, _)| *name == AZURE);
    let comes_here = entry.owner != Owner::Microsoft && !at_azure;
    let awaited = entry.calling.is_inbound() && entry.state == State::Active;
    if comes_here && awaited && routes.unreached.contains(number) {
        let calling = entry.calling.as_str();
        let sentence = "no route takes calls to it from a carrier".to_owned();
        let says = [(INVENTORY, calling), (ROUTES, "no route")];
        found.add(number, About::Route, &says, sentence);
    }
}

/// Whether the numbers that routes name are anybody's of whom the lists tell.
fn named(
    sides: &Sides<'_>,
    routes: &Routes,
    known: &Known<'_>,
    others: &Index<'_>,
    found: &mut Found,
) {
    let mut told = BTreeSet::new();
    for Named { number, by } in &routes.led {
        let listed = known.contains_key(number.as_str()) || others.contains_key(number.as_str());
        if !listed && told.insert(number) {
            let sentence = format!("{by} takes calls to it, and nobody has it");
            found.add(number, About::Route, &[(ROUTES, by)], sentence);
        }
    }
    for Named { number, by } in &routes.caller_ids {
        let entry = known.get(number.as_str());
        let listed = others.get(number.as_str()).map_or(&[][..], Vec::as_slice);
        let bought = by == CLOUD_CALLING;
        let azures = listed.iter().find(|(name, _)| *name == AZURE);
        let sentence = if bought && sides.azure.is_some() && azures.is_none() {
            format!("{by} names it, and Azure has it not: Microsoft refuses calls from it")
        } else if entry.is_none() && listed.is_empty() {
            format!("{by} shows it as the caller, and nobody has it")
        } else if bought && azures.is_some_and(|(_, azure)| !calls_out(azure.calling)) {
            format!("{by} names it, and at Azure it has no outbound calling")
        } else {
            continue;
        };
        found.add(number, About::Route, &[(ROUTES, by)], sentence);
    }
}

fn calls_out(calling: Option<Capability>) -> bool {
    calling.is_none_or(Capability::is_outbound)
}
