"""What is true of the sentences on whether XLA trained a study."""

import pytest

import pipeline
from pipeline.report.savings import used_jit

GRAPH = "TensorFlow's graph trained"


@pytest.mark.parametrize(
    ("jit", "sentences"),
    [
        (
            "auto",
            [
                "XLA trained adam, batch_size=16: its steps were measured to be 1.3 times faster at least.",
                f"{GRAPH} sgd, batch_size=16; sgd, batch_size=32: XLA would not have saved what it takes to compile.",
            ],
        ),
        (True, ["XLA trained what it could compile."]),
        (False, [f"{GRAPH}, as jit = false."]),
    ],
)
def test_a_report_says_what_trained_each_kind_of_trial(jit, sentences):
    config = pipeline.builtin_config({"study.jit": jit}, environ={})
    choices = {"adam, batch_size=16": True, "sgd, batch_size=16": False, "sgd, batch_size=32": False}

    assert list(used_jit(config, choices)) == sentences


def test_what_trained_all_trials_is_told_without_their_kinds():
    choices = {"adam, batch_size=16": False, "sgd, batch_size=16": False}
    (sentence,) = used_jit(pipeline.builtin_config(environ={}), choices)

    assert sentence == f"{GRAPH} all trials: XLA would not have saved what it takes to compile."
