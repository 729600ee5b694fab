"""What tests of the pipeline share: pictures without a drawing, for what is not about pictures."""

from contextlib import contextmanager

import pytest


@pytest.fixture(scope="module")
def blank_pictures():
    """Write each picture as a file that shows nothing: drawing is half of what a small run takes."""
    with _undrawn():
        yield


@pytest.fixture
def blank_pictures_here():
    """The same for one test, in a module whose others look at pictures."""
    with _undrawn():
        yield


@contextmanager
def _undrawn():
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _save_blank)
        yield


def _save_blank(figure, target, **options):
    if hasattr(target, "write"):
        target.write('<svg width="1" height="1"></svg>')
    else:
        target.write_bytes(b"blank")
