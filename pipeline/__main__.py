"""Knows that `python -m pipeline` is the command `lrrt`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
