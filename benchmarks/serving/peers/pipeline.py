"""The model as most people would deploy it: a scikit-learn pipeline of encoders and XGBoost; for a peer's environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from xgboost import XGBClassifier


def make_pipeline(folder: Path) -> tuple[Pipeline, pd.DataFrame]:
    """The pipeline, and a few rows that it reads."""
    encoding = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    rows = frame(json.loads((folder / "rows.json").read_text(encoding="utf-8"))[1:101:2])
    one_hot = OneHotEncoder(
        categories=list(encoding["one_hot"].values()), handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    ordinal = OrdinalEncoder(
        categories=list(encoding["ordinal"].values()), handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    encoder = ColumnTransformer(
        [
            ("numbers", "passthrough", encoding["numbers"]),
            ("one_hot", one_hot, list(encoding["one_hot"])),
            ("ordinal", ordinal, list(encoding["ordinal"])),
        ],
        sparse_threshold=0,
    )
    trees = XGBClassifier(n_jobs=1)
    trees.load_model(folder / "booster.json")
    return Pipeline([("encoder", encoder.fit(rows)), ("trees", trees)]), rows


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as they came over HTTP, as the pipeline reads them: a missing number is NaN."""
    found = pd.DataFrame(rows)
    numbers = [name for name in found.columns if name.startswith("number_")]
    found[numbers] = found[numbers].astype(float)
    return found


def scores(pipeline: Pipeline, rows: list[dict[str, Any]]) -> list[float]:
    """Probabilities of yes."""
    found: list[float] = pipeline.predict_proba(frame(rows))[:, 1].tolist()
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    found = scores(make_pipeline(folder)[0], json.loads((folder / "rows.json").read_text(encoding="utf-8")))
    print(np.abs(np.array(found) - np.array(expected)).max())
