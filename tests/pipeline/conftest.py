"""What tests of the pipeline share: pictures without a drawing, for runs that are not about their pictures."""

import pytest


@pytest.fixture(scope="module")
def blank_pictures():
    """Write each picture as a file that shows nothing: drawing is half of what a small run takes."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _save_blank)
        yield


def _save_blank(figure, target, **options):
    if hasattr(target, "write"):
        target.write('<svg width="1" height="1"></svg>')
    else:
        target.write_bytes(b"blank")
