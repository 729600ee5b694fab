"""Answer what a reader who was not there asks first of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrrt import Verdict
from lrrt.words import capitalised, digits_text, duration_text
from pipeline.data.data_use import TOO_GOOD
from pipeline.report.advice import USE, advise
from pipeline.report.rows import OptimizerRow, optimizer_rows
from pipeline.report.summary import StageReport
from studies import Retrained

MOST_METRICS = 2  # on the first screen
FOUR_DIGITS = 999.5  # what is rounded to 1000


def headline(report: StageReport) -> str:
    """Return what was found, in one sentence."""
    if report.warning:
        return f"Nothing was learnt: {report.warning}."
    best, again = report.best, further_trainings(report)
    config = best.config
    if again is not None and again.mean_score is not None:
        reached = f"{short(again.mean_score)} in the mean of {len(again.judged.ended)} {_kind(again)}"
    elif best.fold_scores:
        reached = f"{short(best.score)} in the mean of {len(best.fold_scores)} folds"
    else:
        reached = f"{short(best.score)} in epoch {best.best_epoch}"
    batches = "" if report.summary["data"].get("brings_batches") else f", in batches of {config.batch_size}"
    return (
        f"{config.optimizer_name} with a peak rate of {short(config.lr)}, schedule {config.schedule}{batches} is best: "
        f"its {best.objective.label} is {reached}."
    )


def answers(report: StageReport) -> list[tuple[str, str]]:
    """Return the questions with their answers, each of a few sentences."""
    return [
        ("Is it any good?", " ".join(_how_good(report))),
        ("Can I trust it?", " ".join(_how_sure(report))),
        ("Why this optimizer?", " ".join(_why_this_optimizer(report))),
        ("What did it cost?", _cost(report)),
        ("What do I run next?", next(line for line in advise(report) if not line.startswith(USE))),
    ]


def further_trainings(report: StageReport) -> Retrained | None:
    """Return the winner's further trainings, None if there are none."""
    return next((one for one in report.retrained if one.trial.number == report.best.number), None)


def short(score: float | None) -> str:
    """Return a number with three digits.

    >>> short(0.123456), short(0.99), short(123.4), short(3288.1), short(None)
    ('0.123', '0.990', '123', '3290', '-')
    """
    if score is None:
        return "-"
    return digits_text(score, 3) if abs(score) >= FOUR_DIGITS else f"{score:#.3g}".rstrip(".")


def _how_good(report: StageReport) -> Iterator[str]:
    evaluation = report.evaluation
    if report.warning:
        yield f"No: {report.warning}."
    elif evaluation is not None and evaluation.constant is not None:
        loss = evaluation.val_loss - (evaluation.penalty if evaluation.has_penalty else 0.0)
        without = " without penalties" if evaluation.penalty else ""
        yield (
            f"Its validation loss{without} is {short(loss)}; always answering {evaluation.constant.answer} would have "
            f"{short(evaluation.constant.loss)}."
        )
    else:
        yield f"No constant answer is known to compare its {report.best.objective.label} with."
    best = report.best
    metrics = [name for name, values in best.metrics.items() if name.startswith("val_") and len(values)]
    shown = [f"{name} {short(best.metrics[name][(best.best_epoch or 1) - 1])}" for name in metrics]
    if shown and not best.fold_scores:
        yield f"In that epoch it has {', '.join(shown[:MOST_METRICS])}."
    others = [f"{one.label} {short(best.value_of(one))}" for one in report.objectives[1:]]
    if others:
        yield f"Its other objective{'s' if len(others) > 1 else ''}: {', '.join(others)}."
    test = report.summary["best"].get("test")
    if test:
        values = ", ".join(f"{name} {short(value)}" for name, value in test.items())
        yield f"On the test data, which nothing was chosen by: {values}."
    else:
        yield "There is no test data, and the validation data has chosen it, so new data will look a little worse."


def _how_sure(report: StageReport) -> Iterator[str]:
    again = further_trainings(report)
    label, folds = report.best.objective.label, report.best.fold_scores
    if (again is None or again.mean_score is None) and folds:
        yield f"Its {label} is a mean over {len(folds)} folds, from {short(min(folds))} to {short(max(folds))}."
    elif again is None or again.mean_score is None:
        yield f"It is one training, and the best {label} of many is partly luck; top_retrained trains the best again."
    else:
        count = len(again.judged.ended)
        trainings = f"{count} further training{'s' if count > 1 else ''} on {_kind(again)}"
        spread = "" if again.judged.spread is None else f" ± {digits_text(again.judged.spread, 2)}"
        yield f"Its {label} in {trainings} is {short(again.mean_score)}{spread}."
    if any(note.startswith(TOO_GOOD) for note in report.summary.get("data", {}).get("notes", ())):
        yield "Its scores may be too good: rows that are alike are on both sides of the split."
    yield f"Its losses say: {report.overfitting.verdict.value}."
    failed = sum(trial.state.name == "FAILED" for trial in report.trials)
    if failed:
        of_all = f"{failed} of {len(report.trials)} trials"
        yield f"{of_all} failed with an error, so what they would have reached is not known."
    bounds = report.range_test.bounds
    missing = [name for name, one in bounds.items() if one.low is None]
    doubtful = [name for name, one in bounds.items() if one.verdict is not Verdict.FOUND and name not in missing]
    if doubtful:
        yield f"The bounds of {' and '.join(doubtful)} are not certain."
    if missing:
        yield f"There are no bounds of {' and '.join(missing)}."


def _why_this_optimizer(report: StageReport) -> Iterator[str]:
    rows = {row.name: row for row in optimizer_rows(report)}
    searched = report.space.range_of(report.best.config)
    chosen = None if searched is None else rows.pop(searched.label, None)
    if chosen is None:
        yield "Its rate lies outside of the bounds that were searched here."
        return
    if not rows:
        yield f"Only {chosen.name} was searched."
        return
    yield f"{capitalised(_record(chosen))}; {'; '.join(map(_record, rows.values()))}."
    yield from _doubt(report, chosen, list(rows.values()))


def _record(row: OptimizerRow) -> str:
    if row.best is None:
        return f"no trial of {row.name} was trained to its end"
    if row.num_trials == 1:
        return f"the one trial of {row.name} has {short(row.best)}"
    return f"the best of {row.num_trials} trials of {row.name} has {short(row.best)}, their median {short(row.median)}"


def _doubt(report: StageReport, chosen: OptimizerRow, others: Sequence[OptimizerRow]) -> Iterator[str]:
    again = further_trainings(report)
    spread = None if again is None else again.judged.spread
    if spread is None or chosen.best is None:
        return
    near = [row.name for row in others if row.best is not None and abs(row.best - chosen.best) < spread]
    if near:
        yield f"Further trainings differ by more than that, so {' or '.join(near)} may be as good."


def _cost(report: StageReport) -> str:
    cost = report.summary["cost"]
    again = cost["retraining"]
    steps = {
        "range tests": cost["range_test_steps"],
        f"{len(report.trials)} trials": cost["trial_steps"],
        "further trainings": again["steps"],
    }
    whole = sum(steps.values())
    shares = ", ".join(f"{name} {count / whole:.0%}" for name, count in steps.items() if count)
    seconds = cost.get("range_test_seconds", 0.0) + cost["trial_seconds"] + again["seconds"]
    return " ".join([f"{duration_text(seconds)} of training in {whole:,} steps: {shares}.", *report.compiled])


def _kind(again: Retrained) -> str:
    return "folds" if again.on_folds else "fresh seeds"
