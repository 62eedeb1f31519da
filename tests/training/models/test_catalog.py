import numpy as np
import pytest

from noria.core.use_case import Task
from noria.inference.predictor import PARITY
from noria.training.bundle.export import with_gaps
from noria.training.data.dataset import read_snapshot, snapshot_schema
from noria.training.data.encoding import encode, encode_for_training, fit_encoder
from noria.training.data.splits import final_split, split_plan
from noria.training.data.target import PredictionTarget, target_of
from noria.training.models.base.estimator import FitContext, TrialPruned
from noria.training.models.base.margin import loss_of, margins_of, scores_of
from noria.training.models.catalog import ESTIMATORS, make_estimator
from noria.training.models.linear import Linear
from noria.training.models.trees.boosting_objective import ABSOLUTE, LOSS, QUANTILE, aim_of
from tests.training.conftest import fit_data

pytestmark = pytest.mark.slow

EFFORT = FitContext(seed=7, threads=1)


@pytest.fixture(scope="module")
def fold(case):
    use_case, snapshot = case
    return final_split(split_plan(use_case), read_snapshot(snapshot_schema(use_case), snapshot))


@pytest.fixture(params=sorted(ESTIMATORS))
def kind(request, case):
    return make_estimator(request.param, target_of(case[0]))


def prepared(use_case, kind, params, fold):
    options = kind.encoding(params)
    encoder = fit_encoder(use_case.features, fold.training, options)
    gaps = with_gaps(fold.validation, 3)
    return encode_for_training(encoder, fold.training, options), encode(encoder, fold.validation), encode(encoder, gaps)


def loss(use_case, labels, scores):
    target = target_of(use_case)
    return loss_of(target, labels, margins_of(target, scores))


def fitted(use_case, kind, fold):
    matrix, later, gaps = prepared(use_case, kind, kind.defaults, fold)
    data = fit_data((matrix, fold.training.labels), (later, fold.validation.labels))
    estimator, fitted_params = kind.fit_with_validation(data, kind.defaults, EFFORT)
    return estimator, fitted_params, matrix, later, gaps


def test_every_kind_and_task_learns_ships_and_explains(case, kind, fold):
    """One fit, held to everything that is guaranteed of it: fits are what these tests spend their time on."""
    use_case, target = case[0], target_of(case[0])
    estimator, fitted_params, matrix, later, gaps = fitted(use_case, kind, fold)
    scores = kind.predict(estimator, later)
    assert scores.shape == ((len(later), target.classes) if target.task is Task.MULTICLASS else (len(later),))
    if target.task is not Task.REGRESSION:
        assert ((scores >= 0) & (scores <= 1)).all()

    again = kind.fit(matrix, fold.training.labels, {**kind.defaults, **fitted_params}, EFFORT)
    graph = kind.to_onnx(estimator, matrix.shape[1])
    assert kind.to_onnx(again, matrix.shape[1]) == graph  # what was taught is all there is to know, to the last bit

    for rows in (later, gaps):
        assert_same(target, run(graph, rows), kind.predict(estimator, rows))
    assert_explained(target, kind, estimator, gaps[:80])  # deep trees take their time to explain

    dummy = make_estimator("dummy", target)
    knows_nothing, _, _, same_rows, _ = fitted(use_case, dummy, fold)
    at_least = loss(use_case, fold.validation.labels, dummy.predict(knows_nothing, same_rows))
    found = loss(use_case, fold.validation.labels, scores)
    assert found == at_least if isinstance(kind, ESTIMATORS["dummy"]) else found < 0.97 * at_least


def run(graph, rows):
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: rows})[-1]


def assert_same(target, found, expected):
    shaped = {Task.BINARY_CLASSIFICATION: lambda: found[:, 1], Task.REGRESSION: lambda: found[:, 0]}
    scores = shaped.get(target.task, lambda: found)()
    tolerance = PARITY * (float(np.abs(expected).max()) if target.task is Task.REGRESSION else 1.0)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance)
    if target.task is Task.BINARY_CLASSIFICATION:
        np.testing.assert_allclose(found.sum(axis=1), 1.0)


def assert_explained(target, kind, estimator, rows):
    found = kind.contributions(estimator, rows)
    margins = estimator.margins(rows)
    assert found.shape == ((*margins.shape, rows.shape[1]) if target.task is Task.MULTICLASS else rows.shape)
    unexplained = margins - found.reshape(*margins.shape, -1).sum(axis=2)
    spread = float(np.abs(margins).max())
    np.testing.assert_allclose(unexplained, np.broadcast_to(unexplained[0], margins.shape), atol=2e-5 * spread)


def test_weights_of_classes_do_not_move_the_level(case, fold):
    use_case = case[0]
    target = target_of(use_case)
    if target.task is Task.REGRESSION:
        pytest.skip("a number has no classes")
    rates = np.bincount(fold.training.labels.astype(np.int64), minlength=target.classes) / len(fold.training)
    for name, balance in (("linear", "linear_balance"), ("gradient_boosting", "trees_balance")):
        kind = make_estimator(name, target)
        params = {**kind.defaults, balance: 1.0, "trees_rounds": 30}
        matrix, _, _ = prepared(use_case, kind, params, fold)
        scores = kind.predict(kind.fit(matrix, fold.training.labels, params, EFFORT), matrix)
        means = scores.mean(axis=0) if target.task is Task.MULTICLASS else np.array([1 - scores.mean(), scores.mean()])
        np.testing.assert_allclose(means, rates, atol=0.06)


def test_on_round_gets_the_metric_and_can_prune(case, fold):
    kind = make_estimator("gradient_boosting", target_of(case[0]))
    matrix, later, _ = prepared(case[0], kind, kind.defaults, fold)
    seen = []

    def on_round(step, metric):
        seen.append((step, metric))
        if step == 20:
            raise TrialPruned("enough")

    learnt, watched = (matrix, fold.training.labels), (later, fold.validation.labels)
    data = fit_data(learnt, watched, lambda labels, scores: len(scores) / len(labels))
    with pytest.raises(TrialPruned, match="enough"):
        kind.fit_with_validation(data, kind.defaults, EFFORT, on_round)
    assert seen == [(10, 1.0), (20, 1.0)]


@pytest.mark.parametrize(
    ("task", "rounds"), [(Task.REGRESSION, 30), (Task.MULTICLASS, 30), (Task.BINARY_CLASSIFICATION, 20)]
)
def test_rounds_grow_with_rows_except_for_binary(task, rounds):
    random = np.random.default_rng(6)
    rows = random.normal(size=(1800, 3)).astype(np.float32)
    labels = {
        Task.REGRESSION: rows[:, 0] + random.normal(size=1800),
        Task.MULTICLASS: random.integers(0, 3, 1800),
        Task.BINARY_CLASSIFICATION: random.random(1800) < 0.5,
    }[task]
    kind = make_estimator("gradient_boosting", PredictionTarget(task, classes=3 if task is Task.MULTICLASS else 2))
    learnt, watched = (rows[:800], labels[:800]), (rows[800:1200], labels[800:1200])
    _, fitted_params = kind.fit_with_validation(fit_data(learnt, watched), kind.defaults, EFFORT)
    params = {**kind.defaults, **fitted_params, "trees_rounds": 20}
    assert kind.fit(*learnt, params, EFFORT).booster.num_boosted_rounds() == 20
    assert kind.fit(rows, labels, params, EFFORT).booster.num_boosted_rounds() == rounds  # 2.25 times the rows


@pytest.mark.parametrize(("loss", "quantile"), [(ABSOLUTE, 0.5), (QUANTILE, 0.9)])
def test_a_loss_aims_at_its_quantile(loss, quantile):
    random = np.random.default_rng(4)
    rows = random.normal(size=(3000, 3)).astype(np.float32)
    labels = 1000 * (rows[:, 0] + random.gamma(1.0, 1.0, 3000)) - 300
    target = PredictionTarget(Task.REGRESSION, quantile=quantile)
    kind = make_estimator("gradient_boosting", target)
    params = {**kind.defaults, LOSS: float(loss)}
    learnt, watched = (rows[:2000], labels[:2000]), (rows[2000:], labels[2000:])
    estimator, fitted_params = kind.fit_with_validation(fit_data(learnt, watched), params, EFFORT)
    scores = kind.predict(estimator, rows[2000:])
    assert np.mean(labels[2000:] <= scores) == pytest.approx(quantile, abs=0.04)
    assert aim_of(target, params) == quantile
    assert_same(target, run(kind.to_onnx(estimator, 3), rows[2000:]), scores)
    again = kind.predict(kind.fit(*learnt, {**params, **fitted_params}, EFFORT), rows[2000:])
    np.testing.assert_array_equal(again, scores)


def test_margins_and_scores_are_inverse(case):
    target = target_of(case[0])
    margins = np.random.default_rng(1).normal(size=(50, target.outputs)) * 3
    again = margins_of(target, scores_of(target, margins))
    constant = again - margins
    np.testing.assert_allclose(constant, constant[:, :1].repeat(target.outputs, axis=1), atol=1e-6)
    extreme = scores_of(PredictionTarget(), np.array([[-800.0], [800.0]]))
    assert extreme.tolist() == [0.0, 1.0]


def test_a_suggestion_has_every_hyperparameter(case, kind):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    params = kind.suggest(study.ask())
    assert params.keys() == kind.defaults.keys()
    for start in (kind.defaults, *kind.warm_start_points):
        study.enqueue_trial(dict(start))
        assert kind.suggest(study.ask()) == dict(start)  # where a search begins lies inside the space


def test_linear_of_many_weights_gives_the_same_scores_by_the_faster_solver():
    random = np.random.default_rng(3)
    rows = random.normal(size=(900, 12)).astype(np.float32)
    labels = np.argmax(rows[:, :5] + random.normal(size=(900, 5)), axis=1)
    target = PredictionTarget(Task.MULTICLASS, classes=5)
    newton, faster = Linear(target), Linear(target, many_weights=10)
    scores = [kind.predict(kind.fit(rows, labels, kind.defaults, EFFORT), rows) for kind in (newton, faster)]
    np.testing.assert_allclose(scores[1], scores[0], atol=2e-3)
    assert (scores[1] != scores[0]).any()


@pytest.mark.parametrize("seen", [(0, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_class_without_rows_gets_probability_near_zero(name, seen):
    random = np.random.default_rng(2)
    rows = random.normal(size=(600, 2)).astype(np.float32)
    labels = np.array(seen)[(rows[:, 0] > 0).astype(int) + (len(seen) == 3) * (rows[:, 0] > 1)]
    kind = make_estimator(name, PredictionTarget(Task.MULTICLASS, classes=4))
    estimator = kind.fit(rows, labels, {**kind.defaults, "trees_rounds": 40}, EFFORT)
    scores = kind.predict(estimator, rows)
    assert scores.shape == (600, 4)
    assert scores[:, 3].max() < 0.01
    if name != "dummy":
        assert (scores.argmax(axis=1) == labels).mean() > 0.9
