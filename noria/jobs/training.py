"""One function per pipeline step. Airflow tasks and the command line call these and nothing deeper.

Each takes an explicit interval or as-of date, can be run again (it replaces exactly what it made), and returns a small
named result. Imports are inside, so that a step pays only for the libraries it uses.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.results import (
    SearchResult,
    SnapshotRef,
    VersionRef,
)
from noria.core.lifecycle.gates import check_gates, summarise
from noria.core.lifecycle.registry import GateOutcome, ModelVersion, Stage
from noria.core.model.bundle import baseline_manifest, specification_digest
from noria.core.use_case import UseCase
from noria.io.bundle_files import write_bundle
from noria.jobs.release import write_evidence

if TYPE_CHECKING:
    from noria.training.bundle.build import ModelBundle
    from noria.training.search.selection import BestTrial


def ensure_baseline(services: Services, use_case: UseCase) -> ModelVersion:
    """Register version 0, the rule; harmless when it is there, and when several intervals need it at once."""
    folder = services.settings.bundles / use_case.name / f"baseline-{specification_digest(use_case)[:16]}"
    with services.audit.exclusively(use_case.name):
        digest = write_bundle(folder, baseline_manifest(use_case), {})
        return services.registry.register_baseline(use_case.name, folder, digest)


def take_snapshot(services: Services, use_case: UseCase, as_of: datetime) -> SnapshotRef:
    """Freeze what was known at `as_of` into content-addressed Parquet."""
    return services.features.take_snapshot(use_case, as_of, services.settings.snapshots / use_case.name)


def search(services: Services, use_case: UseCase, snapshot: SnapshotRef, worker: int) -> SearchResult:
    """Run one worker of the hyperparameter search on the shared study; a second call resumes it.

    A new study begins with each kind's defaults and with what the champion was trained with.

    Raises:
        SettingsError: the final fit is to run on a cluster, and none is set; said before an hour is spent.
    """
    from noria.training.models.trees.booster import cluster_of
    from noria.training.search.worker import run_worker

    cluster_of(use_case.training, services.settings.dask_scheduler)
    return run_worker(
        use_case,
        snapshot,
        worker,
        storage_url=services.settings.warehouse_url.get_secret_value(),
        warm_start=services.registry.params(services.registry.champion(use_case.name)),
    )


def fit_and_register(services: Services, use_case: UseCase, snapshot: SnapshotRef) -> VersionRef:
    """Fit the best trial, judge it on rows nothing else touched, check the gates, register it with its evidence.

    Same snapshot, same version. A candidate that was judged against a champion which no longer serves is judged again, as a
    version of its own.
    """
    from noria.training.bundle.environment import record_environment
    from noria.training.search.oof_predictions import forget_search

    champion = services.registry.champion(use_case.name)
    key = f"{snapshot.digest[:16]}-{specification_digest(use_case)[:16]}"
    registered = services.registry.find(use_case.name, key)
    if registered and _waits(registered) and registered.judged_against != champion.version:
        key += f"-against-{champion.version}"
        registered = services.registry.find(use_case.name, key)
    if registered:
        forget_search(use_case, snapshot)
        return registered.reference()
    folder = services.settings.bundles / use_case.name / f"training-{key}"
    fitted = fit(services, use_case, snapshot, against=champion, folder=folder)
    gates = check_gates(use_case.gates, fitted.report)
    outcome = GateOutcome(
        passed=not any(gate.stops for gate in gates),
        summary=summarise(use_case, fitted.report, gates),
        judged_against=champion.version,
    )
    evidence = write_evidence(
        services,
        use_case,
        snapshot,
        fitted.folder,
        fitted.digest,
        report=fitted.report,
        gates=gates,
        params=fitted.params,
        environment=record_environment(),
        folder=folder.with_name(f"evidence-{key}"),
    )
    version = services.registry.register(
        use_case.name, fitted.folder, fitted.digest, key=key, params=fitted.params, outcome=outcome, evidence=evidence
    )
    forget_search(use_case, snapshot)
    return version.reference()


def fit(
    services: Services,
    use_case: UseCase,
    snapshot: SnapshotRef,
    *,
    against: ModelVersion,
    folder: Path,
    best: BestTrial | None = None,
) -> ModelBundle:
    """Fit a trial and seal its bundle; registers nothing.

    Args:
        services: the registry has the rival, PostgreSQL the study.
        use_case: what the business wants.
        snapshot: the training set.
        against: the version to be judged against on the same rows.
        folder: where the bundle goes.
        best: what to fit; None takes the best trial of the snapshot's study.
    """
    from noria.inference.predictor import load_predictor
    from noria.training.bundle.build import fit_bundle

    rival = load_predictor(services.registry.download(against, services.settings.bundles), against.bundle_digest)
    return fit_bundle(
        use_case,
        snapshot,
        champion=(against.version, rival),
        storage_url=services.settings.warehouse_url.get_secret_value(),
        folder=folder,
        best=best,
        dask_scheduler=services.settings.dask_scheduler,
    )


def _waits(version: ModelVersion) -> bool:
    return version.stage in (Stage.CANDIDATE, Stage.CHALLENGER)
