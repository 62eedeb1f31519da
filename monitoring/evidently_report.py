"""The drift report as Evidently draws it. Distances and verdict are ours, and Evidently shows them: one truth, two views.

Evidently is slow to import (seconds): call this from inside a job only.
"""

from __future__ import annotations

import html
import os
import re
import threading
import warnings
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monitoring.assessment import Assessment
from monitoring.rows import ScoredRows
from noria.core.drift import MISSING
from noria.core.signature import Kind, Signature
from noria.core.use_case import DriftPolicy

_METHOD = "noria_jensen_shannon"
_SCORE = "score (prediction)"
_MOST_ROWS = 50_000
"""More rows change no picture; a sample spread evenly over time is drawn."""
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_REGISTRATION = threading.Lock()


def write_report(
    path: Path,
    assessment: Assessment,
    signature: Signature,
    reference: ScoredRows,
    current: ScoredRows,
    *,
    title: str,
    policy: DriftPolicy,
) -> None:
    """Write the HTML report; the same rows give the same bytes, and a reader never sees half a file.

    Args:
        path: where it goes; its folder is made.
        assessment: has the distances and the verdict.
        signature: features and kinds.
        reference: what the version was evaluated on.
        current: the interval's rows.
        title: stands on top.
        policy: when a feature, and the data, count as drifted.
    """
    frames = _frame(signature, reference), _frame(signature, current)
    label = assessment.label.name if assessment.label else None
    for frame, rows in zip(frames, (reference, current), strict=True):
        if label:
            frame[label] = [
                "yes" if late else "no" if known else None
                for late, known in zip(rows.labels & rows.known, rows.known, strict=True)
            ]
    before, now = (_thin(frame) for frame in frames)
    columns = [name for name in before.columns if before[name].notna().any() and now[name].notna().any()]
    distances = {drift.name: drift.distance for drift in assessment.features}
    if assessment.prediction:
        distances[_SCORE] = assessment.prediction.distance
    if assessment.label:
        distances[assessment.label.name] = assessment.label.distance
    page = _render(before[columns], now[columns], distances, policy)
    texts = {str(value) for name in columns if before[name].dtype == object for value in {*before[name], *now[name]}}
    _replace_file(path, _finish(_settle_ids(page, texts), assessment, title))


def _frame(signature: Signature, rows: ScoredRows) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for field in signature.fields:
        values = rows.columns[field.name]
        if field.kind is Kind.NUMERIC:
            columns[field.name] = np.asarray(values, dtype=np.float64)
        else:
            columns[field.name] = [f"({MISSING})" if value is None else str(value) for value in values]
    return pd.DataFrame({**columns, _SCORE: rows.scores})


def _thin(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) <= _MOST_ROWS:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, _MOST_ROWS).astype(int)].reset_index(drop=True)


def _render(before: pd.DataFrame, now: pd.DataFrame, distances: Mapping[str, float], policy: DriftPolicy) -> str:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently and what it imports; ours are not raised in here
        from evidently import DataDefinition, Dataset, Report
        from evidently.legacy.calculations.stattests import StatTest, register_stattest
        from evidently.legacy.core import ColumnType
        from evidently.presets import DataDriftPreset

        def our_distance(reference: pd.Series[Any], _current: object, _kind: object, threshold: float) -> tuple[float, bool]:
            distance = distances[str(reference.name)]
            return distance, distance >= threshold

        test = StatTest(
            name=_METHOD,
            display_name="Jensen-Shannon distance, less chance",
            allowed_feature_types=[ColumnType.Categorical, ColumnType.Numerical],
            default_threshold=policy.effect_size,
        )
        numeric = [str(name) for name in before.columns if pd.api.types.is_numeric_dtype(before[name])]
        texts = [str(name) for name in before.columns if name not in numeric]
        definition = DataDefinition(numerical_columns=numeric, categorical_columns=texts)
        ranked = sorted((*numeric, *texts), key=lambda name: (-distances[name], name))
        preset = DataDriftPreset(
            columns=ranked, method=_METHOD, threshold=policy.effect_size, drift_share=policy.share_of_features
        )
        with _REGISTRATION:  # Evidently keeps methods in a global table, and this one closes over our distances
            register_stattest(test, our_distance)
            snapshot = Report([preset]).run(Dataset.from_pandas(now, definition), Dataset.from_pandas(before, definition))
            return str(snapshot.get_html_str(as_iframe=False))


def _settle_ids(page: str, texts: AbstractSet[str]) -> str:
    """Number Evidently's random ids, but leave alone what looks like one and comes from the data."""
    numbered: dict[str, str] = {}

    def settle(found: re.Match[str]) -> str:
        name = found.group()
        return name if name in texts else numbered.setdefault(name, f"noria-{len(numbered)}")

    return _UUID.sub(settle, page)


def _finish(page: str, assessment: Assessment, title: str) -> str:
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
    return page.replace("<body>", f"<body>{banner}", 1).replace("<head>", f"<head><title>{heading}</title>", 1)


def _replace_file(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.draft")
    draft.write_text(content, encoding="utf-8")
    draft.replace(path)
