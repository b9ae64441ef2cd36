//! How calls are simulated.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::network::FarEnd;

/// Who Microsoft's tokens are issued by.
pub const ISSUER: &str = "https://acscallautomation.communication.azure.com";

/// How calls of the resource are simulated.
#[derive(Clone, Debug)]
pub struct CallsConfig {
    /// Who issues the tokens of callbacks.
    pub issuer: String,
    /// For whom they are: the resource's id.
    pub audience: String,
    /// The resource's path in Azure: the topic of its events.
    pub topic: String,
    /// By how much the waits between deliveries are stretched: 1 is what Event Grid does.
    pub pace: f32,
    /// Certificates (PEM) trusted where events go; the operating system's when absent.
    pub roots: Option<Vec<u8>>,
    /// Addresses of names events go to.
    pub hosts: BTreeMap<String, IpAddr>,
    /// Take callbacks over plain HTTP, which Azure does not.
    pub plain_callbacks: bool,
    /// Calls one number may make at a time.
    pub calls_per_number: usize,
    /// How long a call that came in waits for its answer.
    pub answer_within: Duration,
    /// What becomes of numbers nothing is said about.
    pub otherwise: FarEnd,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            issuer: ISSUER.to_owned(),
            audience: "00000000-0000-4000-8000-000000000000".to_owned(),
            topic: "/subscriptions/s/resourcegroups/g/providers/microsoft.communication/\
                    communicationservices/contoso"
                .to_owned(),
            pace: 1.0,
            roots: None,
            hosts: BTreeMap::new(),
            plain_callbacks: false,
            calls_per_number: 2,
            answer_within: Duration::from_secs(30),
            otherwise: FarEnd::answers_after(Duration::from_millis(100)),
        }
    }
}
