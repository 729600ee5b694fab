"""What TensorBoard reads of a study's trials, with its own reader."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from studies import TensorBoardLog, Trained, TrialConfig, TrialResult, TrialState

CONFIG = TrialConfig(
    "adam", "step", 0.1, 16, (("drop_factor", 0.5), ("num_drops", 1.0)), momentum=0.8, own=(("deep", True),)
)
DONE = TrialResult(7, CONFIG, TrialState.COMPLETED, (3.0, 2.0, 1.0), (3.5, 1.5, 2.5), 12, planned_epochs=4)


def logged(result, folder):
    TensorBoardLog(folder)(Trained(result, None))
    return EventAccumulator(str(folder / f"trial_{result.number:04d}")).Reload()


def scalars(read, name):
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in read.Tensors(name)]


def told(read, kind):
    return read.SummaryMetadata(kind).plugin_data.content


def test_losses_rates_and_score_are_scalars_by_epoch(tmp_path):
    read = logged(DONE, tmp_path)

    assert scalars(read, "train_loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert scalars(read, "val_loss") == [(1, 3.5), (2, 1.5), (3, 2.5)]
    np.testing.assert_allclose(scalars(read, "learning_rate"), [(1, 0.1), (2, 0.1), (3, 0.05)], rtol=1e-6)
    assert scalars(read, "score") == [(2, 1.5)]


def test_hyperparameters_have_the_names_that_every_engine_uses(tmp_path):
    read = logged(DONE, tmp_path)
    start = metadata.parse_session_start_info_plugin_data(told(read, metadata.SESSION_START_INFO_TAG))
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    end = metadata.parse_session_end_info_plugin_data(told(read, metadata.SESSION_END_INFO_TAG))

    assert values == CONFIG.parameters()
    assert end.status == api_pb2.STATUS_SUCCESS


@pytest.mark.parametrize(
    "result",
    [
        TrialResult(0, CONFIG, TrialState.FAILED, error="MemoryError: no room", planned_epochs=4),
        TrialResult(0, CONFIG, TrialState.DIVERGED, (1.0, math.nan), (1.0, math.nan), 6, planned_epochs=4),
    ],
)
def test_a_trial_that_ended_badly_is_written_as_such(result, tmp_path):
    read = logged(result, tmp_path)
    end = metadata.parse_session_end_info_plugin_data(told(read, metadata.SESSION_END_INFO_TAG))

    assert end.status == api_pb2.STATUS_FAILURE
    assert ("error" in read.Tags()["tensors"]) == bool(result.error)
    if result.val_losses:
        assert math.isnan(scalars(read, "val_loss")[1][1])
        assert len(scalars(read, "learning_rate")) == 1


def test_a_trial_that_is_told_again_replaces_its_run(tmp_path):
    logged(DONE, tmp_path)
    assert len(scalars(logged(DONE, tmp_path), "val_loss")) == 3
