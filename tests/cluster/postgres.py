"""Bring up a real PostgreSQL on this machine: on loopback, with a password."""

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.slurm import free_port

INSTALLED = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 300  # an initdb on a machine that is busy with other tests
SETTINGS = """
listen_addresses='127.0.0.1'
port={port}
unix_socket_directories=''
max_connections=200
fsync=off
"""


@dataclass(frozen=True)
class Postgres:
    """A server that can be stopped and started."""

    folder: Path
    port: int
    password: str

    def url(self, database):
        """Make a database and return its URL, password included."""
        name = f"{database}_{secrets.token_hex(4)}"
        self._client("createdb", name)
        return self.address(name)

    def address(self, name, port=None):
        """Return the URL of a database that may not exist, password included."""
        return f"postgresql+psycopg://lrrt:{self.password}@127.0.0.1:{port or self.port}/{name}"

    def cut(self):
        """End all connections of others, as a broken network does."""
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        self._client(
            "psql", "-q", "-o", os.devnull, "-d", "postgres", "-c", f"{ends} AND backend_type = 'client backend'"
        )

    def start(self):
        self._control("start")

    def stop(self):
        """Stop at once, as a crash would: clients lose their connections."""
        self._control("stop", "-m", "immediate")

    def pids(self):
        """Return the ids of its processes."""
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True, check=True).stdout
        return [first, *map(int, children.split())]

    def _client(self, program, *arguments):
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "lrrt"]
        environment = {**os.environ, "PGPASSWORD": self.password}
        subprocess.run(
            [_binaries() / program, *address, *arguments], env=environment, check=True, timeout=START_TIMEOUT_S
        )

    def _control(self, *command):
        log = ["-l", self.folder / "log"] if command[0] == "start" else []
        _as_server("pg_ctl", "-D", self.folder / "data", "-w", *log, *command)


def missing():
    """Return what a server lacks on this machine, in words, or nothing."""
    return "" if _binaries() and shutil.which("runuser") else "PostgreSQL not installed"


@contextlib.contextmanager
def postgres(folder):
    """Bring a server up that asks for a password, and take it down when the block ends."""
    server = Postgres(folder, free_port(), secrets.token_hex(12))
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    data, secret = folder / "data", folder / "password"
    for path in (folder, data):
        path.mkdir(exist_ok=True)
        shutil.chown(path, "postgres")
    secret.write_text(server.password)
    shutil.chown(secret, "postgres")
    _as_server("initdb", "-D", data, "-A", "scram-sha-256", "-U", "lrrt", f"--pwfile={secret}", "--no-sync")
    secret.unlink()
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS.format(port=server.port))
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop()


def _as_server(program, *arguments):
    """Run one of the server's own programs; they refuse to run as root."""
    command = ["runuser", "-u", "postgres", "--", _binaries() / program, *arguments]
    subprocess.run(command, check=True, timeout=START_TIMEOUT_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _binaries():
    return max(INSTALLED.glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
