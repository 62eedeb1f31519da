"""A model as files that can be checked and never unpickled: JSON, ONNX, plain arrays and Parquet, with checksums.

    bundle.json        the manifest below; holds the SHA-256 of every other file
    model.onnx         the estimator alone (absent for a rule); preprocessing is the manifest's encoder
    explainer.npz      what a field moved in a prediction, see noria.core.explainer (absent for a rule, and in old bundles)
    golden.json        requests and the scores they must give, replayed before the bundle may serve
    reference.parquet  features, score and label of the evaluation slice: what monitoring compares with (absent for a rule)
    evaluation.json    the evaluation report (absent for a rule)

The digest of a bundle is the SHA-256 of its bundle.json; the registry keeps it, so that nothing can be swapped in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from noria.core.calibration import Calibration
from noria.core.decision import DecisionPolicy, policy_of
from noria.core.encoder import Encoder
from noria.core.errors import BundleError
from noria.core.rule import Rule
from noria.core.signature import Field, Kind, Signature
from noria.core.use_case import Task, UseCase

MANIFEST = "bundle.json"
MODEL = "model.onnx"
EXPLAINER = "explainer.npz"
GOLDEN = "golden.json"
REFERENCE = "reference.parquet"
EVALUATION = "evaluation.json"
BASELINE_VERSION = "0"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(_Model):
    """What a model was made from."""

    as_of: datetime
    """Nothing that became known after this instant was used."""
    snapshot: str
    """Digest of the training set."""
    specification: str
    """Digest of the use case as it was."""
    seed: int


class Manifest(_Model):
    """What a bundle is and how to run it."""

    format: Literal[1] = 1
    use_case: str
    kind: Literal["rule", "onnx"]
    candidate: str
    """`baseline`, or the kind of model, such as `gradient_boosting`."""
    signature: Signature
    task: Task = Task.BINARY_CLASSIFICATION
    threshold: float = 0.5
    """Binary classification: decide yes where the probability is at least this."""
    classes: tuple[str, ...] = ()
    """Multiclass: the classes, in the order of the scores' columns."""
    payoffs: tuple[tuple[float, ...], ...] = ()
    """Multiclass: money by the class decided on, then by the class that came."""
    rule: str | None = None
    encoder: Encoder | None = None
    calibration: Calibration = Calibration()
    provenance: Provenance | None = None
    metrics: dict[str, float] = {}
    """Metrics on the evaluation slice."""
    files: dict[str, str] = {}
    """SHA-256 of every other file, by name."""

    @property
    def policy(self) -> DecisionPolicy:
        """How this version decides."""
        return DecisionPolicy(task=self.task, threshold=self.threshold, classes=self.classes, payoffs=self.payoffs)


class GoldenRequest(_Model):
    """A request and the score it must give."""

    instance: dict[str, Any]
    score: float | tuple[float, ...]
    """A probability or a number; for multiclass one probability per class."""


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def specification_digest(use_case: UseCase) -> str:
    """Digest of everything a user wrote, independent of formatting."""
    return sha256(json.dumps(use_case.model_dump(mode="json"), sort_keys=True).encode())


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write the files and the manifest that seals them; returns the bundle's digest.

    The manifest is written last: a folder without one is not a bundle, whenever the process was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sealed = manifest.model_copy(update={"files": {name: sha256(content) for name, content in sorted(files.items())}})
    content = sealed.model_dump_json(indent=1).encode()
    (folder / MANIFEST).write_bytes(content)
    return sha256(content)


def read_manifest(folder: Path, digest: str | None = None) -> Manifest:
    """Read the manifest and check every file against it.

    Args:
        folder: where the bundle is.
        digest: what the registry says the bundle's digest is; None to skip that check.

    Raises:
        BundleError: a file is missing, altered or not of this format.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        if digest is not None and sha256(content) != digest:
            raise BundleError(
                f"{folder / MANIFEST}: SHA-256 is {sha256(content)}, the registry says {digest}; fetch it again"
            )
        manifest = Manifest.model_validate_json(content)
        for name, expected in manifest.files.items():
            if "/" in name or (found := sha256((folder / name).read_bytes())) != expected:
                raise BundleError(f"{folder / name}: SHA-256 is {found}, the manifest says {expected}; fetch it again")
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename}: is missing; the bundle is incomplete, fetch it again") from error
    except ValidationError as error:
        raise BundleError(
            f"{folder / MANIFEST}: is not a bundle manifest of format 1 ({error.error_count()} errors)"
        ) from error
    return manifest


def read_golden(folder: Path) -> tuple[GoldenRequest, ...]:
    """The golden requests of a bundle; empty where it has none."""
    path = folder / GOLDEN
    return tuple(GoldenRequest.model_validate(item) for item in json.loads(path.read_bytes())) if path.exists() else ()


def declared_signature(use_case: UseCase) -> Signature:
    """The signature as the use case declares it, before training has seen any data."""
    numeric = (
        Field(
            name=name,
            kind=Kind.NUMERIC,
            description=feature.description,
            unit=feature.unit,
            required=feature.required,
            minimum=feature.range[0] if feature.range else None,
            maximum=feature.range[1] if feature.range else None,
        )
        for name, feature in use_case.features.numeric.items()
    )
    categorical = (
        Field(name=name, kind=Kind.CATEGORICAL, description=feature.description, required=feature.required)
        for name, feature in use_case.features.categorical.items()
    )
    return Signature(fields=(*numeric, *categorical))


def baseline_manifest(use_case: UseCase) -> Manifest:
    """Version 0: the rule, made from the use case alone, so that it can serve before anything else is there."""
    policy = policy_of(use_case)
    return Manifest(
        use_case=use_case.name,
        kind="rule",
        candidate="baseline",
        task=use_case.task,
        signature=declared_signature(use_case),
        threshold=policy.threshold,
        classes=policy.classes,
        rule=Rule(use_case.business.baseline).expression,
    )
