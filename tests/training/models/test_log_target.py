"""Numbers learnt by their logarithm: better where they multiply, exact everywhere, given up where nothing is to gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from noria.core.model.explainer import read_explainer
from noria.core.use_case import Task, UseCase
from noria.training.bundle.explain import explainer_file
from noria.training.bundle.export import with_gaps
from noria.training.data.dataset import TrainingSet
from noria.training.data.encoding import encode, encode_for_training, fit_encoder
from noria.training.data.target import PredictionTarget, target_of
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.models.base.estimator import FitContext, TrialPruned
from noria.training.models.blend import BlendCandidate, BlendMember, select_blend
from noria.training.models.catalog import make_estimator
from noria.training.models.log_target import LINEAR_TARGET, LOGARITHM, NUMBER, TREES_TARGET, LogTargetModel, skewed
from noria.training.models.trees.boosting_objective import LOSS, QUANTILE
from noria.training.models.trees.external_memory import EncodedBatches, FitsBatches
from tests.training.conftest import fit_data, parcels_of
from tests.training.models.test_blend import rmse
from tests.training.models.test_catalog import assert_explained, assert_same, run
from tests.training.models.test_ratio_target import prices

pytestmark = pytest.mark.slow

EFFORT = FitContext(7, 1)
TARGETS = {"linear": LINEAR_TARGET, "gradient_boosting": TREES_TARGET}
QUICK = {"gradient_boosting": {"trees_rounds": 200}}


@pytest.fixture(scope="module", params=["", "first(weight, 12)"], ids=["plain", "anchored"])
def use_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    training = {"anchor": request.param} if request.param else {}
    return parcels_of(Task.REGRESSION, tmp_path_factory.mktemp("logs"), training=training)


def fares(rows: int, seed: int) -> TrainingSet:
    """As `prices`, with an exponential in the hour, and errors that are a share of the number."""
    found = prices(rows, level=50, seed=seed)
    random = np.random.default_rng([seed, 1])
    labels = found.labels * np.exp(0.12 * np.asarray(found.columns["hour"]) + 0.1 * random.normal(size=rows))
    return replace(found, labels=labels)


def pipeline_of(use_case: UseCase, kind: str, scale: int) -> Pipeline:
    target = target_of(use_case)
    if kind == "blend":
        told = (("linear", LOGARITHM, 0.25), ("gradient_boosting", LOGARITHM, 0.5), ("gradient_boosting", NUMBER, 0.25))
        members = tuple(BlendMember(name, pipeline_of(use_case, name, own).params, weight) for name, own, weight in told)
        return Pipeline("blend", {}, use_case.features, EFFORT, target, members)
    params = {**make_estimator(kind, target).defaults, TARGETS[kind]: float(scale), **QUICK.get(kind, {})}
    return Pipeline(kind, params, use_case.features, EFFORT, target)


def prepared(use_case: UseCase, kind, params, rows: TrainingSet, later: TrainingSet):
    options = kind.encoding(params)
    encoder = fit_encoder(use_case.features, rows, options)
    training = (encode_for_training(encoder, rows, options), rows.labels)
    return training, (encode(encoder, later), later.labels), encode(encoder, with_gaps(later, 3))


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_log_target_of_products_is_better_and_unbiased(use_case: UseCase, kind: str) -> None:
    rows, later = fares(3000, 1), fares(1500, 2)
    by_log, as_it_is = (pipeline_of(use_case, kind, scale).fit(rows).score(later) for scale in (LOGARITHM, NUMBER))
    assert rmse(later.labels, by_log) < (0.7 if kind == "linear" else 1.0) * rmse(later.labels, as_it_is)
    assert by_log.mean() == pytest.approx(later.labels.mean(), rel=0.03)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_it_learns_ships_and_explains(use_case: UseCase, name: str) -> None:
    kind, target = make_estimator(name, target_of(use_case)), target_of(use_case)
    params = {**kind.defaults, TARGETS[name]: float(LOGARITHM)}
    training, (later, labels), gaps = prepared(use_case, kind, params, fares(1500, 1), fares(600, 2))
    estimator, fitted_params = kind.fit_with_validation(fit_data(training, (later, labels), rmse), params, EFFORT)
    again = kind.fit(*training, {**params, **fitted_params}, EFFORT)
    graph = kind.to_onnx(estimator, later.shape[1])
    assert kind.to_onnx(again, later.shape[1]) == graph
    for rows in (later, gaps):
        assert_same(target, run(graph, rows), kind.predict(estimator, rows))
    assert_explained(target, kind, estimator, gaps[:80])


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting", "blend"])
def test_explainer_of_bundle_gives_same_contributions(use_case: UseCase, kind: str) -> None:
    later = fares(300, 2)
    model: FittedPipeline = pipeline_of(use_case, kind, LOGARITHM).fit(fares(1500, 1))
    content = explainer_file(model, later, 7)  # proves it as well
    matrix = encode(model.encoder, with_gaps(later, 3))[:100]
    found, expected = read_explainer(content).contributions(matrix), model.estimator.contributions(matrix)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    numbers = model.estimator.margins(matrix)[:, 0]
    rest = numbers - found[:, 0].sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=2e-5 * np.abs(numbers).max())


def test_a_typing_error_in_a_feature_does_not_grow_without_end(tmp_path) -> None:
    use_case, rows = parcels_of(Task.REGRESSION, tmp_path), fares(1500, 1)
    model = pipeline_of(use_case, "linear", LOGARITHM).fit(rows)
    odd = replace(rows, columns={**rows.columns, "hour": np.full(len(rows), 1e6)})
    found = model.score(odd)
    assert np.isfinite(found).all()
    assert found.max() < 1.5 * rows.labels.max()
    assert isinstance(model.estimator, LogTargetModel)
    assert np.isfinite(model.contributions(odd)).all()


def test_log_target_has_a_factor_for_means_alone(tmp_path) -> None:
    use_case, rows = parcels_of(Task.REGRESSION, tmp_path), fares(1500, 1)
    mean = pipeline_of(use_case, "gradient_boosting", LOGARITHM)
    quantile = replace(mean, params={**mean.params, LOSS: float(QUANTILE)})
    factors = [one.fit(rows).estimator.factor for one in (mean, quantile)]  # type: ignore[attr-defined]
    assert 1.0 < factors[0] < 1.1
    assert factors[1] == 1.0
    share = float(np.mean(quantile.fit(rows).score(rows) > rows.labels))
    assert share == pytest.approx(target_of(use_case).quantile, abs=0.1)


def test_on_round_of_log_model_gets_metric_of_label(use_case: UseCase) -> None:
    kind, heard, asked = make_estimator("gradient_boosting", target_of(use_case)), [], []
    params = {**kind.defaults, TREES_TARGET: float(LOGARITHM)}
    training, later, _ = prepared(use_case, kind, params, fares(1500, 1), fares(600, 2))

    def metric(labels, scores):
        asked.append(labels)
        return rmse(labels, scores)

    data = fit_data(training, later, metric)
    estimator, _ = kind.fit_with_validation(data, params, EFFORT, lambda _step, found: heard.append(found))
    assert heard[-1] == pytest.approx(rmse(later[1], kind.predict(estimator, later[0])), rel=0.1)
    assert asked
    assert all(labels is later[1] for labels in asked)


def test_a_cluster_learns_them_as_well(use_case: UseCase, scheduler: str) -> None:
    rows, later = fares(2500, 1), fares(1000, 2)
    here = pipeline_of(use_case, "gradient_boosting", LOGARITHM)
    there = replace(here, context=replace(EFFORT, cluster=scheduler)).fit(rows)
    graph, matrix = there.to_onnx(), encode(there.encoder, later)
    assert graph != here.fit(rows).to_onnx()  # two workers draw rows of their own: it did not run here
    assert rmse(later.labels, there.score(later)) < 1.05 * rmse(later.labels, here.fit(rows).score(later))
    assert there.score(later).mean() == pytest.approx(later.labels.mean(), rel=0.03)
    assert_same(target_of(use_case), run(graph, matrix), there.score(later))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_search_gives_it_up_where_there_is_nothing_to_gain(tmp_path, name: str) -> None:
    use_case, rows = parcels_of(Task.REGRESSION, tmp_path), fares(800, 1)
    kind = make_estimator(name, target_of(use_case))
    params = {**kind.defaults, TARGETS[name]: float(LOGARITHM)}
    nothing_for_some = np.where(np.arange(800) % 50 == 0, 0.0, rows.labels)
    even = 100 + np.random.default_rng(1).normal(size=800)
    for labels in (nothing_for_some, -rows.labels, even):
        (matrix, _), later, _ = prepared(use_case, kind, params, replace(rows, labels=labels), fares(300, 2))
        data = fit_data((matrix, labels), later, rmse)
        with pytest.raises(TrialPruned, match="logarithms are for skewed labels above 0"):
            kind.fit_with_validation(data, params, EFFORT, lambda *_: None)
        # Chosen earlier, on rows without such labels: the fit must still work.
        estimator, fitted_params = kind.fit_with_validation(data, params, EFFORT)
        assert np.isfinite(kind.predict(estimator, later[0])).all()
        assert np.isfinite(kind.predict(kind.fit(matrix, labels, {**params, **fitted_params}, EFFORT), later[0])).all()


def test_which_labels_gain_by_it() -> None:
    random = np.random.default_rng(3)
    assert skewed(random.lognormal(size=500))
    assert skewed(5 + random.gamma(3.0, size=500))
    assert not skewed(random.lognormal(size=500) - 0.5)
    assert not skewed(100 - random.lognormal(size=500))
    assert not skewed(np.full(500, 7.0))
    assert not skewed(np.array([]))


def test_a_model_from_batches_is_that_of_the_whole(use_case: UseCase) -> None:
    kind = make_estimator("gradient_boosting", target_of(use_case))
    assert isinstance(kind, FitsBatches)
    params, rows, later = pipeline_of(use_case, "gradient_boosting", LOGARITHM).params, fares(3000, 1), fares(500, 2)
    options = kind.encoding(params)
    encoder = fit_encoder(use_case.features, rows, options)
    whole = kind.fit(encode_for_training(encoder, rows, options), rows.labels, params, EFFORT)
    parts = kind.fit_batches(EncodedBatches.of(encoder, rows, options, size=701), rows.labels, params, EFFORT)
    matrix = encode(encoder, later)
    assert np.abs(parts.margins(matrix) / whole.margins(matrix) - 1).mean() < 0.03, "bins differ by a little"


def test_a_blend_looks_at_both_ways_to_learn_a_number() -> None:
    """Seven that are better but alike would leave no place for the one that errs elsewhere."""
    random = np.random.default_rng(5)
    labels, shared = random.normal(size=(2, 1500))
    alike = [BlendCandidate("linear", {}, n, labels + 0.8 * shared + 0.1 * random.normal(size=1500)) for n in range(7)]
    other = BlendCandidate("linear", {LINEAR_TARGET: float(LOGARITHM)}, 7, labels + random.normal(size=1500))
    chosen = select_blend([*alike, other], labels, PredictionTarget(Task.REGRESSION), rmse, lower_is_better=True)
    assert chosen is not None
    assert 7 in {member.number for member in chosen.members}
