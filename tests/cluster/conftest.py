"""Brings up, once for all tests, a Slurm of three nodes and a PostgreSQL, and gives each test a folder on them."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster import postgres, slurm

COMMAND_TIMEOUT_S = 600
CONFIG = """
[task]
build_model = "pipeline.digits_example:build_model"
load_data = "pipeline.digits_example:load_data"
[range_test]
optimizers = {optimizers}
num_steps = 30
repeats = 1
[study]
num_trials = {num_trials}
epochs = {epochs}
batch_sizes = [256]
top_retrained = 0
[cluster]
{cluster}
"""


@pytest.fixture(scope="session")
def base():
    """A folder that PostgreSQL's own user may enter, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="lrrt-cluster-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nodes(base):
    """A Slurm of three nodes with two GPUs each."""
    if missing := slurm.missing():
        pytest.skip(missing)
    with slurm.slurm(base / "slurm") as up:
        yield up


@pytest.fixture(scope="session")
def database(base):
    """A PostgreSQL that asks for a password."""
    if missing := postgres.missing():
        pytest.skip(missing)
    with postgres.postgres(base / "postgres") as up:
        yield up


@dataclass(frozen=True)
class Stage:
    """A stage in a folder of its own, with a database of its own."""

    folder: Path
    storage: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    def lrrt(self, *arguments):
        """Run the command there; return its exit code, stdout and stderr."""
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def command(self, *arguments):
        return [sys.executable, "-m", "pipeline", *arguments]

    def configure(self, *cluster, num_trials=4, epochs=4, optimizers=("sgd", "adam")):
        lines = "\n".join(cluster)
        text = CONFIG.format(num_trials=num_trials, epochs=epochs, optimizers=list(optimizers), cluster=lines)
        (self.folder / "search.toml").write_text(text)

    def logs(self, part=""):
        """Return what the jobs of a part have printed."""
        files = sorted((self.folder / "state/jobs/logs").glob(f"{part}*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()}" for file in files)


@pytest.fixture
def stage(base, nodes, database, request, pytestconfig):
    """A stage on the cluster; none of its files or jobs' lines may hold the password."""
    folder = base / "it's a run" / request.node.name
    folder.mkdir(parents=True)
    storage = database.url("study")
    environment = os.environ | nodes.environment
    environment |= {"LRRT_STORAGE": storage, "PYTHONPATH": str(pytestconfig.rootpath)}
    made = Stage(folder, storage, environment)
    made.configure()
    yield made
    if nodes.tasks():
        print(made.logs())  # pytest shows it where the test failed
        nodes.ask("scancel", "-u", "root")
        slurm.wait_until(lambda: not nodes.tasks(), 60)
    holders = [file for file in folder.rglob("*") if file.is_file() and database.password.encode() in file.read_bytes()]
    assert not holders, f"the password is in {holders}"
