"""An effect size that says the same at every sample size."""

from __future__ import annotations

import numpy as np
import pytest

from noria.core.model.signature import Field, Kind, Signature
from noria.core.stats.drift import FeatureDrift, compare, effect_size, measure_drift

THRESHOLD = 0.1
SIZES = [500, 1_000, 5_000, 20_000, 200_000]
TEMPERATURE = Field(name="temperature", kind=Kind.NUMERIC, unit="°F")
DELAY = Field(name="delay", kind=Kind.NUMERIC)
HOUR = Field(name="hour", kind=Kind.NUMERIC)
DESTINATION = Field(name="destination", kind=Kind.CATEGORICAL)
PLACES = np.array([f"place {index}" for index in range(100)])
POPULARITY = 1 / np.arange(1, 101) / np.sum(1 / np.arange(1, 101))


def draw(name: str, rows: int, rng: np.random.Generator, moved: float = 0.0) -> list[object]:
    """One column: a bell, a pile of zeros with a long tail, a few whole numbers, a hundred texts; some of each missing."""
    if name == "temperature":
        values = rng.normal(40 + 12 * moved, 12, rows)
    elif name == "delay":
        values = np.where(rng.random(rows) < 0.6 - 0.25 * moved, 0.0, rng.exponential(20, rows))
    elif name == "hour":
        values = np.clip(rng.binomial(18, 0.5 + 0.1 * moved, rows) + 5, 5, 23).astype(float)
    else:
        weights = POPULARITY * np.where(np.arange(100) < 2, 1 + 1.5 * moved, 1)
        values = rng.choice(PLACES, rows, p=weights / weights.sum())
    return [None if gone else value for gone, value in zip(rng.random(rows) < 0.03, values.tolist(), strict=True)]


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("field", [TEMPERATURE, DELAY, HOUR, DESTINATION], ids=lambda field: field.name)
def test_a_resample_of_the_reference_never_drifts(field: Field, rows: int) -> None:
    rng = np.random.default_rng(3)
    reference = draw(field.name, 8_000, rng)
    repeats = 20 if rows <= 5_000 else 1
    distances = [compare(field, reference, draw(field.name, rows, rng), THRESHOLD).distance for _ in range(repeats)]
    assert len(distances) == repeats
    assert max(distances) < THRESHOLD


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("field", [TEMPERATURE, DELAY, HOUR, DESTINATION], ids=lambda field: field.name)
def test_a_planted_shift_drifts_at_every_sample_size(field: Field, rows: int) -> None:
    rng = np.random.default_rng(4)
    reference = draw(field.name, 8_000, rng)
    found = compare(field, reference, draw(field.name, rows, rng, moved=1.0), THRESHOLD)
    assert found.drifted, found


def test_the_distance_hardly_depends_on_the_number_of_rows() -> None:
    rng = np.random.default_rng(5)
    reference = draw("temperature", 8_000, rng)
    distances = [compare(TEMPERATURE, reference, draw("temperature", rows, rng, 1.0), THRESHOLD).distance for rows in SIZES]
    assert max(distances) - min(distances) < 0.04


def test_distance_of_equal_and_of_disjoint_shares() -> None:
    assert effect_size(np.array([5e6, 5e6]), np.array([5e6, 5e6])) == 0.0
    assert effect_size(np.array([1e9, 0.0]), np.array([0.0, 1e9])) == pytest.approx(1.0, abs=1e-3)
    assert effect_size(np.array([0.0]), np.array([4.0])) == 0.0


def test_distance_agrees_with_scipy_where_chance_is_negligible() -> None:
    from scipy.spatial.distance import jensenshannon

    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.4, 0.2])
    assert effect_size(p * 1e9, q * 1e9) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-5)


@pytest.mark.parametrize(
    ("field", "reference", "current", "explanation"),
    [
        (TEMPERATURE, [39.0] * 50, [68.0] * 50, "median 39 → 68 °F"),
        (TEMPERATURE, [39.0] * 50, [39.0] * 20 + [None] * 30, "missing 0 % → 60 %"),
        (TEMPERATURE, [39.0] * 50, [None] * 50, "missing 0 % → 100 %"),
        (TEMPERATURE, [None] * 50, [3.0] * 50, "missing 100 % → 0 %"),
        (DELAY, [5.0] * 50, [5.0] * 30 + [900.0] * 20, "middle 80 % 5 to 5 → 5 to 900"),
        (DELAY, [*range(100)], [*range(30, 70)], "middle 80 % 9.9 to 89.1 → 33.9 to 65.1"),
        (DELAY, [*range(100)], [*range(70, 80)], "median 49.5 → 74.5"),
        (DELAY, [5.0] * 99 + [6.0], [5.0] * 100, "mean 5.01 → 5"),
        (DELAY, [1234.5] * 50, [23456.0] * 50, "median 1,234 → 23,456"),
        (DESTINATION, ["LAX"] * 50, ["LAX"] * 20 + ["SFO"] * 30, "values not seen before: 0 % → 60 %"),
        (DESTINATION, ["LAX"] * 40 + ["SFO"] * 10, ["LAX"] * 15 + ["SFO"] * 35, "SFO: 20 % → 70 %"),
        (DESTINATION, ["LAX"] * 995 + ["SFO"] * 5, ["LAX"] * 500 + ["SFO"] * 500, "rare values: 0.5 % → 50 %"),
        (DESTINATION, ["LAX"] * 50, [None] * 50, "missing 0 % → 100 %"),
    ],
)
def test_the_explanation_says_what_moved(
    field: Field, reference: list[object], current: list[object], explanation: str
) -> None:
    assert compare(field, reference, current, THRESHOLD).explanation == explanation


def test_a_constant_that_jumps_is_seen() -> None:
    assert compare(TEMPERATURE, [39.0] * 900, [40.0] * 900, THRESHOLD).distance > 0.9


def test_features_are_ranked_by_how_far_they_moved() -> None:
    rng = np.random.default_rng(6)
    names = ("temperature", "hour", "destination")
    reference = {name: draw(name, 8_000, rng) for name in names}
    moved = {"temperature": draw("temperature", 900, rng), "hour": draw("hour", 900, rng, 1.5)}
    current = {**moved, "destination": draw("destination", 900, rng)}
    found = measure_drift(reference, current, Signature(fields=(TEMPERATURE, HOUR, DESTINATION)), THRESHOLD)
    assert found[0].name == "hour"
    assert [drift.drifted for drift in found] == [True, False, False]
    assert all(isinstance(drift, FeatureDrift) for drift in found)
