"""Shows that a config is checked as a whole, and that what is written can be read back."""

import json
import tomllib

import pytest

from lrrt.optimizers import as_optimizers
from pipeline.config.list_values import OPTIMIZERS, WITHOUT_MOMENTUM
from pipeline.config.storage_url import is_storage_url, without_password
from pipeline.config.study_table import StudyConfig
from pipeline.config.tables import ClusterConfig, RangeTestConfig, StageConfig, TaskConfig
from pipeline.config.toml import builtin_config, load_config, template, to_toml
from pipeline.failures import ConfigError
from studies.trial_config import momentum_name

TASK = '[task]\nbuild_model = "my_task:build_model"\nload_data = "my_task:load_data"\n'


@pytest.fixture
def load(tmp_path):
    def load(text, overrides=None, environ=None):
        path = tmp_path / "search.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides, environ=environ or {})

    return load


def test_a_config_with_a_task_alone_has_the_defaults_of_the_design(load):
    config = load(TASK)

    assert config.range_test == RangeTestConfig(
        optimizers=("sgd", "adam"),
        start_lr=1e-7,
        end_lr=10.0,
        num_steps=100,
        spacing="exponential",
        repeats=3,
        monitor="loss",
        monitor_mode="auto",
        confirm_steps=0,
        per_batch_size=False,
    )
    assert config.task.split == "auto"
    assert config.study == StudyConfig(
        engine="optuna",
        num_trials=40,
        epochs=20,
        batch_sizes=(32,),
        schedules=("fixed", "exponential", "triangular"),
        searches_warmup=False,
        weight_decay=None,
        momentum=None,
        sampler="tpe",
        seed=0,
        patience=0.25,
        prunes=False,
        max_gap=None,
        validation_fraction=0.2,
        top_retrained=3,
        retrain_seeds=3,
        folds=0,
        score_folds=0,
        stratified=False,
        mixes_validation=False,
        refit=False,
        keep_top=1,
        first=(),
        warm_start="",
        rank_by="mean",
        widen=False,
        storage="",
        fallback_range=(1e-5, 1e-1),
    )


def test_a_cluster_is_told_in_a_table_of_its_own(load):
    text = f"""{TASK}[cluster]
partition = "gpu"
time = "1-12:00:00"
gpus_per_worker = 2
sbatch = ["--mem=16G", "-C a100"]
"""
    cluster = load(text, environ={"LRRT_CLUSTER__ACCOUNT": "lab"}).cluster

    assert cluster == ClusterConfig(
        kind="slurm",
        partition="gpu",
        account="lab",
        time="1-12:00:00",
        gpus_per_worker=2,
        sbatch=("--mem=16G", "-C a100"),
        max_rounds=3,
    )


@pytest.mark.parametrize(
    ("line", "law"),
    [
        ("kind = 'dask'", 'must be one of "slurm", "local", got \'dask\''),
        ("time = '4 hours'", 'must be "" or a time as Slurm writes it'),
        ("gpus_per_worker = -1", "must be >= 0, got -1"),
        ('partition = "a\\nb"', "must be text on one line"),
        ("sbatch = ['mem=16G']", r'must be a list of sbatch options, such as \["--mem=16G"\], got \'mem=16G\''),
        ("max_rounds = 0", "must be >= 1, got 0"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(load, line, law):
    with pytest.raises(ConfigError, match=law):
        load(f"{TASK}[cluster]\n{line}")


def test_the_range_test_uses_the_first_batch_size(load):
    assert load(TASK + "[study]\nbatch_sizes = [64, 32]").range_test_batch_size == 64


def test_every_mistake_is_told_at_once_with_its_line(load):
    text = """num_trials = 3
[task]
build_model = "no function"
[range_test]
optimizers = [
  "adm",
  "sgd", "sgd",
]
start_lr = 100
num_steps = "ten"
repeats = true
[study]
engin = "optuna"
engine = "optna"
start_lr = 1e-3
epochs = 2.5
seed = -1
num_trials = 1_000_001
batch_sizes = [0, 8]
schedules = []
fallback_range = [0.1, 0.01]
storage = "study.db"
"""
    with pytest.raises(ConfigError, match="has 17 mistakes") as caught:
        load(text)

    told = str(caught.value).splitlines()[1:]
    for expected in (
        "line 1: num_trials: there is no such key. It belongs in [study].",
        '[task] load_data: this key is missing; it must be "module:function".',
        'line 3: [task] build_model: must be "module:function", such as "my_task:build_model", got \'no function\'.',
        "line 5: [range_test] optimizers: each must be a known optimizer, got 'adm'. Did you mean 'adam'? each may",
        "each may stand once, got 'sgd' twice.",
        "[range_test] end_lr: `start_lr < end_lr` must hold, got start_lr=100.0, end_lr=10.0.",
        "line 10: [range_test] num_steps: must be a whole number, got 'ten'.",
        "line 11: [range_test] repeats: must be a whole number, got True.",
        "line 13: [study] engin: there is no such key. Did you mean 'engine'?",
        "line 14: [study] engine: must be one of \"optuna\", \"keras_tuner\", got 'optna'. Did you mean 'optuna'?",
        "line 15: [study] start_lr: there is no such key. It belongs in [range_test].",
        "line 16: [study] epochs: must be a whole number, got 2.5.",
        "line 17: [study] seed: must be >= 0, got -1.",
        "line 18: [study] num_trials: must be <= 1000000, got 1000001.",
        "line 19: [study] batch_sizes: each must be a whole number from 1 to 1000000, got 0.",
        "line 20: [study] schedules: must be a list of at least one, got [].",
        "line 21: [study] fallback_range: `0 < low < high` must hold, got low=0.1, high=0.01.",
    ):
        assert any(expected in line for line in told), expected
    assert any('line 22: [study] storage: must be "" or a database URL' in line for line in told)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("num_trails = 3", r"no such key\. Did you mean 'num_trials' in \[study\]\?$"),
        ("spam = 3", r'no such key\. Known: "optimizers", .*"per_batch_size"\.$'),
    ],
)
def test_a_key_is_looked_for_in_all_tables_if_its_own_has_no_near_one(load, line, hint):
    with pytest.raises(ConfigError, match=hint):
        load(f"[range_test]\n{line}\n{TASK}")


@pytest.mark.parametrize(
    ("line", "law"),
    [
        ("start_lr = 0.0", "must be > 0, got 0.0"),
        ("end_lr = inf", "must be a finite number, got inf"),
        ("start_lr = nan", "must be a finite number, got nan"),
        ("num_steps = 9", "must be >= 10, got 9"),
        ("repeats = 0", "must be >= 1, got 0"),
        ("optimizers = 'adam'", r"must be a list of at least one, got 'adam'\. Put it in brackets: \['adam'\]\."),
        ("optimizers = [[1]]", r"each must be a known optimizer, got \[1\]"),
        ("optimizers = ['Adam']", "Did you mean 'adam'"),
    ],
)
def test_a_value_out_of_its_domain_is_refused(load, line, law):
    with pytest.raises(ConfigError, match=law):
        load(f"{TASK}[range_test]\n{line}")


@pytest.mark.parametrize(
    ("lines", "law"),
    [
        ("prunes = 'fast'", 'true, false, "none", "median", "hyperband", got \'fast\''),
        ("prunes = 1", "must be true, false, .* got 1"),
        ("prunes = 'hyperband'\nscore_folds = 3", 'must be 0 with prunes = "hyperband", got 3'),
        (
            "engine = 'keras_tuner'\nsampler = 'bayesian'\nobjective = ['val_loss', 'num_parameters']",
            "must not be 'bayesian' with several objectives, .* Take \"tpe\"",
        ),
        ("sampler = 'bayesian'", r'one of "tpe", .* with engine "optuna", got \'bayesian\' of "keras_tuner"'),
        ("engine = 'keras_tuner'\nsampler = 'qmc'", r'one of .*"grid".* with engine "keras_tuner", got \'qmc\''),
        ("sampler = 'tpr'", "must be one of .*Did you mean 'tpe'"),
        ("patience = 1.5", "a part of the epochs, from 0 to 1"),
        ("patience = true", "a part of the epochs"),
        ('jit = "fast"', 'true, false or "auto"'),
        ("max_gap = -0.1", r'a number >= 0 or "none", got -0\.1'),
        ("momentum = [0.5, 1.0]", "`0 < low < high < 1` must hold"),
        ("weight_decay = [0.1, 0.01]", "`0 < low < high` must hold"),
        ("validation_fraction = 1.0", r"must be < 1, got 1\.0"),
        ("num_trials = 2\ntop_retrained = 3", "line 6: .*`top_retrained <= num_trials` must hold, got 3 of 2 trials"),
        ("top_retrained = 0\nfolds = 5", "line 6: .*folds: must come with `top_retrained >= 1`"),
        ("folds = 1", "must be 0, for none, or 2 and more, got 1"),
        ("stratified = true", "must come with `folds >= 2`"),
        ("num_trials = 2\nkeep_top = 3", "`keep_top <= num_trials` must hold, got 3 of 2 trials"),
        ("first = [{}]", r"must be tables of values by name, such as {lr = 0.01}, got {}"),
        ("first = [{lr = [1]}]", r"each value must be a finite number, text, true or false, got lr = \[1\]"),
        ("score_folds = 1", "score_folds: must be 0, for none, or 2 and more, got 1"),
        ("keep_top = 0", "must be >= 1, got 0"),
        ("refit = 1", "must be true or false, got 1"),
        ("mixes_validation = true", "must come with `folds >= 2`"),
        ("schedules = ['triangular']\nsearches_warmup = true", 'a schedule that can warm up: one of "fixed", "linear"'),
        ("widen = 1", "must be true or false, got 1"),
        ("rank_by = 'median'", 'must be one of "mean", "trial"'),
    ],
)
def test_keys_of_the_study_that_do_not_fit_each_other_are_refused(load, lines, law):
    with pytest.raises(ConfigError, match=law):
        load(f"{TASK}[study]\n{lines}")


def test_momentum_is_refused_for_an_optimizer_without_one_at_the_line_of_its_key(load):
    text = f"{TASK}[range_test]\noptimizers = ['sgd', 'adagrad']\n[study]\nseed = 1\nmomentum = [0.8, 0.99]"

    with pytest.raises(ConfigError, match=r'line 8: \[study\] momentum: .* optimizers that have one, got "adagrad"'):
        load(text)


def test_first_configs_are_tables_and_are_written_so_that_they_can_be_read(load):
    config = load(f"{TASK}[[study.first]]\nlr = 0.1\noptimizer = 'sgd'\n[[study.first]]\nunits = 3\nwide = true\n")

    assert config.study.first == ({"lr": 0.1, "optimizer": "sgd"}, {"units": 3, "wide": True})
    assert load(to_toml(config)) == config


@pytest.mark.parametrize("folder", ["runs/1/out", "/data/a run@12:30", "..."])
def test_the_folder_of_an_earlier_study_is_written_as_it_was_given(load, folder):
    config = load(f"{TASK}[study]\nwarm_start = '{folder}'")

    assert load(to_toml(config)) == config


@pytest.mark.parametrize(
    ("value", "weights"),
    [("'none'", None), ("'balanced'", "balanced"), ("{0 = 1, 1 = 2.5}", {0: 1.0, 1: 2.5})],
)
def test_class_weights_are_a_word_or_a_table_and_are_written_so_that_they_can_be_read(load, value, weights):
    config = load(f"{TASK}class_weight = {value}")

    assert config.task.class_weight == weights
    assert load(to_toml(config)) == config


@pytest.mark.parametrize(
    "value", ["'equal'", "{}", "{0 = 0.0}", "{a = 1.0}", "{-1 = 1.0}", "{0 = 'x'}", "[1, 2]", "{0 = inf}"]
)
def test_other_class_weights_are_refused(load, value):
    with pytest.raises(ConfigError, match=r'class_weight: must be "none", "balanced", or a table of class number'):
        load(f"{TASK}class_weight = {value}")


def test_stratified_folds_are_refused_beside_another_split(load):
    with pytest.raises(ConfigError, match='stratified: must come with split = "auto" or "stratified", got "time"'):
        load(f"{TASK}split = 'time'\n[study]\nfolds = 2\nstratified = true")


@pytest.mark.parametrize(
    ("lines", "law"),
    [
        ("monitor_mode = 'max'", 'must be "min" or "auto" for a loss'),
        ("monitor = 'val_loss'\nnum_steps = 49", r"`num_steps >= 50` .* got 'val_loss' with num_steps=49"),
        ("monitor = ' '", 'must name "loss" or a compiled metric'),
        ("confirm_steps = -1", "must be >= 0, got -1"),
        ("spacing = 'log'", 'must be one of "exponential", "linear"'),
    ],
)
def test_keys_of_the_range_test_that_do_not_fit_each_other_are_refused(load, lines, law):
    with pytest.raises(ConfigError, match=law):
        load(f"{TASK}[range_test]\n{lines}")


@pytest.mark.parametrize(("sampler", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_sampler_whose_package_is_not_installed_is_refused_with_its_name(load, sampler, package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"\[study\] sampler: Sampler '{sampler}' needs the package {package}, "):
        load(f"{TASK}[study]\nsampler = '{sampler}'")


def test_none_and_0_switch_a_key_off_and_are_written_so_that_they_can_be_read(load):
    config = load(f"{TASK}[study]\npatience = 0\nmax_gap = 0\nweight_decay = 'none'")

    assert (config.study.patience, config.study.max_gap, config.study.weight_decay) == (None, 0.0, None)
    assert 'patience = "none"' in to_toml(config)
    assert load(to_toml(config)) == config
    assert load(TASK, environ={"LRRT_STUDY__PATIENCE": "none"}).study.patience is None


def test_of_two_trials_two_are_trained_again_where_nothing_else_is_said(load):
    config = load(f"{TASK}[study]\nnum_trials = 2")

    assert config.study.top_retrained == 2
    assert load(to_toml(config)) == config


@pytest.mark.parametrize("value", ["[1e-3]", "[0, 1]", "['a', 'b']", "[1e-3, inf]", "0.1", "[false, true]"])
def test_a_fallback_range_is_two_ascending_positive_numbers(load, value):
    with pytest.raises(ConfigError, match=r"line 5: \[study\] fallback_range: .*must (be two numbers|hold)"):
        load(f"{TASK}[study]\nfallback_range = {value}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("task.build_model = 'a:b'\ntask.load_data = 'a:c'\nstudy.seed = -1", "line 3: "),
        ("task = {build_model = 'a:b', load_data = 'a:c'}\n\n# a comment\nstudy = {seed = -1}", "line 4: "),
        (f"{TASK}['study']\n'seed' = -1", "line 5: "),
        (f"{TASK}[study]\r\nstorage = '''\r\nseed = -2\r\n'''\r\nseed = -1", "line 8: "),
    ],
)
def test_a_line_is_found_however_the_toml_is_written(load, text, place):
    with pytest.raises(ConfigError) as caught:  # the place is looked for below
        load(text)

    assert f"{place}[study] seed: must be >= 0" in str(caught.value)


def test_the_command_line_stands_over_the_environment_over_the_file(load):
    text = f"{TASK}[study]\nseed = 1\nepochs = 1\nnum_trials = 1"
    environ = {"LRRT_STUDY__SEED": "2", "LRRT_STUDY__EPOCHS": "2", "LRRT_STUDY__SAMPLER": "random"}

    study = load(text, {"study.seed": 3, "study.num_trials": None}, environ).study

    assert (study.seed, study.epochs, study.num_trials, study.sampler) == (3, 2, 1, "random")


def test_the_storage_comes_from_its_variable_where_that_is_not_empty(load):
    text = f'{TASK}[study]\nstorage = "sqlite:///a.db"'

    assert load(text, environ={"LRRT_STORAGE": "postgresql://host/b"}).study.storage == "postgresql://host/b"
    assert load(text, environ={"LRRT_STORAGE": ""}).study.storage == "sqlite:///a.db"


def test_a_mistake_names_the_variable_or_the_command_line_that_it_came_from(load):
    with pytest.raises(
        ConfigError, match=r"(?s)command line: \[study\] num_trials: must be >= 1.*LRRT_NO__KEY: \[no\]"
    ) as e:
        load(TASK, {"study.num_trials": 0}, {"LRRT_NO__KEY": "1"})

    assert "2 mistakes" in str(e.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql//me:SECRET@host/x",
        "postgresql:/me:SECRET@host/x",
        "me:SECRET@host/x",
        "postgresql://me:SEC RET@host/x?password=SECRET",
        "postgresql://me:top@SECRET@host/x",
        "postgresql://me:top@SECRET:@host/x",
        "postgresql://me:top@SECRET@host:5432/x",
        "postgresql://me:top@/SECRET@host/x",
        "postgresql://me:top@a?SECRET@host/x",
        "postgresql://me:top@a:1?SECRET@host/x",
        "postgresql://me:SECRET/x",
        "postgresql://me:SECRET",
        "POSTGRESQL://me:SECRET@host/x",
    ],
)
def test_a_storage_url_that_cannot_be_read_is_refused_without_any_part_of_its_password(load, url):
    with pytest.raises(ConfigError, match=r"must be .* a database URL .*, got '.*'\..*%40 for @") as caught:
        load(TASK, environ={"LRRT_STORAGE": url})

    assert "SEC" not in str(caught.value)
    assert "RET" not in str(caught.value)
    assert "SECRET" not in without_password(url)


@pytest.mark.parametrize(
    "line",
    [
        "[study]\nstorge = 'postgresql://me:SECRET@host/x'",
        "[study]\nseed = 'postgresql://me:top@SECRET@host/x'",
        "[study]\nengine = 'postgresql://me:SECRET@host/x'",
        "[study]\nschedules = ['postgresql://me:SECRET@host/x']",
        "[study]\nepochs = ['postgresql://me:SECRET@host/x']",
        '[range_test]\nmonitor = "me:SECRET@host\\n/x"',
        "study = 'postgresql://me:SECRET@host/x'",
    ],
)
def test_a_storage_url_under_a_wrong_key_is_told_without_its_password(load, line):
    with pytest.raises(ConfigError, match=r"has .* mistake") as caught:
        load(f"{line}\n{TASK}")

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[task\n", r"must be TOML, but it cannot be read: .*line 1"),
        (b"seed = 1\nseed = 2\n", r"must be TOML, but it cannot be read: Cannot overwrite a value \(at line 2"),
        (b"a = " + b"[" * 5000, "must be TOML, but it cannot be read"),
        (b"seed = " + b"9" * 5000, "must be TOML, but it cannot be read"),
        (
            b"[task]\nload_data = my_task:load_data\n",
            r"Invalid value \(at line 2, column 13\)\. Text must stand in quot",
        ),
        (b'name = "\xff"', "must be UTF-8, but byte 8 is not"),
        (b"", r"\[task\]: this table is missing"),
        (b"study = 3", r"line 1: \[study\]: must be a table"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, content, message):
    path = tmp_path / "search.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_task_given_in_place_of_its_config_is_refused_with_what_a_config_is(tmp_path):
    (tmp_path / "my_task.py").write_text("import keras\n")

    with pytest.raises(ConfigError, match=r"column 8\)\. A config names the functions of a task"):
        load_config(tmp_path / "my_task.py")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must exist\. `lrrt init > "):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="must be a file, got the directory"):
        load_config(tmp_path)


def test_a_file_that_is_no_config_is_not_read_for_ever(tmp_path):
    (tmp_path / "data.csv").write_bytes(b"1,2\n" * 2**19)
    for path in ("/dev/zero", tmp_path / "data.csv"):
        with pytest.raises(ConfigError, match=r"cannot be read: it is longer than 1 MiB\.$"):
            load_config(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "search.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TASK.encode())

    assert load_config(path, environ={}).task.load_data == "my_task:load_data"


def test_the_template_is_a_config_with_every_key_and_the_defaults(load):
    config = load(template())

    written = tomllib.loads(template())
    assert {table: set(keys) for table, keys in written.items()} == {
        name: set(type(table).model_fields) for name, table in config
    }
    assert config.range_test == RangeTestConfig()
    assert config.study == StudyConfig()
    assert max(map(len, template().splitlines())) <= 100


def test_a_resolved_config_reads_back_as_itself(load):
    config = load(
        TASK + "[range_test]\nstart_lr = 1e-9\nend_lr = 3\n[study]\nstorage = 'sqlite:///a \"b\"é.db'".replace(" ", "")
    )

    assert load(to_toml(config)) == config
    assert load(to_toml(builtin_config(environ={}))) == builtin_config(environ={})


def test_a_password_is_neither_written_nor_shown():
    url = "postgresql+psycopg://me:s:e%40c%2Fret@host:5432/study?sslmode=require&sslpassword=hidden"
    config = StageConfig(task=TaskConfig(build_model="a:b", load_data="a:c"), study=StudyConfig(storage=url))

    assert 'storage = "postgresql+psycopg://me@host:5432/study?sslmode=require"' in to_toml(config)
    assert "e%40c" not in repr(config)
    assert "hidden" not in repr(config)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me@host:5432/study", None),
        ("postgresql://me@host/a?application_name=me@home", None),
        ("postgresql://me@host/a?options=-csearch_path=x", None),
        ("postgresql:///a?host=/run/pg", None),
        ("postgresql://host", None),
        ("sqlite:////home/me@work/a%20b.db", None),
        ("sqlite:///study.db?timeout=9", None),
        ("postgresql://me:x@host/a?application_name=me@home", "postgresql://me@host/a?application_name=me%40home"),
        ("postgresql://me:x@host/a?b=c:d@e&sslmode=require", "postgresql://me@host/a?b=c%3Ad%40e&sslmode=require"),
        ("postgresql://host/a?password=x&sslmode=require", "postgresql://host/a?sslmode=require"),
        ("postgresql://me:p?x/y@[::1]:5432/a", "postgresql://me@[::1]:5432/a"),
        ("postgresql://m%40e:x@host/a", "postgresql://m%40e@host/a"),
        ("mysql+pymysql://me:x@host/a?passwd=x", "mysql+pymysql://me@host/a"),
        ("postgresql://:x@host/a", "postgresql://host/a"),
    ],
)
def test_a_url_loses_its_password_and_nothing_else(url, shown):
    assert is_storage_url(url)
    assert without_password(url) == (shown or url)


def test_the_built_in_example_is_small_and_can_be_overridden():
    config = builtin_config({"study.num_trials": 2}, environ={})

    assert config.range_test.optimizers == ("sgd", "adam")
    assert (config.study.num_trials, config.study.epochs) == (2, 12)
    assert builtin_config(environ={}).study.num_trials == 12


def test_a_config_cannot_be_changed(load):
    with pytest.raises(ValueError, match="frozen"):
        load(TASK).study.seed = 2


def test_the_optimizers_are_those_that_a_range_test_takes_by_name():
    import keras

    classes = {name.lower() for name, value in vars(keras.optimizers).items() if isinstance(value, type)}

    def is_taken(name):
        try:
            as_optimizers(name)
        except ValueError:
            return False
        return True

    assert set(OPTIMIZERS) == set(filter(is_taken, classes))


def test_the_optimizers_without_momentum_are_those_in_which_a_trial_finds_none():
    def has_momentum(name):
        try:
            momentum_name(as_optimizers(name)[name])
        except ValueError:
            return False
        return True

    assert {name for name in OPTIMIZERS if not has_momentum(name)} == set(WITHOUT_MOMENTUM)


def test_init_writes_a_config_that_validate_accepts(lrrt, tmp_path):
    code, written, told = lrrt("init")
    (tmp_path / "search.toml").write_text(written, encoding="utf-8")

    assert (code, told) == (0, "")
    code, shown, told = lrrt("validate", "search.toml")
    assert (code, shown) == (0, "")
    assert told.startswith("search.toml is a valid config.\npipeline.digits_example:build_model builds a ")


def test_a_bad_config_ends_with_2_and_writes_nothing(lrrt, tmp_path):
    (tmp_path / "search.toml").write_text("[study]\nseeds = 1", encoding="utf-8")

    for command in ("validate", "run", "range"):
        code, shown, told = lrrt(command, "search.toml")
        assert (code, shown) == (2, "")
        assert "line 2: [study] seeds: there is no such key. Did you mean 'seed'?" in told
    assert [path.name for path in tmp_path.iterdir()] == ["search.toml"]


def test_schema_prints_json_that_names_every_key(lrrt):
    schema = json.loads(lrrt("schema")[1])

    assert set(schema["$defs"]["StudyConfig"]["properties"]) == set(StudyConfig.model_fields)
    assert schema["$defs"]["RangeTestConfig"]["properties"]["optimizers"]["items"]["enum"] == list(OPTIMIZERS)


def test_version_and_help_name_the_command(lrrt):
    assert lrrt("--version")[1].startswith("lrrt ")
    for command in ((), ("run",), ("range",), ("init",), ("validate",), ("schema",)):
        code, shown, _ = lrrt(*command, "--help")
        assert code == 0
        assert "Example: lrrt" in shown


def test_misuse_of_the_command_ends_with_2(lrrt):
    for arguments in (("bogus",), ("run", "--trials", "many"), ("run", "--app-dir", "none"), ("validate",)):
        assert lrrt(*arguments)[0] == 2
