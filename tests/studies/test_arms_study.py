"""What is true of studies that turn to their optimizers one by one."""

from dataclasses import replace
from statistics import median

import pytest

from studies import OptimizerRange, OptunaStudy, SearchSpace, Study
from studies.engines.arms import Left, Tried, in_order, left_arms, next_arm
from studies.engines.arms_engine import ArmsEngine, ranges_in, with_any_rate
from studies.engines.observation import Observation
from studies.engines.places import place_of, rate_at
from tests.studies.bowl import Bowl
from tests.studies.contract import ADAM, SGD, SMALL

LION, ADAGRAD = OptimizerRange("lion", 1e-5, 1e-3), OptimizerRange("adagrad", 1e-3, 0.4, 0.2)
FOUR = SearchSpace((SGD, ADAM, LION, ADAGRAD))


def arms_of(space, num_trials, **options):
    return [one.config for one in OptunaStudy(space, sampler="arms", **options).run(Bowl(), num_trials=num_trials)]


def values_of(optimizer, rate):
    return {"optimizer": optimizer, "schedule": "fixed", "batch_size": 32, f"lr__{optimizer}": rate}


def tried(**costs):
    return [Tried(arm, cost) for arm, every in costs.items() for cost in every]


class TestTurns:
    def test_every_other_trial_is_the_first_of_the_next_optimizer_in_order(self):
        order, seen, turns = in_order(("sgd", "lion", "adam")), [], []
        for number in range(5):
            turns.append(next_arm(order, seen, number))
            seen.append(Tried(turns[-1], {"adam": 0.5, "sgd": 0.7, "lion": 0.9}[turns[-1]]))
        assert turns == ["adam", "adam", "sgd", "adam", "lion"]

    def test_the_second_best_has_half_the_trials_of_the_best_and_the_third_a_quarter(self):
        order, seen = ("a", "b", "c"), tried(a=[0.1], b=[0.2], c=[0.3])
        for number in range(3, 28):
            seen.append(Tried(next_arm(order, seen, number), None))
        assert [sum(one.arm == arm for one in seen) for arm in order] == [16, 8, 4]

    def test_an_optimizer_no_better_than_the_median_of_the_best_gets_no_more(self):
        seen = tried(a=[0.1, 0.2, 0.3], b=[0.2, 0.4, 0.5], c=[0.15, 0.9, 0.9], d=[0.9, 0.9])
        assert left_arms(seen) == (Left("b", 0.2, "a", 0.2),)
        turns = []
        for number in range(11, 60):
            turns.append(next_arm(("a", "b", "c", "d"), seen, number))
            seen.append(Tried(turns[-1], None))
        assert "b" not in turns
        assert {"a", "c", "d"} <= set(turns)

    def test_an_optimizer_whose_trials_all_fail_is_turned_to_least(self):
        seen = tried(a=[None], b=[0.5])
        assert next_arm(("a", "b"), seen, 2) == "b"

    def test_no_optimizer_is_left_before_one_has_a_score(self):
        assert left_arms(tried(a=[None] * 5, b=[None] * 5)) == ()


class TestPlaces:
    @pytest.mark.parametrize("bounds", [SGD, ADAM, LION])
    def test_a_rate_has_one_place_from_a_decade_below_the_bounds_to_a_decade_above(self, bounds):
        rates = [rate_at(i / 20, bounds, ("fixed",)) for i in range(21)]
        assert rates == sorted(rates)
        assert [place_of(rate, bounds, ("fixed",)) for rate in rates] == pytest.approx([i / 20 for i in range(21)])
        assert (rates[0], rates[-1]) == pytest.approx((bounds.low / 10, bounds.high * 10))

    def test_nine_of_ten_places_lie_inside_the_bounds_with_the_suggested_rate_in_the_middle(self):
        assert [rate_at(place, ADAM, ("fixed",)) for place in (0.05, 0.5, 0.95)] == pytest.approx([1e-4, 2e-3, 1e-2])

    def test_cyclical_schedules_alone_reach_up_to_their_own_bound(self):
        wider = replace(ADAM, cyclical_high=0.1)
        assert rate_at(0.95, wider, ("triangular",)) == pytest.approx(0.1)
        assert rate_at(0.95, wider, ("triangular", "fixed")) == pytest.approx(0.01)


class TestArmsStudy:
    def test_the_first_trial_of_each_optimizer_has_the_suggested_rate(self):
        configs = arms_of(FOUR, 8)
        first = {one.optimizer_name: one.lr for one in reversed(configs)}
        assert first == pytest.approx({"sgd": 0.2, "adam": 2e-3, "adagrad": 0.2, "lion": 1e-4})

    def test_the_trials_after_the_first_of_an_optimizer_have_rates_to_either_side_of_the_suggested_one(self):
        for seed, sides in ((0, [False, True]), (1, [True, False])):
            rates = [one.lr for one in arms_of(SearchSpace((SGD,)), 3, seed=seed)]
            assert [rate > rates[0] for rate in rates[1:]] == sides

    def test_bounds_are_asked_for_when_the_study_turns_to_an_optimizer_and_not_before(self):
        asked = []

        def ranges_of(optimizer):
            asked.append(optimizer)
            return [one for one in FOUR.optimizers if one.name == optimizer]

        space = with_any_rate(FOUR)
        study = Study(space, ArmsEngine(space, ranges_of))
        after = [(study.run(Bowl(), num_trials=num), list(asked))[1] for num in (1, 2, 3)]
        assert after == [["adam"], ["adam"], ["adam", "sgd"]]

    def test_a_study_does_not_depend_on_the_bounds_so_that_wrong_ones_may_be_mended(self):
        moved = replace(FOUR, optimizers=tuple(replace(one, low=one.low / 2) for one in FOUR.optimizers))
        assert with_any_rate(FOUR) == with_any_rate(moved)

    def test_a_rate_beyond_bounds_that_are_wrong_by_a_decade_is_reached(self):
        wrong = SearchSpace((OptimizerRange("sgd", 2e-4, 2e-2, 2e-3),))  # the bowl is solved at once at 0.25
        for seed in range(3):
            rates = [one.lr for one in arms_of(wrong, 8, seed=seed)]
            assert rates[0] == pytest.approx(2e-3)
            assert max(rates) > 0.04

    def test_what_is_learnt_on_one_optimizer_serves_the_others(self):
        both = SearchSpace((SGD, ADAM))
        seen = [  # rates of adam near the lower end of its bounds did best; sgd was tried once
            Observation(at, values_of("adam", rate_at(place, ADAM, ("fixed",))), abs(place - 0.2))
            for at, place in enumerate(i / 12 for i in range(13))
        ]
        seen.append(Observation(13, values_of("sgd", 0.2), 0.3))
        places = []
        for seed in range(9):
            engine = ArmsEngine(with_any_rate(both), ranges_in(both), seed=seed)
            values = engine.propose(15, seen, ())
            assert values["optimizer"] == "sgd"
            places.append(place_of(values["lr__sgd"], SGD, ("fixed",)))
        assert median(places) == pytest.approx(0.2, abs=0.12)

    def test_one_optimizer_and_one_trial_are_no_special_cases(self):
        assert arms_of(SearchSpace((SGD,)), 1)[0].lr == pytest.approx(0.2)
        assert len(set(arms_of(SearchSpace((SGD,)), 6))) == 6

    def test_a_stored_study_is_not_joined_without_its_bounds(self, tmp_path):
        storage = f"sqlite:///{tmp_path}/study.db"
        OptunaStudy(SMALL, sampler="arms", storage=storage).run(Bowl(), num_trials=1)
        with pytest.raises(ValueError, match="must be opened with its bounds"):
            OptunaStudy.join(storage, sampler="arms")
        study = OptunaStudy(SMALL, sampler="arms", storage=storage, creates=False)
        assert len(study.run(Bowl(), num_trials=2)) == 2
