//! A trunk that balks at an extension, at the codecs or at the size of an INVITE is asked once
//! more, in other or fewer words (RFC 3261 §8.1.3.5, §21.4.26).

use sdp::{Audio, Format, Policy, SessionDescription};
use sip_msg::{HeaderName, Headers, Response, StatusCode};

use super::attempt::Trying;
use super::setup::Setup;
use super::{Head, Phase};
use crate::core::Core;
use crate::failure;
use crate::passlist::is_dispensable;

/// What the next INVITE says otherwise.
#[derive(Debug)]
pub(crate) enum Concession {
    /// Of extensions.
    Extensions {
        /// Option tags that it does not mention.
        omits: Vec<String>,
        /// Option tags that it says are supported.
        adds: Vec<String>,
    },
    /// It goes without what is long and dispensable.
    Shortened,
    /// Of the speech: the caller's is converted, to these formats.
    Speech(Box<Audio>),
}

impl Concession {
    /// What of header fields can be conceded to this refusal of an INVITE with those that were
    /// sent; `None` where nothing can.
    fn to(response: &Response, sent: &Headers, supports: impl Fn(&str) -> bool) -> Option<Self> {
        let (omits, adds) = match response.status {
            StatusCode::BAD_EXTENSION => (response.headers.unsupported(), Vec::new()),
            StatusCode::EXTENSION_REQUIRED => (Vec::new(), response.headers.require()),
            StatusCode::REQUEST_ENTITY_TOO_LARGE | StatusCode::MESSAGE_TOO_LARGE => {
                let shorter = sent.iter().any(|field| is_dispensable(&field));
                return shorter.then_some(Self::Shortened);
            }
            _ => return None,
        };
        let possible = adds.iter().all(|tag| supports(tag));
        let empty = omits.is_empty() && adds.is_empty();
        (possible && !empty).then_some(Self::Extensions { omits, adds })
    }

    /// A party that takes none of the formats the caller speaks may take one of those that the
    /// caller's speech can be converted to.
    fn converting(response: &Response, spoken: &Audio, policy: &Policy) -> Option<Self> {
        let formats = match response.status {
            StatusCode::NOT_ACCEPTABLE_HERE => policy.converted(&spoken.formats)?,
            _ => return None,
        };
        let beside = spoken.formats.iter().filter(|format| !format.is_voice());
        let beside: Vec<Format> = beside.cloned().collect();
        Some(Self::Speech(Box::new(Audio {
            formats: [formats, beside].concat(),
            ..spoken.clone()
        })))
    }

    /// What can be conceded to the refusal of an attempt to which nothing was conceded yet;
    /// `spoken` is what the party that is to be joined to it speaks, where that is known.
    pub(crate) fn of(trying: &Trying, response: &Response, spoken: Option<&Audio>) -> Option<Self> {
        if trying.conceded {
            return None;
        }
        let sent = &trying.request.headers;
        let converting = || Self::converting(response, spoken?, &trying.trunk.sdp_policy());
        Self::to(response, sent, |tag| trying.trunk.supports(tag)).or_else(converting)
    }

    /// What the caller is made to say.
    pub(crate) fn speech(&self) -> Option<&Audio> {
        match self {
            Self::Speech(audio) => Some(audio),
            Self::Extensions { .. } | Self::Shortened => None,
        }
    }

    /// Makes the header fields of an INVITE say it.
    pub(crate) fn apply(&self, headers: &mut Headers) {
        let (omits, adds) = match self {
            Self::Extensions { omits, adds } => (omits, adds),
            Self::Shortened => return headers.retain(|field| !is_dispensable(&field)),
            Self::Speech(_) => return,
        };
        for (name, mut tags) in [
            (HeaderName::Supported, headers.supported()),
            (HeaderName::Require, headers.require()),
        ] {
            let named = |list: &[String], tag: &str| {
                list.iter().any(|other| other.eq_ignore_ascii_case(tag))
            };
            tags.retain(|tag| !named(omits, tag));
            if name == HeaderName::Supported {
                let new = adds.iter().filter(|tag| !named(&tags, tag));
                let new: Vec<String> = new.cloned().collect();
                tags.extend(new);
            }
            match tags.is_empty() {
                true => {
                    headers.remove(&name);
                }
                false => headers.set(name, tags.join(", ")),
            }
        }
    }
}

impl Setup {
    /// The called party refused the INVITE. Once for each attempt, what it balks at is left out.
    pub(super) fn refused(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        response: Response,
    ) -> Phase {
        let (failure, said) = self.failure_said(&response);
        let spoken = self.offer.as_ref().and_then(SessionDescription::audio);
        let trying = self.trying.as_ref();
        let concession = trying.and_then(|trying| Concession::of(trying, &response, spoken));
        let Some(concession) = concession else {
            return self.failed(core, head, failure, said);
        };
        if let Some(trying) = self.trying.take() {
            if !trying.is_elsewhere() {
                core.report_health(&trying.trunk.name, trying.peer, &failure);
            }
            let again = trying.attempt.clone();
            trying.abandon(core, head, &failure, &failure::judge(&failure));
            self.plan.push_front(again);
        }
        self.concession = Some(concession);
        self.advance(core, head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: StatusCode, name: HeaderName, tags: &str) -> Response {
        let mut response = Response::new(status);
        response.headers.push(name, tags);
        response
    }

    #[test]
    fn what_is_not_supported_is_left_out_and_what_is_required_is_added() {
        let supports = |tag: &str| tag == "timer";
        let mut headers = Headers::new();
        headers.push(HeaderName::Supported, "replaces, 100rel");
        let bad = refusal(StatusCode::BAD_EXTENSION, HeaderName::Unsupported, "100rel");
        let none = Headers::new();
        let conceded = Concession::to(&bad, &none, supports).unwrap();
        conceded.apply(&mut headers);
        assert_eq!(headers.supported(), ["replaces"]);
        let required = refusal(StatusCode::EXTENSION_REQUIRED, HeaderName::Require, "timer");
        let concession = Concession::to(&required, &none, supports).unwrap();
        concession.apply(&mut headers);
        assert_eq!(headers.supported(), ["replaces", "timer"]);
    }

    #[test]
    fn nothing_is_conceded_that_cannot_be() {
        let unknown = refusal(
            StatusCode::EXTENSION_REQUIRED,
            HeaderName::Require,
            "precondition",
        );
        let none = Headers::new();
        assert!(Concession::to(&unknown, &none, |_| false).is_none());
        let busy = refusal(StatusCode::BUSY_HERE, HeaderName::Unsupported, "100rel");
        assert!(Concession::to(&busy, &none, |_| true).is_none());
        let large = Response::new(StatusCode::MESSAGE_TOO_LARGE);
        assert!(Concession::to(&large, &none, |_| true).is_none());
    }

    #[test]
    fn what_is_too_large_is_said_in_fewer_words() {
        let mut headers = Headers::new();
        headers.push(HeaderName::Supported, "timer");
        headers.push(HeaderName::HistoryInfo, "<sip:1@h>;index=1");
        headers.push(HeaderName::Diversion, "<sip:1@h>");
        headers.push(HeaderName::UserToUser, "00;encoding=hex");
        for status in [
            StatusCode::MESSAGE_TOO_LARGE,
            StatusCode::REQUEST_ENTITY_TOO_LARGE,
        ] {
            let large = Response::new(status);
            let concession = Concession::to(&large, &headers, |_| false).unwrap();
            let mut shorter = headers.clone();
            concession.apply(&mut shorter);
            assert_eq!(shorter.iter().count(), 1);
            assert!(shorter.contains(&HeaderName::Supported));
        }
    }
}
