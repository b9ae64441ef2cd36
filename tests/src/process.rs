//! Programs run beside a test, watched line by line, ended by their handle.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running program whose output is collected.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    gentle: bool,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts a program; standard output and error are read together, line by line.
    ///
    /// # Panics
    /// The program cannot be started: it is installed by `tests/run`.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::null()))
    }

    /// As [`start`](Self::start), with standard input open until the handle goes.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with_input(name: &str, command: &mut Command) -> Self {
        Self::spawn(name, command.stdin(Stdio::piped()))
    }

    fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started ({error}); use tests/run"));
        let input = child.stdin.take();
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("stdout is piped");
        let err = child.stderr.take().expect("stderr is piped");
        let other = sender.clone();
        std::thread::spawn(move || forward(BufReader::new(out), &sender));
        std::thread::spawn(move || forward(BufReader::new(err), &other));
        Self {
            name: name.to_owned(),
            child,
            input,
            gentle: false,
            lines,
            seen: Vec::new(),
        }
    }

    /// The program has processes of its own, which only it can end: it is asked to end before it
    /// is killed.
    #[must_use]
    pub fn ending_gently(mut self) -> Self {
        self.gentle = true;
        self
    }

    /// Writes to its standard input; tells whether it still listens.
    ///
    /// # Panics
    /// It was started without one.
    pub fn say(&mut self, text: &str) -> bool {
        let input = self.input.as_mut().expect("started with input");
        input.write_all(text.as_bytes()).is_ok() && input.flush().is_ok()
    }

    /// Waits until a line holds `wanted` or the program has ended; tells whether one does.
    ///
    /// # Panics
    /// Neither happens within `patience`.
    pub fn says(&mut self, wanted: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            if self.seen.iter().any(|line| line.contains(wanted)) {
                return true;
            }
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "{} neither ends nor says `{wanted}`:\n{}",
                    self.name,
                    self.seen.join("\n")
                ),
            }
        }
    }

    /// Waits until a line holds `wanted` and gives it.
    ///
    /// # Panics
    /// The program ended or `patience` ran out; the output so far is shown.
    pub fn wait_for(&mut self, wanted: &str, patience: Duration) -> String {
        self.wait_for_nth(1, wanted, patience)
    }

    /// Waits until so many lines hold `wanted`, counted from 1, and gives the last of these.
    ///
    /// # Panics
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_nth(&mut self, nth: usize, wanted: &str, patience: Duration) -> String {
        let until = Instant::now() + patience;
        loop {
            let mut holding = self.seen.iter().filter(|line| line.contains(wanted));
            if let Some(line) = holding.nth(nth - 1) {
                return line.clone();
            }
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "{} did not say `{wanted}`:\n{}",
                        self.name,
                        self.seen.join("\n")
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!(
                        "{} ended before `{wanted}`:\n{}",
                        self.name,
                        self.seen.join("\n")
                    )
                }
            }
        }
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    /// It does not end within `patience`.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let until = Instant::now() + patience;
        // Both pipes close when the program ends, and the lines with them.
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not end:\n{}", self.name, self.seen.join("\n"))
                }
            }
        }
        self.child.wait().expect("the child is ours")
    }

    /// Sends a signal by name, for example `TERM`.
    ///
    /// # Panics
    /// `kill` cannot be run.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "{} is gone already", self.name);
    }

    /// Everything the program has written so far.
    pub fn output(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.gentle && matches!(self.child.try_wait(), Ok(None)) {
            self.signal("TERM");
            let until = Instant::now() + Duration::from_secs(5);
            let left = || until.saturating_duration_since(Instant::now());
            // Its lines end with it.
            while self.lines.recv_timeout(left()).is_ok() {}
        }
        // Either it has ended already or this ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(from: impl BufRead, to: &std::sync::mpsc::Sender<String>) {
    for line in from.split(b'\n').map_while(Result::ok) {
        if to
            .send(String::from_utf8_lossy(&line).trim_end().to_owned())
            .is_err()
        {
            return;
        }
    }
}
