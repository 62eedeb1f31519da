"""The drift report as Evidently draws it. Distances and verdict are ours, and Evidently shows them: one truth, two views.

Evidently is slow to import (seconds): call this from inside a job only. Of its private parts this uses `evidently.legacy`,
since nothing public adds a drift method, and a few texts of its page; `tests/monitoring/test_evidently_shape.py` holds both.
"""

from __future__ import annotations

import html
import os
import re
import threading
import warnings
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from monitoring.assessment.outcomes import label_values, prediction_field, prediction_values
from monitoring.assessment.rows import ScoredRows
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.model.signature import Kind, Signature
from noria.core.stats.fairness import MISSING_GROUP
from noria.core.use_case import DriftPolicy, UseCase
from noria.io.atomic import SHARED, write_atomically

_METHOD = "noria_jensen_shannon"
_MOST_ROWS = 20_000
"""More rows change no picture; a sample spread evenly over time is drawn."""
_WIDTH = 1_000
"""Pixels that Evidently needs: what is narrower it cuts off, and a phone can zoom out."""
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9A-Za-z])")
"""Standing alone: Evidently's scripts hold longer runs of such letters, which are tables of colours."""
_HEAD, _BODY, _VIEWPORT = ANCHORS = ("<head>", "<body>", "width=device-width, initial-scale=1.0")
"""Texts of Evidently's page that are replaced; each stands there once."""
_REGISTRATION = threading.Lock()


def write_report(  # noqa: PLR0917 - where to, of what, and the two sides that are compared
    path: Path,
    use_case: UseCase,
    assessment: DriftReport,
    signature: Signature,
    reference: ScoredRows,
    current: ScoredRows,
    *,
    title: str,
) -> None:
    """Write the HTML report; the same rows give the same bytes, and a reader never sees half a file.

    Args:
        path: where it goes; its folder is made.
        use_case: has the task, and when a feature, and the data, count as drifted.
        assessment: has the distances and the verdict.
        signature: features and kinds.
        reference: what the version was evaluated on.
        current: the interval's rows.
        title: stands on top.
    """
    prediction = _prediction_name(use_case)
    labelled = assessment.label is not None
    picture = _Picture(
        before=_thin(_frame(use_case, signature, reference, prediction, labelled=labelled)),
        now=_thin(_frame(use_case, signature, current, prediction, labelled=labelled)),
        distances=_distances(assessment, prediction),
        outcomes=frozenset({prediction, use_case.label.column}),
    )
    page = _render(picture, use_case.monitoring.drift)
    write_atomically(path, _finish(_settle_ids(page, picture.texts), assessment, title), mode=SHARED)


def _prediction_name(use_case: UseCase) -> str:
    """Name of the column of predictions; no feature can have such a name."""
    number = use_case.task.is_regression
    return f"{use_case.label.column if number else prediction_field(use_case).name} (prediction)"


@dataclass(frozen=True)
class _Picture:
    """Data of the drawing: two frames of the same columns, and how far each column has moved."""

    before: pd.DataFrame
    now: pd.DataFrame
    distances: Mapping[str, float]
    outcomes: frozenset[str]
    """The columns that are no features: predictions and labels. They do not count towards the share of drifted features."""

    @cached_property
    def columns(self) -> list[str]:
        """Columns that can be drawn, since both frames have values; the farthest moved first."""
        names = [str(name) for name in self.before if self.before[name].notna().any() and self.now[name].notna().any()]
        return sorted(names, key=lambda name: (-self.distances[name], name))

    @cached_property
    def numeric(self) -> list[str]:
        """Those of them that are numbers."""
        return [name for name in self.columns if pd.api.types.is_numeric_dtype(self.before[name])]

    @property
    def texts(self) -> frozenset[str]:
        """All texts in the data."""
        names = (name for name in self.columns if name not in self.numeric)
        return frozenset(str(value) for name in names for value in {*self.before[name], *self.now[name]})


def _distances(assessment: DriftReport, prediction: str) -> dict[str, float]:
    distances = {drift.name: drift.distance for drift in assessment.features}
    if assessment.prediction:
        distances[prediction] = assessment.prediction.distance
    if assessment.label:
        distances[assessment.label.name] = assessment.label.distance
    return distances


def _frame(use_case: UseCase, signature: Signature, rows: ScoredRows, prediction: str, *, labelled: bool) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for field in signature.fields:
        values = rows.columns[field.name]
        if field.kind is Kind.NUMERIC:
            columns[field.name] = np.asarray(values, dtype=np.float64)
        else:
            columns[field.name] = [MISSING_GROUP if value is None else str(value) for value in values]
    columns[prediction] = prediction_values(use_case, rows)
    if labelled:
        labels = pd.Series(label_values(use_case, rows))
        columns[use_case.label.column] = labels.where(rows.known)  # missing where none has arrived
    return pd.DataFrame(columns)


def _thin(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) <= _MOST_ROWS:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, _MOST_ROWS).astype(int)].reset_index(drop=True)


def _render(picture: _Picture, policy: DriftPolicy) -> str:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own, and those of what it imports
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=picture.numeric,
            categorical_columns=[name for name in picture.columns if name not in picture.numeric],
        )
        now, before = (Dataset.from_pandas(frame[picture.columns], definition) for frame in (picture.now, picture.before))
        features = [name for name in picture.columns if name not in picture.outcomes]
        outcomes = [name for name in picture.columns if name in picture.outcomes]
        limit, share = policy.effect_size, policy.share_of_features
        metrics = [
            DataDriftPreset(columns=features, method=_METHOD, threshold=limit, drift_share=share),
            *(ValueDrift(column=name, method=_METHOD, threshold=limit) for name in outcomes),
        ]
        with _REGISTRATION:  # Evidently keeps methods in a global table, and ours closes over this picture's distances
            _register(picture.distances, limit)
            return str(Report(metrics).run(now, before).get_html_str(as_iframe=False))


def _register(distances: Mapping[str, float], limit: float) -> None:
    """Teach Evidently our distance by looking it up: Evidently drops missing values first, and ours counts them."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def look_up(reference: pd.Series[Any], _current: object, _kind: object, threshold: float) -> tuple[float, bool]:
        distance = distances[str(reference.name)]
        return distance, distance >= threshold

    kinds = [ColumnType.Categorical, ColumnType.Numerical]
    register_stattest(StatTest(_METHOD, "Jensen-Shannon distance, less chance", kinds, limit), look_up)


def _settle_ids(page: str, texts: AbstractSet[str]) -> str:
    """Number Evidently's random ids in their own form, and leave alone what looks like one and comes from the data."""
    numbers: dict[str, int] = {}

    def settle(found: re.Match[str]) -> str:
        name = found.group()
        if name in texts:
            return name
        settled = UUID(int=numbers.setdefault(name, len(numbers)))
        return str(settled) if "-" in name else settled.hex  # some of them are parts of JavaScript names

    return _UUID.sub(settle, page)


def _finish(page: str, assessment: DriftReport, title: str) -> str:
    """Say on top what this is."""
    heading = html.escape(title)
    facts = html.escape(
        f"{assessment.verdict.words.capitalize()}: {assessment.reason}. Version {assessment.version}, "
        f"{assessment.rows:,} rows against {assessment.reference_rows:,} of its own evaluation."
    )
    style = (
        "font:16px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;padding:20px 24px;border-bottom:1px solid #d8dfe6"
    )
    banner = (
        f'<div style="{style}"><h1 style="font-size:22px;margin:0 0 4px">{heading}</h1><p style="margin:0">{facts}</p></div>'
    )
    body = f'<body style="min-width:{_WIDTH}px">{banner}'
    page = page.replace(_BODY, body, 1).replace(_HEAD, f"{_HEAD}<title>{heading}</title>", 1)
    return page.replace(_VIEWPORT, f"width={_WIDTH}", 1)
