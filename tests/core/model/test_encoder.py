import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import LookupColumn, NumericColumn, OneHotColumn, RuleColumn

ENCODER = Encoder(
    columns=(
        NumericColumn(name="raw"),
        NumericColumn(name="scaled", center=10.3, scale=3.7, missing=0.0),
        OneHotColumn(name="depot", categories=("north", "south")),
        LookupColumn(name="street", values={"high": 0.3, "low": -0.2}, unseen=0.0, missing=-1.0),
        LookupColumn(name="depot", values={"north": 1.0}),
    )
)
NUMBERS = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan) | st.integers(-1000, 1000)
TEXTS = st.none() | st.sampled_from(["north", "south", "high", "low", "elsewhere", ""])
ROWS = st.lists(
    st.fixed_dictionaries({"raw": NUMBERS, "scaled": NUMBERS, "depot": TEXTS, "street": TEXTS}), min_size=1, max_size=20
)


def test_each_kind_of_column():
    row = ENCODER.encode_rows(({"raw": 2, "scaled": 14.0, "depot": "south", "street": "high"},))
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, np.array([[2, 1, 0, 1, 0.3, np.nan]], dtype=np.float32))


def test_what_is_missing_or_unseen_has_its_own_numbers():
    nothing = ENCODER.encode_rows(({},))
    np.testing.assert_array_equal(nothing, np.array([[np.nan, 0, 0, 0, -1, np.nan]], dtype=np.float32))
    unseen = ENCODER.encode_rows(({"raw": None, "scaled": math.nan, "depot": "moon", "street": "new"},))
    np.testing.assert_array_equal(unseen, np.array([[np.nan, 0, 0, 0, 0, np.nan]], dtype=np.float32))


@settings(deadline=None, max_examples=100)
@given(ROWS)
def test_one_row_and_many_give_the_same_bits(rows):
    columns = {name: [row[name] for row in rows] for name in ("raw", "scaled", "depot", "street")}
    by_row, by_column = ENCODER.encode_rows(rows), ENCODER.encode_columns(columns)
    assert by_row.shape == by_column.shape == (len(rows), ENCODER.width)
    np.testing.assert_array_equal(by_row, by_column)


def test_it_is_plain_json():
    again = Encoder.model_validate(json.loads(ENCODER.model_dump_json()))
    assert again == ENCODER


RULES = Encoder(
    columns=(
        NumericColumn(name="raw"),
        RuleColumn(name="scaled", expression="first(scaled / raw, 2 * raw, 3)", least=0.5, missing=7.0),
        RuleColumn(name="depot", expression="4 if depot == 'north' else raw", least=0.5, missing=7.0),
        OneHotColumn(name="depot", categories=("north",)),
    )
)


def test_a_rule_of_several_fields_is_a_column():
    row = RULES.encode_rows(({"raw": 2.0, "scaled": 9.0, "depot": "south"},))
    np.testing.assert_array_equal(row, np.array([[2, 4.5, 2, 0]], dtype=np.float32))
    nothing = RULES.encode_rows(({},))
    np.testing.assert_array_equal(nothing, np.array([[np.nan, 3, 7, 0]], dtype=np.float32))
    tiny = RULES.encode_rows(({"raw": 0.01, "scaled": -1.0},))
    np.testing.assert_array_equal(tiny, np.array([[0.01, 7, 0.5, 0]], dtype=np.float32))


@given(ROWS)
@settings(deadline=None)
def test_a_rule_says_of_many_rows_what_it_says_of_one(rows):
    columns = {name: [row[name] for row in rows] for name in ("raw", "scaled", "depot")}
    numbers = {name: np.array([math.nan if value is None else value for value in columns[name]], dtype=np.float64)
               for name in ("raw", "scaled")}  # fmt: skip
    one_by_one = RULES.encode_rows(rows)
    np.testing.assert_array_equal(one_by_one, RULES.encode_columns(columns))
    np.testing.assert_array_equal(one_by_one, RULES.encode_columns(columns | numbers))
    again = Encoder.model_validate_json(RULES.model_dump_json())
    np.testing.assert_array_equal(one_by_one, again.encode_rows(rows))
