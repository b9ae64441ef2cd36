//! Microsoft's own Python clients, unmodified, against the simulated REST interface.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use acs_sim::Identity;
use acs_sim::rest::{Fault, Owned, RestConfig, RestSim};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trunkline_tests::certificates::Authority;
use trunkline_tests::lab::Lab;

/// What is installed, to the version.
const PACKAGES: [&str; 2] = [
    "azure-communication-phonenumbers==1.4.0",
    "azure-core==1.41.0",
];

/// What pip says where there is no way to the registry.
const UNREACHABLE: [&str; 5] = [
    "NewConnectionError",
    "Retrying (Retry",
    "timed out",
    "Name or service not known",
    "Network is unreachable",
];

/// A Python that has Microsoft's packages, made once; `None` (counted as one skip) where the
/// registry cannot be reached.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    fs::create_dir_all(&target).expect("a target folder");
    let folder = target.join("sdk-python");
    let lock = File::create(target.join("sdk-python.lock")).expect("a lock file");
    // Tests are processes of their own, and one of them makes it for all.
    lock.lock().expect("a lock");
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&ready).is_ok_and(|there| there == wanted) {
        return Some(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .output()
        .expect("python3 is installed");
    assert!(made.status.success(), "{}", said(&made));
    let installed = Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(PACKAGES)
        .output()
        .expect("pip is there");
    if !installed.status.success() {
        let said = said(&installed);
        assert!(UNREACHABLE.iter().any(|sign| said.contains(sign)), "{said}");
        corpora::skip("the registry of Python packages cannot be reached");
        return None;
    }
    fs::write(&ready, wanted).expect("the folder is ours");
    Some(python)
}

fn said(output: &Output) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// A simulated resource over TLS, and what a script needs to find it.
struct World {
    sim: RestSim,
    lab: Lab,
    python: PathBuf,
}

impl World {
    async fn new() -> Option<Self> {
        let python = tokio::task::spawn_blocking(python).await.expect("made")?;
        let (lab, authority) = (Lab::new(), Authority::new());
        let leaf = authority.good(&["localhost"]);
        lab.write("roots.pem", &authority.root());
        let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
        let config = RestConfig {
            identity: Some(Identity {
                chain: chain.collect::<Result<_, _>>().expect("PEM"),
                key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM"),
            }),
            ..RestConfig::new(b"a key for tests".as_slice())
        };
        let sim = RestSim::start(config).await.expect("a socket");
        Some(Self { sim, lab, python })
    }

    /// Runs a script with more in its environment; gives its exit code and what it said.
    async fn run(&self, script: &Path, more: &[(&str, &str)]) -> (Option<i32>, String) {
        let roots = self.lab.path("roots.pem");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .env(
                "ACS_CONNECTION_STRING",
                self.sim.connection_string("localhost"),
            )
            .env("REQUESTS_CA_BUNDLE", &roots)
            .env("SSL_CERT_FILE", &roots)
            .env("NO_PROXY", "localhost")
            .envs(more.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("it ran").expect("python runs");
        (output.status.code(), said(&output))
    }
}

fn own(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("wire/sdk")
        .join(script)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_buys_and_lists_numbers() {
    let Some(guide) = corpora::acceptance("acs-guide") else {
        return;
    };
    let Some(world) = World::new().await else {
        return;
    };
    let buy = guide.join("provision_numbers.py");
    // Told to come back later, and a server that stumbles: the client asks again by itself.
    world.sim.inject(Fault::refused(503, "Busy").on("POST"));
    let (code, said) = world.run(&buy, &[("AREA_CODE", "833")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Number purchased: +18335550100"), "{said}");
    let geographic = [("NUMBER_TYPE", "geographic"), ("AREA_CODE", "425")];
    let (code, said) = world.run(&buy, &geographic).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = world.run(&buy, &[("AREA_CODE", "212")]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("OutOfStock"), "{said}");
    world.sim.own(Owned::toll_free("+18885550100"));
    let list = guide.join("list_numbers.py");
    let (code, said) = world.run(&list, &[("PAGE_SIZE", "1")]).await;
    assert_eq!(code, Some(0), "{said}");
    for line in ["Number: +14255550100", "Number: +18335550100", "Total: 3"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let refused = world
        .sim
        .seen()
        .into_iter()
        .filter(|seen| seen.status == Some(401));
    assert_eq!(refused.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_sets_trunks_and_routes() {
    let Some(world) = World::new().await else {
        return;
    };
    let (code, said) = world.run(&own("sip_routing.py"), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let left = world.sim.sip_configuration();
    assert_eq!(
        left["trunks"]["sbc3.contoso.example"]["sipSignalingPort"],
        5063
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_changes_and_gives_up_numbers() {
    let Some(world) = World::new().await else {
        return;
    };
    world.sim.own(Owned::toll_free("+18335550100"));
    let (code, said) = world.run(&own("manage_numbers.py"), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.sim.owned(), []);
}

/// A key that is not the resource's is what Microsoft's client says it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_is_refused_with_another_key() {
    let Some(world) = World::new().await else {
        return;
    };
    let right = world.sim.connection_string("localhost");
    let endpoint = right.split(";accesskey=").next().expect("an endpoint");
    let wrong = format!("{endpoint};accesskey=c2VjcmV0");
    let more = [("ACS_CONNECTION_STRING", wrong.as_str())];
    let (code, said) = world.run(&own("sip_routing.py"), &more).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ClientAuthenticationError"), "{said}");
}
