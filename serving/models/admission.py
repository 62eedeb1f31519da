"""Whether a version may answer for a use case as it is written now."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from noria.core.base.errors import BundleError
from noria.core.model.bundle import Manifest
from noria.core.model.signature import Kind
from noria.core.use_case import Task, UseCase
from noria.inference.predictor import Predictor
from serving.contract.scores import expected_shape, valid_rows
from serving.models.example import example_instance


def admit(use_case: UseCase, predictor: Predictor) -> None:
    """Check that a version can answer valid requests of the use case, in the form of its task.

    Raises:
        BundleError: the version is of another use case, of another task or of other classes; it reads a field that the use
            case does not have; or it cannot score the example of its own documentation. Names every reason.
    """
    manifest = predictor.manifest
    reasons = list(_contradictions(use_case, manifest)) or list(_failure_on_example(predictor))
    if reasons:
        raise BundleError(f"it does not fit the use case: {'; '.join(reasons)}; train a version of {use_case.name} as it is")


def _contradictions(use_case: UseCase, manifest: Manifest) -> Iterator[str]:
    if manifest.use_case != use_case.name:
        yield f"it is a bundle of {manifest.use_case}, not of {use_case.name}"
        return
    if manifest.task is not use_case.task:
        yield f"its task is {manifest.task}, the use case's is {use_case.task}"
        return
    if use_case.task.is_multiclass and sorted(manifest.classes) != sorted(use_case.label.classes):
        yield f"its classes are {', '.join(manifest.classes)}, the use case's are {', '.join(use_case.label.classes)}"
    size = len(manifest.classes)
    if manifest.payoffs and [len(row) for row in manifest.payoffs] != [size] * size:
        yield f"its payoffs are not a table of {size} by {size} classes"
    yield from _signature_problems(use_case, manifest)


def _signature_problems(use_case: UseCase, manifest: Manifest) -> Iterator[str]:
    """Fields that requests cannot have, which would always be missing, and fields of another kind."""
    features = use_case.features
    for field in manifest.signature.fields:
        if field.name not in features.names:
            yield f"it reads {field.name}, which is no feature of the use case"
        elif field.kind is not (Kind.NUMERIC if field.name in features.numeric else Kind.CATEGORICAL):
            kind = "numeric" if field.name in features.numeric else "categorical"
            yield f"it reads {field.name} as {field.kind}, the use case has it as {kind}"


def _failure_on_example(predictor: Predictor) -> Iterator[str]:
    """An intact graph may still give other scores than its manifest says: one score shows it."""
    manifest = predictor.manifest
    if manifest.kind == "rule":
        return
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            scores = predictor.score_rows([example_instance(manifest.signature.fields)])
    except Exception as error:  # a graph can fail in any way
        yield f"its own example cannot be scored ({error})"
        return
    expected = expected_shape(manifest, 1)
    if scores.shape != expected:
        yield f"its graph gives scores of shape {scores.shape}, expected {expected}"
    elif not valid_rows(manifest, scores).all():
        yield f"its graph answers its own example with {scores.tolist()[0]}, which is no {_answer_of(manifest.task)}"


def _answer_of(task: Task) -> str:
    return {
        Task.BINARY_CLASSIFICATION: "probability",
        Task.MULTICLASS: "set of probabilities",
        Task.REGRESSION: "finite number",
    }[task]
