//! `[[announcement]]`, and routes that name one.

use std::path::Path;

use super::Config;
use crate::config::announcement::Announcement;
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// Most repetitions.
const TIMES: std::ops::RangeInclusive<u8> = 1..=10;

pub(super) fn resolve(
    document: &Document,
    base: &Path,
    config: &mut Config,
    findings: &mut Findings,
) {
    for raw in &document.announcements {
        let name = raw.name.get_ref();
        if config.announcements.iter().any(|other| other.name == *name) {
            let fault = format!("there are two announcements `{name}`");
            findings.error(raw.name.span(), fault);
            continue;
        }
        let times = raw.times.as_ref().map_or(1, |times| *times.get_ref());
        if !TIMES.contains(&times) {
            let span = raw.times.as_ref().map_or(0..0, toml::Spanned::span);
            let fault = format!("announcement {name}: `times` is a number from 1 to 10");
            findings.error(span, fault);
        }
        let file = raw.file.as_ref().map(|file| base.join(file.get_ref()));
        let span = raw
            .file
            .as_ref()
            .map_or_else(|| raw.name.span(), toml::Spanned::span);
        config.announcements.push(Announcement {
            name: name.clone(),
            file,
            times,
            span,
        });
    }
}

/// The announcement a route names.
pub(super) fn of_route(
    raw: &raw::Route,
    config: &Config,
    findings: &mut Findings,
) -> Option<String> {
    let named = raw.announcement.as_ref()?;
    let known = || config.announcements.iter().map(|known| known.name.as_str());
    let name = named.get_ref();
    if known().all(|known| known != name) {
        let route = raw.name.get_ref();
        let fault = format!("route {route}: announcement: there is no announcement `{name}`");
        let finding = findings.error(named.span(), fault);
        if let Some(meant) = nearest(name, known()) {
            finding.help(format!("did you mean `{meant}`?"));
        }
    }
    Some(name.clone())
}
