"""Shows what a person sees of a run: plain lines in a log, a live display on a terminal, exit codes afterwards."""

import importlib
import io
import math
import os
import pty
import re
import select
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lrrt import Bounds, Verdict
from pipeline.console.display import telling
from pipeline.console.events import (
    EpochDone,
    Note,
    RangeTestDone,
    RangeTestStarted,
    RepeatDone,
    StageDone,
    StageStarted,
    StudyStarted,
    TrialDone,
)
from pipeline.failures import (
    FAILURES_OF_OTHERS,
    BadRunDirectory,
    ConfigError,
    CorruptState,
    ForeignRun,
    Interrupted,
    RunLocked,
    Terminated,
    TimeUsedUp,
    exit_code,
)
from studies import EpochEnded, TrialConfig, TrialResult, TrialState
from tests.starter import STARTER

BOUNDS = Bounds(1e-3, 0.5, 0.05, Verdict.FOUND, "bounds found", training_steps=860)
NO_BOUNDS = Bounds(None, None, None, Verdict.FLAT, "the loss did not fall at any rate")
SGD = TrialConfig("sgd", "fixed", 0.01, batch_size=32)
BEST = TrialResult(2, SGD, TrialState.COMPLETED, (0.2,) * 12, (0.123456,) * 12, seconds=3.0)
ADAM = TrialConfig("adam", "triangular", 0.09, batch_size=32)
DIVERGED = TrialResult(3, ADAM, TrialState.DIVERGED, (math.nan,), (math.nan,), seconds=4000.0)


def epoch(number, epoch, epochs, train_loss, val_loss):
    return EpochDone(EpochEnded(number, SGD, epoch, epochs, (train_loss,), (val_loss,), lambda: None))


EVENTS = (
    StageStarted("start: nothing done before", Path("out")),
    RangeTestStarted("sgd", num_steps=100, repeats=3),
    RepeatDone("sgd", 2, 3),
    RangeTestDone("sgd", BOUNDS, 2.5),
    RangeTestStarted("adam", num_steps=100, repeats=3),
    RangeTestDone("adam", NO_BOUNDS, 75.0),
    StudyStarted("optuna", num_trials=12, num_done=2),
    epoch(2, 5, 12, 0.25, 0.5),
    TrialDone(BEST, BEST, 3, 12),
    Note("adam: the fallback range is searched"),
    TrialDone(DIVERGED, BEST, 4, 12),
    StageDone("best score 0.1235"),
)
PLAIN = [event for event in EVENTS if not isinstance(event, EpochDone | RepeatDone)]
SHOW_ALL = """
import sys
from tests_events import EVENTS
from pipeline.console.display import telling
with telling(sys.stderr, sys.argv[1]) as tell:
    for event in EVENTS:
        tell(event)
        if sys.argv[2:] and type(event).__name__ == sys.argv[2]:
            raise KeyboardInterrupt
"""


def told(style, events=EVENTS):
    stream = io.StringIO()
    with telling(stream, style) as tell:
        for event in events:
            tell(event)
    return stream.getvalue()


def on_a_terminal(tmp_path, *arguments, columns, **environ):
    """Run `SHOW_ALL` on a pseudo-terminal; return all that it wrote there."""
    (tmp_path / "tests_events.py").write_text(
        "import importlib.util as u\n"
        f"spec = u.spec_from_file_location('console_tests', {__file__!r})\n"
        "module = u.module_from_spec(spec); spec.loader.exec_module(module); EVENTS = module.EVENTS\n"
    )
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environ = {**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), **environ}
    with open(theirs, "wb", buffering=0, closefd=False) as terminal:
        process = STARTER.start(arguments, program=SHOW_ALL, folder=tmp_path, environ=environ, output=terminal)
    os.close(theirs)
    written = b""
    try:
        while select.select([ours], [], [], 30)[0] and (part := os.read(ours, 65536)):
            written += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    process.wait(30)
    return written.decode()


def visible(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_log_has_one_plain_line_an_event_with_its_time_in_utc():
    lines = told("plain").splitlines()

    assert len(lines) == len(PLAIN)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S", line) for line in lines)
    assert lines[2].endswith(
        "range test of sgd: 1.0e-03 to 5.0e-01, suggested 5.0e-02 for trainings of 860 updates; bounds found (2.5 s)"
    )
    assert lines[4].endswith("range test of adam: no bounds; the loss did not fall at any rate (1 min 15 s)")
    assert lines[8].endswith(
        "trial 3 diverged: no score, best 0.1235, adam triangular lr 9.0e-02, 1 epoch in 1 h 06 min (4/12)"
    )


def test_the_time_of_a_line_is_now_in_utc_wherever_the_machine_stands(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        stamp = told("plain", [Note("a")]).split()[0]
    finally:
        monkeypatch.undo()
        time.tzset()

    told_at = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(told_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_auto_is_plain_where_there_is_no_terminal():
    assert len(told("auto").splitlines()) == len(PLAIN)


def test_a_long_trial_and_a_long_range_test_say_now_and_then_where_they_are(monkeypatch):
    clock = iter([0.0, *(at for at in (30.0, 61.0, 61.0, 100.0, 122.0, 122.0))])
    monkeypatch.setattr("pipeline.console.display.time.monotonic", lambda: next(clock))
    shown = told("plain", [*(epoch(7, number, 9, 0.2, 0.3) for number in (1, 2, 3)), RepeatDone("sgd", 1, 3)])

    assert [line.split(" ", 1)[1] for line in shown.splitlines()] == [
        "trial 7: epoch 2 of 9, training loss 0.2, validation loss 0.3",
        "range test of sgd: repeat 1 of 3 has ended",
    ]


def test_none_shows_nothing():
    assert told("none") == ""


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_control_characters_in_a_text_do_not_reach_the_screen(style):
    text = told(style, [Note("a\x1b[2Jb\nc\rd\x07e\x9bf[bold]g")])

    assert "\x1b[2J" not in text
    assert "a?[2Jb c d?e?f[bold]g" in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_bounds_and_best_within_its_width(tmp_path, columns):
    text = visible(on_a_terminal(tmp_path, "auto", columns=columns))

    assert re.search(r"sgd +1\.0e-03 +5\.0e-01 +5\.0e-02", text)
    assert re.search(r"adam +- +- +-", text)
    assert "4/12" in text
    assert re.search(r"1\s+diverged", text)
    assert "best 0.1235" in text
    assert "trial 2: epoch 5 of 12" in " ".join(text.split())
    assert "sgd: repeat 2 of 3" in " ".join(text.split())
    assert "the loss did not fall at any" in text
    assert max(len(line) for line in re.split(r"[\r\n]+", text)) <= columns


def test_the_cursor_comes_back_when_a_run_is_interrupted(tmp_path):
    text = on_a_terminal(tmp_path, "auto", "TrialDone", columns=80)

    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_no_color_is_honoured(tmp_path):
    coloured = on_a_terminal(tmp_path, "auto", columns=80)
    plain = on_a_terminal(tmp_path, "auto", columns=80, NO_COLOR="1")

    colour = r"\x1b\[[0-9;]*3[0-9][;m]"
    assert re.search(colour, coloured)
    assert not re.search(colour, plain)


def command(root, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
    )


def without_a_reader():
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def test_a_run_goes_on_where_the_reader_of_its_log_has_left(tmp_path, pytestconfig):
    (tmp_path / "shown.py").write_text(
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('console_tests', {__file__!r})\n"
        "module = u.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "from pipeline.console.display import telling\n"
        "with telling(sys.stderr, 'plain') as tell:\n"
        "    for event in module.EVENTS: tell(event)\n"
        "print('went on')\n"
    )
    pipe = without_a_reader()
    ended = subprocess.run(
        [sys.executable, "shown.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        stdout=subprocess.PIPE,
        stderr=pipe,
        text=True,
        check=False,
    )
    os.close(pipe)
    assert (ended.returncode, ended.stdout) == (0, "went on\n")


def test_what_a_command_prints_may_be_left_unread(pytestconfig):
    pipe = without_a_reader()
    commands = [command(pytestconfig.rootpath, *words, stdout=pipe) for words in (["init"], ["schema"], ["--version"])]
    codes = [one.wait(60) for one in commands]
    os.close(pipe)

    assert codes == [0, 0, 0]


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path, pytestconfig):
    program = (
        "import sys; from pipeline.console.streams import make_usable, say; make_usable(); "
        f"file = open({str(tmp_path / 'database')!r}, 'w'); "
        "say('a log line', sys.stderr); say('a result', sys.stdout); "
        "sys.exit(file.fileno())"
    )
    ended = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -c "{program}" <&- >&- 2>&-'],
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        check=False,
    )

    assert ended.returncode >= 3
    assert (tmp_path / "database").read_text() == ""


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConfigError("a"), 2),
        (BadRunDirectory("a"), 2),
        (RunLocked("a"), 73),
        (ForeignRun("a"), 73),
        (CorruptState("a"), 74),
        (OSError(28, "No space left on device"), 74),
        (PermissionError(13, "Permission denied"), 74),
        (FileNotFoundError(2, "No such file"), 70),
        (ZeroDivisionError("a"), 70),
        (KeyboardInterrupt(), 130),
        (Interrupted(), 130),
        (Terminated(), 143),
        (TimeUsedUp(), 75),
    ],
)
def test_each_failure_has_the_exit_code_of_the_design(failure, code):
    assert exit_code(failure) == code


def test_every_failure_that_has_an_exit_code_is_where_the_table_says():
    for name in FAILURES_OF_OTHERS:
        module, _, title = name.rpartition(".")
        assert getattr(importlib.import_module(module), title).__module__ == module


def test_a_stage_that_finds_nothing_and_a_bad_task_have_their_codes():
    from pipeline.failures import NoTrialCompleted, NoUsableRange, TaskError

    assert [exit_code(kind("a")) for kind in (NoUsableRange, NoTrialCompleted, TaskError)] == [3, 4, 65]


def test_a_storage_that_cannot_be_reached_is_told_from_a_full_disk(tmp_path):
    import optuna

    with pytest.raises(Exception, match="unable to open database file") as caught:
        optuna.create_study(storage=f"sqlite:///{tmp_path}/no such folder/study.db")
    assert exit_code(caught.value) == 74

    from sqlalchemy.exc import OperationalError

    refused = OperationalError("SELECT 1", None, Exception("connection refused"))
    assert exit_code(refused) == 69
    wrapped = RuntimeError("a worker ended")
    wrapped.__cause__ = refused
    assert exit_code(wrapped) == 69
