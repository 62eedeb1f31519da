"""Training on more rows than memory holds, and on a cluster. What counts as many is set low here."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noria.core.base.errors import NoriaError, SettingsError
from noria.core.base.results import SnapshotRef
from noria.core.use_case import Engine, Training, UseCase
from noria.training.data.dataset import TrainingSet, read_snapshot, snapshot_schema
from noria.training.data.encoding import EncodingOptions, encode_for_training, fit_encoder
from noria.training.data.parquet_columns import StoredColumns
from noria.training.data.sampling import even_sample
from noria.training.data.target import target_of
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.base.margin import loss_of, margins_of
from noria.training.models.catalog import make_estimator
from noria.training.models.trees.booster import cluster_of
from noria.training.models.trees.dask_engine import boosted_on_cluster
from noria.training.models.trees.external_memory import EncodedBatches, RowMetaInfo, is_stored

pytestmark = pytest.mark.slow

FEW = 500
ROWS = 3000


@pytest.fixture(scope="module")
def stored(case: tuple[UseCase, SnapshotRef], tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, SnapshotRef]:
    """The use case of each task, and a snapshot of many small row groups."""
    import pyarrow.parquet as pq

    use_case, snapshot = case
    path = tmp_path_factory.mktemp("grouped") / "snapshot.parquet"
    pq.write_table(pq.read_table(snapshot.path), path, row_group_size=170)
    return use_case, snapshot.model_copy(update={"path": str(path)})


@pytest.fixture(scope="module")
def in_memory(stored: tuple[UseCase, SnapshotRef]) -> TrainingSet:
    return read_snapshot(snapshot_schema(stored[0]), stored[1])


@pytest.fixture(scope="module")
def on_disk(stored: tuple[UseCase, SnapshotRef]) -> TrainingSet:
    return read_snapshot(snapshot_schema(stored[0]), stored[1], most_in_memory=FEW)


def plain(rows: TrainingSet) -> dict[str, list[Any]]:
    """Columns as lists; NaN, which is not equal to itself, as None."""
    return {
        name: [None if isinstance(value, float) and math.isnan(value) else value for value in values.tolist()]
        for name, values in rows.columns.items()
    }


class TestStoredColumns:
    def test_many_rows_stay_on_disk_and_few_are_read(self, in_memory: TrainingSet, on_disk: TrainingSet) -> None:
        assert not is_stored(in_memory)
        assert is_stored(on_disk)
        assert is_stored(on_disk.take(np.arange(100, 100 + FEW + 1)))
        assert not is_stored(on_disk.take(np.arange(100, 100 + FEW)))

    def test_stored_column_equals_column_in_memory(self, in_memory: TrainingSet, on_disk: TrainingSet) -> None:
        assert list(on_disk.columns) == list(in_memory.columns)
        assert plain(on_disk) == plain(in_memory)
        assert on_disk.labels.tolist() == in_memory.labels.tolist()
        assert on_disk.times.tolist() == in_memory.times.tolist()

    @pytest.mark.parametrize(
        "places",
        [
            np.arange(160, 180),
            np.arange(3, 2900, 7),
            np.arange(20, 1600),
            np.array([2999, 0, 5, 5, 400, 0]),
            np.array([], dtype=np.intp),
        ],
        ids=["across two groups", "one in seven", "still many", "back and forth", "none"],
    )
    def test_taking_rows_takes_the_same_rows(self, in_memory: TrainingSet, on_disk: TrainingSet, places: Any) -> None:
        some, same = on_disk.take(places), in_memory.take(places)
        assert plain(some) == plain(same)
        assert some.labels.tolist() == same.labels.tolist()

    def test_rows_are_taken_out_of_rows_that_were_taken(self, in_memory: TrainingSet, on_disk: TrainingSet) -> None:
        odd = np.arange(1, ROWS, 2)
        stretch = np.arange(200, 900)
        assert is_stored(on_disk.take(odd).take(stretch))
        assert plain(on_disk.take(odd).take(stretch)) == plain(in_memory.take(odd).take(stretch))

    def test_a_name_that_is_no_column_is_refused(self, on_disk: TrainingSet) -> None:
        with pytest.raises(KeyError):
            on_disk.columns["label"]

    def test_a_file_out_of_order_is_read_and_sorted(self, stored: tuple[UseCase, SnapshotRef], tmp_path: Path) -> None:
        import pyarrow.parquet as pq

        use_case, snapshot = stored
        table = pq.read_table(snapshot.path)
        path = tmp_path / "shuffled.parquet"
        pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), path)
        rows = read_snapshot(snapshot_schema(use_case), snapshot.model_copy(update={"path": str(path)}), most_in_memory=FEW)
        assert not is_stored(rows)
        assert (np.diff(rows.times) >= 0).all()


class TestBatches:
    def test_a_batch_is_encoded_as_the_same_rows_in_memory_are(
        self, stored: tuple[UseCase, SnapshotRef], in_memory: TrainingSet, on_disk: TrainingSet
    ) -> None:
        use_case, target = stored[0], target_of(stored[0])
        options = EncodingOptions(scale=True, one_hot_up_to=4, smoothing=20.0, target=target)
        encoder = fit_encoder(use_case.features, on_disk, options)
        assert encoder == fit_encoder(use_case.features, in_memory, options)
        batches = EncodedBatches.of(encoder, on_disk, options, size=701)  # no divisor of rows, groups or folds
        found = np.concatenate([batches.batch(place) for place in batches.slices])
        assert len(batches.slices) == 5
        np.testing.assert_array_equal(found, encode_for_training(encoder, in_memory, options))

    @pytest.mark.parametrize("kind", ["gradient_boosting", "random_forest", "linear"])
    def test_a_model_from_batches_is_as_good_and_comes_out_the_same_again(
        self, kind: str, stored: tuple[UseCase, SnapshotRef], in_memory: TrainingSet, on_disk: TrainingSet
    ) -> None:
        pipeline = small_pipeline(stored[0], kind)
        streamed = pipeline.fit(on_disk)
        assert loss(streamed, in_memory) < 1.02 * loss(pipeline.fit(in_memory), in_memory)
        assert pipeline.fit(on_disk).to_onnx() == streamed.to_onnx()

    @pytest.mark.parametrize("kind", ["gradient_boosting", "random_forest"])
    def test_more_threads_than_one_or_than_cores_give_the_same_bytes(
        self, kind: str, stored: tuple[UseCase, SnapshotRef], on_disk: TrainingSet
    ) -> None:
        pipeline = small_pipeline(stored[0], kind)
        four = replace(pipeline, context=replace(pipeline.context, threads=4))
        assert four.fit(on_disk).to_onnx() == pipeline.fit(on_disk).to_onnx()

    def test_bins_of_many_batches_give_nearly_the_model_of_one(
        self, stored: tuple[UseCase, SnapshotRef], in_memory: TrainingSet, on_disk: TrainingSet
    ) -> None:
        pipeline = small_pipeline(stored[0], "gradient_boosting")
        candidate = make_estimator(pipeline.candidate, pipeline.target)
        options = candidate.encoding(pipeline.params)
        encoder = fit_encoder(pipeline.features, on_disk, options)
        batches = EncodedBatches.of(encoder, on_disk, options, size=400)
        trees = candidate.fit_batches(batches, on_disk.labels, pipeline.params, pipeline.context)  # type: ignore[attr-defined]
        streamed = FittedPipeline(pipeline.target, encoder, trees, pipeline.features.names)
        assert loss(streamed, in_memory) < 1.05 * loss(pipeline.fit(in_memory), in_memory)

    def test_a_kind_that_wants_all_rows_gets_some_of_every_time(self, on_disk: TrainingSet) -> None:
        some = even_sample(on_disk, 300)
        assert len(some) == 300
        assert (some.times[0], some.times[-1]) == (on_disk.times[0], on_disk.times[-1])
        assert even_sample(some, 300) is some

    def test_missing_file_during_fit_raises(self, stored: tuple[UseCase, SnapshotRef]) -> None:
        pipeline = small_pipeline(stored[0], "gradient_boosting")
        rows = read_snapshot(snapshot_schema(stored[0]), stored[1], most_in_memory=FEW)
        options = make_estimator(pipeline.candidate, pipeline.target).encoding(pipeline.params)
        batches = EncodedBatches.of(fit_encoder(pipeline.features, rows, options), rows, options)
        gone = replace(batches, rows=moved(rows))
        candidate: Any = make_estimator(pipeline.candidate, pipeline.target)
        with pytest.raises(FileNotFoundError):
            candidate.fit_batches(gone, rows.labels, pipeline.params, pipeline.context)


class TestCluster:
    @pytest.mark.parametrize("rows", ["in_memory", "on_disk"])
    def test_two_workers_grow_a_model_as_good(
        self, rows: str, scheduler: str, stored: tuple[UseCase, SnapshotRef], request: pytest.FixtureRequest
    ) -> None:
        pipeline = small_pipeline(stored[0], "gradient_boosting")
        training: TrainingSet = request.getfixturevalue(rows)
        local = pipeline.fit(request.getfixturevalue("in_memory"))
        spread = replace(pipeline, context=replace(pipeline.context, cluster=scheduler)).fit(training)
        assert loss(spread, training) < 1.05 * loss(local, training)
        assert spread.to_onnx() != local.to_onnx()  # two workers draw rows of their own: it did not run here

    def test_cluster_workers_without_snapshot_name_the_folder(
        self, scheduler: str, stored: tuple[UseCase, SnapshotRef]
    ) -> None:
        pipeline = small_pipeline(stored[0], "gradient_boosting")
        rows = read_snapshot(snapshot_schema(stored[0]), stored[1], most_in_memory=FEW)
        options = make_estimator(pipeline.candidate, pipeline.target).encoding(pipeline.params)
        batches = EncodedBatches.of(fit_encoder(pipeline.features, rows, options), rows, options)
        facts = RowMetaInfo(rows.labels.astype(np.float64), None, np.zeros(1))
        gone = replace(batches, rows=moved(rows))
        with pytest.raises(NoriaError, match="NORIA_STORAGE"):
            boosted_on_cluster(scheduler, gone, facts, {"nthread": 1, "max_bin": 256}, 1)

    def test_only_the_engine_decides_where_it_trains(self) -> None:
        address = "tcp://dask:8786"
        assert cluster_of(Training(), address) == ""
        assert cluster_of(Training(engine=Engine.DASK), address) == address

    def test_an_engine_without_a_cluster_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="NORIA_DASK_SCHEDULER is not set"):
            cluster_of(Training(engine=Engine.DASK), "")

    def test_a_scheduler_that_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("noria.training.models.trees.dask_engine._PATIENCE", 0.5)
        facts = RowMetaInfo(np.zeros(1), None, np.zeros(1))
        batches: Any = None  # nothing is encoded before there is a cluster
        with pytest.raises(SettingsError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            boosted_on_cluster("tcp://127.0.0.1:9", batches, facts, {"nthread": 1, "max_bin": 256}, 1)


def small_pipeline(use_case: UseCase, kind: str) -> Pipeline:
    """A few trees of the default hyperparameters, which draw rows for each tree."""
    target = target_of(use_case)
    params = {**make_estimator(kind, target).defaults, "trees_rounds": 25}
    return Pipeline(kind, params, use_case.features, FitContext(seed=1, threads=1), target)


def loss(model: FittedPipeline, rows: TrainingSet) -> float:
    return loss_of(model.target, rows.labels, margins_of(model.target, model.score(rows)))


def moved(rows: TrainingSet) -> TrainingSet:
    """The rows, in a file that is no longer there."""
    assert isinstance(rows.columns, StoredColumns)
    return replace(rows, columns=replace(rows.columns, path=rows.columns.path.with_suffix(".gone")))
