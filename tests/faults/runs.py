"""A small stage in two folders, and what may happen to its files."""

import os

import pipeline

CONFIG = {
    "study.num_trials": 2,
    "study.epochs": 2,
    "study.top_retrained": 0,
    "range_test.optimizers": ["sgd"],
    "range_test.num_steps": 60,
    "range_test.repeats": 1,
}


def make_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "replaced": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "removed": lambda path: path.unlink(),
    "a folder": make_folder,
}


def config_of(**more):
    return pipeline.builtin_config(
        {**CONFIG, **{key.replace("__", "."): value for key, value in more.items()}}, environ={}
    )


def run(folder, events=None, **more):
    collect = (lambda event: None) if events is None else events.append
    return pipeline.run_stage(config_of(**more), out=folder / "out", state=folder / "state", on_event=collect)
