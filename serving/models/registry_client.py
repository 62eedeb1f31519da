"""Reads champions and challengers from an MLflow server over plain HTTP; the mlflow package stays out of this process.

`noria.registry.mlflow_registry` writes what is read here, and documents where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from noria.core.base.errors import BundleError, RegistryError
from noria.core.lifecycle.rollout import GUARD_TAG, ROLLOUT_TAG, GuardReport, Rollout

_log = logging.getLogger(__name__)
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ALIAS = "champion"
_Document = TypeVar("_Document", Rollout, GuardReport)
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)


@dataclass(frozen=True)
class PublishedVersion:
    """A version that the registry wants served, alone or beside another.

    Attributes:
        digest: SHA-256 of the bundle's manifest; empty if the registry has none.
        source: URI of the bundle's folder.
    """

    use_case: str
    version: str
    digest: str
    source: str


@dataclass(frozen=True)
class RegistryView:
    """State of one use case in the registry.

    Attributes:
        champion: None for the baseline.
        rollout: the rollout that is under way, or the last one.
        guard: the last report of serving about a roll-back.
    """

    champion: PublishedVersion | None = None
    rollout: Rollout | None = None
    guard: GuardReport | None = None


class RegistryClient:
    """One MLflow server, asked from one thread."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=_TIMEOUT, trust_env=False)
        self._unreadable: dict[tuple[str, str], str] = {}
        """Tags that could not be read, so that each is logged once."""

    def view(self, use_case: str) -> RegistryView:
        """Champion, rollout and report of a use case. Without the alias, or the model, there is no champion.

        Raises:
            RegistryError: the registry does not answer.
        """
        model = self._ask("registered-models/get", name=use_case).get("registered_model", {})
        number = next((str(alias["version"]) for alias in model.get("aliases", ()) if alias["alias"] == _ALIAS), None)
        tags = {tag["key"]: tag["value"] for tag in model.get("tags", ())}
        return RegistryView(
            None if number is None else self.version(use_case, number),
            self._document(use_case, tags, ROLLOUT_TAG, Rollout),
            self._document(use_case, tags, GUARD_TAG, GuardReport),
        )

    def version(self, use_case: str, number: str) -> PublishedVersion:
        """One version, and the place of its bundle.

        Raises:
            RegistryError: the registry does not answer, or has no such version.
        """
        answer = self._ask("model-versions/get", name=use_case, version=number)
        if "model_version" not in answer:
            raise RegistryError(f"{self._url}: version {number} of {use_case} is wanted, and is not there")
        return _champion(use_case, number, answer["model_version"])

    def report(self, use_case: str, report: GuardReport) -> None:
        """Report that a challenger was rolled back; harmless if it was reported before.

        Raises:
            RegistryError: the registry does not answer, or refuses.
        """
        url, content = f"{_API}/registered-models/set-tag", report.model_dump_json()
        try:
            response = self._http.post(url, json={"name": use_case, "key": GUARD_TAG, "value": content})
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise RegistryError(f"{self._url}{url}: {type(error).__name__}: {error}") from error

    def _document(self, use_case: str, tags: Mapping[str, str], name: str, kind: type[_Document]) -> _Document | None:
        """A tag as a document; None if it is absent or cannot be read, so that the champion answers alone."""
        content = tags.get(name)
        if content is None:
            return None
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            if self._unreadable.get((use_case, name)) != content:
                self._unreadable[use_case, name] = content
                _log.error("%s: its tag %s cannot be read, the champion answers alone: %s", use_case, name, error)
            return None

    def download(self, champion: PublishedVersion, name: str, into: Path) -> None:
        """Fetch one file of the champion's bundle.

        Raises:
            BundleError: it is not there.
            RegistryError: the registry does not answer.
        """
        url = _artifact_path(champion, name)
        try:
            with self._http.stream("GET", url) as response:
                if response.is_client_error:
                    raise BundleError(
                        f"{self._url}{url}: HTTP {response.status_code}; the bundle is incomplete, register it again"
                    )
                response.raise_for_status()
                with into.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
        except httpx.HTTPError as error:
            raise RegistryError(f"{self._url}{url}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _ask(self, method: str, **params: str) -> dict[str, Any]:
        """The answer; empty if the registry says that the resource does not exist."""
        try:
            response = self._http.get(f"{_API}/{method}", params=params)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(f"{self._url}: does not answer as MLflow does ({type(error).__name__}: {error})") from error
        if response.status_code == httpx.codes.OK and isinstance(answer, dict):
            return answer
        # only MLflow's own error code counts: a 404 of a proxy must not remove a champion
        if isinstance(answer, dict) and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise RegistryError(f"{self._url}/{method}: HTTP {response.status_code}: {response.text[:200]}")


def _champion(use_case: str, number: str, version: dict[str, Any]) -> PublishedVersion:
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", ())}
    return PublishedVersion(use_case, number, tags.get("bundle_digest", ""), str(version.get("source", "")))


def _artifact_path(champion: PublishedVersion, name: str) -> str:
    source = urlsplit(champion.source)
    if source.scheme != "mlflow-artifacts":
        raise BundleError(
            f"version {champion.version} of {champion.use_case} lies at {champion.source!r}, which serving cannot reach; "
            "run MLflow with --serve-artifacts and register it again"
        )
    return f"{_ARTIFACTS}/{source.path.strip('/')}/{name}"
