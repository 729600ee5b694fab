"""Knows how a stage's findings become report.html: one file that works offline and runs no script."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.advice import advise
from pipeline.config import StageConfig
from pipeline.config_file import to_toml
from pipeline.pictures import plot_history, plot_narrowing, plot_optimizers, plot_parallel, plot_slices, scale_rates
from pipeline.report import StageReport
from pipeline.versions import versions
from studies import TrialResult, check_overfitting, plot_losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "report.html.jinja"
NUM_BEST = 5  # trials in the table
PHONE_SIZE = (5.2, 3.6)  # inches; drawn this small, the letters can be read on a phone
NUM_PICTURES = 3  # of them with a picture of their losses


def study_pictures(report: StageReport) -> dict[str, str]:
    """Return the pictures of the study as SVG, by name."""
    trials = report.trials
    figures = {
        "narrowing": plot_narrowing(report.range_test, report.space, report.best),
        "history": plot_history(trials),
        "optimizers": plot_optimizers(trials),
        "slices": plot_slices(trials, report.space),
        "parallel": plot_parallel(trials),
    }
    return {name: to_svg(figure, name) for name, figure in figures.items()}


def render(report: StageReport, config: StageConfig, pictures: Mapping[str, str]) -> str:
    """Return the report as HTML.

    Args:
        report: what the stage found.
        config: what it was told to do.
        pictures: what `study_pictures` returned.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    # Whatever comes from the user's task is escaped; the pictures alone are markup, and matplotlib escapes their text.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(rate=_rate, score=_score, duration=_duration)
    template = environment.from_string(files("pipeline").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    best_trials = _best_trials(report.trials)
    all_pictures = dict(pictures)
    if any(report.range_test.curves.values()):  # none where the bounds were given
        all_pictures["loss"] = to_svg(_for_phones(report.range_test.plot()), "loss")
        all_pictures["loss_delta"] = to_svg(_for_phones(report.range_test.plot_deltas()), "loss_delta")
    return template.render(
        config=config,
        report=report,
        best=report.best,
        summary=report.summary,
        advice=advise(report),
        bounds=report.range_test.bounds,
        pictures={name: Markup(svg) for name, svg in all_pictures.items()},
        best_trials=best_trials,
        loss_pictures=[(trial, verdict, Markup(svg)) for trial, verdict, svg in _loss_pictures(best_trials)],
        optimizers=_by_optimizer(report),
        failures=_failures(report.trials),
        epochs=_epochs(report.trials, config.study.epochs),
        config_text=to_toml(config),
        versions=versions(),
    )


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element to stand inside HTML: without a size of its own, its text as text."""
    import matplotlib

    stream = io.StringIO()
    # The salt makes the identifiers of a figure its own and the same in every run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=metadata)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-zA-Z_.]+_\d+"', "<g", svg)  # of another figure too, and nothing refers to them
    return re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1))


def _for_phones(figure: Figure) -> Figure:
    figure.set_size_inches(*PHONE_SIZE)
    for axes in figure.axes:
        scale_rates(axes)
    return figure


def _best_trials(trials: Sequence[TrialResult]) -> list[TrialResult]:
    scored = [trial for trial in trials if trial.state.name == "COMPLETED" and trial.score is not None]
    return sorted(scored, key=lambda trial: (trial.score, trial.number))[:NUM_BEST]


def _loss_pictures(trials: Sequence[TrialResult]) -> Iterator[tuple[TrialResult, str, str]]:
    for trial in trials[:NUM_PICTURES]:
        found = check_overfitting(trial.train_losses, trial.val_losses)
        figure = plot_losses(trial.curves(), found, title=f"Trial {trial.number}")
        yield trial, found.reason, to_svg(figure, f"losses-{trial.number}")


def _by_optimizer(report: StageReport) -> list[dict[str, Any]]:
    rows = []
    for found in report.space.optimizers:
        trials = [trial for trial in report.trials if trial.config.optimizer_name == found.name]
        scores = [trial.score for trial in trials if trial.state.name == "COMPLETED" and trial.score is not None]
        rows.append(
            {
                "name": found.name,
                "num_trials": len(trials),
                "num_completed": len(scores),
                "best": min(scores, default=None),
                "median": float(np.median(scores)) if scores else None,
                "share": math.log10(found.high / found.low)
                / math.log10(report.range_test.ramp.end_lr / report.range_test.ramp.start_lr),
            }
        )
    return rows


def _failures(trials: Sequence[TrialResult]) -> list[tuple[str, str, int]]:
    """Count the trials that were not trained to their end, by how they ended and with which error."""
    ended = Counter((t.state.value, t.error) for t in trials if t.state.name != "COMPLETED")
    return [(state, error, count) for (state, error), count in ended.most_common()]


def _epochs(trials: Sequence[TrialResult], wanted: int) -> dict[str, int]:
    ran = {trial.number: len(trial.train_losses) for trial in trials}
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    return {"trained": sum(ran.values()), "saved": sum(wanted - ran[trial.number] for trial in pruned)}


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.2e}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
