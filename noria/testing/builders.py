"""Valid things to start a test from; a test changes only what it is about."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from noria.core.use_case import UseCase
from noria.io.catalog import load_use_case

_PLAIN: dict[str, Any] = {
    "name": "parcels",
    "title": "Warn customers of a late parcel",
    "owner": "logistics@example.com",
    "task": "binary_classification",
    "entity": "parcel_id",
    "event_time": "promised_at",
    "known_before": "2h",
    "label": {"model": "lbl_parcels", "column": "late", "available_after": "1d"},
    "features": {
        "model": "ftr_parcels",
        "lookback": "7d",
        "numeric": {"weight": {"unit": "kg", "range": [0, 70]}, "hour": {"required": True}},
        "categorical": ["depot"],
    },
    "sources": [
        {"name": "parcels", "kind": "files", "path": "data/*.csv", "event_time": "promised_at", "key": ["parcel_id"]}
    ],
    "business": {
        "decision": "send a warning",
        "currency": "EUR",
        "value": {"true_positive": 5, "false_positive": -1, "false_negative": -3, "true_negative": 0},
        "baseline": "hour >= 18",
    },
    "schedule": {"data": "@daily", "train": "0 6 * * 1", "start": "2024-01-01"},
    "segments": ["depot"],
    "gates": [{"metric": "roc_auc", "at_least": 0.6}],
    "monitoring": {"email": ["logistics@example.com"]},
}

_CLASSES = ("on_time", "late", "lost")
_OF_TASK: dict[str, dict[str, Any]] = {
    "binary_classification": {},
    "multiclass": {
        "title": "Say what will become of a parcel",
        "label": {"model": "lbl_parcels", "column": "outcome", "classes": list(_CLASSES), "available_after": "1d"},
        "business": {
            "decision": "prepare for it",
            "currency": "EUR",
            "value": {
                decided: {actual: 1.0 if decided == actual else -1.0 - (actual == "lost") for actual in _CLASSES}
                for decided in _CLASSES
            },
            "baseline": "'late' if hour >= 18 else 'on_time'",
        },
        "gates": [{"metric": "macro_f1", "at_least": 0.3}],
    },
    "regression": {
        "title": "Say how many minutes a parcel will be late",
        "label": {"model": "lbl_parcels", "column": "minutes_late", "available_after": "1d"},
        "business": {
            "decision": "tell the customer",
            "currency": "EUR",
            "value": {"over": -0.1, "under": -0.3},
            "baseline": "first(hour, 12) * 2",
        },
        "gates": [{"metric": "wape", "at_most": 0.9}],
    },
}


def use_case_fields(**changes: Any) -> dict[str, Any]:
    """The fields of a small valid use case, with some replaced; `task` also gives the label, money and rule of that task."""
    task = _OF_TASK.get(str(changes.get("task")), {})
    return {**copy.deepcopy(_PLAIN), **copy.deepcopy(task), **changes}


def write_use_case(root: Path, fields: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a use case's folder under `root` and return the path of its use_case.yaml."""
    fields = fields or use_case_fields(**changes)
    path = root / str(fields["name"]) / "use_case.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return path


def a_use_case(root: Path, **changes: Any) -> UseCase:
    """A valid use case, written to and read from a folder."""
    return load_use_case(write_use_case(root, **changes))
