//! The Azure resource behind Microsoft's side, and the telephone network it calls into.

use std::net::IpAddr;

use acs_sim::Identity;
use acs_sim::acs::AcsSim;
use acs_sim::rest::calls::{FarEnd, Subscription};
use acs_sim::rest::{Owned, RestConfig, RestSim};
use anyhow::{Result, anyhow};

use super::authority::Authority;

/// The number that the gateway's INVITEs to the resource name.
pub const MARKER: &str = "+14255550190";
/// The number that was bought from Microsoft.
pub const CALLER_ID: &str = "+18005550101";
/// A number that Microsoft's telephone network does not reach: it is busy there.
pub const UNREACHED: &str = "+18885550152";

const LISTEN: u16 = 8443;
const SECRET: &str = "only-for-this-demonstration";
/// The name under which the gateway knows the resource.
const HOST: &str = "localhost";
const AUDIENCE: &str = "00000000-0000-4000-8000-000000000000";

/// Starts the resource; it sends its events to `fqdn` at that address.
pub async fn start(
    authority: &Authority,
    identity: Identity,
    (fqdn, gateway): (&str, IpAddr),
) -> Result<RestSim> {
    let mut config = RestConfig {
        identity: Some(identity),
        ..RestConfig::new(b"the key of a demonstration".as_slice())
    };
    config.calls.roots = Some(authority.root().into_bytes());
    config.calls.hosts = [(fqdn.to_owned(), gateway)].into();
    config.calls.audience = AUDIENCE.to_owned();
    let resource = RestSim::start(config).await?;
    resource.own(Owned::toll_free(CALLER_ID));
    resource.calls().set_far_end(UNREACHED, FarEnd::busy());
    Ok(resource)
}

/// The names of the resource's certificate.
pub const NAMES: [&str; 1] = [HOST];

/// Joins the resource to Microsoft's side, and its events to the gateway, which runs by now.
pub async fn join(resource: &RestSim, side: &AcsSim, fqdn: &str) -> Result<()> {
    resource.calls().attach(side);
    let url = format!("https://{fqdn}:{LISTEN}/events/{SECRET}");
    let subscribed = resource.calls().subscribe(Subscription::new(&url)).await;
    subscribed.map_err(|error| anyhow!("the gateway's listener for events: {error}"))
}

/// The gateway's half, as its configuration has it.
pub fn configuration(resource: &RestSim, fqdn: &str, gateway: IpAddr) -> String {
    format!(
        r#"[cloud_calling]                         # Microsoft as the carrier
connection_string = "{connection}"
caller_ids = ["{CALLER_ID}"]
marker = "{MARKER}"
listen = "{gateway}:{LISTEN}"
public_url = "https://{fqdn}:{LISTEN}"
secret = "{SECRET}"
audience = "{AUDIENCE}"
rates = "microsoft"
openid = "https://{HOST}:{port}/calling/.well-known/acsopenidconfiguration"   # a real one leaves out this,
roots = "roots.pem"                                                          # and this

[[rates]]
name = "microsoft"
file = "microsoft.csv"

[[rates]]
name = "carrier"
file = "carrier.csv"
"#,
        connection = resource.connection_string(HOST),
        port = resource.address().port(),
    )
}

/// The two files of rates, with their names.
pub const RATES: [(&str, &str); 2] = [
    (
        "microsoft.csv",
        "prefix,rate_per_minute,currency,initial,subsequent\n1,0.013,USD,60,60\n",
    ),
    (
        "carrier.csv",
        "prefix,rate_per_minute,currency,initial,subsequent\n1,0.021,USD,60,60\n",
    ),
];
