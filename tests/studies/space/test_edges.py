"""Whether the winner lies at an edge of its bounds, and the space that is searched then."""

from dataclasses import replace

import pytest

from studies import Edge, OptimizerRange, SearchSpace, TrialConfig, TrialResult, TrialState, at_edge, widen

SPACE = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-1, 0.02), OptimizerRange("adam", 1e-4, 1e-2)))


def winner(lr, optimizer="sgd"):
    return TrialResult(0, TrialConfig(optimizer, "fixed", lr, 32), TrialState.COMPLETED, (1.0,), (1.0,))


@pytest.mark.parametrize(
    ("lr", "edge"),
    [(1e-3, Edge.LOW), (1.2e-3, Edge.LOW), (1.3e-3, None), (1e-2, None), (7.9e-2, None), (0.1, Edge.HIGH)],
)
def test_the_last_twentieth_of_the_decades_is_the_edge(lr, edge):
    found = at_edge(winner(lr), SPACE)
    assert (found and found.edge) == edge


def test_a_space_is_widened_by_a_decade_at_the_winner_s_edge_alone():
    (sgd, adam) = widen(SPACE, winner(0.0999)).optimizers

    assert (sgd.low, sgd.high, sgd.suggested) == (1e-3, pytest.approx(1.0), 0.0999)
    assert adam == SPACE.optimizers[1]
    assert widen(SPACE, winner(1e-4, "adam"), decades=2).optimizers[1].low == pytest.approx(1e-6)


def test_the_bounds_of_a_batch_size_are_judged_and_widened_alone():
    ranges = tuple(OptimizerRange("sgd", 1e-3, 1e-1, batch_size=size) for size in (16, 32))
    space = SearchSpace(ranges, batch_sizes=(16, 32))
    config = TrialConfig("sgd", "fixed", 0.0999, 32, lr_is_of_batch_size=True)
    best = TrialResult(0, config, TrialState.COMPLETED, (1.0,), (1.0,))

    assert "(sgd, batch_size=32: 0.0999 of 0.001 to 0.1)" in at_edge(best, space).reason
    assert [found.high for found in widen(space, best).optimizers] == [0.1, pytest.approx(1.0)]


def test_in_a_space_of_cyclical_schedules_the_edge_is_the_largest_maximum_of_a_cycle():
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-1, cyclical_high=0.5),), ("triangular",))
    config = TrialConfig("sgd", "triangular", 0.1, 32)
    inside = TrialResult(0, config, TrialState.COMPLETED, (1.0,), (1.0,))
    outside = replace(inside, config=replace(config, lr=0.49))

    assert at_edge(inside, space) is None
    assert widen(space, outside).optimizers[0].high == pytest.approx(5.0)


def test_a_space_whose_winner_lies_inside_stays():
    assert widen(SPACE, winner(1e-2)) == SPACE


def test_the_reason_names_the_rate_and_its_bounds():
    assert at_edge(winner(1e-4, "adam"), SPACE).reason == (
        "the best learning rate lies at the lower edge of its bounds (adam: 0.0001 of 0.0001 to 0.01)"
    )


def test_widening_by_nothing_is_refused():
    with pytest.raises(ValueError, match="`decades` must be positive and finite, got 0"):
        widen(SPACE, winner(0.1), decades=0)
