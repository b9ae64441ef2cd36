//! Who may learn who calls (RFC 3323, RFC 3325, U-02, U-03).

use sip_msg::{HeaderName, Headers, NameAddr, Scheme, Subscriber, Uri};

use super::address::is_harmless;
use super::{Taken, signed};
use crate::profile::{Assertion, Caller, Preference, Privacy, TrunkProfile, Trust};

/// The From of a caller that withholds its number (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// What a caller can ask to be kept private (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1).
const PRIVACY: [&str; 7] = [
    "header", "session", "user", "none", "critical", "id", "history",
];

/// Whether asserted identities of the other leg can go to `to` at all.
pub(super) fn may_cross(to: &TrunkProfile) -> bool {
    to.identity.asserted == Assertion::Keep
}

/// Whether the message asks for privacy that this trunk must not break (RFC 3325 §7: the trust
/// domain ends at an untrusted trunk).
pub(super) fn is_withheld(source: &Headers, to: &TrunkProfile) -> bool {
    asks(source, &["id", "user", "header"], to) && to.trust == Trust::Untrusted
}

fn asks(source: &Headers, wanted: &[&str], to: &TrunkProfile) -> bool {
    to.identity.privacy != Privacy::Strip
        && source
            .privacy()
            .iter()
            .any(|asked| wanted.contains(&asked.as_str()))
}

/// Whether `user`, the user part of a From, names nobody (RFC 3323 §4.1.1.3, U-02).
pub(crate) fn is_anonymous(user: &str) -> bool {
    user.is_empty() || user.eq_ignore_ascii_case("anonymous")
}

/// The display name of `party`, the From or To of one leg, if the other leg's trunk may see it.
#[must_use]
pub fn carry_display_name(party: &NameAddr, source: &Headers, to: &TrunkProfile) -> Option<String> {
    if !may_cross(to) || is_withheld(source, to) {
        return None;
    }
    let name = party.display.as_deref()?;
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    let name: String = name.chars().filter(|&c| plain(c)).take(64).collect();
    (!name.trim().is_empty()).then_some(name)
}

/// Asserted identities of a response, with hosts of ours: who was reached (RFC 3325 §9.1).
pub(super) fn carry_connected(source: &Taken<'_>, to: &TrunkProfile, into: &mut Headers) {
    if !may_cross(to) || is_withheld(source.headers(), to) {
        return;
    }
    for item in asserted(source.headers(), &HeaderName::PAssertedIdentity) {
        if let Some(value) = super::address::rehost_name_addr(item.to_string().as_bytes(), to) {
            into.push(HeaderName::PAssertedIdentity, value);
        }
    }
}

/// At most one `sip:` or `sips:` and one `tel:` (RFC 3325 §9.1).
fn asserted(source: &Headers, name: &HeaderName) -> Vec<NameAddr> {
    let mut found: Vec<NameAddr> = Vec::new();
    for item in source.items(name) {
        let Ok(address) = NameAddr::parse(item.to_vec()) else {
            continue;
        };
        let tel = address.uri.scheme() == Scheme::Tel;
        let known = found
            .iter()
            .any(|known| (known.uri.scheme() == Scheme::Tel) == tel);
        if !known && address.uri.scheme() != Scheme::Other && found.len() < 2 {
            found.push(address);
        }
    }
    found
}

/// The numbers that a trunk vouches for (RFC 3325).
pub(crate) fn asserted_numbers(source: &Taken<'_>) -> Vec<String> {
    asserted(source.headers(), &HeaderName::PAssertedIdentity)
        .iter()
        .filter_map(|given| Subscriber::of(&given.uri))
        .map(|subscriber| subscriber.number().to_owned())
        .filter(|number| !is_anonymous(number))
        .collect()
}

/// What is known of the calling party of an INVITE on its way to `to`.
pub(crate) struct Known<'a> {
    /// What the caller's trunk said.
    pub(crate) source: &'a Taken<'a>,
    /// The caller's number as `to` writes it; `None` where it is withheld.
    pub(crate) number: Option<&'a str>,
    /// The number is not what the caller's trunk said but what screening put in its place.
    pub(crate) replaced: bool,
    /// The call is for an emergency number: nothing of the caller is kept from those who help.
    pub(crate) emergency: bool,
    /// The host of From, where it is not the one the trunk knows us by.
    pub(crate) host: Option<&'a str>,
    /// Writes a number of the caller's trunk as `to` does.
    pub(crate) write: &'a dyn Fn(&str) -> String,
}

impl Known<'_> {
    /// The value of From, without its tag.
    pub(crate) fn from(&self, to: &TrunkProfile) -> String {
        let headers = self.source.headers();
        let hidden = asks(headers, &["user"], to) && to.trust == Trust::Untrusted;
        let own = self.number.map(str::to_owned);
        let number = match &to.identity.from {
            _ if self.emergency => own.or_else(|| self.asserted_number()),
            Caller::Replace(number) => Some((self.write)(number)),
            Caller::Anonymise => None,
            _ if hidden => None,
            Caller::Keep => own,
            Caller::Asserted if self.replaced => own,
            Caller::Asserted => self.asserted_number().or(own),
        };
        let Some(user) = number.filter(|user| !is_anonymous(user)) else {
            return ANONYMOUS.to_owned();
        };
        let caller = headers.from().ok();
        let kept = self.number == Some(user.as_str()) && !self.replaced;
        let verstat = caller.as_ref().filter(|_| kept);
        let verstat = verstat.and_then(|from| self.verstat(from, to));
        let host = self.host.unwrap_or(&to.advertised.host);
        let uri = phone(&user, verstat.as_deref(), host);
        let name = caller
            .filter(|_| kept)
            .and_then(|from| carry_display_name(&from, headers, to));
        match name {
            Some(name) => format!("\"{name}\" <{uri}>"),
            None => uri.bracketed(),
        }
    }

    /// P-Asserted-Identity, P-Preferred-Identity and Privacy.
    pub(crate) fn identify(&self, to: &TrunkProfile, into: &mut Headers) {
        let headers = self.source.headers();
        let policy = &to.identity;
        let withheld = is_withheld(headers, to) && !self.emergency;
        let own = |number: &str| phone(number, None, &to.advertised.host).bracketed();
        let from = || {
            self.number
                .filter(|_| !withheld)
                .map(own)
                .into_iter()
                .collect()
        };
        let asserted = match &policy.asserted {
            Assertion::Strip if !self.emergency => Vec::new(),
            Assertion::Replace(number) if !self.emergency => vec![own(&(self.write)(number))],
            Assertion::From => from(),
            Assertion::Keep | Assertion::Strip | Assertion::Replace(_) if withheld => Vec::new(),
            Assertion::Keep | Assertion::Strip | Assertion::Replace(_) if self.replaced => from(),
            Assertion::Keep | Assertion::Strip | Assertion::Replace(_) => {
                self.kept(&HeaderName::PAssertedIdentity, to)
            }
        };
        let preferred = match &policy.preferred {
            Preference::Strip => Vec::new(),
            Preference::Replace(number) => vec![own(&(self.write)(number))],
            Preference::From => from(),
            Preference::Keep if withheld => Vec::new(),
            Preference::Keep if self.replaced => from(),
            Preference::Keep => self.kept(&HeaderName::PPreferredIdentity, to),
        };
        for value in asserted {
            into.push(HeaderName::PAssertedIdentity, value);
        }
        for value in preferred.into_iter().take(1) {
            into.push(HeaderName::PPreferredIdentity, value);
        }
        if let Some(privacy) = privacy(headers, to) {
            into.push(HeaderName::Privacy, privacy);
        }
    }

    /// Identities as the caller's trunk gave them, with numbers as `to` writes them and hosts of
    /// ours.
    fn kept(&self, name: &HeaderName, to: &TrunkProfile) -> Vec<String> {
        let given = asserted(self.source.headers(), name);
        given
            .iter()
            .filter_map(|given| self.rewritten(given, to))
            .collect()
    }

    fn rewritten(&self, given: &NameAddr, to: &TrunkProfile) -> Option<String> {
        let subscriber = Subscriber::of(&given.uri)?;
        let number = subscriber.number();
        if is_anonymous(number) {
            return None;
        }
        let verstat = self.verstat(given, to);
        let uri = if given.uri.scheme() == Scheme::Tel {
            // A local number would need a context, which is a name of the caller's side.
            let uri = Uri::tel(number).filter(|_| number.starts_with('+'))?;
            format!("{uri}{}", verstat.unwrap_or_default())
        } else {
            let user = (self.write)(number);
            let uri = phone(&user, verstat.as_deref(), &to.advertised.host);
            match given.uri.param("user").flatten() {
                Some("phone") => uri.with_param("user", Some("phone")).to_string(),
                _ => uri.to_string(),
            }
        };
        let display = given.display.as_deref().filter(|name| is_harmless(name));
        Some(match display {
            Some(name) => format!("\"{name}\" <{uri}>"),
            None => format!("<{uri}>"),
        })
    }

    /// The number the caller's trunk vouches for, as the trunk called writes it.
    fn asserted_number(&self) -> Option<String> {
        let numbers = asserted_numbers(self.source);
        numbers.first().map(|number| (self.write)(number))
    }

    fn verstat(&self, address: &NameAddr, to: &TrunkProfile) -> Option<String> {
        let crosses = self.source.is_signed_by_trusted() && signed::may_cross(to);
        crosses.then(|| signed::verstat(address)).flatten()
    }
}

/// A URI of ours for a number, with `user=phone` where it is a global one (RFC 3261 §19.1.6).
fn phone(number: &str, verstat: Option<&str>, host: &str) -> Uri {
    let user = [number, verstat.unwrap_or_default()].concat();
    let params: &[_] = match number.starts_with('+') {
        true => &[("user", "phone")],
        false => &[],
    };
    Uri::sip_with(Some(&user), host, None, params)
}

/// What `to` is told of the caller's wish for privacy.
fn privacy(source: &Headers, to: &TrunkProfile) -> Option<String> {
    let policy = to.identity.privacy;
    let told = policy != Privacy::Strip && to.trust == Trust::Trusted;
    let mut words: Vec<String> = source.privacy();
    words.retain(|word| told && PRIVACY.contains(&word.as_str()));
    if policy == Privacy::Add {
        words.retain(|word| word != "none");
        words.push("id".to_owned());
    }
    let mut unique = Vec::new();
    for word in words {
        if !unique.contains(&word) {
            unique.push(word);
        }
    }
    (!unique.is_empty()).then(|| unique.join(";"))
}
