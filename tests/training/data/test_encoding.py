import numpy as np
import pytest

from noria.core.metrics.binary import roc_auc
from noria.core.model.encoder_columns import LookupColumn, NumericColumn, OneHotColumn
from noria.core.use_case import Features, Task
from noria.training.data.columns import Categories
from noria.training.data.dataset import TrainingSet, read_snapshot, snapshot_schema
from noria.training.data.encoding import EncodingOptions, encode, encode_for_training, fit_encoder
from noria.training.data.target import PredictionTarget, target_of

TREES = EncodingOptions(scale=False, one_hot_up_to=4, smoothing=10.0)
SCALED = EncodingOptions(scale=True, one_hot_up_to=4, smoothing=10.0)


def test_few_categories_become_columns_and_many_a_mean_and_a_frequency(use_case, rows):
    encoder = fit_encoder(use_case.features, rows, TREES)
    kinds = [(type(column), column.name) for column in encoder.columns]
    assert kinds == [
        (NumericColumn, "weight"),
        (NumericColumn, "hour"),
        (OneHotColumn, "depot"),
        (LookupColumn, "street"),
        (LookupColumn, "street"),
    ]
    assert encoder.encode_columns(rows.columns).shape == (len(rows), encoder.width) == (8000, 7)


def test_trees_see_missing_numbers_and_linear_models_see_none(use_case, rows):
    missing = np.isnan(rows.columns["weight"])
    assert missing.any()
    plain = fit_encoder(use_case.features, rows, TREES).encode_columns(rows.columns)
    scaled = fit_encoder(use_case.features, rows, SCALED).encode_columns(rows.columns)
    assert np.isnan(plain[missing, 0]).all()
    assert not np.isnan(scaled).any()
    assert (scaled[missing, 0] == 0).all()
    assert scaled[~missing, 0].mean() == pytest.approx(0, abs=1e-4)
    assert scaled[~missing, 0].std() == pytest.approx(1, abs=1e-4)


def test_a_row_alone_is_encoded_as_among_many(use_case, rows):
    encoder = fit_encoder(use_case.features, rows, SCALED)
    some = rows.take(np.arange(0, len(rows), 97))
    one_by_one = encoder.encode_rows([some.row(index) for index in range(len(some))])
    np.testing.assert_array_equal(one_by_one, encoder.encode_columns(some.columns))


def noise(rows: int = 4000) -> TrainingSet:
    """Every row has a category of its own, more or less, and labels know nothing of it."""
    random = np.random.default_rng(3)
    columns = {
        "weight": np.zeros(rows),
        "hour": np.zeros(rows),
        "depot": ["a"] * rows,
        "street": [f"street {number}" for number in random.integers(0, rows // 2, rows)],
    }
    return TrainingSet(columns, random.random(rows) < 0.3, np.arange(rows))


def test_a_rows_own_label_does_not_leak_through_the_mean_of_its_category(use_case):
    rows = noise()
    encoder = fit_encoder(use_case.features, rows, TREES)
    mean = encoder.width - 2
    leaking = encoder.encode_columns(rows.columns)[:, mean].astype(np.float64)
    honest = encode_for_training(encoder, rows, TREES)[:, mean].astype(np.float64)
    assert roc_auc(rows.labels, leaking) > 0.75  # the trap is there
    assert roc_auc(rows.labels, honest) == pytest.approx(0.5, abs=0.03)


def test_an_unseen_category_counts_as_average(use_case, rows):
    encoder = fit_encoder(use_case.features, rows, TREES)
    encoded = encoder.encode_rows(({"weight": 1.0, "hour": 2.0, "depot": "moon", "street": "nowhere"},))[0]
    assert encoded[:5].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    assert encoded[5] == 0.0
    assert encoded[6] == np.float32(np.log10(1 / 8001))


def test_of_very_many_categories_the_rarest_count_as_unseen(use_case, rows, monkeypatch):
    counts = rows.categories("street").counts()[:-1]
    often, rare = (rows.categories("street").names[place] for place in (counts.argmax(), counts.argmin()))
    monkeypatch.setattr("noria.training.data.encoding.MOST_TEXTS", 20)
    encoder = fit_encoder(use_case.features, rows, TREES)
    *_, means, shares = encoder.columns
    assert len(means.values) == len(shares.values) == 20
    assert often in means.values
    assert rare not in means.values
    streets = np.array(rows.columns["street"].tolist())
    honest = encode_for_training(encoder, rows, TREES)
    assert set(honest[streets == rare, 5]) == {0.0}
    assert set(honest[streets == rare, 6]) == {np.float32(np.log10(1 / 8001))}
    assert (honest[streets == often, 5] != 0.0).all()


def test_rare_categories_are_drawn_to_the_average(use_case, rows):
    encoder = fit_encoder(use_case.features, rows, TREES)
    strict = fit_encoder(use_case.features, rows, EncodingOptions(scale=False, one_hot_up_to=4, smoothing=1e6))
    loose, drawn = (np.array(list(e.columns[3].values.values())) for e in (encoder, strict))
    assert np.abs(loose).max() > 0.5
    assert np.abs(drawn).max() < 0.01


def test_texts_encoded_once_are_as_encoded_row_by_row(case):
    use_case, snapshot = case
    rows = read_snapshot(snapshot_schema(use_case), snapshot)
    options = EncodingOptions(scale=False, one_hot_up_to=2, smoothing=10.0, target=target_of(use_case))
    encoder = fit_encoder(use_case.features, rows, options)
    np.testing.assert_array_equal(encode(encoder, rows), encoder.encode_columns(rows.columns))


def test_category_is_encoded_as_one_mean_per_output(case):
    use_case, snapshot = case
    rows = read_snapshot(snapshot_schema(use_case), snapshot)
    options = EncodingOptions(scale=False, one_hot_up_to=4, smoothing=10.0, target=target_of(use_case))
    encoder = fit_encoder(use_case.features, rows, options)
    means = [column for column in encoder.columns if isinstance(column, LookupColumn)][:-1]
    assert len(means) == target_of(use_case).outputs
    honest = encode_for_training(encoder, rows, options)
    first = encoder.width - len(means) - 1
    for place in range(len(means)):
        own = encode(encoder, rows)[:, first + place].astype(np.float64)
        assert (own != honest[:, first + place]).any()  # taken out of fold
        target = rows.labels == place if use_case.task is Task.MULTICLASS else rows.labels
        assert np.corrcoef(own, target)[0, 1] > 0.05


def test_the_mean_of_a_number_is_in_standard_deviations():
    random = np.random.default_rng(3)
    texts = random.choice(["low", "high"], 4000)
    labels = np.where(texts == "high", 1000.0, 0.0) + random.normal(0, 1, 4000)
    features = Features(model="ftr", categorical=["level"])
    rows = TrainingSet({"level": Categories.of(texts.tolist())}, labels, np.arange(4000))
    options = EncodingOptions(scale=False, one_hot_up_to=1, smoothing=1.0, target=PredictionTarget(Task.REGRESSION))
    encoder = fit_encoder(features, rows, options)
    assert encoder.columns[0].values["high"] == pytest.approx(1.0, abs=0.05)
    assert encoder.columns[0].values["low"] == pytest.approx(-1.0, abs=0.05)
    assert encoder.columns[0].unseen == 0.0


def test_rows_that_lie_in_order_of_their_categories_are_encoded_alike(use_case):
    """A file is often sorted; what other rows say of a row's category may not depend on where in the file it lies."""
    random = np.random.default_rng(5)
    streets = np.arange(4000) // 200
    labels = random.random(4000) < np.where(streets < 8, 0.2, 0.7)
    plain = {"weight": np.zeros(4000), "hour": np.zeros(4000), "depot": ["a"] * 4000}
    rows = TrainingSet({**plain, "street": [f"street {number}" for number in streets]}, labels, np.arange(4000))
    encoder = fit_encoder(use_case.features, rows, TREES)
    seen, served = encode_for_training(encoder, rows, TREES)[:, 3], encode(encoder, rows)[:, 3]
    assert np.abs(seen - served).max() < 0.5
    assert served[streets >= 8].min() - served[streets < 8].max() > 0.8
