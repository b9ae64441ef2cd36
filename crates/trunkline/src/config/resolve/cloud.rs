//! `[cloud_calling]`: Microsoft as the carrier.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acs_client::ConnectionString;
use b2bua::profile::Preset;
use e164::E164Number;
use routing::CloudDoc;
use sip_msg::wire::TrunkName;
use toml::Spanned;

use super::acs::Secret;
use super::{Config, DEFAULT, Token};
use crate::config::diagnostic::{Findings, nearest};
use crate::config::load::Document;
use crate::config::raw;

/// Who signs what Azure posts about a call.
const ISSUER: &str = "https://acscallautomation.communication.azure.com";
/// Where its keys are named.
const OPENID: &str =
    "https://acscallautomation.communication.azure.com/calling/.well-known/acsopenidconfiguration";
/// What a secret is at least, in characters.
const SHORTEST_SECRET: usize = 16;
/// What Azure lets a called party ring at most.
const LONGEST_RING: Duration = Duration::from_secs(180);
const RING: Duration = Duration::from_secs(60);
/// Calls at once that Azure grants a number unless it is asked for more.
const CALLS_PER_NUMBER: u32 = 2;

/// How calls reach Azure Cloud Calling, and how Azure reaches this gateway.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Where the resource is, and its key.
    pub connection: Secret,
    /// What routing knows of it.
    pub doc: CloudDoc,
    /// Where posts arrive.
    pub listen: SocketAddr,
    /// How Azure reaches that, without a slash at the end.
    pub public_url: String,
    /// What the path of a post has to name.
    pub secret: Token,
    /// Index into [`Config::certificates`].
    pub certificate: usize,
    /// Most calls at once that show one number.
    pub calls_per_number: u32,
    /// How long a called party may ring.
    pub ring_timeout: Duration,
    /// PEM file of the roots Azure's certificates are checked against.
    pub roots: Option<PathBuf>,
    /// Who signs Azure's posts about a call, and where its keys are named.
    pub issuer: String,
    /// Where the signer's keys are named.
    pub openid: String,
    /// Whom they are made out to.
    pub audience: String,
}

/// One key that has no default.
struct Required<'a, 'f> {
    at: &'a Range<usize>,
    findings: &'f mut Findings,
}

impl Required<'_, '_> {
    fn text(&mut self, key: &str, value: Option<&Spanned<String>>) -> Option<Spanned<String>> {
        let given = value.filter(|value| !value.get_ref().is_empty());
        if given.is_none() {
            self.findings
                .error(
                    self.at.clone(),
                    format!("cloud_calling: `{key}` is required"),
                )
                .help("a route leads to cloud-calling");
        }
        given.cloned()
    }
}

/// What the section says, where a route needs it.
pub(super) fn resolve(
    document: &Document,
    base: &Path,
    config: &Config,
    findings: &mut Findings,
) -> Option<Cloud> {
    let (at, raw) = document.cloud_calling.as_ref()?;
    let trunk = trunk(raw, at, config, findings);
    let rates = raw.rates.as_ref().map(|name| name.get_ref().clone());
    let caller_ids = caller_ids(raw, at, findings);
    let calls_per_number = calls_per_number(raw, findings);
    let ring_timeout = ring_timeout(raw, at, findings);
    let certificate = certificate(raw, at, config, findings);
    let mut required = Required { at, findings };
    let connection = required.text("connection_string", raw.connection_string.as_ref());
    let marker = required.text("marker", raw.marker.as_ref());
    let listen = required.text("listen", raw.listen.as_ref());
    let public_url = required.text("public_url", raw.public_url.as_ref());
    let secret = required.text("secret", raw.secret.as_ref());
    let audience = required.text("audience", raw.audience.as_ref());
    let connection = read(connection, "connection_string", findings, |text| {
        let parsed = ConnectionString::parse(text).map_err(|error| error.to_string());
        parsed.map(Secret::new)
    });
    let marker = read(marker, "marker", findings, number);
    let listen = read(listen, "listen", findings, |text| {
        let parsed = text.parse::<SocketAddr>();
        parsed.map_err(|_| "an address and port are written 0.0.0.0:8443".to_owned())
    });
    let public_url = read(public_url, "public_url", findings, public);
    let secret = read(secret, "secret", findings, secret_of);
    let https = |value: Option<&Spanned<String>>, key, default: &str, findings: &mut Findings| {
        match value {
            Some(value) => read(Some(value.clone()), key, findings, address),
            None => Some(default.to_owned()),
        }
    };
    let issuer = https(raw.issuer.as_ref(), "issuer", ISSUER, findings);
    let openid = https(raw.openid.as_ref(), "openid", OPENID, findings);
    Some(Cloud {
        connection: connection?,
        doc: CloudDoc {
            trunk: trunk?,
            marker: marker?,
            caller_ids: caller_ids?,
            rates,
        },
        listen: listen?,
        public_url: public_url?,
        secret: secret?,
        certificate: certificate?,
        calls_per_number,
        ring_timeout,
        roots: raw.roots.as_ref().map(|file| base.join(file.get_ref())),
        issuer: issuer?,
        openid: openid?,
        audience: audience?.into_inner(),
    })
}

fn read<T>(
    value: Option<Spanned<String>>,
    key: &str,
    findings: &mut Findings,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let value = value?;
    match parse(value.get_ref()) {
        Ok(parsed) => Some(parsed),
        Err(why) => {
            findings.error(value.span(), format!("cloud_calling: {key}: {why}"));
            None
        }
    }
}

fn number(text: &str) -> Result<E164Number, String> {
    E164Number::parse(text).map_err(|_| "a number is written +14255550100".to_owned())
}

fn address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"?#\"<>".contains(c);
    if rest.is_empty() || rest.starts_with('/') || !rest.chars().all(plain) {
        return Err("an address that begins with https:// is wanted here".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The listener sees paths below its root alone.
fn public(text: &str) -> Result<String, String> {
    let url = address(text)?;
    match url["https://".len()..].contains('/') {
        true => Err("a name and a port are wanted here, without a path".to_owned()),
        false => Ok(url),
    }
}

fn secret_of(text: &str) -> Result<Token, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if text.chars().count() < SHORTEST_SECRET {
        return Err(format!("{SHORTEST_SECRET} characters or more are wanted"));
    }
    if text.len() > 256 || !text.chars().all(fits) {
        return Err("letters, digits, `-`, `.`, `_` and `~` can stand in a path".to_owned());
    }
    Ok(Token::new(text))
}

fn trunk(
    raw: &raw::CloudCalling,
    at: &Range<usize>,
    config: &Config,
    findings: &mut Findings,
) -> Option<TrunkName> {
    let own = || {
        let trunks = config.trunks.iter();
        trunks.filter(|trunk| trunk.preset == Preset::Acs)
    };
    if let Some(name) = &raw.trunk {
        let found = own().find(|trunk| trunk.name.as_str() == name.get_ref());
        if found.is_none() {
            let why = format!(
                "cloud_calling: trunk: there is no trunk `{}` with preset \"acs\"",
                name.get_ref()
            );
            let finding = findings.error(name.span(), why);
            if let Some(meant) = nearest(name.get_ref(), own().map(|trunk| trunk.name.as_str())) {
                finding.help(format!("did you mean `{meant}`?"));
            }
        }
        return found.map(|trunk| trunk.name.clone());
    }
    let mut all = own();
    match (all.next(), all.next()) {
        (Some(only), None) => Some(only.name.clone()),
        (None, _) => {
            findings.error(
                at.clone(),
                "cloud_calling: there is no trunk with preset \"acs\" to reach Azure over",
            );
            None
        }
        (Some(_), Some(_)) => {
            findings.error(
                at.clone(),
                "cloud_calling: `trunk` is required where several trunks have preset \"acs\"",
            );
            None
        }
    }
}

fn caller_ids(
    raw: &raw::CloudCalling,
    at: &Range<usize>,
    findings: &mut Findings,
) -> Option<Vec<E164Number>> {
    let mut numbers: Vec<E164Number> = Vec::new();
    if raw.caller_ids.0.is_empty() {
        findings
            .error(at.clone(), "cloud_calling: `caller_ids` is required")
            .help("a route leads to cloud-calling");
        return None;
    }
    let mut right = true;
    for text in &raw.caller_ids.0 {
        match read(Some(text.clone()), "caller_ids", findings, number) {
            Some(number) if numbers.contains(&number) => {
                let why = format!(
                    "cloud_calling: caller_ids: {} is there already",
                    text.get_ref()
                );
                findings.error(text.span(), why);
                right = false;
            }
            Some(number) => numbers.push(number),
            None => right = false,
        }
    }
    right.then_some(numbers)
}

fn calls_per_number(raw: &raw::CloudCalling, findings: &mut Findings) -> u32 {
    let Some(value) = &raw.calls_per_number else {
        return CALLS_PER_NUMBER;
    };
    let count = *value.get_ref();
    if !(1..=1000).contains(&count) {
        findings.error(
            value.span(),
            "cloud_calling: `calls_per_number` is a number from 1 to 1000",
        );
    }
    count
}

fn ring_timeout(raw: &raw::CloudCalling, at: &Range<usize>, findings: &mut Findings) -> Duration {
    let limit = raw.ring_timeout.map_or(RING, |span| span.0);
    if limit < Duration::from_secs(1) || limit > LONGEST_RING {
        findings.error(
            at.clone(),
            "cloud_calling: `ring_timeout` is from 1s to 180s, which is all that Azure waits",
        );
    }
    limit
}

fn certificate(
    raw: &raw::CloudCalling,
    at: &Range<usize>,
    config: &Config,
    findings: &mut Findings,
) -> Option<usize> {
    let wanted = raw
        .certificate
        .as_ref()
        .map_or(DEFAULT, |name| name.get_ref());
    let mut known = config.certificates.iter();
    let found = known.position(|files| files.name == wanted);
    if found.is_none() {
        let (span, why) = match &raw.certificate {
            Some(name) => (
                name.span(),
                format!("cloud_calling: there is no certificate `{wanted}`"),
            ),
            None => (
                at.clone(),
                "cloud_calling: there is no certificate for the listener".to_owned(),
            ),
        };
        findings
            .error(span, why)
            .help("set `certificate` and `private_key` in [tls]");
    }
    found
}

impl Cloud {
    /// The name in `public_url`.
    pub fn public_name(&self) -> &str {
        let rest = self.public_url.trim_start_matches("https://");
        rest.split(':').next().unwrap_or(rest)
    }

    /// Whether both reach Azure, and are reached by it, in the same way: the rest can change while
    /// the daemon runs.
    pub fn is_reached_like(&self, other: &Self) -> bool {
        let reach = |cloud: &Self| {
            let connection = cloud.connection.connection();
            (
                (connection.endpoint(), connection.key().clone()),
                (cloud.listen, cloud.public_url.clone(), cloud.secret.clone()),
                (cloud.roots.clone(), cloud.issuer.clone()),
                (cloud.openid.clone(), cloud.audience.clone()),
            )
        };
        reach(self) == reach(other)
    }
}
