//! SIP routing: the trunks Azure knows and the voice routes of calls that start there.
//!
//! There is one document for the whole resource. It is read with one request and changed with one
//! merge patch (RFC 7396): trunks merge by name, the list of routes is replaced whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;

/// The version of the interface that is spoken.
pub const API_VERSION: &str = "2023-03-01";

/// The most trunks, the most routes, and the most trunks of one route.
pub const MOST: usize = 250;
/// Characters of the longest route name.
pub const LONGEST_NAME: usize = 256;
/// Characters of the longest route description.
pub const LONGEST_DESCRIPTION: usize = 1024;
/// Characters of the longest number pattern.
pub const LONGEST_PATTERN: usize = 1024;
/// Characters of the longest trunk name.
pub const LONGEST_FQDN: usize = 249;

/// A gateway Azure may send calls to, known by its FQDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipTrunk {
    /// The port it listens at for TLS, 1 to 65535.
    #[serde(rename = "sipSignalingPort")]
    pub sip_signaling_port: u16,
}

/// Which called numbers go to which trunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipTrunkRoute {
    /// Its name, unique.
    pub name: String,
    /// What its owner says about it.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "String::is_empty"
    )]
    pub description: String,
    /// A .NET regular expression on the called number, which is digits with or without `+`.
    #[serde(rename = "numberPattern")]
    pub number_pattern: String,
    /// FQDNs of trunks; none means that its calls fail.
    #[serde(default, deserialize_with = "given")]
    pub trunks: Vec<String>,
}

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipConfiguration {
    /// Trunks by FQDN.
    #[serde(default, deserialize_with = "given")]
    pub trunks: BTreeMap<String, SipTrunk>,
    /// Routes; the first whose pattern matches is taken.
    #[serde(default, deserialize_with = "given")]
    pub routes: Vec<SipTrunkRoute>,
}

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SipPatch {
    /// Trunks to set, and with `None` to delete; all others stay.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub trunks: BTreeMap<String, Option<SipTrunk>>,
    /// The new list of routes; `None` leaves the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<SipTrunkRoute>>,
}

impl SipPatch {
    /// Whether nothing is to change. Azure refuses such a patch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trunks.is_empty() && self.routes.is_none()
    }

    /// What turns `from` into `to`.
    #[must_use]
    pub fn between(from: &SipConfiguration, to: &SipConfiguration) -> Self {
        let mut patch = Self::default();
        for (fqdn, trunk) in &to.trunks {
            if from.trunks.get(fqdn) != Some(trunk) {
                patch.trunks.insert(fqdn.clone(), Some(*trunk));
            }
        }
        for fqdn in from.trunks.keys() {
            if !to.trunks.contains_key(fqdn) {
                patch.trunks.insert(fqdn.clone(), None);
            }
        }
        if from.routes != to.routes {
            patch.routes = Some(to.routes.clone());
        }
        patch
    }
}

/// What is `null` was not given.
fn given<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The request that reads the document.
#[must_use]
pub fn read() -> Exchange {
    Exchange::get(target())
}

/// The request that changes it.
#[must_use]
pub fn patch(patch: &SipPatch) -> Exchange {
    Exchange::patch(target(), patch)
}

fn target() -> String {
    format!("/sip?api-version={API_VERSION}")
}

impl Client {
    /// Reads trunks and routes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sip_configuration(&self) -> Result<SipConfiguration, Error> {
        self.read(&read()).await
    }

    /// Changes trunks and routes in one step, and gives the document that came of it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Invalid`] with the rule broken where Azure finds the document wrong.
    pub async fn patch_sip_configuration(
        &self,
        change: &SipPatch,
    ) -> Result<SipConfiguration, Error> {
        self.read(&patch(change)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_or_missing_is_empty() {
        let text = r#"{"trunks":null,"routes":[{"name":"a","description":null,
            "numberPattern":"b","trunks":null}]}"#;
        let read: SipConfiguration = serde_json::from_str(text).expect("a document");
        assert_eq!((read.trunks.len(), read.routes.len()), (0, 1));
        assert_eq!(
            serde_json::from_str::<SipConfiguration>("{}")
                .expect("none")
                .routes,
            []
        );
    }

    #[test]
    fn a_patch_says_only_what_differs() {
        let trunk = |port| SipTrunk {
            sip_signaling_port: port,
        };
        let of = |trunks: &[(&str, u16)]| SipConfiguration {
            trunks: trunks
                .iter()
                .map(|(fqdn, port)| ((*fqdn).to_owned(), trunk(*port)))
                .collect(),
            routes: Vec::new(),
        };
        let old = of(&[("a.example", 1), ("b.example", 2), ("c.example", 3)]);
        let new = of(&[("a.example", 1), ("b.example", 4), ("d.example", 5)]);
        let patch = serde_json::to_value(SipPatch::between(&old, &new)).expect("JSON");
        let wanted = serde_json::json!({"trunks": {
            "b.example": {"sipSignalingPort": 4}, "c.example": null,
            "d.example": {"sipSignalingPort": 5},
        }});
        assert_eq!(patch, wanted);
        assert!(SipPatch::between(&new, &new).is_empty());
    }
}
