"""The pure parts hold their laws for any values: what is written can be read, and what is shown is text."""

import csv
import io
import json
import math
import string

from hypothesis import example, given
from hypothesis import strategies as st

from lrrt import RangeCurve, Stop, find_bounds
from lrrt.plain import from_plain, to_plain
from lrrt.words import duration_text, on_one_line, printable, rate_text, score_text
from pipeline.console.stopping import seconds_left
from pipeline.results.tables import trials_csv, trials_jsonl
from pipeline.state.json_files import as_json
from pipeline.state.ownership import differences, flat
from studies import TrialConfig, TrialResult, TrialState, check_overfitting, ranked
from studies.storage.urls import address
from studies.storage.whole_file import is_leftover
from studies.trial_config import is_reserved
from studies.user_errors import described, shortened

ANY_FLOAT = st.floats()
TEXT = st.text(max_size=30)
NUMBERS = st.one_of(st.integers(-(2**53), 2**53), ANY_FLOAT, st.booleans(), st.none())
PLAIN = st.recursive(
    st.one_of(NUMBERS, TEXT), lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)), max_leaves=10
)
OWN_NAMES = st.text(min_size=1, max_size=10).filter(lambda name: name.isprintable() and not is_reserved(name))
OWN_VALUES = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXT, st.booleans()
)
CURVES = st.lists(ANY_FLOAT, min_size=1, max_size=5).map(tuple)


@st.composite
def results(draw):
    """A trial that ended in any way, with losses, names and texts of any kind."""
    own = tuple(sorted(draw(st.dictionaries(OWN_NAMES, OWN_VALUES, max_size=3)).items()))
    config = TrialConfig("sgd", "fixed", draw(st.floats(1e-9, 10.0)), draw(st.integers(1, 4096)), own=own)
    losses = draw(CURVES)
    state = draw(st.sampled_from([TrialState.COMPLETED, TrialState.PRUNED, TrialState.DIVERGED, TrialState.FAILED]))
    error = draw(TEXT) if state is TrialState.FAILED else ""
    return TrialResult(draw(st.integers(0, 10**6)), config, state, losses, losses, len(losses), 1.0, error=error)


@given(PLAIN)
def test_json_holds_any_plain_data_in_letters_that_can_be_shown_and_no_number_that_is_not_finite(content):
    def refuse(name):
        raise AssertionError(name)

    text = as_json(content)
    json.loads(text, parse_constant=refuse)
    assert text.isprintable()


@given(st.lists(results(), max_size=4))
def test_tables_of_any_trials_have_a_row_each_and_show_no_control_character(trials):
    text = trials_csv(trials)
    rows = list(csv.reader(io.StringIO(text)))

    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == len(trials) + 1
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert [json.loads(line)["number"] for line in trials_jsonl(trials).splitlines()] == [one.number for one in trials]


@given(results())
def test_a_trial_that_was_written_is_read_as_it_was(trial):
    read = TrialResult.from_dict(json.loads(as_json(trial.as_dict())))

    assert (read.config, read.state, read.error) == (trial.config, trial.state, trial.error)
    for one, other in zip(read.train_losses, trial.train_losses, strict=True):
        assert one == other or math.isnan(one) or not math.isfinite(other)


@given(st.lists(results(), max_size=6))
def test_the_best_of_any_trials_is_finite(trials):
    assert all(math.isfinite(one.score) for one in ranked(trials, max_gap=math.inf))


@given(CURVES, CURVES)
@example((0.0,) * 5, (0.0, 1e308, 0.0, 1e308, 0.0))
def test_any_losses_have_a_verdict(train, validation):
    length = min(len(train), len(validation))
    report = check_overfitting(train[:length], validation[:length])
    assert report.reason
    assert from_plain(type(report), json.loads(as_json(to_plain(report)))).verdict is report.verdict


@given(st.lists(ANY_FLOAT, min_size=2, max_size=40))
def test_any_losses_of_a_range_test_have_bounds_or_a_reason(losses):
    lrs = tuple(10.0 ** (-6 + 7 * number / len(losses)) for number in range(len(losses)))
    bounds = find_bounds([RangeCurve(lrs, tuple(losses), stop=Stop.COMPLETED)])

    assert bounds.reason
    assert (bounds.low is None) == (bounds.high is None)
    assert bounds.low is None or 0 < bounds.low < bounds.high < math.inf


@given(st.text())
def test_text_of_any_kind_is_shown_without_control_characters(text):
    assert shortened(text).isprintable()
    assert len(shortened(text)) <= 303
    assert on_one_line(text).isprintable()
    assert all(line.isprintable() for line in printable(text).split("\n"))
    assert described(ValueError(text)).isprintable()


@given(st.text())
def test_what_tensorflow_or_keras_put_around_any_text_does_not_break_its_sentence(text):
    around = [
        f"Graph execution error:\n\nDetected at node x\n{text}\n\t [[{{{{node x}}}}]]",
        f"in user code:\n{text}",
        f"Exception encountered when calling X.\n\n{text}\n\nArguments received by X",
        f"{{{{function_node {text}}}}} {text} [Op:{text}]",
        f"ValueError: {text}\nTraceback (most recent call last):\n{text}",
    ]
    for one in around:
        assert described(RuntimeError(one)).isprintable()


@given(st.text(string.ascii_letters + string.digits, min_size=6, max_size=12), TEXT)
def test_the_address_of_a_storage_holds_no_password(password, text):
    from sqlalchemy import URL

    url = URL.create("postgresql", "me", f"{password}{text}", "db.example", 5433, "studies")
    assert address(url.render_as_string(hide_password=False)) == "db.example:5433/studies"


@given(st.dictionaries(TEXT, PLAIN, max_size=4), st.dictionaries(TEXT, PLAIN, max_size=4))
def test_fields_differ_if_and_only_if_a_line_says_so(one, other):
    def written(fields):
        return flat(json.loads(as_json(fields)))

    assert differences(one, one) == []
    assert (differences(one, other) == []) == (written(one) == written(other))


@given(st.floats(0, 1e9), st.floats())
def test_numbers_have_short_words(seconds, number):
    assert len(duration_text(seconds)) < 20
    assert len(rate_text(number)) < 20
    assert len(score_text(number)) < 20


@given(TEXT)
def test_any_name_is_a_leftover_or_not(name):
    assert is_leftover(name) in (True, False)


@given(st.one_of(TEXT, st.floats().map(str)))
def test_the_time_limit_of_a_scheduler_may_be_any_text(text):
    left = seconds_left({"SLURM_JOB_END_TIME": text})
    assert left is None or left >= 0
