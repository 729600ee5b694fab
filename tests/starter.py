"""Start commands as forks of one process that has imported what they import, which takes longer than most of them run.

A command has its own process id, environment, limits, signals and end, as if it had been started anew; only its imports
have been made before. So it shows nothing of what a command imports, nor of how it begins: such tests start Python.
`python -m tests.starter N` serves requests on the socket N until its end.
"""

import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from contextlib import nullcontext, suppress
from pathlib import Path

from pipeline.console.hanging import without_teardown
from tests.optuna_versions import read_versions_of_tables_once
from tests.undrawn import undrawn

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MOST_BYTES = 2**17  # of a request, which has the environment


class Starter:
    """The process that is forked; it is started at the first command."""

    def __init__(self):
        self._process, self._channel = None, None

    def start(self, arguments=(), *, program=None, folder=".", environ=None, output=None, limits=(), draws=False):
        """Start `python -m pipeline`, or `python -c` with a program, with these arguments.

        Args:
            arguments: of the command or the program.
            program: Python text.
            folder: where.
            environ: its variables, all of them; by default those of this process.
            output: an open file for all that it writes; by default there are pipes, as `Command` has them.
            limits: see `set_limits`.
            draws: whether it draws its pictures, which is half of what a small run takes.
        """
        if self._process is None:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            words = [sys.executable, "-m", "tests.starter", str(theirs.fileno())]
            self._process = subprocess.Popen(
                words,
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
        request = {
            "arguments": [str(one) for one in arguments],
            "program": program,
            "folder": str(Path(folder).absolute()),
            "environ": dict(os.environ if environ is None else environ),
            "limits": limits,
            "draws": draws,
        }
        ours, theirs = zip(*(os.pipe() for _ in range(1 if output else 3)), strict=True)
        files = [output.fileno()] * 2 if output else []
        socket.send_fds(self._channel, [json.dumps(request).encode()], [*theirs, *files])
        for descriptor in theirs:
            os.close(descriptor)
        return Command(*ours)

    def run(self, arguments=(), *, timeout=None, **options):
        """Start a command or a program as `start` does, and wait for its end."""
        command = self.start(arguments, **options)
        try:
            shown, said = command.communicate(timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            raise
        return subprocess.CompletedProcess(arguments, command.returncode, shown, said)

    def stop(self):
        """End it; commands that run go on."""
        if self._process is not None:
            self._channel.close()
            self._process.terminate()  # a fork of this process may still hold the channel
            self._process.wait()


class Command:
    """A command that was started; the part of `subprocess.Popen` that tests use."""

    def __init__(self, status, *pipes):
        self._status = os.fdopen(status)
        self.stdout, self.stderr = [os.fdopen(one, errors="surrogateescape") for one in pipes] or (None, None)
        self.pid, self.returncode = int(self._status.readline()), None

    def poll(self):
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._status.readline())
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("lrrt", timeout)
        return self.poll()

    def communicate(self, timeout=None):
        told = {}
        streams = {"stdout": self.stdout, "stderr": self.stderr}
        readers = [
            threading.Thread(target=lambda name=name, stream=stream: told.update({name: stream.read()}), daemon=True)
            for name, stream in streams.items()
            if not stream.closed
        ]
        end = None if timeout is None else time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired("lrrt", timeout)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        for stream in (*streams.values(), self._status):
            stream.close()
        return told.get("stdout", ""), told.get("stderr", "")

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def __del__(self):
        for stream in filter(None, (self.stdout, self.stderr, self._status)):
            stream.close()


def serve(channel):
    """Fork for each request; return, in the fork, what the command's process must do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system takes the forks that wait for commands
    while True:
        text, descriptors, _, _ = socket.recv_fds(channel, MOST_BYTES, 3)
        if not text:
            sys.exit()
        if os.fork() == 0:
            channel.close()
            return json.loads(text), descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def become(request, status, stdout, stderr):
    """Fork once more: the parent waits for the command's end and says how it was, the child becomes the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.write(status, f"{pid}\n".encode())
        os.close(stdout)
        os.close(stderr)
        ended = os.waitpid(pid, 0)[1]
        with suppress(BrokenPipeError):  # nobody wants to know
            os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
        os._exit(0)
    os.close(status)
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    set_limits(request["limits"])


def run_request(request):
    """Run the program or the command of a request, as Python does that is started for it."""
    program, arguments = request["program"], request["arguments"]
    sys.argv = ["lrrt" if program is None else "-c", *arguments]
    with nullcontext() if request["draws"] else undrawn():
        if program is None:
            runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
            return
        sys.path.insert(0, "")
        sys.modules["__main__"] = main_module = types.ModuleType("__main__")
        # Python takes a second and a half to take down what was imported here.
        with without_teardown():
            exec(compile(program, "<string>", "exec"), vars(main_module))
            sys.exit()


def set_limits(limits):
    """Set limits of this process, each a kind of `resource`, a number, and one that cannot be raised, if any."""
    for kind, number, *hard in limits:
        resource.setrlimit(kind, (number, *(hard or resource.getrlimit(kind)[1:])))


def import_all():
    """Import what commands import, and nothing that starts a thread: a fork would not have it."""
    import jinja2
    import keras_tuner
    import matplotlib.backends.backend_svg
    import matplotlib.pyplot
    import optuna
    import psycopg
    import scipy.stats
    import sqlalchemy.dialects.postgresql.psycopg
    import tensorflow

    import pipeline.cli
    import pipeline.commands
    import pipeline.stage

    for module in (jinja2, keras_tuner, matplotlib, optuna, psycopg, scipy, sqlalchemy, tensorflow, pipeline):
        assert module
    optuna.storages.RDBStorage("sqlite://")  # reads the versions of Optuna's tables, for all that are forked
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, threads


def main():
    read_versions_of_tables_once()
    import_all()
    gc.freeze()  # else the collector of each fork goes through all of it, which copies it
    request, descriptors = serve(socket.socket(fileno=int(sys.argv[1])))
    become(request, *descriptors)
    run_request(request)


STARTER = Starter()

if __name__ == "__main__":
    main()
