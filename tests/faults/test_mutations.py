"""Mistaken configs, environments and URLs end with 2 and a sentence, never with a traceback or a part of a password."""

import shutil
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config.tables import StageConfig
from pipeline.config.toml import load_config, template
from pipeline.failures import ConfigError, exit_code
from studies.storage.database import open_storage
from studies.storage.urls import BadUrl

PATH = Path(tempfile.mkdtemp()) / "search.toml"
KEYS = [(table, key) for table, keys in tomllib.loads(template()).items() for key in keys]
SCALARS = st.one_of(
    st.none().map(lambda _: "none"),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["=1", "\x1b[2J", "../..", "nan", "sgd", "a:b", "postgresql://me:top@SECRET@host/db"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=5), SCALARS, max_size=2))
SECRETS = ("top", "SECRET")


@pytest.fixture(scope="module", autouse=True)
def config_file():
    PATH.parent.mkdir(exist_ok=True)  # a process that takes over tests of another comes here twice
    PATH.write_text(template())
    yield
    shutil.rmtree(PATH.parent)


def refusal(overrides, environ=None):
    """Return why a config is refused, or "" if it is read."""
    try:
        load_config(PATH, overrides, environ=environ or {})
    except ConfigError as error:
        return str(error)
    return ""


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=4))
def test_a_config_with_any_values_is_read_or_refused_in_words(changes):
    overrides = {f"{table}.{key}": value for (table, key), value in changes.items()}
    told = refusal(overrides)
    assert told == "" or ("mistake" in told and "SECRET" not in told)


@given(st.sampled_from(KEYS), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_an_environment_with_any_text_is_read_or_refused_in_words(key, text):
    told = refusal({}, {f"LRRT_{key[0]}__{key[1]}".upper(): text})
    assert told == "" or "mistake" in told


@given(st.text(max_size=200))
def test_a_file_with_any_text_is_refused_in_words(text):
    path = PATH.with_name("any.toml")
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    assert exit_code(caught.value) == 2


@pytest.mark.parametrize("text", [f"x = {'[' * 9999}{']' * 9999}", f"[a{'.a' * 9999}]", f"[task]\na{'.a' * 9999} = 1"])
def test_a_file_that_is_nested_without_measure_is_refused_in_words(text):
    path = PATH.with_name("deep.toml")
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"deep.toml must "):
        load_config(path, environ={"LRRT_STUDY__EPOCHS": "[" * 9999})


@pytest.mark.parametrize("key", [".".join(key) for key in KEYS if key[1] != "storage"])
@pytest.mark.parametrize("url", ["postgresql://me:top@SECRET@host/db", "x://me:top SECRET" + "x" * 90 + "@host/db"])
def test_a_url_under_a_wrong_key_does_not_show_its_password(key, url):
    for value in (url, [url], {"a": url}):
        told = refusal({key: value}).replace("stop", "").replace("top_retrained", "").replace("keep_top", "")
        assert [secret for secret in SECRETS if secret in told] == []


@pytest.mark.parametrize("command", ["validate", "run"])
def test_what_a_config_needs_is_checked_before_anything_runs(command, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "search.toml"
    path.write_text(template().replace("tensorboard = false", "tensorboard = true"))
    ended = CliRunner().invoke(app, [command, str(path)], prog_name="lrrt")

    assert ended.exit_code == 2
    assert "tensorboard: true needs the package tensorboard, which is not installed" in ended.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:top@host/db", "of a kind of database that SQLAlchemy knows, such as postgresql"),
        ("sqlite://", "must last, but SQLite without a file is in memory. Name a file"),
        (
            "mssql+pymssql://me:top@host/db",
            "A storage of mssql+pymssql needs the module pymssql, which is not installed.",
        ),
        ("postgresql+psycopg_async://me:top@host/db", "must have a driver that waits for answers"),
        ("postgresql://me:a@top@host/db", 'must be "" or a database URL such as'),
    ],
)
@pytest.mark.parametrize("key", ["STORAGE", "WARM_START"])
@pytest.mark.parametrize("command", ["validate", "status"])
def test_a_storage_that_nothing_reaches_is_a_mistake_of_the_config(command, key, url, words, tmp_path):
    path = tmp_path / "search.toml"
    path.write_text(template())
    ended = CliRunner(env={f"LRRT_STUDY__{key}": url}).invoke(app, [command, str(path)], prog_name="lrrt")

    assert ended.exit_code == 2
    assert words in ended.stderr
    assert "top" not in ended.stderr


@pytest.mark.parametrize("url", ["sqlite:///{}/a.db?colour=red", "postgresql://me:top@127.0.0.1:1/db?colour=red"])
def test_an_unknown_parameter_of_a_url_is_a_mistake_of_the_config(tmp_path, url):
    with pytest.raises(BadUrl, match=r"must have parameters that \S+ knows, got 'colour'") as caught:
        open_storage(url.format(tmp_path), creates=True)
    assert "top" not in str(caught.value)
    assert exit_code(caught.value) == 2


OPTIONS = {
    "--trials": ["0", "-1", "1e3", "nan", "9" * 30, ""],
    "--seed": ["-1", "x", "1.5", "9" * 30],
    "--max-time": ["0s", "-1h", "nan", "inf", "1y", "9" * 400, "h", ""],
    "--workers": ["0", "-2", "many", "9" * 30],
    "--progress": ["bars", ""],
    "--range": ["sgd", "sgd=", "sgd=1:", "sgd=1:0", "sgd=nan:inf", "sgd=0:1", "=1:2", "sgd=1e-3:1e-1:1", "nothing=1:2"],
    "--bounds": ["nowhere.json", ".", "", "search.toml", "/dev/null", "/dev/zero", "a\nb", "/proc/self/mem"],
    "--out": ["", ".", "search.toml", "search.toml/x", "/dev/null", "/proc/x", "x" * 300, "\x1b[2J"],
    "--state": ["", "out", "search.toml", "/dev/null/x", "/sys/x", "x" * 5000],
    "--warm-start": [
        "nowhere",
        ".",
        "sqlite:///nowhere.db",
        "postgresql://me:top@SECRET@127.0.0.1:1/db",
        "x://",
        "\x1b",
    ],
    "--fail-on": ["underfit", ""],
    "--app-dir": ["nowhere", "search.toml"],
    "--nothing": ["1"],
}


@given(st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=3, unique=True), st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_mistaken_options_of_a_search_without_bounds_end_in_words(tmp_path, monkeypatch, names, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.toml").write_text(template())
    words = [word for name in names for word in (name, data.draw(st.sampled_from(OPTIONS[name])))]
    ended = CliRunner().invoke(app, ["search", "search.toml", *words], prog_name="lrrt")

    assert ended.exit_code in (2, 69, 73, 74), (words, ended.exit_code, ended.stderr)
    assert "Traceback" not in ended.stderr
    assert "SECRET" not in ended.stderr
    assert all(letter.isprintable() or letter == "\n" for letter in ended.stderr)


def test_every_table_is_changed():
    assert {table for table, _ in KEYS} == set(StageConfig.model_fields)
