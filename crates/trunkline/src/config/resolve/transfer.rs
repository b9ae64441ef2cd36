//! `[trunk.transfer]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use b2bua::profile::TrunkProfile;
use toml::Spanned;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// What a transfer may take: less fails before anybody can answer, more outlives the patience of
/// whoever waits.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// What a BYE may take that ends the dialog of a transferred leg.
const DEPARTURE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Transfer, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let mut within = |value: &Option<Spanned<raw::Span>>, range, what: &str, rule: &str| {
        let value = value.as_ref()?;
        let span = value.get_ref().0;
        if RangeInclusive::contains(&range, &span) {
            return Some(span);
        }
        findings.error(
            value.span(),
            format!("trunk {name}: transfer: `{what}` is {rule}"),
        );
        None
    };
    let timeout = within(&raw.timeout, TIMEOUT, "timeout", "1s to 10m");
    let departure = within(&raw.departure, DEPARTURE, "departure", "at most 1m");
    let policy = &mut profile.transfer;
    policy.refer = raw.refer.unwrap_or(policy.refer);
    policy.replaces = raw.replaces.unwrap_or(policy.replaces);
    policy.timeout = timeout.unwrap_or(policy.timeout);
    policy.departure = departure.unwrap_or(policy.departure);
    policy.ringback = raw.ringback.unwrap_or(policy.ringback);
}
