"""Everything that faults happen in: a warehouse with made-up parcels, MLflow behind a proxy, a use case for each fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from benchmarks.training_faults.job_process import AS_OF, PipelineEnvironment, run_job
from benchmarks.training_faults.mlflow_proxy import MlflowProxy, proxy_for
from noria.bootstrap import Services
from noria.core.base.errors import RegistryError
from noria.core.base.results import SnapshotRef, VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome, ModelVersion
from noria.core.use_case import UseCase
from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Table, append
from noria.jobs import release, training
from noria.testing.builders import use_case_fields, write_use_case
from noria.testing.snapshots import made_up_columns

ROWS = 6000


@dataclass(eq=False)
class Sandbox:
    """One pipeline for all faults; each fault has a use case of its own.

    Attributes:
        environment: of the jobs.
        proxy: in front of MLflow.
    """

    environment: PipelineEnvironment
    proxy: MlflowProxy
    _cases: int = field(default=0, init=False)
    _undisturbed: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    @cached_property
    def services(self) -> Services:
        """The services of this process, which reach MLflow without the proxy."""
        host, port = self.proxy.server
        return replace(self.environment, mlflow_url=f"http://{host}:{port}").services()

    def a_use_case(self, about: str, **changes: Any) -> str:
        """Write a use case with a new name; returns the name."""
        self._cases += 1
        name = f"{about}_{self._cases}"
        features = use_case_fields()["features"] | {"categorical": ["depot", "street"]}
        search = {"trials": 3, "minutes": 10, "workers": 1, "test_window": "20d", "candidates": ["linear"]}
        search |= changes.pop("training", {})
        write_use_case(self.environment.use_cases, name=name, features=features, training=search, **changes)
        return name

    def use_case(self, name: str) -> UseCase:
        """A use case that `a_use_case` has written."""
        return self.services.use_case(name)

    def searched(self, name: str) -> str:
        """Run baseline, snapshot and search of a use case undisturbed; returns the snapshot as JSON."""
        self.proxy.watch()
        run_job(self.environment, name, "baseline")
        snapshot = run_job(self.environment, name, "snapshot")
        run_job(self.environment, name, "search", f"0 {snapshot}")
        return snapshot

    def undisturbed_bundle(self, name: str, snapshot: str, best: Any = None) -> str:
        """Digest of the bundle of an undisturbed fit; registers nothing, and fits once per champion."""
        champion = self.services.registry.champion(name).version
        if best is not None:
            return self._fitted(name, snapshot, best)
        if (name, champion) not in self._undisturbed:
            self._undisturbed[name, champion] = self._fitted(name, snapshot, None)
        return self._undisturbed[name, champion]

    def _fitted(self, name: str, snapshot: str, best: Any) -> str:
        request = training.FitRequest(
            use_case=self.use_case(name),
            snapshot=SnapshotRef.model_validate_json(snapshot),
            against=self.services.registry.champion(name),
            folder=self.environment.home / "undisturbed" / name,
            best=best,
        )
        return training.fit(self.services, request).digest

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Trained versions in the registry."""
        return tuple(self.services.registry.versions(name)[1:])

    def is_complete(self, version: ModelVersion) -> bool:
        """Whether a version can be downloaded from the registry, and every file has its digest."""
        try:
            self.services.registry.download(version, self.environment.home / "fetched")
        except RegistryError:
            return False
        return True

    def trained_twice(self, name: str) -> tuple[str, str]:
        """Register two versions that passed their gates, and promote the first; both as JSON, as training returns them.

        They share one bundle of another use case: promotion does not read its content.
        """
        source, registry, (folder, digest) = self.use_case(name), self.services.registry, self._bundle_for_all
        found = []
        for champion, key in (("0", "one"), ("1", "another")):
            outcome = GateOutcome(passed=True, summary=f"{key} version", judged_against=champion)
            version = registry.register(name, folder, digest, key=key, params={}, outcome=outcome)
            found.append(
                VersionRef(
                    version=version.version,
                    bundle_digest=digest,
                    run_id=version.run_id,
                    passed=True,
                    summary=outcome.summary,
                    champion=champion,
                )
            )
        release.promote(self.services, source, PromotionRequest(found[0], actor="before"))
        return found[0].model_dump_json(), found[1].model_dump_json()

    @cached_property
    def _bundle_for_all(self) -> tuple[Path, str]:
        name = self.a_use_case("for_all", training={"trials": 1})
        return self.environment.home / "undisturbed" / name, self.undisturbed_bundle(name, self.searched(name))

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse."""
        with psycopg.connect(self.environment.warehouse_url) as connection:
            return connection.execute(sql, parameters).fetchall()


def fill(sandbox: Sandbox, rows: int = ROWS) -> None:
    """Make Noria's tables, and write features and labels of made-up parcels into the tables that dbt makes."""
    migrate(sandbox.services.database)
    made_up = made_up_columns(rows)
    keys = {"parcel_id": [f"P{row}" for row in range(rows)], "promised_at": made_up["promised_at"]}
    known = made_up["promised_at"]
    features = pa.table(keys | {n: pa.array(made_up[n], from_pandas=True) for n in ("weight", "hour", "depot", "street")})
    labels = pa.table(keys | {"late": made_up["late"], "label_known_at": known})
    with sandbox.services.warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "create table features.ftr_parcels (parcel_id text, promised_at timestamptz, weight float8, hour float8, "
            "depot text, street text);"
            "create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, late boolean, "
            "label_known_at timestamptz)"
        )
        append(connection, Table("features", "ftr_parcels"), features)
        append(connection, Table("labels", "lbl_parcels"), labels)
    assert max(known) < AS_OF


@contextmanager
def sandbox_on(home: Path, warehouse_url: str, mlflow_url: str, *, rows: int = ROWS) -> Iterator[Sandbox]:
    """A sandbox on running servers, until the end of the block."""
    with proxy_for(mlflow_url) as proxy:
        sandbox = Sandbox(PipelineEnvironment(home, home / "use_cases", warehouse_url, proxy.url), proxy)
        try:
            fill(sandbox, rows)
            yield sandbox
        finally:
            sandbox.services.warehouse.close()
