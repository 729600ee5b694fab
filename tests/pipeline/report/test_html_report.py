"""Shows that report.html says what was found, on any screen, without a script or a request."""

import importlib.util
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest

from lrrt import Case, Ramp, RangeCurve, RangeTestResult, Stop, find_bounds
from lrrt.constant_answer import ConstantAnswer
from pipeline.config.study_table import StudyConfig
from pipeline.config.tables import StageConfig, TaskConfig
from pipeline.data.data_use import TOO_GOOD
from pipeline.report.advice import advise
from pipeline.report.answers import answers, headline
from pipeline.report.html import render, study_pictures
from pipeline.report.rows import endings
from pipeline.report.summary import StageReport, summarise
from pipeline.results.models import Saved, SavedModels
from pipeline.sentences import conclusion
from studies import (
    Dimension,
    Evaluation,
    Retrained,
    SearchSpace,
    Training,
    TrialConfig,
    TrialResult,
    TrialState,
    at_edge,
    best_of,
    check_overfitting,
)
from studies.analysis.importance import MIN_TRIALS
from studies.objective import NUM_PARAMETERS, VAL_LOSS

_SPEC = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(browser)

needs_browser = pytest.mark.skipif(
    browser.find() is None,
    reason="no browser: the report was NOT opened in one. On Debian and Ubuntu: apt install chromium chromium-driver",
)
HOSTILE = "ValueError: <script>document.title='owned'</script> & \"Ünïcödé\" ../..'"
text_alone = pytest.mark.usefixtures("blank_pictures_here")
CONFIG = StageConfig(
    task=TaskConfig(build_model="my_task:build_model", load_data="my_task:load_data"),
    study=StudyConfig(num_trials=6, epochs=6),
)


def curve(edge, floor=1.0):
    lrs = Ramp(1e-7, 10.0, 100).rates()
    losses = [2 - (2 - floor) * min(lr / edge, 1) + (lr / (30 * edge)) ** 2 for lr in lrs]
    return RangeCurve(tuple(float(lr) for lr in lrs), tuple(map(float, losses)), stop=Stop.COMPLETED)


def trial(number, optimizer, lr, schedule="fixed", *, state=TrialState.COMPLETED, best=0.2, error="", batch_size=32):
    val = () if state is TrialState.FAILED else (*(best + 0.5 * 0.3**epoch for epoch in range(5)), best)
    val = (*val[:2], math.nan) if state is TrialState.DIVERGED else val
    config = TrialConfig(optimizer, schedule, lr, batch_size, (("drop_factor", 0.5),) if schedule == "step" else ())
    return TrialResult(number, config, state, tuple(loss * 0.9 for loss in val), val, 100 * len(val), 1.5, error, 6)


TRIALS = (
    trial(0, "sgd", 0.1),
    trial(1, "adam", 0.01, "exponential", best=0.1),
    trial(2, "adam", 0.03, state=TrialState.DIVERGED),
    trial(3, "sgd", 0.2, "exponential", best=8.0, batch_size=64),
    trial(4, "sgd", 0.1, state=TrialState.FAILED, error=HOSTILE),
    trial(5, "sgd", 0.1, state=TrialState.FAILED, error=HOSTILE),
)


def report_of(trials=TRIALS, *, edges=(("sgd", 0.2), ("adam", 0.02)), model_file="best/model.keras"):
    curves = {name: (curve(edge), curve(1.1 * edge)) for name, edge in edges}
    bounds = {name: find_bounds(repeats, optimizer=name) for name, repeats in curves.items()}
    cases = {name: Case(name, name, batch_size=32) for name in curves}
    range_test = RangeTestResult(curves, bounds, cases, Ramp(1e-7, 10.0, 100), seed=0)
    space = SearchSpace.from_bounds(bounds, schedules=("fixed", "exponential"), fallback_range=(1e-4, 1e-1))
    best = best_of(trials)
    overfitting = check_overfitting(best.train_losses, best.val_losses)
    test = {"loss": 0.25, "accuracy": 0.9}
    edge = at_edge(best, space)
    report = StageReport(range_test, space, tuple(trials), best, overfitting, {}, Path("summary.json"), edge=edge)
    return replace(report, summary=summarise(report, SavedModels(Saved(model_file), test)))


@pytest.fixture(scope="module")
def html():
    report = report_of()
    return render(report, CONFIG, study_pictures(report))


class Page(HTMLParser):
    """The text that a reader sees, the tags, and what any of them refers to."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.references, self.hidden = "", [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.hidden += tag in ("style", "defs")
        names = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
        self.references += [value for name, value in attributes if name in names]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "defs")

    def handle_data(self, data):
        self.text += "" if self.hidden else data


def test_the_report_says_what_was_found_and_what_to_do_next(html):
    text = " ".join(Page(html).text.split())

    for expected in (
        "Learning-rate study of my_task:build_model",
        "Trial 1 reached the lowest validation loss, 0.1, after epoch 6 of 6.",
        "What to do next",
        "Use best/model.keras",
        "sgd bounds found",
        "test accuracy0.9",
        "1stopped, because a loss was not finite trial 2",
        f"2raised an error: {HOSTILE} trials 4, 5",
        "range tests400",
        "num_trials = 6",
        "Not trained, of the epochs that were planned: 0 by early stopping, 0 by pruning, 3 by divergence.",
        "How much each hyperparameter mattered is not told: that needs 20 trials",
    ):
        assert expected in text, expected


def test_the_report_has_every_picture_and_refers_to_nothing_outside(html):
    page = Page(html)

    assert page.tags.count("svg") == 5 + 2 + 3  # of the study, of the range tests, of the best trials' losses
    assert "script" not in page.tags
    assert {reference[0] for reference in page.references} <= {"#", "d"}
    assert all(reference.startswith(("#", "data:,")) for reference in page.references)
    assert not re.search(r"url\((?!#|'#)", html)
    assert "default-src 'none'" in html


def test_what_a_user_s_code_says_is_text_never_markup(html):
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@text_alone
def test_a_study_of_one_trial_and_one_optimizer_has_a_report():
    report = report_of((trial(0, "sgd", 0.5),), edges=(("sgd", 0.2),))
    text = " ".join(Page(render(report, CONFIG, study_pictures(report))).text.split())

    assert "None: every trial was trained to its end" in text


@text_alone
def test_an_optimizer_without_bounds_is_said_to_be_searched_in_the_fallback_range():
    flat = RangeCurve(curve(0.1).lrs, (2.0,) * 100, stop=Stop.COMPLETED)
    report = report_of()
    bounds = {**report.range_test.bounds, "sgd": find_bounds([flat])}
    range_test = replace(report.range_test, bounds=bounds, curves={**report.range_test.curves, "sgd": (flat,)})
    space = SearchSpace.from_bounds(bounds, fallback_range=(1e-4, 1e-1))
    report = replace(report, range_test=range_test, space=space)
    report = replace(report, summary=summarise(report, SavedModels(Saved("best/model.keras"))))
    text = " ".join(Page(render(report, CONFIG, study_pictures(report))).text.split())

    assert "sgd: the loss did not fall at any rate" in text
    assert any(line.startswith("Range test of sgd: the loss did not fall at any rate") for line in advise(report))


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (
            (trial(0, "sgd", 1.7),),
            r"at the upper edge of its bounds \(sgd: 1.7 of .*widen = true",
        ),
        ((trial(0, "sgd", 0.055),), "at the lower edge of its bounds"),
        ((*(trial(n, "sgd", 0.5) for n in range(7)), trial(7, "sgd", 0.5, best=0.1)), "came late, .*--trials 16"),
        ((*TRIALS[:2], *(trial(n, "adam", 0.03, state=TrialState.DIVERGED) for n in (2, 3))), "2 of 4 trials diverged"),
        (TRIALS, "2 of 6 trials raised an error"),
    ],
)
def test_findings_that_need_an_act_are_told(trials, expected):
    assert re.search(expected, " ".join(advise(report_of(trials))))


@text_alone
def test_of_a_trial_that_ended_early_it_is_said_and_no_more_epochs_are_asked_for():
    whole = trial(0, "sgd", 0.5)
    early, full = report_of((replace(whole, planned_epochs=9),)), report_of((replace(whole, planned_epochs=6),))
    text = " ".join(Page(render(early, CONFIG, study_pictures(early))).text.split())

    assert "after epoch 6 of 6, where it had stopped improving (9 were planned)." in text
    assert not [line for line in advise(early) if "raise [study] epochs" in line]
    assert [line for line in advise(full) if "raise [study] epochs" in line]


@text_alone
def test_a_winner_that_was_trained_again_is_told_with_its_mean_and_spread():
    def again(number, *losses):
        trainings = tuple(
            Training(f"seed {n}", replace(TRIALS[number], val_losses=(loss,), train_losses=(1.0,)))
            for n, loss in enumerate(losses)
        )
        return Retrained(TRIALS[number], trainings, ())

    report = replace(report_of(), retrained=(again(0, 0.11, 0.13), again(1, 0.2, 0.4)), best=TRIALS[0])
    text = " ".join(Page(render(report, CONFIG, study_pictures(report))).text.split())

    assert (
        "Trial 0 is the best of 2 that were trained again: its validation loss is 0.12 on average (± 0.01414)" in text
    )
    assert "over 2 fresh seeds. In the study it reached 0.2 after epoch 6 of 6" in text
    assert "0.11, 0.13" in text


def test_the_first_screen_answers_what_a_reader_asks():
    constant = ConstantAnswer(1.2345, "the shares of the classes", 10_000)
    report = replace(report_of(), evaluation=Evaluation(0.1, 0.08, 0.0, has_penalty=True, constant=constant))
    replies = dict(answers(report))

    assert headline(report) == (
        "adam with a peak rate of 0.0100, schedule exponential, in batches of 32 is best: its validation loss is 0.100 "
        "in epoch 6."
    )
    assert replies == {
        "Is it any good?": "Its validation loss is 0.100; always answering the shares of the classes would have 1.23. "
        "On the test data, which nothing was chosen by: loss 0.250, accuracy 0.900.",
        "Can I trust it?": "It is one training, and the best validation loss of many is partly luck; top_retrained "
        f"trains the best again. Its losses say: {report.overfitting.verdict.value}. 2 of 6 trials failed with an "
        "error, so what they would have reached is not known.",
        "Why this optimizer?": "The best of 2 trials of adam has 0.100, their median 0.100; the best of 4 trials of "
        "sgd has 0.200, their median 4.10.",
        "What did it cost?": "9.0 s of training in 2,500 steps: range tests 16%, 6 trials 84%.",
        "What do I run next?": next(line for line in advise(report) if not line.startswith("Use ")),
    }


def test_it_is_said_when_further_trainings_differ_by_more_than_the_optimizers():
    def again(*losses):
        trainings = [Training(f"seed {n}", replace(TRIALS[1], val_losses=(loss,))) for n, loss in enumerate(losses)]
        return replace(report_of(), retrained=(Retrained(TRIALS[1], tuple(trainings), ()),))

    assert "so sgd may be as good" in dict(answers(again(0.1, 0.4)))["Why this optimizer?"]
    assert "may be as good" not in dict(answers(again(0.1, 0.11)))["Why this optimizer?"]
    assert "in 2 further trainings on fresh seeds is 0.105 ±" in dict(answers(again(0.1, 0.11)))["Can I trust it?"]
    assert headline(again(0.1, 0.11)).endswith("its validation loss is 0.105 in the mean of 2 fresh seeds.")


def test_a_metric_of_the_best_epoch_and_a_doubt_about_the_split_are_on_the_first_screen():
    report = report_of()
    metrics = {"accuracy": (0.9,) * 6, "val_accuracy": (0.1, 0.2, 0.3, 0.4, 0.5, 0.875)}
    summary = {**report.summary, "data": {"notes": [f"{TOO_GOOD}: rows are alike"]}}
    replies = dict(answers(replace(report, best=replace(report.best, metrics=metrics), summary=summary)))

    assert "In that epoch it has val_accuracy 0.875." in replies["Is it any good?"]
    assert "Its scores may be too good" in replies["Can I trust it?"]
    assert "too good" not in dict(answers(report))["Can I trust it?"]


def test_a_study_that_learnt_nothing_says_so_first_and_seeks_no_better_rate():
    constant = ConstantAnswer(0.1, "the shares of the classes", 10_000)
    report = replace(report_of(), evaluation=Evaluation(0.1, 0.08, 0.0, has_penalty=True, constant=constant))

    assert headline(report).startswith("Nothing was learnt: the best validation loss, 0.1, is no better than always ")
    late = (*(trial(n, "sgd", 0.5) for n in range(7)), trial(7, "sgd", 0.5, best=0.1))
    report = report_of(late, edges=(("sgd", 0.2),))
    assert any("came late" in line for line in advise(report))
    nothing = replace(report, evaluation=Evaluation(0.1, 0.08, 0.0, has_penalty=True, constant=constant))
    assert not [line for line in advise(nothing) if "better one" in line]


def test_bounds_that_are_uncertain_and_those_that_are_missing_are_told_apart():
    report = report_of()
    flat = find_bounds([RangeCurve(tuple(map(float, Ramp(1e-7, 10.0, 100).rates())), (1.0,) * 100)])
    doubted = report.range_test.bounds["sgd"].doubted("few samples")
    test = replace(report.range_test, bounds={**report.range_test.bounds, "sgd": doubted, "ftrl": flat})
    reply = dict(answers(replace(report, range_test=test)))["Can I trust it?"]

    assert reply.endswith("The bounds of sgd are not certain. There are no bounds of ftrl.")


def test_a_winner_that_was_scored_on_folds_is_no_single_training():
    report = report_of()
    report = replace(report, best=replace(report.best, fold_scores=(0.1, 0.3)))

    assert headline(report).endswith("its validation loss is 0.200 in the mean of 2 folds.")
    assert "is a mean over 2 folds, from 0.100 to 0.300." in dict(answers(report))["Can I trust it?"]


def test_bounds_and_best_trials_can_be_copied_as_text(html):
    text = Page(html).text

    assert "| 1 | 0.1 | adam | 1.0e-02 | exponential | 32 |" in text
    assert re.search(r"\| sgd \| \S+ \| \S+ \| \S+ \| 4 \|", text)


@text_alone
def test_a_search_that_went_on_in_wider_bounds_says_why():
    report = report_of((trial(0, "sgd", 1.7),))
    widened = replace(report, widened=(report.edge,))
    text = " ".join(Page(render(widened, CONFIG, study_pictures(widened))).text.split())

    assert "The search went on in wider bounds, because the best learning rate lies at the upper edge" in text
    assert any("--range sgd=" in line for line in advise(widened))
    assert any("widen = true" in line for line in advise(report))


def test_what_mattered_is_drawn_where_there_are_trials_enough():
    many = tuple(
        trial(n, "sgd", 0.07 * 1.1**n, ("fixed", "exponential")[n % 2], best=0.1 + n) for n in range(MIN_TRIALS)
    )
    report = report_of(many, edges=(("sgd", 0.2),))
    pictures = study_pictures(report)
    text = " ".join(Page(render(report, CONFIG, pictures)).text.split())

    assert "What mattered:" in text
    assert "is not told" not in text
    assert re.search(r">peak rate<.*>schedule<", " ".join(pictures["importances"].split()))


def test_the_names_and_values_of_a_user_s_hyperparameters_are_text_in_pictures_and_tables():
    names = ("<script>x</script>", "$\\frac{", "../..", "a" * 300, "Ünï\x1b[2J")
    many = tuple(
        replace(one, config=replace(one.config, own=tuple((name, f"{name}{number % 3}") for name in names)))
        for number, one in enumerate(trial(n, "sgd", 0.07 * 1.1**n, best=0.1 + n) for n in range(MIN_TRIALS))
    )
    own = tuple(Dimension(name, tuple(f"{name}{value}" for value in range(3))) for name in names)
    report = report_of(many, edges=(("sgd", 0.2),))
    report = replace(report, space=replace(report.space, own=own))
    html = render(report, CONFIG, study_pictures(report))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "frac{" in html
    assert "a" * 301 not in "".join(study_pictures(report).values())


def test_a_finding_that_asks_for_nothing_says_so():
    done = tuple(replace(one, val_losses=(1.0, *(0.3,) * 8, 0.3), train_losses=(1.0,) * 10) for one in TRIALS[:1])
    assert "Nothing found here asks for another run." in advise(report_of(done))
    assert "Nothing found here asks for another run." not in advise(report_of(TRIALS))


def test_a_model_that_was_not_saved_is_not_offered():
    assert not [line for line in advise(report_of(model_file=None)) if line.startswith("Use ")]


def test_errors_that_differ_only_in_their_numbers_are_one_row():
    failed = [
        trial(n, "sgd", 0.1, state=TrialState.FAILED, error=f"ValueError: at most 40 units, got {41.5 + n}")
        for n in range(3)
    ]
    other = trial(3, "sgd", 0.1, state=TrialState.FAILED, error="TypeError: no number")

    assert [(ending.error, ending.numbers) for ending in endings([*failed, other])] == [
        ("ValueError: at most 40 units, got 41.5", (0, 1, 2)),
        ("TypeError: no number", (3,)),
    ]


def test_of_several_objectives_the_first_screen_tells_all_and_what_else_is_on_the_front():
    objectives = (VAL_LOSS, NUM_PARAMETERS)
    larger, smaller = (
        replace(trial(n, "sgd", best, best=best), num_parameters=size)
        for n, best, size in [(0, 0.1, 2410), (1, 0.2, 610)]
    )
    report = replace(report_of((larger, smaller), edges=(("sgd", 0.2),)), objectives=objectives)

    assert "Its other objective: parameters 2410." in dict(answers(report))["Is it any good?"]
    assert any("lrrt export search.toml --trial 1 writes such a model" in line for line in advise(report))
    assert not any("export" in line for line in advise(replace(report, objectives=objectives[:1])))


@pytest.mark.parametrize("width", [360, 1200])
@needs_browser
def test_a_browser_shows_the_report_without_errors_requests_or_sideways_scrolling(html, tmp_path, width):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    shown = browser.visit(tmp_path / "report.html", folder=tmp_path / "profile", width=width)

    assert (shown["errors"], shown["outside"]) == ([], [])
    assert shown["title"] == "lrrt: my_task:build_model"
    assert shown["width"] <= shown["screen"] == width
    assert shown["height"] > 2000
    assert shown["answered"] < (1600 if width == 360 else 800)  # two screens of a phone, one of a desk
    assert min(shown["pictures"]) > 50
    assert shown["letters"] > 7  # pixels; a phone's are small


PAPER = 688  # pixels between the margins of A4


@needs_browser
def test_printed_the_report_stays_whole(html, tmp_path):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    laid_out = browser.printed(tmp_path / "report.html", folder=tmp_path / "profile", width=PAPER)

    assert laid_out["nav"] == 0
    assert laid_out["folded"] == 0  # nobody can unfold paper
    assert max(laid_out["width"], *laid_out["tables"]) <= PAPER
    for (left, right, top, bottom), (left_2, right_2, top_2, bottom_2) in combinations(laid_out["boxes"], 2):
        is_beside = max(left, left_2) >= min(right, right_2) - 1
        is_below = max(top, top_2) >= min(bottom, bottom_2) - 1
        assert is_beside or is_below, "no table lies over a picture"


@text_alone
@pytest.mark.parametrize(("constant_loss", "is_beaten"), [(0.101, False), (1.0, True)])
def test_a_best_trial_that_learnt_nothing_is_said_to_be_so_first_of_all(constant_loss, is_beaten):
    constant = ConstantAnswer(constant_loss, "the shares of the classes", 10_000)
    report = report_of()
    told = Evaluation(report.best.score, 0.08, 0.0, has_penalty=True, constant=constant)
    report = replace(report, evaluation=told, overfitting=told.with_gap(report.overfitting))
    page = Page(render(report, CONFIG, study_pictures(report))).text
    warning = "The best validation loss, 0.1, is hardly better than always answering the shares of the classes"

    assert advise(report)[0].startswith(warning) != is_beaten
    assert ("no better than a constant answer, the winner" in page) != is_beaten
    assert ("always answering the shares of the classes" in conclusion(report)) != is_beaten
    assert "the generalisation gap is 0.02" in " ".join(page.split())
