"""Private parts of Evidently that `monitoring.evidently_report` uses: these fail when a new release has another shape."""

import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from monitoring import evidently_report
from monitoring.evidently_report import ANCHORS
from noria.core.use_case import DriftPolicy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page():
    frame = pd.DataFrame({"hours": np.arange(50.0), "place": ["a", "b"] * 25})
    picture = evidently_report._Picture(frame, frame, {"hours": 0.0, "place": 0.25}, frozenset())
    return evidently_report._render(picture, DriftPolicy())


def missing(page):
    return [anchor for anchor in ANCHORS if page.count(anchor) != 1]


def test_evidently_takes_a_drift_method(page):  # the page imports Evidently, with its warnings
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    assert [field.name for field in fields(StatTest)][:4] == [
        *("name", "display_name", "allowed_feature_types", "default_threshold")
    ]
    assert list(inspect.signature(register_stattest).parameters)[:2] == ["stat_test", "default_impl"]
    assert {ColumnType.Categorical, ColumnType.Numerical} <= set(ColumnType)


def test_evidently_draws_the_distances_it_is_given(page):
    assert "Jensen-Shannon distance, less chance" in page
    assert "0.25" in page


def test_page_has_each_text_that_is_replaced_once(page):
    assert missing(page) == []


def test_planted_change_of_the_page_is_named(page):
    assert missing(page.replace("<body>", '<body class="new">')) == ["<body>"]
