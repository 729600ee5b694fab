"""Shows that other tools read what a run writes, with our packages not imported, and act on its exit codes."""

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from pipeline.results.space_file import space_as_dict
from pipeline.state.json_files import write_json
from studies import Dimension, OptimizerRange, SearchSpace

SPACE = SearchSpace(
    (OptimizerRange("sgd", 0.01, 1.0), OptimizerRange("adam", 1e-3, 0.1, 0.02)),
    ("fixed", "step", "triangular"),
    (32, 64),
    own=(
        Dimension("units", low=16, high=64, integer=True, step=16),
        Dimension("depth", low=1, high=64, integer=True, log=True),
        Dimension("dropout", low=0.0, high=0.5, step=0.25),
        Dimension("kind", ("dense", "conv")),
    ),
)
BY_BATCH_SIZE = SearchSpace(
    tuple(OptimizerRange("sgd", 0.01, 1.0, 0.1, batch_size=size) for size in (32, 64)), batch_sizes=(32, 64)
)
BLOCKED = "import sys; sys.modules.update(dict.fromkeys(('lrrt', 'studies', 'pipeline'))); "


@pytest.fixture
def examples(pytestconfig):
    return pytestconfig.rootpath / "examples" / "neighbours"


@pytest.fixture
def space_json(tmp_path):
    write_json(tmp_path / "space.json", space_as_dict(SPACE))
    return tmp_path / "space.json"


@pytest.fixture(params=[SPACE, BY_BATCH_SIZE], ids=["shared bounds", "bounds by batch size"])
def space(request):
    return request.param


def test_optuna_reads_the_very_distributions_of_the_study(space):
    import optuna

    from studies.engines.optuna_samplers import distribution

    written = json.loads(json.dumps(space_as_dict(space)))["optuna"]

    assert {name: optuna.distributions.json_to_distribution(json.dumps(kept)) for name, kept in written.items()} == {
        dimension.name: distribution(dimension) for dimension in space.dimensions()
    }


def test_keras_tuner_reads_the_very_hyperparameters_of_the_study(space):
    import keras_tuner

    from studies.space.suggesting import ask_keras_tuner

    own = keras_tuner.HyperParameters()
    ask_keras_tuner(own, space.dimensions())
    read = keras_tuner.HyperParameters.from_config(json.loads(json.dumps(space_as_dict(space)))["keras_tuner"])

    assert read.get_config()["space"] == own.get_config()["space"]


def test_the_first_trials_in_the_file_are_those_of_the_study():
    assert space_as_dict(BY_BATCH_SIZE)["first_trials"] == [
        {"optimizer": "sgd", "batch_size": 32, "lr__sgd__32": 0.1},
        {"optimizer": "sgd", "batch_size": 64, "lr__sgd__64": 0.1},
    ]


@pytest.mark.parametrize("script", ["own_optuna.py", "own_keras_tuner.py"])
@pytest.mark.long
def test_an_own_script_searches_inside_the_narrowed_space_without_our_packages(examples, space_json, script):
    program = f"{BLOCKED}sys.argv = [{script!r}, {str(space_json)!r}]; import runpy; "
    program += f"runpy.run_path({str(examples / script)!r}, run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=space_json.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    best = json.loads(ended.stdout.splitlines()[-1])
    found = next(found for found in SPACE.optimizers if found.name == best["optimizer"])

    assert found.low <= best[f"lr__{found.name}"] <= found.high
    assert best["batch_size"] in SPACE.batch_sizes


@pytest.mark.parametrize(
    ("code", "ends_with", "said"),
    [(0, 0, "deploy out/best"), (5, 2, "overfitted"), (75, 2, "run make again"), (73, 2, "will not help")],
)
def test_the_make_step_branches_on_exit_codes(examples, tmp_path, code, ends_with, said):
    fake = tmp_path / "lrrt"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    (tmp_path / "search.toml").write_text("")
    ended = subprocess.run(
        ["make", "--no-print-directory", "-f", examples / "Makefile", f"LRRT={fake}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == ends_with
    assert said in ended.stdout


def test_what_the_other_examples_name_is_what_a_run_writes_and_a_command_takes(examples, pytestconfig):
    stage = yaml.safe_load((examples / "dvc.yaml").read_text())["stages"]["tune"]
    files = [name for kind in ("outs", "metrics", "plots") for entry in stage[kind] for name in _names(entry)]
    tree = ast.parse((examples / "airflow_dag.py").read_text())
    airflow = next(
        node.value.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "COMMAND"
    )
    rule = (examples / "Snakefile").read_text()
    options = {word for text in (stage["cmd"], airflow, rule) for word in text.split() if word.startswith("--")}
    environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath), "COLUMNS": "200"}
    shown = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    written = {"best", "space.json", "report.html", "summary.json", "range_test/curves.csv"}
    assert {name.removeprefix("out/") for name in files} == written
    assert set(stage["params"][0]["search.toml"]) == {"range_test", "study"}
    assert all(option in shown for option in options)
    assert 'runs/{task}/out/best/model.keras"' in rule


STANDS_IN = """#!/bin/sh
echo "$@" >> calls.txt
out=out
while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
mkdir -p $out/best $out/range_test
touch $out/best/model.keras $out/space.json $out/report.html
printf 'lr,loss\\n1e-7,2.3\\n' > $out/range_test/curves.csv
echo '{"best": {"score": 0.1}}' > $out/summary.json
echo $out/summary.json
"""


@pytest.fixture
def stands_in(tmp_path, monkeypatch):
    """A folder with a config and a task, where `lrrt` writes what a run writes, and tells how it was called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "lrrt").write_text(STANDS_IN)
    (tmp_path / "lrrt").chmod(0o755)
    (tmp_path / "my_task.py").write_text("")
    (tmp_path / "search.toml").write_text("[range_test]\nrepeats = 1\n[study]\nnum_trials = 2\n")
    return tmp_path


def calls(folder):
    return (folder / "calls.txt").read_text().splitlines()


@pytest.mark.skipif(shutil.which("dvc") is None, reason="dvc is not installed")
def test_dvc_runs_the_stage_once_and_again_when_its_config_changes(examples, stands_in):
    def dvc(*words):
        return subprocess.run(["dvc", *words], check=True, capture_output=True, text=True).stdout

    shutil.copy(examples / "dvc.yaml", stands_in)
    dvc("init", "--no-scm", "--quiet")
    dvc("repro")
    dvc("repro")
    assert calls(stands_in) == ["run search.toml --progress plain"]

    (stands_in / "search.toml").write_text("[range_test]\nrepeats = 1\n[study]\nnum_trials = 3\n")
    dvc("repro")
    assert len(calls(stands_in)) == 2
    assert "0.1" in dvc("metrics", "show")


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
def test_snakemake_runs_each_task_once(examples, stands_in):
    for name in ("digits", "fashion"):
        (stands_in / f"{name}.toml").write_text("")
    for _ in range(2):
        subprocess.run(["snakemake", "-c1", "--snakefile", examples / "Snakefile"], check=True, capture_output=True)

    assert sorted(calls(stands_in)) == [
        f"run {name}.toml --out runs/{name}/out --state runs/{name}/state --progress plain"
        for name in ("digits", "fashion")
    ]


class AirflowException(Exception):  # Airflow's own name
    """As Airflow has it: the task is tried again."""


class AirflowFailException(AirflowException):
    """As Airflow has it: the task is not tried again."""


@pytest.fixture
def airflow_tasks(examples, monkeypatch):
    """The functions of the Airflow example, with stand-ins for the little of Airflow that it uses."""
    tasks = {}

    def task(function=None, **options):
        if function is None:
            return task
        tasks[function.__name__] = function
        return lambda *arguments: None

    parts = {
        "airflow": {},
        "airflow.exceptions": {"AirflowException": AirflowException, "AirflowFailException": AirflowFailException},
        "airflow.sdk": {"dag": lambda **options: lambda function: function, "task": task},
    }
    for name, content in parts.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    runpy.run_path(str(examples / "airflow_dag.py"))
    return tasks


def test_the_airflow_task_hands_on_the_last_line_of_stdout(airflow_tasks, stands_in):
    assert airflow_tasks["tune"]() == "out/summary.json"


@pytest.mark.parametrize(
    ("code", "failure"), [(75, AirflowException), (143, AirflowException), (2, AirflowFailException)]
)
def test_the_airflow_task_is_tried_again_where_that_helps(airflow_tasks, stands_in, code, failure):
    (stands_in / "lrrt").write_text(f"#!/bin/sh\nexit {code}\n")
    with pytest.raises(AirflowException, match=f"exit code {code}") as caught:
        airflow_tasks["tune"]()

    assert caught.type is failure


def test_the_airflow_check_stops_at_an_overfitted_model(airflow_tasks, tmp_path):
    best = {"score": 0.1, "overfitting": {"verdict": "overfitted"}, "overfitting_sentence": "it rose"}
    (tmp_path / "summary.json").write_text(json.dumps({"best": best}))
    with pytest.raises(AirflowFailException, match="it rose"):
        airflow_tasks["check"](str(tmp_path / "summary.json"))


@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.long
def test_the_notebook_runs_and_shows_its_pictures(examples, pytestconfig, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    notebook = nbformat.read(examples / "range_test.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)

    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]

    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("sgd" in output.get("text", "") for output in outputs)


def _names(entry):
    return [entry] if isinstance(entry, str) else list(entry)


def test_each_example_is_there(examples):
    assert {path.name for path in Path(examples).iterdir() if path.suffix != ".pyc" and path.is_file()} == {
        "Makefile",
        "Snakefile",
        "airflow_dag.py",
        "dvc.yaml",
        "log_to_mlflow.py",
        "own_keras_tuner.py",
        "own_optuna.py",
        "range_test.ipynb",
    }
