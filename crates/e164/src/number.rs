//! International public telecommunication numbers (ITU-T E.164 §6).

use std::fmt;

use thiserror::Error;

use crate::countries;

/// Why text is not an E.164 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NumberError {
    /// It does not start with `+`.
    #[error("an E.164 number starts with +")]
    NoPlus,
    /// Something other than the digits 0 to 9 follows.
    #[error("an E.164 number has digits only")]
    NotDigits,
    /// More than 15 digits, or fewer or more than the country's numbers have.
    #[error("length does not fit the country")]
    Length,
    /// No country or network has this code.
    #[error("unknown country code")]
    CountryCode,
}

/// A complete international number: a country code that exists and a national number whose length
/// fits it, 15 digits at most.
///
/// `Debug` masks the last digits; [`E164Number::to_wire`] is the whole number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164Number {
    digits: [u8; 15],
    length: u8,
    code_length: u8,
}

impl E164Number {
    /// Reads `+` and digits, nothing else.
    ///
    /// # Errors
    /// [`NumberError`], the first rule broken.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        Self::from_digits(text.strip_prefix('+').ok_or(NumberError::NoPlus)?)
    }

    /// Reads country code and national number without the `+`.
    ///
    /// # Errors
    /// [`NumberError`], the first rule broken.
    pub fn from_digits(text: &str) -> Result<Self, NumberError> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotDigits);
        }
        let code = countries::code_of(text).ok_or(NumberError::CountryCode)?;
        let national = text.len() - code.len();
        if text.len() > 15 || !countries::lengths_of(code).contains(&national) {
            return Err(NumberError::Length);
        }
        let mut digits = [0; 15];
        digits[..text.len()].copy_from_slice(text.as_bytes());
        let short = |length: usize| u8::try_from(length).expect("at most 15");
        Ok(Self {
            digits,
            length: short(text.len()),
            code_length: short(code.len()),
        })
    }

    /// Country code and national number, without the `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        let digits = &self.digits[..usize::from(self.length)];
        std::str::from_utf8(digits).expect("only ASCII digits are stored")
    }

    /// The country code, 1 to 3 digits.
    #[must_use]
    pub fn country_code(&self) -> &str {
        &self.digits()[..usize::from(self.code_length)]
    }

    /// The national (significant) number.
    #[must_use]
    pub fn national(&self) -> &str {
        &self.digits()[usize::from(self.code_length)..]
    }

    /// The number as it goes on the wire: `+` and all digits.
    #[must_use]
    pub fn to_wire(&self) -> String {
        ["+", self.digits()].concat()
    }
}

impl fmt::Debug for E164Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let shown = digits
            .len()
            .saturating_sub(4)
            .min(usize::from(self.code_length) + 3);
        write!(f, "+{}", &digits[..shown])?;
        digits[shown..].chars().try_for_each(|_| f.write_str("•"))
    }
}
