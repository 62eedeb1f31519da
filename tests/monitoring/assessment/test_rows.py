"""Rows as they are read back: from the reference set that training wrote, and from batch predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitoring.assessment.rows import read_reference, read_scored_interval
from noria.core.base.errors import BundleError, TransformError
from noria.core.model.bundle import EVALUATION, REFERENCE
from noria.core.use_case import Task, UseCase
from noria.io.bundle_files import read_manifest, write_bundle
from noria.testing.builders import a_use_case
from tests.monitoring.conftest import World, day
from tests.monitoring.made_up import Parcels, make_bundle, make_up


def with_classes(use_case: UseCase, *classes: str) -> UseCase:
    return use_case.model_copy(update={"label": use_case.label.model_copy(update={"classes": classes})})


def same(rows: object, parcels: Parcels) -> None:
    for name in ("scores", "decisions", "labels"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(parcels, name))


@pytest.mark.parametrize("task", list(Task))
def test_a_reference_set_is_read_as_training_wrote_it(task: Task, tmp_path: Path) -> None:
    use_case = a_use_case(tmp_path, task=task.value)
    parcels = make_up(use_case, 300, 1)
    make_bundle(tmp_path / "bundle", use_case, parcels)
    found = read_reference(use_case, tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
    assert found is not None
    same(found.rows, parcels)
    assert found.rows.known.all()
    assert found.report.task is task
    assert list(found.rows.columns["depot"]) == parcels.columns["depot"]


@pytest.mark.parametrize("task", list(Task))
def test_batch_predictions_are_read_as_scoring_wrote_them(task: Task, world_of: Callable[[Task], World]) -> None:
    world = world_of(task)
    parcels = world.draw(60, 1)
    world.score(day(0), parcels, "4")
    version, rows = read_scored_interval(world.services.features, world.services.predictions, world.use_case, day(0))
    assert version == "4"
    same(rows, parcels)
    assert rows.known.all()
    world.score(day(0), parcels, "4", labelled=False)
    assert not read_scored_interval(world.services.features, world.services.predictions, world.use_case, day(0))[
        1
    ].known.any()


def test_classes_are_matched_by_name_and_a_new_one_has_no_probability(tmp_path: Path) -> None:
    use_case = a_use_case(tmp_path, task="multiclass")
    parcels = make_up(use_case, 300, 1)
    make_bundle(tmp_path / "bundle", use_case, parcels)
    turned = with_classes(use_case, "lost", "returned", "late", "on_time")
    found = read_reference(turned, tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
    assert found is not None
    np.testing.assert_array_equal(found.rows.scores[:, [3, 2, 0]], parcels.scores)
    assert not found.rows.scores[:, 1].any()
    np.testing.assert_array_equal(found.rows.labels, np.array([3, 2, 0])[parcels.labels])
    np.testing.assert_array_equal(found.rows.decisions, np.array([3, 2, 0])[parcels.decisions])


def test_a_class_that_is_none_any_more_is_an_error(tmp_path: Path, world_of: Callable[[Task], World]) -> None:
    world = world_of(Task.MULTICLASS)
    parcels, fewer = world.draw(60, 1), with_classes(world.use_case, "on_time", "lost", "returned")
    make_bundle(tmp_path / "bundle", world.use_case, parcels)
    with pytest.raises(BundleError, match=r"'late' is not among label.classes \(on_time, lost, returned\); train again"):
        read_reference(fewer, tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
    world.score(day(0), parcels, "4", labelled=False)
    with pytest.raises(TransformError, match=r"'late' is not among label.classes .*; run its score step again"):
        read_scored_interval(world.services.features, world.services.predictions, fewer, day(0))


def test_predictions_of_another_task_are_an_error(world: World, tmp_path: Path) -> None:
    world.score(day(0), world.draw(60, 1), "4", labelled=False)
    other = a_use_case(tmp_path / "other", task="multiclass")
    other = other.model_copy(update={"label": other.label.model_copy(update={"column": "late"})})
    with pytest.raises(TransformError, match="60 of 60 have no probabilities of classes; run its score step again"):
        read_scored_interval(world.services.features, world.services.predictions, other, day(0))


def test_a_number_that_was_not_predicted_cannot_be_judged(world_of: Callable[[Task], World]) -> None:
    world = world_of(Task.REGRESSION)
    parcels = world.draw(60, 1)
    parcels.scores[7] = np.nan  # a rule whose feature is missing; its decisions are these very numbers
    world.score(day(0), parcels, "0")
    _, rows = read_scored_interval(world.services.features, world.services.predictions, world.use_case, day(0))
    assert np.flatnonzero(~rows.known).tolist() == [7]


def test_a_bundle_from_before_there_were_other_tasks_is_still_read(tmp_path: Path) -> None:
    use_case = a_use_case(tmp_path)
    parcels, folder = make_up(use_case, 300, 1), tmp_path / "bundle"
    make_bundle(folder, use_case, parcels)
    manifest, sink = read_manifest(folder), pa.BufferOutputStream()
    pq.write_table(pq.read_table(folder / REFERENCE).drop_columns(["decision"]), sink)
    files = {REFERENCE: sink.getvalue().to_pybytes(), EVALUATION: (folder / EVALUATION).read_bytes()}
    write_bundle(tmp_path / "old", manifest, files)
    found = read_reference(use_case, tmp_path / "old", read_manifest(tmp_path / "old"))
    assert found is not None
    same(found.rows, parcels)
