//! What every message must have before anybody acts on it.

use super::{Draft, ParseError, Start};
use crate::values::{CSeq, is_call_id};
use crate::{HeaderError, HeaderName, Headers, NameAddr, Rule, Via, lex};

/// Fields that decide what a message is, and may therefore be there once only.
const SINGLE: [HeaderName; 15] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::Expires,
    HeaderName::Event,
    HeaderName::ReferTo,
    HeaderName::ReferredBy,
    HeaderName::Replaces,
    HeaderName::SessionExpires,
    HeaderName::RAck,
    HeaderName::RSeq,
];

fn error(name: &HeaderName, rule: Rule) -> ParseError {
    HeaderError {
        name: name.clone(),
        rule,
    }
    .into()
}

impl Draft {
    /// The first rule the header fields break.
    pub(super) fn validate(&self, vias: usize) -> Result<(), ParseError> {
        let headers = &self.headers;
        for name in &SINGLE {
            if headers.get_all(name).nth(1).is_some() {
                return Err(error(name, Rule::Repeated));
            }
        }
        let mut hops = 0;
        check(headers, &HeaderName::Via, |item| {
            hops += 1;
            Via::check(item)
        })?;
        if hops > vias {
            return Err(ParseError::TooManyVias);
        }
        if hops == 0 {
            return Err(error(&HeaderName::Via, Rule::Missing));
        }
        NameAddr::check(one(headers, &HeaderName::From)?)
            .map_err(|rule| error(&HeaderName::From, rule))?;
        NameAddr::check(one(headers, &HeaderName::To)?)
            .map_err(|rule| error(&HeaderName::To, rule))?;
        if !is_call_id(one(headers, &HeaderName::CallId)?) {
            return Err(error(&HeaderName::CallId, Rule::Syntax));
        }
        let cseq = one(headers, &HeaderName::CSeq)?;
        let (_, method) = CSeq::split(cseq).map_err(|rule| error(&HeaderName::CSeq, rule))?;
        match &self.start {
            Start::Request(ours, _) => {
                if ours
                    .as_ref()
                    .is_none_or(|ours| ours.as_str().as_bytes() != method)
                {
                    return Err(error(&HeaderName::CSeq, Rule::Method));
                }
                validate_request(headers)
            }
            Start::Response(_) => Ok(()),
        }
    }
}

fn validate_request(headers: &Headers) -> Result<(), ParseError> {
    headers.max_forwards()?;
    if !headers.contact_is_star() {
        check(headers, &HeaderName::Contact, NameAddr::check)?;
    }
    check(headers, &HeaderName::Route, NameAddr::check)?;
    check(headers, &HeaderName::RecordRoute, NameAddr::check)
}

fn one<'h>(headers: &'h Headers, name: &HeaderName) -> Result<&'h [u8], ParseError> {
    headers.get(name).ok_or_else(|| error(name, Rule::Missing))
}

/// Checks every item of a list; unlike when it is read, empty items are errors.
fn check(
    headers: &Headers,
    name: &HeaderName,
    mut rule: impl FnMut(&[u8]) -> Result<(), Rule>,
) -> Result<(), ParseError> {
    for mut rest in headers.get_all(name) {
        loop {
            let comma = lex::find_outside(rest, b',');
            let item = lex::trim(&rest[..comma.unwrap_or(rest.len())]);
            rule(item).map_err(|rule| error(name, rule))?;
            match comma {
                Some(comma) => rest = &rest[comma + 1..],
                None => break,
            }
        }
    }
    Ok(())
}
