"""A training that hangs is ended by the time limit and by a second signal, with the exit code of its reason."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.starter import STARTER

PROGRAM = textwrap.dedent("""
    import ctypes, signal, sys, time
    from pipeline.commands.invocation import stoppable
    from pipeline.console import stopping
    stopping.HANGS_AFTER_S = {after}
    with stoppable({limit}) as stopper, stopper.deferred():
        print("ready", flush=True)
        {hang}
""")
SLEEPS = "time.sleep(600)"
# No Python handler runs in this wait, as in a call into TensorFlow.
OUT_OF_REACH = "lock = ctypes.CDLL(None); [lock.usleep(10**9) for _ in iter(int, 1)]"


def started(hang, limit=None, after=60):
    process = STARTER.start(program=PROGRAM.format(limit=limit, after=after, hang=hang))
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("hang", [SLEEPS, OUT_OF_REACH])
def test_the_time_limit_ends_a_training_that_hangs_with_75(hang):
    process = started(hang, limit=0.5, after=0.5)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 75
    assert "hangs, although it was to stop, so it ends here. The same command goes on." in told


@pytest.mark.parametrize(
    ("hang", "number", "code"), [(SLEEPS, signal.SIGTERM, 143), (OUT_OF_REACH, signal.SIGINT, 130)]
)
def test_the_second_signal_ends_a_training_that_hangs_with_its_code(hang, number, code):
    process = started(hang)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)

    assert process.returncode == code
    assert told == "\nlrrt: this process was asked to stop twice, so it ends here. The same command goes on.\n"


def test_two_signals_at_once_are_one_request_and_a_training_that_reads_it_stops_by_itself():
    reads = "[(time.sleep(0.1), stopper.check()) for _ in range(600)]"
    process = started(reads)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 1  # of an exception that nobody caught
    assert "Terminated" in told
    assert "ends here" not in told


IN_DESTRUCTORS = textwrap.dedent("""
    import signal, time
    from pipeline.commands.invocation import stoppable
    from pipeline.failures import Interrupted

    class Asks:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    class Asked:
        def __del__(self):
            time.sleep(0.5)

    with stoppable(None):
        try:
            Asks()
            for _ in range(2):  # the first reminder comes in a destructor too
                Asked()
            time.sleep(10)
        except Interrupted as ended:
            print("stopped", ended.reason)
""")


# What code in C makes of an exception that Python code under it raised.
AS_OF_C = "try:\n            signal.raise_signal(signal.SIGINT)\n        finally:\n            raise SystemError"


@pytest.mark.parametrize("raised", ["signal.raise_signal(signal.SIGINT)", AS_OF_C], ids=["itself", "as code in C"])
def test_a_request_to_stop_that_came_in_a_destructor_is_not_lost_and_not_shown(raised):
    """Python ignores what a destructor raises, and shows it with a traceback."""
    program = IN_DESTRUCTORS.replace("signal.raise_signal(signal.SIGINT)", raised)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped by Ctrl-C\n", "")


DROPPED = textwrap.dedent("""
    import signal, time
    from pipeline.commands.invocation import stoppable
    from pipeline.console import stopping
    from pipeline.failures import Interrupted
    stopping.DROPPED_S = 0.5

    with stoppable(None):
        try:
            try:
                signal.raise_signal(signal.SIGINT)
            except:
                pass  # as in the libraries that a task imports
            time.sleep(10)
        except Interrupted as ended:
            try:
                time.sleep(1)  # what a stop does is not broken off
                raise ValueError
            except ValueError:
                time.sleep(1)
            print("stopped", ended.reason)
""")


def test_a_request_to_stop_that_other_code_has_dropped_comes_again_and_one_that_is_handled_does_not():
    ended = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped by Ctrl-C\n", "")


LOGGED = textwrap.dedent("""
    import logging, signal
    from pipeline.commands.invocation import stoppable
    from pipeline.failures import Interrupted

    try:
        with stoppable(None):
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                logging.getLogger("sqlalchemy.pool").error("during reset or similar", exc_info=True)
                raise
    except Interrupted as ended:
        print("stopped", ended.reason)
    logging.error("of others")
""")


def test_a_request_to_stop_that_a_library_logs_and_passes_on_is_not_shown():
    ended = subprocess.run([sys.executable, "-c", LOGGED], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped by Ctrl-C\n", "ERROR:root:of others\n")


HANGS_AT_TEARDOWN = textwrap.dedent("""
    import atexit, sys, time
    from pipeline.console.hanging import without_teardown

    class Reader:
        def __del__(self, sleep=time.sleep):
            sleep(600)

    with without_teardown():
        atexit.register(print, "last words")
        reader = Reader()
        sys.exit(75)
""")


def test_a_command_ends_after_its_exit_handlers_though_its_modules_cannot_be_taken_down():
    """As where TensorFlow still reads a generator without an end."""
    ended = subprocess.run(
        [sys.executable, "-c", HANGS_AT_TEARDOWN], capture_output=True, text=True, timeout=120, check=False
    )

    assert (ended.returncode, ended.stdout) == (75, "last words\n")


LEAVES_MUCH = textwrap.dedent("""
    import atexit, sys, threading, time
    from pipeline.console import hanging

    hanging.THREADS_S, hanging.HANDLERS_S = 0.5, {bound}
    with hanging.without_teardown():
        atexit.register(print, "last words")
        {does}
        sys.exit(75)
""")
THREAD = "threading.Thread(target=time.sleep, args=[{}], name='feeder').start()"
HANDLER = "atexit.register(time.sleep, {})"
BROKEN_OFF = (
    "lrrt: threads of the task's code still run 0.5 s after the end of the command, and are broken off: feeder.\n"
)
HANDLERS_BROKEN_OFF = (
    "lrrt: exit handlers of the task's code or of a library still run 0.5 s after the end of the command, and are "
    "broken off.\n"
)


@pytest.mark.parametrize(
    ("does", "bound", "words", "told"),
    [
        (THREAD.format(600), 60, "last words\n", BROKEN_OFF),
        (THREAD.format(0.1), 60, "last words\n", ""),
        (HANDLER.format(600), 0.5, "", HANDLERS_BROKEN_OFF),
        (HANDLER.format(0.1), 60, "last words\n", ""),
    ],
    ids=["a thread", "a short thread", "an exit handler", "a short exit handler"],
)
def test_a_command_waits_for_what_the_task_has_left_for_a_while_and_no_longer(does, bound, words, told):
    program = LEAVES_MUCH.format(does=does, bound=bound)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (75, words, told)
