//! CK-01 to CK-13: names, certificates, handshakes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use acs_sim::{Connection, Versions};
use anyhow::{Context as _, Result, ensure};
use rustls::CipherSuite;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::certificates::{Authority, Leaf, Usage, Wish};
use crate::conformance::dial::Dial;
use crate::conformance::mutant::{Change, Mutant, Side, TlsChange};
use crate::conformance::stage::{NAMES, Stage};
use crate::conformance::trial::der;
use crate::conformance::{Row, Trial, row};
use crate::gateway::{FQDN, MICROSOFT};

const AES_256: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
const AES_128: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;

const SECP384R1: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];

/// The second name of a gateway with two.
const OTHER: &str = "teams1.contoso.example";

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        "CK-01",
        "C-10, C-11: TLS 1.2 with either GCM suite, both ways; 1.1 refused",
        versions,
        &[
            Mutant {
                what: "AES-128-GCM is not on offer to Microsoft",
                change: Change::Tls(TlsChange {
                    hello: Some(|hello, _| {
                        if hello.towards == Side::Peer {
                            hello.suites.retain(|suite| *suite != AES_128);
                        }
                    }),
                    ..TlsChange::NONE
                }),
                group: &[],
            },
            Mutant {
                what: "AES-256-GCM is not accepted from Microsoft",
                change: Change::Tls(TlsChange {
                    hello: Some(|hello, _| {
                        if hello.towards == Side::Gateway {
                            hello.suites.retain(|suite| *suite != AES_256);
                        }
                    }),
                    ..TlsChange::NONE
                }),
                group: &[],
            },
        ]
    ),
    row!(
        "CK-02",
        "C-12: the certificate is shown to each of the three names",
        client_certificate,
        &[Mutant {
            what: "no certificate is shown to sip2",
            change: Change::Tls(TlsChange {
                client: Some(|shown, _| {
                    if shown.towards == Side::Peer && shown.proxy == 1 {
                        shown.chain.clear();
                    }
                }),
                ..TlsChange::NONE
            }),
            group: NEEDS_SIP2,
        }]
    ),
    row!(
        "CK-03",
        "C-13: the full chain is sent in both roles",
        chain,
        &[
            Mutant {
                what: "the intermediate is not sent to sip3",
                change: Change::Tls(TlsChange {
                    client: Some(|shown, _| {
                        if shown.towards == Side::Peer && shown.proxy == 2 {
                            shown.chain.truncate(1);
                        }
                    }),
                    ..TlsChange::NONE
                }),
                group: NEEDS_SIP3,
            },
            Mutant {
                what: "the intermediate is not sent to connections from sip3",
                change: Change::Tls(TlsChange {
                    server: Some(|shown, _| {
                        if shown.towards == Side::Gateway && shown.proxy == 2 {
                            shown.chain.truncate(1);
                        }
                    }),
                    ..TlsChange::NONE
                }),
                group: NEEDS_FROM_SIP3,
            },
        ]
    ),
    row!(
        "CK-04",
        "C-14: SNI is the name dialled",
        server_name,
        &[Mutant {
            what: "SNI towards sip3 is that of sip",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    if hello.towards == Side::Peer && hello.proxy == 2 {
                        hello.server_name = Some(NAMES[0].to_owned());
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-05",
        "C-14: the certificate is chosen by SNI, the default without",
        chosen_by_name,
        &[Mutant {
            what: "the default certificate is shown for every name",
            change: Change::Tls(TlsChange {
                hello: Some(|hello, _| {
                    if hello.towards == Side::Gateway {
                        hello.server_name = Some(FQDN.to_owned());
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &["CK-92", "CK-96"],
        }]
    ),
    row!(
        "CK-06",
        "C-15: roots are configurable, an unknown root is refused",
        roots,
        &[Mutant {
            what: "a certificate of an unknown root is believed",
            change: Change::Tls(TlsChange {
                server: Some(|shown, _| {
                    if shown.towards == Side::Peer && shown.spare == Some("believed") {
                        shown.instead = shown.spare;
                    }
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
    row!(
        "CK-13",
        "C-15: a chain of ECDSA P-384 above an RSA leaf is believed",
        p384,
        &[Mutant {
            what: "signatures of P-384 keys cannot be verified",
            change: Change::Tls(TlsChange {
                server: Some(|shown, _| {
                    shown.refuse |= shown.towards == Side::Peer && shown.chain_holds(SECP384R1);
                }),
                ..TlsChange::NONE
            }),
            group: &[],
        }]
    ),
];

/// Rows that need the gateway to reach `sip2`.
pub const NEEDS_SIP2: &[&str] = &[
    "CK-03", "CK-04", "CK-11", "CK-14", "CK-22", "CK-23", "CK-31", "CK-32", "CK-36", "CK-37",
    "CK-44",
];
/// Rows that need the gateway to reach `sip3`.
pub const NEEDS_SIP3: &[&str] = &[
    "CK-02", "CK-04", "CK-11", "CK-14", "CK-22", "CK-23", "CK-31", "CK-32", "CK-36", "CK-37",
    "CK-44",
];
/// Rows that need `sip3` to reach the gateway.
pub const NEEDS_FROM_SIP3: &[&str] = &["CK-32", "CK-95"];

/// The last connection that was accepted at this one of Microsoft's names.
async fn accepted(stage: &Stage, index: usize) -> Result<Connection> {
    let look = || {
        let mut all = stage.acs.connections();
        all.retain(|one| one.listener == Some(index) && one.id.is_some());
        all.pop()
    };
    stage
        .until(&format!("a connection to {}", NAMES[index]), look)
        .await
}

/// The leaf alone, DER.
pub fn leaf_of(leaf: &Leaf) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(leaf.leaf.as_bytes()).expect("PEM")
}

async fn versions(trial: Trial) -> Result<String> {
    for suite in [AES_256, AES_128] {
        let plan = trial.plan().acs(|acs| {
            // The suites of TLS 1.2 that Microsoft documents need RSA in both roles.
            let leaf = trial.issue(Wish {
                usage: Usage::Both,
                ..Wish::good(&NAMES)
            });
            acs.tls = trial.settings(&leaf);
            acs.tls.versions = Versions::Tls12;
            acs.tls.suites = vec![suite];
        });
        let stage = plan.online().await.with_context(|| format!("{suite:?}"))?;
        stage
            .portal_online()
            .await
            .with_context(|| format!("{suite:?}"))?;
        for connection in stage
            .acs
            .connections()
            .iter()
            .filter(|one| one.id.is_some())
        {
            let agreed = connection.suite.map(|agreed| agreed.suite());
            ensure!(agreed == Some(suite), "{agreed:?} instead of {suite:?}");
        }
    }
    // The gateway as a server, then as a client, with somebody who only knows TLS 1.1.
    let stage = trial.plan().start().await?;
    let alert = old_client(SocketAddr::new(stage.places.gateway, 5061))?;
    ensure!(
        [ALERT, FAILURE].contains(&alert),
        "a client of TLS 1.1 is answered {alert:02x?}"
    );
    stage.acs.set_mode(0, acs_sim::ProxyMode::Down).await?;
    drop(stage);
    let alert = old_server(&trial).await?;
    ensure!(
        alert == ALERT,
        "a server of TLS 1.1 is answered {alert:02x?}"
    );
    Ok("both suites in both directions; 1.1 is answered with a fatal alert".to_owned())
}

/// A fatal alert `protocol_version`, without the version of its record.
const ALERT: [u8; 2] = [2, 70];
/// A fatal alert `handshake_failure`.
const FAILURE: [u8; 2] = [2, 40];

/// A ClientHello of TLS 1.1; gives the alert it is answered with.
fn old_client(to: SocketAddr) -> Result<[u8; 2]> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    // No session, two suites of CBC, no compression.
    body.extend([0, 0, 4, 0xc0, 0x14, 0xc0, 0x13, 1, 0]);
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(&handshake(1, &body))?;
    read_alert(&mut stream)
}

/// Answers the gateway's ClientHello in TLS 1.1; gives the alert that is sent back.
async fn old_server(trial: &Trial) -> Result<[u8; 2]> {
    let at = SocketAddr::new(trial.lab.host(41), 5061);
    let listener = TcpListener::bind(at)?;
    let plan = trial.plan();
    let before = format!("\"{MICROSOFT}\" = \"{}\"", plan.places.names[0].ip());
    let plan = plan.replace(&before, &format!("\"{MICROSOFT}\" = \"{}\"", at.ip()));
    let _stage = plan.start().await?;
    let (mut stream, _) = listener.accept()?;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)?;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
    stream.read_exact(&mut rest)?;
    let mut body = vec![3, 2];
    body.extend([9; 32]);
    body.extend([0, 0xc0, 0x14, 0]);
    stream.write_all(&handshake(2, &body))?;
    read_alert(&mut stream)
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short message");
    let [high, low] = length.to_be_bytes();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([kind, 0, high, low]);
    record.extend(body);
    record
}

fn read_alert(stream: &mut TcpStream) -> Result<[u8; 2]> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut record = [0; 7];
    stream.read_exact(&mut record).context("no alert")?;
    ensure!(record[0] == 21, "no alert: {record:02x?}");
    Ok([record[5], record[6]])
}

async fn client_certificate(trial: Trial) -> Result<String> {
    let identity = trial.issue(Wish::good(&[FQDN]));
    let stage = trial.plan().identity(&identity).online().await?;
    for (index, name) in NAMES.iter().enumerate() {
        let connection = accepted(&stage, index).await?;
        let shown = connection
            .chain
            .first()
            .context("no certificate was shown")?;
        ensure!(
            *shown == leaf_of(&identity),
            "{name} was shown another leaf"
        );
    }
    Ok(format!("a leaf for {FQDN} at each name"))
}

async fn chain(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    let mut shown = Vec::new();
    for index in 0..NAMES.len() {
        shown.push(accepted(&stage, index).await?);
    }
    for (name, host) in NAMES.iter().zip(11..) {
        let from = trial.lab.host(host);
        let look = || {
            let mut all = stage.acs.connections();
            all.retain(|one| one.listener.is_none() && one.local.ip() == from);
            all.pop()
        };
        let opened = stage
            .until(&format!("a connection of {name}"), look)
            .await?;
        ensure!(opened.failed.is_none(), "{name}: {:?}", opened.failed);
        shown.push(opened);
    }
    for connection in &shown {
        let certificates = connection.chain.len();
        ensure!(
            certificates == 2,
            "{certificates} certificates instead of leaf and intermediate"
        );
    }
    Ok(
        "leaf and intermediate, three names, both roles; the far end knows the root alone"
            .to_owned(),
    )
}

async fn server_name(trial: Trial) -> Result<String> {
    let stage = trial.plan().online().await?;
    for (index, name) in NAMES.iter().enumerate() {
        let asked = accepted(&stage, index)
            .await?
            .server_name
            .unwrap_or_default();
        ensure!(asked == *name, "{name} was asked for `{asked}`");
    }
    Ok(NAMES.join(", "))
}

async fn chosen_by_name(trial: Trial) -> Result<String> {
    let (first, second) = (
        trial.issue(Wish::good(&[FQDN])),
        trial.issue(Wish::good(&[OTHER])),
    );
    second.write(&trial.lab, "teams1");
    let listen = format!("tls:{}:5061", trial.lab.host(1));
    let stage = trial
        .plan()
        .identity(&first)
        .tables(&format!(
            "[[certificate]]\nname = \"teams\"\ncertificate = \"teams1.pem\"\n\
             private_key = \"teams1.key\"\n[[trunk]]\nname = \"teams\"\npreset = \"teams\"\n\
             fqdn = \"{OTHER}\"\ncertificate = \"teams\"\nlisten = \"{listen}\"\n\
             allow = [\"127.0.0.0/8\"]\n"
        ))
        .start()
        .await?;
    let client = trial.far_leaf(&[MICROSOFT]);
    for (asked, expected) in [
        (Some(FQDN), &first),
        (Some(OTHER), &second),
        (Some("nobody.example"), &first),
        (None, &first),
    ] {
        let line = Dial {
            to: stage.places.tls,
            from: trial.lab.host(11),
            server_name: asked,
            identity: Some(&client),
        }
        .open()?;
        let shown = line.chain();
        ensure!(
            shown.first() == Some(&leaf_of(expected)),
            "{asked:?}: another leaf"
        );
        ensure!(shown.len() == 2, "{asked:?}: {} certificates", shown.len());
    }
    Ok("two names, an unknown one, none".to_owned())
}

async fn roots(trial: Trial) -> Result<String> {
    trial
        .plan()
        .online()
        .await
        .context("with the root in the store")?;
    let other = Authority::new();
    // Signed by whom the gateway trusts now, for a mutant.
    trial.spare("believed", &other.good(&NAMES));
    let mut stage = trial.plan().roots(&other.root()).start().await?;
    let fault = stage.gateway.wait_for(
        "the signature of its certificate is not its issuer's",
        Duration::from_secs(10),
    );
    let look = || {
        stage
            .acs
            .connections()
            .into_iter()
            .find_map(|one| one.failed)
    };
    let seen = stage.until("a handshake that fails", look).await?;
    ensure!(
        stage.acs.messages().is_empty(),
        "something was sent all the same"
    );
    Ok(format!(
        "far end: {seen}; gateway: {}",
        fault.rsplit(' ').next().unwrap_or_default()
    ))
}

async fn p384(trial: Trial) -> Result<String> {
    let ecc = Authority::p384();
    let leaf = trial.known(ecc.issue(Wish {
        usage: Usage::Both,
        ..Wish::good(&NAMES)
    }));
    let stage = trial
        .plan()
        .roots(&ecc.root())
        .acs(|acs| {
            let (chain, key) = der(&leaf);
            acs.tls.identity = acs_sim::Identity { chain, key };
        })
        .online()
        .await?;
    stage.portal_online().await?;
    Ok("RSA leaf, P-384 intermediate and root".to_owned())
}
