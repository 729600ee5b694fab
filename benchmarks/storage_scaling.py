"""Whether workers that share a study lose or double a trial, and what the storage costs them.

    python benchmarks/storage_scaling.py                                    # SQLite in a temporary folder
    python benchmarks/storage_scaling.py postgresql://user@host/database    # and this; or LRRT_STORAGE
    python benchmarks/storage_scaling.py --workers 1 4 --seconds 0.5 --trials-each 4
    python benchmarks/storage_scaling.py --workers 1 --seconds 0 --training 0 100 500

Each worker is a process with the study's real loop, heartbeat and sampler; its trials sleep, so that more of them run
at a time than this machine has cores. Columns:

training      trials of other workers that are going on all the while; each claim of a trial reads them
lost          trials without a result
twice         results beyond one a trial, and trials that two workers trained
overhead ms   what a trial costs beside its sleep, mean
CPU ms        of this, the worker's own work, sampler included; a busy machine does not change it much
efficiency    the sleep of all trials, as a part of the workers' time until the last one ended
transactions  of PostgreSQL, a trial
connections   to PostgreSQL, the most seen at a time, a worker
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
from arguments import count, duration
from tables import Cell, Table, cell_text, show

from studies import OptimizerRange, OptunaStudy, SearchSpace, Trained, TrialResult, TrialState, Watcher
from studies.objective import VAL_LOSS
from studies.sharing.pieces import KEY, RESULT
from studies.storage.retrying import Retrying
from studies.work.search import Search

SPACE = SearchSpace((OptimizerRange("adam", 1e-4, 1e-2), OptimizerRange("sgd", 1e-3, 1e-1)))
SAMPLED_EVERY_S = 0.5
STATISTICS_S = 1.5  # after which PostgreSQL has counted what a session did
GRACE_S = 3600.0  # trials that are only said to be going on must not be taken for lost
HEADS = (
    *("storage", "trial s", "workers", "training", "trials", "lost", "twice"),
    *("overhead ms", "CPU ms", "efficiency", "transactions", "connections"),
)


@dataclass
class Sleeper:
    """Trains as `studies.Trainer` does, by sleeping."""

    seconds: float
    trained: list[int] = field(default_factory=list)
    objectives = (VAL_LOSS,)
    max_trial_s = None

    def check_space(self, space: SearchSpace) -> None:
        """Sleep at any values."""

    def share_choices(self, choices: Any, space: SearchSpace, num_trials: int) -> None:
        """Take none: nothing is compiled."""

    def as_built(self, config: Any) -> Any:
        """Return the config: there is no model that lacks some of it."""
        return config

    def train(self, config: Any, *, number: int = 0, resume: Any = None, on_epoch: Any = None) -> Trained:
        time.sleep(self.seconds)
        self.trained.append(number)
        return Trained(TrialResult(number, config, TrialState.COMPLETED, (config.lr,), (config.lr,)), None)


@dataclass(frozen=True)
class Database:
    """What PostgreSQL tells of itself; nothing where the storage is another."""

    url: str

    def connections(self) -> int:
        return self._number("select count(*) from pg_stat_activity where datname = current_database()")

    def transactions(self) -> int:
        time.sleep(STATISTICS_S)
        return self._number("select xact_commit from pg_stat_database where datname = current_database()")

    @contextmanager
    def counting_connections(self) -> Iterator[list[int]]:
        """Count, while the block runs, the connections that were not there before."""
        seen: list[int] = []
        over = threading.Event()
        before = self.connections() if self else 0

        def count() -> None:
            while not over.wait(SAMPLED_EVERY_S):
                seen.append(self.connections() - before)

        counter = threading.Thread(target=count)
        if self:
            counter.start()
        try:
            yield seen
        finally:
            over.set()
            if self:
                counter.join()

    def __bool__(self) -> bool:
        return self.url.startswith("postgresql")

    def _number(self, query: str) -> int:
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return int(connection.execute(sqlalchemy.text(query)).scalar_one())


def work(url: str, name: str, seconds: float, seed: int, start: Any, ended: Any) -> None:
    """Be one worker: wait until all are ready, work until nothing is left, report."""
    study = OptunaStudy(SPACE, storage=url, name=name, seed=seed, grace_s=GRACE_S)
    study.results()
    sleeper = Sleeper(seconds)
    start.wait()
    began, began_cpu = time.monotonic(), time.process_time()
    study.work(sleeper)  # type: ignore[arg-type]  # it trains like one
    ended.put((sleeper.trained, time.monotonic() - began, time.process_time() - began_cpu))


def measure(url: str, num_workers: int, seconds: float, trials_each: int, num_training: int) -> tuple[Cell, ...]:
    """Run so many workers to their end and return a row of the table."""
    name, num_trials, database = secrets.token_hex(4), num_workers * trials_each, Database(url)
    study = OptunaStudy(SPACE, storage=url, name=name, grace_s=GRACE_S)
    study.set_budget(num_training + num_trials)
    others = Search(study, None, None, Watcher(), Retrying(url))
    for _ in range(num_training):
        table = study.board.table()
        others.on_look(table)
        piece = others.next_piece(table, 1)
        study.board.claim(piece.key, piece.values, piece.distributions)
    context = multiprocessing.get_context("spawn")
    start, ended = context.Barrier(num_workers + 1), context.Queue()
    workers = [
        context.Process(target=work, args=(url, name, seconds, seed, start, ended)) for seed in range(num_workers)
    ]
    with database.counting_connections() as seen:
        for worker in workers:
            worker.start()
        before = database.transactions() if database else 0
        start.wait()
        began = time.monotonic()
        reports = [ended.get() for _ in workers]
        wall = time.monotonic() - began
    for worker in workers:
        worker.join()
    transactions = database.transactions() - before if database else 0
    trained = [number for numbers, _, _ in reports for number in numbers]
    results = collections.Counter(
        trial.user_attrs[KEY] for trial in study.study.get_trials(deepcopy=False) if RESULT in trial.user_attrs
    )
    overheads = [(own_s - seconds * len(numbers)) / len(numbers) for numbers, own_s, _ in reports if numbers]
    return (
        url.partition(":")[0].partition("+")[0],
        seconds,
        num_workers,
        num_training,
        num_trials,
        num_trials - len(results),
        results.total() - len(results) + len(trained) - len(set(trained)),
        1000 * statistics.mean(overheads),
        1000 * sum(cpu for _, _, cpu in reports) / num_trials,
        num_trials * seconds / (num_workers * wall),
        transactions / num_trials if database else None,
        max(seen, default=0) / num_workers if database else None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("storage", nargs="?", default=os.environ.get("LRRT_STORAGE", ""))
    parser.add_argument("--workers", type=count, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=duration, nargs="+", default=[2.0, 20.0], help="that a trial sleeps")
    parser.add_argument("--trials-each", type=count, default=5, help="a worker, on average")
    parser.add_argument(
        "--training", type=partial(count, least=0), nargs="+", default=[0], help="trials of others that go on meanwhile"
    )
    parser.add_argument("--no-sqlite", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        urls = [chosen.storage] if chosen.storage else []
        urls += [] if chosen.no_sqlite else [f"sqlite:///{Path(folder) / 'study.db'}"]
        rows = []
        for url in urls:
            for seconds in chosen.seconds:
                for num_workers in chosen.workers:
                    for num_training in chosen.training:
                        row = measure(url, num_workers, seconds, chosen.trials_each, num_training)
                        rows.append(row)
                        print("  ".join(map(cell_text, row)), file=sys.stderr, flush=True)
    show(Table("Workers that share a study whose trials sleep", HEADS, tuple(rows)))


if __name__ == "__main__":
    main()
