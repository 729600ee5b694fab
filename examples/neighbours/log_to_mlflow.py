"""Log a finished run to MLflow: its best trial and results, and each trial beneath it with the losses of every epoch.

python log_to_mlflow.py out

MLFLOW_TRACKING_URI says where to, as MLflow reads it; mlflow-skinny is enough.
"""

import json
import sys
import time
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag

ENDED = {"completed": "FINISHED", "pruned": "KILLED", "diverged": "FAILED", "failed": "FAILED"}
MOST_METRICS = 1000  # that MLflow takes at once


def main():
    out = Path(sys.argv[1])
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    best = summary["best"]
    mlflow.set_experiment("lrrt")
    with mlflow.start_run() as run:
        mlflow.log_params(best["parameters"])
        mlflow.log_metrics({"score": best["score"], **{f"test_{k}": v for k, v in (best["test"] or {}).items()}})
        mlflow.log_metrics(dict(numbers_in(summary["cost"], "cost")))
        mlflow.set_tags({"best_trial": best["number"], "overfitting": best["overfitting"]["verdict"]})
        mlflow.log_artifacts(str(out))
        for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines():
            log_trial(json.loads(line), run.info)
        print(run.info.run_id)


def numbers_in(table, name):
    """Yield the numbers of tables inside tables, their names joined."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from numbers_in(value, f"{name}_{key}")
        else:
            yield f"{name}_{key}", value


def log_trial(trial, parent):
    client = mlflow.MlflowClient()
    name = f"trial {trial['number']}"
    tags = {"mlflow.parentRunId": parent.run_id, "mlflow.runName": name, "state": trial["state"]}
    run_id = client.create_run(parent.experiment_id, tags=tags).info.run_id
    now = int(1000 * time.time())
    metrics = [
        Metric(kind, loss, now, epoch)
        for kind in ("train_loss", "val_loss")
        for epoch, loss in enumerate(trial[f"{kind}es"], start=1)
        if loss is not None
    ]
    if trial["score"] is not None:
        metrics.append(Metric("score", trial["score"], now, 0))
    params = [Param(name, str(value)) for name, value in trial["parameters"].items()]
    client.log_batch(run_id, params=params, tags=[RunTag("error", trial["error"])] if trial["error"] else [])
    for start in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS])
    client.set_terminated(run_id, status=ENDED[trial["state"]])


if __name__ == "__main__":
    main()
