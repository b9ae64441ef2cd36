//! Who redirected a call: History-Info (RFC 7044), Diversion (RFC 5806), and each as the other
//! (RFC 7544).

use std::fmt::Write as _;

use sip_msg::{HeaderName, Headers, NameAddr, StatusCode, Subscriber, Uri};

use super::address::{is_token_like, rehost_name_addr, rehost_uri};
use super::{Phase, Taken};
use crate::profile::{Redirections, TrunkProfile, Trust};

/// Most redirections of one call that are read or written; a call that was redirected more often
/// is in a loop (RFC 5806 §7).
pub const MOST_REDIRECTIONS: usize = 20;

/// Octets of the longest entry that is read.
const LONGEST_ENTRY: usize = 1024;

/// The reasons of Diversion with the SIP status that History-Info has for them (RFC 7544 §3.4).
const REASONS: [(&str, u16); 11] = [
    ("unconditional", 302),
    ("user-busy", 486),
    ("no-answer", 408),
    ("deflection", 480),
    ("unavailable", 503),
    ("unknown", 404),
    ("time-of-day", 404),
    ("do-not-disturb", 404),
    ("follow-me", 404),
    ("out-of-service", 404),
    ("away", 404),
];

/// Somebody who was called and redirected the call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Redirection {
    party: NameAddr,
    /// The SIP status that says why.
    cause: u16,
    /// How often, 1 or more: those in between are not known.
    times: u8,
    /// The party wants not to be told of.
    private: bool,
}

/// Tells `to` of the redirections that the INVITE, provisional response or answer `source` knows
/// of, in the form that trunk wants. `target` is the Request-URI of the INVITE.
pub(super) fn carry(
    phase: Phase,
    source: &Taken<'_>,
    target: Option<&Uri>,
    to: &TrunkProfile,
    into: &mut Headers,
) {
    let headers = source.headers();
    let form = to.headers.redirections;
    let has_history = headers.contains(&HeaderName::HistoryInfo);
    if matches!(form, Redirections::HistoryInfo | Redirections::Both) {
        if has_history {
            keep_history(headers, to, into);
        } else if phase == Phase::Invite {
            write_history(&from_diversion(headers), target, to, into);
        }
    }
    if matches!(form, Redirections::Diversion | Redirections::Both) && phase == Phase::Invite {
        let redirections = if has_history {
            from_history(headers)
        } else {
            from_diversion(headers)
        };
        write_diversion(&redirections, to, into);
    }
}

/// Adds to the INVITE `headers` that `diverted`, whom it was for, was left for `target` because of
/// `status`, a 3xx or failure response (RFC 7044 §10). What the INVITE says of earlier
/// redirections stays; a Diversion becomes History-Info.
pub fn append(headers: &mut Headers, diverted: &Uri, status: StatusCode, target: &Uri) {
    let mut entries: Vec<String> = headers
        .history_info()
        .map(|entry| String::from_utf8_lossy(entry).into_owned())
        .collect();
    if entries.is_empty() {
        entries = entries_of(&from_diversion(headers), Some(diverted), None);
        headers.remove(&HeaderName::Diversion);
    }
    if entries.len() >= MOST_REDIRECTIONS {
        return;
    }
    let last = entries.last().cloned();
    let last = last.and_then(|entry| NameAddr::parse(entry.into_bytes()).ok());
    let index = last
        .as_ref()
        .and_then(|last| last.param("index").flatten())
        .filter(|index| is_index(index));
    let (index, mapped) = match (&last, index) {
        // The entry of the party is there; what became of it is not.
        (Some(last), Some(index)) if names(&last.uri, diverted) => {
            entries.pop();
            let mapped = last.param("mp").flatten().filter(|index| is_index(index));
            (index.to_owned(), mapped.map(str::to_owned))
        }
        (_, Some(index)) => (format!("{index}.1"), Some(index.to_owned())),
        (_, None) => ("1".to_owned(), None),
    };
    let cause = status.code();
    let reached = last.filter(|last| names(&last.uri, diverted));
    let party = with_cause(
        without(diverted),
        reached.and_then(|last| cause_of(&last.uri)),
    );
    entries.push(entry(
        party.as_str(),
        Some(cause),
        false,
        &index,
        mapped.as_deref(),
    ));
    let target = with_cause(without(target), Some(cause));
    let next = format!("{index}.1");
    entries.push(entry(target.as_str(), None, false, &next, Some(&index)));
    headers.remove(&HeaderName::HistoryInfo);
    for entry in entries {
        headers.push(HeaderName::HistoryInfo, entry);
    }
}

/// Whether an entry stands for `party` and does not say yet what became of it.
fn names(entry: &Uri, party: &Uri) -> bool {
    entry.user() == party.user() && reason_of(entry).is_none()
}

/// The `cause` parameter of a URI (RFC 4458 §2).
fn cause_of(uri: &Uri) -> Option<u16> {
    uri.param("cause").flatten()?.parse().ok()
}

fn with_cause(uri: Uri, cause: Option<u16>) -> Uri {
    match cause {
        Some(cause) => uri.with_param("cause", Some(cause.to_string().as_str())),
        None => uri,
    }
}

/// The entries as received, with hosts of ours. Those that ask for it do not leave the trust
/// domain (RFC 7044 §10.1).
fn keep_history(headers: &Headers, to: &TrunkProfile, into: &mut Headers) {
    let short = headers
        .history_info()
        .filter(|entry| entry.len() <= LONGEST_ENTRY);
    for item in short.take(MOST_REDIRECTIONS) {
        let private = NameAddr::parse(item.to_vec()).is_ok_and(|entry| is_private(&entry.uri));
        if private && to.trust == Trust::Untrusted {
            continue;
        }
        if let Some(value) = rehost_name_addr(item, to) {
            into.push(HeaderName::HistoryInfo, value);
        }
    }
}

/// Those who redirected the call, the first one first. They are the entries that say why they
/// were left, and those that an entry with a `cause` (RFC 4458) was reached from.
fn from_history(headers: &Headers) -> Vec<Redirection> {
    let entries: Vec<NameAddr> = headers
        .history_info()
        .filter(|entry| entry.len() <= LONGEST_ENTRY)
        .take(MOST_REDIRECTIONS)
        .filter_map(|entry| NameAddr::parse(entry.to_vec()).ok())
        .collect();
    let mut found = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let next = entries.get(at + 1);
        let led_on = next.and_then(|next| cause_of(&next.uri));
        let Some(cause) = led_on.or_else(|| reason_of(&entry.uri)) else {
            continue;
        };
        found.push(Redirection {
            cause,
            times: 1,
            private: is_private(&entry.uri),
            party: entry.clone(),
        });
    }
    found
}

/// Those who redirected the call, the first one first; Diversion has the last one first.
fn from_diversion(headers: &Headers) -> Vec<Redirection> {
    let entries = headers
        .diversion()
        .filter(|entry| entry.len() <= LONGEST_ENTRY)
        .take(MOST_REDIRECTIONS)
        .filter_map(|entry| NameAddr::parse(entry.to_vec()).ok());
    let mut found: Vec<Redirection> = entries
        .map(|party| {
            let reason = party.param("reason").flatten().unwrap_or("unknown");
            let known = REASONS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(reason));
            let times = party.param("counter").flatten();
            let private = party
                .param("privacy")
                .flatten()
                .is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
            Redirection {
                cause: known.map_or(404, |(_, cause)| *cause),
                times: times.and_then(|times| times.parse().ok()).unwrap_or(1),
                private,
                party,
            }
        })
        .collect();
    found.reverse();
    found
}

fn write_diversion(redirections: &[Redirection], to: &TrunkProfile, into: &mut Headers) {
    for redirection in redirections.iter().rev() {
        if redirection.private && to.trust == Trust::Untrusted {
            continue;
        }
        let Some(uri) = rehost_uri(&without(&redirection.party.uri), to) else {
            continue;
        };
        let reason = REASONS
            .iter()
            .find(|(_, cause)| *cause == redirection.cause || deflected(redirection.cause, *cause))
            .map_or("unknown", |(reason, _)| reason);
        let mut value = format!("<{uri}>;reason={reason};counter={}", redirection.times);
        let privacy = if redirection.private { "full" } else { "off" };
        let _ = write!(value, ";privacy={privacy}");
        into.push(HeaderName::Diversion, value);
    }
}

/// 487 is a deflection before it rang, 480 one while it did (RFC 4458, RFC 7544 §3.4).
fn deflected(cause: u16, known: u16) -> bool {
    cause == 487 && known == 480
}

fn write_history(
    redirections: &[Redirection],
    target: Option<&Uri>,
    to: &TrunkProfile,
    into: &mut Headers,
) {
    let mut shown = redirections.to_vec();
    shown.retain(|redirection| to.trust == Trust::Trusted || !redirection.private);
    for value in entries_of(&shown, target, Some(to)) {
        into.push(HeaderName::HistoryInfo, value);
    }
}

/// One entry for each party and one for the target, each reached from the one before; of parties
/// that are not known, places in the index are left (RFC 7544 §3.3).
fn entries_of(
    redirections: &[Redirection],
    target: Option<&Uri>,
    to: Option<&TrunkProfile>,
) -> Vec<String> {
    let mut entries = Vec::new();
    let (mut index, mut before) = (String::new(), None::<(String, u16)>);
    for redirection in redirections {
        let steps = usize::from(redirection.times.max(1)).min(MOST_REDIRECTIONS);
        for _ in 0..steps {
            index.push_str(if index.is_empty() { "1" } else { ".1" });
        }
        let reached = before.as_ref().map(|(_, cause)| *cause);
        let uri = with_cause(without(&redirection.party.uri), reached);
        let Some(uri) = hosted(&uri, to) else {
            continue;
        };
        let mapped = before.as_ref().map(|(index, _)| index.as_str());
        let cause = Some(redirection.cause);
        entries.push(entry(&uri, cause, redirection.private, &index, mapped));
        before = Some((index.clone(), redirection.cause));
    }
    let (Some(target), Some((last, cause))) = (target, before) else {
        return entries;
    };
    let target = with_cause(without(target), Some(cause));
    if let Some(uri) = hosted(&target, to) {
        entries.push(entry(&uri, None, false, &format!("{last}.1"), Some(&last)));
    }
    entries
}

fn hosted(uri: &Uri, to: Option<&TrunkProfile>) -> Option<String> {
    match to {
        Some(to) => rehost_uri(uri, to),
        None => Some(uri.to_string()),
    }
}

/// `<uri?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1` (RFC 7044 §5).
fn entry(
    uri: &str,
    cause: Option<u16>,
    private: bool,
    index: &str,
    mapped: Option<&str>,
) -> String {
    let mut value = format!("<{uri}");
    let mut separator = '?';
    if private {
        let _ = write!(value, "{separator}Privacy=history");
        separator = '&';
    }
    if let Some(cause) = cause {
        let _ = write!(value, "{separator}Reason=SIP%3Bcause%3D{cause}");
    }
    let _ = write!(value, ">;index={index}");
    if let Some(mapped) = mapped {
        let _ = write!(value, ";mp={mapped}");
    }
    value
}

/// A URI with its number or name alone, and whether that is a telephone number.
fn without(uri: &Uri) -> Uri {
    let Some(subscriber) = Subscriber::of(uri) else {
        return uri.without_headers();
    };
    let host = match uri.host_str() {
        // A `tel:` URI has none; the one who writes the entry gives it its own.
        "" => "invalid",
        host => host,
    };
    let plain = Uri::sip(Some(subscriber.number()), host, None);
    let phone = subscriber.number().starts_with('+');
    match uri
        .param("user")
        .flatten()
        .filter(|kind| is_token_like(kind))
    {
        Some(kind) => plain.with_param("user", Some(kind)),
        None if phone => plain.with_param("user", Some("phone")),
        None => plain,
    }
}

/// The SIP status in the Reason that an entry's URI has as a header field (RFC 7044 §10.2), with
/// its `;`, `=` and `"` escaped (U-10).
fn reason_of(uri: &Uri) -> Option<u16> {
    let reason = embedded(uri, "Reason")?;
    let mut parts = reason.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("SIP") {
        return None;
    }
    let cause = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let cause = name.trim().eq_ignore_ascii_case("cause");
        cause.then(|| value.trim().parse().ok()).flatten()
    })?;
    (300..=699).contains(&cause).then_some(cause)
}

fn is_private(uri: &Uri) -> bool {
    embedded(uri, "Privacy").is_some_and(|privacy| {
        privacy
            .split([';', ','])
            .any(|word| word.trim().eq_ignore_ascii_case("history"))
    })
}

/// A header field embedded in a URI, unescaped.
fn embedded(uri: &Uri, wanted: &str) -> Option<String> {
    let headers = uri.headers()?;
    headers.split('&').find_map(|header| {
        let (name, value) = header.split_once('=')?;
        // The user part of a URI has the same escapes.
        let value = || Uri::sip(Some(value), "invalid", None).decoded_user();
        name.eq_ignore_ascii_case(wanted).then(value).flatten()
    })
}

fn is_index(text: &str) -> bool {
    let number =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 64 && text.split('.').all(number)
}
