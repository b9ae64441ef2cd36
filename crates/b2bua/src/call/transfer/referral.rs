//! What a REFER asks for (RFC 3515, RFC 3892, RFC 4488).

use bytes::Bytes;
use sip_msg::{HeaderName, Headers, NameAddr, Replaces, Request, Scheme, StatusCode, Uri};
use sip_ua::ServerKey;

use crate::core::{Core, Reply};
use crate::profile::TrunkProfile;

/// A REFER, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Referral {
    /// The URI of Refer-To as written, but for its header fields and `method`, which may not stand
    /// in a Request-URI (RFC 3261 §19.1.1).
    pub(crate) target: Uri,
    /// Referred-By, octet for octet.
    pub(crate) referred_by: Option<Bytes>,
    /// The dialog that the new one is to replace.
    pub(crate) replaces: Option<Replaces>,
    /// Whether the referrer wants to be told (RFC 4488).
    pub(crate) notify: bool,
    /// The CSeq of the REFER, which names its subscription.
    pub(crate) id: u32,
}

/// Why a REFER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Why, as a reason phrase.
    pub(crate) phrase: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, phrase: &'static str) -> Self {
        Self { status, phrase }
    }

    /// Answers a request with it.
    pub(crate) fn answer(self, core: &mut Core, server: ServerKey, trunk: &TrunkProfile) {
        let mut reply = Reply::new(self.status);
        reply.phrase = Some(self.phrase.into());
        core.reply(server, trunk, reply);
    }
}

impl Referral {
    /// Reads a REFER.
    ///
    /// # Errors
    /// 400 without exactly one readable Refer-To (RFC 3515 §2.4.2) or with a Referred-By or
    /// Replaces that is none; 416 for a URI that is not called; 603 for another method than INVITE.
    pub(crate) fn read(request: &Request) -> Result<Self, Refusal> {
        let bad = |phrase| Refusal::new(StatusCode::BAD_REQUEST, phrase);
        let headers = &request.headers;
        let to = match headers.items(&HeaderName::ReferTo).take(2).count() {
            1 => headers.refer_to().ok().flatten(),
            _ => return Err(bad("Exactly One Refer-To Is Needed")),
        };
        let NameAddr { uri, .. } = to.ok_or_else(|| bad("Malformed Refer-To"))?;
        if uri.scheme() == Scheme::Other {
            let status = StatusCode::UNSUPPORTED_URI_SCHEME;
            return Err(Refusal::new(status, "Refer-To Names Nobody to Call"));
        }
        let invite =
            |method: Option<&str>| method.is_some_and(|m| m.eq_ignore_ascii_case("INVITE"));
        if uri.param("method").is_some_and(|method| !invite(method)) {
            let phrase = "Only INVITE Is Referred To Here";
            return Err(Refusal::new(StatusCode::DECLINE, phrase));
        }
        if headers.referred_by().is_err() {
            return Err(bad("Malformed Referred-By"));
        }
        let replaces = match embedded(&uri, "Replaces") {
            Some(value) => Some(Replaces::parse(value).map_err(|_| bad("Malformed Replaces"))?),
            None => None,
        };
        Ok(Self {
            target: uri.without_headers().without_param("method"),
            referred_by: headers
                .get(&HeaderName::ReferredBy)
                .map(Bytes::copy_from_slice),
            replaces,
            notify: !declines_subscription(headers),
            id: headers.cseq().map_or(0, |cseq| cseq.seq),
        })
    }
}

/// Whether the referrer asks for no subscription (RFC 4488 §4).
fn declines_subscription(headers: &Headers) -> bool {
    let value = headers.get_str(&HeaderName::ReferSub).unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().eq_ignore_ascii_case("false")
}

/// The value of a header field embedded in a URI (RFC 3261 §19.1.1), its escapes decoded.
fn embedded(uri: &Uri, name: &str) -> Option<Bytes> {
    let fields = uri.headers()?.split('&');
    let mut pairs = fields.filter_map(|field| field.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(unescaped(value))
}

fn unescaped(value: &str) -> Bytes {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octet = match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        at += if octet.is_some() { 3 } else { 1 };
        out.push(octet.unwrap_or(byte));
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use sip_msg::Method;

    use super::*;

    fn read(headers: &[(HeaderName, &str)]) -> Result<Referral, u16> {
        let mut request = Request::new(Method::Refer, Uri::sip(None, "sbc.contoso.example", None));
        request.headers.push(HeaderName::CSeq, "7 REFER");
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        Referral::read(&request).map_err(|refusal| refusal.status.code())
    }

    fn to(value: &str) -> Result<Referral, u16> {
        read(&[(HeaderName::ReferTo, value)])
    }

    #[test]
    fn the_target_is_kept_octet_for_octet() {
        let value = "<sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:OrgId:dFc%3D;x-t=1>";
        let referral = to(value).unwrap();
        assert_eq!(format!("<{}>", referral.target), value);
        assert_eq!((referral.id, referral.notify), (7, true));
        let long = format!("<sip:p.example;x-m={}>", "a%3D".repeat(1_000));
        assert_eq!(format!("<{}>", to(&long).unwrap().target), long);
    }

    #[test]
    fn header_fields_of_the_target_are_taken_out() {
        let value =
            "<sip:b@p.example;method=INVITE?Replaces=c%40h%3Bto-tag%3Dt%3Bfrom-tag%3Df&X=1>";
        let referral = to(value).unwrap();
        assert_eq!(referral.target.as_str(), "sip:b@p.example");
        let replaces = referral.replaces.unwrap();
        assert_eq!(replaces.to_string(), "c@h;to-tag=t;from-tag=f");
    }

    #[test]
    fn what_is_no_transfer_is_refused() {
        let refer_to = |value| (HeaderName::ReferTo, value);
        assert_eq!(read(&[]), Err(400));
        assert_eq!(
            read(&[refer_to("<sip:a@h>"), refer_to("<sip:b@h>")]),
            Err(400)
        );
        assert_eq!(to("<sip:a@h>, <sip:b@h>"), Err(400));
        assert_eq!(to("<sip:a@h"), Err(400));
        assert_eq!(to("<sip:a@h?Replaces=nothing>"), Err(400));
        assert_eq!(to("<http://h/>"), Err(416));
        assert_eq!(to("<sip:a@h;method=BYE>"), Err(603));
        let by = (HeaderName::ReferredBy, "<sip:");
        assert_eq!(read(&[refer_to("<sip:a@h>"), by]), Err(400));
    }

    #[test]
    fn a_referrer_need_not_be_told() {
        let quiet = read(&[
            (HeaderName::ReferTo, "<sip:a@h>"),
            (HeaderName::ReferSub, "False;x"),
        ]);
        assert!(!quiet.unwrap().notify);
    }
}
