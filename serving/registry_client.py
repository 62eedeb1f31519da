"""Reads champions from an MLflow server over plain HTTP; the mlflow package stays out of this process.

What lies where is written down in `noria.registry.mlflow_registry`, which puts it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from noria.core.errors import BundleError, RegistryError

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ALIAS = "champion"
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)


@dataclass(frozen=True)
class Champion:
    """The version that the registry wants served.

    Attributes:
        digest: SHA-256 of the bundle's manifest; empty where the registry does not say.
        source: URI of the bundle's folder.
    """

    use_case: str
    version: str
    digest: str
    source: str


class RegistryClient:
    """One MLflow server, asked from one thread."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=_TIMEOUT, trust_env=False)

    def champion(self, use_case: str) -> Champion | None:
        """The champion; None where the alias or the model is not there, which means version 0.

        Raises:
            RegistryError: the registry does not answer.
        """
        model = self._ask("registered-models/get", name=use_case)
        aliases = model.get("registered_model", {}).get("aliases", ())
        number = next((str(alias["version"]) for alias in aliases if alias["alias"] == _ALIAS), None)
        if number is None:
            return None
        answer = self._ask("model-versions/get", name=use_case, version=number)
        if "model_version" not in answer:
            raise RegistryError(f"{self._url}: the champion of {use_case} is version {number}, which is not there")
        return _champion(use_case, number, answer["model_version"])

    def download(self, champion: Champion, name: str, into: Path) -> None:
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
        """The answer; empty where the registry says that the thing does not exist."""
        try:
            response = self._http.get(f"{_API}/{method}", params=params)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(f"{self._url}: does not answer as MLflow does ({type(error).__name__}: {error})") from error
        if response.status_code == httpx.codes.OK and isinstance(answer, dict):
            return answer
        # only MLflow's own word counts: a 404 of a proxy must not take a champion away
        if isinstance(answer, dict) and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise RegistryError(f"{self._url}/{method}: HTTP {response.status_code}: {response.text[:200]}")


def _champion(use_case: str, number: str, version: dict[str, Any]) -> Champion:
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", ())}
    return Champion(use_case, number, tags.get("bundle_digest", ""), str(version.get("source", "")))


def _artifact_path(champion: Champion, name: str) -> str:
    source = urlsplit(champion.source)
    if source.scheme != "mlflow-artifacts":
        raise BundleError(
            f"version {champion.version} of {champion.use_case} lies at {champion.source!r}, which serving cannot reach; "
            "run MLflow with --serve-artifacts and register it again"
        )
    return f"{_ARTIFACTS}/{source.path.strip('/')}/{name}"
