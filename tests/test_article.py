"""The article's range test runs again on real images, and its pictures and readings are drawn from it."""

from functools import partial

import numpy as np
import pytest


@pytest.fixture
def article(pytestconfig, monkeypatch):
    monkeypatch.syspath_prepend(pytestconfig.rootpath / "examples" / "article")


@pytest.fixture
def laboratory(article):
    from images import Images, _digits
    from laboratory import Laboratory

    source, x, y = _digits()
    x, y = x[..., None].astype("float32"), y.astype("int32")
    return Laboratory(Images(source, (x[:1000], y[:1000]), (x[1000:], y[1000:])), epochs=1)


@pytest.mark.long
def test_the_articles_pictures_are_drawn_and_its_package_reads_the_lowest_loss_at_a_higher_rate(laboratory, tmp_path):
    from claims import deltas, losses, running_mean, schemes
    from page import write_page

    sections = {make.__name__: partial(make, laboratory) for make in (losses, deltas, schemes)}
    page = write_page(sections, tmp_path, heading="Again", opening="On digits.")
    curve = laboratory.tested.curves["adam"][0]

    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "losses.png", "deltas.png", "schemes.png"}
    assert "![Loss against rate](losses.png)" in page.read_text(encoding="utf-8")
    assert curve.lrs[int(running_mean(curve, laboratory.num_batches).argmin())] >= curve.lrs[np.argmin(curve.losses)]


def test_a_running_mean_begins_anew_with_each_epoch(article):
    from claims import running_mean

    from lrrt.curve import RangeCurve

    curve = RangeCurve((0.1, 0.2, 0.3, 0.4), (4.0, 2.0, 8.0, 0.0))
    assert running_mean(curve, 2).tolist() == [4.0, 3.0, 8.0, 4.0]


def test_a_page_goes_on_where_it_was_left_and_begins_anew_with_another_opening(article, tmp_path):
    from page import Section, write_page

    made = []

    def make(name, fails=False):
        made.append(name)
        if fails:
            raise KeyboardInterrupt
        return Section(f"The {name}?", "Claimed.", f"Seen: {name}.", "Said.", [("head",), (name,)])

    def write(opening, **fails):
        sections = {name: partial(make, name, fails=name in fails) for name in ("first", "second", "third")}
        page = write_page(sections, tmp_path, heading="Again", opening=opening, closing=lambda: f"{len(made)} made.")
        return page.read_text(encoding="utf-8")

    with pytest.raises(KeyboardInterrupt):
        write("On digits.", second=True)
    assert "Not made yet: second, third." in (tmp_path / "README.md").read_text(encoding="utf-8")
    continued = write("On digits.")
    assert "Not made yet" not in continued
    assert continued.startswith(
        "# Again\n\nOn digits.\n\n- [The first?](#the-first) Seen: first.\n- [The second?](#the-second) Seen: second.\n"
    )
    assert "> Claimed.\n\n**Seen: third.**\n\nSaid.\n\n| head |" in continued
    assert continued.endswith("\n\n4 made.\n")
    assert made == ["first", "second", "second", "third"]
    made.clear()
    assert write("On digits.") == continued
    assert made == []
    assert write("On letters.") == continued.replace("digits", "letters").replace("4 made", "3 made")
    assert made == ["first", "second", "third"]
