use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::lex;

/// The longest header field name, in octets.
pub(crate) const MAX_NAME: usize = 255;

/// What [`HeaderName::index`] is for names without a variant of their own.
pub(crate) const OTHER: u8 = u8::MAX;

macro_rules! names {
    ($($variant:ident $canonical:literal $($lower:literal)|+,)*) => {
        /// The name of a header field. Compared without regard to case, compact form or not.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(
                #[doc = concat!("`", $canonical, "`.")]
                $variant,
            )*
            /// Any other name, as written.
            Other(Box<str>),
        }

        /// Every name with a variant of its own, at its [`HeaderName::index`].
        static KNOWN: &[HeaderName] = &[$(HeaderName::$variant,)*];

        #[repr(u8)]
        enum Index { $($variant,)* }

        impl HeaderName {
            /// The name as the RFCs spell it; the others as written.
            pub fn canonical(&self) -> &str {
                match self {
                    $(Self::$variant => $canonical,)*
                    Self::Other(name) => name,
                }
            }

            pub(crate) const fn index(&self) -> u8 {
                match self {
                    $(Self::$variant => Index::$variant as u8,)*
                    Self::Other(_) => OTHER,
                }
            }

            fn index_of_lower(lower: &[u8]) -> u8 {
                match lower {
                    $($($lower)|+ => Index::$variant as u8,)*
                    _ => OTHER,
                }
            }
        }
    };
}

names! {
    Accept "Accept" b"accept",
    AcceptEncoding "Accept-Encoding" b"accept-encoding",
    AcceptLanguage "Accept-Language" b"accept-language",
    AlertInfo "Alert-Info" b"alert-info",
    Allow "Allow" b"allow",
    AllowEvents "Allow-Events" b"allow-events" | b"u",
    AuthenticationInfo "Authentication-Info" b"authentication-info",
    Authorization "Authorization" b"authorization",
    CallId "Call-ID" b"call-id" | b"i",
    CallInfo "Call-Info" b"call-info",
    Contact "Contact" b"contact" | b"m",
    ContentDisposition "Content-Disposition" b"content-disposition",
    ContentEncoding "Content-Encoding" b"content-encoding" | b"e",
    ContentLanguage "Content-Language" b"content-language",
    ContentLength "Content-Length" b"content-length" | b"l",
    ContentType "Content-Type" b"content-type" | b"c",
    CSeq "CSeq" b"cseq",
    Date "Date" b"date",
    Diversion "Diversion" b"diversion",
    ErrorInfo "Error-Info" b"error-info",
    Event "Event" b"event" | b"o",
    Expires "Expires" b"expires",
    From "From" b"from" | b"f",
    Geolocation "Geolocation" b"geolocation",
    GeolocationRouting "Geolocation-Routing" b"geolocation-routing",
    HistoryInfo "History-Info" b"history-info",
    Identity "Identity" b"identity" | b"y",
    InReplyTo "In-Reply-To" b"in-reply-to",
    Join "Join" b"join",
    MaxForwards "Max-Forwards" b"max-forwards",
    MimeVersion "MIME-Version" b"mime-version",
    MinExpires "Min-Expires" b"min-expires",
    MinSe "Min-SE" b"min-se",
    Organization "Organization" b"organization",
    PAccessNetworkInfo "P-Access-Network-Info" b"p-access-network-info",
    PAssertedIdentity "P-Asserted-Identity" b"p-asserted-identity",
    PCalledPartyId "P-Called-Party-ID" b"p-called-party-id",
    PChargingVector "P-Charging-Vector" b"p-charging-vector",
    PEarlyMedia "P-Early-Media" b"p-early-media",
    PPreferredIdentity "P-Preferred-Identity" b"p-preferred-identity",
    Path "Path" b"path",
    Priority "Priority" b"priority",
    Privacy "Privacy" b"privacy",
    ProxyAuthenticate "Proxy-Authenticate" b"proxy-authenticate",
    ProxyAuthorization "Proxy-Authorization" b"proxy-authorization",
    ProxyRequire "Proxy-Require" b"proxy-require",
    RAck "RAck" b"rack",
    Reason "Reason" b"reason",
    RecordRoute "Record-Route" b"record-route",
    RecvInfo "Recv-Info" b"recv-info",
    ReferSub "Refer-Sub" b"refer-sub",
    ReferTo "Refer-To" b"refer-to" | b"r",
    ReferredBy "Referred-By" b"referred-by" | b"b",
    RemotePartyId "Remote-Party-ID" b"remote-party-id",
    Replaces "Replaces" b"replaces",
    ReplyTo "Reply-To" b"reply-to",
    RequestDisposition "Request-Disposition" b"request-disposition" | b"d",
    Require "Require" b"require",
    RetryAfter "Retry-After" b"retry-after",
    Route "Route" b"route",
    RSeq "RSeq" b"rseq",
    Server "Server" b"server",
    ServiceRoute "Service-Route" b"service-route",
    SessionExpires "Session-Expires" b"session-expires" | b"x",
    SessionId "Session-ID" b"session-id",
    SipEtag "SIP-ETag" b"sip-etag",
    SipIfMatch "SIP-If-Match" b"sip-if-match",
    Subject "Subject" b"subject" | b"s",
    SubscriptionState "Subscription-State" b"subscription-state",
    Supported "Supported" b"supported" | b"k",
    TargetDialog "Target-Dialog" b"target-dialog",
    Timestamp "Timestamp" b"timestamp",
    To "To" b"to" | b"t",
    Unsupported "Unsupported" b"unsupported",
    UserAgent "User-Agent" b"user-agent",
    UserToUser "User-To-User" b"user-to-user",
    Via "Via" b"via" | b"v",
    Warning "Warning" b"warning",
    WwwAuthenticate "WWW-Authenticate" b"www-authenticate",
    XMsSbc "X-MS-SBC" b"x-ms-sbc",
}

impl HeaderName {
    /// The name `name` spells, in any case or in compact form (RFC 3261 §7.3.3); `None` if it is
    /// not a token of 1 to 255 octets.
    pub fn parse(name: &[u8]) -> Option<Self> {
        match Self::lookup(name)? {
            OTHER => Some(Self::Other(lex::token(name)?.into())),
            index => Some(KNOWN[usize::from(index)].clone()),
        }
    }

    /// The index of the name `name` spells, [`OTHER`] for names without a variant, without
    /// allocating.
    pub(crate) fn lookup(name: &[u8]) -> Option<u8> {
        if name.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        const LONGEST_KNOWN: usize = 24;
        let mut lower = [0; LONGEST_KNOWN];
        if let Some(lower) = lower.get_mut(..name.len()) {
            for (lower, &byte) in lower.iter_mut().zip(name) {
                if !lex::is_token_byte(byte) {
                    return None;
                }
                *lower = byte.to_ascii_lowercase();
            }
            return Some(Self::index_of_lower(lower));
        }
        lex::token(name).map(|_| OTHER)
    }

    /// The index of this name, also where a name with a variant was given as [`Self::Other`].
    pub(crate) fn normal_index(&self) -> u8 {
        if let Self::Other(name) = self {
            return Self::lookup(name.as_bytes()).unwrap_or(OTHER);
        }
        self.index()
    }

    /// The name at `index`; `None` for [`OTHER`].
    pub(crate) fn known(index: u8) -> Option<&'static Self> {
        KNOWN.get(usize::from(index))
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for HeaderName {}

impl PartialOrd for HeaderName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HeaderName {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Other(one), Self::Other(two)) => {
                let lower = |name: &str| name.bytes().map(|b| b.to_ascii_lowercase()).collect();
                let (one, two): (Vec<u8>, Vec<u8>) = (lower(one), lower(two));
                one.cmp(&two)
            }
            (one, two) => one.index().cmp(&two.index()),
        }
    }
}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.index());
        if let Self::Other(name) = self {
            for byte in name.bytes() {
                state.write_u8(byte.to_ascii_lowercase());
            }
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (index, name) in KNOWN.iter().enumerate() {
            assert_eq!(usize::from(name.index()), index);
            assert!(name.canonical().len() <= 24);
            for spelled in [
                name.canonical().to_owned(),
                name.canonical().to_uppercase(),
                name.canonical().to_lowercase(),
            ] {
                assert_eq!(
                    HeaderName::parse(spelled.as_bytes()).as_ref(),
                    Some(name),
                    "{spelled}"
                );
            }
        }
    }

    #[test]
    fn compact_forms_are_the_registered_ones() {
        for (compact, name) in [
            ("a", None),
            ("b", Some(HeaderName::ReferredBy)),
            ("c", Some(HeaderName::ContentType)),
            ("d", Some(HeaderName::RequestDisposition)),
            ("e", Some(HeaderName::ContentEncoding)),
            ("f", Some(HeaderName::From)),
            ("i", Some(HeaderName::CallId)),
            ("k", Some(HeaderName::Supported)),
            ("l", Some(HeaderName::ContentLength)),
            ("m", Some(HeaderName::Contact)),
            ("o", Some(HeaderName::Event)),
            ("r", Some(HeaderName::ReferTo)),
            ("s", Some(HeaderName::Subject)),
            ("t", Some(HeaderName::To)),
            ("u", Some(HeaderName::AllowEvents)),
            ("V", Some(HeaderName::Via)),
            ("x", Some(HeaderName::SessionExpires)),
            ("y", Some(HeaderName::Identity)),
        ] {
            let parsed = HeaderName::parse(compact.as_bytes()).unwrap();
            assert_eq!(
                parsed,
                name.unwrap_or_else(|| HeaderName::Other(compact.into()))
            );
        }
    }

    #[test]
    fn other_names_keep_their_spelling_and_compare_without_it() {
        let one = HeaderName::parse(b"X-MS-Custom-Key").unwrap();
        assert_eq!(one.canonical(), "X-MS-Custom-Key");
        assert_eq!(one, HeaderName::Other("x-ms-custom-KEY".into()));
        assert_ne!(one, HeaderName::Other("X-MS-Custom-Kez".into()));
        assert_eq!(HeaderName::parse(b"Via "), None);
        assert_eq!(HeaderName::parse(b""), None);
        assert_eq!(HeaderName::parse(&[b'a'; 256]), None);
    }
}
