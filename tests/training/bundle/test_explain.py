"""A bundle's explainer says what the library that grew the model says, without that library."""

from pathlib import Path

import numpy as np
import pytest

from noria.core.base.errors import BundleError
from noria.core.model.bundle import EXPLAINER
from noria.core.model.explainer import read_explainer
from noria.core.use_case import Task
from noria.inference.predictor import OnnxPredictor, load_predictor
from noria.training.bundle.explain import explainer_file
from noria.training.bundle.export import with_gaps
from noria.training.data.dataset import read_snapshot, snapshot_schema
from noria.training.data.encoding import encode
from noria.training.data.target import target_of
from noria.training.fit.pipeline import Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.blend import BlendMember
from noria.training.models.catalog import make_estimator
from noria.training.models.trees.xgboost_trees import XgboostTrees
from tests.training.bundle.test_build import fit

pytestmark = pytest.mark.slow

CHANGES = {
    "linear": {},
    "gradient_boosting": {"trees_rounds": 60},
    "deep": {"trees_rounds": 5, "trees_depth": 12, "trees_min_child_weight": 0.01},
    "random_forest": {"forest_slope": 1.5, "forest_leaves": 64},
}


def pipeline(use_case, kind, **more):
    name = "gradient_boosting" if kind == "deep" else kind
    params = {} if kind == "blend" else {**make_estimator(name, target_of(use_case)).defaults, **CHANGES[kind]}
    return Pipeline(name, params, use_case.features, FitContext(7, 1), target_of(use_case), **more)


@pytest.mark.parametrize("kind", [*CHANGES, "blend"])
def test_explainer_agrees_with_library_for_every_kind_and_task(case, kind):
    use_case, snapshot = case
    rows = read_snapshot(snapshot_schema(use_case), snapshot)
    members = tuple(BlendMember(name, pipeline(use_case, name).params, 0.5) for name in ("linear", "gradient_boosting"))
    model = pipeline(use_case, kind, members=members if kind == "blend" else ()).fit(rows)
    content = explainer_file(model, rows, 7)
    assert explainer_file(model, rows, 7) == content  # to the last bit

    matrix = encode(model.encoder, with_gaps(rows.take(np.arange(0, len(rows), 60)), 3))
    found, expected = read_explainer(content).contributions(matrix), model.estimator.contributions(matrix)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(found).max() > 0.01

    margins = model.estimator.margins(matrix)
    rest = margins - found.sum(axis=2)
    np.testing.assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), atol=2e-5 * np.abs(margins).max())


def test_a_bundle_explains_fields_as_the_training_did(case, tmp_path):
    use_case, snapshot = case
    rows = read_snapshot(snapshot_schema(use_case), snapshot)
    model = pipeline(use_case, "gradient_boosting").fit(rows)
    predictor = load_predictor(fit(use_case, snapshot, tmp_path / "bundle", "gradient_boosting").folder)
    assert isinstance(predictor, OnnxPredictor)
    assert predictor.manifest.files[EXPLAINER]
    assert not predictor.explains_at_once
    some = rows.take(np.arange(0, 300, 30))
    instances = [some.row(index) for index in range(len(some))]
    assert predictor.explainer is not None
    assert predictor.explains_at_once
    found = predictor.explainer.contributions(instances)
    assert found.shape == (10, model.target.outputs, len(use_case.features.names))
    if use_case.task is Task.MULTICLASS:
        np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-9)
    assert predictor.explainer.knows("depot", "north")
    assert not predictor.explainer.knows("depot", "moon")


def test_explainer_with_other_contributions_is_refused(use_case, rows, monkeypatch):
    model = pipeline(use_case, "gradient_boosting").fit(rows)
    truth = XgboostTrees.contributions
    monkeypatch.setattr(XgboostTrees, "contributions", lambda self, matrix: 1.01 * truth(self, matrix))
    with pytest.raises(BundleError, match=r"the explainer differs by .* nothing is registered"):
        explainer_file(model, rows, 7)


def test_a_file_that_was_altered_is_not_believed(use_case, snapshot, tmp_path):
    folder: Path = fit(use_case, snapshot, tmp_path / "bundle", "linear").folder
    for spoil, what in ((lambda path: path.write_bytes(b"other"), "SHA-256"), (Path.unlink, "cannot be read")):
        predictor = load_predictor(folder)
        before = (folder / EXPLAINER).read_bytes()
        spoil(folder / EXPLAINER)
        with pytest.raises(BundleError, match=what):
            predictor.explainer  # noqa: B018
        (folder / EXPLAINER).write_bytes(before)
        assert predictor.explainer is not None
