"""A lost PostgreSQL server."""

from __future__ import annotations

import psutil

from noria.local import sessions
from noria.local.postgres import PostgresServer
from noria.testing.waiting import wait_until


def kill_postgres(server: PostgresServer) -> None:
    """Kill a server and all its processes with SIGKILL, as a lost machine would; it can be started again."""
    pid_file = server.data / "postmaster.pid"
    process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
    family = [process, *process.children(recursive=True)]
    sessions.kill(family)
    wait_until(lambda: not any(map(sessions.is_alive, family)), "PostgreSQL is dead", pause=0.02)
    pid_file.unlink()  # its process may stay a zombie, which would seem to run on
