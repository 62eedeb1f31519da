"""The processes of the embedded stack: how each is started, what must be ready before it, and how we know that it is."""

from __future__ import annotations

import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from noria.io.atomic import write_atomically
from noria.local.credentials import Credentials
from noria.local.environment import airflow_environment, base_environment, mlflow_environment, settings_lines, write_settings
from noria.local.ports import Ports
from noria.local.postgres import PostgresServer
from noria.settings import Settings

DATABASES = ("airflow", "mlflow", "noria")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Process:
    """One child of the supervisor.

    Attributes:
        name: what `noria logs` and `noria status` call it.
        why: what it is for, shown while it starts.
        after: names of those that must be ready before it starts, and that outlive it when the stack stops.
        ready: true once it does its work; may block for some seconds and may raise while it does not.
        once: it does its work and ends with exit code 0.
        patience: seconds that it may take to become ready.
        grace: seconds between the polite and the final signal when it stops.
    """

    name: str
    why: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    after: tuple[str, ...] = ()
    port: int | None = None
    ready: Callable[[], bool] = lambda: True
    once: bool = False
    patience: float = 180.0
    grace: float = 15.0
    stop_signal: signal.Signals = signal.SIGTERM


def stack_processes(settings: Settings, credentials: Credentials, server: PostgresServer) -> tuple[Process, ...]:
    """All processes of the stack, in the order in which they are shown."""
    home, ports = settings.home, Ports.of(settings)
    base = base_environment(home, ports)
    processes = [
        _postgres(home, ports, credentials, server, base),
        *_tracking(home, ports, server, base),
        *_airflow(home, ports, credentials, server, base),
        *_serving(ports, base),
    ]
    if settings.smtp_host in LOOPBACK:  # otherwise reports go to a real mail server
        processes.append(_mail(home, ports, base))
    return tuple(processes)


def _postgres(
    home: Path, ports: Ports, credentials: Credentials, server: PostgresServer, base: Mapping[str, str]
) -> Process:
    def ready() -> bool:
        with psycopg.connect(server.url("postgres"), connect_timeout=3):
            pass
        for database in DATABASES:
            server.create_database(database)
        write_settings(home, settings_lines(ports, credentials, server.url("noria")))
        return True

    server.prepare()
    return Process(
        name="postgres",
        why="keeps the data, Airflow's runs and MLflow's records",
        command=tuple(server.command()),
        environment=base,
        port=ports.postgres,
        ready=ready,
        stop_signal=signal.SIGINT,
        grace=30.0,
    )


def _tracking(home: Path, ports: Ports, server: PostgresServer, base: Mapping[str, str]) -> tuple[Process, ...]:
    url = server.url("mlflow").replace("postgresql://", "postgresql+psycopg2://", 1)
    command = _python("mlflow", "server", "--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1")
    return (
        Process(
            name="mlflow",
            why="tracks trainings, registers models",
            command=command,
            environment={**base, **mlflow_environment(url, home / "mlflow" / "artifacts")},
            after=("postgres",),
            port=ports.mlflow,
            ready=lambda: answers(f"http://127.0.0.1:{ports.mlflow}/health"),
        ),
    )


def _airflow(
    home: Path, ports: Ports, credentials: Credentials, server: PostgresServer, base: Mapping[str, str]
) -> tuple[Process, ...]:
    environment = {**base, **airflow_environment(home, ports, credentials, server.url("airflow"))}
    passwords = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    write_atomically(passwords, f'{{"admin": "{credentials.airflow_password}"}}\n')
    url = f"http://127.0.0.1:{ports.airflow}"

    def api_ready() -> bool:
        # The execution API is built on its first request, for longer than a task waits: we ask first.
        return answers(f"{url}/api/v2/monitor/health") and answers(f"{url}/execution/health", timeout=60)

    def component(name: str, why: str, *arguments: str, after: tuple[str, ...], grace: float = 15.0) -> Process:
        return Process(
            name=name,
            why=why,
            command=_python("airflow", name, *arguments),
            environment=environment,
            after=after,
            ready=lambda: answers(f"{url}/api/v2/monitor/health", f'"{name.replace("-", "_")}":{{"status":"healthy"'),
            grace=grace,
        )

    upstream = ("postgres", "api-server")
    return (
        Process(
            name="airflow-migrate",
            why="brings Airflow's tables up to date",
            command=_python("airflow", "db", "migrate"),
            environment=environment,
            after=("postgres",),
            once=True,
        ),
        Process(
            name="api-server",
            why="Airflow's pages and REST API",
            command=_python("airflow", "api-server"),
            environment=environment,
            after=("postgres", "airflow-migrate"),
            port=ports.airflow,
            ready=api_ready,
        ),
        component("dag-processor", "reads the pipelines", after=upstream),
        component(
            "scheduler", "starts what is due, and runs it", "--skip-serve-logs", after=(*upstream, "migrate"), grace=25
        ),
        component("triggerer", "waits for approvals", "--skip-serve-logs", after=upstream),
    )


def _serving(ports: Ports, base: Mapping[str, str]) -> tuple[Process, ...]:
    return (
        Process(
            name="migrate",
            why="brings Noria's tables up to date",
            command=_python("noria.cli", "migrate"),
            environment=base,
            after=("postgres",),
            once=True,
        ),
        Process(
            name="serving",
            why="answers predictions over REST",
            command=_python("serving"),
            environment=base,
            after=("postgres", "migrate"),
            port=ports.serving,
            ready=lambda: answers(f"http://127.0.0.1:{ports.serving}/healthz"),
        ),
    )


def _mail(home: Path, ports: Ports, base: Mapping[str, str]) -> Process:
    folder = home / "mail"
    folder.mkdir(parents=True, exist_ok=True)
    flags = ("--smtp-port", str(ports.smtp), "--http-port", str(ports.mail), "--folder", str(folder))
    return Process(
        name="mail",
        why="receives and shows the e-mails",
        command=_python("noria.local.mail_catcher", *flags),
        environment=base,
        port=ports.mail,
        ready=lambda: _listens(ports.smtp) and _listens(ports.mail),
    )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module, *arguments)  # -P: folders of the home are no modules


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def answers(url: str, fragment: str = "", timeout: float = 5.0) -> bool:
    """Whether a page of our own answers with status 200, and has a text in it.

    Raises:
        OSError: it does not answer, or with another status.
    """
    with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - built from our own port
        return fragment in response.read().decode("utf-8", "replace").replace(" ", "")
