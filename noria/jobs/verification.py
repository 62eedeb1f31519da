"""Proves that a registered version can be made again: same training set, same recipe, same bytes; and same search, where it
was one worker's alone. `noria train NAME --as-of DATE --verify VERSION` calls it."""

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
    """Make a version again from what the registry says of it, and say what came out otherwise. Registers nothing.

    Args:
        services: warehouse, registry and study.
        use_case: as it is written now; must be as it was then.
        as_of: the version's as-of date.
        version: its number.

    Raises:
        RegistryError: there is no such version, it is of another date, or the use case was edited since.
    """
    from noria.training.search.best_trial import recorded_trial

    found = services.registry.version(use_case.name, version)
    params = services.registry.params(found)
    _require_same_terms(services, use_case, found, as_of)
    snapshot = training.take_snapshot(services, use_case, as_of)
    differences = []
    if snapshot.digest != found.snapshot:
        differences.append(f"training set: {found.snapshot[:16]} at first, {snapshot.digest[:16]} now; raw data has changed")
    else:
        rival = services.registry.version(use_case.name, found.judged_against)
        with tempfile.TemporaryDirectory(prefix="noria-verify-") as folder:
            again = training.fit(
                services, use_case, snapshot, against=rival, folder=Path(folder), best=recorded_trial(params)
            )
        if again.digest != found.bundle_digest:
            differences += [f"bundle: {found.bundle_digest[:16]} at first, {again.digest[:16]} now"]
            differences += _other_metrics(found, again.report.metrics)
    same_bundle = not differences
    searched = _search_again(services, use_case, snapshot, params) if same_bundle else None
    return VerificationResult(
        version=version,
        same_snapshot=snapshot.digest == found.snapshot,
        same_bundle=same_bundle,
        same_search=None if searched is None else not searched,
        differences=(*differences, *(searched or ())),
    )


def _require_same_terms(services: Services, use_case: UseCase, version: ModelVersion, as_of: datetime) -> None:
    if version.as_of != as_of:
        raise RegistryError(
            f"version {version.version} of {use_case.name} was trained as of {version.as_of}: verify it with that date"
        )
    folder = services.registry.download(version, services.settings.bundles)
    provenance = read_manifest(folder, version.bundle_digest).provenance
    if provenance is None or provenance.specification != specification_digest(use_case):
        raise RegistryError(
            f"use_cases/{use_case.name} was edited since version {version.version} was trained: check out what it was then"
        )


def _other_metrics(version: ModelVersion, metrics: dict[str, float]) -> list[str]:
    before = version.metrics
    return [
        f"{name}: {before[name]!r} at first, {metrics.get(name)!r} now"
        for name in before
        if before[name] != metrics.get(name)
    ]


def _search_again(
    services: Services, use_case: UseCase, snapshot: SnapshotRef, params: Mapping[str, str]
) -> tuple[str, ...] | None:
    """What a repeated search found otherwise; None where several workers or the clock decided, or the study is gone."""
    from noria.training.search.replay import cut_short, differences, search_again
    from noria.training.search.worker import best_trial

    url = services.settings.warehouse_url.get_secret_value()
    try:
        if params.get("search_workers") != "1" or cut_short(use_case, snapshot, url):
            return None
        first = best_trial(use_case, snapshot, url)
    except NotEnoughDataError:
        return None
    return differences(first, search_again(use_case, snapshot, url))
