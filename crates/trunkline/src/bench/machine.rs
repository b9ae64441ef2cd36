//! The machine as the kernel accounts for it: cores, CPU time, memory.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// Ticks a second in `/proc/stat`: the kernel's `USER_HZ`, part of its interface.
const TICKS: u64 = 100;

/// The cores this process may run on, lowest first.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity")?;
    let cores = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false));
    Ok(cores.collect())
}

/// Keeps this process, and the threads it is still to start, on one core.
pub(crate) fn pin(core: Option<usize>) -> Result<()> {
    let Some(core) = core else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(core)
        .with_context(|| format!("there is no core {core}"))?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("this process may not run on core {core}"))
}

/// Raises the limit of open files to what the system allows, and gives it.
pub(crate) fn descriptors() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// CPU time of all threads that a process has now, in µs, from the scheduler's accounts.
pub(crate) fn cpu_us(pid: u32) -> Result<f64> {
    let mut nanos = 0;
    let tasks = format!("/proc/{pid}/task");
    for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
        // A thread may end between being listed and being read.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        nanos += text
            .split(' ')
            .next()
            .and_then(|field| field.parse::<u64>().ok())
            .context("schedstat has another form")?;
    }
    Ok(nanos as f64 / 1e3)
}

/// Octets of a process that are resident.
pub(crate) fn rss(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .context("no VmRSS")?;
    Ok(1024 * kib)
}

/// How long a core has not been idle since the machine started, in µs.
pub(crate) fn busy_us(core: usize) -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    busy_ticks(&text, &format!("cpu{core}"))
        .map(|ticks| ticks as f64 * 1e6 / TICKS as f64)
        .with_context(|| format!("no core {core} in /proc/stat"))
}

/// user, nice, system, idle, iowait, irq, softirq, steal; what guests had is within user and nice.
fn busy_ticks(stat: &str, name: &str) -> Option<u64> {
    let line = stat
        .lines()
        .find(|line| line.split(' ').next() == Some(name))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let idle = fields.get(3)? + fields.get(4)?;
    Some(fields.iter().sum::<u64>() - idle)
}

/// The accounts of some processes and of the core they run on, where counting begins or ends.
pub(crate) struct Reading {
    at: Instant,
    cpu: Vec<f64>,
    core: Option<f64>,
    own: f64,
}

/// What was spent between two readings.
pub(crate) struct Spent {
    /// The time between them.
    pub(crate) seconds: f64,
    /// CPU time of each process, µs.
    pub(crate) cpu_us: Vec<f64>,
    /// What their core did beside them, as a share of the time.
    pub(crate) beside: f64,
    /// The share of a core that this process had.
    pub(crate) own: f64,
}

impl Reading {
    /// Reads the accounts now.
    pub(crate) fn take(pids: &[u32], core: Option<usize>) -> Result<Self> {
        Ok(Self {
            cpu: pids.iter().map(|pid| cpu_us(*pid)).collect::<Result<_>>()?,
            core: core.map(busy_us).transpose()?,
            own: cpu_us(std::process::id())?,
            at: Instant::now(),
        })
    }

    /// What was spent from here on.
    pub(crate) fn until(&self, end: &Self) -> Spent {
        let wall = ((end.at - self.at).as_secs_f64() * 1e6).max(1.0);
        let cpu_us: Vec<f64> = self.cpu.iter().zip(&end.cpu).map(|(a, b)| b - a).collect();
        let known: f64 = cpu_us.iter().sum();
        let busy = self.core.zip(end.core).map(|(a, b)| b - a);
        Spent {
            seconds: wall / 1e6,
            cpu_us,
            beside: busy.map_or(0.0, |busy| ((busy - known) / wall).max(0.0)),
            own: (end.own - self.own) / wall,
        }
    }
}

/// The machine in words: processor, cores, kernel.
pub(crate) fn described() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("a processor", |rest| {
            rest.trim_start_matches(['\t', ':', ' '])
        });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cores().map_or(0, |cores| cores.len());
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Which core the thing measured runs on and which one the generator.
pub(crate) fn two_cores(device: Option<usize>, generator: Option<usize>) -> Result<(usize, usize)> {
    let cores = cores()?;
    let pick = |wish: Option<usize>, not: Option<usize>| {
        wish.or_else(|| cores.iter().copied().find(|core| Some(*core) != not))
    };
    let device = pick(device, generator).context("no core")?;
    match pick(generator, Some(device)) {
        Some(generator) if generator != device => Ok((device, generator)),
        Some(_) | None => bail!("a bench needs two cores: one is measured, one generates"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_busy_when_it_neither_idles_nor_waits() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 100 200 8 16 32 64 0\n\
                    cpu10 5 0 0 0 0 0 0 0 0 0\nintr 1\n";
        assert_eq!(busy_ticks(stat, "cpu0"), Some(63));
        assert_eq!(busy_ticks(stat, "cpu10"), Some(5));
        assert_eq!(busy_ticks(stat, "cpu1"), None);
    }

    #[test]
    fn this_process_has_time_and_memory() {
        let pid = std::process::id();
        let before = cpu_us(pid).unwrap();
        let sum = (0..10_000_000u64).fold(0, |sum: u64, n| sum.wrapping_mul(31) ^ n);
        assert!(cpu_us(pid).unwrap() >= before, "{sum}");
        assert!(rss(pid).unwrap() > 100_000);
        let first = cores().unwrap()[0];
        assert!(busy_us(first).unwrap() > 0.0);
    }
}
