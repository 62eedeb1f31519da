"""hotel_rates and flight_outcomes turn the whole wheel on their real data: data, training, promotion, scores, verdict, mail.

Everything is real but the search, which is short. `flight_delays` does the same through Airflow, in tests/e2e.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from monitoring.jobs import monitor, notify
from noria.bootstrap import Services, bootstrap
from noria.core.base.errors import RegistryError
from noria.core.base.interval import Interval
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.lifecycle.gates import check_gates
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import EVIDENCE
from noria.core.use_case import UseCase
from noria.data.tables.predictions import read_batch_predictions
from noria.jobs import data, release, scoring, training
from noria.jobs.verification import verify
from noria.settings import Settings
from tests.notify.catcher import Catcher, mail_catcher

pytestmark = [
    pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:evidently"),
]


@pytest.fixture(scope="module")
def catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    with mail_catcher(tmp_path_factory.mktemp("mail")) as running:
        yield running


@pytest.fixture
def services(warehouse_url: str, mlflow_url: str, catcher: Catcher, tmp_path: Path) -> Iterator[Services]:
    settings = Settings(
        home=tmp_path,
        warehouse_url=SecretStr(warehouse_url),
        mlflow_url=mlflow_url,
        pseudonym_key=SecretStr("a key that only the tests know"),
        smtp_port=catcher.smtp_port,
    )
    services = bootstrap(settings)
    yield services
    services.warehouse.close()


def shortened(services: Services, name: str, **training: object) -> UseCase:
    use_case = services.use_case(name)
    short = use_case.training.model_copy(update={"trials": 3, "workers": 1, "minutes": 5.0, **training})
    return use_case.model_copy(update={"training": short})


def prepare(services: Services, use_case: UseCase, history: Interval) -> None:
    for interval in use_case.schedule.data.intervals(history):
        data.ingest(services, use_case, interval)
        data.validate(services, use_case, interval, "raw")
        data.transform(services, use_case, interval)
        data.validate(services, use_case, interval, "features")


def turn(services: Services, use_case: UseCase, history: Interval, live: Interval) -> EvaluationReport:
    """History, training, promotion by the gates alone, then a new interval scored, judged and mailed."""
    prepare(services, use_case, Interval(history.start, live.end))
    training.ensure_baseline(services, use_case)
    snapshot = training.take_snapshot(services, use_case, history.end)
    training.search(services, use_case, snapshot, worker=0)
    candidate = training.fit_and_register(services, use_case, snapshot)
    assert candidate.passed, candidate.summary
    assert release.promote(services, use_case, PromotionRequest(candidate, actor="tests")).promoted
    scored = scoring.score(services, use_case, live)
    assert scored == scoring.score(services, use_case, live)
    assert scored.version == candidate.version
    result = monitor(services, use_case, live)
    assert result.version == candidate.version
    assert Path(result.report).exists()
    assert notify(services, use_case, live).delivered_now
    version = services.registry.version(use_case.name, candidate.version)
    evidence = services.registry.download_evidence(version, services.settings.home / EVIDENCE)
    assert evidence is not None
    assert {"card.html", "card.json", "evaluation.html"} <= {path.name for path in evidence.iterdir()}
    folder = services.registry.download(version, services.settings.bundles)
    return EvaluationReport.model_validate_json((folder / "evaluation.json").read_bytes())


def without_promises(use_case: UseCase) -> UseCase:
    """Few months and a short search are too little to surely beat the baseline; promotion is not what this is about."""
    return use_case.model_copy(update={"gates": ()})


def test_hotel_rates(services, catcher):
    shipped = shortened(services, "hotel_rates")
    use_case, history, live = (
        without_promises(shipped),
        Interval.parse("2016-07-01", "2017-03-01"),
        Interval.parse("2017-03-01", "2017-04-01"),
    )
    report = turn(services, use_case, history, live)
    assert [gate.metric for gate in check_gates(shipped.gates, report)] == [gate.metric for gate in shipped.gates]
    assert {line.name for line in report.values} == {"candidate", "champion", "baseline", "perfect"}
    predictions = read_batch_predictions(services.warehouse, shipped, live, live.end)
    assert set(predictions["decision"].to_pylist()) == {repr(score) for score in predictions["score"].to_pylist()}
    again = verify(services, use_case, history.end, "1")
    assert (again.same_snapshot, again.same_bundle, again.same_search, again.differences) == (True, True, True, ())
    edited = use_case.model_copy(update={"title": "Something else"})
    with pytest.raises(RegistryError, match="was edited since version 1 was trained"):
        verify(services, edited, history.end, "1")
    with pytest.raises(RegistryError, match="verify it with that date"):
        verify(services, use_case, live.end, "1")
    assert any("hotel_rates" in str(message) or "Hotel rates" in str(message) for message in catcher.messages())


def test_flight_outcomes(services, catcher):
    shipped = shortened(services, "flight_outcomes", candidates=("gradient_boosting",), trials=2)
    use_case = without_promises(shipped)
    live = Interval.parse("2013-04-01", "2013-05-01")
    report = turn(services, use_case, Interval.parse("2013-02-01", "2013-04-01"), live)
    assert [gate.metric for gate in check_gates(shipped.gates, report)] == [gate.metric for gate in shipped.gates]
    assert report.metrics["roc_auc"] > report.reference("baseline").metrics["roc_auc"]
    assert tuple(report.classes) == use_case.label.classes
    predictions = read_batch_predictions(services.warehouse, use_case, live, live.end)
    assert set(predictions["decision"].to_pylist()) <= set(use_case.label.classes)
    assert any("Flight outcomes" in str(message) for message in catcher.messages())
