"""Reproduce the article on the learning-rate range test, one command for all of it.

    python examples/article                       # under ten minutes on two cores; the page is out/article/README.md
    python examples/article --images 60000        # all of MNIST, if it can be fetched

The same command goes on where it was left; it makes a page anew if there is none, or one of other options. The file
`done` beside the page holds its range tests and trainings: delete it to run them once more.

What the article shows, what it asks and what its readers ask: a section each, with numbers of our own runs.
"""

from __future__ import annotations

import argparse
import os
import shelve
import sys
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent))

LEAST_IMAGES = 1_250  # a fifth is held out, and the largest batch is of 1,000


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/article"), help="folder of the page [%(default)s]")
    parser.add_argument("--images", type=int, default=5_000, help="how many are used [%(default)s]")
    parser.add_argument("--epochs", type=int, default=5, help="of each training [%(default)s]")
    options = parser.parse_args()
    if options.images < LEAST_IMAGES:
        parser.error(f"--images must be at least {LEAST_IMAGES}, for batches of 1,000, got {options.images}.")
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}.")

    from claims import CLAIMS
    from images import load_images
    from laboratory import Laboratory
    from page import write_page
    from questions import QUESTIONS

    from pipeline.results.versions import versions

    began = time.monotonic()
    images = load_images(options.images)
    libraries = ", ".join(f"{name} {version}" for name, version in versions().items())
    changed = [
        f" --{name} {value}"
        for name, value in vars(options).items()
        if name != "out" and value != parser.get_default(name)
    ]
    opening = (
        f"Made by `python examples/article{''.join(changed)}` on {images.source}: "
        f"{len(images.train[0])} images to train on, {len(images.validation[0])} to validate on, the article's "
        "network, batches of 250. Every number is of one training from the same initial weights. "
        f"Versions: {libraries}."
    )
    options.out.mkdir(parents=True, exist_ok=True)
    with shelve.open(str(options.out / "done")) as done:
        laboratory = Laboratory(images, options.epochs, done)
        sections = {make.__name__: partial(make, laboratory) for make in (*CLAIMS, *QUESTIONS)}
        page = write_page(
            sections,
            options.out,
            heading="The article on the range test, run again",
            opening=opening,
            closing=lambda: f"Range tests and trainings of this page took {laboratory.duration()}.",
        )
    print(f"done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(page)


if __name__ == "__main__":
    main()
