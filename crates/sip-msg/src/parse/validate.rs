//! What every message must have before anybody acts on it.

use super::{Draft, ParseError, Start};
use crate::name::OTHER;
use crate::values::{CSeq, is_call_id};
use crate::{HeaderError, HeaderName, NameAddr, Rule, Via, lex};

const VIA: u8 = HeaderName::Via.index();
const FROM: u8 = HeaderName::From.index();
const TO: u8 = HeaderName::To.index();
const CALL_ID: u8 = HeaderName::CallId.index();
const CSEQ: u8 = HeaderName::CSeq.index();
const MAX_FORWARDS: u8 = HeaderName::MaxForwards.index();
const CONTACT: u8 = HeaderName::Contact.index();
const ROUTE: u8 = HeaderName::Route.index();
const RECORD_ROUTE: u8 = HeaderName::RecordRoute.index();

/// Fields no message goes without, RFC 3261 §8.1.1 but for Max-Forwards, which RFC 2543 did not
/// know.
const MANDATORY: [u8; 5] = [VIA, FROM, TO, CALL_ID, CSEQ];

/// Fields that decide what a message is, and may therefore be there once only.
const SINGLE: u128 = bit(FROM)
    | bit(TO)
    | bit(CALL_ID)
    | bit(CSEQ)
    | bit(MAX_FORWARDS)
    | bit(HeaderName::ContentLength.index())
    | bit(HeaderName::ContentType.index())
    | bit(HeaderName::Expires.index())
    | bit(HeaderName::Event.index())
    | bit(HeaderName::ReferTo.index())
    | bit(HeaderName::ReferredBy.index())
    | bit(HeaderName::Replaces.index())
    | bit(HeaderName::SessionExpires.index())
    | bit(HeaderName::RAck.index())
    | bit(HeaderName::RSeq.index());

/// The bit of a name in a set; names without a variant share the highest.
const fn bit(index: u8) -> u128 {
    1 << if index == OTHER { 127 } else { index }
}

fn error(index: u8, rule: Rule) -> ParseError {
    let name = HeaderName::known(index).cloned();
    let name = name.expect("only names with a variant have rules");
    HeaderError { name, rule }.into()
}

impl Draft {
    /// The first rule the header fields break, in the order they came.
    pub(super) fn validate(&self, vias: usize) -> Result<(), ParseError> {
        let mut seen = 0;
        let mut hops = 0;
        for (index, value) in self.headers.indexed() {
            if seen & SINGLE & bit(index) != 0 {
                return Err(error(index, Rule::Repeated));
            }
            seen |= bit(index);
            if index == VIA {
                hops += items(value, Via::check).map_err(|rule| error(VIA, rule))?;
            } else {
                self.check_field(index, value)
                    .map_err(|rule| error(index, rule))?;
            }
        }
        if hops > vias {
            return Err(ParseError::TooManyVias);
        }
        match MANDATORY.iter().find(|&&index| seen & bit(index) == 0) {
            Some(&index) => Err(error(index, Rule::Missing)),
            None => Ok(()),
        }
    }

    fn check_field(&self, index: u8, value: &[u8]) -> Result<(), Rule> {
        match (index, &self.start) {
            (FROM | TO, _) => NameAddr::check(value),
            (CALL_ID, _) => is_call_id(value).then_some(()).ok_or(Rule::Syntax),
            (CSEQ, start) => {
                let (_, method) = CSeq::split(value)?;
                match start {
                    Start::Request(Some(ours), _) if ours.as_str().as_bytes() != method => {
                        Err(Rule::Method)
                    }
                    Start::Request(..) | Start::Response(_) => Ok(()),
                }
            }
            // A response with one of these malformed is of use still.
            (_, Start::Response(_)) => Ok(()),
            (MAX_FORWARDS, Start::Request(..)) => {
                lex::number::<u8>(value).map(|_| ()).ok_or(Rule::Number)
            }
            (CONTACT, Start::Request(..)) if value == b"*" => Ok(()),
            (CONTACT | ROUTE | RECORD_ROUTE, Start::Request(..)) => {
                items(value, NameAddr::check).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

/// Checks every item of a list and counts them; unlike when it is read, empty items are errors.
fn items(mut value: &[u8], rule: impl Fn(&[u8]) -> Result<(), Rule>) -> Result<usize, Rule> {
    let mut count = 1;
    while let Some(comma) = lex::find_outside(value, b',') {
        rule(lex::trim(&value[..comma]))?;
        value = &value[comma + 1..];
        count += 1;
    }
    rule(lex::trim(value))?;
    Ok(count)
}
