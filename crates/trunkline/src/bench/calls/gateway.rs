//! The gateway under test: the daemon as it is run, on a configuration of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::machine;
use crate::bench::parties::Transport;
use crate::demo::authority::{Authority, Usage};

/// The name that the called party's certificate is for.
const CALLED: &str = "pbx.contoso.example";
/// The gateway's own name.
const GATEWAY: &str = "sbc1.contoso.example";
/// How long the daemon may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Arguments of `bench gateway`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The core to run on
    #[arg(long)]
    core: Option<usize>,
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

/// Becomes the daemon, on one core.
pub(crate) fn run(args: &GatewayArgs) -> Result<()> {
    machine::pin(args.core)?;
    let mut command = Command::new(std::env::current_exe()?);
    Err(command.arg("run").arg("-c").arg(&args.config).exec().into())
}

/// Everybody's addresses, on a network of loopback that nobody else uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Net(u8);

impl Net {
    /// The first network that is free.
    pub(super) fn free() -> Result<Self> {
        (1..=254)
            .map(Self)
            .find(|net| UdpSocket::bind((net.host(1), 5060)).is_ok())
            .context("every loopback network for benches is taken")
    }

    fn host(self, n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 62, self.0, n))
    }

    /// Where the caller sends its calls.
    pub(super) fn gateway(self) -> SocketAddr {
        SocketAddr::new(self.host(1), 5060)
    }

    /// The caller.
    pub(super) fn caller(self) -> SocketAddr {
        SocketAddr::new(self.host(2), 5060)
    }

    /// The called party.
    pub(super) fn called(self) -> SocketAddr {
        SocketAddr::new(self.host(3), 5060)
    }
}

/// The running daemon. Dropping it ends it.
pub(super) struct Gateway {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// Writes a configuration and starts the daemon on it; how the called party is to be reached.
    pub(super) fn start(net: Net, secure: bool, core: usize) -> Result<(Self, Transport)> {
        let folder = tempfile::Builder::new()
            .prefix("trunkline-bench-")
            .tempdir()?;
        let transport = if secure {
            identities(folder.path())?
        } else {
            Transport::Udp
        };
        let config = folder.path().join("trunkline.toml");
        std::fs::write(&config, configuration(net, secure))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", "gateway", "--core", &core.to_string(), "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the daemon cannot be started")?;
        let gateway = Self {
            child,
            _folder: folder,
        };
        Ok((gateway, transport))
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Why it is no longer there, if it is not.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the daemon ended: {status}"),
            None => Ok(()),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The first asks it to drain, the second to stop.
        self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < FAREWELL {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            self.signal(Signal::SIGTERM);
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Certificates for both sides in the daemon's folder; the called party's, as it is to show it.
fn identities(folder: &Path) -> Result<Transport> {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::generate()?;
    let own = authority.issue(&[GATEWAY], Usage::ServerAndClient)?;
    std::fs::write(folder.join("gateway.pem"), &own.chain)?;
    let key = folder.join("gateway.key");
    std::fs::write(&key, &own.key)?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(folder.join("roots.pem"), authority.root())?;
    let called = authority.issue(&[CALLED], Usage::ServerOnly)?;
    Ok(Transport::Tls {
        chain: called.chain,
        key: called.key,
        name: CALLED.to_owned(),
    })
}

fn configuration(net: Net, secure: bool) -> String {
    let (gateway, caller, called) = (net.host(1), net.caller(), net.called());
    let (identity, listen, peer, hosts) = if secure {
        (
            format!(
                "fqdn = \"{GATEWAY}\"\n[tls]\ncertificate = \"gateway.pem\"\n\
                 private_key = \"gateway.key\"\nroots = \"roots.pem\"\n"
            ),
            format!("tls:{gateway}:5061"),
            format!("tls:{CALLED}:{}", called.port()),
            format!("[hosts]\n\"{CALLED}\" = \"{}\"\n", called.ip()),
        )
    } else {
        (
            String::new(),
            format!("udp:{gateway}:5070"),
            format!("udp:{called}"),
            String::new(),
        )
    };
    format!(
        r#"[gateway]
bind = "{gateway}"
calls = 20000
{identity}
[media]
ports = "10000-25999"
shards = 1

[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:{gateway}:5060"
peers = ["udp:{caller}"]
options = {{ interval = "0s" }}

[[trunk]]
name = "office"
preset = "pbx"
listen = "{listen}"
peers = ["{peer}"]
allow = ["{called_ip}/32"]
options = {{ interval = "0s" }}

[[route]]
name = "in"
from = "carrier"
to = "office"

[log]
level = "error"

{hosts}"#,
        called_ip = called.ip(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_configurations_are_without_fault() {
        for secure in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            if secure {
                identities(folder.path()).unwrap();
            }
            let file = folder.path().join("trunkline.toml");
            std::fs::write(&file, configuration(Net(1), secure)).unwrap();
            let reading = config::read(&file).unwrap();
            let findings: Vec<_> = reading.findings.0.iter().map(|one| &one.message).collect();
            assert!(!reading.findings.has_errors(), "{findings:?}");
        }
    }
}
