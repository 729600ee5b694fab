"""Make the pictures of the README and of docs/bounds.md anew.

    python docs/make_pictures.py [--only-curves]

It runs the built-in digits example in a folder that is removed afterwards, whose report needs Chromium and its driver;
and three range tests that show bounds clearly, doubtfully and not at all.
"""

import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
NUM_TRIALS = 24  # enough for the report to tell what mattered
WIDTH, HEIGHT = 1000, 1420  # pixels; what a reader sees first
NUM_COLOURS = 64  # a quarter of the bytes, and no eye tells


def main() -> None:
    """Run the example and take its pictures, after those of three curves."""
    draw_curves()
    if "--only-curves" in sys.argv:
        return
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        subprocess.run(
            [sys.executable, "-m", "pipeline", "run", "--trials", str(NUM_TRIALS), "--quiet"],
            cwd=here,
            check=True,
        )
        shutil.copy(here / "out/range_test/loss.png", DOCS / "range_test_loss.png")
        shot = _browser().screenshot(here / "out/report.html", folder=here / "profile", width=WIDTH, height=HEIGHT)
        picture = Image.open(io.BytesIO(shot)).convert("RGB")
        picture.quantize(NUM_COLOURS, dither=Image.Dither.NONE).save(DOCS / "report.png", optimize=True)


def draw_curves() -> None:
    """Draw one optimizer's range test on three tasks beside each other."""
    import matplotlib.pyplot as plt

    from lrrt import Ramp, range_test
    from pipeline.digits_example import build_model, load_data

    data = load_data()["train"]
    tests = {
        "clear: batches of 32": range_test(build_model, data, optimizers=["adam"]),
        "doubtful: batches of 2": range_test(build_model, data, optimizers=["adam"], batch_size=2),
        "none: the ramp ends too low": range_test(build_model, data, optimizers=["adam"], ramp=Ramp(1e-9, 1e-5)),
    }
    figure, axes = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    for ax, (title, test) in zip(axes, tests.items(), strict=True):
        test.plot(ax=ax)
        ax.set_title(title)
    figure.savefig(DOCS / "curves.png", dpi=80)


def _browser():
    spec = importlib.util.spec_from_file_location("browser", DOCS.parent / "tests/pipeline/report/browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
