"""The few answers of an MLflow server that serving asks for, over real HTTP; a test moves its aliases, or turns it off."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from noria.core.lifecycle.rollout import GUARD_TAG, ROLLOUT_TAG, GuardReport, Rollout, RolloutVersion
from tests.serving.bundles import Bundle

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class FakeMlflow:
    """Registered models of one server."""

    def __init__(self) -> None:
        self.bundles: dict[str, dict[str, Bundle]] = {}
        self.champions: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.garbled: set[str] = set()
        """Models that are answered with something else than MLflow's documents."""
        self.is_down = False
        self.url = ""

    def register(self, name: str, version: str, bundle: Bundle) -> RolloutVersion:
        """A version of a use case."""
        self.bundles.setdefault(name, {})[version] = bundle
        self.tags.setdefault(name, {})
        return RolloutVersion(version=version, digest=bundle.digest)

    def roll_out(self, rollout: Rollout) -> None:
        """Put a rollout's document in place."""
        self.tags[rollout.use_case][ROLLOUT_TAG] = rollout.model_dump_json()

    def reported(self, name: str) -> GuardReport | None:
        """The last report of serving."""
        content = self.tags[name].get(GUARD_TAG)
        return None if content is None else GuardReport.model_validate_json(content)

    def answer(self, method: str, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of one request."""
        if self.is_down:
            return 503, b"down"
        if path.startswith(_ARTIFACTS):
            name, version, file = path.removeprefix(_ARTIFACTS).split("/")
            found = self.bundles[name][version].folder / file
            return (200, found.read_bytes()) if found.is_file() else (404, b"")
        if method == "POST" and path.endswith("registered-models/set-tag"):
            self.tags[asked["name"]][asked["key"]] = asked["value"]
            return 200, b"{}"
        content = self._model(asked["name"]) if path.endswith("registered-models/get") else self._version(asked)
        return (200, json.dumps(content).encode()) if content else (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')

    def _model(self, name: str) -> dict[str, Any]:
        if name in self.garbled:
            return {"registered_model": {"name": name, "aliases": ["no document"]}}
        if name not in self.bundles:
            return {}
        champion = self.champions.get(name)
        aliases = [{"alias": "champion", "version": champion}] if champion else []
        tags = [{"key": key, "value": value} for key, value in self.tags[name].items()]
        return {"registered_model": {"name": name, "aliases": aliases, "tags": tags}}

    def _version(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, version = asked["name"], asked["version"]
        if version not in self.bundles.get(name, {}):
            return {}
        tags = [{"key": "bundle_digest", "value": self.bundles[name][version].digest}]
        return {"model_version": {"version": version, "source": f"mlflow-artifacts:/{name}/{version}", "tags": tags}}


@contextmanager
def running() -> Iterator[FakeMlflow]:
    """A server that answers until the block ends."""
    fake = FakeMlflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            self._send(*fake.answer("GET", asked.path, {key: values[0] for key, values in parse_qs(asked.query).items()}))

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            self._send(*fake.answer("POST", self.path, json.loads(content)))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
