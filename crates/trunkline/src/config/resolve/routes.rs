//! `[[route]]` and how trunks write numbers: compiled once here, so that a mistake has its place.

use std::ops::Range;

use e164::{NumberPlan, PlanError, WrittenAs};
use routing::{
    CompileError, Document as RoutingDocument, PeerDoc, Place, RouteDoc, Rule, Snapshot, TrunkDoc,
    WarningKind,
};
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;
use toml::Spanned;

use super::{Config, announcements, choice, customers, numbers};
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// The target that means Microsoft as the carrier.
pub(super) const CLOUD_CALLING: &str = "cloud-calling";
/// The host of what is registered here, on a trunk without a name.
const REGISTERED: &str = "registered.invalid";
const STYLES: [&str; 3] = ["e164", "digits", "national"];

pub(super) fn resolve(document: &Document, config: &mut Config, findings: &mut Findings) {
    let mut routing = RoutingDocument::default();
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
        routing.trunks.push(doc);
    }
    for raw in &document.routes {
        routing.routes.push(route(raw, config, findings));
    }
    routing.emergency = numbers::emergency(&document.emergency);
    match Snapshot::compile(&routing) {
        Ok(snapshot) => warn(&snapshot, document, findings),
        Err(errors) => {
            for error in errors {
                tell(&error, document, config, findings);
            }
        }
    }
    if let Some((span, _)) = &document.cloud_calling
        && config.cloud_calling_routes.is_empty()
    {
        findings.warning(
            span.clone(),
            "no route names `cloud-calling`: this section has no use",
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

fn route(raw: &raw::Route, config: &mut Config, findings: &mut Findings) -> RouteDoc {
    let name = raw.name.get_ref().clone();
    let texts = |list: &raw::OneOrMany| list.0.iter().map(|text| text.get_ref().clone()).collect();
    let names = |list: &raw::OneOrMany| -> Vec<TrunkName> {
        list.0
            .iter()
            .map(|text| TrunkName::from(text.get_ref().as_str()))
            .collect()
    };
    let mut doc = RouteDoc {
        from: names(&raw.from),
        called: texts(&raw.called),
        calling: texts(&raw.calling),
        trunk_groups: texts(&raw.trunk_group),
        to: names(&raw.to),
        announcement: announcements::of_route(raw, config, findings),
        name,
        ..RouteDoc::default()
    };
    customers::confine(raw, &mut doc, config, findings);
    if doc.to.iter().any(|target| target.as_str() == CLOUD_CALLING) {
        let span = span_of(&raw.to, CLOUD_CALLING).unwrap_or_else(|| raw.name.span());
        doc.to.retain(|target| target.as_str() != CLOUD_CALLING);
        let nothing_left = doc.to.is_empty() && doc.announcement.is_none();
        let then = if nothing_left {
            "its calls are refused with 503"
        } else {
            "its next target is used"
        };
        findings.warning(
            span,
            format!(
                "route {}: this version has no cloud-calling; {then}",
                doc.name
            ),
        );
        config.cloud_calling_routes.push(doc.name.clone());
        if nothing_left {
            doc.reject = Some(StatusCode::SERVICE_UNAVAILABLE);
        }
    }
    doc
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

/// Where the item at fault stands; the route's name where it is not in the file.
fn place(raw: &raw::Route, error: &CompileError) -> Range<usize> {
    let list = match error.field {
        "from" => &raw.from,
        "called" => &raw.called,
        "calling" => &raw.calling,
        "to" => &raw.to,
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
