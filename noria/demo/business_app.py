"""A business app as it would be: sends real entities to the REST API, one at a time, and minds every answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class AppTraffic:
    """Answers that the app has seen so far."""

    answered: int = 0
    failed: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """A percentile of the latency in milliseconds; 0 where nothing was answered."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class BusinessApp:
    """Sends instances in a thread until it is stopped; starts over when it has sent them all.

    Each answer counts for the version that gave it: of two that share the requests, the one whose turn it was.

    Args:
        url: serving's base URL.
        use_case: which use case to ask.
        instances: bodies of `instances`, one per request.
        per_second: how many requests to send in a second.
    """

    def __init__(self, url: str, use_case: str, instances: Sequence[Mapping[str, Any]], *, per_second: float = 60.0) -> None:
        if not instances:
            raise ValueError("a business app needs at least one instance to send")
        self._url = f"{url}/v1/{use_case}/predict"
        self._instances = instances
        self._pause = 1.0 / per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="business-app", daemon=True)
        self.traffic = AppTraffic()

    def ask_about(self, instances: Sequence[Mapping[str, Any]]) -> None:
        """Go on with other instances."""
        self._instances = instances

    def __enter__(self) -> BusinessApp:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def wait_for(self, requests: int, timeout: float = 300.0) -> None:
        """Wait until so many requests have been sent.

        Raises:
            TimeoutError: they were not sent in time.
        """
        deadline = time.monotonic() + timeout
        while self.traffic.answered + self.traffic.failed < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {self.traffic.answered} of {requests} requests were answered in {timeout:.0f} s")
            time.sleep(0.05)

    def _send_all(self) -> None:
        with httpx.Client(timeout=10.0) as client:
            position = 0
            due = time.monotonic()
            while not self._stop.is_set():
                instances = self._instances
                self._send(client, instances[position % len(instances)])
                position += 1
                due = max(due + self._pause, time.monotonic() - 1.0)
                self._stop.wait(max(0.0, due - time.monotonic()))

    def _send(self, client: httpx.Client, instance: Mapping[str, Any]) -> None:
        started = time.perf_counter()
        try:
            response = client.post(self._url, json={"instances": [instance]})
            response.raise_for_status()
            version = str(response.json()["predictions"][0]["version"])
        except (httpx.HTTPError, KeyError, IndexError, ValueError) as error:
            self.traffic.failed += 1
            self.traffic.errors.append(f"{type(error).__name__}: {error}")
            return
        self.traffic.latencies_ms.append((time.perf_counter() - started) * 1000)
        self.traffic.versions[version] += 1
        self.traffic.answered += 1
