"""Knows how the scripts of jobs run on this machine, without a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path


def run_tasks(script: Path, logs: Sequence[Path], *, at_once: int) -> list[int]:
    """Run a script once for each log, so many at once, and return the exit codes; a log is written on.

    Where this process is asked to stop, so are the tasks.
    """
    running: list[subprocess.Popen[bytes]] = []

    def run(task: int) -> int:
        logs[task].parent.mkdir(parents=True, exist_ok=True)
        with logs[task].open("ab") as log:
            process = subprocess.Popen(["bash", str(script), str(task)], stdout=log, stderr=subprocess.STDOUT)
            running.append(process)
            return process.wait()

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(at_once))
        waiting = [pool.submit(run, task) for task in range(len(logs))]
        try:
            return [ended.result() for ended in waiting]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise
