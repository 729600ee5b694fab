"""Shows that other tools read what a run writes, with our packages not imported, and act on its exit codes."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.run_directory import write_json
from pipeline.space_file import space_as_dict
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

    from studies.optuna_samplers import distribution

    written = json.loads(json.dumps(space_as_dict(space)))["optuna"]

    assert {name: optuna.distributions.json_to_distribution(json.dumps(kept)) for name, kept in written.items()} == {
        dimension.name: distribution(dimension) for dimension in space.dimensions()
    }


def test_keras_tuner_reads_the_very_hyperparameters_of_the_study(space):
    import keras_tuner

    from studies.asking import ask_keras_tuner

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


def _names(entry):
    return [entry] if isinstance(entry, str) else list(entry)


def test_each_example_is_there(examples):
    assert {path.name for path in Path(examples).iterdir() if path.suffix != ".pyc" and path.is_file()} == {
        "Makefile",
        "Snakefile",
        "airflow_dag.py",
        "dvc.yaml",
        "own_keras_tuner.py",
        "own_optuna.py",
    }
