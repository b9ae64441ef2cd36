//! SIPp as one party of a call. A scenario is put together from parts, one XML file each.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::Lab;
use crate::process::Process;

/// One SIPp to start.
#[derive(Clone, Debug)]
pub struct Sipp {
    name: String,
    scenario: PathBuf,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    calls: u32,
    rate: u32,
    transport: &'static str,
}

/// A running SIPp.
#[derive(Debug)]
pub struct Running {
    process: Process,
    errors: PathBuf,
    name: String,
}

impl Sipp {
    /// A party named `name` whose scenario is these parts in this order. A part is the name of a
    /// file below `wire/sipp/`, without its ending; `part?key=value` replaces `{{key}}` in it.
    ///
    /// # Panics
    /// A part is not there.
    #[must_use]
    pub fn new(lab: &Lab, name: &str, local: SocketAddr, parts: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/sipp");
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"trunkline\">\n",
        );
        for part in parts {
            let (file, values) = part.split_once('?').unwrap_or((part, ""));
            let path = folder.join(format!("{file}.xml"));
            let mut xml = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for pair in values.split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').expect("key=value");
                xml = xml.replace(&format!("{{{{{key}}}}}"), value);
            }
            let xml = xml.replace("{{contact}}", "[local_ip]:[local_port]");
            assert!(!xml.contains("{{"), "{part}: a value is missing");
            let _ = writeln!(text, "{xml}");
        }
        text.push_str("</scenario>\n");
        Self {
            name: name.to_owned(),
            scenario: lab.write(&format!("{name}.xml"), &text),
            local,
            remote: None,
            calls: 1,
            rate: 10,
            transport: "u1",
        }
    }

    /// The far end; callers need one.
    #[must_use]
    pub fn towards(mut self, remote: SocketAddr) -> Self {
        self.remote = Some(remote);
        self
    }

    /// How many calls, and how many of them a second.
    #[must_use]
    pub fn calls(mut self, calls: u32, rate: u32) -> Self {
        self.calls = calls;
        self.rate = rate;
        self
    }

    /// `udp` or `tcp`; one socket for all calls.
    #[must_use]
    pub fn over(mut self, transport: &str) -> Self {
        self.transport = if transport == "tcp" { "t1" } else { "u1" };
        self
    }

    /// Its TCP passes a TLS end that others reach at `door`: that is what it tells them.
    ///
    /// # Panics
    /// The scenario cannot be written again.
    #[must_use]
    pub fn behind(self, door: SocketAddr) -> Self {
        let text = std::fs::read_to_string(&self.scenario).expect("it was just written");
        let text = text
            .replace(
                "@[local_ip]:[local_port];transport=[transport]>",
                &format!("@{door};transport=tls>"),
            )
            .replace("Via: SIP/2.0/[transport]", "Via: SIP/2.0/TLS");
        std::fs::write(&self.scenario, text).expect("it was just written");
        self.over("tcp")
    }

    /// Starts it. A called party has its socket bound when this returns.
    #[must_use]
    pub fn start(self) -> Running {
        let errors = self.scenario.with_extension("errors");
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(&self.scenario)
            .args(["-i", &self.local.ip().to_string()])
            .args(["-p", &self.local.port().to_string()])
            .args(["-mi", &self.local.ip().to_string(), "-mp", "6000"])
            .args(["-m", &self.calls.to_string()])
            .args(["-r", &self.rate.to_string()])
            .args(["-l", &self.calls.to_string()])
            .args(["-t", self.transport])
            .args([
                "-timeout",
                "40s",
                "-timeout_error",
                "-nostdin",
                "-trace_err",
            ])
            .args(["-recv_timeout", "15000", "-f", "60"])
            .arg("-error_file")
            .arg(&errors)
            .current_dir(self.scenario.parent().expect("it lies in the lab"));
        if let Some(remote) = self.remote {
            command.arg(remote.to_string());
        }
        let process = Process::start(&self.name, &mut command);
        if self.remote.is_none() {
            await_bound(self.local, self.transport == "t1");
        }
        Running {
            process,
            errors,
            name: self.name,
        }
    }
}

impl Running {
    /// Waits until every call has gone as the scenario says.
    ///
    /// # Panics
    /// One has not.
    pub fn succeed(mut self) {
        let status = self.process.wait(Duration::from_secs(50));
        assert!(
            status.success(),
            "{} ends with {status}:\n{}\n{}",
            self.name,
            std::fs::read_to_string(&self.errors).unwrap_or_default(),
            self.process.output(),
        );
    }
}

/// Waits until somebody has bound `address`: the kernel's own table is asked, nothing is sent.
fn await_bound(address: SocketAddr, tcp: bool) {
    let SocketAddr::V4(v4) = address else {
        panic!("the laboratory is IPv4");
    };
    let table = if tcp {
        "/proc/net/tcp"
    } else {
        "/proc/net/udp"
    };
    let wanted = format!(
        " {:08X}:{:04X} ",
        u32::from_le_bytes(v4.ip().octets()),
        v4.port()
    );
    for _ in 0..1000 {
        let text = std::fs::read_to_string(table).expect("the kernel tells its sockets");
        if text.contains(&wanted) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody binds {address}");
}
