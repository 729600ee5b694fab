"""The code that the report gives for loading the best model loads it, in a process that has imported nothing else."""

import importlib
import json
import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest

from pipeline.results.loading_code import code_for_weights, code_for_whole

TASK = """
import keras
L = keras.layers

@keras.saving.register_keras_serializable(package="mine")
class Registered(L.Layer):
    def call(self, x):
        return 2 * x

class Unregistered(L.Layer):
    def call(self, x):
        return 3 * x

def my_loss(y_true, y_pred):
    return keras.ops.mean((y_true - y_pred) ** 2)

def compiled(*layers, loss="mse", shape=(2,), dtype="float32"):
    model = keras.Sequential([L.Input(shape, dtype=dtype), *layers, L.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", loss)
    return model

def plain():
    return compiled()

def strings():
    return compiled(L.TextVectorization(10, output_mode="count", vocabulary=["a", "b"]), shape=(), dtype="string")

def registered():
    return compiled(Registered())

def unregistered():
    return compiled(Unregistered())

def own_loss():
    return compiled(loss=my_loss)

def with_lambda():
    return compiled(L.Lambda(lambda x: x + 1))

class Subclassed(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.dense = L.Dense(1)

    def call(self, x):
        return self.dense(x)

def subclassed():
    model = Subclassed()
    model.compile("sgd", "mse")
    return model

def with_units(hp):
    return compiled(L.Dense(hp.Int("units", 1, 9)))
"""
WHOLE = {
    "plain": 'import keras; model = keras.saving.load_model("plain.keras")',
    "strings": 'import keras; model = keras.saving.load_model("strings.keras")',
    "registered": 'import keras, kinds; model = keras.saving.load_model("registered.keras")',
    "unregistered": "custom_objects={",
    "own_loss": "custom_objects={",
    "with_lambda": "safe_mode=False",
}
WEIGHTS = {"subclassed": "model(x)  # a batch of your data", "with_units": "hp.values = {'units': 5}"}
PROGRAM = """
import json, sys
import numpy as np
inputs = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
answers = {}
for name, code in json.loads(sys.argv[1]).items():
    known = {"x": inputs}
    exec(code, known)
    import tensorflow as tf
    x = tf.constant(["a", "b b"]) if name == "strings" else inputs
    answers[name] = np.asarray(known["model"](x)).tolist()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of saved models, the code for each, and what each answers."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    (folder / "kinds.py").write_text(TASK)
    sys.path.insert(0, str(folder))
    kinds = importlib.import_module("kinds")
    inputs = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
    codes, answers = {}, {}
    for name in [*WHOLE, *WEIGHTS]:
        hp = keras_tuner.HyperParameters()
        hp.values = {"units": 5}
        model = kinds.with_units(hp) if name == "with_units" else getattr(kinds, name)()
        answers[name] = np.asarray(model(tf.constant(["a", "b b"]) if name == "strings" else inputs)).tolist()
        if name in WHOLE:
            model.save(folder / f"{name}.keras")
            codes[name] = code_for_whole(folder / f"{name}.keras", f"{name}.keras", f"kinds:{name}")
        else:
            file = folder / f"{name}.weights.h5"
            model.save_weights(file)
            values = {"units": 5} if name == "with_units" else {}
            codes[name] = code_for_weights(file, file.name, f"kinds:{name}", values)
    yield folder, codes, answers
    sys.path.remove(str(folder))


def test_the_code_says_what_each_model_needs(saved):
    _, codes, _ = saved

    assert {name: code for name, code in codes.items() if {**WHOLE, **WEIGHTS}[name] not in code} == {}
    assert "safe_mode" not in codes["unregistered"] + codes["own_loss"]


def test_trying_code_leaves_what_keras_knows_as_it_was(saved):
    assert keras.saving.get_registered_object("mine>Registered").__name__ == "Registered"


@pytest.mark.long
def test_the_code_loads_each_model_in_a_fresh_process(saved):
    folder, codes, answers = saved
    words = [sys.executable, "-c", PROGRAM, json.dumps(codes)]
    shown = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)

    assert shown.returncode == 0, shown.stderr[-3000:]
    loaded = json.loads(shown.stdout.splitlines()[-1])
    assert loaded.keys() == answers.keys()
    for name, answer in answers.items():
        np.testing.assert_allclose(loaded[name], answer, rtol=1e-6, err_msg=name)
