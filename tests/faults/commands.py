"""Start `lrrt run` as a process of its own, and read what it left."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.runs import CONFIG
from tests.starter import STARTER, set_limits

ROOT = Path(__file__).parents[2]
ENGINES = {"optuna": "tpe", "keras_tuner": "random"}
TIMEOUT_S = 600


def command(folder, *arguments, engine="optuna", anew=False, before=(), environ=None, limits=(), program=None, **more):
    """Start `lrrt run` in a folder.

    Args:
        folder: where; it is made.
        arguments: of the command, in the place of "run".
        engine: of the study.
        anew: whether it is started as by a user, and not as a fork of what has imported everything and draws nothing.
        before: words before Python, such as those of setpriv; they start it anew.
        environ: further variables.
        limits: see `set_limits`.
        program: Python text that starts it, if it is not started as it is.
        more: keys of the config, with "__" for the dot.
    """
    folder.mkdir(exist_ok=True)
    values = {**CONFIG, "study.engine": engine, "study.sampler": ENGINES[engine], "study.num_trials": 3}
    values |= {key.replace("__", "."): value for key, value in more.items()}
    names = {f"LRRT_{key.replace('.', '__').upper()}": json.dumps(value) for key, value in values.items()}
    arguments = list(arguments or ("run", "--progress", "plain"))
    environ = {**os.environ, **names, "PYTHONPATH": str(ROOT), **(environ or {})}
    if not anew and not before:
        return STARTER.start(arguments, program=program, folder=folder, environ=environ, limits=limits)
    return subprocess.Popen(
        [*before, sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        preexec_fn=lambda: set_limits(limits),
    )


def ended(process):
    """Wait for the end; return the exit code and stderr."""
    told = process.communicate(timeout=TIMEOUT_S)[1]
    return process.returncode, told


def trials(folder):
    """Return the trials of a finished run, without what differs from run to run."""
    lines = [json.loads(line) for line in (folder / "out/trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith("seconds")} for line in lines]


def states(folder):
    """Return the states of the trials in the study of a state folder."""
    with sqlite3.connect(folder / "state/study.db") as connection:
        return {state for (state,) in connection.execute("SELECT DISTINCT state FROM trials")}


class Undisturbed:
    """Runs that nothing disturbs, one of each engine and kind of start: their trials, and how long they took."""

    def __init__(self, new_folder):
        self.new_folder, self.runs = new_folder, {}

    def __call__(self, engine="optuna", *, anew=False):
        if (engine, anew) not in self.runs:
            folder = self.new_folder()
            if not anew:  # the first is no measure, since all is imported for it
                ended(command(folder, "status", engine=engine))
            began = time.monotonic()
            code, told = ended(command(folder, engine=engine, anew=anew))
            assert code == 0, told
            self.runs[engine, anew] = trials(folder), time.monotonic() - began
        return self.runs[engine, anew]
