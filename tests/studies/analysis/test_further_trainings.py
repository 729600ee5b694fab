"""What is true of the best trials trained again: on fresh seeds and on folds, by one process or by several."""

from dataclasses import replace

import pytest

from studies import FurtherTrainings, Round, StopTraining, TrialConfig, TrialResult, TrialState, Watcher, Worker
from studies.sharing.board import Board
from studies.sharing.shared_work import work_off
from studies.sharing.stored_study import open_study
from studies.storage.database import open_storage
from studies.storage.retrying import Retrying
from tests.studies.bowl import Bowl, Heard


class Shifted(Bowl):
    """A bowl whose losses are so much higher for some rates, as another seed's or another fold's are."""

    def __init__(self, shift, **options):
        super().__init__(**options)
        self.shift = shift

    def train(self, config, **options):
        trained = super().train(config, **options)
        losses = tuple(loss + self.shift.get(config.lr, 0.0) for loss in trained.result.val_losses)
        return replace(trained, result=replace(trained.result, val_losses=losses))


def config(lr):
    return TrialConfig("adam", "fixed", lr, 32)


def trial(number, lr, score=0.1):
    return TrialResult(number, config(lr), TrialState.COMPLETED, (score,), (score,))


def rounds(*shifts, folds=False, prunes=False, made=None):
    """Return one round for each shift, which counts in `made` how often its trainer is made."""

    def maker(number, shift):
        def make():
            if made is not None:
                made.append(number)
            return Shifted(shift)

        return make

    kind = "fold" if folds else "seed"
    return [Round(f"{kind} {n}", maker(n, shift), folds, prunes) for n, shift in enumerate(shifts, 1)]


@pytest.fixture
def make_board(tmp_path):
    def make(worker="here"):
        database = open_storage(f"sqlite:///{tmp_path}/again.db", creates=True)
        study, storage = open_study("again", database, creates=True)
        return Board(study, storage, database, worker=Worker.here(worker), grace_s=60.0)

    return make


def work(board, trials, every_round, watcher=None):
    job = FurtherTrainings(trials, every_round, watcher or Watcher())
    return job, work_off(board, job, Retrying("sqlite://"))


def test_each_trial_is_trained_in_every_round_and_the_best_mean_comes_first(make_board):
    lucky, steady = trial(0, 0.1), trial(1, 0.2)
    seen = []
    job, table = work(
        make_board(),
        [lucky, steady],
        rounds({0.1: 5.0}, {}),
        Heard(on_training_end=lambda name, trained: seen.append((name, trained.result.number))),
    )
    first, second = job.retrained(table)

    assert [first.trial, second.trial] == [steady, lucky]
    assert seen == [("seed 1", 0), ("seed 1", 1), ("seed 2", 0), ("seed 2", 1)]
    assert second.mean_score == pytest.approx(sum(second.seeds.ended) / 2)
    assert second.judged.spread == pytest.approx(abs(second.seeds.ended[0] - second.seeds.ended[1]) / 2**0.5)
    assert [training.result.number for training in first.trainings] == [1, 1]


def test_a_trainer_is_made_once_a_round_and_let_go_of_with_the_next(make_board):
    made = []
    work(make_board(), [trial(0, 0.1), trial(1, 0.2)], rounds({}, {}, made=made))
    assert made == [1, 2]


def test_a_trial_that_did_not_come_to_an_end_once_has_no_mean_and_comes_last(make_board):
    diverging, other = trial(0, 5.0), trial(1, 0.2)
    job, table = work(make_board(), [diverging, other], rounds({}))

    assert [one.trial for one in job.retrained(table)] == [other, diverging]
    assert job.retrained(table)[1].mean_score is None


def test_a_gap_that_is_too_large_comes_last_whatever_the_mean(make_board):
    wide = replace(trial(0, 0.2), train_losses=(0.0,), val_losses=(9.0,))
    job, table = work(make_board(), [wide, trial(1, 0.1)], rounds({}))

    assert [one.trial.number for one in job.retrained(table, max_gap=1.0)] == [1, 0]


def test_a_trial_that_is_clearly_worse_on_its_first_folds_is_spared_the_others(make_board):
    good, bad = trial(0, 0.2), trial(1, 0.1)
    worse = {0.1: 50.0, 0.2: 0.5}
    job, table = work(make_board(), [good, bad], rounds(worse, {0.1: 50.0}, worse, worse, folds=True, prunes=True))
    first, second = job.retrained(table)

    assert (first.trial, len(first.on_folds)) == (good, 4)
    assert (second.trial, len(second.on_folds)) == (bad, 2)
    assert second.mean_score is None
    job, table = work(make_board("other"), [good, bad], rounds(worse, {0.1: 50.0}, worse, worse, folds=True))
    assert [len(one.on_folds) for one in job.retrained(table)] == [4, 4]


def test_what_has_ended_is_not_trained_again_and_what_was_stopped_is(make_board):
    def stop(name, trained):
        if (name, trained.result.number) == ("seed 1", 1):
            raise StopTraining

    trials, made = [trial(0, 0.1), trial(1, 0.2)], []
    with pytest.raises(StopTraining):
        work(make_board(), trials, rounds({}, {}, made=made), Heard(on_training_end=stop))
    seen = []
    work(make_board(), trials, rounds({}, {}), Heard(on_training_end=lambda name, _: seen.append(name)))

    assert made == [1]
    assert seen == ["seed 1", "seed 2", "seed 2"]


def test_a_model_that_raises_fails_its_training_alone(make_board):
    def raising():
        return Bowl(raises=lambda config: MemoryError("no room") if config.lr == 0.1 else None)

    trials = [trial(0, 0.1), trial(1, 0.2)]
    job, table = work(make_board(), trials, [Round("seed 1", raising)])
    first, second = job.retrained(table)

    assert first.trial.number == 1
    assert second.trainings[0].result.error == "MemoryError: no room"
    assert second.as_dict()["seeds"]["scores"] == [None]


def test_nothing_is_taken_by_a_process_whose_helpers_train(make_board):
    job = FurtherTrainings([trial(0, 0.1)], rounds({}), Heard(may_train=lambda: False))
    assert job.next_piece(make_board().table(), 1) is None
