"""How rows are held back: in time, at random, by group; for each task."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from noria.core.base.errors import NotEnoughDataError
from noria.training.data.dataset import TrainingSet
from noria.training.data.random_split import group_parts, row_parts
from noria.training.data.sampling import Sampling, sampled
from noria.training.data.splits import SplitPlan, calibration_split, final_split, search_folds, split_plan
from tests.training.conftest import parcels

DAY = 86_400_000_000
START = 1_704_067_200_000_000  # 2024-01-01, in microseconds


def made_up(labels, *, days: int = 120, group: list[str] | None = None) -> TrainingSet:
    count = len(labels)
    times = START + np.linspace(0, days * DAY, count, endpoint=False).astype(np.int64)
    depots = group or ["north"] * count
    columns = {"weight": np.arange(count, dtype=np.float64), "hour": np.zeros(count), "depot": depots, "street": depots}
    return TrainingSet(columns, np.asarray(labels), times)


def which(rows: TrainingSet) -> set[int]:
    return set(rows.columns["weight"].astype(int).tolist())


def late(count: int, rate: float = 0.3) -> np.ndarray:
    return np.random.default_rng(0).random(count) < rate


def by(tmp_path, how: str, **training) -> SplitPlan:
    split = {"by": how} | ({"group": "depot"} if how == "group" else {}) | training.pop("split", {})
    return split_plan(parcels(tmp_path, training={"split": split, **training}))


def stratified(tmp_path, **task) -> SplitPlan:
    return split_plan(parcels(tmp_path, training={"split": {"by": "stratified"}}, **task))


MULTICLASS = {
    "task": "multiclass",
    "label": {"model": "lbl", "column": "outcome", "classes": ["on_time", "late", "lost"], "available_after": "1d"},
    "business": {
        "decision": "send a warning",
        "currency": "EUR",
        "value": {name: {"on_time": 0, "late": 1, "lost": 2} for name in ("on_time", "late", "lost")},
        "baseline": "'late' if hour >= 18 else 'on_time'",
    },
    "gates": [],
}
REGRESSION = {
    "task": "regression",
    "label": {"model": "lbl", "column": "delay", "available_after": "1d"},
    "business": {
        "decision": "state a time",
        "currency": "EUR",
        "value": {"over": -1, "under": -2},
        "baseline": "first(weight, 30)",
    },
    "gates": [],
}


def test_time_split_validates_on_later_rows(tmp_path):
    plan, rows = by(tmp_path, "time", split={"folds": 3}), made_up(late(6000))
    gap = timedelta(days=1)
    final, calibration, folds = final_split(plan, rows), calibration_split(plan, rows), search_folds(plan, rows)
    assert len(folds) == 3
    for fold in (final, calibration, *folds):
        latest = timedelta(microseconds=int(fold.training.times[-1]))
        assert fold.window.start.timestamp() - latest.total_seconds() >= gap.total_seconds()
        assert fold.validation.times[0] > fold.training.times[-1]
    assert final.validation.times[-1] == rows.times[-1]
    assert (final.window.end - final.window.start) == timedelta(days=20)
    assert calibration.window.end <= final.window.start - gap
    windows = [fold.window for fold in folds]
    assert windows == sorted(windows)
    assert [len(fold.training) for fold in folds] == sorted(len(fold.training) for fold in folds)
    assert folds[-1].window.end <= final.window.start


def test_stratified_keeps_the_share_and_the_rate_and_never_searches_on_the_final_rows(tmp_path):
    plan, rows = by(tmp_path, "stratified", test_share=0.25), made_up(late(8000, 0.05))
    final, calibration, folds = final_split(plan, rows), calibration_split(plan, rows), search_folds(plan, rows)
    assert len(final.validation) == pytest.approx(2000, abs=5)
    assert final.validation.labels.mean() == pytest.approx(rows.labels.mean(), abs=0.002)
    assert which(final.training) | which(final.validation) == set(range(8000))
    assert not which(final.training) & which(final.validation)
    assert which(calibration.training) | which(calibration.validation) == which(final.training)
    assert len(folds) == 2
    for fold in folds:
        assert which(fold.training) | which(fold.validation) == which(final.training)
        assert not which(fold.training) & which(fold.validation)
        assert len(fold.validation) == pytest.approx(1200, abs=5)
    assert not which(folds[0].validation) & which(folds[1].validation)


def test_parts_stay_in_order_of_time(tmp_path):
    final = final_split(by(tmp_path, "stratified"), made_up(late(1000)))
    for part in (final.training, final.validation):
        assert np.all(np.diff(part.times) > 0)
        assert part.times[0] in final.training.times or part.times[0] in final.validation.times
    assert final.window.start.timestamp() * 1e6 == final.validation.times[0]


@pytest.mark.parametrize("how", ["stratified", "group"])
def test_the_same_seed_draws_the_same_rows_and_another_seed_others(tmp_path, how):
    rows = made_up(late(3000), group=[f"d{row % 50}" for row in range(3000)])
    one, again = (final_split(by(tmp_path, how), rows) for _ in range(2))
    other = final_split(by(tmp_path, how, seed=8), rows)
    assert which(one.validation) == which(again.validation)
    assert which(one.validation) != which(other.validation)


def test_few_rows_get_more_folds_unless_the_number_is_set(tmp_path):
    plan = by(tmp_path, "stratified")
    assert len(search_folds(plan, made_up(late(8000)))) == 2
    few = search_folds(plan, made_up(late(4000)))
    assert len(few) == 5
    assert set.union(*(which(fold.validation) for fold in few)) == which(final_split(plan, made_up(late(4000))).training)
    assert len(search_folds(plan, made_up(late(1000)))) == 10  # drawn twice
    assert len(search_folds(by(tmp_path, "stratified", split={"folds": 3}), made_up(late(4000)))) == 3


def test_group_split_keeps_groups_whole(tmp_path):
    plan = by(tmp_path, "group")
    random = np.random.default_rng(1)
    groups = [f"d{number}" for number in random.zipf(1.5, 6000) % 120]
    groups[:50] = [None] * 50
    rows = made_up(late(6000), group=groups)
    final, folds = final_split(plan, rows), search_folds(plan, rows)
    for fold in (final, calibration_split(plan, rows), *folds):
        assert not set(fold.training.columns["depot"]) & set(fold.validation.columns["depot"])
        assert len(fold.validation) > 0.05 * len(fold.training)
    assert len(final.validation) / 6000 == pytest.approx(0.2, abs=0.05)


def test_few_groups_make_few_folds_and_one_group_cannot_be_held_apart(tmp_path):
    plan, names = by(tmp_path, "group"), ["north", "south", "harbour", "west"]
    rows = made_up(late(4000), group=names * 1000)
    final, folds = final_split(plan, rows), search_folds(plan, rows)
    assert set(final.validation.columns["depot"]) < set(names)
    assert len(folds) == 3
    for fold in folds:
        assert len(set(fold.validation.columns["depot"])) == 1
        assert not set(fold.training.columns["depot"]) & set(fold.validation.columns["depot"])
    two = made_up(late(4000), group=["north", "south"] * 2000)
    assert len(final_split(plan, two).validation) == 2000
    with pytest.raises(NotEnoughDataError, match=r"depot has 1 groups among 2000 labelled rows, and 2 parts"):
        search_folds(plan, two)


def test_every_range_of_a_number_is_in_every_part(tmp_path):
    plan = stratified(tmp_path, **REGRESSION)
    delays = np.random.default_rng(0).gamma(0.3, 50.0, 3000)
    final = final_split(plan, made_up(delays))
    assert final.validation.labels.mean() == pytest.approx(delays.mean(), rel=0.15)
    assert np.mean(final.validation.labels > np.quantile(delays, 0.9)) == pytest.approx(0.1, abs=0.01)


def test_every_class_is_in_every_part(tmp_path):
    plan = stratified(tmp_path, **MULTICLASS)
    classes = np.repeat(np.array([0, 1, 2]), [3000, 900, 100])
    final = final_split(plan, made_up(classes))
    assert np.bincount(final.validation.labels).tolist() == pytest.approx([600, 180, 20], abs=2)


def test_split_of_too_few_rows_names_the_shortage(tmp_path):
    with pytest.raises(NotEnoughDataError, match="the training set is empty: wait for more data"):
        final_split(by(tmp_path, "time"), made_up(late(0)))
    with pytest.raises(NotEnoughDataError, match=r"before the slice .* 0 of them positive; at least 20 of each class"):
        final_split(by(tmp_path, "time"), made_up(np.zeros(1000, dtype=bool)))
    with pytest.raises(NotEnoughDataError, match=r"in the rows held back at random .* change training.test_share"):
        final_split(by(tmp_path, "stratified"), made_up(late(400, 0.1)))
    rare = stratified(tmp_path, **MULTICLASS)
    with pytest.raises(NotEnoughDataError, match=r"2 of lost; at least 10 of each class are needed"):
        final_split(rare, made_up(np.repeat(np.array([0, 1, 2]), [1000, 100, 3])))
    number = stratified(tmp_path, **REGRESSION)
    with pytest.raises(NotEnoughDataError, match=r"beside the rows .* 25 labelled rows, and at least 40 are needed"):
        final_split(number, made_up(np.arange(30.0)))


def test_parts_have_their_shares_of_every_stratum():
    strata = np.repeat(np.array([0, 1]), [900, 100])
    parts = row_parts(strata, np.array([0.5, 0.3, 0.2]), np.random.default_rng(0))
    for part, share in enumerate((0.5, 0.3, 0.2)):
        assert np.sum((parts == part) & (strata == 0)) == pytest.approx(900 * share, abs=4)
        assert np.sum((parts == part) & (strata == 1)) == pytest.approx(100 * share, abs=4)


def test_groups_stay_whole_and_strata_even():
    random = np.random.default_rng(0)
    groups = np.unique(random.integers(0, 80, 4000), return_inverse=True)[1]
    strata = (random.random(4000) < groups / 160).astype(np.int64)  # some groups have many of a class, others none
    parts = group_parts(groups, strata, np.full(5, 0.2), random)
    assert all(len(set(parts[groups == group])) == 1 for group in range(groups.max() + 1))
    rates = [strata[parts == part].mean() for part in range(5)]
    assert max(rates) - min(rates) < 0.05


def test_very_many_rows_are_searched_on_an_even_sample_in_time():
    few, sampling = made_up(late(1000)), Sampling(many_rows=2000, sample_rows=1000)
    assert sampled(few, 7, sampling) is few
    many = TrainingSet({"weight": np.arange(2000.0)}, late(2000), np.arange(2000, dtype=np.int64))
    sample = sampled(many, 7, sampling)
    assert len(sample) == 1000
    assert np.all(np.diff(sample.times) > 0)
    assert np.searchsorted(sample.times, 1000) == 500


def test_time_split_leaves_out_late_labels(tmp_path):
    plan = split_plan(parcels(tmp_path))
    rows = made_up(late(4000))
    slow = np.arange(len(rows)) % 3 == 0  # these labels take twenty days instead of the stated one
    known = rows.times + np.where(slow, 20, 1) * DAY
    plain, fold = final_split(plan, rows), final_split(plan, replace(rows, known_at=known))
    assert which(fold.validation) == which(plain.validation)
    start = int(fold.window.start.timestamp() * 1_000_000)
    lost = which(plain.training) - which(fold.training)
    assert lost
    assert all(slow[row] and known[row] >= start for row in lost)
    assert all(known[row] < start for row in which(fold.training))
    for part in search_folds(plan, replace(rows, known_at=known)):
        assert (part.training.known_at < int(part.window.start.timestamp() * 1_000_000)).all()
