"""Verification: makes a registered version again and compares training set, bundle and search.

`noria train NAME --as-of DATE --verify VERSION` calls it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from noria.bootstrap import Services
from noria.core.base.errors import NotEnoughDataError, RegistryError
from noria.core.base.results import SnapshotRef, VerificationResult
from noria.core.lifecycle.registry import ModelVersion
from noria.core.model.bundle import specification_digest
from noria.core.use_case import UseCase
from noria.io.bundle_files import read_manifest
from noria.jobs import training


def verify(services: Services, use_case: UseCase, as_of: datetime, version: str) -> VerificationResult:
    """Make a version again from its parameters in the registry, and list the differences. Registers nothing.

    The search is repeated only if the bundle is the same and one worker made the version.

    Args:
        services: warehouse, registry and study.
        use_case: must be as it was when the version was trained.
        as_of: the version's as-of date.
        version: its number.

    Raises:
        RegistryError: there is no such version, it has another as-of date, or the use case was edited since.

    Example:
        >>> result = verify(services, use_case, as_of, candidate.version)
        >>> result.same_snapshot, result.same_bundle, result.differences
        (True, True, ())
    """
    registered = services.registry.version(use_case.name, version)
    params = services.registry.params(registered)
    _require_same_specification(services, use_case, registered, as_of)
    snapshot = training.take_snapshot(services, use_case, as_of)
    same_snapshot = snapshot.digest == registered.snapshot
    if same_snapshot:
        differences = _fit_again(services, use_case, snapshot, registered, params)
    else:
        before, now = registered.snapshot[:16], snapshot.digest[:16]
        differences = [f"training set: {before} at first, {now} now; raw data has changed"]
    searched = None if differences else _search_again(services, use_case, snapshot, params)
    return VerificationResult(
        version=version,
        same_snapshot=same_snapshot,
        same_bundle=not differences,
        same_search=None if searched is None else not searched,
        differences=(*differences, *(searched or ())),
    )


def _require_same_specification(services: Services, use_case: UseCase, version: ModelVersion, as_of: datetime) -> None:
    if version.as_of != as_of:
        raise RegistryError(
            f"version {version.version} of {use_case.name} was trained as of {version.as_of}: verify it with that date"
        )
    folder = services.registry.download(version, services.settings.bundles)
    provenance = read_manifest(folder, version.bundle_digest).provenance
    if provenance is None or provenance.specification != specification_digest(use_case):
        raise RegistryError(
            f"use_cases/{use_case.name} was edited since version {version.version} was trained: check out the files of that "
            "time"
        )


def _fit_again(
    services: Services, use_case: UseCase, snapshot: SnapshotRef, version: ModelVersion, params: Mapping[str, str]
) -> list[str]:
    """Differences between the bundle of a version and one that is made again; empty if they are the same bytes."""
    from noria.training.search.best_trial import recorded_trial

    against = services.registry.version(use_case.name, version.judged_against)
    with tempfile.TemporaryDirectory(prefix="noria-verify-") as folder:
        request = training.FitRequest(use_case, snapshot, against, Path(folder), recorded_trial(params))
        again = training.fit(services, request)
    if again.digest == version.bundle_digest:
        return []
    bundle = f"bundle: {version.bundle_digest[:16]} at first, {again.digest[:16]} now"
    return [bundle, *_other_metrics(version, again.report.metrics)]


def _other_metrics(version: ModelVersion, metrics: Mapping[str, float]) -> list[str]:
    before = version.metrics
    return [
        f"{name}: {before[name]!r} at first, {metrics.get(name)!r} now"
        for name in before
        if before[name] != metrics.get(name)
    ]


def _search_again(
    services: Services, use_case: UseCase, snapshot: SnapshotRef, params: Mapping[str, str]
) -> tuple[str, ...] | None:
    """Differences of a repeated search; None if several workers or the clock decided, or the study is gone."""
    from noria.training.search.replay import cut_short, differences, search_again
    from noria.training.search.selection import best_trial

    url = services.settings.warehouse_url.get_secret_value()
    try:
        if params.get("search_workers") != "1" or cut_short(use_case, snapshot, url):
            return None
        first = best_trial(use_case, snapshot, url)
    except NotEnoughDataError:
        return None
    return differences(first, search_again(use_case, snapshot, url))
