"""Shows that processes that choose how trials are trained at the same moment follow one choice, over PostgreSQL."""

import json
import subprocess
import sys
import time

NUM_KINDS, NUM_WORKERS = 40, 3
START_S = 1.0  # until all of them wait for the first moment
PROGRAM = """
import json, sys, time
from studies import OptimizerRange, OptunaStudy, SearchSpace
from studies.sharing.stored_choices import StoredChoices
from studies.storage.retrying import Retrying

url, number, num_kinds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
space = SearchSpace((OptimizerRange("sgd", 1e-2, 1.0),), ("fixed",), (32,))
choices = StoredChoices(OptunaStudy(space, storage=url, name="study").board, Retrying(""))
print("ready", flush=True)
begin = float(sys.stdin.readline())
chosen = []
for kind in range(num_kinds):
    time.sleep(max(0.0, begin + 0.05 * kind - time.time()))
    chosen.append(choices.setdefault(f"kind {kind}", number == kind % 3))
print(json.dumps(chosen))
"""


def test_processes_that_choose_at_the_same_moment_all_follow_the_first_choice_that_is_stored(database, pytestconfig):
    url = database.url("choices")
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": pytestconfig.rootpath}
    workers = []
    for number in range(NUM_WORKERS):
        words = [sys.executable, "-c", PROGRAM, url, str(number), str(NUM_KINDS)]
        workers.append(subprocess.Popen(words, **options))
        assert workers[-1].stdout.readline() == "ready\n"
    begin = time.time() + START_S
    for worker in workers:
        worker.stdin.write(f"{begin}\n")
        worker.stdin.flush()
    first, *others = (json.loads(worker.communicate(timeout=60)[0]) for worker in workers)

    assert others == [first, first]
    assert len(set(first)) == 2, "it is not always the same that is first"
