"""Every setting, read once at the edge. Elsewhere only what starts processes reads the environment, for ports and paths.

A setting is an environment variable with the prefix NORIA_, or a line of `<home>/noria.env`, which `noria up` writes for the
embedded stack (mode 0600). The environment wins.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from noria.core.base.api_key import AccessMode
from noria.core.base.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
ENV_FILE = "noria.env"


class WhenLogFull(StrEnum):
    """How to handle requests for predictions that cannot be logged."""

    REFUSE = "refuse"
    ANSWER = "answer"


class Settings(BaseSettings):
    """All settings of jobs, command line, Airflow tasks and serving."""

    model_config = SettingsConfigDict(
        env_prefix="NORIA_", frozen=True, extra="ignore", env_ignore_empty=True, use_attribute_docstrings=True
    )

    home: Path = PROJECT / ".noria"
    """Folder of all state of the embedded stack."""
    use_cases: Path = PROJECT / "use_cases"
    """Folder with one folder per use case."""
    dbt_project: Path = PROJECT / "dbt_project"
    """The dbt project."""
    storage: Path = Path()
    """Folder of snapshots, bundles and reports; shared by all Airflow workers. Default: `<home>/storage`."""

    warehouse_url: SecretStr = SecretStr("")
    """PostgreSQL of the data and of Noria's own tables: postgresql://user:password@host:port/database."""
    mlflow_url: str = "http://127.0.0.1:5000"
    """MLflow tracking server and registry."""
    mlflow_public_url: str = ""
    """MLflow as people's browsers reach it, for links in Airflow and in e-mails. Default: the same."""

    airflow_url: str = "http://127.0.0.1:8080"
    """Airflow, for links in e-mails and for starting runs."""
    airflow_user: str = "admin"
    """Airflow login of the embedded stack."""
    airflow_password: SecretStr = SecretStr("")
    """Airflow password of the embedded stack; `noria up` generates it."""
    serving_url: str = "http://127.0.0.1:8000"
    """Serving, for links in e-mails."""

    dask_scheduler: str = ""
    """Scheduler of the Dask cluster that trains where a use case says `training.engine: dask`, such as tcp://dask:8786."""

    smtp_host: str = "127.0.0.1"
    """SMTP server."""
    smtp_port: int = Field(default=1025, ge=1, le=65535)
    """SMTP port."""
    smtp_user: str = ""
    """SMTP login; empty for none."""
    smtp_password: SecretStr = SecretStr("")
    """SMTP password."""
    smtp_starttls: bool = False
    """Encrypt with STARTTLS before logging in."""
    mail_from: str = "noria@example.com"
    """Sender of reports."""

    pseudonym_key: SecretStr = SecretStr("")
    """Key of pseudonyms (HMAC-SHA-256). It allows to link them: keep it secret. Needed when a use case pseudonymises."""

    serving_host: str = "127.0.0.1"
    """Address that serving binds."""
    serving_port: int = Field(default=8000, ge=1, le=65535)
    """Port that serving binds."""
    serving_poll_seconds: float = Field(default=2.0, gt=0)
    """How often serving asks the registry for champions and challengers, and PostgreSQL for keys."""
    serving_state: Path = Path()
    """Folder of serving's last good bundles and of its prediction journal. Default: `<home>/serving`."""
    serving_only: str = ""
    """The use case that `/invocations` answers for, as `mlflow models serve` would; empty if there is only one."""
    serving_workers: int = Field(default=1, ge=1, le=256)
    """Processes that answer; as many as there are cores for serving. Models are loaded once and shared."""
    serving_drain_seconds: float = Field(default=0.5, ge=0, le=300)
    """Drain time after SIGTERM (s): `/readyz` is 503, requests are still answered. Set it above the load balancer's probe
    interval."""
    log_format: Literal["text", "json"] = "text"
    """How serving writes its log: lines for people, or one JSON object a line for a log collector."""
    serving_journal_mb: int = Field(default=1024, ge=1)
    """How many MB of predictions, and of feedback, may wait on disk while PostgreSQL does not take them."""
    serving_when_log_full: WhenLogFull = WhenLogFull.REFUSE
    """What to do with requests once so many wait, or the disk is full: `refuse` them (503), or `answer` without a log."""
    serving_access: AccessMode = AccessMode.AUTO
    """Whether callers need an API key: `keys`, `open` (on a loopback address alone), or `auto`: open on a loopback address
    while no key was ever made, keys otherwise."""
    serving_tls: bool = False
    """Whether callers use HTTPS, through a proxy in front: browsers are asked to use nothing else (HSTS)."""

    postgres_port: int = Field(default=55432, ge=1, le=65535)
    """Port of the embedded stack's PostgreSQL; not 5432, which a PostgreSQL of your own may hold."""
    airflow_port: int = Field(default=8080, ge=1, le=65535)
    """Port of the embedded stack's Airflow."""
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    """Port of the embedded stack's MLflow."""
    mail_port: int = Field(default=8025, ge=1, le=65535)
    """Port of the mail catcher's web page in the embedded stack."""

    def model_post_init(self, _context: object) -> None:
        """Derive folders and addresses that were not set."""
        for name, folder in (("storage", "storage"), ("serving_state", "serving")):
            if getattr(self, name) == Path():
                object.__setattr__(self, name, self.home / folder)
        if not self.mlflow_public_url:
            object.__setattr__(self, "mlflow_public_url", self.mlflow_url)

    @property
    def snapshots(self) -> Path:
        """Content-addressed training sets."""
        return self.storage / "snapshots"

    @property
    def bundles(self) -> Path:
        """Bundles fetched from the registry or being made."""
        return self.storage / "bundles"

    @property
    def reports(self) -> Path:
        """Quality and drift reports."""
        return self.storage / "reports"


def load_settings() -> Settings:
    """Read the environment and the embedded stack's file.

    Raises:
        SettingsError: a setting is wrong; names the variable.
    """
    home = Path(os.environ.get("NORIA_HOME") or PROJECT / ".noria")
    try:
        return Settings(_env_file=home / ENV_FILE)  # type: ignore[call-arg]  # pydantic-settings' own keyword
    except ValidationError as error:
        lines = [f"NORIA_{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def source_url(connection: str) -> str:
    """The URL of a named source connection, from NORIA_SOURCE_<CONNECTION>_URL.

    Raises:
        SettingsError: it is not set.
    """
    variable = f"NORIA_SOURCE_{connection.upper()}_URL"
    if url := os.environ.get(variable):
        return url
    raise SettingsError(f"{variable} is not set: give the URL of the database behind connection {connection!r}")


def traces_wanted() -> bool:
    """Whether traces are collected: OpenTelemetry's own variables say where, and its SDK reads them itself."""
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))
