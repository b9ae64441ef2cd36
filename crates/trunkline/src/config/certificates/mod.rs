//! Certificates as Microsoft will judge them: chain, name, usage, key, days left.

mod leaf;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use sha1::{Digest, Sha1};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::diagnostic::Findings;
use super::resolve::{CertificateFiles, CertificateRules, Cloud, Config, Trunk};

pub use leaf::Leaf;

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

/// Where Microsoft's SIP proxies are.
const MICROSOFT_DOMAIN: &str = ".pstnhub.microsoft.com";

/// A certificate chain and its key, read and found to belong together.
#[derive(Debug)]
pub struct Identity {
    /// Leaf first, then the intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// Reads the trusted roots: a PEM file, or the operating system's.
///
/// # Errors
/// A sentence naming the file and what is wrong with it.
pub fn roots(path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = path else {
        let native = rustls_native_certs::load_native_certs();
        if native.certs.is_empty() {
            return Err("the operating system has no trusted roots; set `roots` in [tls]".into());
        }
        return Ok(native.certs);
    };
    let certificates = pem_chain(path)?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate", path.display()));
    }
    Ok(certificates)
}

/// Reads one identity.
///
/// # Errors
/// A sentence naming the file and what is wrong with it.
pub fn identity(files: &CertificateFiles) -> Result<Identity, String> {
    let chain = pem_chain(&files.certificate)?;
    if chain.is_empty() {
        return Err(format!(
            "{} holds no certificate",
            files.certificate.display()
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&files.private_key)
        .map_err(|error| format!("{}: {}", files.private_key.display(), pem_fault(&error)))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Ok(Identity { chain, key }),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "{} is not the key of {}",
            files.private_key.display(),
            files.certificate.display()
        )),
        Err(error) => Err(format!("{}: {error}", files.certificate.display())),
    }
}

fn pem_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {}", path.display(), pem_fault(&error)))
}

fn pem_fault(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    if let Error::Io(error) = error {
        error.to_string()
    } else if matches!(error, Error::NoItemsFound) {
        "no PEM section of the right kind".to_owned()
    } else {
        format!("not PEM: {error:?}")
    }
}

/// Judges every identity the configuration names and the roots it trusts, as of `now`.
pub fn check(config: &Config, now: UnixTime, findings: &mut Findings) {
    let roots = match roots(config.roots.as_deref()) {
        Ok(roots) => roots,
        Err(fault) => {
            findings.error_anywhere(fault);
            return;
        }
    };
    // Laboratories name peers and roots of their own.
    let really_microsoft = |trunk: &Trunk| {
        let mut peers = trunk.peers.iter();
        trunk.preset.is_microsoft() && peers.any(|peer| peer.host.ends_with(MICROSOFT_DOMAIN))
    };
    if config.trunks.iter().any(really_microsoft) {
        missing_roots(&roots, &config.certificate_rules, findings);
    }
    for (index, files) in config.certificates.iter().enumerate() {
        let users: Vec<_> = config
            .trunks
            .iter()
            .filter(|trunk| trunk.certificate == Some(index))
            .collect();
        let identity = match identity(files) {
            Ok(identity) => identity,
            Err(fault) => {
                findings.error(files.span.clone(), fault);
                continue;
            }
        };
        readable_by_others(files, findings);
        let mut names: Vec<&str> = users
            .iter()
            .filter_map(|trunk| trunk.fqdn.as_deref())
            .collect();
        // Azure, too, knows the gateway by what the certificate says.
        let cloud = config.cloud.as_ref();
        let cloud = cloud.filter(|cloud| cloud.certificate == index);
        names.extend(cloud.map(Cloud::public_name));
        names.sort_unstable();
        names.dedup();
        let microsoft = users.iter().any(|trunk| trunk.preset.is_microsoft());
        judge_leaf(config, files, &identity, &names, microsoft, now, findings);
        path_to_a_root(files, &identity, &roots, &names, now, findings);
    }
}

fn missing_roots(roots: &[CertificateDer<'_>], rules: &CertificateRules, findings: &mut Findings) {
    let known: Vec<String> = roots
        .iter()
        .map(|root| {
            Sha1::digest(root)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        })
        .collect();
    let missing: Vec<&str> = rules
        .microsoft_roots
        .iter()
        .filter(|root| !known.contains(&root.fingerprint))
        .map(|root| root.name.as_str())
        .collect();
    if !missing.is_empty() {
        findings
            .warning_anywhere(format!("the trust store lacks {}", missing.join(", ")))
            .help("Microsoft's certificates may chain to them; update ca-certificates, or `roots`");
    }
}

#[cfg(unix)]
fn readable_by_others(files: &CertificateFiles, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt as _;
    let others =
        fs::metadata(&files.private_key).map_or(0, |meta| meta.permissions().mode() & 0o007);
    if others != 0 {
        findings
            .warning(
                files.span.clone(),
                format!("{} can be read by every user", files.private_key.display()),
            )
            .help("chmod 600, or 640 with a group of its own");
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "one judgement from all that is known"
)]
fn judge_leaf(
    config: &Config,
    files: &CertificateFiles,
    identity: &Identity,
    names: &[&str],
    microsoft: bool,
    now: UnixTime,
    findings: &mut Findings,
) {
    let file = files.certificate.display();
    let Ok((_, leaf)) = X509Certificate::from_der(&identity.chain[0]) else {
        findings.error(
            files.span.clone(),
            format!("{file}: the leaf is not an X.509 certificate"),
        );
        return;
    };
    validity(config, files, &leaf, now, findings);
    let covered = certificate_names(&leaf);
    for name in names {
        if !covered.iter().any(|pattern| name_matches(pattern, name)) {
            findings
                .error(files.span.clone(), format!("{file} does not name {name}"))
                .help(format!("it names {}", covered.join(", ")));
        }
    }
    if let Ok(Some(usage)) = leaf.extended_key_usage()
        && !usage.value.server_auth
        && !usage.value.any
    {
        findings.error(
            files.span.clone(),
            format!("{file}: extended key usage lacks serverAuth, which Microsoft demands"),
        );
    }
    if !microsoft {
        return;
    }
    match leaf.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < config.certificate_rules.rsa_bits => {
            findings.error(
                files.span.clone(),
                format!(
                    "{file}: an RSA key of {} bits; {} are wanted towards Microsoft",
                    key.key_size(),
                    config.certificate_rules.rsa_bits
                ),
            );
        }
        Ok(PublicKey::EC(_)) => {
            findings
                .warning(files.span.clone(), format!("{file}: an ECDSA key"))
                .help("the TLS 1.2 suites Microsoft documents need RSA; TLS 1.3 does not");
        }
        Ok(_) | Err(_) => {}
    }
    if leaf.issuer() == leaf.subject() {
        findings.error(
            files.span.clone(),
            format!("{file} is self-signed; Microsoft refuses it"),
        );
    }
}

fn validity(
    config: &Config,
    files: &CertificateFiles,
    leaf: &X509Certificate<'_>,
    now: UnixTime,
    findings: &mut Findings,
) {
    let file = files.certificate.display();
    let now = now.as_secs() as i64;
    let (from, until) = (
        leaf.validity().not_before.timestamp(),
        leaf.validity().not_after.timestamp(),
    );
    let days = (until - now) / DAY;
    if now < from {
        findings.error(files.span.clone(), format!("{file} is not valid yet"));
    } else if now >= until {
        findings.error(
            files.span.clone(),
            format!("{file} expired {} days ago", (now - until) / DAY),
        );
    } else if until - now < i64::try_from(config.warn_before.as_secs()).unwrap_or(i64::MAX) {
        findings.warning(files.span.clone(), format!("{file} expires in {days} days"));
    }
}

fn path_to_a_root(
    files: &CertificateFiles,
    identity: &Identity,
    roots: &[CertificateDer<'static>],
    names: &[&str],
    now: UnixTime,
    findings: &mut Findings,
) {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Ok(verifier) =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build()
    else {
        findings.error_anywhere("none of the trusted roots can be used");
        return;
    };
    let Some(Ok(name)) = names
        .first()
        .map(|name| ServerName::try_from((*name).to_owned()))
    else {
        return;
    };
    let (leaf, intermediates) = (&identity.chain[0], &identity.chain[1..]);
    let verdict = verifier.verify_server_cert(leaf, intermediates, &name, &[], now);
    // A root of the same name but another key does not sign, which is no path either.
    if let Err(rustls::Error::InvalidCertificate(
        CertificateError::UnknownIssuer | CertificateError::BadSignature,
    )) = verdict
    {
        findings
            .warning(
                files.span.clone(),
                format!(
                    "{}: no path from the leaf to a root known here",
                    files.certificate.display()
                ),
            )
            .help(
                "put every intermediate into the file, after the leaf; peers need the full chain",
            );
    }
}

/// Names a certificate stands for: DNS names of the SAN, the CN where there is none.
pub fn certificate_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(san)) = leaf.subject_alternative_name() {
        names.extend(san.value.general_names.iter().filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(name.to_ascii_lowercase())
            } else {
                None
            }
        }));
    }
    if names.is_empty() {
        names.extend(
            leaf.subject()
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .map(str::to_ascii_lowercase),
        );
    }
    names
}

/// Whether a certificate's name covers `name`; a wildcard covers one label (C-07).
pub fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
        None => pattern.eq_ignore_ascii_case(name),
    }
}
