import numpy as np
import pytest

from noria.core.encoder import LookupColumn, NumericColumn, OneHotColumn
from noria.core.metrics import roc_auc
from noria.training.dataset import TrainingSet
from noria.training.encoding import EncodingOptions, encode_for_training, fit_encoder

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
    encoded = encoder.encode_row({"weight": 1.0, "hour": 2.0, "depot": "moon", "street": "nowhere"})[0]
    assert encoded[:5].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    assert encoded[5] == 0.0
    assert encoded[6] == np.float32(np.log10(1 / 8001))


def test_rare_categories_are_drawn_to_the_average(use_case, rows):
    encoder = fit_encoder(use_case.features, rows, TREES)
    strict = fit_encoder(use_case.features, rows, EncodingOptions(scale=False, one_hot_up_to=4, smoothing=1e6))
    loose, drawn = (np.array(list(e.columns[3].values.values())) for e in (encoder, strict))
    assert np.abs(loose).max() > 0.5
    assert np.abs(drawn).max() < 0.01
