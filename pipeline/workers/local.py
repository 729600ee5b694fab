"""Knows how several worker processes train one study's trials on this machine, and what is told of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.tables import StageConfig
from pipeline.config.toml import ENVIRONMENT, to_toml
from pipeline.console.events import Note, Tell
from pipeline.console.stopping import Stopper
from pipeline.state.run_directory import RunDirectory
from studies import OptunaStudy, TrialResult
from studies.whole_file import write_text

POLL_S = 1.0  # between looks at what the workers have done


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Worker processes of a run on this machine, each as `lrrt worker` is.

    Attributes:
        num: how many at a time.
        app_dir: where they find the task's module.
    """

    num: int
    app_dir: Path = Path()

    def help(
        self,
        study: OptunaStudy,
        storage: str,
        config: StageConfig,
        directory: RunDirectory,
        *,
        first: int,
        on_result: Callable[[TrialResult], None],
        tell: Tell,
        stopper: Stopper,
    ) -> None:
        """Have the slots of a study trained, until none is left or no worker is.

        Args:
            study: what they join.
            storage: where it is; a password in it is given to them in their environment alone.
            config: what they are told.
            directory: where they keep checkpoints and weights; their output is in `workers` in its state folder.
            first: the number of the study's first trial.
            on_result: told of each trial that ends.
            tell: told of workers that die; others take their trials.
            stopper: may stop them; each gives its trial back at the end of an epoch.
        """
        folder = directory.state / "workers"
        write_text(folder / "config.toml", to_toml(config))
        commands = [self._command(number, study, folder, directory, first) for number in range(self.num)]
        known = {result.number for result in study.results()}
        with _running(commands, folder, storage) as processes:
            alive = dict(processes)
            while alive:
                for result in study.results():
                    if result.number not in known:
                        known.add(result.number)
                        on_result(result)
                for number, process in list(alive.items()):
                    if process.poll() is not None:
                        del alive[number]
                        if process.returncode:
                            tell(Note(_death(number, process.returncode, _log(folder, number))))
                stopper.check()
                time.sleep(POLL_S if alive else 0)
        for result in study.results():
            if result.number not in known:
                on_result(result)

    def _command(self, number: int, study: OptunaStudy, folder: Path, directory: RunDirectory, first: int) -> list[str]:
        options = {
            "--out": directory.out,
            "--state": directory.state,
            "--app-dir": self.app_dir,
            "--study": study.study.study_name,
            "--first": first,
            "--worker-id": f"{socket.gethostname()}.{os.getpid()}.{number}",
        }
        command = [sys.executable, "-m", "pipeline", "worker", str(folder / "config.toml"), "--ends-with-parent"]
        return [*command, *(str(part) for option in options.items() for part in option)]


@contextmanager
def _running(commands: list[list[str]], folder: Path, storage: str) -> Iterator[Mapping[int, subprocess.Popen[bytes]]]:
    """Start each command, its output going on in its log; where the block raises, ask them to stop and wait."""
    processes: dict[int, subprocess.Popen[bytes]] = {}
    # The config holds what the environment said; it must not be said again over the command line.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)}
    gpus = _gpus()
    try:
        for number, command in enumerate(commands):
            own = {"LRRT_STORAGE": storage, **({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})}
            with _log(folder, number).open("ab") as log:
                # In a session of its own, so that Ctrl-C reaches this process alone.
                processes[number] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=inherited | own,
                    start_new_session=True,
                )
        yield processes
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.terminate()
        for process in processes.values():
            process.wait()


def _gpus() -> list[str]:
    """Return the GPUs of this machine by the names that CUDA_VISIBLE_DEVICES takes, where there are several."""
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
    return f"worker {number} {how}{last}; its trial goes to another. Its output is in {log}."
