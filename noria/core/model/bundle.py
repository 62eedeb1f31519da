"""A model as files that can be checked and never unpickled: JSON, ONNX, plain arrays and Parquet, with checksums.

    bundle.json        the manifest below; holds the SHA-256 of every other file
    model.onnx         the estimator alone (absent for a rule); preprocessing is the manifest's encoder
    explainer.npz      what a field moved in a prediction, see noria.core.model.explainer (absent for a rule, and in old
    bundles) golden.json        requests and the scores they must give, replayed before the bundle may serve
    reference.parquet  features, score and label of the evaluation slice: what monitoring compares with (absent for a rule)
    evaluation.json    the evaluation report (absent for a rule)

The digest of a bundle is the SHA-256 of its bundle.json; the registry keeps it, so that nothing can be swapped in between.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from noria.core.model.calibration import Calibration
from noria.core.model.decision import DecisionPolicy, policy_of
from noria.core.model.encoder import Encoder
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import DEFAULT_TASK, Task, UseCase
from noria.core.use_case.rule import Rule

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
    """Origin of a model."""

    as_of: datetime
    """Nothing that became known after this instant was used."""
    snapshot: str
    """Digest of the training set."""
    specification: str
    """Digest of the use case as it was."""
    seed: int


class Manifest(_Model):
    """Description of a bundle, and how to run it."""

    format: Literal[1] = 1
    use_case: str
    kind: Literal["rule", "onnx"]
    candidate: str
    """`baseline`, or the kind of model, such as `gradient_boosting`."""
    signature: Signature
    task: Task = DEFAULT_TASK
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
    """Version 0: the baseline, made from the use case alone, so that it can serve before anything else is there."""
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
