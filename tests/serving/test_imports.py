"""The serving process stays light: what it imports is what its image must hold."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = (
    "pandas",
    "sklearn",
    "sqlalchemy",
    "mlflow",
    "airflow",
    "dbt",
    "xgboost",
    "pyarrow",
    "evidently",
    "great_expectations",
)
PROGRAM = """
import json, sys
from pathlib import Path
from fastapi import FastAPI
import serving.__main__
from noria.settings import Settings
from serving.app import create_app
from noria.inference.predictor import load_predictor
app = create_app(Settings(home=Path(sys.argv[1]) / "home", use_cases=Path(sys.argv[1]) / "use_cases"))
predictor = load_predictor(Path(sys.argv[2]), sys.argv[3])
print(json.dumps([predictor.score_rows([{"hour": 19}]).tolist(), sorted(sys.modules)]))
"""


def test_no_heavy_library_is_imported_to_serve_an_onnx_model(tmp_path, use_cases, make_bundle):
    bundle = make_bundle(1)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(bundle.folder), bundle.digest]
    scores, modules = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 0 < scores[0] < 1
    assert "onnxruntime" in modules  # it did run
    assert [name for name in modules if name.split(".")[0] in HEAVY] == []


def test_importing_the_app_starts_nothing(tmp_path):
    program = "import threading, serving.__main__, serving.app; print(threading.active_count())"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout.strip() == "1"
