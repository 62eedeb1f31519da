"""Parses the DAG files as Airflow's DAG processor does, and prints what it finds as JSON.

Runs in a process of its own: Airflow reads its configuration once per process, and what parsing imports can only be seen in
a process that has imported nothing else.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization


def describe(folder: Path) -> dict[str, Any]:
    """All DAGs of a folder, what could not be imported, and which libraries that took."""
    before = set(sys.modules)
    bag = DagBag(folder)
    imported = {name.partition(".")[0] for name in set(sys.modules) - before} | set(sys.modules)
    return {
        "dags": {dag_id: _describe_dag(dag) for dag_id, dag in sorted(bag.dags.items())},
        "import_errors": {Path(path).name: message for path, message in bag.import_errors.items()},
        "modules": sorted(imported),
    }


def _describe_dag(dag: Any) -> dict[str, Any]:
    data = DagSerialization.to_dict(dag)
    read_back = DagSerialization.from_dict(data)
    upcoming = read_back.next_dagrun_info(last_automated_run_info=None)
    wanted = read_back.iter_dagrun_infos_between(datetime(2012, 1, 1, tzinfo=UTC), datetime(2014, 12, 31, tzinfo=UTC))
    return {
        "version": SerializedDagModel.hash(data),  # type: ignore[no-untyped-call]  # Airflow's
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "paused": dag.is_paused_upon_creation,
        "max_active_runs": dag.max_active_runs,
        "summary": read_back.timetable.summary,
        "description": read_back.timetable.description,
        "periodic": read_back.timetable.periodic,
        "partitioned": read_back.timetable.partitioned,
        "assets": sorted(key.uri for key, _ in read_back.timetable.asset_condition.iter_assets()),
        "next": upcoming.partition_key if upcoming else None,
        "next_at": upcoming.run_after.isoformat() if upcoming else None,
        "backfill": [[info.partition_key, str(info.partition_date), info.run_after.isoformat()] for info in wanted],
        "tasks": {task.task_id: _describe_task(task) for task in dag.tasks},
        "on_failure": dag.has_on_failure_callback,
    }


def _describe_task(task: Any) -> dict[str, Any]:
    return {
        "owner": task.owner,
        "doc": task.doc_md,
        "upstream": sorted(task.upstream_task_ids),
        "outlets": [outlet.uri for outlet in task.outlets],
        "retries": task.retries,
        "kind": type(task).__name__,
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    Path(sys.argv[2]).write_text(json.dumps(describe(Path(sys.argv[1])), default=str), encoding="utf-8")
