//! Everybody in the demonstration, started in the order they need each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acs_sim::acs::{AcsConfig, AcsSim, Flavour};
use acs_sim::rest::RestSim;
use acs_sim::{
    Behaviour, Behaviours, Carrier, Faults, Identity, MediaConfig, Party, PartyConfig, Tap,
    TlsSettings, Transport,
};
use anyhow::{Context as _, Result, anyhow, bail};
use b2bua::record::CallRecord;
use routing::Snapshot;
use rustls::KeyLog;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;

use super::authority::{Authority, Leaf, Usage};
use super::azure;
use super::capture::Capture;
use crate::config;
use crate::daemon::wiring::Keys;
use crate::daemon::{Daemon, Options};

/// The gateway as ACS knows it.
pub const ACS_FQDN: &str = "sbc1.contoso.example";
/// The gateway as Teams knows it.
pub const TEAMS_FQDN: &str = "teams1.contoso.example";
/// The office's trunk in the configuration.
pub const PBX_TRUNK: &str = "office-pbx";
/// Numbers of the application in ACS that answer.
const ANSWERED: [&str; 5] = [
    "+14255550101",
    "+14255550104",
    "+14255550109",
    "+14255550110",
    "+14255550111",
];
/// A number in ACS that is busy.
pub const BUSY: &str = "+14255550198";
/// A number in ACS that rings and is never answered.
pub const SILENT: &str = "+14255550199";

/// Where `/metrics` and `/healthz` are.
const PAGES: u16 = 9090;
/// Hosts of sip, sip2 and sip3.
const PROXY_HOSTS: [u8; 3] = [11, 12, 13];
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
    /// The Azure resource behind ACS.
    pub resource: RestSim,
    /// The gateway's routes.
    pub routes: Snapshot,
    /// The gateway's store.
    pub store: PathBuf,
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
        let folder = tempfile::Builder::new()
            .prefix("trunkline-demo-")
            .tempdir()?;
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
        let net = Net::free()?;
        let gateway = SocketAddr::new(net.host(1), 5061);
        let carrier = party("Contoso Telecom", net, 2, 5060, &tap, loss).await?;
        let pbx = party("Office PBX", net, 3, 5070, &tap, None).await?;
        let side = |flavour, fqdn, port| Side {
            flavour,
            fqdn,
            port,
            gateway,
            net,
        };
        let key_log_path = key_log.as_deref();
        let acs = side(Flavour::Acs, ACS_FQDN, 5061)
            .start(&authority, &tap, key_log_path)
            .await?;
        let teams = side(Flavour::Teams, TEAMS_FQDN, 5062)
            .start(&authority, &tap, key_log_path)
            .await?;
        let resource = authority.issue(&azure::NAMES, Usage::ServerOnly)?;
        let resource = sim_identity(&resource)?;
        let resource = azure::start(&authority, resource, (ACS_FQDN, gateway.ip())).await?;
        let pages = SocketAddr::new(net.host(1), PAGES);
        let text = configuration(net, &carrier, &pbx)
            + &azure::configuration(&resource, ACS_FQDN, gateway.ip());
        for (name, rates) in azure::RATES {
            std::fs::write(folder.path().join(name), rates)?;
        }
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
            bail!(
                "the demo's own configuration is wrong:\n{}",
                findings.join("\n")
            );
        }
        let (record_copies, records) = mpsc::unbounded_channel();
        let options = Options {
            key_log,
            record_copies: Some(record_copies),
            ..Options::default()
        };
        let routes = Snapshot::compile(&reading.config.routing);
        let routes = routes.map_err(|errors| anyhow!("the demo's own routes: {errors:?}"))?;
        let store = reading
            .config
            .store
            .as_ref()
            .map(|store| store.path.clone());
        let keys = Keys::load(&reading.config)?;
        let daemon = Daemon::start(&reading.config, &keys, options).await?;
        for (sim, fqdn) in [(&acs, ACS_FQDN), (&teams, TEAMS_FQDN)] {
            if !sim.online(fqdn, ONLINE).await {
                bail!(
                    "Microsoft's side does not see {fqdn} online: {:?}",
                    sim.violations()
                );
            }
        }
        azure::join(&resource, &acs, ACS_FQDN).await?;
        let cast = vec![
            (
                "gateway",
                format!("tls:{gateway}  udp:{0}:5060  udp:{0}:5070", net.host(1)),
            ),
            ("carrier", format!("udp:{}", carrier.local_addr())),
            ("PBX", format!("udp:{}", pbx.local_addr())),
            ("ACS", proxies(&acs)),
            ("Teams", proxies(&teams)),
            ("Azure", format!("https://{}", resource.address())),
        ];
        Ok(Self {
            carrier,
            pbx,
            acs,
            teams,
            resource,
            routes,
            store: store.unwrap_or_default(),
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

/// A /24 of loopback that no other demonstration uses, so that everybody has the well-known ports.
#[derive(Clone, Copy, Debug)]
struct Net(u8);

impl Net {
    fn free() -> Result<Self> {
        (1..=254)
            .map(Self)
            .find(|net| TcpListener::bind((net.host(1), PAGES)).is_ok())
            .context("every loopback network of the demonstration is taken")
    }

    fn host(self, n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 61, self.0, n))
    }
}

fn tap(capture: &Arc<Capture>) -> Tap {
    let capture = Arc::clone(capture);
    Tap::new(move |chunk| match chunk.carrier {
        Carrier::Udp => capture.datagram(chunk.at, chunk.source, chunk.destination, chunk.bytes),
        Carrier::Tcp => capture.stream(chunk.at, chunk.source, chunk.destination, chunk.bytes),
    })
}

async fn party(
    name: &str,
    net: Net,
    host: u8,
    gateway_port: u16,
    tap: &Tap,
    loss: Option<u32>,
) -> Result<Party> {
    let gateway = SocketAddr::new(net.host(1), gateway_port);
    let mut config = PartyConfig::new(name, Transport::Udp, gateway);
    config.bind = SocketAddr::new(net.host(host), 5060);
    config.tap = tap.clone();
    config.media = MediaConfig {
        bind: net.host(host),
        rtcp_mux: false,
        faults: Faults {
            drop_sent: loss,
            ..Faults::default()
        },
        ..MediaConfig::default()
    };
    Ok(Party::start(config).await?)
}

/// One of Microsoft's sides.
struct Side {
    flavour: Flavour,
    fqdn: &'static str,
    port: u16,
    gateway: SocketAddr,
    net: Net,
}

impl Side {
    async fn start(
        self,
        authority: &Authority,
        tap: &Tap,
        key_log: Option<&Path>,
    ) -> Result<AcsSim> {
        let leaf = authority.issue(&acs_sim::acs::PROXY_NAMES, Usage::ServerOnly)?;
        let mut tls = TlsSettings::new(sim_identity(&leaf)?, certificates(&authority.root())?);
        if let Some(path) = key_log {
            tls.key_log = Some(Arc::new(FileKeyLog::open(path)?) as Arc<dyn KeyLog>);
        }
        let mut config = AcsConfig::new(tls).with_trunk(self.fqdn, self.gateway);
        for (proxy, host) in config.proxies.iter_mut().zip(PROXY_HOSTS) {
            proxy.bind = SocketAddr::new(self.net.host(host), self.port);
        }
        config.flavour = self.flavour;
        config.media.bind = self.net.host(PROXY_HOSTS[0]);
        config.tap = tap.clone();
        let answered = Behaviours::default();
        let answers = answered.otherwise.clone();
        let answered = ANSWERED
            .iter()
            .fold(answered, |all, number| all.with(number, answers.clone()));
        config.behaviours = answered
            .with(BUSY, Behaviour::busy())
            .with(SILENT, Behaviour::NeverAnswer { ring: true });
        Ok(AcsSim::start(config).await?)
    }
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
    sim.proxies()
        .iter()
        .map(|(_, address)| format!("tls:{address}"))
        .collect::<Vec<_>>()
        .join("  ")
}

fn configuration(net: Net, carrier: &Party, pbx: &Party) -> String {
    let [gateway, sip, sip2, sip3] =
        [1, PROXY_HOSTS[0], PROXY_HOSTS[1], PROXY_HOSTS[2]].map(|host| net.host(host));
    format!(
        r#"# The configuration of this demonstration: what a real one needs, on loopback.
[gateway]
fqdn = "{ACS_FQDN}"
bind = "{gateway}"

[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"                     # a real one leaves this out: the system's roots

[media]
ports = "20000-29999"
shards = 2

[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:{gateway}:5061"
allow = ["{sip}/32", "{sip2}/32", "{sip3}/32"]  # a real one leaves this out: Microsoft's ranges

[[trunk]]
name = "teams"
preset = "teams"
fqdn = "{TEAMS_FQDN}"
listen = "tls:{gateway}:5061"
peers = [                               # a real one leaves this out: port 5061
    "tls:sip.pstnhub.microsoft.com:5062",
    "tls:sip2.pstnhub.microsoft.com:5062",
    "tls:sip3.pstnhub.microsoft.com:5062",
]
allow = ["{sip}/32", "{sip2}/32", "{sip3}/32"]

[[trunk]]
name = "contoso-telecom"
preset = "carrier"
listen = "udp:{gateway}:5060"
peers = ["udp:{carrier}"]
rates = "carrier"

[[trunk]]
name = "office-pbx"
preset = "pbx"
listen = "udp:{gateway}:5070"
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
name = "toll-free through Microsoft"
from = ["office-pbx"]
called = ["+1800*", "+1888*"]
to = ["cloud-calling", "contoso-telecom"]       # in this order

[[route]]
name = "everything else"
from = ["acs", "teams", "office-pbx"]
called = ["+*"]
to = ["contoso-telecom"]

[store]
path = "calls.db"

[admin]
listen = "{gateway}:{PAGES}"

[hosts]                                 # a real one leaves this out: DNS
"sip.pstnhub.microsoft.com" = "{sip}"
"sip2.pstnhub.microsoft.com" = "{sip2}"
"sip3.pstnhub.microsoft.com" = "{sip3}"

"#,
        carrier = carrier.local_addr(),
        pbx = pbx.local_addr(),
    )
}

/// Appends TLS session secrets in the format Wireshark reads.
#[derive(Debug)]
struct FileKeyLog(std::sync::Mutex<std::fs::File>);

impl FileKeyLog {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        Ok(Self(std::sync::Mutex::new(file)))
    }
}

impl KeyLog for FileKeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        use std::io::Write as _;
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // One write a line: two processes or connections never mix theirs. A log that cannot be
        // written leaves the capture unreadable, and that is seen.
        let mut file = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = file.write_all(line.as_bytes());
    }
}
