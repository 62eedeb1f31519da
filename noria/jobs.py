"""One function per pipeline step. Airflow tasks and the command line call these and nothing deeper.

Each takes an explicit interval or as-of date, can be run again (it replaces exactly what it made), and returns a small
named result. Imports are inside, so that a step pays only for the libraries it uses.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from noria.bootstrap import Services
from noria.core.bundle import BASELINE_VERSION, baseline_manifest, specification_digest, write_bundle
from noria.core.gates import check_gates, summarise
from noria.core.interval import Interval
from noria.core.registry import ModelVersion, Stage
from noria.core.results import (
    IngestResult,
    QualityResult,
    RegisteredModel,
    ScoreResult,
    SearchResult,
    SnapshotRef,
    TransformResult,
)
from noria.core.use_case import UseCase
from noria.release import write_evidence

if TYPE_CHECKING:
    from noria.training.fit import FittedBundle
    from noria.training.settle import BestTrial


def ingest(services: Services, use_case: UseCase, interval: Interval) -> IngestResult:
    """Replace the interval in every raw table, and fill the lookback before it where no run has brought it yet."""
    from noria.data.ingest import ingest as run

    return run(
        services.warehouse,
        use_case,
        services.folder(use_case),
        interval,
        pseudonym_key=services.settings.pseudonym_key.get_secret_value(),
        now=services.clock.now(),
    )


def validate(services: Services, use_case: UseCase, interval: Interval, stage: Literal["raw", "features"]) -> QualityResult:
    """Hold the interval's rows against the use case's expectations; features that pass may be used from then on.

    Raises:
        QualityError: a critical expectation failed; says which rows.
    """
    from noria.data.quality import validate as run
    from noria.data.quarantine import release

    result = run(services.warehouse, use_case, services.folder(use_case), interval, stage)
    if stage == "features":
        release(services.warehouse, use_case, interval)
    return result


def transform(services: Services, use_case: UseCase, interval: Interval) -> TransformResult:
    """Build the interval's features and labels with dbt, and test them; nobody uses them until they are validated."""
    from noria.data.quarantine import quarantine
    from noria.data.transform import transform as run

    quarantine(services.warehouse, use_case, interval)
    return run(services.warehouse, use_case, interval, services.settings.dbt_project, services.settings.home / "dbt")


def ensure_baseline(services: Services, use_case: UseCase) -> ModelVersion:
    """Register version 0, the rule; harmless when it is there, and when several intervals need it at once."""
    folder = services.settings.bundles / use_case.name / f"baseline-{specification_digest(use_case)[:16]}"
    with services.audit.exclusively(use_case.name):
        digest = write_bundle(folder, baseline_manifest(use_case), {})
        return services.registry.register_baseline(use_case.name, folder, digest)


def take_snapshot(services: Services, use_case: UseCase, as_of: datetime) -> SnapshotRef:
    """Freeze what was known at `as_of` into content-addressed Parquet."""
    from noria.data.snapshots import take_snapshot as run

    return run(services.warehouse, use_case, as_of, services.settings.snapshots / use_case.name)


def search(services: Services, use_case: UseCase, snapshot: SnapshotRef, worker: int) -> SearchResult:
    """Run one worker of the hyperparameter search on the shared study; a second call resumes it.

    A new study begins with each kind's defaults and with what the champion was trained with.

    Raises:
        SettingsError: the final fit is to run on a cluster, and none is set; said before an hour is spent.
    """
    from noria.training.dask_engine import cluster_of
    from noria.training.search import run_worker

    cluster_of(use_case.training, services.settings.dask_scheduler)
    return run_worker(
        use_case,
        snapshot,
        worker,
        storage_url=services.settings.warehouse_url.get_secret_value(),
        warm_start=services.registry.params(services.registry.champion(use_case.name)),
    )


def fit_and_register(services: Services, use_case: UseCase, snapshot: SnapshotRef) -> RegisteredModel:
    """Fit the best trial, judge it on rows nothing else touched, check the gates, register it with its evidence.

    Same snapshot, same version. A candidate that was judged against a champion which no longer serves is judged again, as a
    version of its own.
    """
    from noria.training.environment import record_environment
    from noria.training.held_out import forget_search

    champion = services.registry.champion(use_case.name)
    key = f"{snapshot.digest[:16]}-{specification_digest(use_case)[:16]}"
    registered = services.registry.find(use_case.name, key)
    if registered and _waits(registered) and registered.tags["champion"] != champion.version:
        key += f"-against-{champion.version}"
        registered = services.registry.find(use_case.name, key)
    if registered:
        forget_search(use_case, snapshot)
        return _registered(registered)
    folder = services.settings.bundles / use_case.name / f"training-{key}"
    fitted = fit(services, use_case, snapshot, against=champion, folder=folder)
    gates = check_gates(use_case.gates, fitted.report)
    tags = {
        "champion": champion.version,
        "passed": str(not any(gate.stops for gate in gates)).lower(),
        "summary": summarise(use_case, fitted.report, gates),
    }
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
        use_case.name, fitted.folder, fitted.digest, key=key, params=fitted.params, tags=tags, evidence=evidence
    )
    forget_search(use_case, snapshot)
    return _registered(version)


def fit(
    services: Services,
    use_case: UseCase,
    snapshot: SnapshotRef,
    *,
    against: ModelVersion,
    folder: Path,
    best: BestTrial | None = None,
) -> FittedBundle:
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
    from noria.training.fit import fit_bundle

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


def _registered(version: ModelVersion) -> RegisteredModel:
    return RegisteredModel(
        version=version.version,
        bundle_digest=version.bundle_digest,
        run_id=version.run_id,
        passed=version.tags["passed"] == "true",
        summary=version.tags["summary"],
        champion=version.tags["champion"],
    )


def score(services: Services, use_case: UseCase, interval: Interval) -> ScoreResult:
    """Predict every entity of the interval with the version in force when it began, and replace its batch predictions.

    Raises:
        QualityError: the interval's features have not passed their checks.
    """
    from noria.data.features import read_features
    from noria.data.predictions import replace_batch_predictions
    from noria.data.quarantine import refuse_quarantined
    from noria.inference.predictor import load_predictor

    refuse_quarantined(services.warehouse, use_case, interval)
    version = version_in_force(services, use_case, interval)
    predictor = load_predictor(services.registry.download(version, services.settings.bundles), version.bundle_digest)
    rows = read_features(services.warehouse, use_case, interval)
    scores = predictor.score_columns({name: rows[name].to_pylist() for name in predictor.manifest.signature.names})
    policy = predictor.manifest.policy
    return replace_batch_predictions(
        services.warehouse,
        use_case,
        interval,
        version.version,
        rows,
        scores,
        policy.decide(scores),
        classes=policy.classes,
    )


def version_in_force(services: Services, use_case: UseCase, interval: Interval) -> ModelVersion:
    """The latest champion that had seen nothing of the interval: its as-of date is at or before the interval's start.

    Business time decides, not the clock: a backfill scores January with what could have served January, and a replay
    gives the same version as long as no promotion is added or taken back.
    """
    number = services.audit.version_in_force(use_case.name, interval.start)
    if number == BASELINE_VERSION:
        return ensure_baseline(services, use_case)
    return services.registry.version(use_case.name, number)
