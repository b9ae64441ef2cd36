"""What the scripts that compare Trunkline with other programs have in common.

Everything started here is stopped here, by its own process id. Whoever is measured runs on core 0,
whoever drives it on core 1. Figures are CPU time from the scheduler's accounts of all threads.
"""

import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEVICE, GENERATOR = 0, 1
# The share of either core that others may have had in a trial that counts.
DISTURBED = 0.15
TRIES = 3


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def installed(package):
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(command, capture_output=True, text=True).stdout == "installed"


def install(packages):
    """Has Debian install what is not there."""
    missing = [package for package in packages if not installed(package)]
    if not missing:
        return
    say(f"installing {' '.join(missing)} …")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    quiet = {"stdout": subprocess.DEVNULL, "env": env, "check": True}
    # A policy of 101 keeps the packages from starting their services (invoke-rc.d).
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update", "-qq"], timeout=300, **quiet)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(command, timeout=900, **quiet)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        sys.exit(f"{' '.join(missing)} could not be installed: {error}")
    finally:
        if ours:
            policy.unlink()


def trunkline():
    """The binary under test: TRUNKLINE_BIN, or what is to be installed, built now."""
    given = os.environ.get("TRUNKLINE_BIN")
    if given:
        return os.path.abspath(given)
    if subprocess.run([ROOT / "packaging/build"]).returncode:
        sys.exit("TRUNKLINE_BIN can name a binary that was built otherwise")
    return str(ROOT / "target/install/trunkline")


def own_network(*packages):
    """Starts this script again in a network namespace of its own, where loopback alone is, and
    where packets may carry loopback addresses on any path (route_localnet); before that, while
    there is a network, has Debian install what the script runs."""
    if os.environ.get("RIVAL_NAMESPACE") != "1":
        if os.geteuid() != 0:
            sys.exit("this needs root: for a network namespace, priorities and steered packets")
        install(packages)
        trunkline_bin = trunkline()
        env = dict(os.environ, RIVAL_NAMESPACE="1", TRUNKLINE_BIN=trunkline_bin)
        script = os.path.abspath(sys.argv[0])
        os.execvpe("unshare", ["unshare", "-n", sys.executable, script, *sys.argv[1:]], env)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for scope in ("all", "lo"):
        for name in ("route_localnet", "accept_local"):
            path = pathlib.Path(f"/proc/sys/net/ipv4/conf/{scope}/{name}")
            path.write_text("1")


def pinned(core):
    """What a child does first: its core, its priority, its open files."""

    def prepare():
        os.sched_setaffinity(0, {core})
        # The kernel weighs sessions against each other first (sched_autogroup), then what is in one.
        os.setsid()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -15)
            pathlib.Path("/proc/self/autogroup").write_text("-15")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare


class Program:
    """A process that is ended when its block ends."""

    def __init__(self, core, command, **options):
        self.name = pathlib.Path(command[0]).name
        self.process = subprocess.Popen(command, preexec_fn=pinned(core), **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def alive(self):
        return self.process.poll() is None


class Role(Program):
    """A part of `trunkline bench`, spoken with line by line."""

    def __init__(self, core, binary, *arguments):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__(core, [binary, "bench", *arguments], **pipes)
        self.name = arguments[0]

    def say(self, value):
        try:
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            sys.exit(f"the {self.name} has ended; what it said stands above")

    def hear(self, patience=60):
        # A line is written whole, so what can be read at all is read to its end.
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise RuntimeError(f"the {self.name} says nothing")
        return json.loads(line)

    def end(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            super().end()


def processes(pid):
    """A process and all that descend from it."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                text = pathlib.Path(f"/proc/{one}/task/{task}/children").read_text()
                waiting += map(int, text.split())
    return found


def cpu(pids):
    """Seconds of CPU time of all threads of these processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                text = pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text()
                total += int(text.split()[0])
    return total / 1e9


def memory(pids):
    """Octets of these processes, shared pages counted once (PSS)."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += 1024 * int(line.split()[1])
    return total


def busy(core):
    """Seconds that a core was not idle since the machine started."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            fields = [int(field) for field in line.split()[1:9]]
            return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
    sys.exit(f"there is no core {core}")


def quiet(patience=60):
    """Waits for a machine that others leave alone; how much of it they had in the last second."""
    end = time.monotonic() + patience
    while True:
        before = [busy(core) for core in (DEVICE, GENERATOR)]
        began = time.monotonic()
        time.sleep(1)
        wall = time.monotonic() - began
        share = max((busy(c) - b) / wall for c, b in zip((DEVICE, GENERATOR), before))
        if share < 0.1 or time.monotonic() > end:
            return share


def spread(values):
    """min, median, max."""
    return min(values), statistics.median(values), max(values)


def table(rows, notes):
    """Prints `work · rival · Trunkline · ratio (min, median, max)`; a row is (work, unit, rival's
    figures, ours, whether less is better, mark)."""
    lines = [("work", "rival", "Trunkline", "ratio (min, median, max)")]
    for work, unit, theirs, ours, less, mark in rows:
        if less:
            ratios = [t / o for t, o in zip(theirs, ours) if o > 0]
        else:
            ratios = [o / t for t, o in zip(theirs, ours) if t > 0]
        low, middle, high = spread(ratios) if ratios else (0, 0, 0)
        lines.append(
            (
                work,
                f"{statistics.median(theirs):.4g} {unit}",
                f"{statistics.median(ours):.4g} {unit}",
                f"{middle:.2f}×  ({low:.2f}, {middle:.2f}, {high:.2f}){mark}",
            )
        )
    widths = [max(len(line[n]) for line in lines) for n in range(4)]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for note in notes:
        print(f"- {note}")


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="rival-")
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def bounded(seconds):
    """Ends the whole script, with everything it started, should it hang."""

    def give_up(*_):
        raise TimeoutError(f"not done within {seconds} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
