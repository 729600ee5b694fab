"""An Airflow DAG: the last line of stdout is the path of summary.json; the exit code says whether a retry helps."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

COMMAND = "lrrt run search.toml --progress plain --max-time 3h50m"
WORTH_A_RETRY = {69, 75, 130, 143}  # the next try goes on where this one was


@dag(start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False)
def tuning():
    @task(retries=5, retry_delay=timedelta(minutes=1))
    def tune() -> str:
        ended = subprocess.run(COMMAND.split(), stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode in WORTH_A_RETRY:
            raise AirflowException(f"not done yet: exit code {ended.returncode}")
        if ended.returncode:
            raise AirflowFailException(f"a retry will not help: exit code {ended.returncode}")
        return ended.stdout.splitlines()[-1]

    @task
    def check(summary_path: str) -> float:
        with open(summary_path, encoding="utf-8") as file:
            best = json.load(file)["best"]
        if best["overfitting"]["verdict"] == "overfitted":
            raise AirflowFailException(best["overfitting_sentence"])
        return best["score"]

    check(tune())


tuning()
