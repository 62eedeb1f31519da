"""Run in MLflow of one training: dataset, parameters, metrics, inputs and the bundle's files."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.lifecycle.registry import EVIDENCE
from noria.core.model.bundle import EVALUATION, MANIFEST, Manifest
from noria.registry.flavours import write_flavours

BUNDLE = "bundle"

_FORBIDDEN = re.compile(r"[^\w\-./: ]")


@dataclass(frozen=True)
class LoggedBundle:
    """A sealed bundle and what is logged beside it.

    Attributes:
        manifest: the bundle's.
        folder: where its files are.
        digest: the bundle's.
        evidence: folder of pages for people; None where there are none.
        params: parameters of the run.
        tags: tags of the run.
    """

    manifest: Manifest
    folder: Path
    digest: str
    evidence: Path | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def log_baseline_run(client: Any, bundle: LoggedBundle) -> str:
    """Log version 0, once per digest; returns the run's id."""
    return _log_once(client, bundle, key=f"baseline-{bundle.digest}", name="version 0")


def log_training_run(client: Any, bundle: LoggedBundle, key: str) -> str:
    """Log one training, once per key; returns the run's id."""
    provenance = bundle.manifest.provenance
    as_of = f"{provenance.as_of:%Y-%m-%d}" if provenance else ""
    return _log_once(client, bundle, key=key, name=f"{bundle.manifest.candidate} as of {as_of}")


def _log_once(client: Any, bundle: LoggedBundle, *, key: str, name: str) -> str:
    experiment = _ensure_experiment(client, bundle.manifest.use_case)
    if finished := _finished_run(client, experiment, key, bundle.digest):
        return finished
    tags = {**bundle.tags, "bundle_digest": bundle.digest, "key": key}
    run_id = str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
    _log_facts(client, run_id, bundle)
    _log_files(client, run_id, bundle)
    client.set_terminated(run_id, "FINISHED")  # last: a run that is not finished was interrupted, and is logged again
    return run_id


def _log_files(client: Any, run_id: str, bundle: LoggedBundle) -> None:
    """The sealed files with the flavours beside them, the signature, and the evidence."""
    for name in (MANIFEST, *bundle.manifest.files):
        client.log_artifact(run_id, str(bundle.folder / name), BUNDLE)
    with tempfile.TemporaryDirectory() as flavours:
        write_flavours(bundle.manifest, bundle.digest, run_id, Path(flavours))
        client.log_artifacts(run_id, flavours, BUNDLE)
    client.log_dict(run_id, bundle.manifest.signature.model_dump(mode="json"), "signature.json")
    if bundle.evidence is not None:
        client.log_artifacts(run_id, str(bundle.evidence), EVIDENCE)


def _ensure_experiment(client: Any, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if experiment := client.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def _finished_run(client: Any, experiment: str, key: str, digest: str) -> str | None:
    """The run of an earlier attempt that holds this very bundle; attempts that were interrupted are marked as killed.

    An attempt that was killed before its version was made may have judged against a champion that is gone by now: its
    bundle is another one.
    """
    for run in client.search_runs([experiment], f"tags.`key` = '{key}'"):
        if run.info.status == "FINISHED" and run.data.tags.get("bundle_digest") == digest:
            return str(run.info.run_id)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
    return None


def _log_facts(client: Any, run_id: str, bundle: LoggedBundle) -> None:
    from mlflow.entities import Metric, Param

    recorded = [Param(name, value[:6000]) for name, value in bundle.params.items()]
    measured = [Metric(name, value, 0, 0) for name, value in _metrics(bundle.manifest, bundle.folder)]
    for start in range(0, max(len(recorded), len(measured)), 100):  # MLflow takes a hundred parameters at a time
        client.log_batch(run_id, params=recorded[start : start + 100], metrics=measured[start : start + 100])
    _log_datasets(client, run_id, bundle.manifest)


def _log_datasets(client: Any, run_id: str, manifest: Manifest) -> None:
    from mlflow.exceptions import MlflowException

    datasets = list(_datasets(manifest))
    if not datasets:
        return
    try:
        client.log_inputs(run_id, datasets)
    except MlflowException as error:
        # Two runs that bring the same data set at the same moment: MLflow looks, then inserts, and the slower one fails.
        if "duplicate key" not in str(error) and "UNIQUE constraint" not in str(error):
            raise
        client.log_inputs(run_id, datasets)


def _metrics(manifest: Manifest, bundle: Path) -> Iterator[tuple[str, float]]:
    yield from manifest.metrics.items()
    if not (bundle / EVALUATION).exists():
        return
    report = EvaluationReport.model_validate_json((bundle / EVALUATION).read_bytes())
    yield from (("rows", float(report.rows)), ("parity", report.parity), ("threshold", report.threshold))
    for reference in report.rivals:
        yield from ((f"{reference.name}/{metric}", value) for metric, value in reference.metrics.items())
    for part in report.segments:
        if part.judged:
            name = _FORBIDDEN.sub("_", f"{part.segment}/{part.value}")
            yield from ((f"{name}/{metric}", value) for metric, value in part.metrics.items())


def _datasets(manifest: Manifest) -> Iterable[Any]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if manifest.provenance is None:
        return
    source = {"sha256": manifest.provenance.snapshot, "as_of": manifest.provenance.as_of.isoformat()}
    dataset = Dataset(
        name=f"{manifest.use_case} as of {manifest.provenance.as_of:%Y-%m-%d}",
        digest=manifest.provenance.snapshot[:36],  # MLflow keeps no more; the source has it whole
        source_type="noria_snapshot",
        source=json.dumps(source),
    )
    yield DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
