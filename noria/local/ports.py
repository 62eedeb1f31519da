"""The ports of the embedded stack: which they are, which setting changes each, and who holds one that is taken."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields, replace

import psutil

from noria.core.base.errors import StackError
from noria.settings import Settings


@dataclass(frozen=True)
class Ports:
    """One TCP port on 127.0.0.1 for each role. The setting of `airflow` is NORIA_AIRFLOW_PORT, and so on."""

    postgres: int
    airflow: int
    mlflow: int
    serving: int
    smtp: int
    mail: int

    @classmethod
    def of(cls, settings: Settings) -> Ports:
        """The ports that the settings name."""
        return cls(**{field.name: getattr(settings, f"{field.name}_port") for field in fields(cls)})

    @classmethod
    def defaults(cls, offset: int = 0) -> Ports:
        """The ports of a stack that nobody configured, all moved by `offset`; those the environment names stay there.

        Raises:
            StackError: the offset moves a port out of range.
        """
        moved = {field.name: Settings.model_fields[f"{field.name}_port"].default + offset for field in fields(cls)}
        if bad := [f"{role} {port}" for role, port in moved.items() if not 1024 <= port <= 65535]:
            raise StackError(f"--port-offset {offset} gives {', '.join(bad)}, outside 1024 to 65535: choose a smaller one")
        named = {role: int(os.environ[name]) for role, name in _VARIABLES.items() if os.environ.get(name)}
        return replace(cls(**moved), **named)

    def by_role(self) -> dict[str, int]:
        """Role to port."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def variables(self) -> dict[str, str]:
        """The ports as settings."""
        return {_VARIABLES[role]: str(port) for role, port in self.by_role().items()}


_VARIABLES = {field.name: f"NORIA_{field.name.upper()}_PORT" for field in fields(Ports)}


def refuse_taken(ports: Ports) -> None:
    """Make sure that every port is free.

    Raises:
        StackError: some are not; names each, who holds it and which setting moves it.
    """
    problems = [problem for role, port in ports.by_role().items() if (problem := _problem(role, port, ports))]
    if problems:
        raise StackError("\n".join([*problems, "or move all of them at once: noria up --port-offset 100"]))


def _problem(role: str, port: int, ports: Ports) -> str | None:
    twins = [other for other, number in ports.by_role().items() if number == port and other != role]
    if twins:
        return f"port {port} is given to both {role} and {twins[0]}: set {_VARIABLES[role]} to another"
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except PermissionError:
        return f"port {port} ({role}) needs root: set {_VARIABLES[role]} to one above 1023"
    except OSError:
        return f"port {port} ({role}) is taken by {holder(port)}: stop it, or set {_VARIABLES[role]} to another port"
    return None


def holder(port: int) -> str:
    """Who listens on a port, as well as we may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS lets only root look
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
            except psutil.Error:
                break
    return "a process of another user"
