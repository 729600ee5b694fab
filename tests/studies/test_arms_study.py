"""What is true of studies that turn to their optimizers one by one."""

from dataclasses import replace
from statistics import median

import pytest

from studies import OptimizerRange, OptunaStudy, SearchSpace, Study
from studies.engines.arms import Left, Tried, in_order, left_arms, next_arm, turns_of
from studies.engines.arms_engine import ArmsEngine, ranges_in, with_any_rate
from studies.engines.bracket import Seen, bracket, centre_of, next_step, refined
from studies.engines.observation import PARAMETERS, Observation
from studies.engines.places import place_of, position_at, position_of, rate_at
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
    def test_from_the_second_on_every_other_trial_is_the_first_of_the_next_optimizer_in_order(self):
        order, seen, turns = in_order(("sgd", "lion", "adam")), [], []
        for number in range(5):
            turns.append(next_arm(order, seen, number))
            seen.append(Tried(turns[-1], {"adam": 0.5, "sgd": 0.7, "lion": 0.9}[turns[-1]]))
        assert turns == ["adam", "sgd", "adam", "lion", "adam"]

    @pytest.mark.parametrize("num_trials", range(1, 8))
    def test_a_plan_has_as_many_optimizers_as_the_trials_turn_to(self, num_trials):
        order, seen = ("a", "b", "c"), []
        for number in range(num_trials):
            seen.append(Tried(next_arm(order, seen, number), None))
        assert turns_of(order, num_trials) == tuple(dict.fromkeys(one.arm for one in seen))

    def test_no_third_optimizer_is_turned_to_before_the_best_rate_is_bracketed(self):
        order, seen = ("a", "b", "c"), tried(a=[0.5], b=[0.7])
        assert next_arm(order, seen, 3, is_bracketed=False) == "a"
        assert next_arm(order, tried(a=[0.5]), 1, is_bracketed=False) == "b"
        assert next_arm(order, seen, 3, is_bracketed=True) == "c"

    def test_two_workers_that_choose_at_once_take_different_optimizers(self):
        tested = tried(adam=[0.5, 0.4])  # number 2 has no values yet, while the range of its optimizer is tested
        assert [next_arm(("adam", "sgd", "lion"), tested, number) for number in (1, 3)] == ["sgd", "lion"]

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
    def test_a_rate_has_one_position_and_a_position_has_one_place_as_far_as_a_decade_beyond_the_bounds(self, bounds):
        positions = [i / 10 - 2 for i in range(41)]
        rates = [rate_at(position, bounds, ("fixed",)) for position in positions]
        assert rates == sorted(rates)
        assert [position_of(rate, bounds, ("fixed",)) for rate in rates] == pytest.approx(positions)
        assert [position_at(place_of(one)) for one in positions] == pytest.approx(positions)
        assert (rates[0], rates[-1]) == pytest.approx((bounds.low / 10, bounds.high * 10))

    def test_nine_of_ten_places_lie_inside_the_bounds_with_the_suggested_rate_in_the_middle(self):
        rates = [rate_at(position_at(place), ADAM, ("fixed",)) for place in (0.05, 0.5, 0.95)]
        assert rates == pytest.approx([1e-4, 2e-3, 1e-2])

    def test_places_move_with_the_centre(self):
        assert [position_at(place, -1.5) for place in (0, 0.5, 0.95)] == pytest.approx([-3.5, -1.5, -0.5])
        assert place_of(-1.5, -1.5) == 0.5

    def test_cyclical_schedules_alone_reach_up_to_their_own_bound(self):
        wider = replace(ADAM, cyclical_high=0.1)
        assert rate_at(1, wider, ("triangular",)) == pytest.approx(0.1)
        assert rate_at(1, wider, ("triangular", "fixed")) == pytest.approx(0.01)


def seen(**costs):
    return [Seen(arm, position, cost) for arm, every in costs.items() for position, cost in every.items()]


class TestBracket:
    def test_costs_of_different_optimizers_say_nothing_about_rates(self):
        assert bracket(seen(a={0.0: 0.1}, b={-1.0: 0.5, 1.0: 0.5})) == (-float("inf"), float("inf"))

    def test_each_optimizer_shows_a_part_of_where_the_best_rate_lies(self):
        assert bracket(seen(a={0.0: 0.2, 1.0: 0.3}, b={-1.0: 0.9, 0.0: 0.8})) == (-1.0, 1.0)

    def test_steps_go_outwards_as_long_as_that_is_better_and_further_each_time(self):
        steps, trials = [], {0.0: 3.0}
        while (step := next_step(seen(a=trials), [], up_first=False)) is not None:
            steps.append(round(step, 2))
            trials[step] = abs(step + 1.5)
        assert steps == [-0.5, -1.31, -2.62]

    def test_the_other_side_is_tried_if_the_first_is_worse(self):
        assert next_step(seen(a={0.0: 0.1, -0.5: 0.2}), [], up_first=False) == 0.5
        assert next_step(seen(a={0.0: 0.1, 0.5: 0.2}), [], up_first=True) == -0.5
        assert next_step(seen(a={0.0: 0.1, -0.5: 0.2, 0.5: 0.2}), [], up_first=True) is None

    def test_no_step_is_tried_twice_while_it_runs(self):
        assert next_step(seen(a={0.0: 0.1}), [-0.5], up_first=False) == 0.5
        assert next_step(seen(a={0.0: 0.1}), [-0.5, 0.5], up_first=False) is None

    def test_steps_end_where_bounds_cannot_be_so_wrong(self):
        assert next_step(seen(a={0.0: 3.0, -1.0: 2.0, -2.5: 1.0}), [], up_first=False) is None

    def test_the_search_moves_only_if_trials_exclude_the_suggested_rates_and_the_best_is_beyond_the_bounds(self):
        assert centre_of(seen(a={0.0: 0.2, -0.5: 0.1})) == 0.0
        assert centre_of(seen(a={0.0: 0.2, -1.3: 0.1})) == -1.3
        assert centre_of(seen(a={0.0: 0.1, 0.5: 0.2}, b={-1.3: 0.01, -2.0: 0.3})) == 0.0

    def test_trials_that_contradict_each_other_move_nothing(self):
        both = seen(a={0.0: 0.1, -1.3: 0.05}, b={0.0: 0.3, 1.0: 0.2})
        assert centre_of(both) == 0.0
        assert next_step(both, [], up_first=True) is None

    @pytest.mark.parametrize("best", [-0.7, -0.05, 0.0, 0.3, 0.9])
    @pytest.mark.parametrize("valley", [lambda far: far**2, abs, lambda far: max(far, -6 * far)])
    def test_a_bracket_is_drawn_together_around_the_best_rate(self, best, valley):
        trials = {position: valley(position - best) for position in (-2.0, best + 0.4, 2.0)}
        for _ in range(8):
            position = refined(seen(a=trials))
            if position is None:
                break
            assert position not in trials
            trials[position] = valley(position - best)
        assert abs(min(trials, key=trials.get) - best) < 0.07

    def test_nothing_is_refined_without_neighbours_or_in_a_narrow_bracket(self):
        assert refined([]) is None
        assert refined(seen(a={0.0: 0.1, 0.5: 0.2})) is None
        assert refined(seen(a={-0.04: 0.2, 0.0: 0.1, 0.05: 0.2})) is None


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
        after = [(study.run(Bowl(), num_trials=num), list(asked))[1] for num in (1, 2, 3, 6)]
        assert after == [["adam"], ["adam", "sgd"], ["adam", "sgd"], ["adam", "sgd", "lion"]]

    def test_a_study_does_not_depend_on_the_bounds_so_that_wrong_ones_may_be_mended(self):
        moved = replace(FOUR, optimizers=tuple(replace(one, low=one.low / 2) for one in FOUR.optimizers))
        assert with_any_rate(FOUR) == with_any_rate(moved)

    def test_a_rate_beyond_bounds_that_are_wrong_by_a_decade_is_reached(self):
        wrong = SearchSpace((OptimizerRange("sgd", 2e-4, 2e-2, 2e-3),))  # the bowl is solved at once at 0.25
        for seed in range(3):
            rates = [one.lr for one in arms_of(wrong, 5, seed=seed)]
            assert rates[0] == pytest.approx(2e-3)
            assert max(rates) > 0.04

    def test_an_optimizer_begins_where_another_showed_that_its_bounds_were_wrong(self):
        shown = [
            Observation(at, values_of("adam", rate_at(position, ADAM, ("fixed",))), abs(position + 1.5))
            for at, position in enumerate((0.0, -0.5, -1.3, -2.6))
        ]
        engine = ArmsEngine(with_any_rate(SearchSpace((SGD, ADAM))), ranges_in(SearchSpace((SGD, ADAM))))
        assert position_of(engine.propose(5, shown, ())["lr__sgd"], SGD, ("fixed",)) == pytest.approx(-1.3)

    def test_a_model_that_was_too_large_to_be_trained_shows_nothing_of_its_rate(self):
        shown = [Observation(0, values_of("sgd", 0.2), 0.5), Observation(1, values_of("sgd", 0.05), 0.9)]
        engine = ArmsEngine(with_any_rate(SearchSpace((SGD,))), ranges_in(SearchSpace((SGD,))))
        assert engine.propose(2, shown, ())["lr__sgd"] > 0.2
        large = [shown[0], replace(shown[1], excess_parameters=10)]
        assert PARAMETERS in large[1].constraints
        assert engine.propose(2, large, ())["lr__sgd"] < 0.05

    def test_what_is_learnt_on_one_optimizer_serves_the_others(self):
        both = SearchSpace((SGD, ADAM))
        shown = [  # rates of adam near the lower end of its bounds did best; sgd was tried once
            Observation(at, values_of("adam", rate_at(position_at(place), ADAM, ("fixed",))), abs(place - 0.2))
            for at, place in enumerate(i / 12 for i in range(13))
        ]
        shown.append(Observation(13, values_of("sgd", 0.2), 0.3))
        places = []
        for seed in range(9):
            engine = ArmsEngine(with_any_rate(both), ranges_in(both), seed=seed)
            values = engine.propose(15, shown, ())
            assert values["optimizer"] == "sgd"
            places.append(place_of(position_of(values["lr__sgd"], SGD, ("fixed",))))
        assert median(places) == pytest.approx(0.2, abs=0.12)

    def test_the_rate_alone_is_searched_inside_its_bracket_after_three_trials(self):
        wide = OptimizerRange("sgd", 1e-3, 0.4, 0.02)  # the bowl is solved at once at 0.25
        for seed in range(3):
            rates = [one.lr for one in arms_of(SearchSpace((wide,)), 8, seed=seed)]
            assert min(abs(rate - 0.25) for rate in rates) < 0.03

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

    def test_a_study_that_moved_beyond_its_bounds_goes_on_as_if_it_was_never_stopped(self, tmp_path):
        wrong = SearchSpace((OptimizerRange("sgd", 2e-4, 2e-2, 2e-3), OptimizerRange("adam", 1e-5, 1e-3, 2e-4)))
        for num_trials in (1, 4, 6, 10):
            parts = arms_of(wrong, num_trials, storage=f"sqlite:///{tmp_path}/study.db")
        assert parts == arms_of(wrong, 10)
