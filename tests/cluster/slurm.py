"""Bring up a real Slurm of several nodes on this machine: on loopback, with fake GPUs, without systemd."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENT_TIMEOUT_S = 60  # of each call: a client without its controller waits for minutes
NODE_TIMEOUT_S = 10  # after which a node that is silent is down
NULL_DEVICE = os.makedev(1, 3)

SETTINGS = """
ClusterName=lrrt
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
MinJobAge=300
SlurmdTimeout={node_timeout_s}
JobRequeue=1
RebootProgram=/bin/true
GresTypes=gpu
SlurmdParameters=config_overrides
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Task:
    """A task in the queue; `name_in_array` is what commands take, `job` what the task itself knows."""

    name_in_array: str
    job: str
    index: str
    state: str
    node: str
    name: str


@dataclass(frozen=True)
class Slurm:
    """A cluster that is up."""

    folder: Path
    nodes: tuple[str, ...]

    @property
    def environment(self):
        """What its clients need in their environment."""
        return {"SLURM_CONF": str(self.folder / "etc/slurm.conf")}

    def ask(self, *command):
        """Run one of its clients; return what it prints."""
        ended = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=CLIENT_TIMEOUT_S,
            check=False,
        )
        assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr}"
        return ended.stdout.strip()

    def tasks(self, name=""):
        """Return the tasks in the queue of the jobs whose name ends so."""
        shown = self.ask("squeue", "-h", "-r", "-o", "%F_%K|%A|%K|%T|%N|%j")
        found = [Task(*line.split("|")) for line in shown.splitlines()]
        return [task for task in found if task.name.endswith(name)]

    def process_of(self, job):
        """Return the process id of a running task."""
        return next(
            int(found["SLURM_TASK_PID"]) for found in self._environments().values() if found["SLURM_JOB_ID"] == job
        )

    def crash(self, node):
        """End a node as a power cut would: its daemon, the keepers of its jobs, the jobs, in this order."""
        jobs = [pid for pid, found in self._environments().items() if found["SLURMD_NODENAME"] == node]
        keepers = {_parent(pid) for pid in jobs} - {0, 1, *jobs}
        for pid in (_pid(self.folder / f"slurmd.{node}.pid"), *keepers, *jobs):
            _end(pid, signal.SIGKILL)

    def _environments(self):
        """Return the environment of each process that runs in a job of this cluster, by process id."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)
                if "SLURM_JOB_ID" in environment and environment.get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                    found[int(entry.name)] = environment
        return found


def missing():
    """Return what a cluster lacks on this machine, in words, or nothing."""
    if os.getuid() != 0:
        return "Slurm's daemons must run as root"
    absent = [name for name in DAEMONS if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


@contextlib.contextmanager
def slurm(folder, *, num_nodes=3, cpus=2, gpus=2):
    """Bring a cluster up, and take it down with all its jobs when the block ends."""
    for name in ("etc", "state", "spool", "log", "munge", "gpu"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    nodes = tuple(f"n{index}" for index in range(1, num_nodes + 1))
    _write_settings(folder, nodes, cpus, gpus)
    up = Slurm(folder, nodes)
    try:
        _start_munge(folder / "munge")
        conf = up.environment["SLURM_CONF"]
        subprocess.run(["slurmctld", "-c", "-f", conf], check=True, timeout=CLIENT_TIMEOUT_S)
        for node in nodes:
            subprocess.run(["slurmd", "-N", node, "-f", conf], check=True, timeout=CLIENT_TIMEOUT_S)
        wait_until(lambda: up.ask("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split() == list(nodes), 20)
        yield up
    finally:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            up.ask("scancel", "-u", "root")
            wait_until(lambda: not up.ask("squeue", "-h"), 20)
        for node in nodes:
            up.crash(node)
        daemons = [_pid(folder / "slurmctld.pid"), _pid(folder / "munge/pid")]
        for daemon in daemons:
            _end(daemon, signal.SIGTERM)
        wait_until(lambda: not any(map(_runs, daemons)), 20)


def wait_until(holds, timeout_s, *, every_s=0.2):
    """Wait for a state of the world and return it; fail where it does not come."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"did not hold within {timeout_s} s"
        time.sleep(every_s)
    return found


def free_port():
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_settings(folder, nodes, cpus, gpus):
    host = socket.gethostname().partition(".")[0]
    lines = [SETTINGS.format(folder=folder, host=host, port=free_port(), node_timeout_s=NODE_TIMEOUT_S)]
    for node in nodes:
        where = f"NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()}"
        lines.append(f"NodeName={node} {where} CPUs={cpus} Gres=gpu:{gpus} State=UNKNOWN\n")
    (folder / "etc/slurm.conf").write_text("".join(lines))
    for index in range(gpus):
        os.mknod(folder / f"gpu/fake{index}", 0o666 | stat.S_IFCHR, NULL_DEVICE)
    devices = f"{folder}/gpu/fake[0-{gpus - 1}]"
    (folder / "etc/gres.conf").write_text("".join(f"NodeName={node} Name=gpu File={devices}\n" for node in nodes))
    (folder / "etc/cgroup.conf").write_text("CgroupAutomount=no\nIgnoreSystemd=yes\n")
    (folder / "etc/plugstack.conf").touch()


def _start_munge(folder):
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    files = {"key": key, "socket": folder / "socket", "pid": folder / "pid", "log": folder / "log"}
    options = [
        f"--key-file={files['key']}",
        f"--socket={files['socket']}",
        f"--pid-file={files['pid']}",
        f"--log-file={files['log']}",
        f"--seed-file={folder / 'seed'}",
    ]
    subprocess.run(
        ["munged", "--force", "--num-threads=2", *options], check=True, timeout=CLIENT_TIMEOUT_S, capture_output=True
    )


def _parent(pid):
    return int(_state(pid)[1])


def _runs(pid):
    return _state(pid)[0] not in "XZ"


def _state(pid):
    """Return a process's state and parent, of one that has just ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", "0"


def _pid(file):
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _end(pid, number):
    if pid > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
