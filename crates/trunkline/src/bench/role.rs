//! A part of a bench in a process of its own, spoken with line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a part may take to end once nobody speaks to it.
const FAREWELL: Duration = Duration::from_secs(3);

/// A process of this very binary. Dropping it ends it.
pub(crate) struct Role {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Role {
    /// Starts `bench NAME ARGUMENTS…`.
    pub(crate) fn start(name: &'static str, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench").arg(name).args(arguments);
        Self::spawn(name, command)
    }

    fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("the {name} cannot be started"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let whole = BufReader::new(output).lines().map_while(Result::ok);
            for line in whole {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            name,
            child,
            input,
            lines,
        })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a value.
    pub(crate) fn say(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(value)?;
        line.push('\n');
        let input = self.input.as_mut().context("nobody listens")?;
        let said = input.write_all(line.as_bytes());
        said.with_context(|| format!("the {} has ended", self.name))
    }

    /// Waits for the next value.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T> {
        let line = self
            .lines
            .recv_timeout(patience)
            .map_err(|_| self.silence(patience))?;
        serde_json::from_str(&line).with_context(|| format!("the {} says {line}", self.name))
    }

    fn silence(&mut self, patience: Duration) -> anyhow::Error {
        let (name, seconds) = (self.name, patience.as_secs());
        match self.child.try_wait() {
            Ok(Some(status)) => anyhow!("the {name} ended: {status}"),
            Ok(None) | Err(_) => anyhow!("the {name} says nothing for {seconds} s"),
        }
    }

    /// Lets it end by itself, which shows whether it could.
    pub(crate) fn end(mut self) -> Result<()> {
        self.input = None;
        let asked = Instant::now();
        while asked.elapsed() < FAREWELL {
            // The output closes when the process is over.
            if self.lines.recv_timeout(FAREWELL).is_err() {
                let status = self.child.wait()?;
                if !status.success() {
                    bail!("the {} ended with {status}", self.name);
                }
                return Ok(());
            }
        }
        bail!("the {} does not end", self.name)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.input = None;
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
