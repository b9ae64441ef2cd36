//! What several areas of the interface have in common in their JSON.

use serde::{Deserialize, Deserializer};

/// What is `null` was not given.
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
