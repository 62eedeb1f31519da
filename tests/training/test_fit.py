import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from noria.core.bundle import MANIFEST, MODEL, REFERENCE, read_golden
from noria.core.errors import BundleError
from noria.core.evaluation import EvaluationReport
from noria.core.gates import check_gates
from noria.core.metrics import roc_auc
from noria.inference.predictor import baseline_predictor, load_predictor
from noria.training import fit as fit_module
from noria.training.candidates import CANDIDATES
from noria.training.dataset import last_slice
from noria.training.export import check_parity, with_gaps
from noria.training.fit import fit_bundle
from noria.training.gradient_boosting import GradientBoosting
from noria.training.search import BestTrial
from tests.training.conftest import AS_OF

TAUGHT = {"linear": {}, "gradient_boosting": {"trees_rounds": 80}}


def fit(use_case, snapshot, folder, candidate, monkeypatch, champion=None):
    params = {**CANDIDATES[candidate].defaults, **TAUGHT[candidate]}
    best = BestTrial(candidate, params, number=0, value=0.5, study="parcels/test", trials=1)
    monkeypatch.setattr(fit_module, "best_trial", lambda *_arguments: best)
    rival = champion or ("0", baseline_predictor(use_case))
    return fit_bundle(use_case, snapshot, champion=rival, storage_url="", folder=folder)


@pytest.fixture(params=["linear", "gradient_boosting"])
def fitted(request, use_case, snapshot, tmp_path, monkeypatch):
    return fit(use_case, snapshot, tmp_path / "bundle", request.param, monkeypatch)


def test_the_best_trial_of_a_real_search_becomes_a_bundle_that_loads(use_case, snapshot, searched_url, tmp_path):
    rule = baseline_predictor(use_case)
    fitted = fit_bundle(use_case, snapshot, champion=("0", rule), storage_url=searched_url, folder=tmp_path / "a")
    manifest = load_predictor(fitted.folder, fitted.digest).manifest
    assert manifest.provenance is not None
    assert (manifest.provenance.as_of, manifest.provenance.snapshot) == (AS_OF, snapshot.digest)
    assert manifest.metrics == fitted.report.metrics
    assert fitted.params["candidate"] == manifest.candidate
    assert fitted.params["trials"] == "6"


def test_the_same_training_gives_the_same_bytes(use_case, snapshot, tmp_path, monkeypatch, fitted):
    candidate = json.loads((fitted.folder / MANIFEST).read_bytes())["candidate"]
    again = fit(use_case, snapshot, tmp_path / "again", candidate, monkeypatch)
    assert again.digest == fitted.digest
    assert (again.folder / MODEL).read_bytes() == (fitted.folder / MODEL).read_bytes()


def test_the_bundle_scores_what_the_estimator_scores(use_case, rows, fitted):
    predictor = load_predictor(fitted.folder, fitted.digest)
    assert fitted.report.parity <= 1e-5
    golden = read_golden(fitted.folder)
    assert len(golden) == 21
    assert all(value is None for value in golden[-1].instance.values())
    some = rows.take(np.arange(0, len(rows), 501))
    by_row = predictor.score_rows([some.row(index) for index in range(len(some))])
    np.testing.assert_allclose(by_row, predictor.score_columns(some.columns), atol=1e-6)


def test_it_is_judged_on_the_last_slice_against_the_rule(use_case, rows, fitted):
    report = fitted.report
    fold = last_slice(rows, use_case.training.test_window, use_case.label.available_after)
    assert (report.rows, report.positives) == (len(fold.validation), int(fold.validation.labels.sum()))
    assert report.metrics["roc_auc"] > 0.65
    baseline, champion = report.rival("baseline"), report.rival("champion")
    assert baseline is not None
    assert champion is not None
    assert baseline.metrics == champion.metrics
    assert report.metrics["value"] > baseline.metrics["value"]
    assert "shipped model is the same recipe" in report.note
    assert all(gate.passed for gate in check_gates(use_case.gates, report))


def test_probabilities_mean_what_they_say(fitted):
    reference = pq.read_table(fitted.folder / REFERENCE)
    assert reference["score"].to_numpy().mean() == pytest.approx(np.mean(reference["label"].to_pylist()), abs=0.05)
    assert fitted.report.threshold == pytest.approx(1 / 9)  # (0 - -1) / ((5 - -3) + (0 - -1))


def test_the_reference_set_is_what_was_judged(use_case, fitted):
    reference = pq.read_table(fitted.folder / REFERENCE)
    assert reference.column_names == ["weight", "hour", "depot", "street", "event_time", "score", "label"]
    labels = np.array(reference["label"].to_pylist())
    assert roc_auc(labels, reference["score"].to_numpy()) == pytest.approx(fitted.report.metrics["roc_auc"])
    assert reference["weight"].null_count > 0


def test_segments_and_months_are_judged_where_they_have_rows(fitted):
    parts = {(part.segment, part.value): part for part in fitted.report.segments}
    assert {value for segment, value in parts if segment == "depot"} == {"north", "south", "harbour", "(missing)"}
    assert not parts["depot", "(missing)"].judged
    assert parts["depot", "north"].judged
    assert {segment for segment, _ in parts} == {"depot", "event_month"}
    assert sum(part.rows for part in fitted.report.segments if part.segment == "depot") == fitted.report.rows


def test_the_report_survives_its_file(fitted):
    assert EvaluationReport.model_validate_json((fitted.folder / "evaluation.json").read_bytes()) == fitted.report


def test_the_signature_says_what_training_saw(rows, fitted):
    manifest = load_predictor(fitted.folder, fitted.digest).manifest
    weight, hour, depot, street = manifest.signature.fields
    assert (weight.minimum, weight.maximum) == (np.nanmin(rows.columns["weight"]), np.nanmax(rows.columns["weight"]))
    assert (weight.unit, hour.required) == ("kg", True)
    assert isinstance(hour.example, float)
    assert hour.example.is_integer()
    assert depot.categories == ("north", "south", "harbour")
    assert len(street.categories) == 200
    assert street.example == street.categories[0]


def test_a_model_is_a_rival_of_the_next_one(use_case, snapshot, tmp_path, monkeypatch):
    first = fit(use_case, snapshot, tmp_path / "a", "linear", monkeypatch)
    champion = ("1", load_predictor(first.folder))
    second = fit(use_case, snapshot, tmp_path / "b", "gradient_boosting", monkeypatch, champion)
    rival = second.report.rival("champion")
    assert rival is not None
    assert rival.version == "1"
    assert rival.metrics["roc_auc"] > 0.65


def test_a_graph_that_gives_other_numbers_is_refused(use_case, snapshot, tmp_path, monkeypatch):
    other, rows = _small_model(use_case, snapshot, {**GradientBoosting().defaults, "trees_rounds": 5})
    graph = other.to_onnx()
    assert check_parity(other, _manifest_of(other, use_case), graph, rows, 7) <= 1e-5
    monkeypatch.setattr(GradientBoosting, "to_onnx", lambda *_arguments: graph)
    with pytest.raises(BundleError, match=r"ONNX graph of gradient_boosting differs by .* nothing is registered"):
        fit(use_case, snapshot, tmp_path / "bundle", "gradient_boosting", monkeypatch)
    assert not (tmp_path / "bundle" / MANIFEST).exists()


def _small_model(use_case, snapshot, params):
    from noria.training.candidate import Effort
    from noria.training.dataset import read_snapshot
    from noria.training.recipe import Recipe

    rows = read_snapshot(use_case, snapshot)
    return Recipe(GradientBoosting(), params, use_case.features, Effort(7, 1)).fit(rows), rows


def _manifest_of(model, use_case):
    from noria.core.bundle import Manifest, declared_signature

    return Manifest(
        use_case="parcels",
        kind="onnx",
        candidate="gradient_boosting",
        signature=declared_signature(use_case),
        threshold=0.5,
        encoder=model.encoder,
    )


def test_parity_is_also_held_on_missing_and_unseen_values(rows):
    gaps = with_gaps(rows, 7)
    assert len(gaps) == len(rows)
    assert np.isnan(gaps.columns["hour"]).mean() == pytest.approx(0.1, abs=0.02)
    unseen = sum(value is not None and value.startswith("(") for value in gaps.columns["depot"]) / len(rows)
    assert math.isclose(unseen, 0.09, abs_tol=0.02)
