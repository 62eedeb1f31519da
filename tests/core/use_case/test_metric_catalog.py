import pytest

from noria.core.use_case.metric_catalog import DEFINITIONS, definition, figure, gap


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("value", -1234.5, "−1,234"),
        ("value", 3.25, "3.25"),
        ("roc_auc", 0.71264, "0.713"),
        ("wape", 0.123, "12.3 %"),
        ("mae", 1234.5, "1,234"),
        ("mae", 45.67, "45.7"),
        ("bias", 0.5, "+0.500"),
        ("parity", 3e-8, "3e−08"),
        ("roc_auc", None, "–"),
        ("roc_auc", float("nan"), "–"),
        ("not_listed", 0.5, "0.500"),
    ],
)
def test_figures_have_as_many_digits_as_mean_something(metric, value, shown):
    assert figure(metric, value) == shown


@pytest.mark.parametrize(
    ("metric", "difference", "shown"),
    [
        ("roc_auc", 0.01, "+0.010"),
        ("roc_auc", -0.01, "−0.010"),
        ("roc_auc", 0.00001, "0.000"),
        ("bias", 0.5, "+0.500"),
        ("wape", 0.05, "+5.0 %"),
        ("value", None, "–"),
        ("value", float("nan"), "–"),
    ],
)
def test_gaps_have_a_sign(metric, difference, shown):
    assert gap(metric, difference) == shown


def test_every_metric_has_words_and_a_place():
    assert len(DEFINITIONS) > 20
    for name, metric in DEFINITIONS.items():
        assert metric.title
        assert metric.meaning
        assert metric.gates or metric.searches, name


def test_a_metric_that_is_not_listed_has_its_own_name_as_title():
    assert definition("not_listed").title == "not listed"
