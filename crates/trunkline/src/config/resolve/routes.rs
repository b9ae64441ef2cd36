//! `[[route]]` and how trunks write numbers: compiled once here, so that a mistake has its place.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use b2bua::profile::Preset;
use e164::{NumberPlan, PlanError, WrittenAs};
use routing::{
    CLOUD_CALLING, CompileError, Document as RoutingDocument, NumberConditions, PeerDoc, Pick,
    Place, RouteDoc, Rule, Snapshot, TrunkDoc, WarningKind,
};
use sip_msg::StatusCode;
use toml::Spanned;

use super::limits::texts;
use super::{Config, announcements, choice, cloud, customers, limits, numbers, tables};
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// The host of what is registered here, on a trunk without a name.
const REGISTERED: &str = "registered.invalid";
/// The call that prices are compared by.
const COST_OF: Duration = Duration::from_secs(180);
const STYLES: [&str; 3] = ["e164", "digits", "national"];

pub(super) fn resolve(
    document: &Document,
    base: &Path,
    config: &mut Config,
    findings: &mut Findings,
) {
    let mut routing = RoutingDocument::default();
    let whole = tables::resolve(document, base, &mut routing, findings);
    for trunk in &config.trunks {
        let mut doc = TrunkDoc::new(
            trunk.name.clone(),
            trunk
                .peers
                .iter()
                .map(|peer| PeerDoc {
                    host: bracketed(&peer.host),
                    port: peer.port,
                    transport: peer.transport,
                })
                .collect(),
        );
        if doc.peers.is_empty() && trunk.profile.registrar.is_some() {
            // Where that is, the registrar finds out when the call is made.
            doc.peers.push(PeerDoc {
                host: trunk.fqdn.clone().unwrap_or_else(|| REGISTERED.to_owned()),
                port: None,
                transport: trunk.profile.transport,
            });
        }
        doc.numbers = plan(&trunk.numbers, trunk.name.as_str(), findings);
        numbers::apply(&trunk.numbers, &mut doc, findings);
        doc.user_phone = trunk.preset.is_microsoft();
        doc.transport_param = trunk.preset.is_microsoft();
        doc.from_host = trunk.fqdn.clone().filter(|_| trunk.preset.is_microsoft());
        doc.customer.clone_from(&trunk.customer);
        doc.rates.clone_from(&trunk.rates);
        routing.trunks.push(doc);
    }
    let named = |raw: &&raw::Route| names_cloud_calling(raw) && !is_left_to_azure(raw, config);
    let leads_there = document.routes.iter().find(named).is_some();
    if leads_there {
        config.cloud = cloud::resolve(document, base, config, findings);
        routing.cloud = config.cloud.as_ref().map(|cloud| cloud.doc.clone());
    }
    for raw in &document.routes {
        routing.routes.push(route(raw, document, config, findings));
    }
    routing.emergency = numbers::emergency(&document.emergency);
    routing.schedules = document.schedules.iter().map(limits::schedule).collect();
    for raw in &document.named_limits {
        routing.limits.push(limits::limit(raw, findings));
    }
    match Snapshot::compile(&routing) {
        Ok(snapshot) => warn(&snapshot, document, findings),
        Err(errors) => {
            // What a file that is not taken would have held is no second mistake.
            let told = |error: &CompileError| whole || error.rule != Rule::NoRates;
            for error in errors.into_iter().filter(told) {
                tell(&error, document, config, findings);
            }
        }
    }
    if let Some((span, _)) = &document.cloud_calling
        && !leads_there
        && config.left_to_azure.is_empty()
    {
        findings.warning(
            span.clone(),
            "no route names `cloud-calling`: calls have no use for this section",
        );
    }
    config.routing = routing;
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn plan(numbers: &raw::Numbers, trunk: &str, findings: &mut Findings) -> NumberPlan {
    let mut plan = NumberPlan::e164();
    if let Some(country) = &numbers.country {
        match NumberPlan::of_country(country.get_ref()) {
            Ok(national) => plan = national,
            Err(_) => {
                findings
                    .error(
                        country.span(),
                        format!(
                            "trunk {trunk}: country `{}` is not known",
                            country.get_ref()
                        ),
                    )
                    .help("two letters as in ISO 3166: US, GB, DE");
                return plan;
            }
        }
    }
    if let Some(area) = &numbers.area {
        match plan.clone().with_area(area.get_ref()) {
            Ok(local) => plan = local,
            Err(PlanError::Area | PlanError::Country | PlanError::Prefix) => {
                let why = if numbers.country.is_none() {
                    "an area code needs a `country`"
                } else {
                    "not an area code of this country"
                };
                findings.error(area.span(), format!("trunk {trunk}: area: {why}"));
            }
        }
    }
    let what = format!("trunk {trunk}: numbers: style");
    match choice(numbers.style.as_ref(), &what, &STYLES, findings).as_deref() {
        Some("e164") => plan.written_as(WrittenAs::E164),
        Some("digits") => plan.written_as(WrittenAs::Digits),
        Some("national") => plan.written_as(WrittenAs::National),
        Some(_) | None => plan,
    }
}

fn route(
    raw: &raw::Route,
    document: &Document,
    config: &mut Config,
    findings: &mut Findings,
) -> RouteDoc {
    let name = raw.name.get_ref().clone();
    let is = |side: &str, [types, countries, owners]: [&raw::OneOrMany; 3], f: &mut Findings| {
        let what = |key: &str| format!("route {name}: {side}_{key}");
        NumberConditions {
            types: limits::types(types, &what("type"), f),
            countries: texts(countries),
            owners: limits::owners(owners, &what("owner"), f),
        }
    };
    let called = [&raw.called_type, &raw.called_country, &raw.called_owner];
    let calling = [&raw.calling_type, &raw.calling_country, &raw.calling_owner];
    let mut doc = RouteDoc {
        from: limits::trunks(&raw.from),
        customers: texts(&raw.from_customer),
        called: texts(&raw.called),
        called_is: is("called", called, findings),
        calling: texts(&raw.calling),
        calling_is: is("calling", calling, findings),
        during: texts(&raw.during),
        outside: texts(&raw.outside),
        headers: texts(&raw.header),
        pick: pick(raw, config, findings),
        caller_id: raw
            .caller_id
            .as_ref()
            .map(|number| number.get_ref().clone()),
        trunk_groups: texts(&raw.trunk_group),
        to: limits::trunks(&raw.to),
        announcement: announcements::of_route(raw, config, findings),
        name,
        ..RouteDoc::default()
    };
    customers::confine(raw, &mut doc, config, findings);
    if !names_cloud_calling(raw) {
        return doc;
    }
    if is_left_to_azure(raw, config) {
        doc.to.retain(|target| target.as_str() != CLOUD_CALLING);
        if doc.to.is_empty() && doc.announcement.is_none() {
            doc.reject = Some(StatusCode::SERVICE_UNAVAILABLE);
        }
        config.left_to_azure.push(doc.name.clone());
    } else if document.cloud_calling.is_none() {
        let span = span_of(&raw.to, CLOUD_CALLING).unwrap_or_else(|| raw.name.span());
        findings
            .error(
                span,
                format!("route {}: `cloud-calling` needs [cloud_calling]", doc.name),
            )
            .help("say there how Azure is reached, or name another target");
    }
    doc
}

fn names_cloud_calling(raw: &raw::Route) -> bool {
    raw.to.0.iter().any(|to| to.get_ref() == CLOUD_CALLING)
}

/// Whether the route is of calls from Azure alone: what it leaves to `cloud-calling` never comes
/// here, and would not be sent back if it did.
fn is_left_to_azure(raw: &raw::Route, config: &Config) -> bool {
    let of_azure = |name: &Spanned<String>| {
        let mut trunks = config.trunks.iter();
        let found = trunks.find(|trunk| trunk.name.as_str() == name.get_ref());
        found.is_some_and(|trunk| trunk.preset == Preset::Acs)
    };
    !raw.from.0.is_empty() && raw.from.0.iter().all(of_azure)
}

/// The order of targets. Weights and prices are of what stands in the file: a target that is
/// passed over takes its weight with it.
fn pick(raw: &raw::Route, config: &Config, findings: &mut Findings) -> Pick {
    const PICKS: [&str; 3] = ["order", "weight", "cost"];
    let name = raw.name.get_ref();
    let what = format!("route {name}: pick");
    let pick = choice(raw.pick.as_ref(), &what, &PICKS, findings);
    let pick = pick.as_deref().unwrap_or("order");
    if let Some(weights) = raw.weights.as_ref().filter(|_| pick != "weight") {
        let fault = format!("route {name}: `weights` are for pick = \"weight\"");
        findings.error(weights.span(), fault);
    }
    if let Some(cost_of) = raw.cost_of.as_ref().filter(|_| pick != "cost") {
        let fault = format!("route {name}: `cost_of` is for pick = \"cost\"");
        findings.error(cost_of.span(), fault);
    }
    match pick {
        "weight" => {
            let given = raw
                .weights
                .as_ref()
                .map(|weights| weights.get_ref().clone());
            let mut weights = given.unwrap_or_else(|| vec![1; raw.to.0.len()]);
            if weights.len() == raw.to.0.len() && is_left_to_azure(raw, config) {
                let mut targets = raw.to.0.iter();
                weights.retain(|_| {
                    targets
                        .next()
                        .is_some_and(|to| to.get_ref() != CLOUD_CALLING)
                });
            }
            Pick::ByWeight(weights)
        }
        "cost" => {
            let length = raw
                .cost_of
                .as_ref()
                .map_or(COST_OF, |span| span.get_ref().0);
            let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
            Pick::LeastCost { seconds }
        }
        _ => Pick::InOrder,
    }
}

fn span_of(list: &raw::OneOrMany, word: &str) -> Option<Range<usize>> {
    list.0
        .iter()
        .find(|text| text.get_ref() == word)
        .map(Spanned::span)
}

fn tell(error: &CompileError, document: &Document, config: &Config, findings: &mut Findings) {
    let (span, what) = match error.place {
        Place::Document => (0..0, "routes".to_owned()),
        Place::Emergency => {
            let list = match error.field {
                "numbers" => &document.emergency.numbers,
                _ => &document.emergency.to,
            };
            let span = list.0.get(error.item).map_or(0..0, Spanned::span);
            (span, "emergency".to_owned())
        }
        Place::Cloud => {
            let at = document.cloud_calling.as_ref();
            let span = match (at, error.field) {
                (Some((at, raw)), "rates") => raw.rates.as_ref().map_or(at.clone(), Spanned::span),
                (Some((at, _)), _) => at.clone(),
                (None, _) => 0..0,
            };
            (span, "cloud_calling".to_owned())
        }
        Place::List(index) => named(
            "number_list",
            document.number_lists.get(index).map(|raw| &raw.name),
        ),
        Place::Rates(index) => named("rates", document.rates.get(index).map(|raw| &raw.name)),
        Place::Schedule(index) => match document.schedules.get(index) {
            Some(raw) => (
                place_in_schedule(raw, error),
                format!("schedule {}", raw.name.get_ref()),
            ),
            None => named("schedule", None),
        },
        Place::Limit(index) => match document.named_limits.get(index) {
            Some(raw) => (
                place_in_limit(raw, error),
                format!("limit {}", raw.name.get_ref()),
            ),
            None => named("limit", None),
        },
        Place::Trunk(index) if error.field == "rates" => {
            let trunk = &config.trunks[index];
            let raw = document
                .trunks
                .iter()
                .find(|raw| *raw.name.get_ref() == *trunk.name.as_str());
            let span = raw.and_then(|raw| raw.rates.as_ref()).map(Spanned::span);
            (
                span.unwrap_or_else(|| trunk.span.clone()),
                format!("trunk {}", trunk.name.as_str()),
            )
        }
        Place::Trunk(index) => {
            let trunk = &config.trunks[index];
            (trunk.span.clone(), format!("trunk {}", trunk.name.as_str()))
        }
        Place::Route(index) => {
            let raw = &document.routes[index];
            (place(raw, error), format!("route {}", raw.name.get_ref()))
        }
    };
    if error.rule == Rule::UnknownTrunk
        && let Place::Route(index) = error.place
    {
        let list = match error.field {
            "from" => &document.routes[index].from,
            _ => &document.routes[index].to,
        };
        let wrong = list
            .0
            .get(error.item)
            .map_or("", |text| text.get_ref().as_str());
        // What is missing for it was told.
        if wrong == CLOUD_CALLING && error.field == "to" {
            return;
        }
        // A trunk that is in the file and has mistakes of its own: those were told.
        if document
            .trunks
            .iter()
            .any(|trunk| trunk.name.get_ref() == wrong)
        {
            return;
        }
        let finding = findings.error(
            span,
            format!("{what}: {}: there is no trunk `{wrong}`", error.field),
        );
        if let Some(meant) = nearest(wrong, config.trunks.iter().map(|trunk| trunk.name.as_str())) {
            finding.help(format!("did you mean `{meant}`?"));
        }
        return;
    }
    findings.error(span, format!("{what}: {}: {}", error.field, error.rule));
}

fn named(what: &str, name: Option<&Spanned<String>>) -> (Range<usize>, String) {
    match name {
        Some(name) => (name.span(), format!("{what} {}", name.get_ref())),
        None => (0..0, what.to_owned()),
    }
}

fn place_in_schedule(raw: &raw::Schedule, error: &CompileError) -> Range<usize> {
    let list = match error.field {
        "days" => &raw.days,
        "hours" => &raw.hours,
        "dates" => &raw.dates,
        "zone" => return raw.zone.span(),
        _ => return raw.name.span(),
    };
    let item = list.0.get(error.item);
    item.map_or_else(|| raw.name.span(), Spanned::span)
}

fn place_in_limit(raw: &raw::Limit, error: &CompileError) -> Range<usize> {
    let list = match error.field {
        "routes" => &raw.route,
        "from" => &raw.from,
        "to" => &raw.to,
        "customers" => &raw.customer,
        "countries" => &raw.countries,
        "deny_countries" => &raw.deny_countries,
        "deny" => &raw.deny,
        "spend_per_day" => {
            let span = raw.spend_per_day.as_ref().map(Spanned::span);
            return span.unwrap_or_else(|| raw.name.span());
        }
        _ => return raw.name.span(),
    };
    let item = list.0.get(error.item);
    item.map_or_else(|| raw.name.span(), Spanned::span)
}

/// Where the item at fault stands; the route's name where it is not in the file.
fn place(raw: &raw::Route, error: &CompileError) -> Range<usize> {
    let or_name = |span: Option<Range<usize>>| span.unwrap_or_else(|| raw.name.span());
    let list = match error.field {
        "from" => &raw.from,
        "customers" => &raw.from_customer,
        "called" => &raw.called,
        "called_countries" => &raw.called_country,
        "calling" => &raw.calling,
        "calling_countries" => &raw.calling_country,
        "during" => &raw.during,
        "outside" => &raw.outside,
        "headers" => &raw.header,
        "to" => &raw.to,
        "pick" => return or_name(raw.pick.as_ref().map(Spanned::span)),
        "weights" => return or_name(raw.weights.as_ref().map(Spanned::span)),
        "cost_of" => return or_name(raw.cost_of.as_ref().map(Spanned::span)),
        "caller_id" => return or_name(raw.caller_id.as_ref().map(Spanned::span)),
        _ => return raw.name.span(),
    };
    list.0
        .get(error.item)
        .map_or_else(|| raw.name.span(), Spanned::span)
}

fn warn(snapshot: &Snapshot, document: &Document, findings: &mut Findings) {
    for warning in snapshot.warnings() {
        let raw = &document.routes[warning.route];
        let name = raw.name.get_ref();
        let other = |index: usize| document.routes[index].name.get_ref();
        match warning.kind {
            WarningKind::Shadowed { by } => {
                findings
                    .warning(
                        raw.name.span(),
                        format!(
                            "route {name} can never match: {} takes all its calls",
                            other(by)
                        ),
                    )
                    .help("routes are tried in the order written; the first that matches wins");
            }
            WarningKind::Ambiguous { with } => {
                findings.warning(
                    raw.name.span(),
                    format!(
                        "route {name}: {} takes some of its numbers first",
                        other(with)
                    ),
                );
            }
            WarningKind::TargetIsOrigin { target } => {
                let span = raw
                    .to
                    .0
                    .get(target)
                    .map_or_else(|| raw.name.span(), Spanned::span);
                findings.warning(
                    span,
                    format!(
                        "route {name}: calls that come from this trunk are not sent back to it"
                    ),
                );
            }
        }
    }
}
