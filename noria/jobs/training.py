"""Training steps of a use case: baseline, snapshot, search, fit. Airflow tasks and the command line call nothing deeper.

Each step takes an explicit as-of date or snapshot, can be repeated (it replaces exactly what it made), and returns a small
named result. Imports are inside, so that a step loads only the libraries that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.results import SearchResult, SnapshotRef, VersionRef
from noria.core.lifecycle.gates import check_gates, summarise
from noria.core.lifecycle.registry import GateOutcome, ModelVersion, Stage
from noria.core.model.bundle import baseline_manifest, specification_digest
from noria.core.use_case import UseCase
from noria.io.bundle_files import write_bundle
from noria.jobs.evidence import EvidenceRequest, write_evidence

if TYPE_CHECKING:
    from noria.training.bundle.build import ModelBundle
    from noria.training.search.best_trial import BestTrial


@dataclass(frozen=True)
class FitRequest:
    """A bundle to be made.

    Attributes:
        use_case: specification of the model.
        snapshot: the training set.
        against: the version to compare with on the same rows.
        folder: where the bundle is written.
        best: the trial to fit; None takes the best trial of the snapshot's study.
    """

    use_case: UseCase
    snapshot: SnapshotRef
    against: ModelVersion
    folder: Path
    best: BestTrial | None = None


def ensure_baseline(services: Services, use_case: UseCase) -> ModelVersion:
    """Register the baseline as version 0, unless it is registered; several intervals may do so at the same time.

    Example:
        >>> ensure_baseline(services, use_case).version
        '0'
    """
    folder = services.settings.bundles / use_case.name / f"baseline-{specification_digest(use_case)[:16]}"
    with services.audit.exclusively(use_case.name):
        digest = write_bundle(folder, baseline_manifest(use_case), {})
        return services.registry.register_baseline(use_case.name, folder, digest)


def take_snapshot(services: Services, use_case: UseCase, as_of: datetime) -> SnapshotRef:
    """Write the training set that was known at `as_of`, as content-addressed Parquet.

    Example:
        >>> taken = take_snapshot(services, use_case, as_of)
        >>> taken.rows, taken.positives, taken.as_of
        (1000, 282, '2024-05-01T00:00:00+00:00')
        >>> take_snapshot(services, use_case, as_of) == taken
        True
    """
    return services.features.take_snapshot(use_case, as_of, services.settings.snapshots / use_case.name)


def search(services: Services, use_case: UseCase, snapshot: SnapshotRef, worker: int) -> SearchResult:
    """Run one worker of the hyperparameter search on the shared study; a second call resumes it.

    A new study starts from the defaults of each kind and from the champion's hyperparameters.

    Raises:
        SettingsError: the final fit needs a cluster, and none is set; raised before any work.
        NotEnoughDataError: the training set is too small to split.
        NoriaError: the same worker runs in another process, or PostgreSQL cannot be reached.

    Example:
        >>> from noria.core.use_case import Engine
        >>> on_a_cluster = use_case.training.model_copy(update={"engine": Engine.DASK})
        >>> search(services, use_case.model_copy(update={"training": on_a_cluster}), snapshot, worker=0)
        Traceback (most recent call last):
            ...
        noria.core.base.errors.SettingsError: training.engine is dask and NORIA_DASK_SCHEDULER is not set: ...
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
    """Fit the best trial, evaluate it, check the gates, and register it with its evidence.

    The same snapshot gives the same version. A candidate that was compared with a champion that no longer serves is
    evaluated again, as a version of its own.

    Raises:
        NotEnoughDataError: no trial was completed, or a part of the training set has too few rows.
        BundleError: the exported model differs from the fitted one; nothing is registered.

    Example:
        >>> found = fit_and_register(services, use_case, snapshot)  # version 1 was made of it: nothing is fitted
        >>> found == candidate, found.version, found.passed
        (True, '1', True)
    """
    from noria.training.search.oof_predictions import forget_search

    champion = services.registry.champion(use_case.name)
    key, version = _registered(services, use_case, snapshot, champion)
    if version is None:
        folder = services.settings.bundles / use_case.name / f"training-{key}"
        request = FitRequest(use_case, snapshot, champion, folder)
        version = _register(services, request, fit(services, request), key)
    forget_search(use_case, snapshot)
    return version.reference()


def fit(services: Services, request: FitRequest) -> ModelBundle:
    """Fit a trial and seal its bundle; registers nothing.

    Args:
        services: registry of the version to compare with, and PostgreSQL of the study.
        request: what to fit, and where to write it.

    Raises:
        SettingsError: `training.engine` is dask, and no cluster is set or none answers.
        NotEnoughDataError: no trial was completed, or a part of the training set has too few rows.
        BundleError: the exported model differs from the fitted one.

    Example:
        >>> baseline = services.registry.version(use_case.name, "0")
        >>> made = fit(services, FitRequest(use_case, snapshot, baseline, folder / "made", best=trial))
        >>> made.folder.name, round(made.report.metrics["roc_auc"], 2)
        ('made', 0.64)
        >>> [version.version for version in services.registry.versions(use_case.name)]
        ['0']
    """
    from noria.inference.predictor import load_predictor
    from noria.training.bundle.build import fit_bundle
    from noria.training.models.trees.booster import cluster_of
    from noria.training.search.selection import best_trial

    settings, use_case, against = services.settings, request.use_case, request.against
    cluster = cluster_of(use_case.training, settings.dask_scheduler)
    predictor = load_predictor(services.registry.download(against, settings.bundles), against.bundle_digest)
    best = request.best or best_trial(use_case, request.snapshot, settings.warehouse_url.get_secret_value())
    return fit_bundle(
        use_case, request.snapshot, best, champion=(against.version, predictor), folder=request.folder, cluster=cluster
    )


def _registered(
    services: Services, use_case: UseCase, snapshot: SnapshotRef, champion: ModelVersion
) -> tuple[str, ModelVersion | None]:
    """Key of the training, and the version that is registered under it; None if there is none."""
    key = f"{snapshot.digest[:16]}-{specification_digest(use_case)[:16]}"
    version = services.registry.find(use_case.name, key)
    if version and _waits(version) and version.judged_against != champion.version:
        key += f"-against-{champion.version}"
        version = services.registry.find(use_case.name, key)
    return key, version


def _register(services: Services, request: FitRequest, bundle: ModelBundle, key: str) -> ModelVersion:
    from noria.training.bundle.environment import record_environment

    use_case = request.use_case
    gates = check_gates(use_case.gates, bundle.report)
    folder = request.folder.with_name(f"evidence-{key}")
    evidence = EvidenceRequest(use_case, request.snapshot, bundle, gates, record_environment(), folder)
    outcome = GateOutcome(
        passed=not any(gate.stops for gate in gates),
        summary=summarise(use_case, bundle.report, gates),
        judged_against=request.against.version,
    )
    return services.registry.register(
        use_case.name,
        bundle.folder,
        bundle.digest,
        key=key,
        params=bundle.params,
        outcome=outcome,
        evidence=write_evidence(services, evidence),
    )


def _waits(version: ModelVersion) -> bool:
    return version.stage in (Stage.CANDIDATE, Stage.CHALLENGER)
