//! From text to [`Document`], with every mistake found in one pass.
//!
//! serde stops at its first error, so each table is read on its own, and a key that cannot be
//! read is reported, taken out, and the table read again.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::diagnostic::{Findings, nearest};
use super::raw;

/// Everything the file says, not yet checked for sense.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// `[gateway]`.
    pub gateway: raw::Gateway,
    /// `[tls]`.
    pub tls: raw::Tls,
    /// `[media]`.
    pub media: raw::Media,
    /// `[admin]`.
    pub admin: raw::Admin,
    /// `[log]`.
    pub log: raw::Log,
    /// `[store]`.
    pub store: Option<raw::Store>,
    /// `[shadow]`.
    pub shadow: Option<raw::Shadow>,
    /// `[dns]`.
    pub dns: raw::Dns,
    /// `[sip]`.
    pub sip: raw::Sip,
    /// `[limits]`.
    pub limits: raw::Limits,
    /// `[bans]`.
    pub bans: raw::Bans,
    /// `[emergency]`.
    pub emergency: raw::Emergency,
    /// `[acs]` and where it stands.
    pub acs: Option<(Range<usize>, raw::Acs)>,
    /// `[cloud_calling]` and where it stands.
    pub cloud_calling: Option<(Range<usize>, raw::CloudCalling)>,
    /// `[[interface]]`.
    pub interfaces: Vec<raw::Interface>,
    /// `[[certificate]]`.
    pub certificates: Vec<raw::Certificate>,
    /// `[[trunk]]`.
    pub trunks: Vec<raw::Trunk>,
    /// `[[announcement]]`.
    pub announcements: Vec<raw::Announcement>,
    /// `[[route]]`.
    pub routes: Vec<raw::Route>,
    /// `[[number_list]]`.
    pub number_lists: Vec<raw::NumberList>,
    /// `[inventory]`.
    pub inventory: raw::Inventory,
    /// `[[schedule]]`.
    pub schedules: Vec<raw::Schedule>,
    /// `[[rates]]`.
    pub rates: Vec<raw::Rates>,
    /// `[[limit]]`.
    pub named_limits: Vec<raw::Limit>,
    /// `[hosts]`: names answered without DNS, for laboratories and tests.
    pub hosts: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
}

const SECTIONS: [&str; 25] = [
    "acs",
    "bans",
    "emergency",
    "gateway",
    "tls",
    "media",
    "admin",
    "log",
    "store",
    "shadow",
    "dns",
    "sip",
    "limits",
    "cloud_calling",
    "interface",
    "certificate",
    "trunk",
    "announcement",
    "route",
    "number_list",
    "inventory",
    "schedule",
    "rates",
    "limit",
    "hosts",
];

/// Reads a configuration file's text; `environment` answers `"${NAME}"` by the key it stands at and
/// its name.
pub fn load(
    text: &str,
    environment: &dyn Fn(&str, &str) -> Option<String>,
    findings: &mut Findings,
) -> Document {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        findings.error(error.span().unwrap_or(0..0), first_line(error.message()));
    }
    let mut document = Document::default();
    // Half-read text would only bring errors that are none.
    if !errors.is_empty() {
        return document;
    }
    for (key, value) in table.get_mut().iter_mut() {
        expand(key.get_ref(), value, environment, findings);
    }
    for (key, value) in table.into_inner() {
        let name = key.get_ref().to_string();
        let at = key.span();
        match name.as_str() {
            "gateway" => document.gateway = one(&name, value, findings).unwrap_or_default(),
            "tls" => document.tls = one(&name, value, findings).unwrap_or_default(),
            "media" => document.media = one(&name, value, findings).unwrap_or_default(),
            "admin" => document.admin = one(&name, value, findings).unwrap_or_default(),
            "log" => document.log = one(&name, value, findings).unwrap_or_default(),
            "store" => document.store = one(&name, value, findings),
            "shadow" => document.shadow = one(&name, value, findings),
            "dns" => document.dns = one(&name, value, findings).unwrap_or_default(),
            "sip" => document.sip = one(&name, value, findings).unwrap_or_default(),
            "bans" => document.bans = one(&name, value, findings).unwrap_or_default(),
            "limits" => document.limits = one(&name, value, findings).unwrap_or_default(),
            "emergency" => document.emergency = one(&name, value, findings).unwrap_or_default(),
            "acs" => document.acs = one(&name, value, findings).map(|read| (at, read)),
            "cloud_calling" => {
                document.cloud_calling = one(&name, value, findings).map(|read| (at, read));
            }
            "interface" => document.interfaces = many(&name, value, findings),
            "certificate" => document.certificates = many(&name, value, findings),
            "trunk" => document.trunks = many(&name, value, findings),
            "announcement" => document.announcements = many(&name, value, findings),
            "route" => document.routes = many(&name, value, findings),
            "number_list" => document.number_lists = many(&name, value, findings),
            "inventory" => document.inventory = one(&name, value, findings).unwrap_or_default(),
            "schedule" => document.schedules = many(&name, value, findings),
            "rates" => document.rates = many(&name, value, findings),
            "limit" => document.named_limits = many(&name, value, findings),
            "hosts" => document.hosts = hosts(value, findings),
            other => {
                findings
                    .error(at, format!("unknown section `{other}`"))
                    .help(match nearest(other, SECTIONS) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("known sections: {}", SECTIONS.join(", ")),
                    });
            }
        }
    }
    document
}

fn one<T: DeserializeOwned>(
    name: &str,
    value: Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Option<T> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => table_as(name, Spanned::new(span, table), findings),
        DeValue::Array(_) => {
            findings
                .error(span, format!("`{name}` stands once"))
                .help(format!("write [{name}], not [[{name}]]"));
            None
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {
            findings
                .error(span, format!("`{name}` is a table"))
                .help(format!("write [{name}] and its keys below"));
            None
        }
    }
}

fn many<T: DeserializeOwned>(
    name: &str,
    value: Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Vec<T> {
    let span = value.span();
    let DeValue::Array(items) = value.into_inner() else {
        findings
            .error(span, format!("`{name}` is a list of tables"))
            .help(format!("write [[{name}]] with two brackets"));
        return Vec::new();
    };
    items
        .into_iter()
        .filter_map(|item| one(name, item, findings))
        .collect()
}

/// Reads one table; every key that cannot be read costs one finding and is then left out.
fn table_as<T: for<'de> Deserialize<'de>>(
    name: &str,
    mut table: Spanned<DeTable<'_>>,
    findings: &mut Findings,
) -> Option<T> {
    let mut left_out = Vec::new();
    loop {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        let missing = quoted(&message)
            .next()
            .filter(|_| message.starts_with("missing field"));
        if let Some(key) = missing {
            if !left_out.iter().any(|gone| gone == key) {
                let header = table.span();
                findings.error(header, format!("{name}: `{key}` is required"));
            }
            return None;
        }
        let span = error.span().unwrap_or_else(|| table.span());
        let Some(path) = take_out(table.get_mut(), &span) else {
            findings.error(span, format!("{name}: {}", first_line(&message)));
            return None;
        };
        let (key, tables) = path.split_last().expect("a path ends in a key");
        let mut section = name.to_owned();
        for table in tables {
            section.push('.');
            section.push_str(table);
        }
        report(&section, key, &message, span, findings);
        left_out.push(key.clone());
    }
}

/// Takes out the key that stands at `span`, in whatever table within this one, and gives its name
/// after those of the tables it was in.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        let (place, at) = (key.span(), value.span());
        if let Some(mut path) = take_out_of(value.get_mut(), span) {
            path.insert(0, name);
            return Some(path);
        }
        if overlaps(&place, span) || overlaps(&at, span) {
            found = Some(name);
            break;
        }
    }
    let name = found?;
    table.remove(name.as_str());
    Some(vec![name])
}

fn take_out_of(value: &mut DeValue<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    match value {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(items) => {
            let mut items = items.iter_mut();
            items.find_map(|item| take_out_of(item.get_mut(), span))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

fn report(name: &str, key: &str, message: &str, span: Range<usize>, findings: &mut Findings) {
    if message.starts_with("unknown field") {
        // serde names the offender first and then all it would have taken.
        let mut words = quoted(message);
        let offender = words.next().unwrap_or(key);
        let known: Vec<&str> = words.collect();
        findings
            .error(span, format!("{name}: unknown key `{offender}`"))
            .help(match nearest(offender, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys: {}", known.join(", ")),
            });
    } else {
        findings.error(span, format!("{name}: `{key}`: {}", first_line(message)));
    }
}

/// Puts the environment's value where a string is `"${NAME}"`, whole or in part.
fn expand(
    key: &str,
    value: &mut Spanned<DeValue<'_>>,
    environment: &dyn Fn(&str, &str) -> Option<String>,
    findings: &mut Findings,
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::Array(items) => {
            items
                .iter_mut()
                .for_each(|item| expand(key, item, environment, findings));
        }
        DeValue::Table(table) => {
            table
                .iter_mut()
                .for_each(|(key, item)| expand(key.get_ref(), item, environment, findings));
        }
        DeValue::String(text) if text.contains("${") => {
            let mut rest: &str = text;
            let mut whole = String::new();
            while let Some((before, after)) = rest.split_once("${") {
                whole.push_str(before);
                let Some((name, tail)) = after.split_once('}') else {
                    findings.error(span, "`${` without its `}`");
                    return;
                };
                match environment(key, name) {
                    Some(found) => whole.push_str(&found),
                    None => {
                        findings
                            .error(span.clone(), format!("the environment has no {name}"))
                            .help(format!("set {name}, or name a file instead"));
                    }
                }
                rest = tail;
            }
            whole.push_str(rest);
            *text = whole.into();
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn hosts(
    value: Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, Vec<Spanned<String>>)> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        findings.error(span, "`hosts` is a table: name = \"address\"");
        return Vec::new();
    };
    let mut read = Vec::new();
    for (key, value) in table {
        let at = value.span();
        let name = Spanned::new(key.span(), key.get_ref().to_string());
        let texts: Option<Vec<Spanned<String>>> = match value.into_inner() {
            DeValue::String(text) => Some(vec![Spanned::new(at.clone(), text.to_string())]),
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    item.get_ref()
                        .as_str()
                        .map(|text| Spanned::new(span, text.to_owned()))
                })
                .collect(),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => None,
        };
        match texts {
            Some(texts) => read.push((name, texts)),
            None => {
                findings.error(
                    at,
                    "hosts: an address or a list of addresses is wanted here",
                );
            }
        }
    }
    read
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}
