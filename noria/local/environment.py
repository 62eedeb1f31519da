"""Environment of the embedded stack's processes, and the settings file that everything else reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from noria.io.atomic import write_atomically
from noria.local.credentials import Credentials
from noria.local.ports import Ports
from noria.local.sessions import MARK
from noria.settings import ENV_FILE, PROJECT

_HEADER = "# Written by `noria up`; lines that you add for other settings stay."


def settings_lines(ports: Ports, credentials: Credentials, warehouse_url: str) -> dict[str, str]:
    """The settings of the embedded stack, for `<home>/noria.env`."""
    return {
        **ports.variables(),
        "NORIA_WAREHOUSE_URL": warehouse_url,
        "NORIA_MLFLOW_URL": f"http://127.0.0.1:{ports.mlflow}",
        "NORIA_AIRFLOW_URL": f"http://127.0.0.1:{ports.airflow}",
        "NORIA_AIRFLOW_USER": "admin",
        "NORIA_AIRFLOW_PASSWORD": credentials.airflow_password,
        "NORIA_SERVING_URL": f"http://127.0.0.1:{ports.serving}",
        "NORIA_PSEUDONYM_KEY": credentials.pseudonym_key,
    }


def write_settings(home: Path, ours: Mapping[str, str]) -> None:
    """Write `<home>/noria.env` (mode 0600); lines that a user added for other settings stay."""
    path = home / ENV_FILE
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else [_HEADER]
    kept = [line for line in old if line.split("=")[0].strip() not in ours]
    write_atomically(path, "\n".join([*kept, *(f"{name}={value}" for name, value in ours.items())]) + "\n")


def base_environment(home: Path, ports: Ports) -> dict[str, str]:
    """Environment of every process of the stack."""
    project = [str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "config")]
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in project]
    return {
        **os.environ,
        **ports.variables(),
        MARK: str(home),
        "NORIA_HOME": str(home),
        # The folder of this interpreter first, so that a program started by name is the one of this environment.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([*project, *inherited]),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GX_ANALYTICS_ENABLED": "False",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def mlflow_environment(database_url: str, artifacts: Path) -> dict[str, str]:
    """MLflow's server; by environment, since arguments are readable by every user of the machine."""
    return {
        "MLFLOW_BACKEND_STORE_URI": database_url,
        "MLFLOW_ARTIFACTS_DESTINATION": str(artifacts),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def airflow_environment(home: Path, ports: Ports, credentials: Credentials, database_url: str) -> dict[str, str]:
    """Airflow's settings. All secrets are given, since components that start on an empty home each invent their own."""
    url = f"http://127.0.0.1:{ports.airflow}"
    return {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__MP_START_METHOD": "fork",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "60",
        "AIRFLOW__CORE__FERNET_KEY": credentials.airflow_fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "airflow" / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url.replace("postgresql://", "postgresql+psycopg2://", 1),
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": credentials.airflow_api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": credentials.airflow_jwt_secret,
        # Airflow writes both into airflow.cfg at its first start, as they are then: a home may be moved.
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "airflow" / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "airflow" / "logs" / "dag_processor"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
