"""Dashboards and alerts ask only for what serving says, and point where docker-compose.yml mounts things."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from noria.io.clock import SystemClock
from serving.journal.journal import Journal
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import ServedModels
from serving.observability.live_state import LiveState
from serving.observability.metrics import Metrics

_NAME = re.compile(r"noria_[a-z_]+")


@pytest.fixture
def folder(project: Path) -> Path:
    return project / "monitoring"


@pytest.fixture
def dashboard(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "grafana/dashboards/serving.json").read_text(encoding="utf-8")))


@pytest.fixture
def alerts(folder: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((folder / "prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exposed() -> set[str]:
    """Names of samples, as serving declares them; a counter without a label set yet shows only its type line."""
    metrics, clock, nowhere = Metrics(), SystemClock(), Path("nowhere")
    metrics.show(LiveState(ServedModels(), ActiveRollouts(nowhere, clock, metrics), Journal(nowhere, clock)))
    text = metrics.text().decode()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"} if kind == "histogram" else {name}
    return names


def expressions(dashboard: dict[str, Any], alerts: list[dict[str, Any]]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"]["query"] for variable in dashboard["templating"]["list"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])
    yield from (alert["expr"] for alert in alerts)


def test_every_metric_that_is_asked_for_is_exposed(dashboard: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    asked = {name for expression in expressions(dashboard, alerts) for name in _NAME.findall(expression)}
    assert len(asked) >= 10
    assert asked <= exposed()


def test_every_panel_and_alert_says_what_it_is_about(dashboard: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 8
    assert all(panel["title"] and panel["description"] for panel in dashboard["panels"])
    assert len(alerts) >= 5
    assert all(alert["annotations"]["summary"] and alert["annotations"]["description"] for alert in alerts)


def test_grafana_and_prometheus_agree_with_each_other_and_with_compose(folder: Path, dashboard: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((folder / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert all(panel["datasource"]["uid"] == source["uid"] for panel in dashboard["panels"])
    compose = yaml.safe_load((folder.parent / "docker-compose.yml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((folder / "grafana/provisioning/dashboards/noria.yml").read_text())["providers"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in compose["grafana"]["volumes"]}
    assert mounts[provider["options"]["path"]] == "./monitoring/grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"] == "./monitoring/grafana/provisioning"
    assert "./monitoring/prometheus:/etc/prometheus:ro" in compose["prometheus"]["volumes"]
    scrape = yaml.safe_load((folder / "prometheus/prometheus.yml").read_text())
    assert set(scrape["scrape_configs"][0]["dns_sd_configs"][0]["names"]) <= set(compose)
    assert all((folder / "prometheus" / name).exists() for name in scrape["rule_files"])
