//! A trunk that balks at an extension is asked once more, in other words (RFC 3261 §8.1.3.5).

use sip_msg::{HeaderName, Headers, Response, StatusCode};

use super::setup::Setup;
use super::{Head, Phase};
use crate::core::Core;
use crate::failure;

/// What the next INVITE says otherwise of extensions.
#[derive(Debug)]
pub(crate) struct Concession {
    /// Option tags that it does not mention.
    omits: Vec<String>,
    /// Option tags that it says are supported.
    adds: Vec<String>,
}

impl Concession {
    /// What can be conceded to this refusal; `None` where nothing can.
    fn to(response: &Response, supports: impl Fn(&str) -> bool) -> Option<Self> {
        let concession = match response.status {
            StatusCode::BAD_EXTENSION => Self {
                omits: response.headers.unsupported(),
                adds: Vec::new(),
            },
            StatusCode::EXTENSION_REQUIRED => Self {
                omits: Vec::new(),
                adds: response.headers.require(),
            },
            _ => return None,
        };
        let possible = concession.adds.iter().all(|tag| supports(tag));
        let empty = concession.omits.is_empty() && concession.adds.is_empty();
        (possible && !empty).then_some(concession)
    }

    /// Makes the header fields of an INVITE say it.
    pub(crate) fn apply(&self, headers: &mut Headers) {
        for (name, mut tags) in [
            (HeaderName::Supported, headers.supported()),
            (HeaderName::Require, headers.require()),
        ] {
            let named = |list: &[String], tag: &str| {
                list.iter().any(|other| other.eq_ignore_ascii_case(tag))
            };
            tags.retain(|tag| !named(&self.omits, tag));
            if name == HeaderName::Supported {
                let new = self.adds.iter().filter(|tag| !named(&tags, tag));
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
        let trying = self.trying.as_ref().filter(|trying| !trying.conceded);
        let concession =
            trying.and_then(|trying| Concession::to(&response, |tag| trying.trunk.supports(tag)));
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
        Concession::to(&bad, supports).unwrap().apply(&mut headers);
        assert_eq!(headers.supported(), ["replaces"]);
        let required = refusal(StatusCode::EXTENSION_REQUIRED, HeaderName::Require, "timer");
        let concession = Concession::to(&required, supports).unwrap();
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
        assert!(Concession::to(&unknown, |_| false).is_none());
        let busy = refusal(StatusCode::BUSY_HERE, HeaderName::Unsupported, "100rel");
        assert!(Concession::to(&busy, |_| true).is_none());
    }
}
