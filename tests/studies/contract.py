"""What is true of a study whichever engine proposes its trials; each engine's tests inherit it."""

import contextlib
import math
import textwrap
from collections import Counter
from dataclasses import replace

import pytest

from studies import (
    FAMILIES,
    Dimension,
    ForeignStudy,
    OptimizerRange,
    SearchSpace,
    StopTraining,
    TrialConfig,
    TrialState,
    best_of,
)
from studies.judging.halving import promoted
from tests.starter import STARTER
from tests.studies.bowl import CURVATURE, Bowl, Heard

SGD = OptimizerRange("sgd", 1e-2, 1.0, 0.2)
ADAM = OptimizerRange("adam", 1e-4, 1e-2, 2e-3)
SPACE = SearchSpace(
    (SGD, ADAM),
    tuple(FAMILIES),
    (16, 32),
    searches_warmup=True,
    weight_decay=(1e-6, 1e-2),
    momentum=(0.5, 0.99),
    own=(
        Dimension("kind", ("dense", "wide")),
        Dimension("units", (), 8, 64, integer=True, step=8, conditions=(("kind", ("dense",)),)),
        Dimension("dropout", (), 0.0, 0.5),
    ),
)
SMALL = SearchSpace((SGD, ADAM), ("fixed", "exponential", "triangular"))
BY_BATCH_SIZE = SearchSpace(
    (replace(SGD, batch_size=16), OptimizerRange("sgd", 2e-2, 2.0, 0.3, batch_size=32), ADAM),
    ("fixed", "triangular"),
    (16, 32),
)
NUM_TRIALS = 12
NUM_KILLS = 3


class StudyContract:
    """Inherited by each engine, whose class says how its study is opened."""

    def open(self, space, folder, **options):
        """Open the study that the folder holds, or begin one."""
        raise NotImplementedError

    def new(self, space, folder, **options):
        """Begin a study that nothing opens again: the engine may keep it in memory."""
        return self.open(space, folder, **options)

    def told(self, study):
        """Return the cost that the engine sees of each trial, by number; None if it failed."""
        seen = study.observations()
        return [observation.cost for observation in seen if observation.number >= 0]

    def known_to(self, study):
        """Return the values and the cost of each trial of another study that the engine sees."""
        seen = study.observations()
        return [(observation.values, observation.cost) for observation in seen if observation.number < 0]

    learning = ("tpe",)  # the samplers that learn from results
    blind = ("random", "qmc")  # those that learn nothing
    imports = ""  # what `program` needs
    program = ""  # opens `study` in the folder `folder`, in a process of its own

    @pytest.fixture(params=["tpe", "random"])
    def sampler(self, request):
        return request.param

    @pytest.mark.parametrize("space", [SPACE, BY_BATCH_SIZE], ids=["shared bounds", "bounds by batch size"])
    def test_every_proposal_lies_inside_the_space_and_has_the_parameters_of_its_choices(self, space, sampler, tmp_path):
        study = self.new(space, tmp_path, sampler=sampler)
        for result in study.run(Bowl(), num_trials=16):
            values = result.config.parameters()
            assert study.space.holds(result.config), values
            assert set(values) == {found.name for found in space.dimensions() if found.is_active(values)}

    @pytest.mark.parametrize("space", [SPACE, BY_BATCH_SIZE], ids=["shared bounds", "bounds by batch size"])
    def test_the_first_trials_are_what_the_range_tests_suggest(self, space, tmp_path):
        suggested = space.suggested_parameters()
        results = self.new(space, tmp_path).run(Bowl(), num_trials=len(suggested))

        assert [
            {name: result.config.parameters()[name] for name in fixed}
            for result, fixed in zip(results, suggested, strict=True)
        ] == suggested

    def test_the_same_seed_proposes_the_same_trials_and_another_one_others(self, sampler, tmp_path):
        def proposed(folder, seed):
            study = self.new(SMALL, tmp_path / folder, sampler=sampler, seed=seed)
            return [result.config for result in study.run(Bowl(), num_trials=NUM_TRIALS)]

        assert proposed("a", 0) == proposed("b", 0) != proposed("c", 1)

    def test_what_is_proposed_does_not_depend_on_interruptions(self, sampler, tmp_path):
        def stop(_):
            raise StopTraining

        whole = self.new(SMALL, tmp_path / "whole", sampler=sampler).run(Bowl(), num_trials=NUM_TRIALS)
        for num_trials in (1, 5, NUM_TRIALS):
            with pytest.raises(StopTraining):
                self.open(SMALL, tmp_path / "parts", sampler=sampler).run(
                    Bowl(), num_trials=num_trials, watcher=Heard(on_epoch_end=stop)
                )
            parts = self.open(SMALL, tmp_path / "parts", sampler=sampler).run(Bowl(), num_trials=num_trials)

        assert list(parts) == list(whole)

    def test_a_study_goes_on_to_the_total_asked_for_and_repeats_nothing(self, sampler, tmp_path):
        first = list(self.open(SMALL, tmp_path, sampler=sampler).run(Bowl(), num_trials=4))
        trainer, seen = Bowl(), []
        results = self.open(SMALL, tmp_path, sampler=sampler).run(
            trainer, num_trials=NUM_TRIALS, watcher=Heard(on_trial_end=seen.append)
        )

        assert list(results[:4]) == first
        assert [result.number for result in results] == list(range(NUM_TRIALS))
        assert [trained.result for trained in seen] == list(results[4:])
        assert len({result.config for result in results}) == NUM_TRIALS

    def test_a_finished_study_trains_nothing(self, tmp_path):
        results = list(self.open(SMALL, tmp_path).run(Bowl(), num_trials=4))
        trainer, study = Bowl(), self.open(SMALL, tmp_path)

        assert list(study.run(trainer, num_trials=3)) == list(study.results()) == results
        assert trainer.trained == []

    def test_a_diverged_trial_is_told_as_finite_and_worse_than_the_worst_before(self, tmp_path):
        study = self.new(SMALL, tmp_path)
        results = study.run(Bowl(), num_trials=25)
        told = self.told(study)

        assert all(math.isfinite(score) for score in told)
        diverged = [result.number for result in results if result.state is TrialState.DIVERGED]
        assert diverged
        assert {results[number].config.lr > 2 / CURVATURE for number in diverged} == {True}
        for number in diverged:
            before = [result.score for result in results[:number] if result.state is TrialState.COMPLETED]
            assert told[number] > max(before, default=-math.inf)

    def test_a_study_in_which_every_trial_diverges_comes_to_its_end(self, sampler, tmp_path):
        wild = SearchSpace((OptimizerRange("sgd", 1e3, 1e6),))
        study = self.new(wild, tmp_path, sampler=sampler)
        results = study.run(Bowl(), num_trials=6)

        assert [result.state for result in results] == [TrialState.DIVERGED] * 6
        assert all(math.isfinite(score) for score in self.told(study))
        assert best_of(results) is None

    def test_a_trial_that_raises_fails_alone_and_the_study_goes_on(self, tmp_path):
        def raises(config):
            return MemoryError("no room") if config.optimizer_name == "adam" else None

        study = self.new(SMALL, tmp_path)
        results = study.run(Bowl(raises=raises), num_trials=20)
        failed = {result.number for result in results if result.state is TrialState.FAILED}

        assert len(results) == 20
        assert failed == {result.number for result in results if result.config.optimizer_name == "adam"}
        assert {results[number].error for number in failed} == {"MemoryError: no room"}
        assert {number for number, score in enumerate(self.told(study)) if score is None} == failed

    def test_a_sampler_that_learns_avoids_trials_that_fail(self, tmp_path):
        own = (Dimension("units", (), 1, 64, integer=True), Dimension("depth", (), 1, 8, integer=True))
        space = SearchSpace((OptimizerRange("sgd", 1e-3, 0.4),), own=own)

        def raises(config):  # in three quarters of the space
            values = dict(config.own)
            return ValueError("no room") if values["units"] > 32 or values["depth"] > 4 else None

        for sampler in self.learning:
            study = self.new(space, tmp_path / sampler, sampler=sampler, seed=1)
            results = study.run(Bowl(raises=raises), num_trials=28)
            failed = [result.state is TrialState.FAILED for result in results]
            assert sum(failed[14:]) <= sum(failed[:14]) / 2, sampler

    def test_a_sampler_that_learns_nothing_proposes_the_same_whether_trials_fail_or_not(self, tmp_path):
        for sampler in self.blind:
            configs = [
                [result.config for result in study.run(Bowl(raises=lambda config, error=error: error), num_trials=6)]
                for error in (None, MemoryError("no room"))
                for study in [self.new(SMALL, tmp_path / f"{sampler} {error}", sampler=sampler)]
            ]
            assert configs[0] == configs[1], sampler

    def test_a_study_in_which_every_trial_raises_comes_to_its_end(self, sampler, tmp_path):
        results = self.new(SMALL, tmp_path, sampler=sampler).run(
            Bowl(raises=lambda config: ValueError("never")), num_trials=6
        )

        assert [result.state for result in results] == [TrialState.FAILED] * 6

    @pytest.mark.parametrize("error", [OSError("disk full"), StopTraining()])
    def test_what_a_caller_raises_ends_the_run(self, error, tmp_path):
        def fail(_):
            raise error

        study = self.new(SMALL, tmp_path)
        with pytest.raises(type(error)):
            study.run(Bowl(), num_trials=2, watcher=Heard(on_trial_end=fail))
        with pytest.raises(type(error)):
            study.run(Bowl(), num_trials=2, watcher=Heard(on_epoch_end=fail))
        assert list(study.results()) == []

    def test_interrupted_at_every_trial_a_study_loses_nothing_and_repeats_nothing(self, tmp_path):
        begun = []

        def stop(trained):
            begun.append(trained.result.config)
            raise StopTraining

        for number in range(6):
            study = self.open(SMALL, tmp_path)
            with pytest.raises(StopTraining):
                study.run(Bowl(), num_trials=6, watcher=Heard(on_trial_end=stop))
            study.run(Bowl(), num_trials=number + 1)
        results = self.open(SMALL, tmp_path).results()

        assert [result.number for result in results] == list(range(6))
        configs = Counter(result.config for result in results)
        assert set(configs.values()) == {1}
        assert set(begun) <= set(configs)

    def test_a_process_killed_between_any_two_trials_loses_none_that_ended_and_repeats_none(self, tmp_path):
        program = textwrap.dedent(f"""
            import os, warnings
            from tests.studies.bowl import Bowl, Heard
            from tests.studies.contract import SMALL
            {self.imports}
            warnings.simplefilter("ignore")  # that threads of libraries do not live on in a fork
            for number in range({NUM_KILLS}):
                child = os.fork()
                if not child:
                    {self.program.format(folder=str(tmp_path))}
                    study.run(Bowl(kill_at=number), num_trials={NUM_KILLS},
                              watcher=Heard(on_trial_end=lambda trained: print(trained.result.config, flush=True)))
                assert os.waitpid(child, 0)[1] == 9
        """)
        killed = STARTER.run(program=program)
        trainer = Bowl()
        results = self.open(SMALL, tmp_path).run(trainer, num_trials=NUM_KILLS)

        assert killed.returncode == 0, killed.stderr
        assert killed.stdout.splitlines() == [str(result.config) for result in results[:-1]]
        assert trainer.trained == [results[-1].config]
        assert len({result.config for result in results}) == NUM_KILLS

    def test_a_study_of_another_space_is_refused_with_what_differs(self, tmp_path):
        self.open(SMALL, tmp_path).run(Bowl(), num_trials=1)
        other = SearchSpace((SGD, ADAM), ("fixed", "exponential", "triangular"), (64,))

        with pytest.raises(ForeignStudy, match=r"of this search space, but batch_sizes was \[32\], now \[64\]"):
            self.open(other, tmp_path)

    def test_what_another_study_showed_is_known_for_good_and_counts_for_nothing(self, sampler, tmp_path):
        def raises(config):
            return MemoryError("no room") if config.optimizer_name == "adam" else None

        known = self.new(SMALL, tmp_path / "known", sampler="random").run(Bowl(raises=raises), num_trials=20)
        narrow = SearchSpace((replace(SGD, low=0.05), ADAM), SMALL.schedules)
        study = self.open(narrow, tmp_path / "own", sampler=sampler, known=known)
        told = self.known_to(study)
        inside = [
            result for result in known if result.config.optimizer_name == "sgd" and study.space.holds(result.config)
        ]

        assert [values for values, _ in told] == [result.config.parameters() for result in inside]
        assert {result.state for result in inside} == {TrialState.COMPLETED, TrialState.DIVERGED}
        for (_, score), result in zip(told, inside, strict=True):
            assert score == result.score if result.state is TrialState.COMPLETED else math.isfinite(score)
        assert list(study.results()) == []
        results = list(study.run(Bowl(), num_trials=3))
        assert [result.number for result in results] == [0, 1, 2]
        assert len(self.told(study)) == 3
        again = self.open(narrow, tmp_path / "own", sampler=sampler)
        assert self.known_to(again) == told
        assert list(again.results()) == results
        assert len(again.run(Bowl(), num_trials=5)) == 5

    def test_a_sampler_that_learns_begins_with_what_is_known(self, tmp_path):
        space = SearchSpace((OptimizerRange("sgd", 1e-5, 0.4),))
        known = self.new(space, tmp_path / "known", sampler="random").run(Bowl(), num_trials=25)
        for sampler in self.learning:
            informed, new = (
                self.new(space, tmp_path / f"{sampler} {len(told)}", sampler=sampler, known=told).run(
                    Bowl(), num_trials=2
                )
                for told in (known, ())
            )
            assert sum(result.score for result in informed) < sum(result.score for result in new) / 2, sampler

    def test_pruned_trials_count_and_are_worse_than_the_rest(self, tmp_path):
        space = SearchSpace((OptimizerRange("sgd", 1e-5, 0.4, 0.2),))
        results = self.new(space, tmp_path, sampler="random", prunes=True).run(Bowl(epochs=8), num_trials=25)
        by_state = {state: [r for r in results if r.state is state] for state in TrialState}

        assert len(results) == 25
        assert by_state[TrialState.PRUNED]
        assert {len(result.val_losses) for result in by_state[TrialState.PRUNED]} <= {2, 3, 4, 5, 6}
        assert all(result.epochs_saved == 8 - len(result.val_losses) for result in by_state[TrialState.PRUNED])
        assert best_of(results).score < min(result.score for result in by_state[TrialState.PRUNED])

    def test_of_halved_trials_the_best_third_goes_on_and_no_epoch_is_trained_twice(self, sampler, tmp_path):
        trainer = Bowl(epochs=8)
        study = self.new(SMALL, tmp_path, sampler=sampler, prunes="hyperband")
        results = study.run(trainer, num_trials=30)

        assert [result.number for result in results] == list(range(30))
        if sampler != "arms":  # its later trials are better, so that hardly any that waits is among the best again
            assert len(trainer.trained) > 30, "some trials must have been promoted"
        assert trainer.num_epochs == sum(len(result.val_losses) for result in results)
        assert promoted(results) == []
        assert {result.state for result in results} >= {TrialState.COMPLETED, TrialState.PRUNED}
        assert self.told(study)[best_of(results).number] == best_of(results).cost == min(self.told(study))
        assert all(0 < result.num_steps <= 40 for result in results)

    def test_halved_trials_do_not_depend_on_interruptions_nor_on_what_was_kept(self, sampler, tmp_path):
        def stop(_):
            raise StopTraining

        whole = self.new(SMALL, tmp_path / "whole", sampler=sampler, prunes="hyperband").run(Bowl(), num_trials=20)
        for num_trials in (7, 20):
            for hooks in ({"on_epoch_end": stop}, {"on_trial_end": stop}, {"on_pause": lambda key, checkpoint: None}):
                study = self.open(SMALL, tmp_path / "parts", sampler=sampler, prunes="hyperband")
                with contextlib.suppress(StopTraining):
                    study.run(Bowl(), num_trials=num_trials, watcher=Heard(**hooks))
        parts = self.open(SMALL, tmp_path / "parts", sampler=sampler, prunes="hyperband").results()

        assert list(parts) == list(whole)

    @pytest.mark.parametrize("schedules", [("fixed",), tuple(FAMILIES)])
    @pytest.mark.parametrize(("num_trials", "epochs"), [(1, 1), (1, 8), (2, 2), (4, 1)])
    def test_small_studies_that_are_halved_have_a_winner(self, num_trials, epochs, schedules, tmp_path):
        space = SearchSpace((ADAM,), schedules)
        results = self.new(space, tmp_path, prunes="hyperband").run(Bowl(epochs=epochs), num_trials=num_trials)

        assert len(results) == num_trials
        assert best_of(results).state is TrialState.COMPLETED
        assert epochs > 1 or all(result.state is TrialState.COMPLETED for result in results)

    def test_an_unknown_sampler_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"`sampler` must be one of .*, got 'best'"):
            self.new(SMALL, tmp_path, sampler="best")

    def test_real_trainings_can_be_searched(self, trainer, tmp_path):
        results = self.new(SMALL, tmp_path).run(trainer, num_trials=4)

        assert [result.state for result in results] == [TrialState.COMPLETED] * 4
        assert all(isinstance(result.config, TrialConfig) and result.score < 2.3 for result in results)
