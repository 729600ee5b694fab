"""A storage that fails once, whatever it was asked for, changes nothing: every statement of a run is sent again."""

import json
import sqlite3
from contextlib import contextmanager

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from pipeline.stage import go_on
from tests.faults.runs import config_of
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")
EACH = 90  # of so many statements one fails in a run; more would be a storage that does not answer
NUM_RUNS = 18


@contextmanager
def failing(*numbers):
    """Let these statements fail, counted from 0, as if another process held the database; yield all that were sent."""
    sent = []

    def fail(connection, cursor, statement, parameters, *others):
        sent.append(statement)
        if len(sent) - 1 in numbers:
            raise OperationalError(statement, parameters, sqlite3.OperationalError("database is locked"))

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", fail)
    try:
        yield sent
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", fail)


def trials_of_run(folder, *numbers):
    """Run a stage on the bowl, in which these statements fail; return its trials, and how many statements it sent."""
    with failing(*numbers) as sent:
        go_on(bowl_run(config_of(study__num_trials=2, study__top_retrained=1, study__sampler="random"), folder))
    lines = [json.loads(line) for line in (folder / "out/trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith("seconds")} for line in lines], sent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The trials of a run in which nothing fails, and how many statements it sends."""
    return trials_of_run(tmp_path_factory.mktemp("whole"))


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, EACH, EACH // NUM_RUNS))
def test_a_statement_that_fails_once_is_sent_again(whole, tmp_path, first):
    trials, sent = whole
    again, _ = trials_of_run(tmp_path, *range(first, len(sent), EACH))
    assert again == trials
