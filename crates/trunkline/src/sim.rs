//! `trunkline sim acs`: Microsoft's side of the SIP Interface alone, and of the resource behind it,
//! to test a gateway against.

mod resource;

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use acs_sim::acs::{AcsConfig, AcsSim, Flavour, PROXY_NAMES, ProxyConfig, TrunkStatus};
use acs_sim::{CallHandle, CallOptions, Ending, Identity, TlsSettings};
use anyhow::{Context as _, Result};
use clap::Args;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::demo::authority::{Authority, Usage};
use crate::{cli, output};
use resource::ResourceArgs;

/// How it is used, alone and with an application's webhook.
pub const EXAMPLES: &str = "\
Example:  trunkline sim acs --gateway sbc1.contoso.example --at 127.0.0.1:5061 --certificates lab
Example, with a resource that owns a number, tells a webhook on this machine of calls that come in,
and finds a far end busy:
          trunkline sim acs --gateway sbc1.contoso.example --at 127.0.0.1:5061 \\
            --rest 127.0.0.1:8943 --owned +18335550100 --far-end +14255550123=busy \\
            --events http://localhost:5000/api/calls/incoming --http-callbacks";

/// Arguments of `sim acs`.
#[derive(Debug, Args)]
pub struct SimAcsArgs {
    /// The gateway's name, as in its certificate and Contact
    #[arg(long, value_name = "FQDN")]
    gateway: String,
    /// Where the gateway listens for Microsoft
    #[arg(long, value_name = "ADDRESS:PORT")]
    at: SocketAddr,
    /// Addresses of sip, sip2 and sip3, in this order
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 1..=3,
        value_delimiter = ',',
        default_value = "127.0.0.11,127.0.0.12,127.0.0.13"
    )]
    bind: Vec<IpAddr>,
    /// Their port
    #[arg(long, default_value_t = 5061)]
    port: u16,
    #[command(flatten)]
    resource: ResourceArgs,
    /// Speak for Teams instead of ACS
    #[arg(long)]
    teams: bool,
    /// Folder with `microsoft.pem`, `microsoft.key` and `roots.pem`; made there if absent, with
    /// `gateway.pem` and `gateway.key` for the gateway, and `rest.pem`, `rest.key` and
    /// `rest-roots.pem` for the REST interface
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    certificates: PathBuf,
    /// Call this number through the gateway once it is online; may be repeated
    #[arg(long, value_name = "NUMBER")]
    call: Vec<String>,
    /// The number those calls come from
    #[arg(long, value_name = "NUMBER", default_value = "+14255550100")]
    caller: String,
    /// End after the calls, or after this long; exit code 0 only without violations
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// Audio packets each way of a call that is placed.
const PACKETS: u32 = 150;
const LOOK: Duration = Duration::from_millis(200);

/// Runs the simulator.
pub fn acs(args: &SimAcsArgs) -> ExitCode {
    cli::block_on(async {
        match run(args).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => {
                output::error(format_args!("error: {error:#}"));
                ExitCode::from(2)
            }
        }
    })
}

async fn run(args: &SimAcsArgs) -> Result<bool> {
    let sim = start(args).await?;
    for (name, address) in sim.proxies() {
        output::line(format_args!("{name} listens at tls:{address}"));
    }
    let mut resource = args.resource.start(&args.certificates, &sim).await?;
    let mut incoming = sim.incoming();
    let mut told = Told::default();
    let end = async {
        match args.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let calls = place(&sim, args);
    tokio::pin!(calls);
    let mut placed = false;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => {
                told.news(&sim, &args.gateway);
                if let Some(resource) = &mut resource {
                    resource.news();
                }
            }
            Ok(call) = incoming.recv() => {
                tokio::spawn(follow(call, !args.resource.tells()));
            }
            fine = &mut calls, if !placed => {
                placed = true;
                if !args.call.is_empty() {
                    told.news(&sim, &args.gateway);
                    return Ok(fine && sim.violations().is_empty());
                }
            }
            () = &mut end => break,
            done = tokio::signal::ctrl_c() => { done?; break; }
        }
    }
    told.news(&sim, &args.gateway);
    Ok(sim.violations().is_empty())
}

async fn start(args: &SimAcsArgs) -> Result<AcsSim> {
    let count = args.bind.len();
    anyhow::ensure!(count == 3, "--bind takes three addresses, not {count}");
    let folder = &args.certificates;
    if !folder.join("microsoft.pem").exists() {
        generate(folder, &args.gateway)?;
        output::line(format_args!(
            "made certificates in {}: the gateway's are gateway.pem and gateway.key, its roots roots.pem",
            folder.display()
        ));
    }
    let identity = identity(folder, "microsoft")?;
    let tls = TlsSettings::new(identity, certificates(&folder.join("roots.pem"))?);
    let mut config = AcsConfig::new(tls).with_trunk(&args.gateway, args.at);
    if args.teams {
        config.flavour = Flavour::Teams;
    }
    config.proxies = PROXY_NAMES
        .iter()
        .zip(&args.bind)
        .map(|(name, address)| ProxyConfig {
            name: (*name).to_owned(),
            bind: SocketAddr::new(*address, args.port),
        })
        .collect();
    config.media.bind = args.bind[0];
    Ok(AcsSim::start(config).await?)
}

fn identity(folder: &Path, name: &str) -> Result<Identity> {
    let key = format!("{name}.key");
    Ok(Identity {
        chain: certificates(&folder.join(format!("{name}.pem")))?,
        key: PrivateKeyDer::from_pem_file(folder.join(&key)).context(key)?,
    })
}

fn generate(folder: &Path, gateway: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let authority = Authority::generate()?;
    fs::write(folder.join("roots.pem"), authority.root())?;
    for (name, names) in [("microsoft", &PROXY_NAMES[..]), ("gateway", &[gateway])] {
        issue(folder, &authority, name, names)?;
    }
    Ok(())
}

fn issue(folder: &Path, authority: &Authority, name: &str, names: &[&str]) -> Result<()> {
    let leaf = authority.issue(names, Usage::ServerOnly)?;
    fs::write(folder.join(format!("{name}.pem")), &leaf.chain)?;
    let mut key = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(format!("{name}.key")))?;
    std::io::Write::write_all(&mut key, leaf.key.as_bytes())?;
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| path.display().to_string())
}

/// What was said already.
#[derive(Default)]
struct Told {
    status: Option<TrunkStatus>,
    violations: BTreeSet<String>,
}

impl Told {
    fn news(&mut self, sim: &AcsSim, gateway: &str) {
        let state = sim.trunk(gateway);
        if self.status != Some(state.status()) {
            self.status = Some(state.status());
            output::line(format_args!(
                "{gateway} is {:?} (TLS {:?}, OPTIONS received {}, answered {})",
                state.status(),
                state.tls,
                state.pings_received,
                state.pings_answered,
            ));
        }
        for violation in sim.violations() {
            let text = format!("{}: {}", violation.rule, violation.text);
            if self.violations.insert(text.clone()) {
                output::line(format_args!("VIOLATION {text}"));
            }
        }
    }
}

/// A call to Microsoft's side: what it is and how it ends. Who answers by Call Automation decides
/// what is heard.
async fn follow(call: CallHandle, talks: bool) {
    let parties = call.parties().clone();
    output::line(format_args!(
        "call from {} to {}",
        parties.caller, parties.called
    ));
    if talks {
        call.talk(PACKETS).await;
    }
    let ending = call.ended().await;
    output::line(format_args!(
        "call from {} to {}: {ending:?}",
        parties.caller, parties.called
    ));
}

/// Places the calls asked for, one after the other; says whether all were answered.
async fn place(sim: &AcsSim, args: &SimAcsArgs) -> bool {
    if args.call.is_empty() {
        return true;
    }
    while !sim.online(&args.gateway, Duration::from_secs(60)).await {}
    let mut fine = true;
    for number in &args.call {
        let options = CallOptions::from(&args.caller);
        let result = match sim.call(number, &args.gateway, options).await {
            Ok(call) => match call.connected().await {
                Ok(setup) => {
                    call.talk(PACKETS).await;
                    let heard: u32 = call
                        .media()
                        .heard
                        .values()
                        .map(|heard| heard.received())
                        .sum();
                    let ending = call.hang_up().await;
                    fine &= matches!(ending, Ending::HungUp(_));
                    format!(
                        "answered after {} ms, {PACKETS} packets sent, {heard} coded packets heard",
                        setup.as_millis()
                    )
                }
                Err(ending) => {
                    fine = false;
                    format!("{ending:?}")
                }
            },
            Err(error) => {
                fine = false;
                error.to_string()
            }
        };
        output::line(format_args!("call to {number}: {result}"));
    }
    fine
}
