"""Start worker processes on this machine, which train in place of the process that started them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pipeline.config.toml import ENVIRONMENT, to_toml
from pipeline.run import Run
from pipeline.task.tensorflow import import_keras
from studies.storage.whole_file import write_text


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Worker processes of a run on this machine, each as `lrrt worker` is.

    Attributes:
        num: the number of processes.
        app_dir: the folder of the task's module.
    """

    num: int
    app_dir: Path = Path()

    @contextmanager
    def at_work(self, run: Run) -> Iterator[Callable[[], bool]]:
        """Run the workers while the block runs; yield a function that says whether all have ended.

        Their output goes on in logs in the state folder. A password in the storage's URL is given to them in their
        environment alone. If the block raises, they are stopped: each gives its trial back at the end of an epoch.
        """
        folder = run.directory.workers
        write_text(folder / "config.toml", to_toml(run.config))
        if run.given is not None:  # a worker may come to them before they are stored in the study
            write_text(folder / "bounds.json", run.given.to_json())
        secrets = {"LRRT_STORAGE": run.storage, f"{ENVIRONMENT}STUDY__WARM_START": run.config.study.warm_start}
        with self._running(run, secrets) as processes:
            alive = dict(enumerate(processes))

            def have_ended() -> bool:
                for number, process in list(alive.items()):
                    if process.poll() is not None:
                        del alive[number]
                        if process.returncode:
                            run.note(_death(number, process.returncode, _log(folder, number)))
                return not alive

            yield have_ended
            have_ended()  # says which of them died since it was last asked

    def _command(self, number: int, run: Run) -> list[str]:
        options: dict[str, object] = {
            "--out": run.directory.out,
            "--state": run.directory.state,
            "--app-dir": self.app_dir,
            "--worker-id": f"{socket.gethostname()}.{os.getpid()}.{number}",
        }
        if run.given is not None:
            options["--bounds"] = run.directory.workers / "bounds.json"
        config = run.directory.workers / "config.toml"
        command = [sys.executable, "-m", "pipeline", "worker", str(config), "--ends-with-parent"]
        return [*command, *(str(part) for option in options.items() for part in option)]

    @contextmanager
    def _running(self, run: Run, secrets: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Start each with a separate log; when the block ends, ask those that still run to stop, and wait."""
        processes: list[subprocess.Popen[bytes]] = []
        # The config already has the values of the environment, which otherwise would replace those of the command line.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)}
        gpus = _gpus()
        try:
            for number in range(self.num):
                added = {**secrets, **({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})}
                with _log(run.directory.workers, number).open("ab") as log:
                    processes.append(self._start(self._command(number, run), log, inherited | added))
            yield processes
        finally:
            for process in processes:
                if process.poll() is None:
                    process.terminate()
            for process in processes:
                process.wait()

    def _start(self, command: list[str], log: BinaryIO, environ: dict[str, str]) -> subprocess.Popen[bytes]:
        # In a separate session, so that Ctrl-C reaches this process alone.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )


@contextmanager
def helped(run: Run, workers: LocalWorkers | None) -> Iterator[Run]:
    """Have workers, if there are any, train in this process's place while the block runs."""
    if workers is None:
        yield run
        return
    with workers.at_work(run) as have_ended:
        yield replace(run, trains=have_ended)


def _gpus() -> list[str]:
    """Return the GPUs of this machine by the names that CUDA_VISIBLE_DEVICES takes, if there are several."""
    import_keras()
    import tensorflow as tf

    count = len(tf.config.list_physical_devices("GPU"))
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = named.split(",") if named else [str(index) for index in range(count)]
    return names[:count] if count > 1 else []


def _log(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}.log"


def _death(number: int, code: int, log: Path) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = f" ({lines[-1]})" if code > 0 and lines else ""
    return f"worker {number} {how}{last}; others do what it left. Its output is in {log}."
