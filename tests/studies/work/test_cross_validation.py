"""Shows that a trial scored on folds has their mean, and is spared folds when it is clearly worse on the first ones."""

import contextlib
from dataclasses import replace
from statistics import fmean

import pytest

from studies import (
    CrossValidator,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    StopTraining,
    TrialCheckpoint,
    TrialConfig,
    TrialState,
    best_of,
)
from tests.studies.bowl import CURVATURE, Bowl, Heard

SPACE = SearchSpace((OptimizerRange("sgd", 1e-3, 0.4, 0.2),))
GOOD = TrialConfig("sgd", "fixed", 0.25, 32)


class Fold(Bowl):
    """A bowl whose losses are higher by so much, as those of a fold that is hard to predict are."""

    seed = 0

    def __init__(self, shift, **options):
        super().__init__(**options)
        self.shift = shift

    def train(self, config, *, number=0, resume=None, on_epoch=lambda ended: None):
        trained = super().train(config, number=number, resume=resume, on_epoch=on_epoch)
        shifted = tuple(loss + self.shift for loss in trained.result.val_losses)
        return replace(trained, result=replace(trained.result, val_losses=shifted))


def folds(*shifts, **options):
    return CrossValidator([Fold(shift, **options) for shift in shifts])


def test_the_score_is_the_mean_of_the_folds_and_the_losses_are_their_means():
    alone = Fold(0.0).train(GOOD).result
    result = folds(0.0, 1.0, 5.0).train(GOOD, number=3).result

    assert result.fold_scores == pytest.approx([alone.score, alone.score + 1, alone.score + 5])
    assert result.score == pytest.approx(alone.score + 2)
    assert result.val_losses == pytest.approx([loss + 2 for loss in alone.val_losses])
    assert (result.number, result.state, result.num_steps) == (3, TrialState.COMPLETED, 3 * alone.num_steps)
    assert type(result).from_dict(result.as_dict()) == result


def test_another_seed_is_that_of_every_fold():
    class Seeded(Fold):
        def with_seed(self, seed):
            other = Seeded(self.shift)
            other.seed = seed
            return other

    other = CrossValidator([Seeded(0.0), Seeded(1.0)]).with_seed(7)

    assert [other.seed, *(trainer.seed for trainer in other.trainers)] == [7, 7, 7]


def test_a_trial_that_diverges_on_a_fold_has_diverged_and_is_spared_the_others():
    trainer = folds(0.0, 0.0)
    result = trainer.train(replace(GOOD, lr=10 / CURVATURE)).result

    assert result.state is TrialState.DIVERGED
    assert [len(fold.trained) for fold in trainer.trainers] == [1, 0]


def test_a_study_cuts_what_is_clearly_worse_on_two_folds_and_the_best_has_all(tmp_path):
    trainer = folds(0.0, 0.1, 0.2, 0.3)
    study = OptunaStudy(SPACE, storage=f"sqlite:///{tmp_path}/study.db", sampler="random", seed=1)
    results = study.run(trainer, num_trials=12)
    cut = [result for result in results if result.state is TrialState.PRUNED]
    best = best_of(results)

    assert cut
    assert {len(result.fold_scores) for result in cut} == {2}
    assert len(best.fold_scores) == 4
    assert best.score == pytest.approx(fmean(best.fold_scores))
    assert len(trainer.trainers[3].trained) == sum(result.state is TrialState.COMPLETED for result in results)
    for result in cut:
        assert fmean(result.fold_scores) > fmean(best.fold_scores[:2])


@pytest.mark.parametrize("epochs_before", [1, 8, 11, 16, 23])
def test_an_interrupted_trial_goes_on_from_the_folds_that_have_ended(epochs_before, tmp_path):
    whole = folds(0.0, 1.0, 5.0).train(GOOD).result
    left = iter(range(epochs_before - 1))

    def stop(ended):
        if next(left, None) is None:
            ended.checkpoint().save(tmp_path / "trial.npz")
            raise StopTraining

    with pytest.raises(StopTraining):
        folds(0.0, 1.0, 5.0).train(GOOD, on_epoch=stop)
    trainer = folds(0.0, 1.0, 5.0)
    result = trainer.train(GOOD, resume=TrialCheckpoint.load(tmp_path / "trial.npz")).result

    assert result == whole
    assert sum(fold.num_epochs for fold in trainer.trainers) == 3 * 8 - epochs_before


def test_a_study_on_folds_that_is_interrupted_anywhere_ends_as_one_that_is_not(tmp_path):
    kept, trained = {}, 0

    def keep_and_stop(ended):
        kept[ended.number] = ended.checkpoint()
        if next(left, None) is None:
            raise StopTraining

    whole = OptunaStudy(SPACE, sampler="random", seed=1).run(folds(0.0, 0.1, 0.2), num_trials=6)
    study = OptunaStudy(SPACE, sampler="random", seed=1)
    for number in (3, 10, 17, 30, 500):
        trainer, left = folds(0.0, 0.1, 0.2), iter(range(number))
        with contextlib.suppress(StopTraining):
            study.run(trainer, num_trials=6, watcher=Heard(on_epoch_end=keep_and_stop, checkpoint_of=kept.get))
        trained += sum(fold.num_epochs for fold in trainer.trainers)

    assert list(study.results()) == list(whole)
    assert trained == sum(result.num_steps // 5 for result in whole)


def test_a_space_that_does_not_fit_one_fold_is_refused():
    class Small(Fold):
        def check_space(self, space):
            raise ValueError("too few steps")

    with pytest.raises(ValueError, match="too few steps"):
        OptunaStudy(SPACE).run(CrossValidator([Fold(0.0), Small(0.0)]), num_trials=1)
