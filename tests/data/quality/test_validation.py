from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from noria.core.base.errors import QualityError, UseCaseError
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.quality.validation import read_suites, validate
from tests.data.slice import FIRST, SECOND

# The library's own imports, on the first validation of a process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow"),
]


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A copy of the shipped use case's folder, to be spoilt."""
    copy = tmp_path / "flight_delays"
    shutil.copytree(root / "use_cases/flight_delays", copy)
    return copy


def test_real_flights_meet_every_critical_expectation(built: Warehouse, use_case: UseCase, folder: Path) -> None:
    raw = validate(built, use_case, folder, SECOND, "raw")
    features = validate(built, use_case, folder, SECOND, "features")
    assert raw.expectations + features.expectations == sum(len(suite.expectations) for suite in read_suites(folder)) > 20


def test_a_critical_failure_names_expectation_column_count_and_rows(
    built: Warehouse, use_case: UseCase, folder: Path
) -> None:
    with built.transaction() as connection:
        spoilt = connection.execute(
            text(
                "update raw.flight_delays__flights set dep_delay = 99999 "
                "where time_hour >= '2013-01-10' and time_hour < '2013-01-12' and carrier = 'HA'"
            )
        ).rowcount
    assert spoilt
    with pytest.raises(QualityError) as caught:
        validate(built, use_case, folder, SECOND, "raw")
    message = str(caught.value)
    assert "expect_column_values_to_be_between(column='dep_delay'" in message
    assert f": {spoilt} of " in message
    assert "carrier=HA, flight=51, origin=JFK, dest=HNL" in message, "rows can be found by their keys"
    validate(built, use_case, folder, FIRST, "raw")  # only the interval's own rows count


@pytest.mark.parametrize("found", ["Infinity", "-Infinity", "4e38"])
def test_a_number_that_no_model_can_learn_from_is_refused_without_being_asked(
    built: Warehouse, use_case: UseCase, folder: Path, found: str
) -> None:
    (folder / "expectations/features.yaml").unlink()
    with built.transaction() as connection:
        when = "scheduled_departure between '2013-01-10' and '2013-01-12'"
        flights = f"select flight_id from features.ftr_flight_delays where {when}"
        change = (
            f"update features.ftr_flight_delays set wind_gust_3h = :found where flight_id in ({flights} order by 1 limit 7)"
        )
        assert connection.execute(text(change), {"found": float(found)}).rowcount == 7
        connection.execute(text("update features.ftr_flight_delays set pressure = 'NaN'"))  # missing, as null is
        first = connection.scalar(text(f"{flights} order by 1 limit 1"))
    with pytest.raises(QualityError) as caught:
        validate(built, use_case, folder, SECOND, "features")
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith(
        '- "features"."ftr_flight_delays": wind_gust_3h is infinite or beyond 3.4e+38 in 7 rows; give null'
    )
    assert f"such as flight_id={first}, " in line
    validate(built, use_case, folder, FIRST, "features")  # only the interval's own rows count


def test_a_warning_reports_and_lets_pass(built: Warehouse, use_case: UseCase, folder: Path) -> None:
    (folder / "expectations/features.yaml").write_text(
        "- {type: expect_column_values_to_not_be_null, kwargs: {column: wind_gust_3h}, severity: warning, why: calm}\n"
    )
    result = validate(built, use_case, folder, SECOND, "features")
    assert result.expectations == 1
    assert len(result.warnings) == 1
    assert "wind_gust_3h" in result.warnings[0]
    assert "flight_id=" in result.warnings[0]
    assert "calm" in result.warnings[0]


def test_a_column_that_is_not_there_fails_in_words(built: Warehouse, use_case: UseCase, folder: Path) -> None:
    (folder / "expectations/features.yaml").write_text(
        "- {type: expect_column_values_to_not_be_null, kwargs: {column: no_such}}\n"
    )
    with pytest.raises(QualityError, match=r"no_such.*could not be held: .*no_such"):
        validate(built, use_case, folder, SECOND, "features")


def test_a_stage_without_a_suite_expects_nothing(built: Warehouse, use_case: UseCase, folder: Path) -> None:
    shutil.rmtree(folder / "expectations")
    assert validate(built, use_case, folder, SECOND, "raw").expectations == 0


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("raw_flihgts.yaml", "[]", r"raw_flihgts\.yaml: is not the suite of any source; did you mean raw_flights\.yaml\?"),
        ("features.yaml", "type: x", r"features\.yaml: found dict; expected a list"),
        ("features.yaml", "- [", r"features\.yaml:\d+: not YAML"),
        ("features.yaml", "- {kwargs: {column: x}}", r"features\.yaml: \[0\]\.type: is missing; add it"),
        (
            "features.yaml",
            "- {type: expect_column_values_to_not_be_null, severty: warning}",
            r"\[0\]\.severty: is not a field; did you mean severity\?",
        ),
        (
            "features.yaml",
            "- {type: expect_column_values_to_not_be_nul, kwargs: {column: x}}",
            r"\[0\]\.type: 'expect_column_values_to_not_be_nul' is not an expectation; did you mean "
            r"expect_column_values_to_not_be_null\?",
        ),
        (
            "features.yaml",
            "- {type: expect_column_values_to_be_between, kwargs: {column: x, minimum: 1, max_value: 2}}",
            r"\[0\]\.kwargs\.minimum: .*; it takes .*min_value",
        ),
    ],
)
@pytest.mark.slow
def test_a_suite_that_is_wrong_says_where(folder: Path, file: str, content: str, message: str) -> None:
    (folder / "expectations" / file).write_text(content)
    with pytest.raises(UseCaseError, match=message):
        read_suites(folder)
