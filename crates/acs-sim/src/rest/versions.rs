//! Which versions each area of the interface has.

use super::answer::Answer;
use super::request::Request;

const SIP_ROUTING: &[&str] = &[
    "2021-05-01",
    "2021-05-01-preview",
    "2021-09-01-preview",
    "2022-09-01-preview",
    "2022-10-01-preview",
    "2023-01-01-preview",
    "2023-03-01",
    "2023-04-01-preview",
];

const NUMBERS: &[&str] = &[
    "2021-03-07",
    "2022-01-11-preview2",
    "2022-12-01",
    "2023-05-01-preview",
    "2024-03-01-preview",
    "2025-02-11",
    "2025-04-01",
    "2025-06-01",
];

const CALLS: &[&str] = &[
    "2022-04-07-preview",
    "2023-01-15-preview",
    "2023-03-06",
    "2023-06-15-preview",
    "2023-10-03-preview",
    "2023-10-15",
    "2024-01-22-preview",
    "2024-04-15",
    "2024-06-15-preview",
    "2024-09-15",
    "2025-05-15",
    "2025-06-15",
    "2026-03-12",
];

/// An area of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    SipRouting,
    Numbers,
    Calls,
}

impl Area {
    /// The area a path belongs to.
    pub(super) fn of(segments: &[String]) -> Option<Self> {
        match segments.first().map(String::as_str) {
            Some("sip") => Some(Self::SipRouting),
            Some("phoneNumbers" | "availablePhoneNumbers") => Some(Self::Numbers),
            Some("calling") => Some(Self::Calls),
            Some(_) | None => None,
        }
    }

    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::SipRouting => SIP_ROUTING,
            Self::Numbers => NUMBERS,
            Self::Calls => CALLS,
        }
    }

    /// Refuses what names no version, or one this area never had. A link Azure gave is followed
    /// without one by some clients.
    pub(super) fn check(self, request: &Request, segments: &[String]) -> Result<(), Answer> {
        let known = self.versions();
        match request.query("api-version") {
            Some(version) if known.contains(&version.as_str()) => Ok(()),
            Some(version) => Err(Answer::error(
                400,
                "UnsupportedApiVersionValue",
                &format!(
                    "The api-version '{version}' is not one of {}.",
                    known.join(", ")
                ),
            )),
            None if segments.iter().any(|part| part == "operations") => Ok(()),
            None => Err(Answer::error(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter is required for all requests.",
            )),
        }
    }
}
