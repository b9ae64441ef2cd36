//! How one trunk writes numbers.

use thiserror::Error;

use crate::countries::{self, Country};
use crate::number::E164Number;

/// Why a number plan cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Not an ISO 3166-1 code of the country table.
    #[error("unknown country")]
    Country,
    /// The area code is not digits, or leaves no room for a subscriber number.
    #[error("not an area code of the country")]
    Area,
    /// A prefix is not 1 to 6 digits.
    #[error("a prefix is 1 to 6 digits")]
    Prefix,
}

/// The form numbers take when they are written to a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum WrittenAs {
    /// `+` and the whole number.
    #[default]
    E164,
    /// The whole number without the `+`.
    Digits,
    /// National prefix and national number at home, international prefix and the whole number
    /// elsewhere.
    National,
}

impl WrittenAs {
    /// The form's name in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::E164 => "e164",
            Self::Digits => "digits",
            Self::National => "national",
        }
    }

    /// Reads a form's name; `None` when there is none such.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::E164, Self::Digits, Self::National]
            .into_iter()
            .find(|form| form.as_str() == name)
    }
}

/// The numbers of one trunk: where it is, and how it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPlan {
    pub(crate) home: Option<&'static Country>,
    area: Option<String>,
    international_prefix: Option<String>,
    national_prefix: Option<String>,
    written_as: WrittenAs,
}

impl Default for NumberPlan {
    fn default() -> Self {
        Self::e164()
    }
}

impl NumberPlan {
    /// A trunk that reads and writes E.164 with `+` only, such as Microsoft's.
    #[must_use]
    pub fn e164() -> Self {
        Self {
            home: None,
            area: None,
            international_prefix: None,
            national_prefix: None,
            written_as: WrittenAs::E164,
        }
    }

    /// A trunk in a country (ISO 3166-1 alpha-2, any case), which implies its country code,
    /// international and national prefix. It writes numbers the national way.
    ///
    /// # Errors
    /// [`PlanError::Country`].
    pub fn of_country(country: &str) -> Result<Self, PlanError> {
        let home = countries::by_iso(country).ok_or(PlanError::Country)?;
        Ok(Self {
            home: Some(home),
            written_as: WrittenAs::National,
            ..Self::e164()
        })
    }

    /// With the area code of numbers dialled without one.
    ///
    /// # Errors
    /// [`PlanError::Area`] when it is not digits or the plan has no country to be in.
    pub fn with_area(self, area: &str) -> Result<Self, PlanError> {
        let longest = self.home.map_or(0, |home| home.longest);
        let digits = !area.is_empty() && area.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || area.len() + 3 > usize::from(longest) {
            return Err(PlanError::Area);
        }
        Ok(Self {
            area: Some(area.to_owned()),
            ..self
        })
    }

    /// With another international prefix than the country's, as behind an exchange.
    ///
    /// # Errors
    /// [`PlanError::Prefix`].
    pub fn with_international_prefix(self, prefix: &str) -> Result<Self, PlanError> {
        Ok(Self {
            international_prefix: Some(checked_prefix(prefix)?),
            ..self
        })
    }

    /// With another national prefix than the country's.
    ///
    /// # Errors
    /// [`PlanError::Prefix`].
    pub fn with_national_prefix(self, prefix: &str) -> Result<Self, PlanError> {
        Ok(Self {
            national_prefix: Some(checked_prefix(prefix)?),
            ..self
        })
    }

    /// With another form of writing. Without a country, [`WrittenAs::National`] means E.164.
    #[must_use]
    pub fn written_as(self, written_as: WrittenAs) -> Self {
        Self { written_as, ..self }
    }

    /// The country, if there is one.
    #[must_use]
    pub fn country(&self) -> Option<&'static Country> {
        self.home
    }

    /// The form numbers are written in.
    #[must_use]
    pub fn form(&self) -> WrittenAs {
        self.written_as
    }

    /// The area code of numbers dialled without one.
    #[must_use]
    pub fn area(&self) -> Option<&str> {
        self.area.as_deref()
    }

    /// What is dialled before a national number, if anything.
    #[must_use]
    pub fn national_prefix(&self) -> Option<&str> {
        let home = self.home.and_then(|home| home.national_prefix);
        self.national_prefix.as_deref().or(home)
    }

    /// International prefixes that are understood; the first is the one that is written.
    #[must_use]
    pub fn international_prefixes(&self) -> Vec<&str> {
        let own = self.international_prefix.as_deref();
        let home = self
            .home
            .map(|home| home.international_prefixes)
            .unwrap_or_default();
        match own {
            Some(own) => vec![own],
            None => home.to_vec(),
        }
    }

    /// Writes a number the way this trunk does.
    #[must_use]
    pub fn write(&self, number: &E164Number) -> String {
        match (self.written_as, self.home) {
            (WrittenAs::National, Some(home)) => {
                if number.country_code() == home.code && home.fits(number.national()) {
                    let bare = home.is_bare(number.national());
                    let prefix = if bare {
                        ""
                    } else {
                        self.national_prefix().unwrap_or_default()
                    };
                    format!("{prefix}{}", number.national())
                } else {
                    let prefix = self.international_prefixes().first().copied();
                    prefix.map_or_else(
                        || number.to_wire(),
                        |prefix| format!("{prefix}{}", number.digits()),
                    )
                }
            }
            (WrittenAs::Digits, _) => number.digits().to_owned(),
            (WrittenAs::E164 | WrittenAs::National, _) => number.to_wire(),
        }
    }
}

fn checked_prefix(prefix: &str) -> Result<String, PlanError> {
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=6).contains(&prefix.len());
    (digits && fits)
        .then(|| prefix.to_owned())
        .ok_or(PlanError::Prefix)
}
