"""Shows what a finished run of the digits example is good for: its report, Optuna's own tools, MLflow."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import matplotlib
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from studies.analysis.importance import MIN_TRIALS

_SPEC = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(browser)

BRIEF = {
    "LRRT_STUDY__EPOCHS": "4",
    "LRRT_STUDY__RETRAIN_SEEDS": "1",
    "LRRT_STUDY__BATCH_SIZES": "[128]",
    "LRRT_RANGE_TEST__REPEATS": "1",
}
READ_MLFLOW = """
import contextlib, io, json, mlflow, runpy, sys
sys.argv = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()) as shown:
    runpy.run_path(sys.argv[0], run_name="__main__")
run_id = shown.getvalue().split()[-1]
client = mlflow.MlflowClient()
parent = client.get_run(run_id)
children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
best = next(run for run in children if run.info.run_name == f"trial {parent.data.tags['best_trial']}")
losses = client.get_metric_history(best.info.run_id, "val_loss")
print(json.dumps({
    "score": parent.data.metrics["score"], "optimizer": parent.data.params["optimizer"], "children": len(children),
    "losses": [metric.value for metric in losses], "epochs": [metric.step for metric in losses],
    "files": [file.path for file in client.list_artifacts(run_id)],
}))
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, with its summary: few epochs, and trials enough to tell what mattered."""
    folder = tmp_path_factory.mktemp("run") / "what? <b>Ünïcödé</b> & 100%20 #1"  # any name must do
    out, state = str(folder / "out"), str(folder / "state")
    words = ["run", "--trials", str(MIN_TRIALS), "--quiet", "--json", "--out", out, "--state", state]
    ended = CliRunner(env=BRIEF).invoke(app, words, prog_name="lrrt")
    assert (ended.exit_code, ended.stderr) == (0, "")
    return folder, json.loads(ended.stdout)


@pytest.fixture(scope="module")
def study(finished):
    import optuna
    from sqlalchemy import URL

    storage = URL.create("sqlite", database=str(finished[0] / "state/study.db"))
    return optuna.load_study(study_name="lrrt", storage=storage.render_as_string())


def test_its_pictures_are_drawn_alike_whatever_style_the_user_has_set(finished):
    folder, _ = finished
    html = folder / "out/report.html"
    before = html.read_bytes()
    with matplotlib.rc_context({"text.usetex": True, "font.family": "no such font", "axes.facecolor": "black"}):
        words = ["report", "--out", str(folder / "out"), "--state", str(folder / "state")]
        environ = {**BRIEF, "LRRT_STUDY__NUM_TRIALS": str(MIN_TRIALS)}
        ended = CliRunner(env=environ).invoke(app, words, prog_name="lrrt")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert html.read_bytes() == before


@pytest.mark.skipif(browser.find() is None, reason="no browser: the report was NOT opened in one")
@pytest.mark.parametrize("width", [390, 1200])
def test_its_report_is_readable_in_a_browser(finished, tmp_path, width):
    folder, summary = finished
    shown = browser.visit(folder / "out/report.html", folder=tmp_path / "profile", width=width)

    assert (shown["errors"], shown["outside"]) == ([], [])
    assert shown["width"] <= shown["screen"] == width
    assert f"Trial {summary['best']['number']} is the best of 3 that were trained again" in shown["text"]
    assert "What mattered: " in shown["text"]
    assert shown["letters"] > 7  # pixels; a phone's are small
    assert len(shown["pictures"]) == 3 + 2 + 3 + 4  # of the bounds, the optimizers, the study and the best trials


@pytest.mark.filterwarnings("ignore")  # that the plots are experimental, and that a single batch size makes a flat axis
@pytest.mark.parametrize(
    "plot", ["optimization_history", "param_importances", "slice", "parallel_coordinate", "edf", "timeline"]
)
def test_optuna_s_own_plots_draw_it(study, plot):
    import matplotlib as mpl
    from optuna.visualization import matplotlib as plots

    mpl.use("agg")
    assert getattr(plots, f"plot_{plot}")(study) is not None


def test_optuna_s_dashboard_shows_it(finished, study):
    import optuna_dashboard

    class Quiet(WSGIRequestHandler):
        def log_message(self, *words):
            """Say nothing."""

    with make_server("127.0.0.1", 0, optuna_dashboard.wsgi(study._storage), handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/api/studies/{study._study_id}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=30) as answer:
            shown = json.loads(answer.read())
        server.shutdown()

    assert len(shown["trials"]) == finished[1]["num_trials"]["ended"]
    assert {trial["state"] for trial in shown["trials"]} == {"Complete"}


@pytest.mark.long
def test_mlflow_takes_its_trials_losses_and_files(finished, pytestconfig, tmp_path):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    folder, summary = finished
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ARTIFACT_ROOT": str(tmp_path),
    }

    example = pytestconfig.rootpath / "examples/neighbours/log_to_mlflow.py"
    ended = subprocess.run(
        [sys.executable, "-c", READ_MLFLOW, example, folder / "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    logged = json.loads(ended.stdout.splitlines()[-1])

    assert logged["score"] == pytest.approx(summary["best"]["score"])
    assert logged["optimizer"] == summary["best"]["parameters"]["optimizer"]
    assert logged["children"] == summary["num_trials"]["ended"]
    assert logged["losses"] == pytest.approx(summary["best"]["val_losses"])
    assert logged["epochs"] == list(range(1, len(logged["losses"]) + 1))
    assert {"best", "report.html", "space.json", "summary.json"} <= set(logged["files"])
