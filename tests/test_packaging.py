"""Shows that what is published is what the packages need, and that nothing heavy is imported before it is used."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

PACKAGES = ("lrrt", "studies", "pipeline")
HEAVY = ("tensorflow", "keras", "optuna", "keras_tuner", "matplotlib", "sklearn", "pandas")
DISTRIBUTIONS = {"keras_tuner": "keras-tuner", "sklearn": "scikit-learn", "pydantic_core": "pydantic"}


@pytest.fixture
def project(pytestconfig):
    return tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture
def root(pytestconfig):
    return pytestconfig.rootpath


def _imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_every_library_that_is_imported_is_a_dependency_and_the_other_way_round(project, root):
    imported = {name for package in PACKAGES for file in (root / package).rglob("*.py") for name in _imports(file)}
    others = imported - set(sys.stdlib_module_names) - set(PACKAGES)

    declared = {_name(entry) for entry in project["project"]["dependencies"]}
    extras = project["project"]["optional-dependencies"].items()
    optional = {_name(entry) for extra, entries in extras if extra != "dev" for entry in entries}
    assert {DISTRIBUTIONS.get(name, name) for name in others} - optional == declared


def _name(entry):
    return re.split(r"[\[<>=]", entry)[0]


def test_every_dependency_has_a_lower_bound(project):
    extras = project["project"]["optional-dependencies"]

    for entry in [*project["project"]["dependencies"], *(entry for extra in extras.values() for entry in extra)]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?>=[0-9.]+", entry)


def test_the_three_packages_and_the_examples_are_published_and_no_tests(root):
    code = (
        "import json, setuptools\n"
        "from distutils.core import run_setup\n"
        "built = run_setup('setup.py', stop_after='init')\n"
        "print(json.dumps([built.packages, built.package_dir]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    packages, folders = json.loads(ended.stdout)

    files = [file for package in PACKAGES for file in (root / package).rglob("*.py")]
    assert set(packages) == {".".join(file.relative_to(root).parts[:-1]) for file in files} | {"pipeline.examples"}
    assert folders == {"pipeline.examples": "examples"}
    assert [package for package in PACKAGES if not (root / package / "py.typed").exists()] == []


MOST_FILES = 13  # in a folder; more than that cannot be taken in at a glance


@pytest.mark.parametrize("top", [*PACKAGES, "tests"])
def test_no_folder_has_more_than_about_a_dozen_files(root, top):
    folders = [root / top, *(folder for folder in (root / top).rglob("*") if folder.is_dir())]
    crowded = {
        str(folder.relative_to(root)): len(files)
        for folder in folders
        if folder != root / "lrrt" and len(files := [*folder.glob("[!_]*.py")]) > MOST_FILES
    }
    assert crowded == {}


def test_the_command_is_a_function_of_the_package(project):
    module, _, function = project["project"]["scripts"]["lrrt"].partition(":")

    assert callable(getattr(importlib.import_module(module), function))


def test_importing_the_packages_and_the_command_imports_nothing_heavy(root):
    code = f"import sys, lrrt, studies, pipeline, pipeline.cli; print([m for m in {HEAVY} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout.strip() == "[]"


def test_help_imports_only_what_it_shows(root):
    code = (
        "import sys\n"
        "from pipeline.cli import app\n"
        "app(['run', '--help'], standalone_mode=False)\n"
        f"print([m for m in {(*HEAVY, 'numpy', 'rich', 'filelock')} if m in sys.modules])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )

    assert "lrrt run search.toml" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"


def test_each_name_that_the_pipeline_exports_is_there():
    pipeline = importlib.import_module("pipeline")

    assert sorted(pipeline.__all__) == sorted(pipeline._HOMES)
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__module__ == pipeline._HOMES[name]
        assert name in dir(pipeline)
    with pytest.raises(AttributeError, match="'pipeline' has no attribute 'run_stages'"):
        pipeline.run_stages  # noqa: B018


@pytest.mark.parametrize("target", ["help", "run", "test", "lint", "format", "docs", "benchmarks", "clean"])
def test_make_knows_each_target(root, target):
    ended = subprocess.run(["make", "-n", target], cwd=root, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


def test_make_says_what_is_missing_where_there_is_no_python(root, tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    ended = subprocess.run(
        ["make", "PYTHON=no-such-python", "test"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    assert "lrrt needs Python 3.11, 3.12 or 3.13, and none was found as: no-such-python." in ended.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("broken", [None, "lint", "cluster-test", "test"])
def test_ci_runs_what_people_run_and_fails_if_any_of_it_fails(root, tmp_path, broken):
    recipes = {name: "@false" if name == broken else f"@echo {name} ran" for name in ("lint", "cluster-test", "test")}
    makefile = "".join(f"{name}:\n\t{recipe}\n" for name, recipe in {".venv/.ready": "@true", **recipes}.items())
    files = {
        "Makefile": makefile,
        ".ci/run": (root / ".ci/run").read_text(encoding="utf-8"),
        "tests/cluster/packages.sh": "#!/bin/sh\n",
        "bin/chromedriver": "#!/bin/sh\n",  # it is there, so that none is installed
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    ended = subprocess.run([tmp_path / ".ci/run"], env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert os.access(root / ".ci/run", os.X_OK)
    assert (ended.returncode == 0) == (broken is None), ended.stderr
    assert set(re.findall("(.*) ran", ended.stdout)) == set(recipes) - {broken}
