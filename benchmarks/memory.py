"""Resident memory over 200 trials in one process: it must stay flat after the tenth.

python benchmarks/memory.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from lrrt import Loops
from pipeline.digits_example import build_model, load_data
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer

SHOWN = (1, 10, 50, 100, 150, 200)


def resident_mib() -> float:
    """Return this process's resident memory in MiB, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> None:
    """Run 200 trials of two optimizers and three schedules, then print."""
    data = load_data()
    loops = Loops(build_model, data["train"], optimizers=["sgd", "adam"], validation_data=data["validation"])
    space = SearchSpace(
        (OptimizerRange("sgd", 1e-2, 1.0), OptimizerRange("adam", 1e-4, 1e-2)), ("fixed", "exponential", "triangular")
    )
    with tempfile.TemporaryDirectory() as folder:
        study = OptunaStudy(space, storage=f"sqlite:///{folder}/study.db")
        trainer = Trainer(loops, epochs=12, patience=None)
        print("\nResident memory, digits MLP, 12 epochs a trial, sgd and adam\n trial      MiB   since the tenth")
        tenth = 0.0
        for number in range(1, max(SHOWN) + 1):
            study.run(trainer, num_trials=number)
            if number == 10:
                tenth = resident_mib()
            if number in SHOWN:
                now = resident_mib()
                print(f"{number:6d} {now:8.1f} {now - tenth if tenth else float('nan'):+17.1f}")


if __name__ == "__main__":
    main()
