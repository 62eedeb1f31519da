"""One function per pipeline step. Airflow tasks and the command line call these and nothing deeper.

Each takes an explicit interval or as-of date, can be run again (it replaces exactly what it made), and returns a small
named result. Imports are inside, so that a step pays only for the libraries it uses.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from noria.bootstrap import Services
from noria.core.bundle import BASELINE_VERSION, baseline_manifest, specification_digest, write_bundle
from noria.core.gates import check_gates, summarise
from noria.core.interval import Interval
from noria.core.registry import ModelVersion, Stage
from noria.core.results import (
    IngestResult,
    PromotionResult,
    QualityResult,
    RegisteredModel,
    ScoreResult,
    SearchResult,
    SnapshotRef,
    TransformResult,
)
from noria.core.use_case import UseCase


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
    """Run one worker of the hyperparameter search on the shared study; a second call resumes it."""
    from noria.training.search import run_worker

    return run_worker(use_case, snapshot, worker, storage_url=services.settings.warehouse_url.get_secret_value())


def fit_and_register(services: Services, use_case: UseCase, snapshot: SnapshotRef) -> RegisteredModel:
    """Fit the best trial, judge it on the last slice of time, check the gates, register it. Same snapshot, same version.

    A candidate that was judged against a champion which no longer serves is judged again, as a version of its own.
    """
    from noria.inference.predictor import load_predictor
    from noria.training.fit import fit_bundle

    champion = services.registry.champion(use_case.name)
    key = f"{snapshot.digest[:16]}-{specification_digest(use_case)[:16]}"
    registered = services.registry.find(use_case.name, key)
    if registered and registered.stage is Stage.CANDIDATE and registered.tags["champion"] != champion.version:
        key += f"-against-{champion.version}"
        registered = services.registry.find(use_case.name, key)
    if registered:
        return _registered(registered)
    rival = load_predictor(services.registry.download(champion, services.settings.bundles), champion.bundle_digest)
    fitted = fit_bundle(
        use_case,
        snapshot,
        champion=(champion.version, rival),
        storage_url=services.settings.warehouse_url.get_secret_value(),
        folder=services.settings.bundles / use_case.name / f"training-{key}",
    )
    gates = check_gates(use_case.gates, fitted.report)
    tags = {
        "champion": champion.version,
        "passed": str(not any(gate.stops for gate in gates)).lower(),
        "summary": summarise(use_case, fitted.report, gates),
    }
    return _registered(
        services.registry.register(use_case.name, fitted.folder, fitted.digest, key=key, params=fitted.params, tags=tags)
    )


def _registered(version: ModelVersion) -> RegisteredModel:
    return RegisteredModel(
        version=version.version,
        bundle_digest=version.bundle_digest,
        run_id=version.run_id,
        passed=version.tags["passed"] == "true",
        summary=version.tags["summary"],
        champion=version.tags["champion"],
    )


def promote(
    services: Services,
    use_case: UseCase,
    candidate: RegisteredModel,
    *,
    actor: str,
    reason: str = "",
    returning: bool = False,
) -> PromotionResult:
    """Make a candidate champion if its gates passed and the champion it was judged against still serves.

    One that was champion before is refused, unless it is `returning` because a person says so.
    """
    from noria.governance.promotion import promote as run

    return run(services.registry, services.audit, use_case, candidate, actor=actor, reason=reason, returning=returning)


def roll_back(services: Services, use_case: UseCase, *, actor: str, reason: str) -> PromotionResult:
    """Make the champion before this one champion again; version 0 where there is none."""
    from noria.governance.promotion import roll_back as run

    return run(services.registry, services.audit, use_case, actor=actor, reason=reason)


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
    return replace_batch_predictions(
        services.warehouse, use_case, interval, version.version, rows, scores, predictor.manifest.threshold
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
