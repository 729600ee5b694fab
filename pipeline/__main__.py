"""Run the command `lrrt`, also as `python -m pipeline`."""

import os
import signal
from types import FrameType

INTERRUPTED = 130  # as in pipeline.failures


def main() -> None:
    """Run the command line; Ctrl-C while it is imported ends the process without a traceback."""
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_pythons:
        signal.signal(signal.SIGINT, _end)
    from pipeline.cli import main as run_command

    if is_pythons:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"lrrt: stopped by Ctrl-C; run the same command again to go on.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
