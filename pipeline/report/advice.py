"""Advise what to do next, from the findings of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrrt import Verdict
from lrrt.words import capitalised, rate_text
from pipeline.data.data_use import TOO_GOOD
from pipeline.report.rows import row_of
from pipeline.report.summary import StageReport
from studies import Edge, OverfitVerdict, TrialResult

LATE = 0.75  # a best trial after this part of the study is late
MANY = 0.3  # from this part on, diverging trials are worth a sentence
# Other epochs are another study, which the folders of this one refuse.
MORE_EPOCHS = (
    "raise [study] epochs in search.toml, of which config.resolved.toml here is a copy, then: lrrt run search.toml "
    "--out longer/out --state longer/state"
)
USE = "Use "  # begins the sentence that tells how the model is loaded
FEW_TRIALS = 8  # with fewer, late and early mean nothing

_BY_OVERFITTING = {
    OverfitVerdict.UNDERFITTED: f"Its validation loss was still falling: {MORE_EPOCHS}",
    OverfitVerdict.OVERFITTED: (
        "It overfitted after its best epoch. The saved model is the one of the best epoch, before the rise; more data, "
        "augmentation, dropout or weight decay may lower the loss further."
    ),
    OverfitVerdict.UNSTABLE: "Its training became unstable: prefer a schedule that decays, or a lower rate.",
    OverfitVerdict.DIVERGED: "It diverged after its best epoch: prefer a schedule that decays, or a lower rate.",
    OverfitVerdict.TOO_FEW_EPOCHS: f"It has too few epochs to tell over- from underfitting: {MORE_EPOCHS}",
}


def advise(report: StageReport) -> tuple[str, ...]:
    """Return the advice, the most important first; each is a sentence or two."""
    nothing_learnt = tuple(_about_learning(report))
    findings = (
        *nothing_learnt,
        *_about_data(report),
        *(() if nothing_learnt else (*_about_best(report), *_about_place(report.trials, report.best))),
        *_about_front(report),
        *_about_trials(report.trials),
        *_about_range_tests(report),
    )
    rest = _about_use(report) if findings else ("Nothing found here asks for another run.", *_about_use(report))
    notes = (f"{capitalised(text)}." for text in report.notes)
    return (*nothing_learnt, *_about_model(report), *findings[len(nothing_learnt) :], *notes, *rest)


def _about_learning(report: StageReport) -> Iterator[str]:
    if report.warning:
        yield (
            f"{capitalised(report.warning)}: the model found nothing in the data that helps with the "
            "validation data. Check that labels belong to their samples, or try another model or longer trainings."
        )


def _about_model(report: StageReport) -> Iterator[str]:
    model, code = report.summary["best"]["model_file"], report.summary["best"].get("loading_code")
    if model:
        gives = f"{code} gives" if code else "it is"  # older summaries have no code
        yield f"{USE}{model}: {gives} the best trial's model as it was after its best epoch."


def _about_data(report: StageReport) -> Iterator[str]:
    data = report.summary.get("data", {"notes": ()})  # absent in a summary of an earlier version
    yield from (f"{note}." for note in data["notes"] if note.startswith(TOO_GOOD))


def _about_best(report: StageReport) -> Iterator[str]:
    row = row_of(report.best)
    advice = _BY_OVERFITTING.get(row.overfitting.verdict)
    if advice and not row.is_cut_short:
        yield advice
    edge = report.edge
    if edge is None:
        return
    finding = f"{capitalised(edge.reason)}, so a better one may lie beyond."
    if report.widened:
        name = report.best.config.optimizer_name
        low, high = (edge.low / 10, edge.high) if edge.edge is Edge.LOW else (edge.low, edge.high * 10)
        yield (
            f"{finding} To search there: lrrt search search.toml --range {name}={rate_text(low)}:{rate_text(high)} "
            "--out wider/out --state wider/state"
        )
    else:
        yield f"{finding} With widen = true under [study] the same command goes on there."


def _about_place(trials: Sequence[TrialResult], best: TrialResult) -> Iterator[str]:
    if len(trials) >= FEW_TRIALS and best.number >= LATE * len(trials):
        yield (
            f"The best trial came late, as number {best.number} of {len(trials)}: more trials may find a better one. "
            f"The same command with --trials {2 * len(trials)} goes on from here."
        )


def _about_front(report: StageReport) -> Iterator[str]:
    others = [str(trial.number) for trial in report.front if trial.number != report.best.number]
    if others:
        yield (
            f"The first objective chose trial {report.best.number}. No trial is better in all objectives than "
            f"{'trial' if len(others) == 1 else 'trials'} {', '.join(others)} either: lrrt export search.toml --trial "
            f"{others[0]} writes such a model."
        )


def _about_trials(trials: Sequence[TrialResult]) -> Iterator[str]:
    diverged = sum(trial.state.name == "DIVERGED" for trial in trials)
    if diverged > MANY * len(trials):
        yield f"{diverged} of {len(trials)} trials diverged: the upper bounds may be too high for long trainings."
    failed = sum(trial.state.name == "FAILED" for trial in trials)
    if failed:
        yield f"{failed} of {len(trials)} trials raised an error: see Failures."


def _about_range_tests(report: StageReport) -> Iterator[str]:
    for name, bounds in report.range_test.bounds.items():
        if bounds.verdict is not Verdict.FOUND:
            yield f"Range test of {name}: {bounds.reason}."


def _about_use(report: StageReport) -> Iterator[str]:
    yield (
        "To search these bounds with a script of your own, read space.json: it is Optuna's and KerasTuner's own format."
    )
