"""Numbers predicted as a multiple of an anchor: exact everywhere, and right where the anchor is what no training row had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from noria.core.base.errors import NotEnoughDataError
from noria.core.model.bundle import EXPLAINER
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import RuleColumn
from noria.core.model.explainer import read_explainer
from noria.core.use_case import Task, UseCase
from noria.core.use_case.rule import Rule
from noria.inference.predictor import OnnxPredictor, load_predictor
from noria.testing.snapshots import made_up_columns, write_snapshot
from noria.training.bundle.explain import explainer_file
from noria.training.bundle.export import with_gaps
from noria.training.data.columns import Categories
from noria.training.data.dataset import Fold, TrainingSet, read_snapshot, snapshot_schema
from noria.training.data.encoding import LEAST_ANCHOR, encode, encode_for_training, fit_encoder
from noria.training.data.splits import final_split, split_plan
from noria.training.data.target import target_of
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.blend import BlendMember
from noria.training.models.catalog import ESTIMATORS, make_estimator
from noria.training.models.trees.external_memory import EncodedBatches, FitsBatches
from tests.training.bundle.test_build import fit
from tests.training.conftest import AS_OF, fit_data, parcels_of
from tests.training.models.test_catalog import assert_explained, assert_same, fitted, run

pytestmark = pytest.mark.slow

ANCHOR = "first(weight, 12)"
QUICK = {"gradient_boosting": {"trees_rounds": 60}, "random_forest": {"forest_leaves": 64}}


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    return parcels_of(Task.REGRESSION, tmp_path_factory.mktemp("anchored"), training={"anchor": ANCHOR})


@pytest.fixture(scope="module")
def fold(use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Fold:
    snapshot = write_snapshot(tmp_path_factory.mktemp("snapshots"), use_case, made_up_columns(3000), AS_OF)
    return final_split(split_plan(use_case), read_snapshot(snapshot_schema(use_case), snapshot))


def prices(rows: int, *, level: float, seed: int) -> TrainingSet:
    """Numbers that are the usual (the weight) times what the hour and the depot make of it."""
    random = np.random.default_rng(seed)
    weight, hour = level * random.uniform(0.8, 1.25, rows), random.integers(0, 24, rows).astype(np.float64)
    depots = random.integers(0, 2, rows).astype(np.int32)
    labels = weight * (1 + 0.02 * hour) * np.where(depots == 1, 1.5, 1.0) * random.uniform(0.95, 1.05, rows)
    streets = Categories(("high",), np.zeros(rows, dtype=np.int32))
    columns = {"weight": weight, "hour": hour, "depot": Categories(("north", "south"), depots), "street": streets}
    return TrainingSet(columns, labels, np.arange(rows, dtype=np.int64))


def pipeline_of(use_case: UseCase, kind: str) -> Pipeline:
    target = target_of(use_case)
    if kind == "blend":
        members = tuple(
            BlendMember(name, pipeline_of(use_case, name).params, weight)
            for name, weight in (("linear", 0.25), ("gradient_boosting", 0.75))
        )
        return Pipeline("blend", {}, use_case.features, FitContext(7, 1), target, members)
    params = {**make_estimator(kind, target).defaults, **QUICK.get(kind, {})}
    return Pipeline(kind, params, use_case.features, FitContext(7, 1), target)


def plain(use_case: UseCase) -> UseCase:
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"anchor": None})})


def missed(model: FittedPipeline, rows: TrainingSet) -> float:
    """Mean error over the mean label."""
    return float(np.abs(model.score(rows) - rows.labels).mean() / rows.labels.mean())


@pytest.mark.parametrize("kind", ["gradient_boosting", "random_forest", "blend"])
def test_ratio_model_predicts_a_dearer_season(use_case: UseCase, kind: str) -> None:
    spring, summer = prices(2000, level=50, seed=1), prices(500, level=150, seed=2)
    with_anchor, without = (pipeline_of(one, kind).fit(spring) for one in (use_case, plain(use_case)))
    assert missed(with_anchor, summer) < 0.06
    assert missed(without, summer) > 0.3, "trees end where the rows end"


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_kind_learns_ships_and_explains(use_case: UseCase, fold: Fold, name: str) -> None:
    kind, target = make_estimator(name, target_of(use_case)), target_of(use_case)
    estimator, fitted_params, matrix, later, gaps = fitted(use_case, kind, fold)
    again = kind.fit(matrix, fold.training.labels, {**kind.defaults, **fitted_params}, FitContext(7, 1))
    graph = kind.to_onnx(estimator, matrix.shape[1])
    assert kind.to_onnx(again, matrix.shape[1]) == graph
    for rows in (later, gaps):
        assert_same(target, run(graph, rows), kind.predict(estimator, rows))
    assert_explained(target, kind, estimator, gaps[:80])


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting", "random_forest", "blend"])
def test_explainer_of_bundle_gives_same_contributions(use_case: UseCase, fold: Fold, kind: str) -> None:
    model = pipeline_of(use_case, kind).fit(fold.training)
    content = explainer_file(model, fold.validation, 7)  # proves it as well
    matrix = encode(model.encoder, with_gaps(fold.validation, 3))[:100]
    found, expected = read_explainer(content).contributions(matrix), model.estimator.contributions(matrix)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    rest = model.estimator.margins(matrix)[:, 0] - found[:, 0].sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=2e-5 * np.abs(model.estimator.margins(matrix)).max())


def test_on_round_of_ratio_model_gets_metric_of_label(use_case: UseCase) -> None:
    rows, later = prices(800, level=50, seed=1), prices(300, level=150, seed=2)
    kind = make_estimator("gradient_boosting", target_of(use_case))
    options = kind.encoding(kind.defaults)
    encoder = fit_encoder(use_case.features, rows, options)
    training = (encode_for_training(encoder, rows, options), rows.labels)
    seen: list[float] = []

    def metric(labels, scores):
        assert labels is later.labels
        return float(np.abs(labels - scores).mean())

    validation = (encode(encoder, later), later.labels)
    data = fit_data(training, validation, metric)
    estimator, _ = kind.fit_with_validation(data, kind.defaults, FitContext(7, 1), lambda _step, found: seen.append(found))
    assert seen[-1] == pytest.approx(metric(later.labels, kind.predict(estimator, validation[0])), rel=0.2)
    assert seen[0] > 10, "in the label's unit"


def test_a_model_from_batches_is_that_of_the_whole(use_case: UseCase, fold: Fold) -> None:
    kind = make_estimator("gradient_boosting", target_of(use_case))
    assert isinstance(kind, FitsBatches)
    assert not isinstance(make_estimator("linear", target_of(use_case)), FitsBatches)
    params, rows = {**kind.defaults, "trees_rounds": 60}, fold.training
    options = kind.encoding(params)
    encoder = fit_encoder(use_case.features, rows, options)
    whole = kind.fit(encode_for_training(encoder, rows, options), rows.labels, params, FitContext(7, 1))
    parts = kind.fit_batches(EncodedBatches.of(encoder, rows, options, size=701), rows.labels, params, FitContext(7, 1))
    matrix = encode(encoder, fold.validation)
    np.testing.assert_allclose(parts.margins(matrix), whole.margins(matrix), rtol=0.25)
    assert np.abs(parts.margins(matrix) / whole.margins(matrix) - 1).mean() < 0.03, "bins differ by a little"


def test_the_anchor_is_the_last_column_and_never_next_to_nothing(use_case: UseCase, fold: Fold) -> None:
    model = pipeline_of(use_case, "linear").fit(fold.training)
    *before, last = model.encoder.columns
    assert isinstance(last, RuleColumn)
    assert not any(isinstance(column, RuleColumn) for column in before)
    said = np.array(Rule(ANCHOR).values(fold.training.columns, len(fold.training)))
    assert last.missing == pytest.approx(np.median(said))
    assert last.least == pytest.approx(LEAST_ANCHOR * last.missing)
    row = {"weight": 1e-9, "hour": 3.0}
    assert Encoder(columns=(last,)).encode_rows((row,))[0, 0] == np.float32(last.least)


def test_anchor_without_values_is_named(use_case: UseCase) -> None:
    rows = prices(100, level=50, seed=1)
    gone = replace(rows, columns={**rows.columns, "weight": np.full(100, np.nan)})
    target = replace(target_of(use_case), anchor="weight")
    options = make_estimator("linear", target).encoding({"linear_smoothing": 10.0})
    with pytest.raises(NotEnoughDataError, match=r"training\.anchor: 'weight' gives no number above 0 for any of 100 rows"):
        fit_encoder(use_case.features, gone, options)


def test_a_bundle_scores_one_row_as_many_and_as_the_training_did(use_case: UseCase, tmp_path) -> None:
    snapshot = write_snapshot(tmp_path / "snapshots", use_case, made_up_columns(3000), AS_OF)
    found = fit(use_case, snapshot, tmp_path / "bundle", "blend")
    predictor = load_predictor(found.folder, found.digest)
    assert isinstance(predictor, OnnxPredictor)
    assert (found.folder / EXPLAINER).exists()
    assert found.report.parity < 1e-6
    some = with_gaps(read_snapshot(snapshot_schema(use_case), snapshot).take(np.arange(0, 3000, 97)), 5)
    many = predictor.score_columns(some.columns)
    one_by_one = [float(predictor.score_rows([some.row(index)])[0]) for index in range(len(some))]
    np.testing.assert_array_equal(many, one_by_one)
