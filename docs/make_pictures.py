"""Makes the pictures of the README anew: python docs/make_pictures.py, which needs Chromium and its driver.

It runs the built-in digits example in a folder that is removed afterwards.
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
    """Run the example and take its pictures."""
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


def _browser():
    spec = importlib.util.spec_from_file_location("browser", DOCS.parent / "tests/pipeline/report/browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
