"""hotel_rates through a real scheduler: two months of real bookings, one training; every job is the real one."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from noria.bootstrap import bootstrap
from noria.core.model.encoder_columns import RuleColumn
from noria.io.bundle_files import read_manifest
from noria.local.postgres import PostgresServer
from noria.settings import Settings
from noria.testing.free_ports import free_port
from noria.testing.live_airflow import LiveAirflow
from tests.notify.catcher import mail_catcher

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

MONTHS = ("2016-07-01", "2016-08-01")


def short(project: Path, root: Path) -> Path:
    """The shipped use case with two months, one fold and two trials; so few rows show nothing."""
    folder = root / "hotel_rates"
    shutil.copytree(project / "use_cases" / "hotel_rates", folder)
    path = folder / "use_case.yaml"
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields["schedule"] |= {"train": "0 6 1 1 *", "end": "2016-09-01"}
    fields["label"]["available_after"] = "1d"  # when each label came counts all the same
    fields["training"] |= {"trials": 2, "workers": 1, "min_labels": 200, "test_window": "14d", "split": {"folds": 1}}
    fields |= {"gates": [], "risks": []}
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return root


@pytest.fixture
def settings(
    postgres: PostgresServer, migrated_database: str, mlflow_url: str, project: Path, tmp_path: Path
) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Where everything is, and the same as an environment."""
    postgres.create_database("airflow_hotel")
    postgres.create_database("noria_hotel", template=migrated_database)
    with mail_catcher(tmp_path / "mail") as mailbox:
        settings = Settings(
            home=tmp_path / "noria",
            use_cases=short(project, tmp_path / "use_cases"),
            warehouse_url=SecretStr(postgres.url("noria_hotel")),
            mlflow_url=mlflow_url,
            mlflow_public_url="https://models.example.com/",
            smtp_port=mailbox.smtp_port,
        )
        yield (
            settings,
            {
                "NORIA_HOME": str(settings.home),
                "NORIA_USE_CASES": str(settings.use_cases),
                "NORIA_WAREHOUSE_URL": postgres.url("noria_hotel"),
                "NORIA_MLFLOW_URL": mlflow_url,
                "NORIA_MLFLOW_PUBLIC_URL": settings.mlflow_public_url,
                "NORIA_PSEUDONYM_KEY": "a key that only the tests know",
                "NORIA_SMTP_PORT": str(mailbox.smtp_port),
            },
        )
    for database in ("airflow_hotel", "noria_hotel"):
        postgres.drop_database(database)


@pytest.fixture
def airflow(
    postgres: PostgresServer,
    airflow_environment: dict[str, str],
    settings: tuple[Settings, dict[str, str]],
    tmp_path: Path,
) -> Iterator[LiveAirflow]:
    environment = {
        **airflow_environment,
        **settings[1],
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("airflow_hotel").replace("postgresql:", "postgresql+psycopg2:"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    live = LiveAirflow(environment, tmp_path, free_port())
    try:
        live.start()
        live.wait(lambda: len(live.call("GET", "/api/v2/dags")[1]["dags"]) == 4, "the DAGs")
        yield live
    finally:
        live.stop()


def test_two_months_of_bookings_become_a_champion(airflow: LiveAirflow, settings: tuple[Settings, dict[str, str]]) -> None:
    for kind in ("score", "monitor"):  # they take most of the time, and tests/use_cases turns them
        assert airflow.call("PATCH", f"/api/v2/dags/hotel_rates__{kind}", {"is_paused": True})[0] == 200
    backfill = {
        "dag_id": "hotel_rates__data",
        "from_date": "2016-06-15T00:00:00Z",
        "to_date": "2016-12-31T00:00:00Z",
        "max_active_runs": 2,
        "reprocess_behavior": "none",
    }
    status, answer = airflow.call("POST", "/api/v2/backfills", backfill)
    assert status == 200, answer
    airflow.wait(lambda: airflow.partitions("hotel_rates__data") == Counter(MONTHS), "two months of data")

    body = {"logical_date": None, "conf": {"as_of": "2016-10-01"}}
    status, run = airflow.call("POST", "/api/v2/dags/hotel_rates__train/dagRuns", body)
    assert status == 200, run
    airflow.settle("hotel_rates__train")
    tasks = airflow.tasks("hotel_rates__train", run["dag_run_id"])
    assert set(tasks.values()) == {"success"}, tasks

    services = bootstrap(settings[0])
    champion = services.registry.champion("hotel_rates")
    assert champion.version != "0"
    manifest = read_manifest(services.registry.download(champion, services.settings.bundles), champion.bundle_digest)
    assert manifest.provenance is not None
    assert f"{manifest.provenance.as_of:%Y-%m-%d}" == "2016-10-01"
    assert manifest.encoder is not None
    assert isinstance(manifest.encoder.columns[-1], RuleColumn), "prices are learnt as multiples of the anchor"
    services.warehouse.close()

    where = f"/api/v2/dags/hotel_rates__train/dagRuns/{run['dag_run_id']}/taskInstances/fit_and_register"
    found = airflow.call("GET", f"{where}/xcomEntries/model%20card%20and%20evaluation")[1]["value"]
    where = f"https://models.example.com/#/models/hotel_rates/versions/{champion.version}"
    assert found == where, "as a person's browser reaches it"
