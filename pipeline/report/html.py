"""Make report.html from a stage's findings: one file that works offline and runs no script."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from lrrt.plot import scale_rates
from lrrt.words import duration_text, rate_text, score_text
from pipeline.config.tables import StageConfig
from pipeline.config.toml import to_toml
from pipeline.report.advice import advise
from pipeline.report.answers import answers, further_trainings, headline, short
from pipeline.report.pictures import plot_front, plot_history, plot_narrowing, plot_optimizers
from pipeline.report.rows import BestRow, as_text, best_rows, endings, optimizer_rows, row_of
from pipeline.report.summary import StageReport
from pipeline.report.value_pictures import plot_importances, plot_parallel, plot_slices
from pipeline.results.versions import versions
from studies import plot_losses
from studies.analysis.importance import MIN_TRIALS, importances, left_out

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

TEMPLATE = "report.html.jinja"
PHONE_SIZE = (5.2, 3.6)  # inches; at this size the letters can be read on a phone
SAVED_BY = {"completed": "early stopping", "pruned": "pruning", "diverged": "divergence"}  # epochs, by how trials end
NUM_PICTURES = 4  # so many of the best trials get a picture of their losses


def study_pictures(report: StageReport) -> dict[str, str]:
    """Return the pictures of the study as SVG, by name."""
    trials = report.trials
    shares = importances(trials, report.space)
    figures = {
        "narrowing": plot_narrowing(report.range_test, report.space, report.best),
        "history": plot_history(trials),
        "optimizers": plot_optimizers(trials),
        "slices": plot_slices(trials, report.space),
        "parallel": plot_parallel(trials),
        **({"importances": plot_importances(shares)} if shares else {}),
        **({"pareto_front": plot_front(trials, report.front, report.objectives)} if report.front else {}),
    }
    return {name: to_svg(figure, name) for name, figure in figures.items()}


def render(report: StageReport, config: StageConfig, pictures: Mapping[str, str]) -> str:
    """Return the report as HTML.

    Args:
        report: the findings of the stage.
        config: the config of the stage.
        pictures: the result of `study_pictures`.
    """
    from markupsafe import Markup

    best = best_rows(report.trials, config.study.max_gap, report.evaluation)
    all_pictures = dict(pictures)
    if any(report.range_test.curves.values()):  # none if the bounds were given
        all_pictures["loss"] = to_svg(_for_phones(report.range_test.plot()), "loss")
        all_pictures["loss_delta"] = to_svg(_for_phones(report.range_test.plot_deltas()), "loss_delta")
    return _template().render(
        config=config,
        report=report,
        best=report.best,
        best_row=row_of(report.best, report.evaluation),
        decades_tested=math.log10(report.range_test.ramp.end_lr / report.range_test.ramp.start_lr),
        summary=report.summary,
        headline=headline(report),
        answers=answers(report),
        again=further_trainings(report),
        advice=advise(report),
        pictures={name: Markup(svg) for name, svg in all_pictures.items()},
        optimizers=optimizer_rows(report),
        best_rows=best,
        tables_as_text=as_text(optimizer_rows(report), best),
        loss_pictures=[(row, Markup(svg)) for row, svg in _loss_pictures(best)],
        endings=endings(report.trials),
        saved_by=SAVED_BY,
        min_trials=MIN_TRIALS,
        left_out=left_out(report.space),
        config_text=to_toml(config),
        versions=versions(),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    # All text of the user's task is escaped. Only pictures are markup, and matplotlib escapes their text.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        rate=rate_text, score=score_text, duration=duration_text, percent=_percent, count=_count, short=short
    )
    return environment.from_string(files("pipeline.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element for HTML: without a size, with its text as text."""
    import matplotlib

    stream = io.StringIO()
    # The salt makes the identifiers of a figure unique, and the same in every run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=metadata)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-zA-Z_.]+_\d+"', "<g", svg)  # other figures have the same ones, and nothing refers to them
    return re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1))


def _for_phones(figure: Figure) -> Figure:
    figure.set_size_inches(*PHONE_SIZE)
    for axes in figure.axes:
        scale_rates(axes)
        legend = axes.get_legend()
        if legend is not None:  # in one column: side by side they would leave the axes no room
            lines, labels = axes.get_legend_handles_labels()
            axes.legend(lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=9, frameon=False)
    return figure


def _loss_pictures(best: Sequence[BestRow]) -> Iterator[tuple[BestRow, str]]:
    for row in best[:NUM_PICTURES]:
        title = f"Trial {row.trial.number}: {row.verdict}"
        figure = plot_losses(row.trial.curves(), row.overfitting, title=title, verdict="", size=PHONE_SIZE)
        yield row, to_svg(figure, f"losses-{row.trial.number}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
