"""Kills and signals at random moments, and before each write: the same command goes on and ends as if undisturbed."""

import os
import random
import signal
import textwrap
import time

import pytest

from pipeline.config.toml import template
from tests.faults.commands import ENGINES, command, ended, states, trials

NUM_MOMENTS = int(os.environ.get("LRRT_FAULTS_MOMENTS", "9"))  # for each engine and signal
NUM_ANEW = 2  # of them are of a command that imports all, and draws all its pictures


@pytest.mark.long
@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_is_stopped_at_any_moment_goes_on_and_ends_as_one_that_was_not(
    undisturbed, tmp_path, engine, number, moment
):
    anew = moment < NUM_ANEW
    whole, seconds = undisturbed(engine, anew=anew)
    process = command(tmp_path, engine=engine, anew=anew)
    time.sleep(random.Random(f"{engine} {number} {moment}").uniform(0, seconds))
    process.send_signal(number)
    code, told = ended(process)

    assert code in (0, -number, 128 + number), told
    assert "Traceback" not in told
    assert ended(command(tmp_path, engine=engine))[0] == 0
    assert trials(tmp_path) == whole
    assert "RUNNING" not in states(tmp_path)


# Before the change of this number that it makes in its two folders, the command kills itself.
KILLED = textwrap.dedent("""
    import os, signal, sys

    changes = os.open("changes", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def on_event(event, arguments):
        is_change = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect")
        is_write = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (is_change or is_write) and str(arguments[0]).startswith((os.path.abspath("out"), os.path.abspath("state"))):
            os.write(changes, b".")
            if os.fstat(changes).st_size == {number}:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(on_event)
    from pipeline.cli import main
    main()
""")
NUM_PARTS = int(os.environ.get("LRRT_FAULTS_PARTS", "10"))  # of all changes of a command, of each of which one is tried
COMMANDS = {
    "run": (["run"], "optuna"),
    "run with keras_tuner": (["run"], "keras_tuner"),
    "search": (["search", "search.toml", "--range", "sgd=1e-3:1"], "optuna"),
}


def start(folder, name, **options):
    words, engine = COMMANDS[name]
    (folder / "search.toml").write_text(template())
    return ended(command(folder, *words, engine=engine, **options))


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    """The trials of each command, and the number of changes that it makes."""
    made = {}
    for name in COMMANDS:
        folder = tmp_path_factory.mktemp("unkilled")
        code, told = start(folder, name, program=KILLED.format(number=0))
        assert code == 0, told
        made[name] = trials(folder), (folder / "changes").stat().st_size
    return made


@pytest.mark.long
@pytest.mark.parametrize("part", range(NUM_PARTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_before_any_of_its_writes_goes_on_and_ends_as_one_that_was_not(
    unkilled, tmp_path, name, part
):
    whole, num_changes = unkilled[name]
    number = 1 + random.Random(f"{name} {part}").randrange(num_changes * part, num_changes * (part + 1)) // NUM_PARTS
    code, told = start(tmp_path, name, program=KILLED.format(number=number))

    assert code == -signal.SIGKILL, told
    code, told = start(tmp_path, name)
    assert code == 0, told
    assert trials(tmp_path) == whole
    assert "RUNNING" not in states(tmp_path)
    assert not [file for file in tmp_path.rglob("*") if ".partial" in file.name]
