//! Everybody in the demonstration, started in the order they need each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acs_sim::acs::{AcsConfig, AcsSim, Flavour};
use acs_sim::{
    Behaviour, Behaviours, Carrier, Faults, Identity, MediaConfig, Party, PartyConfig, Tap,
    TlsSettings, Transport,
};
use anyhow::{Context as _, Result, bail};
use b2bua::record::CallRecord;
use rustls::KeyLog;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;

use super::authority::{Authority, Leaf, Usage};
use super::capture::Capture;
use crate::config;
use crate::daemon::wiring::Keys;
use crate::daemon::{Daemon, Options};

/// The gateway as ACS knows it.
pub const ACS_FQDN: &str = "sbc1.contoso.example";
/// The gateway as Teams knows it.
pub const TEAMS_FQDN: &str = "teams1.contoso.example";
/// A number in ACS that is busy.
pub const BUSY: &str = "+14255550198";
/// A number in ACS that rings and is never answered.
pub const SILENT: &str = "+14255550199";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long Microsoft's sides may take to see the gateway online.
const ONLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// The demonstration's parts.
pub struct World {
    /// The telephone company.
    pub carrier: Party,
    /// The office.
    pub pbx: Party,
    /// Microsoft's side for ACS.
    pub acs: AcsSim,
    /// Microsoft's side for Teams.
    pub teams: AcsSim,
    /// Call records as the gateway makes them.
    pub records: mpsc::UnboundedReceiver<Box<CallRecord>>,
    /// The configuration file the gateway runs on.
    pub configuration: PathBuf,
    /// Where `/metrics` and `/healthz` are.
    pub pages: SocketAddr,
    /// Who listens where, for the opening lines.
    pub cast: Vec<(&'static str, String)>,
    daemon: Daemon,
    capture: Option<Arc<Capture>>,
    folder: tempfile::TempDir,
}

impl World {
    /// Starts everything and waits until Microsoft's sides see the gateway online.
    ///
    /// # Errors
    /// A socket cannot be bound or a file not written.
    pub async fn start(pcap: Option<&Path>, loss: Option<u32>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("trunkline-demo-").tempdir()?;
        let authority = Authority::generate()?;
        let key_log = pcap.map(|path| path.with_added_extension("keylog"));
        if let Some(path) = &key_log {
            std::fs::write(path, "").with_context(|| path.display().to_string())?;
        }
        let capture = match pcap {
            Some(path) => Some(Arc::new(
                Capture::create(path).with_context(|| path.display().to_string())?,
            )),
            None => None,
        };
        let tap = capture.as_ref().map_or_else(Tap::default, tap);
        let ports = free_ports(4)?;
        let gateway = SocketAddr::new(HERE, ports[0]);
        let carrier = party("Contoso Telecom", ports[1], &tap, loss).await?;
        let pbx = party("Office PBX", ports[2], &tap, None).await?;
        let acs =
            microsoft(Flavour::Acs, ACS_FQDN, gateway, &authority, &tap, key_log.as_deref()).await?;
        let teams =
            microsoft(Flavour::Teams, TEAMS_FQDN, gateway, &authority, &tap, key_log.as_deref())
                .await?;
        let pages = SocketAddr::new(HERE, ports[3]);
        let text = configuration(&carrier, &pbx, &acs, &teams, &ports);
        let configuration = folder.path().join("trunkline.toml");
        std::fs::write(&configuration, &text)?;
        let leaf = authority.issue(&[ACS_FQDN, TEAMS_FQDN], Usage::ServerOnly)?;
        write_identity(folder.path(), &leaf, &authority)?;
        let reading = config::read(&configuration)?;
        if reading.findings.has_errors() {
            let findings: Vec<String> = reading
                .findings
                .0
                .iter()
                .map(|finding| reading.source.render(finding).to_string())
                .collect();
            bail!("the demo's own configuration is wrong:\n{}", findings.join("\n"));
        }
        let (record_copies, records) = mpsc::unbounded_channel();
        let options = Options { key_log, record_copies: Some(record_copies) };
        let keys = Keys::load(&reading.config)?;
        let daemon = Daemon::start(&reading.config, &keys, options).await?;
        for (sim, fqdn) in [(&acs, ACS_FQDN), (&teams, TEAMS_FQDN)] {
            if !sim.online(fqdn, ONLINE).await {
                bail!("Microsoft's side does not see {fqdn} online: {:?}", sim.violations());
            }
        }
        let cast = vec![
            ("gateway", format!("tls:{gateway}  udp:{HERE}:{}  udp:{HERE}:{}", ports[1], ports[2])),
            ("carrier", format!("udp:{}", carrier.local_addr())),
            ("PBX", format!("udp:{}", pbx.local_addr())),
            ("ACS", proxies(&acs)),
            ("Teams", proxies(&teams)),
        ];
        Ok(Self {
            carrier,
            pbx,
            acs,
            teams,
            records,
            configuration,
            pages,
            cast,
            daemon,
            capture,
            folder,
        })
    }

    /// What Microsoft's sides hold against the gateway.
    pub fn violations(&self) -> Vec<String> {
        [("ACS", &self.acs), ("Teams", &self.teams)]
            .iter()
            .flat_map(|(name, sim)| {
                sim.violations()
                    .into_iter()
                    .map(move |violation| format!("{name}: {}: {}", violation.rule, violation.text))
            })
            .collect()
    }

    /// Ends the gateway and finishes the capture.
    ///
    /// # Errors
    /// The capture could not be written.
    pub async fn end(mut self) -> Result<()> {
        self.daemon.stop();
        self.daemon.ended().await;
        if let Some(capture) = &self.capture {
            capture.finish().context("capture")?;
        }
        self.folder.close()?;
        Ok(())
    }
}

/// Ports nobody has at this moment, for the gateway: it listens where others were told it would.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let mut held = Vec::new();
    while held.len() < count {
        let tcp = TcpListener::bind((HERE, 0))?;
        // The same number must be free for datagrams as well.
        if let Ok(udp) = std::net::UdpSocket::bind(tcp.local_addr()?) {
            held.push((tcp, udp));
        }
    }
    held.iter().map(|(tcp, _)| Ok(tcp.local_addr()?.port())).collect()
}

fn tap(capture: &Arc<Capture>) -> Tap {
    let capture = Arc::clone(capture);
    Tap::new(move |chunk| match chunk.carrier {
        Carrier::Udp => capture.datagram(chunk.at, chunk.source, chunk.destination, chunk.bytes),
        Carrier::Tcp => capture.stream(chunk.at, chunk.source, chunk.destination, chunk.bytes),
    })
}

async fn party(name: &str, gateway_port: u16, tap: &Tap, loss: Option<u32>) -> Result<Party> {
    let gateway = SocketAddr::new(HERE, gateway_port);
    let mut config = PartyConfig::new(name, Transport::Udp, gateway);
    config.tap = tap.clone();
    config.media = MediaConfig {
        rtcp_mux: false,
        faults: Faults { drop_sent: loss, ..Faults::default() },
        ..MediaConfig::default()
    };
    Ok(Party::start(config).await?)
}

async fn microsoft(
    flavour: Flavour,
    fqdn: &str,
    gateway: SocketAddr,
    authority: &Authority,
    tap: &Tap,
    key_log: Option<&Path>,
) -> Result<AcsSim> {
    let names: Vec<&str> = acs_sim::acs::PROXY_NAMES.to_vec();
    let leaf = authority.issue(&names, Usage::ServerOnly)?;
    let mut tls = TlsSettings::new(sim_identity(&leaf)?, certificates(&authority.root())?);
    if let Some(path) = key_log {
        tls.key_log = Some(Arc::new(FileKeyLog::open(path)?) as Arc<dyn KeyLog>);
    }
    let mut config = AcsConfig::new(tls).with_trunk(fqdn, gateway);
    config.flavour = flavour;
    config.tap = tap.clone();
    config.behaviours = Behaviours::default()
        .with(BUSY, Behaviour::busy())
        .with(SILENT, Behaviour::NeverAnswer { ring: true });
    Ok(AcsSim::start(config).await?)
}

fn sim_identity(leaf: &Leaf) -> Result<Identity> {
    Ok(Identity {
        chain: certificates(&leaf.chain)?,
        key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?,
    })
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
}

fn write_identity(folder: &Path, leaf: &Leaf, authority: &Authority) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(folder.join("sbc1.pem"), &leaf.chain)?;
    let key = folder.join("sbc1.key");
    std::fs::write(&key, &leaf.key)?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(folder.join("roots.pem"), authority.root())?;
    Ok(())
}

fn proxies(sim: &AcsSim) -> String {
    sim.proxies().iter().map(|(_, address)| format!("tls:{address}")).collect::<Vec<_>>().join("  ")
}

fn peers(sim: &AcsSim) -> String {
    sim.proxies()
        .iter()
        .map(|(name, address)| format!("\"tls:{name}:{}\"", address.port()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn configuration(
    carrier: &Party,
    pbx: &Party,
    acs: &AcsSim,
    teams: &AcsSim,
    ports: &[u16],
) -> String {
    format!(
        r#"# The configuration of this demonstration: what a real one needs, on loopback.
[gateway]
fqdn = "{ACS_FQDN}"
bind = "{HERE}"

[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"                     # a real one leaves this out

[media]
ports = "{media}"
shards = 2

[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:{HERE}:{tls}"
peers = [{acs_peers}]
allow = ["127.0.0.0/8"]

[[trunk]]
name = "teams"
preset = "teams"
fqdn = "{TEAMS_FQDN}"
listen = "tls:{HERE}:{tls}"
peers = [{teams_peers}]
allow = ["127.0.0.0/8"]

[[trunk]]
name = "contoso-telecom"
preset = "carrier"
listen = "udp:{HERE}:{carrier_port}"
peers = ["udp:{carrier}"]

[[trunk]]
name = "office-pbx"
preset = "pbx"
listen = "udp:{HERE}:{pbx_port}"
peers = ["udp:{pbx}"]
numbers = {{ country = "US", area = "425" }}

[[route]]
name = "numbers of the Azure application"
from = ["contoso-telecom", "office-pbx"]
called = ["+14255550100-+14255550199"]
to = ["acs"]

[[route]]
name = "numbers of people in Teams"
from = ["contoso-telecom", "office-pbx"]
called = ["+14255550300-+14255550399"]
to = ["teams"]

[[route]]
name = "numbers of the office"
from = ["contoso-telecom", "acs", "teams"]
called = ["+14255550200-+14255550299"]
to = ["office-pbx"]

[[route]]
name = "everything else"
from = ["acs", "teams", "office-pbx"]
called = ["+*"]
to = ["contoso-telecom"]

[admin]
listen = "{HERE}:{pages}"

[hosts]
"sip.pstnhub.microsoft.com" = "{HERE}"
"sip2.pstnhub.microsoft.com" = "{HERE}"
"sip3.pstnhub.microsoft.com" = "{HERE}"
"#,
        tls = ports[0],
        carrier_port = ports[1],
        pbx_port = ports[2],
        pages = ports[3],
        media = "20000-29999",
        acs_peers = peers(acs),
        teams_peers = peers(teams),
        carrier = carrier.local_addr(),
        pbx = pbx.local_addr(),
    )
}

/// Appends TLS session secrets in the format Wireshark reads.
#[derive(Debug)]
struct FileKeyLog(std::sync::Mutex<std::fs::File>);

impl FileKeyLog {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(std::sync::Mutex::new(file)))
    }
}

impl KeyLog for FileKeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        use std::io::Write as _;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // One write a line: two processes or connections never mix theirs. A log that cannot be
        // written leaves the capture unreadable, and that is seen.
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = file.write_all(line.as_bytes());
    }
}
