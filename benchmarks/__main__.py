"""Run all benchmarks in order, and write what they print into docs/benchmarks.md.

    python -m benchmarks                       # hours: whole, as each file's docstring says
    python -m benchmarks --quick               # some twenty minutes: few repeats
    python -m benchmarks --quick --only startup memory
    python -m benchmarks --oracle FOLDER       # the searches too, against FOLDER's full trainings

Each runs in a process of its own, by a command that stands on the page above its tables. What has run is stored in
benchmarks/measured.json as soon as it has ended, and is left out by the next call, so that all can be done in pieces:
--again runs it once more. A quick form replaces no whole one. What was not run is said on the page. Searches take the
longest: each is kept in benchmarks/kept as soon as it has ended, and a part that was broken off goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the benchmarks import each other as scripts do, and `python -m` has it not

from arguments import folder_with  # noqa: E402  # needs the line above
from measured_page import write_page  # noqa: E402  # needs the line above
from tables import RECORD, machine, versions  # noqa: E402

MEASURED = HERE / "measured.json"
PAGE = HERE.parent / "docs/benchmarks.md"
KEPT = HERE / "kept"
ORACLE = "ORACLE"


@dataclass(frozen=True, slots=True)
class Part:
    """One command: its file and arguments, and what it takes beside them whole and in its quick form.

    An argument `ORACLE` stands for the folder of that option. If `keeps`, the command goes on where it was left, from
    what it keeps by its option `--json`.
    """

    command: str
    whole: str
    quick: str
    keeps: bool = False


SMALL = "--tasks digits_mlp digits_deep cancer_mlp diabetes_raw wine_tanh digits_ae"
LONG = "--tasks diamonds_embeddings shuttle_imbalanced"  # more than 5,000 updates each
COMPARED = (
    "--ways ours 'ours, bounds as walls' 'TPE, 1e-5..1e-1' 'TPE + Hyperband' 'KerasTuner Bayesian' "
    "'KerasTuner Hyperband'"
)
ONCE = "--seeds 1 --ways ours"

PARTS = {
    "startup": Part("startup.py", "--times 9", "--times 3"),
    "range-test": Part("range_test_speed.py", "--pairs 9", "--pairs 3"),
    "dense": Part("study_speed.py digits_mlp", "--trials 9", "--trials 3"),
    "convnet": Part("study_speed.py convnet", "--trials 3", "--trials 3"),
    "bookkeeping": Part("bookkeeping.py", "--trials 60", "--trials 20"),
    "memory": Part("memory.py", "--trials 200 --fits 30", "--trials 40 --fits 15"),
    "many-trials": Part("many_trials.py", "--trials 2000 10000", "--trials 500 --times 1"),
    "scaling": Part(
        "storage_scaling.py",
        "--workers 1 2 4 8 16 32 --seconds 2 --trials-each 3",
        "--workers 1 2 4 --seconds 1 --trials-each 4",
    ),
    "optimizers": Part("every_optimizer.py", "", "--tasks digits_mlp --optimizers sgd adam rmsprop lion"),
    "bounds": Part("bounds_quality.py", "", ""),
    "set-aside": Part("bounds_quality.py benchmarks/recorded/set_aside.json", "--by-task", "--by-task"),
    "searches": Part(f"study_quality.py {ORACLE} {SMALL}", f"--seeds 5 {COMPARED} 'TPE, 1e-6..10'", ONCE, keeps=True),
    "searches-together": Part(f"study_quality.py {ORACLE} --together {SMALL}", "--seeds 10", ONCE, keeps=True),
    "searches-cnn": Part(
        f"study_quality.py {ORACLE} --together --tasks digits_cnn_bn", f"--seeds 5 {COMPARED}", ONCE, keeps=True
    ),
    "searches-long": Part(
        f"study_quality.py benchmarks/more_tasks --together {LONG}", f"--seeds 5 {COMPARED}", ONCE, keeps=True
    ),
    "searches-noisy": Part(
        "study_quality.py benchmarks/more_tasks/noisy --together", f"--seeds 5 {COMPARED}", ONCE, keeps=True
    ),
    "mixed": Part("mixed_search.py", "--seeds 5", "--tasks wine --seeds 1 --trainings 10", keeps=True),
    "whole-way": Part("whole_way.py", "--seeds 3", "--seeds 1"),
    "whole-way-convnet": Part("whole_way.py --task convnet", "--seeds 1 --seconds 120", "--seeds 1 --seconds 60"),
}


def main() -> None:
    """Run what is asked for and not yet stored; end with 1 if a part failed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="with few repeats")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--again", action="store_true", help="run what is stored too")
    parser.add_argument(
        "--oracle", type=folder_with("tasks.py", "oracle.json"), help="a folder of full trainings, see study_quality.py"
    )
    options = parser.parse_args()
    has_failed = False
    for name in options.only:
        part, stored = PARTS[name], read_measured().get(name)
        command = command_of(part, is_quick=options.quick, oracle=options.oracle)
        if command is None or (stored and not options.again and is_enough(stored, options.quick)):
            continue
        print(f"\n{name}: {shlex.join(command)}", flush=True)
        KEPT.mkdir(exist_ok=True)
        kept = ["--json", str(KEPT / f"{name}.json")] if part.keeps else []
        record = run(command, kept, is_quick=options.quick and part.quick != part.whole)
        has_failed |= record is None
        if record is not None:
            measured = {**read_measured(), name: record}  # others may have been stored meanwhile
            MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    write_page(PAGE, read_measured(), {name: usual_command(part) for name, part in PARTS.items()})
    print(PAGE)
    sys.exit(has_failed)


def read_measured() -> dict[str, Any]:
    """Return what is stored, by part."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}


def command_of(part: Part, *, is_quick: bool, oracle: Path | None) -> list[str] | None:
    """Return the words of a part's command, without Python; None if it needs an oracle and none is there."""
    options = part.quick if is_quick else part.whole
    if ORACLE in part.command and oracle is None:
        return None
    return [str(oracle.resolve()) if word == ORACLE else word for word in shlex.split(f"{part.command} {options}")]


def usual_command(part: Part) -> str:
    """Return the command of the whole form, as a reader would type it."""
    return f"python benchmarks/{part.command} {part.whole}".strip()


def is_enough(record: dict[str, Any], is_quick: bool) -> bool:
    """Whether what is stored is at least what is asked for."""
    return is_quick or not record["is_quick"]


def run(command: list[str], kept: list[str], *, is_quick: bool) -> dict[str, Any] | None:
    """Run a benchmark; return what the page shows of it, None if it failed. What keeps its results is not shown."""
    file, *arguments = command
    shown = " ".join(ORACLE if Path(word).is_absolute() else shlex.quote(word) for word in arguments)
    load, began = os.getloadavg()[0], time.monotonic()
    goes_on = any(Path(word).is_file() for word in kept)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "tables.jsonl")
        environment = {**os.environ, RECORD: str(record)}
        ended = subprocess.run([sys.executable, HERE / file, *arguments, *kept], env=environment, check=False)
        if ended.returncode or not record.exists():
            print(f"{file} ended with {ended.returncode}, and is left out.", file=sys.stderr)
            return None
        tables = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return {
        "command": f"python benchmarks/{file} {shown}".strip(),
        "is_quick": is_quick,
        "day": datetime.now(UTC).date().isoformat(),
        "minutes": None if goes_on else round((time.monotonic() - began) / 60, 1),
        "load": round(load, 1),
        "machine": machine(),
        "versions": versions(),
        "tables": tables,
    }


if __name__ == "__main__":
    main()
