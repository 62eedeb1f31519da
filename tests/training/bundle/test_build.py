import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from noria.core.base.errors import BundleError
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.lifecycle.gates import check_gates
from noria.core.metrics.binary import roc_auc
from noria.core.model.bundle import MANIFEST, MODEL, REFERENCE, Manifest, declared_signature
from noria.core.use_case import Task
from noria.inference.predictor import OnnxPredictor, baseline_predictor, load_predictor
from noria.io.bundle_files import read_golden
from noria.testing.snapshots import START, made_up_columns, write_snapshot
from noria.training.bundle.build import fit_bundle
from noria.training.bundle.export import check_parity, with_gaps
from noria.training.data.dataset import read_snapshot, snapshot_schema
from noria.training.data.encoding import encode
from noria.training.data.splits import final_split, split_plan
from noria.training.data.target import target_of
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.blend import BlendMember
from noria.training.models.catalog import make_estimator
from noria.training.models.gradient_boosting import GradientBoosting
from noria.training.search.best_trial import BestTrial
from noria.training.search.selection import best_trial
from tests.training.conftest import AS_OF, parcels_of

pytestmark = pytest.mark.slow

FEATURES = ("weight", "hour", "depot", "street")
FITTED_PARAMS = {"gradient_boosting": {"trees_rounds": 80}, "random_forest": {"forest_slope": 1.5, "forest_leaves": 64}}
BLEND = {"linear": 0.25, "gradient_boosting": 0.75}


def params_of(use_case, candidate):
    return {**make_estimator(candidate, target_of(use_case)).defaults, **FITTED_PARAMS.get(candidate, {})}


def trial_of(use_case, candidate):
    facts = {"number": 0, "value": 0.5, "study": "parcels/test", "trials": 1}
    if candidate == "blend":
        members = tuple(BlendMember(name, params_of(use_case, name), weight) for name, weight in BLEND.items())
        return BestTrial(candidate, {}, **facts, members=members)
    return BestTrial(candidate, params_of(use_case, candidate), **facts)


def fit(use_case, snapshot, folder, candidate, champion=None):
    rival = champion or ("0", baseline_predictor(use_case))
    return fit_bundle(use_case, snapshot, trial_of(use_case, candidate), champion=rival, folder=folder)


@pytest.fixture(scope="module", params=["linear", "gradient_boosting"])
def fitted(request, use_case, snapshot, tmp_path_factory):
    return fit(use_case, snapshot, tmp_path_factory.mktemp("fitted") / "bundle", request.param)


def test_the_best_trial_of_a_real_search_becomes_a_bundle_that_loads(use_case, snapshot, searched_url, tmp_path):
    rule = baseline_predictor(use_case)
    best = best_trial(use_case, snapshot, searched_url)
    fitted = fit_bundle(use_case, snapshot, best, champion=("0", rule), folder=tmp_path / "a")
    manifest = load_predictor(fitted.folder, fitted.digest).manifest
    assert manifest.provenance is not None
    assert (manifest.provenance.as_of, manifest.provenance.snapshot) == (AS_OF, snapshot.digest)
    assert manifest.metrics == without_latency(fitted.report).metrics
    assert fitted.params["candidate"] == manifest.candidate
    assert 1 <= int(fitted.params["trials"]) <= 6  # those that were not given up
    assert fitted.params["xgboost"]


def test_the_same_training_gives_the_same_bytes(use_case, snapshot, tmp_path, fitted):
    candidate = json.loads((fitted.folder / MANIFEST).read_bytes())["candidate"]
    again = fit(use_case, snapshot, tmp_path / "again", candidate)
    assert again.digest == fitted.digest
    assert (again.folder / MODEL).read_bytes() == (fitted.folder / MODEL).read_bytes()


def test_bundle_scores_rows_and_columns_alike(use_case, rows, fitted):
    predictor = load_predictor(fitted.folder, fitted.digest)
    assert fitted.report.parity <= 1e-5
    golden = read_golden(fitted.folder)
    assert len(golden) == 21
    assert all(value is None for value in golden[-1].instance.values())
    some = rows.take(np.arange(0, len(rows), 501))
    by_row = predictor.score_rows([some.row(index) for index in range(len(some))])
    np.testing.assert_allclose(by_row, predictor.score_columns(some.columns), atol=1e-6)


def test_bundle_is_evaluated_on_last_slice_against_baseline(use_case, rows, fitted):
    report = fitted.report
    fold = final_split(split_plan(use_case), rows)
    assert (report.rows, report.positives) == (len(fold.validation), int(fold.validation.labels.sum()))
    assert report.metrics["roc_auc"] > 0.65
    baseline, champion = report.reference("baseline"), report.reference("champion")
    assert baseline is not None
    assert champion is not None
    assert baseline.metrics == champion.metrics
    assert report.metrics["value"] > baseline.metrics["value"]
    assert "shipped model is the same recipe" in report.note
    assert all(gate.passed for gate in check_gates(use_case.gates, report))


def test_scores_of_bundle_are_calibrated(fitted):
    reference = pq.read_table(fitted.folder / REFERENCE)
    assert reference["score"].to_numpy().mean() == pytest.approx(np.mean(reference["label"].to_pylist()), abs=0.05)
    assert fitted.report.threshold == pytest.approx(1 / 9)  # (0 - -1) / ((5 - -3) + (0 - -1))


def test_reference_set_has_the_evaluated_rows(use_case, fitted):
    reference = pq.read_table(fitted.folder / REFERENCE)
    assert reference.column_names == [*FEATURES, "event_time", "score", "decision", "label"]
    labels = np.array(reference["label"].to_pylist())
    assert roc_auc(labels, reference["score"].to_numpy()) == pytest.approx(fitted.report.metrics["roc_auc"])
    assert reference["weight"].null_count > 0
    assert set(reference["decision"].to_pylist()) == {"true", "false"}


def test_segments_and_months_with_enough_rows_have_metrics(fitted):
    parts = {(part.segment, part.value): part for part in fitted.report.segments}
    assert {value for segment, value in parts if segment == "depot"} == {"north", "south", "harbour", "(missing)"}
    assert not parts["depot", "(missing)"].judged
    assert parts["depot", "north"].judged
    assert {segment for segment, _ in parts} == {"depot", "event_month"}
    assert sum(part.rows for part in fitted.report.segments if part.segment == "depot") == fitted.report.rows


def test_the_report_survives_its_file(fitted):
    in_file = EvaluationReport.model_validate_json((fitted.folder / "evaluation.json").read_bytes())
    assert in_file == without_latency(fitted.report)


def without_latency(report):
    """What differs from run to run is not in the bundle."""
    assert report.metrics["latency_ms"] > 0
    return report.model_copy(update={"metrics": {k: v for k, v in report.metrics.items() if k != "latency_ms"}})


def test_size_mb_is_size_on_disk(fitted):
    on_disk = sum(path.stat().st_size for path in fitted.folder.iterdir() if path.name != "evaluation.json") / 1e6
    assert fitted.report.metrics["size_mb"] == pytest.approx(on_disk, rel=0.1)


def test_signature_has_ranges_and_categories_of_training(rows, fitted):
    manifest = load_predictor(fitted.folder, fitted.digest).manifest
    weight, hour, depot, street = manifest.signature.fields
    assert (weight.minimum, weight.maximum) == (np.nanmin(rows.columns["weight"]), np.nanmax(rows.columns["weight"]))
    assert (weight.unit, hour.required) == ("kg", True)
    assert isinstance(hour.example, float)
    assert hour.example.is_integer()
    assert depot.categories == ("north", "south", "harbour")
    assert len(street.categories) == 200
    assert street.example == street.categories[0]


def test_registered_model_is_reference_of_the_next(use_case, snapshot, tmp_path):
    older = load_predictor(fit(use_case, snapshot, tmp_path / "a", "linear").folder)
    provenance = older.manifest.provenance.model_copy(update={"as_of": START})
    older.manifest = older.manifest.model_copy(update={"provenance": provenance})
    second = fit(use_case, snapshot, tmp_path / "b", "gradient_boosting", ("1", older))
    rival = second.report.reference("champion")
    assert (rival.version, rival.candidate) == ("1", {})
    assert rival.metrics["roc_auc"] > 0.65


def test_a_graph_that_gives_other_numbers_is_refused(use_case, snapshot, rows, tmp_path, monkeypatch):
    pipeline = Pipeline(
        "gradient_boosting", {**GradientBoosting(target_of(use_case)).defaults, "trees_rounds": 5}, **_plain(use_case)
    )
    other = pipeline.fit(rows)
    graph = other.to_onnx()
    assert check_parity(other, _manifest_of(other, use_case), graph, rows, 7) <= 1e-5
    monkeypatch.setattr(FittedPipeline, "to_onnx", lambda *_arguments: graph)
    with pytest.raises(BundleError, match=r"ONNX graph of gradient_boosting differs by .* nothing is registered"):
        fit(use_case, snapshot, tmp_path / "bundle", "gradient_boosting")
    assert not (tmp_path / "bundle" / MANIFEST).exists()


@pytest.mark.parametrize("task", [Task.BINARY_CLASSIFICATION, Task.REGRESSION], ids=str)
def test_parity_is_proved_on_every_row_a_chunk_at_a_time(task, tmp_path, monkeypatch):
    use_case = parcels_of(task, tmp_path)
    snapshot = write_snapshot(tmp_path / "snapshots", use_case, made_up_columns(3000), AS_OF)
    rows, target = read_snapshot(snapshot_schema(use_case), snapshot), target_of(use_case)
    params = {**make_estimator("gradient_boosting", target).defaults, "trees_rounds": 20}
    model = Pipeline("gradient_boosting", params, **_plain(use_case)).fit(rows)
    manifest, graph = _manifest_of(model, use_case), model.to_onnx()
    asked = []
    score_columns = OnnxPredictor.score_columns

    def watched(self, columns):
        asked.append(len(columns["weight"]))
        scores = score_columns(self, columns)
        if len(asked) in spoilt:
            scores[-1] = np.nan if task is Task.REGRESSION else scores[-1] + 1e-3
        return scores

    monkeypatch.setattr(OnnxPredictor, "score_columns", watched)
    spoilt: set[int] = set()
    assert check_parity(model, manifest, graph, rows, 7, chunk=700) <= 1e-5
    assert asked == [700, 700, 700, 700, 200] * 2, "every row, whole and with gaps"
    for call in (5, 9):  # the last row of all, and one with gaps
        asked.clear()
        spoilt = {call}
        with pytest.raises(BundleError, match="nothing is registered"):
            check_parity(model, manifest, graph, rows, 7, chunk=700)


def _plain(use_case):
    return {"features": use_case.features, "context": FitContext(7, 1), "target": target_of(use_case)}


def _manifest_of(model, use_case):
    return Manifest(
        use_case="parcels",
        kind="onnx",
        candidate="gradient_boosting",
        signature=declared_signature(use_case),
        task=use_case.task,
        threshold=0.5,
        encoder=model.encoder,
    )


@pytest.mark.parametrize("candidate", ["dummy", "linear", "gradient_boosting", "random_forest", "blend"])
def test_every_kind_and_task_becomes_a_bundle(case, tmp_path, candidate):
    use_case, snapshot = case
    fitted = fit(use_case, snapshot, tmp_path / "bundle", candidate)
    predictor = load_predictor(fitted.folder, fitted.digest)  # replays the golden requests
    manifest, report = predictor.manifest, fitted.report
    assert (manifest.task, manifest.candidate) == (use_case.task, candidate)
    assert report.parity <= 1e-5
    assert {"value", "parity", "latency_ms", "size_mb"} <= report.metrics.keys()
    assert fitted.params["calibrated_by"]

    reference = pq.read_table(fitted.folder / REFERENCE)
    shown = [f"probability_{name}" for name in use_case.label.classes]
    assert reference.column_names == [*FEATURES, "event_time", "score", "decision", *shown, "label"]
    assert_the_reference_set_is_in_words(use_case, manifest, reference)


def assert_the_reference_set_is_in_words(use_case, manifest, reference):
    decisions, labels = reference["decision"].to_pylist(), reference["label"].to_pylist()
    scores = reference["score"].to_numpy()
    if use_case.task is Task.BINARY_CLASSIFICATION:
        assert decisions == [str(score >= manifest.threshold).lower() for score in scores.tolist()]
    elif use_case.task is Task.REGRESSION:
        assert [float(text) for text in decisions] == scores.tolist()
        assert isinstance(labels[0], float)
    else:
        chances = np.stack([reference[f"probability_{name}"].to_numpy() for name in use_case.label.classes], axis=1)
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)
        places = manifest.policy.decide(chances)
        assert decisions == [use_case.label.classes[place] for place in places]
        np.testing.assert_array_equal(scores, chances[np.arange(len(chances)), places])
        assert set(labels) == set(use_case.label.classes)


def test_a_blend_is_the_weighted_mean_of_its_members(case):
    use_case, snapshot = case
    rows, plain = read_snapshot(snapshot_schema(use_case), snapshot), _plain(use_case)
    members = trial_of(use_case, "blend").members
    whole = Pipeline("blend", {}, **plain, members=members).fit(rows)
    parts = [Pipeline(one.candidate, one.params, **plain).fit(rows) for one in members]

    rows = rows.take(np.arange(0, len(rows), 20))

    def margins(model):
        return model.estimator.margins(encode(model.encoder, rows))

    np.testing.assert_allclose(margins(whole), sum(m.weight * margins(p) for m, p in zip(members, parts, strict=True)))
    assert whole.contributions(rows).shape == (len(rows), len(FEATURES))
    if use_case.task is not Task.MULTICLASS:
        expected = sum(m.weight * p.contributions(rows) for m, p in zip(members, parts, strict=True))
        np.testing.assert_allclose(whole.contributions(rows), expected, atol=1e-9)


def test_contributions_are_by_feature_and_add_up(case):
    use_case, snapshot = case
    rows = read_snapshot(snapshot_schema(use_case), snapshot)
    model = Pipeline("gradient_boosting", params_of(use_case, "gradient_boosting"), **_plain(use_case)).fit(rows)
    rows = rows.take(np.arange(0, len(rows), 20))
    found = model.contributions(rows)
    assert found.shape == (len(rows), len(FEATURES))
    if use_case.task is not Task.MULTICLASS:
        rest = model.estimator.margins(encode(model.encoder, rows))[:, 0] - found.sum(axis=1)
        np.testing.assert_allclose(rest, np.full(len(rows), rest[0]), atol=1e-3)
    assert np.abs(found).mean(axis=0)[0] > 0  # weight matters in every task


def test_parity_is_also_held_on_missing_and_unseen_values(rows):
    gaps = with_gaps(rows, 7)
    assert len(gaps) == len(rows)
    assert np.isnan(gaps.columns["hour"]).mean() == pytest.approx(0.1, abs=0.02)
    unseen = sum(value is not None and value.startswith("(") for value in gaps.columns["depot"]) / len(rows)
    assert gaps.columns["depot"].tolist().count(None) / len(rows) == pytest.approx(0.118, abs=0.02)
    assert math.isclose(unseen, 0.09, abs_tol=0.02)
