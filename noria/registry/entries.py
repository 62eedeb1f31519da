"""Registry entries and our versions: what is written down about a bundle, and what it is read back as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import AliasState, GateOutcome, ModelVersion, Stage
from noria.core.model.bundle import BASELINE_VERSION, Manifest


def outcome_tags(outcome: GateOutcome) -> dict[str, str]:
    """Tags of a gate outcome."""
    return {"passed": str(outcome.passed).lower(), "summary": outcome.summary, "champion": outcome.judged_against}


def tags_of(manifest: Manifest, digest: str, key: str, outcome: GateOutcome) -> dict[str, str]:
    """Tags of the entry of a trained bundle; `trained_version` reads them back.

    Raises:
        RegistryError: the bundle does not say what it was made from.
    """
    if manifest.provenance is None:
        raise RegistryError(f"the bundle of {manifest.use_case} does not say what it was made from; train it again")
    return {
        **outcome_tags(outcome),
        "bundle_digest": digest,
        "key": key,
        "as_of": manifest.provenance.as_of.isoformat(),
        "snapshot": manifest.provenance.snapshot,
        "metrics": json.dumps(manifest.metrics, sort_keys=True),
        **{f"metric.{name}": f"{value:,.4f}" for name, value in manifest.metrics.items()},
    }


def baseline_version(use_case: str, pointer: Mapping[str, str], alias_state: AliasState, url: str) -> ModelVersion:
    """Version 0, from the tag that points to it.

    Raises:
        RegistryError: it was never registered.
    """
    if not pointer:
        raise RegistryError(f"MLflow at {url} has no version 0 of {use_case}; register it with `noria train`")
    return ModelVersion(
        use_case=use_case,
        version=BASELINE_VERSION,
        stage=Stage.CHAMPION if alias_state.champion == BASELINE_VERSION else Stage.RETIRED,
        bundle_digest=pointer["bundle_digest"],
        run_id=pointer["run_id"],
    )


def trained_version(found: Any, alias_state: AliasState) -> ModelVersion:
    """A trained version, from MLflow's entry."""
    tags: dict[str, str] = dict(found.tags)
    return ModelVersion(
        use_case=found.name,
        version=str(found.version),
        stage=_stage(str(found.version), alias_state, tags),
        bundle_digest=tags["bundle_digest"],
        run_id=found.run_id,
        as_of=datetime.fromisoformat(tags["as_of"]),
        snapshot=tags["snapshot"],
        metrics=json.loads(tags["metrics"]),
        passed=tags.get("passed") == "true",
        summary=tags.get("summary", ""),
        judged_against=tags.get("champion", BASELINE_VERSION),
        key=tags["key"],
    )


def _stage(version: str, alias_state: AliasState, tags: Mapping[str, str]) -> Stage:
    if version == alias_state.champion:
        return Stage.CHAMPION
    if tags.get("retired") == "true":
        return Stage.RETIRED
    return Stage.CHALLENGER if version == alias_state.challenger else Stage.CANDIDATE
