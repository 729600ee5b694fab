"""Shows that the best few of trials that come one by one are those of all of them."""

from hypothesis import given
from hypothesis import strategies as st

from studies import TrialConfig, TrialResult, TrialState, ranked
from studies.judging.ranking import Leaders

LOSSES = st.sampled_from([0.1, 0.2, 0.3, float("nan")])
STATES = st.sampled_from([TrialState.COMPLETED, TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED])


@st.composite
def results(draw):
    """Trials of few values, so that some are equal, in the order of their ends; a pruned one may come again, longer."""
    ended = []
    for number in range(draw(st.integers(0, 8))):
        config = TrialConfig("sgd", "fixed", draw(st.sampled_from([0.1, 0.2, 0.3])), 8)
        losses = (draw(LOSSES), draw(LOSSES))
        state = draw(STATES)
        ended.append(TrialResult(number, config, state, (0.1, 0.1), losses))
        if state is TrialState.PRUNED and draw(st.booleans()):
            ended.append(TrialResult(number, config, TrialState.COMPLETED, (0.1,) * 3, (*losses, draw(LOSSES))))
    return ended


@given(results(), st.integers(0, 8), st.integers(1, 3), st.sampled_from([None, 0.05]))
def test_the_best_few_are_those_of_all_results_whatever_came_before(results, num_before, num, max_gap):
    leaders = Leaders(results[:num_before], num=num, max_gap=max_gap)
    for result in results[num_before:]:
        assert result not in leaders
        leaders.add(result)
        assert result in leaders
    latest = {result.number: result for result in results}

    assert leaders.best == ranked(latest.values(), max_gap=max_gap)[:num]
    assert len(leaders) == len(latest)
    assert [leaders.has_ended(number) for number in (0, 99)] == [bool(results), False]
