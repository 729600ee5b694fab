"""What is true of studies that several processes share: each trial ends once, whatever happens to its workers."""

import math
import os
import signal
import sqlite3
import subprocess
import textwrap
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import optuna
import pytest

from studies import (
    ForeignStudy,
    NoSuchStudy,
    OptunaStudy,
    StopTraining,
    StorageOfAnotherVersion,
    StorageUnreachable,
    TrialConfig,
    TrialState,
    Watcher,
    Worker,
    best_of,
    stored_attributes,
)
from studies.judging.halving import promoted
from studies.sharing import stored_study
from studies.sharing.board import WORKER
from studies.sharing.pieces import KEY, RESULT, Outcome, Table
from studies.sharing.stored_choices import StoredChoices
from studies.storage import database, sqlite
from studies.storage.database import open_storage
from studies.storage.retrying import Retrying, storage_fault
from studies.storage.urls import address
from studies.work.search import Search
from tests.starter import STARTER
from tests.studies.bowl import Bowl, Heard
from tests.studies.contract import SMALL

POSTGRESQL = os.environ.get("LRRT_TEST_POSTGRESQL")
OF_PREVIOUS_LIFE = Worker("lost", 1, "another machine")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A storage that processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    if not POSTGRESQL:
        pytest.skip("LRRT_TEST_POSTGRESQL names no PostgreSQL")
    return POSTGRESQL


@pytest.fixture
def name():
    return f"test {uuid.uuid4()}"


class Workers:
    """Worker processes of one study, whose trials take `epoch_s` an epoch; they print what they do."""

    def __init__(self, url, name):
        self.url, self.name, self.processes = url, name, []

    def start(self, *, epoch_s=0.0, grace_s=60.0, worker=None, kill_at=None, prunes=False):
        program = textwrap.dedent(f"""
            import os
            from studies import OptunaStudy, Worker
            from tests.studies.bowl import Bowl, Heard
            from tests.studies.contract import SMALL
            study = OptunaStudy(SMALL, storage={self.url!r}, name={self.name!r}, sampler="random", creates=False,
                                worker=Worker.here({worker!r}), grace_s={grace_s!r}, prunes={prunes!r})
            say = lambda *words: print(*words, flush=True)
            def on_epoch(ended):
                say("epoch", ended.number, ended.epoch)
            trainer = Bowl(epoch_s={epoch_s!r}, kill_at={kill_at!r})
            watcher = Heard(on_trial_end=lambda trained: say("ended", trained.result.number), on_epoch_end=on_epoch)
            study.work(trainer, watcher=watcher)
        """)
        process = STARTER.start(program=program)
        self.processes.append(process)
        return process

    def join(self):
        """Wait for all; return how often each trial ended."""
        said = [line for process in self.processes for line in process.communicate(timeout=120)[0].splitlines()]
        return Counter(int(line.split()[1]) for line in said if line.startswith("ended"))


@pytest.fixture
def workers(url, name):
    started = Workers(url, name)
    yield started
    for process in started.processes:
        process.kill()
        process.wait()
        process.stdout.close()


def shared(url, name, budget, **options):
    study = OptunaStudy(SMALL, storage=url, name=name, sampler="random", **options)
    study.set_budget(budget)
    return study


def job_of(study, trainer=None):
    """Return the trials of a study as a job, which has looked at the table once."""
    job = Search(study, trainer or Bowl(), None, Watcher(), Retrying(""))
    job.on_look(study.board.table())
    return job


def claimed(study):
    """Claim the next trial; return the claim and its config."""
    piece = job_of(study).next_piece(study.board.table(), 1)
    return study.board.claim(piece.key, piece.values, piece.distributions), TrialConfig.from_parameters(piece.values)


def of(study, state):
    return [trial for trial in study.study.get_trials() if trial.state.name == state]


def test_workers_that_race_for_trials_train_each_once_and_no_two_start_alike(url, name, workers):
    study = shared(url, name, 24)
    for _ in range(3):
        workers.start()
    told = workers.join()

    assert told == dict.fromkeys(range(24), 1)
    assert [result.number for result in study.results()] == list(range(24))
    assert len({result.config for result in study.results()}) == 24
    assert of(study, "RUNNING") == of(study, "WAITING") == []
    progress = study.progress()
    assert (progress.budget, progress.num_open, progress.num_running, progress.num_ended) == (24, 0, 0, 24)
    assert sum(seen.num_ended for seen in progress.workers) == 24
    assert {seen.key for seen in progress.workers} == {None}


def test_workers_that_share_halved_trials_promote_each_once_from_each_rung_and_leave_none(url, name, workers):
    study = shared(url, name, 24, prunes="hyperband")
    for _ in range(2):
        workers.start(prunes="hyperband")
    told = workers.join()
    results = study.results()
    parts = [trial.user_attrs["key"] for trial in of(study, "COMPLETE")]

    assert [result.number for result in results] == list(range(24))
    assert len(parts) == len(set(parts)) == sum(told.values()) > 24
    assert promoted(results) == []
    assert of(study, "RUNNING") == of(study, "WAITING") == []
    progress = study.progress()
    assert (progress.num_open, progress.num_running, progress.num_ended) == (0, 0, 24)


def test_a_worker_that_is_killed_amid_a_promoted_trial_leaves_it_to_another_with_the_same_numbers(url, name):
    whole = OptunaStudy(SMALL, sampler="random", prunes="hyperband").run(Bowl(), num_trials=12)
    killed = STARTER.run([url, name], program=KILLED_AMID_A_PROMOTED_TRIAL)
    study = shared(url, name, 12, prunes="hyperband")
    running = of(study, "RUNNING")
    results = study.run(Bowl(), num_trials=12)

    assert killed.returncode == -signal.SIGKILL
    assert [" from epoch " in str(trial.user_attrs["key"]) for trial in running] == [True]
    assert list(results) == list(whole)
    assert of(study, "RUNNING") == []


KILLED_AMID_A_PROMOTED_TRIAL = """
import os, signal, sys
from studies import OptunaStudy
from tests.studies.bowl import Bowl, Heard
from tests.studies.contract import SMALL

keys = []
def kill(ended):
    if isinstance(keys[-1], str):
        os.kill(os.getpid(), signal.SIGKILL)
study = OptunaStudy(SMALL, storage=sys.argv[1], name=sys.argv[2], sampler="random", prunes="hyperband")
study.run(Bowl(), num_trials=12, watcher=Heard(checkpoint_of=keys.append, on_epoch_end=kill))
"""


def test_optuna_shows_each_part_of_a_promoted_trial_with_its_score_so_far(url, name):
    study = shared(url, name, 20, prunes="hyperband")
    results = study.run(Bowl(), num_trials=20)
    loaded = optuna.load_study(study_name=name, storage=url)
    last = {trial.user_attrs["result"]["number"]: trial for trial in loaded.trials}

    assert len(loaded.trials) > 20
    assert {trial.state.name for trial in loaded.trials} == {"COMPLETE"}
    for result in results:
        assert result.state is TrialState.DIVERGED or last[result.number].value == result.score
    assert loaded.best_value == best_of(results).score


def test_the_trial_of_a_worker_killed_on_this_machine_goes_at_once_to_another_with_the_same_values(url, name, workers):
    study = shared(url, name, 4)
    killed = workers.start(kill_at=2)
    assert killed.wait(60) == -signal.SIGKILL
    (trial,) = of(study, "RUNNING")
    assert study.progress().num_running == 1

    results = study.run(Bowl(), num_trials=4)

    assert [result.number for result in results] == [0, 1, 2, 3]
    assert results[2].config.parameters() == trial.params
    assert of(study, "RUNNING") == []


def test_a_worker_that_is_started_again_goes_on_with_its_own_trial_from_its_checkpoint(url, name, workers):
    """Its scheduler has moved it to another machine, so it is known by its name alone."""
    study = shared(url, name, 4, worker=replace(Worker.here("job.1"), place="another machine"))
    workers.start(worker="job.1", kill_at=1).wait(60)
    (trial,) = of(study, "RUNNING")
    asked = []
    study.work(Bowl(), num_trials=2, watcher=Heard(checkpoint_of=asked.append))

    assert asked == [1]
    assert study.results()[1].config.parameters() == trial.params


def test_a_frozen_worker_loses_its_trial_after_the_grace_and_lets_go_of_it_when_it_wakes(url, name, workers):
    study = shared(url, name, 1, grace_s=2.0)
    frozen = workers.start(epoch_s=0.5, grace_s=2.0)
    while not any(seen.last_seen_s is not None for seen in study.progress().workers):
        time.sleep(0.05)  # until its first heartbeat is written
    frozen.send_signal(signal.SIGSTOP)
    (seen,) = study.progress().workers
    results = study.run(Bowl(), num_trials=1)
    frozen.send_signal(signal.SIGCONT)
    said = frozen.communicate(timeout=60)[0]

    assert (seen.key, seen.last_seen_s is not None) == (0, True)
    assert frozen.returncode == 0
    assert "ended" not in said
    assert [result.number for result in results] == [0]
    assert sorted(trial.state.name for trial in study.study.get_trials()) == ["COMPLETE", "FAIL"]


KILLED_ANYWHERE = """
import os, random, signal, sys
import sqlalchemy
from studies import OptunaStudy
from tests.studies.bowl import Bowl
from tests.studies.contract import SMALL

rng = random.Random(0)
for life in range(6):
    left = rng.randint(1, 300)  # statements until it is killed; a trial takes about twenty
    child = os.fork()
    if not child:
        study = OptunaStudy(SMALL, storage=sys.argv[1], name=sys.argv[2], sampler="random", grace_s=1.0)

        @sqlalchemy.event.listens_for(study.board.database.engine, "before_cursor_execute")
        def count(*_):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        study.set_budget(200)
        study.work(Bowl())
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


def test_a_study_that_is_killed_at_any_statement_loses_nothing_and_repeats_nothing(url, name):
    shared(url, name, 1)
    killed = STARTER.run([url, name], program=KILLED_ANYWHERE)
    assert killed.returncode == 0, killed.stderr
    study = shared(url, name, 1, grace_s=1.0)
    before = {result.number: result for result in study.results()}
    num_trials = max(before) + 3
    results = study.run(Bowl(), num_trials=num_trials)

    assert [result.number for result in results] == list(range(num_trials))
    assert all(results[number] == result for number, result in before.items())
    assert len({result.config for result in results}) == num_trials
    assert of(study, "RUNNING") == []


def test_a_trial_that_never_had_a_heartbeat_is_lost_after_the_grace_and_not_before(url, name):
    study = shared(url, name, 1, grace_s=2.0)
    claim, _ = claimed(study)
    study.board.storage.set_trial_user_attr(claim.trial_id, WORKER, OF_PREVIOUS_LIFE.as_dict())

    assert study.put_back() == 0
    assert study.put_back() == 0
    time.sleep(3.1)  # SQLite's clock counts whole seconds
    assert study.put_back() == 1


def test_a_trial_that_was_lost_is_trained_with_the_values_that_it_had(url, name):
    study = shared(url, name, 3)
    claim, config = claimed(study)
    study.board.give_back(claim)
    results = study.run(Bowl(), num_trials=3)

    assert results[0].config == config
    assert len(results) == 3


def test_of_two_workers_that_claim_one_trial_the_first_holds_it_and_the_other_leaves_no_trace_in_the_results(url, name):
    first, second = (shared(url, name, 2, worker=Worker(who, 1, "elsewhere"), grace_s=0.5) for who in "ab")
    pieces = [job_of(study).next_piece(study.board.table(), 1) for study in (first, second)]
    claims = [
        study.board.claim(piece.key, piece.values, piece.distributions)
        for study, piece in zip((first, second), pieces, strict=True)
    ]

    assert [piece.key for piece in pieces] == [0, 0]
    assert claims[0] is not None
    assert claims[1] is None
    assert sorted(trial.state.name for trial in first.study.get_trials()) == ["FAIL", "RUNNING"]


def test_a_claim_on_a_table_to_which_no_trial_was_added_reads_no_other_and_on_an_old_one_does(url, name, monkeypatch):
    studies = [shared(url, name, 2, worker=Worker(who, 1, "elsewhere"), grace_s=0.5) for who in "ab"]
    seen = [study.board.table() for study in studies]
    pieces = [job_of(study).next_piece(table, 1) for study, table in zip(studies, seen, strict=True)]
    num_reads = []
    for study in studies:
        read = study.board.table
        monkeypatch.setattr(study.board, "table", lambda read=read: num_reads.append(1) or read())

    def claim(at):
        piece = pieces[at]
        return studies[at].board.claim(piece.key, piece.values, piece.distributions, seen=seen[at])

    assert claim(0) is not None
    assert len(num_reads) == 0
    assert claim(1) is None  # its table does not show that the piece is held by now
    assert len(num_reads) == 1
    assert claim(0) is not None  # as after an answer that was lost
    assert len(of(studies[0], "RUNNING")) == 1


def test_a_claim_whose_answer_was_lost_is_found_again_by_its_worker(url, name):
    study = shared(url, name, 2)
    piece = job_of(study).next_piece(study.board.table(), 1)
    lost = study.board.claim(piece.key, piece.values, piece.distributions)  # its worker does not hear of it

    assert study.board.claim(piece.key, piece.values, piece.distributions) == lost
    assert len(of(study, "RUNNING")) == 1


def test_a_budget_can_be_set_any_number_of_times_and_by_several_at_once(url, name):
    study = shared(url, name, 5)
    shared(url, name, 5)
    shared(url, name, 8)

    assert study.study.get_trials() == []
    assert study.progress().num_open == study.budget == 8


def test_a_trial_that_was_killed_between_its_result_and_its_end_is_ended_and_not_repeated(url, name):
    study = shared(url, name, 2)
    claim, config = claimed(study)
    result = Bowl().train(config, number=0).result
    study.board.storage.set_trial_user_attr(claim.trial_id, RESULT, result.as_dict())
    trainer = Bowl()
    results = study.run(trainer, num_trials=2)

    assert results[0] == result
    assert len(trainer.trained) == 1
    assert of(study, "RUNNING") == []


def test_a_trial_whose_result_is_stored_is_not_given_back_but_ended_with_its_score(url, name):
    study = shared(url, name, 1)
    claim, config = claimed(study)
    result = Bowl().train(config, number=0).result
    study.board.storage.set_trial_user_attr(claim.trial_id, RESULT, result.as_dict())
    study.board.give_back(claim)
    trainer = Bowl()

    assert list(study.run(trainer, num_trials=1)) == [result]
    assert trainer.trained == []
    assert [trial.value for trial in of(study, "COMPLETE")] == [result.score]


def test_a_worker_that_is_stopped_gives_its_trial_back(url, name):
    def stop(_):
        raise StopTraining

    study = shared(url, name, 2)
    with pytest.raises(StopTraining):
        study.work(Bowl(), watcher=Heard(on_epoch_end=stop))

    assert of(study, "RUNNING") == []
    assert study.progress().num_open == 2


def test_results_of_other_workers_are_seen_and_read_once(url, name):
    study, other = shared(url, name, 4), shared(url, name, 4)
    other.work(Bowl(), num_trials=2)
    before = study.results()
    other.work(Bowl())

    assert len(before) == 2
    assert len(study.results()) == 4
    assert all(first is again for first, again in zip(before, study.results(), strict=False))


def test_a_diverged_trial_is_worse_than_what_other_workers_saw(url, name):
    study, other = (shared(url, name, 3, worker=Worker.here(who)) for who in "ab")
    claim, config = claimed(other)
    bad = replace(Bowl().train(config).result, val_losses=(1e6,), number=0, state=TrialState.COMPLETED)
    piece = job_of(study, Bowl(raises=lambda config: None)).next_piece(study.board.table(), 1)
    other.board.finish(claim, Outcome(bad.as_dict(), (1e6,)))

    class Diverges(Bowl):
        def train(self, config, **options):
            trained = super().train(config, **options)
            return replace(trained, result=replace(trained.result, state=TrialState.DIVERGED))

    job = job_of(study, Diverges())
    outcome = job.next_piece(study.board.table(), 1).do(lambda ends: None)

    assert piece.key != 0
    assert outcome.values[0] > 1e6


def test_the_losses_of_each_epoch_are_where_optuna_s_tools_look_for_them(url, name):
    study = shared(url, name, 4)
    results = study.run(Bowl(), num_trials=4)
    kept = {trial.user_attrs[KEY]: trial.intermediate_values for trial in study.study.get_trials()}

    for result in results:
        assert kept[result.number] == {
            epoch: loss for epoch, loss in enumerate(result.val_losses, 1) if math.isfinite(loss)
        }


def test_workers_that_choose_at_the_same_moment_all_follow_the_choice_that_is_stored(url, name):
    """Both have read that there is none yet, and each stores its own."""
    workers = [StoredChoices(shared(url, name, 1).board, Retrying("")) for _ in range(2)]
    barrier = threading.Barrier(len(workers))
    kinds = [f"kind {number}" for number in range(40)]

    def choose(at):
        chosen = []
        for kind in kinds:
            barrier.wait(timeout=30)
            chosen.append(workers[at].setdefault(kind, at == 0))
        return chosen

    with ThreadPoolExecutor(len(workers)) as pool:
        one, other = pool.map(choose, range(len(workers)))

    assert one == other == [workers[0].get(kind) for kind in kinds]


def test_a_storage_that_is_locked_for_a_while_is_waited_for(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sqlite, "TIMEOUT_S", 0.05)
    url = f"sqlite:///{tmp_path}/study.db"
    study = shared(url, name, 3)
    waited = []

    def lock_for_a_while(_):
        locker = sqlite3.connect(tmp_path / "study.db", isolation_level=None, check_same_thread=False)
        locker.execute("BEGIN EXCLUSIVE")
        threading.Timer(0.4, locker.close).start()

    watcher = Heard(on_trial_end=lock_for_a_while, on_wait=lambda: waited.append(1))
    results = study.run(Bowl(), num_trials=3, watcher=watcher)

    assert [result.number for result in results] == [0, 1, 2]
    assert of(study, "FAIL") == []
    assert waited


def test_a_storage_that_stays_locked_is_told_by_its_file(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sqlite, "TIMEOUT_S", 0.05)
    study = shared(f"sqlite:///{tmp_path}/study.db", name, 1)
    study._retry = replace(study._retry, give_up_after_s=0.2)
    locker = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StorageUnreachable, match=r"study.db did not answer for 0.2 s: database is locked"):
        study.set_budget(2)
    locker.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgres"])
def test_a_server_that_does_not_answer_is_told_by_host_and_port_and_never_by_its_password(scheme, monkeypatch):
    monkeypatch.setattr(database, "OPENING_S", 0.2)
    with pytest.raises(StorageUnreachable) as told:
        OptunaStudy(SMALL, storage=f"{scheme}://me:s3{{cr}}et@127.0.0.1:9/studies")

    assert "The storage at 127.0.0.1:9/studies did not answer for 0.2 s: " in str(told.value)
    shown = [str(told.value), *(repr(error) + str(error) for error in _chain(told.value))]
    assert not [text for text in shown if "s3{cr}et" in text or "cr}" in text]


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_storage_of_another_version_is_told(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    open_storage(url, creates=True)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.9.a'")

    with pytest.raises(StorageOfAnotherVersion, match=r"study.db is of another version. .*updating optuna"):
        OptunaStudy(SMALL, storage=url)


def test_a_study_that_is_not_there_cannot_be_joined(url, name):
    open_storage(url, creates=True)
    with pytest.raises(NoSuchStudy, match=f"must hold the study '{name}'"):
        stored_attributes(url, name)
    with pytest.raises(NoSuchStudy):
        OptunaStudy(SMALL, storage=url, name=name, creates=False)


def test_joining_makes_no_file_and_no_tables(tmp_path):
    file = tmp_path / "study.db"
    for _ in range(2):
        with pytest.raises(NoSuchStudy, match=r"study.db must hold a study, but it holds none"):
            stored_attributes(f"sqlite:///{file}")
        assert not file.exists() or sqlite3.connect(file).execute("SELECT * FROM sqlite_master").fetchall() == []
        file.touch()


def test_who_joins_a_study_finds_what_it_was_made_with(url, name):
    OptunaStudy(SMALL, storage=url, name=name, attributes={"fingerprint": {"a": 1}})
    OptunaStudy(SMALL, storage=url, name=name, attributes={"fingerprint": {"a": 2}})

    assert stored_attributes(url, name)["fingerprint"] == {"a": 1}


def test_faults_of_the_storage_are_found_behind_what_was_raised_because_of_them():
    import sqlalchemy

    def wrapped(message):
        try:
            try:
                raise sqlalchemy.exc.OperationalError("SELECT", {}, sqlite3.OperationalError(message))
            except Exception as error:
                raise optuna.exceptions.StorageInternalError("during the commit") from error
        except Exception:
            try:
                raise UnboundLocalError("while clearing up")
            except UnboundLocalError as error:
                return error

    assert storage_fault(wrapped("database is locked")) is not None
    assert storage_fault(wrapped("no such table: trials")) is None
    assert storage_fault(ValueError("the caller's")) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "9"}, "7.3"),
        ({"SLURM_JOB_ID": "9"}, "9"),
        ({"SLURM_JOB_ID": "9", "SLURM_STEP_ID": "0", "SLURM_PROCID": "2"}, "9.0.2"),
        ({"SLURM_PROCID": "2"}, None),
        ({"JOB_NAME": "study", "JOB_COMPLETION_INDEX": "0"}, "study.0"),
        ({"JOB_NAME": "study"}, None),
    ],
)
def test_a_worker_is_named_by_its_place_in_a_batch_job(environ, expected):
    found = Worker.here(environ=environ).id
    assert found == expected or (expected is None and found.endswith(f".{os.getpid()}"))
    assert Worker.here("mine", environ).id == "mine"


def test_a_worker_knows_that_another_has_ended_only_where_it_can_know():
    here = Worker.here("here", {})
    ended = subprocess.Popen(["true"])
    ended.wait()
    zombie = subprocess.Popen(["true"])
    time.sleep(0.3)

    assert here.knows_ended(replace(here, id="other", pid=ended.pid))
    assert here.knows_ended(replace(here, id="other", pid=zombie.pid))
    assert here.knows_ended(replace(here, place="elsewhere"))  # its own name: an earlier life of it
    assert here.knows_ended(here)  # no two trials are trained by one process at a time
    assert not here.knows_ended(replace(here, pid=1))  # its own name, and alive: another process of one job
    assert not here.knows_ended(replace(here, id="other", pid=ended.pid, place="elsewhere"))
    assert not here.knows_ended(replace(here, id="other"))
    assert not here.knows_ended(replace(here, id="other", pid=1))
    zombie.wait()


def test_the_first_trial_of_a_piece_that_is_not_lost_holds_it():
    def trial(number, key, state, **attributes):
        made = optuna.trial.create_trial(
            state=optuna.trial.TrialState[state],
            value=1.0 if state == "COMPLETE" else None,
            user_attrs={} if key is None else {KEY: key, **attributes},
        )
        made.number = number
        return made

    trials = [
        trial(0, 0, "FAIL"),
        trial(1, 0, "RUNNING"),
        trial(2, "sgd", "FAIL", **{RESULT: {}}),
        trial(3, 0, "RUNNING"),
        trial(4, 2, "FAIL"),
        trial(5, None, "COMPLETE"),
    ]
    table = Table.of(trials)

    assert {key: trial.number for key, trial in table.running.items()} == {0: 1}
    assert {key: trial.number for key, trial in table.ended.items()} == {"sgd": 2}
    assert [trial.number for trial in table.surplus] == [3]
    assert [key for key in (0, "sgd", 2, 3) if table.is_open(key)] == [2, 3]
    assert {key: trial.number for key, trial in table.first.items()} == {0: 0, "sgd": 2, 2: 4}
    assert [trial.number for trial in table.others] == [5]


def test_an_address_has_no_user_and_no_password():
    assert address("postgres://me:secret@db/x") == "db:5432/x"
    assert address("sqlite:////data/study.db") == "/data/study.db"


def test_a_study_that_is_being_made_is_waited_for(url, name):
    storage = open_storage(url, creates=True)
    study = optuna.create_study(study_name=name, storage=storage)
    threading.Timer(0.5, lambda: study.set_user_attr("space", SMALL.as_dict())).start()

    assert "space" in stored_attributes(url, name)


def test_a_study_whose_making_was_broken_off_is_no_study(url, name, monkeypatch):
    monkeypatch.setattr(stored_study, "BEING_MADE_S", 0.2)
    optuna.create_study(study_name=name, storage=open_storage(url, creates=True))

    with pytest.raises(NoSuchStudy, match=f"the making of '{name}' was broken off. Run the command"):
        OptunaStudy.join(url, name=name)


def test_who_only_looks_writes_nothing(url, name):
    optuna.create_study(study_name=name, storage=open_storage(url, creates=True))
    study = OptunaStudy(SMALL, storage=url, name=name, creates=False)

    assert study.study.user_attrs == {}
    assert study.progress().num_ended == 0


def test_a_study_of_an_earlier_version_is_refused_in_words(url, name):
    study = optuna.create_study(study_name=name, storage=open_storage(url, creates=True))
    study.set_user_attr("space", SMALL.as_dict())

    with pytest.raises(ForeignStudy, match="of this version of lrrt, but an earlier one made it"):
        OptunaStudy(SMALL, storage=url, name=name)
