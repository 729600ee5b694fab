"""Pictures without a drawing, for what is not about pictures: drawing is half of what a small run takes."""

from contextlib import contextmanager

import pytest


@contextmanager
def undrawn():
    """Write each picture as a file that shows nothing, while the block runs."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _save_blank)
        yield


def _save_blank(figure, target, **options):
    if hasattr(target, "write"):
        target.write('<svg width="1" height="1"></svg>')
    else:
        target.write_bytes(b"blank")
