"""Knows the JSON Schemas of the files that other programs read: the config, summary.json and bounds.json."""

from typing import Any, Literal

from pipeline.config.tables import StageConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema_of(file: Literal["config", "summary", "bounds"]) -> Schema:
    """Return the JSON Schema of a file."""
    made = {"config": StageConfig.model_json_schema, "summary": _summary, "bounds": _bounds}
    return {"$schema": DIALECT, **made[file]()}


def _object(required: Schema, optional: Schema | None = None, *, is_open: bool = False) -> Schema:
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": is_open}


def _by_name(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
RATE: Schema = {"type": "number", "exclusiveMinimum": 0}
VERSION: Schema = {"const": 1}
RAMP = _object({"start_lr": RATE, "end_lr": RATE, "num_steps": COUNT, "spacing": {"enum": ["exponential", "linear"]}})


def _trial() -> Schema:
    losses = _list(_or_null(NUMBER))
    return {
        "number": COUNT,
        "state": TEXT,
        "parameters": {
            "type": "object",
            "properties": {"optimizer": TEXT, "schedule": TEXT, "batch_size": {"type": "integer"}},
            "required": ["optimizer", "schedule", "batch_size"],
        },
        "score": _or_null(NUMBER),
        "best_epoch": _or_null({"type": "integer", "minimum": 1}),
        "train_losses": losses,
        "val_losses": losses,
        "num_steps": COUNT,
        "seconds": NUMBER,
        "error": TEXT,
        "planned_epochs": COUNT,
    }


def _summary() -> Schema:
    overfitting = _object(
        {
            "verdict": TEXT,
            "reason": TEXT,
            "num_epochs": COUNT,
            "best_epoch": _or_null(COUNT),
            "best_val_loss": _or_null(NUMBER),
            "generalisation_gap": _or_null(NUMBER),
            "rise": _or_null(NUMBER),
            "noise": _or_null(NUMBER),
        }
    )
    edge = _object(
        {"optimizer": TEXT, "edge": {"enum": ["low", "high"]}, "lr": RATE, "low": RATE, "high": RATE, "reason": TEXT}
    )
    best = _object(
        _trial()
        | {
            "mean_score": _or_null(NUMBER),
            "spread": _or_null(NUMBER),
            "at_edge": _or_null(edge),
            "test": _or_null(_by_name(_or_null(NUMBER))),
            "model_file": _or_null(TEXT),
            "overfitting": overfitting,
            "overfitting_sentence": TEXT,
        },
        is_open=True,
    )
    bounds = _object(
        {
            "low": RATE,
            "high": RATE,
            "suggested": _or_null(RATE),
            "verdict": TEXT,
            "reason": TEXT,
            "is_fallback": {"type": "boolean"},
            "width_decades": NUMBER,
            "original_width_decades": NUMBER,
            "num_trials": COUNT,
            "num_diverged": COUNT,
        }
    )
    cost = _object(
        {
            "range_test_steps": COUNT,
            "range_test_seconds": NUMBER,
            "trial_steps": COUNT,
            "trial_seconds": NUMBER,
            "epochs": COUNT,
            "epochs_saved": _object({"completed": COUNT, "pruned": COUNT, "diverged": COUNT}),
            "retraining": _object({"trainings": COUNT, "steps": COUNT, "epochs": COUNT, "seconds": NUMBER}),
        }
    )
    scores = {"mean_score": _or_null(NUMBER), "spread": _or_null(NUMBER)}
    trainings = _object(scores | {"scores": _list(_or_null(NUMBER))})
    retrained = {"number": COUNT, "score": NUMBER, **scores, "seeds": trainings, "folds": trainings}
    narrowing = {"original_decades": NUMBER, "searched_decades": NUMBER, "num_diverged": COUNT}
    return {
        "title": "summary.json: what a stage of lrrt found",
        **_object(
            {
                "schema_version": VERSION,
                "status": {"const": "done"},
                "versions": _by_name(TEXT),
                "best": best,
                "retrained": _list(_object(retrained)),
                "bounds": _by_name(bounds),
                "widened": _list(edge),
                "narrowing": _object(narrowing),
                "num_trials": {"type": "object", "additionalProperties": COUNT, "required": ["ended"]},
                "cost": cost,
            }
        ),
    }


def _bounds() -> Schema:
    rates = {name: _or_null(RATE) for name in ("low", "high", "suggested", "lowest", "steepest", "diverged")}
    bounds = _object(rates | {"verdict": TEXT, "reason": TEXT, "decades": _or_null(NUMBER)}, is_open=True)
    curve = _object(
        {"lrs": _list(RATE), "losses": _list(_or_null(NUMBER)), "stop": TEXT, "seed": _or_null({"type": "integer"})},
        is_open=True,
    )
    case = _object({"optimizer": TEXT, "kind": TEXT, "batch_size": COUNT, "hyperparameters": {"type": "object"}})
    return {
        "title": "bounds.json: what range tests found",
        **_object(
            {
                "schema_version": VERSION,
                "ramp": RAMP,
                "seed": {"type": "integer"},
                "versions": _by_name(TEXT),
                "cases": _by_name(case),
                "bounds": _by_name(bounds),
                "curves": _by_name(_list(curve)),
            }
        ),
    }
