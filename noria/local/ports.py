"""The ports of the embedded stack: which they are, which setting changes each, and who holds one that is taken."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields, replace

import psutil

from noria.core.base.errors import StackError
from noria.local import sessions
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
        """The ports of a stack without settings, all moved by `offset`; those the environment names stay there.

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
        offset = _free_offset()
        hint = f"or move all of them at once: .venv/bin/noria up --port-offset {offset}" if offset else ""
        raise StackError("\n".join(filter(None, [*problems, hint])))


def _problem(role: str, port: int, ports: Ports) -> str | None:
    twins = [other for other, number in ports.by_role().items() if number == port and other != role]
    if twins:
        return f"port {port} is given to both {role} and {twins[0]}: set {_VARIABLES[role]} to another"
    refusal = _refusal(port)
    if isinstance(refusal, PermissionError):
        return f"port {port} ({role}) needs root: set {_VARIABLES[role]} to one above 1023"
    if refusal:
        free = _free_port(port, set(ports.by_role().values()))
        return f"port {port} ({role}) is taken by {holder(port)}: stop it, or set {_VARIABLES[role]}={free or '...'}"
    return None


def _refusal(port: int) -> OSError | None:
    """Why the system does not give us a port; None if it does."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        return error
    return None


def _free_port(above: int, used: set[int]) -> int | None:
    """The next free port; None if there is none."""
    return next((port for port in range(above + 1, 65536) if port not in used and _refusal(port) is None), None)


def _free_offset() -> int | None:
    """The smallest offset, in hundreds, that gives only free ports; None if there is none."""
    for offset in range(100, 10_000, 100):
        if all(_refusal(port) is None for port in Ports.defaults(offset).by_role().values()):
            return offset
    return None


def holder(port: int) -> str:
    """The process that listens on a port, as far as this user may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS lets only root look
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                return _description(psutil.Process(connection.pid))
            except psutil.Error:
                break
    return "a process of another user"


def _description(process: psutil.Process) -> str:
    if stack := sessions.stack_of(process):
        return f"process {process.pid} ({process.name()}) of the Noria stack in {stack}"
    return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
