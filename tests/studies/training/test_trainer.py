"""What is true of early stopping, pruning by the caller, and trials that are interrupted and go on."""

import keras
import numpy as np
import pytest

from studies import (
    BrokenCheckpoint,
    EpochDecision,
    StopTraining,
    Trainer,
    TrialCheckpoint,
    TrialConfig,
    TrialResult,
    TrialState,
)

CYCLIC = TrialConfig("adam", "triangular", 0.01, 32, (("num_cycles", 2.0),))


def interrupted(trainer, config, epoch, path):
    """Train up to the end of an epoch, keep the trial there in a file, stop."""

    def stop(ended):
        if ended.epoch == epoch:
            ended.checkpoint().save(path)
            raise StopTraining

    with pytest.raises(StopTraining):
        trainer.train(config, number=7, on_epoch=stop)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_continued_trial_has_the_losses_of_one_that_was_not_interrupted(epoch, trainer, tmp_path):
    """Bit for bit: dropout, the order of the data and the optimizer's moments go on where they were."""
    whole = trainer.train(CYCLIC, number=7)
    interrupted(trainer, CYCLIC, epoch, tmp_path / "trial.npz")
    trainer.train(TrialConfig("adam", "fixed", 0.02, 32))  # what ran in between must not matter
    continued = trainer.train(CYCLIC, number=7, resume=TrialCheckpoint.load(tmp_path / "trial.npz"))

    assert continued.result.train_losses == whole.result.train_losses
    assert continued.result.val_losses == whole.result.val_losses
    assert (continued.result.number, continued.result.num_steps) == (7, whole.result.num_steps)
    for one, other in zip(continued.best_weights, whole.best_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_after_the_last_epoch_trains_nothing_more(trainer, tmp_path):
    interrupted(trainer, CYCLIC, 4, tmp_path / "trial.npz")
    result = trainer.train(CYCLIC, resume=TrialCheckpoint.load(tmp_path / "trial.npz")).result

    assert result.state is TrialState.COMPLETED
    assert len(result.val_losses) == 4


def test_a_checkpoint_of_another_trial_is_refused(trainer, tmp_path):
    interrupted(trainer, CYCLIC, 1, tmp_path / "trial.npz")
    kept = TrialCheckpoint.load(tmp_path / "trial.npz")

    with pytest.raises(ValueError, match="must go on with the `config` that it began with"):
        trainer.train(TrialConfig("adam", "fixed", 0.02, 32), resume=kept)
    with pytest.raises(ValueError, match="must go on with the `seed` that it began with, 0, got 5"):
        trainer.with_seed(5).train(CYCLIC, resume=kept)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04torn"])
def test_a_torn_checkpoint_is_refused(content, tmp_path):
    file = tmp_path / "trial.npz"
    file.write_bytes(content)
    with pytest.raises(BrokenCheckpoint, match=r"trial.npz must hold a trial's checkpoint, got .*Remove it"):
        TrialCheckpoint.load(file)


def test_a_trial_that_stops_improving_ends_early_with_its_best_weights(loops, digits):
    trainer = Trainer(loops, epochs=12, patience=0.1)
    trained = trainer.train(TrialConfig("adam", "fixed", 0.1, 32))
    result = trained.result

    assert result.state is TrialState.COMPLETED
    assert 6 + 2 <= len(result.val_losses) < 12
    assert result.epochs_saved == 12 - len(result.val_losses)
    loss = trainer.as_trained(result, trained.best_weights).evaluate(
        *digits["validation"], verbose=0, return_dict=True
    )["loss"]
    assert loss == pytest.approx(min(result.val_losses), rel=1e-5)


def test_the_saved_model_has_the_optimizer_and_the_rate_of_its_trial(trainer, tmp_path):
    """The digits' network was compiled with Adam."""
    trained = trainer.train(TrialConfig("sgd", "exponential", 0.2, 32))
    trainer.as_trained(trained.result, trained.best_weights).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    rates = trained.result.config.learning_rates(trained.result.num_steps)
    assert type(loaded.optimizer) is keras.optimizers.SGD
    assert float(loaded.optimizer.learning_rate) == pytest.approx(rates[34 * trained.result.best_epoch - 1])


def test_a_trial_that_the_caller_prunes_ends_there(trainer):
    result = trainer.train(CYCLIC, on_epoch=lambda ended: EpochDecision.PRUNE).result

    assert (result.state, len(result.val_losses), result.epochs_saved) == (TrialState.PRUNED, 1, 3)
    assert TrialResult.from_dict(result.as_dict()) == result


def test_a_result_of_an_older_file_can_be_read(trainer):
    data = trainer.train(CYCLIC).result.as_dict()
    del data["planned_epochs"]
    assert TrialResult.from_dict(data).epochs_saved == 0


@pytest.mark.parametrize("patience", [0, -1, 1.5])
def test_a_patience_that_is_no_fraction_is_refused(patience, loops):
    with pytest.raises(ValueError, match="`patience` must be a fraction of the epochs"):
        Trainer(loops, epochs=2, patience=patience)
