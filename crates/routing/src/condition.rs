//! Whether a route takes a call, and the first reason why it does not.

use ambient::WallTime;
use e164::NumberClass;
use sip_msg::wire::TrunkName;

use crate::compile::{Route, Snapshot};
use crate::document::NumberConditions;
use crate::facts::Question;
use crate::list::Owner;
use crate::numbers::Numbers;
use crate::pattern::{Pattern, glob};
use crate::step::{NumberFault, PassedOver};

/// Octets of the longest value of a header field that is looked at.
const LONGEST_VALUE: usize = 256;

/// Position of a list of numbers in the document.
pub(crate) type ListIndex = u32;

/// What is known of a number beside its digits.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) class: NumberClass,
    /// Lists it is in.
    pub(crate) lists: Vec<ListIndex>,
    pub(crate) owner: Option<Owner>,
}

/// What a route asks of one number.
#[derive(Debug, Clone, Default)]
pub(crate) struct NumberTest {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) lists: Vec<ListIndex>,
    pub(crate) is: NumberConditions,
}

impl NumberTest {
    /// Whether patterns or lists leave some numbers out.
    pub(crate) fn restricts(&self) -> bool {
        let any = self.patterns.iter().any(Pattern::is_any);
        let open = self.patterns.is_empty() && self.lists.is_empty();
        !(any || open)
    }

    /// The pattern that matches, where it is one.
    fn matches(&self, number: &str, seen: &Seen) -> Result<Option<&Pattern>, NumberFault> {
        let open = self.patterns.is_empty() && self.lists.is_empty();
        let pattern = self.patterns.iter().find(|pattern| pattern.matches(number));
        let listed = || self.lists.iter().any(|list| seen.lists.contains(list));
        if !open && pattern.is_none() && !listed() {
            return Err(NumberFault::Pattern);
        }
        let kind = seen.class.kind;
        if !self.is.types.is_empty() && !self.is.types.contains(&kind) {
            return Err(NumberFault::Type(kind));
        }
        let country = seen.class.country;
        let is_in = |wanted: &String| country.is_some_and(|own| own.eq_ignore_ascii_case(wanted));
        if !self.is.countries.is_empty() && !self.is.countries.iter().any(is_in) {
            return Err(NumberFault::Country(country));
        }
        let owned = |wanted: &Owner| seen.owner == Some(*wanted);
        if !self.is.owners.is_empty() && !self.is.owners.iter().any(owned) {
            return Err(NumberFault::Owner(seen.owner));
        }
        Ok(pattern)
    }
}

/// A condition on a header field.
#[derive(Debug, Clone)]
pub(crate) struct HeaderTest {
    pub(crate) name: Box<str>,
    value: Box<str>,
}

impl HeaderTest {
    /// Reads `Name: value`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(':')?;
        let (name, value) = (name.trim(), value.trim());
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        let fits = !name.is_empty() && name.len() <= LONGEST_VALUE && name.bytes().all(token);
        let plain = !value.chars().any(char::is_control);
        (fits && plain && (1..=LONGEST_VALUE).contains(&value.len())).then(|| Self {
            name: name.into(),
            value: value.into(),
        })
    }

    fn matches(&self, question: &Question) -> bool {
        let mut named = question
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(&self.name));
        named.any(|(_, value)| {
            value.len() <= LONGEST_VALUE && glob(self.value.as_bytes(), value.as_bytes())
        })
    }
}

/// The pattern the called number matches, or why the route does not match.
pub(crate) fn matches<'a>(
    snapshot: &Snapshot,
    wall: WallTime,
    question: &Question,
    route: &'a Route,
    numbers: &Numbers<'_>,
) -> Result<Option<&'a Pattern>, PassedOver> {
    origin(route, numbers)?;
    let groups = &route.doc.trunk_groups;
    if !groups.is_empty() && !groups.iter().any(|group| numbers.is_for_group(group)) {
        return Err(PassedOver::TrunkGroup);
    }
    let called = route
        .called
        .matches(&numbers.called_text, &numbers.called_is)
        .map_err(PassedOver::Called)?;
    if !route.doc.calling.is_empty() || !route.calling.is.is_empty() {
        let number = numbers.calling_text.as_deref();
        let (number, seen) = number
            .zip(numbers.calling_is.as_ref())
            .ok_or(PassedOver::NoCalling)?;
        route
            .calling
            .matches(number, seen)
            .map_err(PassedOver::Calling)?;
    }
    if let Some(missing) = route.headers.iter().find(|test| !test.matches(question)) {
        return Err(PassedOver::Header(missing.name.to_string()));
    }
    let holds = |index: &u32| {
        let schedule = snapshot.schedules.get(*index as usize);
        schedule.is_some_and(|schedule| schedule.holds(wall))
    };
    if !route.during.is_empty() && !route.during.iter().any(holds) {
        return Err(PassedOver::During(route.doc.during.clone()));
    }
    let mut outside = route.outside.iter().zip(&route.doc.outside);
    if let Some((_, name)) = outside.find(|(index, _)| holds(index)) {
        return Err(PassedOver::Outside(name.clone()));
    }
    Ok(called)
}

fn origin(route: &Route, numbers: &Numbers<'_>) -> Result<(), PassedOver> {
    let (from, name): (_, &TrunkName) = (&route.doc.from, &numbers.origin.name);
    if !from.is_empty() && !from.contains(name) {
        return Err(PassedOver::Origin {
            trunk: name.clone(),
            from: from.clone(),
        });
    }
    let (customers, own) = (&route.doc.customers, &numbers.origin.customer);
    let belongs = |own: &String| customers.contains(own);
    if !customers.is_empty() && !own.as_ref().is_some_and(belongs) {
        return Err(PassedOver::Customer(own.clone()));
    }
    Ok(())
}
