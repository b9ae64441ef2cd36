//! Telephone numbers that do not show themselves.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A telephone number, or whatever stood in the user part of a URI. `Debug` and `Display` hide all
/// but its first five characters; [`Number::reveal`] is for records and for the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(Arc<str>);

/// Country and area stay readable; what names a subscriber does not.
const SHOWN: usize = 5;

impl Number {
    /// Wraps a number as it stands.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The number in full.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Number {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        let shown = if length > SHOWN { SHOWN } else { 0 };
        for (index, character) in self.0.chars().enumerate() {
            let character = if index < shown && !character.is_control() {
                character
            } else {
                '*'
            };
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
