//! What calls cost.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Millionths of a unit of money in one unit.
const MICROS: u64 = 1_000_000;

/// A currency: three letters of ISO 4217, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads three letters, any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.to_ascii_uppercase().into_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a currency is three letters")
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount of money in millionths of a unit of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Millionths of a unit.
    pub micros: u64,
    /// Of this currency.
    pub currency: Currency,
}

impl Money {
    /// Reads what its `Display` writes: `0.013 USD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (amount, currency) = text.split_once(' ')?;
        Some(Self {
            micros: micros(amount)?,
            currency: Currency::parse(currency)?,
        })
    }
}

/// Writes an amount in millionths as a decimal with at least two places: `0.013`, `12.00`.
#[must_use]
pub fn decimal(micros: u64) -> String {
    let places = format!("{:06}", micros % MICROS);
    let places = places.trim_end_matches('0');
    format!("{}.{places:0<2}", micros / MICROS)
}

/// Reads a decimal with at most six places; millionths.
#[must_use]
pub fn micros(text: &str) -> Option<u64> {
    let (units, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || !digits(units) || !digits(places) || places.len() > 6 {
        return None;
    }
    let places: u64 = format!("{places:0<6}").parse().ok()?;
    units
        .parse::<u64>()
        .ok()?
        .checked_mul(MICROS)?
        .checked_add(places)
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", decimal(self.micros), self.currency)
    }
}

/// What a call to one number costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// The price of a minute.
    pub per_minute: Money,
    /// Seconds that are charged as soon as the call is answered.
    pub initial: u16,
    /// Seconds in which the rest is charged, each begun one whole.
    pub subsequent: u16,
}

impl Tariff {
    /// The price of an answered call of so many seconds, in millionths, rounded up.
    #[must_use]
    pub fn price(&self, seconds: u64) -> u64 {
        let initial = u64::from(self.initial);
        let step = u64::from(self.subsequent).max(1);
        let rest = seconds.saturating_sub(initial).div_ceil(step);
        let charged = initial.saturating_add(rest.saturating_mul(step));
        self.per_minute.micros.saturating_mul(charged).div_ceil(60)
    }
}

impl fmt::Display for Tariff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            initial,
            subsequent,
            ..
        } = self;
        write!(f, "{} a minute, {initial}/{subsequent}", self.per_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_are_charged_whole() {
        let currency = Currency::parse("usd").unwrap();
        let per_minute = Money {
            micros: 13_000,
            currency,
        };
        let tariff = Tariff {
            per_minute,
            initial: 30,
            subsequent: 6,
        };
        assert_eq!(tariff.price(0), 6_500);
        assert_eq!(tariff.price(30), 6_500);
        assert_eq!(tariff.price(31), 7_800);
        assert_eq!(tariff.price(60), 13_000);
        assert_eq!(tariff.to_string(), "0.013 USD a minute, 30/6");
        assert_eq!(tariff.price(u64::MAX), u64::MAX / 60 + 1);
    }

    #[test]
    fn amounts_are_written_and_read() {
        for (text, expected) in [
            ("0.0130", Some(13_000)),
            ("12", Some(12_000_000)),
            ("", None),
            (".5", None),
            ("1.0000001", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
        assert_eq!(decimal(12_000_000), "12.00");
        assert_eq!(decimal(13_000), "0.013");
    }
}
