//! One playing of one row: its surroundings, its certificates, and what interferes with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acs_sim::{Identity, TlsSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::mutant::{Change, Memory, Passed};
use super::stage::Plan;
use crate::certificates::{Authority, KeyKind, Leaf, Usage, Wish};
use crate::daemon;
use crate::lab::Lab;

/// What stands between the gateway and the others.
#[derive(Clone, Copy, Debug)]
pub enum Interference {
    /// Nothing.
    None,
    /// The man in the middle, who changes nothing.
    Witness,
    /// The man in the middle, who makes this change.
    Change(&'static Change),
}

/// What a trial has in common with the man in its middle.
#[derive(Debug)]
pub struct Common {
    /// What interferes.
    pub interference: Interference,
    memory: Mutex<Memory>,
    trail: Mutex<Vec<Passed>>,
    /// Key by leaf, DER.
    keys: Mutex<HashMap<Vec<u8>, PrivateKeyDer<'static>>>,
    spares: Mutex<HashMap<&'static str, Leaf>>,
    log: Mutex<String>,
}

/// Passages remembered.
const KEPT: usize = 20_000;

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Common {
    fn new(interference: Interference) -> Self {
        Self {
            interference,
            memory: Mutex::default(),
            trail: Mutex::default(),
            keys: Mutex::default(),
            spares: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// Remembers what passed.
    pub fn note(&self, passed: Passed) {
        let mut trail = locked(&self.trail);
        if trail.len() < KEPT {
            trail.push(passed);
        }
    }

    /// Remembers text that helps to understand a failure.
    pub fn log(&self, text: &str) {
        let mut log = locked(&self.log);
        log.push_str(text);
        log.push('\n');
    }

    /// Everything that passed.
    #[must_use]
    pub fn trail(&self) -> Vec<Passed> {
        locked(&self.trail).clone()
    }

    /// Everything logged.
    #[must_use]
    pub fn logged(&self) -> String {
        locked(&self.log).clone()
    }

    /// The change's memory.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        locked(&self.memory)
    }

    /// The private key of a leaf issued in this trial.
    #[must_use]
    pub fn key(&self, leaf: &CertificateDer<'_>) -> Option<PrivateKeyDer<'static>> {
        locked(&self.keys)
            .get(leaf.as_ref())
            .map(PrivateKeyDer::clone_key)
    }

    /// An identity set aside under this name.
    #[must_use]
    pub fn spare(&self, name: &str) -> Option<Leaf> {
        locked(&self.spares).get(name).cloned()
    }

    /// What is changed, if anything.
    #[must_use]
    pub fn change(&self) -> Option<&'static Change> {
        match self.interference {
            Interference::Change(change) => Some(change),
            Interference::None | Interference::Witness => None,
        }
    }
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output and error.
    pub text: String,
}

/// One playing of one row.
#[derive(Debug)]
pub struct Trial {
    /// Its folder and loopback network.
    pub lab: Lab,
    /// The authority both sides trust.
    pub authority: Authority,
    /// What it shares with the man in the middle.
    pub common: Arc<Common>,
}

impl Trial {
    /// Fresh surroundings.
    #[must_use]
    pub fn new(interference: Interference) -> Self {
        Self {
            lab: Lab::new(),
            authority: Authority::new(),
            common: Arc::new(Common::new(interference)),
        }
    }

    /// A leaf of the trial's authority, which the man in the middle can show as well.
    #[must_use]
    pub fn issue(&self, wish: Wish<'_>) -> Leaf {
        self.known(self.authority.issue(wish))
    }

    /// A quickly made leaf for Microsoft's side: every usage, ECDSA.
    #[must_use]
    pub fn far_leaf(&self, names: &[&str]) -> Leaf {
        self.issue(Wish {
            usage: Usage::Both,
            key: KeyKind::P256,
            ..Wish::good(names)
        })
    }

    /// Makes the key of a leaf known to the man in the middle.
    #[must_use]
    pub fn known(&self, leaf: Leaf) -> Leaf {
        let (chain, key) = der(&leaf);
        if let Some(first) = chain.first() {
            locked(&self.common.keys).insert(first.to_vec(), key);
        }
        leaf
    }

    /// Sets an identity aside for a mutant that shows another one.
    pub fn spare(&self, name: &'static str, leaf: &Leaf) {
        locked(&self.common.spares).insert(name, self.known(leaf.clone()));
    }

    /// TLS settings of a far end with this identity, trusting the trial's root alone.
    #[must_use]
    pub fn settings(&self, leaf: &Leaf) -> TlsSettings {
        let (chain, key) = der(leaf);
        let root = CertificateDer::from_pem_slice(self.authority.root().as_bytes()).expect("PEM");
        TlsSettings::new(Identity { chain, key }, vec![root])
    }

    /// The gateway between Microsoft and one carrier, as far as it is not said otherwise.
    #[must_use]
    pub fn plan(&self) -> Plan<'_> {
        Plan::new(self)
    }

    /// Runs a subcommand of the gateway's executable in the lab's folder and waits for its end.
    ///
    /// # Panics
    /// It cannot be run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Said {
        let command = arguments.first().copied().unwrap_or_default();
        self.common.note(Passed::Command(command.to_owned()));
        let output = Command::new(self.executable(command))
            .args(arguments)
            .current_dir(self.lab.folder())
            .output()
            .expect("the executable runs");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        Said {
            code: output.status.code().unwrap_or(-1),
            text,
        }
    }

    /// The executable, or what stands in for it.
    fn executable(&self, wanted: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        match self.common.change() {
            Some(Change::StandIn { command, script }) if *command == wanted => {
                let text = format!(
                    "#!/bin/sh\nTRUNKLINE={}\n{script}\n",
                    daemon::binary().display()
                );
                let path = self.lab.write("stand-in.sh", &text);
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                    .expect("the script is ours");
                path
            }
            _ => daemon::binary(),
        }
    }
}

/// Chain and key of a leaf, DER.
pub(super) fn der(leaf: &Leaf) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes())
        .collect::<Result<_, _>>()
        .expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("PEM");
    (chain, key)
}
