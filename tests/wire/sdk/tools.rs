//! Microsoft's packages, installed once, and a simulated resource for scripts that use them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use acs_sim::Identity;
use acs_sim::rest::calls::CallsConfig;
use acs_sim::rest::{RestConfig, RestSim};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trunkline_tests::certificates::{Authority, Leaf};
use trunkline_tests::lab::Lab;

/// What is installed for Python, to the version. Flask is what Microsoft's guide serves with.
const PYTHON: [&str; 4] = [
    "azure-communication-phonenumbers==1.4.0",
    "azure-communication-callautomation==1.6.0",
    "azure-core==1.41.0",
    "flask==3.1.2",
];
/// What is installed for JavaScript, to the version.
const NODE: [&str; 2] = [
    "@azure/communication-phone-numbers@1.5.0",
    "@azure/communication-call-automation@1.6.0",
];
/// The oldest Node.js these packages are made for.
const NODE_VERSION: u32 = 20;

/// What pip and npm say where there is no way to the registry.
const UNREACHABLE: [&str; 9] = [
    "NewConnectionError",
    "Retrying (Retry",
    "timed out",
    "Name or service not known",
    "Network is unreachable",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "ECONNREFUSED",
];

/// A program with Microsoft's packages at hand.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    program: PathBuf,
    modules: PathBuf,
}

pub(super) fn said(output: &Output) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Makes `target/NAME` once for all tests, which are processes of their own; `None` (counted as
/// one skip) where its packages cannot be had.
fn made(
    name: &str,
    packages: &[&str],
    make: impl FnOnce(&Path) -> Vec<Command>,
) -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    fs::create_dir_all(&target).expect("a target folder");
    let folder = target.join(name);
    let lock = File::create(target.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("a lock");
    let (ready, wanted) = (folder.join("ready"), packages.join("\n"));
    if fs::read_to_string(&ready).is_ok_and(|there| there == wanted) {
        return Some(folder);
    }
    for mut command in make(&folder) {
        let output = command.output().expect("its program is installed");
        if !output.status.success() {
            let said = said(&output);
            assert!(UNREACHABLE.iter().any(|sign| said.contains(sign)), "{said}");
            corpora::skip("a registry of packages cannot be reached");
            return None;
        }
    }
    fs::write(&ready, wanted).expect("the folder is ours");
    Some(folder)
}

impl Tool {
    /// Python with Microsoft's packages.
    pub(super) async fn python() -> Option<Self> {
        let made = || {
            made("sdk-python", &PYTHON, |folder| {
                let mut venv = Command::new("python3");
                venv.args(["-m", "venv", "--clear"]).arg(folder);
                let mut install = Command::new(folder.join("bin/python"));
                install
                    .args(["-m", "pip", "install", "--quiet"])
                    .arg("--disable-pip-version-check")
                    .args(PYTHON);
                vec![venv, install]
            })
        };
        let folder = tokio::task::spawn_blocking(made).await.expect("made")?;
        Some(Self {
            program: folder.join("bin/python"),
            modules: folder,
        })
    }

    /// Node.js with Microsoft's packages.
    pub(super) async fn node() -> Option<Self> {
        let version = Command::new("node").arg("--version").output();
        let version = version.ok().and_then(|output| {
            let text = String::from_utf8(output.stdout).ok()?;
            let major = text.trim().strip_prefix('v')?.split('.').next()?;
            major.parse::<u32>().ok()
        });
        if version.is_none_or(|version| version < NODE_VERSION) {
            corpora::skip("there is no Node.js of version 20");
            return None;
        }
        let made = || {
            made("sdk-node", &NODE, |folder| {
                let mut install = Command::new("npm");
                install
                    .args(["install", "--no-audit", "--no-fund", "--prefix"])
                    .arg(folder)
                    .args(NODE);
                vec![install]
            })
        };
        let folder = tokio::task::spawn_blocking(made).await.expect("made")?;
        Some(Self {
            program: PathBuf::from("node"),
            modules: folder.join("node_modules"),
        })
    }
}

/// A simulated resource over TLS, and what a script needs to find it.
pub(super) struct World {
    pub(super) sim: RestSim,
    pub(super) lab: Lab,
    pub(super) authority: Authority,
    tool: Tool,
}

pub(super) fn identity(leaf: &Leaf) -> Identity {
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
    Identity {
        chain: chain.collect::<Result<_, _>>().expect("PEM"),
        key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM"),
    }
}

impl World {
    pub(super) async fn new(tool: Tool) -> Self {
        let (lab, authority) = (Lab::new(), Authority::new());
        lab.write("roots.pem", &authority.root());
        let config = RestConfig {
            identity: Some(identity(&authority.good(&["localhost"]))),
            calls: CallsConfig {
                plain_callbacks: true,
                ..CallsConfig::default()
            },
            ..RestConfig::new(b"a key for tests".as_slice())
        };
        let sim = RestSim::start(config).await.expect("a socket");
        Self {
            sim,
            lab,
            authority,
            tool,
        }
    }

    /// A script with more in its environment, not yet run.
    pub(super) fn command(&self, script: &Path, more: &[(&str, &str)]) -> Command {
        let roots = self.lab.path("roots.pem");
        let mut command = Command::new(&self.tool.program);
        command
            .arg(script)
            .env(
                "ACS_CONNECTION_STRING",
                self.sim.connection_string("localhost"),
            )
            .env("REQUESTS_CA_BUNDLE", &roots)
            .env("SSL_CERT_FILE", &roots)
            .env("NODE_EXTRA_CA_CERTS", &roots)
            .env("NODE_PATH", &self.tool.modules)
            .env("NO_PROXY", "localhost,127.0.0.1")
            .envs(more.iter().copied());
        command
    }

    /// Runs a script; gives its exit code and what it said.
    pub(super) async fn run(&self, script: &Path, more: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = self.command(script, more);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("it ran").expect("its program is there");
        (output.status.code(), said(&output))
    }
}

/// A script beside this file.
pub(super) fn own(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("wire/sdk")
        .join(script)
}
