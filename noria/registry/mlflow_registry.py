"""Model versions in MLflow: the files as artifacts of a run, the facts as tags, the champion as an alias.

What is stored where, for readers without this class (serving reads it over plain REST):

    registered model   named like the use case
        tag ``baseline``        JSON ``{"run_id": ..., "bundle_digest": ...}``: version "0", the baseline
        alias ``champion``      the version that serves; no alias means version "0". The only truth: an alias below that
                                names the same version says nothing (see `noria.registry.aliases`)
        alias ``challenger``    the version that is tried beside it; no alias means none
        alias ``previous``      the champion before this one; no alias means version "0"
        tag ``rollout``         JSON of `noria.core.lifecycle.rollout.Rollout`: the rollout under way, or the last one
        tag ``rollout_guard``   JSON of `noria.core.lifecycle.rollout.GuardReport`: serving writes it when it rolls a
                                challenger back
    model version      "1", "2", ...; its ``run_id`` is the training run, its ``source`` is ``<run's artifacts>/bundle``
                       (``mlflow-artifacts:/<experiment>/<run>/artifacts/bundle``: what follows ``mlflow-artifacts:/`` is the
                       path under ``/api/2.0/mlflow-artifacts/artifacts/``)
        tag ``bundle_digest``   SHA-256 of the bundle's bundle.json
        tag ``key``             identifies the training (digests of snapshot and specification)
        tag ``as_of``           ISO 8601; nothing that became known later was used
        tag ``snapshot``        digest of the training set
        tag ``metrics``         JSON object, metrics on the evaluation slice; tags ``metric.<name>`` say each one for people
        tag ``passed``          "true" where every enforced gate passed, else "false"
        tag ``summary``         one line: metrics against the baseline, and any failed gate
        tag ``champion``        the version that served when the gates were checked
        tag ``retired``         "true" once another version has taken its place as champion
    run                in the experiment named like the use case, with parameters, metrics (per segment too) and the
                       training set as dataset
        artifact ``bundle/``        the files of `noria.core.model.bundle`, and beside them those of
                                    `noria.registry.flavours`, so that ``models:/<use case>@champion`` is a model for
                                    MLflow's own tools
        artifact ``evidence/``      model card and evaluation pages, where there are any
        artifact ``signature.json`` the inputs
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from noria.core.base.errors import BundleError, RegistryError
from noria.core.lifecycle.registry import EVIDENCE, AliasState, GateOutcome, ModelVersion
from noria.core.lifecycle.rollout import GuardReport, Rollout
from noria.core.model.bundle import BASELINE_VERSION
from noria.io.bundle_files import read_manifest
from noria.registry.aliases import move_challenger, move_champion, read_alias_state
from noria.registry.bundle_cache import fetch_into_cache
from noria.registry.descriptions import ABOUT_MODEL, describe_version
from noria.registry.entries import baseline_version, outcome_tags, tags_of, trained_version
from noria.registry.rollout_tags import read_guard_report, read_rollout, write_rollout
from noria.registry.run import BUNDLE, LoggedBundle, log_baseline_run, log_training_run

_BASELINE_TAG = "baseline"
# MLflow waits for minutes by default; a pipeline step has its own retries and should say soon what is wrong.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowRegistry:
    """`noria.ports.model_registry.ModelRegistry` on an MLflow server with proxied artifacts."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def register_baseline(self, use_case: str, bundle: Path, digest: str) -> ModelVersion:
        """Make sure that the model and its version 0 are there; harmless when they are. A changed rule replaces it.

        Raises:
            BundleError: the bundle is not whole.
            RegistryError: MLflow does not answer.
        """
        manifest = read_manifest(bundle, digest)
        with self._asking(f"register version 0 of {use_case}"):
            self._ensure_model(use_case)
            if self._baseline(use_case).get("bundle_digest") != digest:
                run_id = log_baseline_run(self._client, LoggedBundle(manifest, bundle, digest))
                # One tag holds both facts: a kill can leave a run that nobody points to, never half a pointer.
                pointer = json.dumps({"run_id": run_id, "bundle_digest": digest})
                self._client.set_registered_model_tag(use_case, _BASELINE_TAG, pointer)
        return self.version(use_case, BASELINE_VERSION)

    def register(
        self,
        use_case: str,
        bundle: Path,
        digest: str,
        *,
        key: str,
        params: Mapping[str, str],
        outcome: GateOutcome,
        evidence: Path | None = None,
    ) -> ModelVersion:
        """Store a trained bundle as a new version; the same key again returns the version that is there.

        Raises:
            BundleError: the bundle is not whole.
            RegistryError: `evidence` is no folder, or MLflow does not answer.
        """
        manifest = read_manifest(bundle, digest)
        tags = tags_of(manifest, digest, key, outcome)
        if evidence is not None and not evidence.is_dir():
            raise RegistryError(f"{evidence}: is not a folder; the evidence of {use_case} is a folder of pages, or none")
        with self._asking(f"register a version of {use_case}"):
            self._ensure_model(use_case)
            if found := self.find(use_case, key):
                return found
            logged = LoggedBundle(manifest, bundle, digest, evidence, params, outcome_tags(outcome))
            run_id = log_training_run(self._client, logged, key)
            self._create_version(use_case, run_id, tags)
            return self._settle(use_case, key)

    def find(self, use_case: str, key: str) -> ModelVersion | None:
        """The version that was registered under a key."""
        return next((version for version in self._trained(use_case) if version.key == key), None)

    def params(self, version: ModelVersion) -> Mapping[str, str]:
        """Parameters of the training that made a version; empty for version 0."""
        if version.version == BASELINE_VERSION:
            return {}
        with self._asking(f"read the parameters of version {version.version} of {version.use_case}"):
            return dict(self._client.get_run(version.run_id).data.params)

    def version(self, use_case: str, version: str) -> ModelVersion:
        """One version."""
        with self._asking(f"find version {version} of {use_case}"):
            alias_state = read_alias_state(self._client, use_case)
            if version == BASELINE_VERSION:
                return baseline_version(use_case, self._baseline(use_case), alias_state, self._url)
            return trained_version(self._client.get_model_version(use_case, version), alias_state)

    def versions(self, use_case: str) -> tuple[ModelVersion, ...]:
        """All versions, version 0 first."""
        return (self.version(use_case, BASELINE_VERSION), *self._trained(use_case))

    def champion(self, use_case: str) -> ModelVersion:
        """The version that serves; version 0 where nothing was promoted."""
        with self._asking(f"find the champion of {use_case}"):
            return self.version(use_case, read_alias_state(self._client, use_case).champion)

    def alias_state(self, use_case: str) -> AliasState:
        """Champion, challenger and the champion before."""
        with self._asking(f"find the aliases of {use_case}"):
            return read_alias_state(self._client, use_case)

    def set_champion(self, use_case: str, version: str) -> None:
        """Move the champion alias ("0" removes it); the outgoing champion becomes `previous`."""
        with self._asking(f"make version {version} of {use_case} champion"):
            move_champion(self._client, use_case, version)

    def set_challenger(self, use_case: str, version: str) -> None:
        """Move the challenger alias ("0" removes it)."""
        with self._asking(f"make version {version} of {use_case} challenger"):
            move_challenger(self._client, use_case, version)

    def rollout(self, use_case: str) -> Rollout | None:
        """The rollout that is under way, or the last one; None where there never was one."""
        with self._asking(f"read the rollout of {use_case}"):
            return read_rollout(self._client, use_case)

    def set_rollout(self, rollout: Rollout) -> None:
        """Keep a rollout's document in place of the one before."""
        with self._asking(f"write the rollout of {rollout.use_case}"):
            write_rollout(self._client, rollout)

    def guard_report(self, use_case: str) -> GuardReport | None:
        """Report of serving when it last rolled back a challenger by itself; None if it never did."""
        with self._asking(f"read what serving says of {use_case}"):
            return read_guard_report(self._client, use_case)

    def download(self, version: ModelVersion, cache: Path) -> Path:
        """The bundle's folder under `cache`, fetched unless it is there; checked against its digest."""

        def fetch(folder: Path) -> Path:
            with self._asking(f"download version {version.version} of {version.use_case}"):
                return Path(self._client.download_artifacts(version.run_id, BUNDLE, str(folder)))

        try:
            return fetch_into_cache(cache / version.use_case / version.bundle_digest, version.bundle_digest, fetch)
        except BundleError as error:
            raise RegistryError(
                f"version {version.version} of {version.use_case} at {self._url} is damaged ({error}); "
                "roll back to another version"
            ) from error

    def download_evidence(self, version: ModelVersion, into: Path) -> Path | None:
        """The folder of model card and evaluation pages, fetched into `into`; None where the version has none."""
        with self._asking(f"download the evidence of version {version.version} of {version.use_case}"):
            if not self._client.list_artifacts(version.run_id, EVIDENCE):
                return None
            into.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(version.run_id, EVIDENCE, str(into)))

    @cached_property
    def _client(self) -> Any:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)  # MLflow's client has no other way to set it
        from mlflow import MlflowClient  # 2 s: only for jobs that talk to the registry

        return MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    @contextmanager
    def _asking(self, purpose: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException) as error:
            raise RegistryError(self._explain(purpose, error)) from error

    def _explain(self, purpose: str, error: Exception) -> str:
        code = getattr(error, "error_code", "")
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            return f"cannot {purpose}: MLflow at {self._url} does not have it; `noria train` registers models"
        if "failed with exception" in str(error) or not code:
            return (
                f"cannot {purpose}: MLflow does not answer at {self._url}; check that it runs (`noria status`) "
                f"and that NORIA_MLFLOW_URL is right ({str(error)[:200]})"
            )
        return f"cannot {purpose}: MLflow at {self._url} refused: {str(error)[:400]}"

    def _ensure_model(self, use_case: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(use_case, description=ABOUT_MODEL)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _baseline(self, use_case: str) -> dict[str, str]:
        tags: Mapping[str, str] = self._client.get_registered_model(use_case).tags
        return json.loads(tags.get(_BASELINE_TAG, "{}"))  # type: ignore[no-any-return]  # written above

    def _create_version(self, use_case: str, run_id: str, tags: Mapping[str, str]) -> None:
        run = self._client.get_run(run_id)
        self._client.create_model_version(
            use_case,
            f"{run.info.artifact_uri}/{BUNDLE}",
            run_id,
            tags=dict(tags),
            description=describe_version(self._client, run, tags.get("summary", "")),
            await_creation_for=None,
        )

    def _settle(self, use_case: str, key: str) -> ModelVersion:
        """Two at once may both have created a version; the first keeps the key, later ones go."""
        first, *others = [version for version in self._trained(use_case) if version.key == key]
        for other in others:
            self._delete_version(use_case, other.version)
        return first

    def _delete_version(self, use_case: str, version: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_model_version(use_case, version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # the other process was as quick
                raise

    def _trained(self, use_case: str) -> tuple[ModelVersion, ...]:
        with self._asking(f"list the versions of {use_case}"):
            found: list[Any] = []
            token: str | None = None
            while token != "":
                page = self._client.search_model_versions(f"name = '{use_case}'", max_results=1000, page_token=token)
                found += page
                token = page.token or ""
            alias_state = read_alias_state(self._client, use_case) if found else AliasState()
        found.sort(key=lambda version: int(version.version))
        return tuple(trained_version(version, alias_state) for version in found)
