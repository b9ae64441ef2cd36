//! Reading what a trunk wrote.

use std::fmt;

use crate::countries::{self, Country};
use crate::number::E164Number;
use crate::plan::NumberPlan;

/// Longest number that is still a short code (ITU-T E.164.1 leaves these to each country).
const SHORT_CODE: usize = 6;

/// Digits after a country code that make it plain that it is one.
const TELLING_LENGTH: usize = 8;

/// Digits and separators looked at; more than this is no telephone number.
const LONGEST_INPUT: usize = 64;

/// What a number written by a trunk is.
#[derive(Clone, PartialEq, Eq)]
pub enum Normalised {
    /// A complete international number.
    E164(E164Number),
    /// A short code, as dialled, separators removed.
    Short(String),
    /// An emergency number, as dialled, separators removed. Never rewritten.
    Emergency(String),
    /// Anything else, untouched: names, feature codes, numbers that are ambiguous or impossible.
    Other(String),
}

impl Normalised {
    /// The E.164 number, if it is one.
    #[must_use]
    pub fn e164(&self) -> Option<&E164Number> {
        match self {
            Self::E164(number) => Some(number),
            Self::Short(_) | Self::Emergency(_) | Self::Other(_) => None,
        }
    }

    /// The form patterns are matched against and records keep: `+` and digits, or as dialled.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::E164(number) => number.to_wire(),
            Self::Short(raw) | Self::Emergency(raw) | Self::Other(raw) => raw.clone(),
        }
    }
}

impl fmt::Debug for Normalised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::E164(number) => write!(f, "E164({number:?})"),
            Self::Short(raw) => write!(f, "Short({raw})"),
            Self::Emergency(raw) => write!(f, "Emergency({raw})"),
            Self::Other(raw) => write!(f, "Other({} octets)", raw.len()),
        }
    }
}

/// Whether any plan could read `raw` as an emergency number: these are short, so most numbers can be
/// told from them by their length alone.
#[must_use]
pub fn may_be_emergency(raw: &str) -> bool {
    let number = raw.bytes().take_while(|&byte| byte != b';');
    number.filter(u8::is_ascii_digit).count() <= SHORT_CODE
}

impl NumberPlan {
    /// Reads a number as this trunk writes it: the user part of a SIP URI, a `tel:` URI with or
    /// without `;phone-context` (RFC 3966), national and international dialling, `+`, visual
    /// separators.
    #[must_use]
    pub fn normalise(&self, raw: &str) -> Normalised {
        self.read(raw)
            .unwrap_or_else(|| Normalised::Other(raw.to_owned()))
    }

    fn read(&self, raw: &str) -> Option<Normalised> {
        if raw.len() > LONGEST_INPUT {
            return None;
        }
        let text = raw.trim();
        let text = match text.split_at_checked(4) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel:") => rest,
            _ => text,
        };
        let (text, parameters) = text.split_once(';').unwrap_or((text, ""));
        let written = Written::read(text)?;
        if written.plus {
            return self.international(&written).map(Normalised::E164);
        }
        let context = phone_context(parameters);
        if let Some(context) = context {
            // A number of another place: only a global context says which (RFC 3966 §5.1.5).
            let prefix = context.strip_prefix('+')?;
            let number = E164Number::from_digits(&format!("{prefix}{}", written.digits)).ok()?;
            return Some(Normalised::E164(number));
        }
        let digits = written.digits;
        if self.is_emergency(&digits) {
            return Some(Normalised::Emergency(digits));
        }
        if let Some(number) = self.dialled(&digits) {
            return Some(Normalised::E164(number));
        }
        (digits.len() <= SHORT_CODE).then_some(Normalised::Short(digits))
    }

    /// `+` and digits. The national prefix that people keep in front of the area code, in brackets
    /// or not, is dropped where national numbers never start with it.
    fn international(&self, written: &Written) -> Option<E164Number> {
        let code = countries::code_of(&written.digits)?;
        let national = &written.digits[code.len()..];
        let country = countries::by_code(code);
        let zero_is_dialled = country.is_some_and(|c| c.national_prefix == Some("0"));
        match written.bracketed_zero {
            Some(at) if !zero_is_dialled || at != code.len() => None,
            _ if zero_is_dialled && national.starts_with('0') => {
                E164Number::from_digits(&format!("{code}{}", &national[1..])).ok()
            }
            _ => E164Number::from_digits(&written.digits).ok(),
        }
    }

    /// Digits as dialled in the home country.
    fn dialled(&self, digits: &str) -> Option<E164Number> {
        let home = self.home?;
        // The longest prefix first, so that 00700 is not read as 007.
        let prefixes = self.international_prefixes().into_iter();
        let matching = prefixes.filter(|prefix| digits.starts_with(prefix));
        if let Some(prefix) = matching.max_by_key(|prefix| prefix.len())
            && let Ok(number) = E164Number::from_digits(&digits[prefix.len()..])
        {
            return Some(number);
        }
        let national = |national: &str| {
            let number = format!("{}{national}", home.code);
            home.fits(national)
                .then(|| E164Number::from_digits(&number).ok())
                .flatten()
        };
        let trunk_prefix = self.national_prefix();
        if let Some(rest) = trunk_prefix.and_then(|prefix| digits.strip_prefix(prefix))
            && !rest.starts_with('0')
            && let Some(number) = national(rest)
        {
            return Some(number);
        }
        if home.is_bare(digits)
            && let Some(number) = national(digits)
        {
            return Some(number);
        }
        if let Some(area) = self.area()
            && self.is_local(home, area, digits)
        {
            return national(&format!("{area}{digits}"));
        }
        if (trunk_prefix.is_none() || home.is_closed())
            && let Some(number) = national(digits)
        {
            return Some(number);
        }
        // The country code may be there without its +, or the number may only look like it: when
        // little would be left of it, nobody can tell.
        let rest = digits
            .strip_prefix(home.code)
            .filter(|rest| trunk_prefix.is_none() || !rest.starts_with('0'))?;
        if trunk_prefix == Some("0") && home.fits(digits) && rest.len() < TELLING_LENGTH {
            return None;
        }
        national(rest)
    }

    /// A subscriber number of the home area: what is left of a national number without its area
    /// code where all have one length, seven digits or fewer elsewhere.
    fn is_local(&self, home: &Country, area: &str, digits: &str) -> bool {
        if self
            .national_prefix()
            .is_some_and(|prefix| digits.starts_with(prefix))
        {
            return false;
        }
        if home.is_closed() {
            digits.len() + area.len() == usize::from(home.longest)
        } else {
            digits.len() > SHORT_CODE
                && !digits.starts_with('0')
                && digits.len() + area.len() <= usize::from(home.longest)
        }
    }

    fn is_emergency(&self, digits: &str) -> bool {
        let home = self.home.map(|home| home.emergency).unwrap_or_default();
        matches!(digits, "112" | "911") || home.contains(&digits)
    }
}

/// The digits of a number and what stood around them.
struct Written {
    plus: bool,
    digits: String,
    /// How many digits stand before a bracketed `(0)`, which is itself left out.
    bracketed_zero: Option<usize>,
}

impl Written {
    /// Reads digits and the visual separators of RFC 3966 §3, spaces and slashes too. Letters,
    /// `*`, `#` and anything else make it no number.
    fn read(text: &str) -> Option<Self> {
        // Full width as East Asian input methods have it: the same sign.
        let (plus, mut rest) = match text.strip_prefix(['+', '\u{FF0B}']) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut written = Self {
            plus,
            digits: String::with_capacity(text.len()),
            bracketed_zero: None,
        };
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("(0)").filter(|_| plus) {
                if written
                    .bracketed_zero
                    .replace(written.digits.len())
                    .is_some()
                {
                    return None;
                }
                rest = after;
                continue;
            }
            match first {
                '0'..='9' => written.digits.push(first),
                ' ' | '-' | '.' | '(' | ')' | '/' => {}
                _ => return None,
            }
            rest = &rest[1..];
        }
        (!written.digits.is_empty()).then_some(written)
    }
}

fn phone_context(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("phone-context").then_some(value)
    })
}
