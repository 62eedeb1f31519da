"""Exits 0 where a component of Airflow is healthy: `healthy.py scheduler`. A heartbeat in the database, not an open port."""

from __future__ import annotations

import json
import os
import sys
import urllib.request

URL = os.environ.get("AIRFLOW_INTERNAL_URL", "http://airflow-api-server:8080")


def main(component: str) -> int:
    """Ask the api-server how a component is."""
    with urllib.request.urlopen(f"{URL}/api/v2/monitor/health", timeout=10) as response:  # noqa: S310 - our own service
        health = json.load(response)
    if component == "api_server":
        # The execution API is built on its first request, for longer than a task waits: ask before any task does.
        urllib.request.urlopen(f"{URL}/execution/health", timeout=60).close()  # noqa: S310 - our own service
        return 0
    return 0 if health[component]["status"] == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
