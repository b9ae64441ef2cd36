//! What Azure had before a change, kept in a file.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use acs_client::sip_routing::SipConfiguration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The only form there has been.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    endpoint: String,
    at: String,
    configuration: SipConfiguration,
}

/// Writes what `endpoint` has into a new file of `folder`, and gives its name once it is on disk.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(
    folder: &Path,
    endpoint: &str,
    at: Timestamp,
    configuration: &SipConfiguration,
) -> io::Result<PathBuf> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let saved = Saved {
        version: VERSION,
        endpoint: endpoint.to_owned(),
        at: at.to_string(),
        configuration: configuration.clone(),
    };
    let name = at.strftime("acs-before-%Y%m%dT%H%M%S%3fZ.json");
    let path = folder.join(name.to_string());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    serde_json::to_writer_pretty(&mut file, &saved)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(path)
}

/// Reads such a file, which must be of `endpoint`.
///
/// # Errors
/// Why it cannot be used, in words.
pub(super) fn read(file: &Path, endpoint: &str) -> Result<SipConfiguration, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let saved: Saved = serde_json::from_slice(&text)
        .map_err(|error| format!("not a file `trunkline acs apply` saved: {error}"))?;
    if saved.version != VERSION {
        return Err(format!("version {} is not known here", saved.version));
    }
    if saved.endpoint != endpoint {
        return Err(format!(
            "it was saved from {}, not {endpoint}",
            saved.endpoint
        ));
    }
    Ok(saved.configuration)
}
