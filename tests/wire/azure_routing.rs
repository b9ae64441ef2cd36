//! `trunkline acs diff` and `apply` as an operator runs them, against the simulated resource.

use acs_sim::Identity;
use acs_sim::rest::{RestConfig, RestSim};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use trunkline_tests::certificates::Authority;
use trunkline_tests::daemon::operate;
use trunkline_tests::lab::Lab;

async fn resource(lab: &Lab) -> RestSim {
    let authority = Authority::new();
    let leaf = authority.good(&["localhost"]);
    lab.write("azure-roots.pem", &authority.root());
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
    let config = RestConfig {
        identity: Some(Identity {
            chain: chain.collect::<Result<_, _>>().expect("PEM"),
            key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM"),
        }),
        ..RestConfig::new(b"a key for tests".as_slice())
    };
    RestSim::start(config).await.expect("a socket")
}

fn configure(lab: &Lab, sim: &RestSim, called: &str) {
    let connection = sim.connection_string("localhost");
    lab.write(
        "trunkline.toml",
        &format!(
            r#"
[gateway]
fqdn = "sbc1.contoso.example"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
[acs]
connection_string = "{connection}"
roots = "azure-roots.pem"
[[trunk]]
name = "acs"
preset = "acs"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:127.0.0.1:5060"
peers = ["udp:198.51.100.7:5060"]
[[route]]
name = "out"
from = ["acs"]
called = ["{called}"]
to = ["carrier"]
"#
        ),
    );
}

fn command(lab: &Lab, words: &str) -> (i32, Value, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let (code, out, err) = operate(lab, &words);
    let json = serde_json::from_str(&out).unwrap_or(Value::Null);
    (code, json, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_becomes_azures_routing_and_back() {
    let lab = Lab::new();
    let sim = resource(&lab).await;
    configure(&lab, &sim, "+1*");
    let (code, diff, err) = command(&lab, "acs diff --json");
    assert_eq!(code, 1, "{err}");
    assert_eq!(diff["changes"].as_array().map(Vec::len), Some(2), "{diff}");
    assert_eq!(
        diff["changes"][1]["to"],
        "^\\+1[0-9]*$ to sbc1.contoso.example"
    );
    assert!(!diff.to_string().contains("accesskey"), "{diff}");
    // Nobody can be asked.
    let (code, _, err) = command(&lab, "acs apply");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(sim.sip_configuration()["trunks"], serde_json::json!({}));
    let (code, applied, err) = command(&lab, "acs apply --yes --json");
    assert_eq!(code, 0, "{err}");
    assert_eq!(applied["applied"], true);
    let (code, same, _) = command(&lab, "acs diff --json");
    assert_eq!((code, &same["same"]), (0, &Value::Bool(true)));

    configure(&lab, &sim, "+1425*");
    let (code, applied, err) = command(&lab, "acs apply --yes --json");
    assert_eq!(code, 0, "{err}");
    let saved = applied["saved"].as_str().expect("a file").to_owned();
    let (code, _, err) = command(&lab, &format!("acs apply --yes --json --restore {saved}"));
    assert_eq!(code, 0, "{err}");
    let routing = sim.sip_configuration();
    assert_eq!(routing["routes"][0]["numberPattern"], "^\\+1[0-9]*$");

    // Whoever answers there is not trusted for his name.
    lab.write("azure-roots.pem", &Authority::new().root());
    let (code, _, err) = command(&lab, "acs diff --json");
    assert_eq!(code, 1);
    assert!(err.contains("certificate"), "{err}");
}
