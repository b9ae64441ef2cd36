//! The numbers of a call: as the trunk of origin means them, and as a target writes them.

use e164::{Normalised, NumberType};
use sip_msg::{Subscriber, Uri};

use crate::compile::Snapshot;
use crate::condition::Seen;
use crate::document::{NumberOf, NumberRule, PeerDoc, Portability, TrunkDoc, TrunkGroup, Way};
use crate::facts::Question;
use crate::step::Step;

/// Octets of the longest number that is looked up.
pub(crate) const LONGEST_NUMBER: usize = 256;

/// Parameters that say where a ported number is now, or which network carries it (RFC 4694 §4).
const PORTABILITY: [&str; 5] = ["npdi", "rn", "rn-context", "cic", "cic-context"];

/// The parameters of a trunk group (RFC 4904 §4).
const TRUNK_GROUP: [&str; 2] = ["tgrp", "trunk-context"];

/// The numbers of a call, as the trunk of origin means them.
pub(crate) struct Numbers<'a> {
    pub(crate) origin: &'a TrunkDoc,
    /// The called party, parameters included.
    pub(crate) subscriber: Subscriber,
    pub(crate) called: Normalised,
    /// What patterns of called numbers are compared with.
    pub(crate) called_text: String,
    pub(crate) calling: Option<Normalised>,
    pub(crate) calling_text: Option<String>,
    pub(crate) called_is: Seen,
    pub(crate) calling_is: Option<Seen>,
    /// The called number is one that help is called by.
    pub(crate) emergency: bool,
    /// A rule of the trunk of origin changed a number.
    rewritten: bool,
}

/// One number as a target writes it.
pub(crate) struct Written {
    pub(crate) number: String,
    /// A rule of the target changed it.
    pub(crate) rewritten: bool,
}

impl<'a> Numbers<'a> {
    pub(crate) fn read(
        snapshot: &Snapshot,
        origin: &'a TrunkDoc,
        question: &Question,
        steps: &mut Vec<Step>,
    ) -> Self {
        let subscriber = Subscriber::parse(&question.called);
        let (called, mut rewritten) = read(snapshot, origin, &subscriber, NumberOf::Called);
        let emergency = matches!(called, Normalised::Emergency(_));
        steps.push(Step::Called {
            raw: question.called.clone(),
            number: called.canonical(),
        });
        let mut called_text = called.canonical();
        if let Some(routing) = routing_number(origin, &subscriber).filter(|_| !emergency) {
            called_text = routing;
            steps.push(Step::RoutingNumber {
                number: called_text.clone(),
            });
        }
        let short = |raw: &&String| raw.len() <= LONGEST_NUMBER;
        let raw = question.calling.as_ref().filter(short);
        let calling = raw.map(|raw| {
            let caller = Subscriber::parse(raw);
            let (calling, changed) = read(snapshot, origin, &caller, NumberOf::Calling);
            rewritten |= changed;
            calling
        });
        let calling_text = calling.as_ref().map(Normalised::canonical);
        if let (Some(raw), Some(number)) = (raw, &calling_text) {
            steps.push(Step::Calling {
                raw: raw.clone(),
                number: number.clone(),
            });
        }
        let called_is = seen(snapshot, origin, &called, &called_text);
        let calling_is = calling
            .as_ref()
            .zip(calling_text.as_deref())
            .map(|(calling, text)| seen(snapshot, origin, calling, text));
        Self {
            origin,
            subscriber,
            called_is,
            calling_is,
            called,
            called_text,
            calling,
            calling_text,
            emergency,
            rewritten,
        }
    }

    /// Whether the call is for that trunk group: `tgrp`, or `tgrp@trunk-context`.
    pub(crate) fn is_for_group(&self, wanted: &str) -> bool {
        let group = self.subscriber.value("tgrp").unwrap_or_default();
        let context = self.subscriber.value("trunk-context").unwrap_or_default();
        let (wanted, wanted_context) = wanted
            .split_once('@')
            .map_or((wanted, None), |(group, context)| (group, Some(context)));
        // RFC 4904 §5.1: labels and contexts compare without regard to case.
        !group.is_empty()
            && group.eq_ignore_ascii_case(wanted)
            && wanted_context.is_none_or(|wanted| context.eq_ignore_ascii_case(wanted))
    }

    /// Whether a rule changed the numbers on their way to this trunk.
    pub(crate) fn are_rewritten(&self, to_user: &Written, from_user: Option<&Written>) -> bool {
        self.rewritten || to_user.rewritten || from_user.is_some_and(|from| from.rewritten)
    }

    /// The Request-URI of an INVITE to a peer of `trunk`.
    pub(crate) fn request_uri(&self, trunk: &TrunkDoc, doc: &PeerDoc, to_user: &str) -> Uri {
        let user = format!("{to_user}{}", self.params(trunk));
        let telephone = to_user
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+*#".contains(&b));
        let phone = (trunk.user_phone && telephone).then_some(("user", "phone"));
        let transport = trunk
            .transport_param
            .then(|| ("transport", doc.transport.uri_token()));
        let params: Vec<_> = phone.into_iter().chain(transport).collect();
        Uri::sip_with(Some(&user), &doc.host, doc.port, &params)
    }

    /// The parameters that go with the called number to `trunk`.
    fn params(&self, trunk: &TrunkDoc) -> String {
        let mut params = String::new();
        let mut keep = |names: &[&str]| {
            for name in names {
                match self.subscriber.param(name) {
                    Some(Some(value)) if is_plain(value) => {
                        params.push_str(&format!(";{name}={value}"));
                    }
                    Some(None) => params.push_str(&format!(";{name}")),
                    Some(Some(_)) | None => {}
                }
            }
        };
        if trunk.portability == Portability::Pass && !self.emergency {
            keep(&PORTABILITY);
        }
        match &trunk.trunk_group {
            TrunkGroup::Strip => {}
            TrunkGroup::Pass => keep(&TRUNK_GROUP),
            TrunkGroup::Own { group, context } => {
                params.push_str(&format!(";tgrp={group};trunk-context={context}"));
            }
        }
        params
    }
}

/// What is known of a number: by its class, and by lists and owners as patterns see it.
fn seen(snapshot: &Snapshot, origin: &TrunkDoc, number: &Normalised, text: &str) -> Seen {
    let mut class = number.class();
    if matches!(class.kind, NumberType::ShortCode | NumberType::Emergency) {
        class.country = origin.numbers.country().map(|country| country.iso);
    }
    let mut lists = Vec::new();
    snapshot.in_lists.candidates(text, &mut lists);
    lists.sort_unstable();
    lists.dedup();
    Seen {
        class,
        lists,
        owner: snapshot.owner(text),
    }
}

/// The number of `subscriber` as `origin` means it, and whether a rule changed it.
fn read(
    snapshot: &Snapshot,
    origin: &TrunkDoc,
    subscriber: &Subscriber,
    of: NumberOf,
) -> (Normalised, bool) {
    let raw = subscriber.number();
    let with_context = match subscriber.value("phone-context") {
        Some(context) => format!("{raw};phone-context={context}"),
        None => raw.to_owned(),
    };
    let plain = origin.numbers.normalise(&with_context);
    if of == NumberOf::Called
        && let Some(emergency) = emergency(snapshot, origin, &plain, raw)
    {
        return (emergency, false);
    }
    // What nobody reads as a number stays what was dialled, without its parameters.
    let plain = if matches!(plain, Normalised::Other(_)) {
        Normalised::Other(raw.to_owned())
    } else {
        plain
    };
    match rewritten(&origin.rules, Way::In, of, raw) {
        Some(rewritten) => {
            let number = origin.numbers.normalise(&rewritten);
            // A rule cannot make a call for help of one that is none.
            let number = match number {
                Normalised::Emergency(digits) => Normalised::Short(digits),
                known @ (Normalised::E164(_) | Normalised::Short(_) | Normalised::Other(_)) => {
                    known
                }
            };
            (number, true)
        }
        None => (plain, false),
    }
}

/// The emergency number that was dialled, if it is one: of the trunk's country, or of the list;
/// some write it with `+` in front (V-09).
fn emergency(
    snapshot: &Snapshot,
    origin: &TrunkDoc,
    number: &Normalised,
    raw: &str,
) -> Option<Normalised> {
    if matches!(number, Normalised::Emergency(_)) {
        return Some(number.clone());
    }
    if !may_be_emergency(snapshot, raw) {
        return None;
    }
    let digits = raw.strip_prefix('+').unwrap_or(raw);
    let listed = is_listed(snapshot, digits);
    let known = matches!(origin.numbers.normalise(digits), Normalised::Emergency(_));
    // +112… may be a number of North America; +112 alone is none.
    (listed || (known && number.e164().is_none())).then(|| Normalised::Emergency(digits.to_owned()))
}

/// Whether help could be called by this number: of most, their length alone says that it is not.
fn may_be_emergency(snapshot: &Snapshot, raw: &str) -> bool {
    e164::may_be_emergency(raw) || is_listed(snapshot, raw.strip_prefix('+').unwrap_or(raw))
}

fn is_listed(snapshot: &Snapshot, digits: &str) -> bool {
    let mut listed = snapshot.emergency.numbers.iter();
    listed.any(|known| known == digits)
}

/// The routing number of a ported number, where the trunk of origin is believed that it was looked
/// up (RFC 4694 §4: `npdi`).
fn routing_number(origin: &TrunkDoc, subscriber: &Subscriber) -> Option<String> {
    subscriber.param("npdi").filter(|_| origin.route_by_rn)?;
    let routing = subscriber.value("rn")?;
    let context = subscriber
        .value("rn-context")
        .filter(|context| context.starts_with('+'));
    let whole = format!("{}{routing}", context.unwrap_or_default());
    let number = origin.numbers.normalise(&whole);
    number.e164().map(e164::E164Number::to_wire)
}

fn rewritten(rules: &[NumberRule], way: Way, of: NumberOf, text: &str) -> Option<String> {
    let mut found = rules
        .iter()
        .filter(|rule| rule.way == way && (rule.of == of || rule.of == NumberOf::Both))
        .filter_map(|rule| rule.rewrite.apply(text));
    found.next().filter(|found| found.len() <= LONGEST_NUMBER)
}

/// A number as a trunk writes it. Emergency numbers stay as they are; short codes and names too,
/// unless a rule of the trunk says otherwise.
pub(crate) fn written(trunk: &TrunkDoc, number: &Normalised, of: NumberOf) -> Written {
    let planned = number
        .e164()
        .map_or_else(|| number.canonical(), |number| trunk.numbers.write(number));
    let changed = match number {
        Normalised::Emergency(_) => None,
        Normalised::E164(_) | Normalised::Short(_) | Normalised::Other(_) => {
            rewritten(&trunk.rules, Way::Out, of, &planned)
        }
    };
    Written {
        rewritten: changed.is_some(),
        number: changed.unwrap_or(planned),
    }
}

impl Snapshot {
    /// A calling number of `origin` as `target` writes it; as it stands where either is unknown.
    #[must_use]
    pub fn rewrite(
        &self,
        origin: &sip_msg::wire::TrunkName,
        target: &sip_msg::wire::TrunkName,
        number: &str,
    ) -> String {
        let (Some(origin), Some(target)) = (self.trunks.get(origin), self.trunks.get(target))
        else {
            return number.to_owned();
        };
        let subscriber = Subscriber::parse(number);
        let (number, _) = read(self, origin, &subscriber, NumberOf::Calling);
        written(target, &number, NumberOf::Calling).number
    }

    /// A calling number of `origin` in the form that patterns are compared with.
    #[must_use]
    pub fn canonical(&self, origin: &sip_msg::wire::TrunkName, number: &str) -> String {
        let subscriber = Subscriber::parse(number);
        match self.trunks.get(origin) {
            Some(origin) => read(self, origin, &subscriber, NumberOf::Calling)
                .0
                .canonical(),
            None => subscriber.number().to_owned(),
        }
    }

    /// Whether `called`, as a trunk wrote it, is a number that help is called by.
    #[must_use]
    pub fn is_emergency(&self, origin: &sip_msg::wire::TrunkName, called: &str) -> bool {
        let Some(origin) = self
            .trunks
            .get(origin)
            .filter(|_| called.len() <= LONGEST_NUMBER)
        else {
            return false;
        };
        let subscriber = Subscriber::parse(called);
        if !may_be_emergency(self, subscriber.number()) {
            return false;
        }
        let (number, _) = read(self, origin, &subscriber, NumberOf::Called);
        matches!(number, Normalised::Emergency(_))
    }
}

/// What can stand in a parameter of a telephone number as it is (RFC 3966 §3).
fn is_plain(value: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+_*()~!'".contains(&byte);
    !value.is_empty() && value.len() <= 64 && value.bytes().all(fits)
}
