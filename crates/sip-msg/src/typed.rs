//! Header fields read as what they mean, when somebody asks.

mod capability;
mod information;

use std::time::Duration;

use bytes::Bytes;

use crate::values::{self, CSeq, Parameterised, RAck, ReasonValue, Replaces, SessionExpires};
use crate::{HeaderError, HeaderName, Headers, NameAddr, Rule, Via, lex};

type Result<T> = std::result::Result<T, HeaderError>;

fn error(name: &HeaderName, rule: Rule) -> HeaderError {
    HeaderError {
        name: name.clone(),
        rule,
    }
}

/// What every message carries.
impl Headers {
    /// The topmost Via.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn top_via(&self) -> Result<Via> {
        self.first_item(&HeaderName::Via, Via::parse)
    }

    /// Every Via, topmost first.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn vias(&self) -> Result<Vec<Via>> {
        self.every_item(&HeaderName::Via, Via::parse)
    }

    /// From.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn from(&self) -> Result<NameAddr> {
        self.one(&HeaderName::From, NameAddr::parse)
    }

    /// To.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn to(&self) -> Result<NameAddr> {
        self.one(&HeaderName::To, NameAddr::parse)
    }

    /// The tag in From, if there is one.
    pub fn from_tag(&self) -> Option<String> {
        self.tag_of(&HeaderName::From)
    }

    /// The tag in To, if there is one.
    pub fn to_tag(&self) -> Option<String> {
        self.tag_of(&HeaderName::To)
    }

    /// Call-ID.
    ///
    /// # Errors
    /// If there is none, or it has other characters than RFC 3261 §25.1 allows.
    pub fn call_id(&self) -> Result<&str> {
        let name = HeaderName::CallId;
        let value = self.get(&name).ok_or_else(|| error(&name, Rule::Missing))?;
        if !values::is_call_id(value) {
            return Err(error(&name, Rule::Syntax));
        }
        str::from_utf8(value).map_err(|_| error(&name, Rule::Syntax))
    }

    /// CSeq.
    ///
    /// # Errors
    /// If there is none, it is malformed, or its number is not below 2^31.
    pub fn cseq(&self) -> Result<CSeq> {
        self.one(&HeaderName::CSeq, |value| CSeq::parse(&value))
    }

    /// Max-Forwards, 0 to 255.
    ///
    /// # Errors
    /// If it is not such a number.
    pub fn max_forwards(&self) -> Result<Option<u8>> {
        self.number(&HeaderName::MaxForwards)
    }
}

/// Addresses and routes.
impl Headers {
    /// Every Contact; none for `*`, see [`Headers::contact_is_star`].
    ///
    /// # Errors
    /// If one is malformed.
    pub fn contacts(&self) -> Result<Vec<NameAddr>> {
        if self.contact_is_star() {
            return Ok(Vec::new());
        }
        self.addresses(&HeaderName::Contact)
    }

    /// Whether Contact is `*`, as a REGISTER that removes all bindings has it.
    pub fn contact_is_star(&self) -> bool {
        self.get(&HeaderName::Contact) == Some(b"*")
    }

    /// Every Route, the next one first.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn routes(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::Route)
    }

    /// Every Record-Route, topmost first.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::RecordRoute)
    }

    /// Every Path, RFC 3327.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn paths(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::Path)
    }

    /// Every Service-Route, RFC 3608.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn service_routes(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::ServiceRoute)
    }

    /// Every P-Asserted-Identity, RFC 3325: at most one `sip:` and one `tel:` by the rules.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn p_asserted_identities(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::PAssertedIdentity)
    }

    /// Every P-Preferred-Identity, RFC 3325.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn p_preferred_identities(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::PPreferredIdentity)
    }

    /// Every Remote-Party-ID, as older elements send instead of P-Asserted-Identity.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn remote_party_ids(&self) -> Result<Vec<NameAddr>> {
        self.addresses(&HeaderName::RemotePartyId)
    }

    /// Refer-To, RFC 3515.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn refer_to(&self) -> Result<Option<NameAddr>> {
        self.optional(&HeaderName::ReferTo, NameAddr::parse)
    }

    /// Referred-By, RFC 3892.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn referred_by(&self) -> Result<Option<NameAddr>> {
        self.optional(&HeaderName::ReferredBy, NameAddr::parse)
    }

    /// The entries of History-Info, RFC 7044, as written.
    pub fn history_info(&self) -> impl Iterator<Item = &[u8]> {
        self.items(&HeaderName::HistoryInfo)
    }

    /// The entries of Diversion, RFC 5806, as written.
    pub fn diversion(&self) -> impl Iterator<Item = &[u8]> {
        self.items(&HeaderName::Diversion)
    }
}

/// Dialogs, sessions and their timers.
impl Headers {
    /// Every readable value of Reason, RFC 3326. It is information only: what is malformed is
    /// left out.
    pub fn reason(&self) -> Vec<ReasonValue> {
        self.items(&HeaderName::Reason)
            .filter_map(|item| ReasonValue::parse(&self.share(item)).ok())
            .collect()
    }

    /// Replaces, RFC 3891.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn replaces(&self) -> Result<Option<Replaces>> {
        self.optional(&HeaderName::Replaces, Replaces::parse)
    }

    /// Session-Expires, RFC 4028.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>> {
        self.optional(&HeaderName::SessionExpires, |value| {
            SessionExpires::parse(&value)
        })
    }

    /// Min-SE, RFC 4028.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn min_se(&self) -> Result<Option<Duration>> {
        self.optional(&HeaderName::MinSe, |value| {
            values::seconds_and_params(&value).map(|(seconds, _)| Duration::from_secs(seconds))
        })
    }

    /// RAck, RFC 3262.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn rack(&self) -> Result<Option<RAck>> {
        self.optional(&HeaderName::RAck, |value| RAck::parse(&value))
    }

    /// RSeq, RFC 3262.
    ///
    /// # Errors
    /// If it is not a number.
    pub fn rseq(&self) -> Result<Option<u32>> {
        self.number(&HeaderName::RSeq)
    }

    /// Expires in seconds.
    ///
    /// # Errors
    /// If it is not a number below 2^32.
    pub fn expires(&self) -> Result<Option<u32>> {
        self.number(&HeaderName::Expires)
    }

    /// Min-Expires in seconds.
    ///
    /// # Errors
    /// If it is not a number below 2^32.
    pub fn min_expires(&self) -> Result<Option<u32>> {
        self.number(&HeaderName::MinExpires)
    }

    /// Retry-After in seconds; `None` also if it is malformed, since nothing depends on it.
    pub fn retry_after(&self) -> Option<u32> {
        let value = self.get(&HeaderName::RetryAfter)?;
        let (seconds, _) = values::seconds_and_params(&self.share(value)).ok()?;
        u32::try_from(seconds).ok()
    }

    /// Event, RFC 6665.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn event(&self) -> Result<Option<Parameterised>> {
        self.optional(&HeaderName::Event, |value| Parameterised::parse(&value))
    }

    /// Subscription-State, RFC 6665.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn subscription_state(&self) -> Result<Option<Parameterised>> {
        self.optional(&HeaderName::SubscriptionState, |value| {
            Parameterised::parse(&value)
        })
    }
}

impl Headers {
    /// The tag in From or To. Where it is asked for, again and again, nothing else matters of a
    /// value that was read when the message came.
    fn tag_of(&self, name: &HeaderName) -> Option<String> {
        let value = self.get(name)?;
        match NameAddr::tag_in(value) {
            Some(tag) => tag.map(str::to_owned),
            None => {
                let read = NameAddr::parse(self.share(value)).ok()?;
                read.tag().map(str::to_owned)
            }
        }
    }

    fn addresses(&self, name: &HeaderName) -> Result<Vec<NameAddr>> {
        self.every_item(name, NameAddr::parse)
    }

    fn tokens(&self, name: &HeaderName) -> Vec<String> {
        self.items(name)
            .filter_map(lex::token)
            .map(str::to_owned)
            .collect()
    }

    fn number<T: TryFrom<u64>>(&self, name: &HeaderName) -> Result<Option<T>> {
        self.get(name)
            .map(|value| lex::number(value).ok_or_else(|| error(name, Rule::Number)))
            .transpose()
    }

    fn optional<T>(
        &self,
        name: &HeaderName,
        parse: impl FnOnce(Bytes) -> std::result::Result<T, Rule>,
    ) -> Result<Option<T>> {
        self.get(name)
            .map(|value| parse(self.share(value)).map_err(|rule| error(name, rule)))
            .transpose()
    }

    fn one<T>(
        &self,
        name: &HeaderName,
        parse: impl FnOnce(Bytes) -> std::result::Result<T, Rule>,
    ) -> Result<T> {
        self.optional(name, parse)?
            .ok_or_else(|| error(name, Rule::Missing))
    }

    fn first_item<T>(
        &self,
        name: &HeaderName,
        parse: impl FnOnce(Bytes) -> std::result::Result<T, Rule>,
    ) -> Result<T> {
        let item = self
            .items(name)
            .next()
            .ok_or_else(|| error(name, Rule::Missing))?;
        parse(self.share(item)).map_err(|rule| error(name, rule))
    }

    fn every_item<T>(
        &self,
        name: &HeaderName,
        parse: impl Fn(Bytes) -> std::result::Result<T, Rule>,
    ) -> Result<Vec<T>> {
        self.items(name)
            .map(|item| parse(self.share(item)).map_err(|rule| error(name, rule)))
            .collect()
    }
}
