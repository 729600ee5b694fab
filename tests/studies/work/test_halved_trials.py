"""Shows that a promoted trial of a real training goes on from its kept weights, and what happens if they are lost."""

from dataclasses import replace

import numpy as np
import pytest

from studies import (
    Dimension,
    EpochDecision,
    KerasTunerStudy,
    Limits,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialState,
    best_of,
)
from studies.engines.keras_tuner_engine import keras_tuner_engine
from studies.engines.observation import Observation
from studies.engines.optuna_engine import OptunaEngine
from tests.studies.bowl import Bowl, Heard

SPACE = SearchSpace(
    (OptimizerRange("sgd", 1e-2, 1.0, 0.2), OptimizerRange("adam", 1e-4, 1e-2, 2e-3)), ("exponential", "triangular")
)


def halved(trainer, watcher=None, num_trials=8, **options):
    study = OptunaStudy(SPACE, sampler="random", seed=4, prunes="hyperband", **options)
    return study.run(trainer, num_trials=num_trials, watcher=watcher)


@pytest.fixture
def counting(loops, monkeypatch):
    """A trainer, and the steps that it has trained in all."""
    trainer, steps = Trainer(loops, epochs=4, patience=None), []
    train = loops.get("sgd", 32).__class__.train

    def counted(self, *arguments, **options):
        recorded = train(self, *arguments, **options)
        steps.append(len(recorded.losses))
        return recorded

    monkeypatch.setattr(loops.get("sgd", 32).__class__, "train", counted)
    return trainer, steps


def test_a_promoted_trial_is_trained_on_and_ends_with_the_weights_of_one_trained_whole(counting, trainer):
    keys, ended = [], {}
    watcher = Heard(on_trial_end=lambda trained: ended.update({trained.result.number: trained}))
    known = watcher.checkpoint_of
    watcher.checkpoint_of = lambda key: keys.append(key) or known(key)
    results = halved(counting[0], watcher)
    promoted = {int(key.split()[0]) for key in keys if isinstance(key, str)}

    assert sum(counting[1]) == sum(result.num_steps for result in results) < 8 * 4 * 34
    assert promoted
    for number in promoted:
        whole = trainer.train(results[number].config, number=number)
        epochs = len(results[number].val_losses)
        assert results[number].val_losses == whole.result.val_losses[:epochs]
        if results[number].state is TrialState.COMPLETED:
            for one, other in zip(ended[number].best_weights, whole.best_weights, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_promoted_trial_whose_weights_are_lost_is_trained_from_its_start_to_the_same_numbers(counting):
    kept, steps = halved(counting[0]), sum(counting[1])
    lost = halved(counting[0], Heard(on_pause=lambda key, checkpoint: None))

    assert sum(counting[1]) > 2 * steps
    assert [(one.number, one.state, one.val_losses, one.num_steps) for one in lost] == [
        (one.number, one.state, one.val_losses, one.num_steps) for one in kept
    ]


@pytest.mark.parametrize(("make", "sampler"), [(OptunaEngine, "tpe"), (keras_tuner_engine, "bayesian")])
def test_an_engine_that_heard_of_a_trial_before_it_was_promoted_proposes_as_one_that_did_not(make, sampler):
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1.0),))
    others = {"optimizer": "sgd", "schedule": "fixed", "batch_size": 32}
    ended = [Observation(n, {**others, "lr__sgd": 0.002 * 1.4**n}, cost=0.01 * n**2) for n in range(16)]
    promoted = [replace(one, cost=0.01 * (15 - one.number) ** 2) for one in ended]
    before, fresh = make(space, sampler=sampler), make(space, sampler=sampler)
    other = before.propose(20, ended, [])

    assert before.propose(20, promoted, []) == fresh.propose(20, promoted, []) != other


def test_a_checkpoint_is_forgotten_as_soon_as_its_trial_stays_behind_for_good():
    held, most = set(), []

    def on_pause(key, checkpoint):
        held.add(key)
        most.append(len(held))

    watcher = Heard(on_pause=on_pause, on_left=held.discard, checkpoint_of=held.discard)
    results = halved(Bowl(), watcher, num_trials=40)
    num_behind = sum(result.state is TrialState.PRUNED for result in results)

    assert held == set()
    assert max(most) < 0.75 * num_behind


def test_a_caller_that_cuts_a_trial_at_every_epoch_does_not_keep_a_study_from_its_end():
    watcher = Heard(on_epoch_end=lambda ended: EpochDecision.PRUNE)
    assert len(halved(Bowl(), watcher, num_trials=6)) == 6


def test_a_fault_of_what_keeps_checkpoints_ends_the_run_and_not_the_trial():
    def full(key, checkpoint):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        halved(Bowl(), Heard(on_pause=full), num_trials=20)


def test_trials_that_the_median_cuts_are_never_promoted():
    trainer = Bowl()
    results = OptunaStudy(SPACE, sampler="random", prunes=True).run(trainer, num_trials=30)

    assert TrialState.PRUNED in {result.state for result in results}
    assert len(trainer.trained) == 30


def test_a_study_that_ends_early_leaves_no_checkpoint_and_has_its_winner_trained_to_the_end():
    held = set()
    watcher = Heard(
        on_pause=lambda key, _: held.add(key), on_left=held.discard, checkpoint_of=lambda key: held.discard(key)
    )
    results = halved(Bowl(), watcher, num_trials=40, limits=Limits(stop_after=5))

    assert 5 < len(results) < 40
    assert held == set()
    assert best_of(results).state is TrialState.COMPLETED


def test_a_grid_that_is_exhausted_still_promotes_its_best(tmp_path):
    own = (Dimension("units", (1, 2, 3)),)
    space = SearchSpace((OptimizerRange("sgd", 0.1, 0.1000001, 0.1),), ("fixed",), own=own)
    trainer = Bowl()
    study = KerasTunerStudy(space, directory=tmp_path, sampler="grid", prunes="hyperband")
    results = study.run(trainer, num_trials=100)

    assert len(results) < 100
    assert trainer.num_epochs == sum(len(result.val_losses) for result in results)
    assert best_of(results).state is TrialState.COMPLETED
