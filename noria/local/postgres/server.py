"""A PostgreSQL server from a Python wheel, as an ordinary daemon on loopback TCP.

PostgreSQL refuses to run as root. Where we are root (a container, a CI machine) the server runs as another account, without
any privilege, also in a folder that only root can enter.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from noria.core.base.errors import StackError
from noria.io.atomic import write_atomically
from noria.io.file_lock import file_lock
from noria.local.postgres.account import HERE, account_of
from noria.local.postgres.programs import Programs

_DRAFT = "initdb-"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class PostgresServer:
    """One server on one data folder.

    Attributes:
        folder: holds `data/`, `password` (mode 0600) and `postgres.log`.
        port: TCP port on 127.0.0.1.
    """

    folder: Path
    port: int

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    @property
    def password(self) -> str:
        """The superuser's generated password."""
        return (self.folder / "password").read_text(encoding="ascii").strip()

    def url(self, database: str) -> str:
        """`postgresql://` URL of a database."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self, *, durable: bool = True) -> None:
        """Make the cluster where there is none, and start the server; harmless when it runs.

        Args:
            durable: False skips fsync, for tests.

        Raises:
            StackError: it cannot start; the message has the end of its log.
        """
        with self._lock():
            self._start(durable=durable)

    def _start(self, *, durable: bool) -> None:
        self._prepare()
        if self.is_running():
            return
        hasty = "" if durable else " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        options = f"-p {self.port} -k ''{hasty}"
        log = f"{self._parent}/{self.log.name}"
        result = self._run(self.data, "pg_ctl", "-w", "-t", "60", "-l", log, "-o", options, "start")
        if result.returncode:
            tail = self.log.read_text(errors="replace").splitlines()[-5:] if self.log.exists() else [result.stderr]
            raise StackError(f"PostgreSQL did not start on port {self.port}:\n" + "\n".join(tail))

    def prepare(self) -> None:
        """Make the cluster where there is none.

        Raises:
            StackError: it cannot be made, or belongs to a user that PostgreSQL cannot run as.
        """
        with self._lock():
            self._prepare()

    def command(self) -> list[str]:
        """Runs the server in the foreground, for a supervisor; SIGINT is its fast, clean stop."""
        return self._command(self.data, "postgres", "-p", str(self.port), "-k", "")

    def stop(self) -> None:
        """Stop the server, ending open sessions; harmless when it does not run."""
        if self.is_running():
            self._run(self.data, "pg_ctl", "-w", "-t", "30", "-m", "fast", "stop")

    def is_running(self) -> bool:
        """Whether the server of this folder runs."""
        return self._run(self.data, "pg_ctl", "status").returncode == 0

    def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database; harmless when it is there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                command = sql.SQL("create database {} template {}")
                connection.execute(command.format(sql.Identifier(name), sql.Identifier(template)))

    def drop_database(self, name: str) -> None:
        """Drop a database, ending sessions on it; harmless when it is not there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    @property
    def _parent(self) -> str:
        """Our folder, as programs that run in the data folder see it."""
        return ".." if account_of(self.data) else str(self.folder)

    def _lock(self) -> AbstractContextManager[None]:
        """Keep other starts out. The lock lies beside the folder, which another account may own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return file_lock(self.folder.with_name(f"{self.folder.name}.lock"))

    def _prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        for left in self.folder.glob(f"{_DRAFT}*"):  # of a start that was killed
            shutil.rmtree(left, ignore_errors=True)
        # Made beside its place and renamed, so that a killed start leaves no half-made cluster.
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self.folder))
        try:
            self._initialise(draft)
        except BaseException:  # a full disk would stay full
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _initialise(self, draft: Path) -> None:
        password = self._make_password()
        if account := account_of(self.data):
            for path in (self.folder, password, draft):
                account.give(path)
        result = self._run(
            *(draft, "initdb", "-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *(f"--pwfile={self._parent}/{password.name}", "--no-sync"),
            *(f"--set={name}={value}" for name, value in _SETTINGS.items()),
        )
        if result.returncode:
            raise StackError(f"PostgreSQL could not make its data folder {draft}:\n{result.stderr.strip()}")
        draft.rename(self.data)

    def _make_password(self) -> Path:
        path = self.folder / "password"
        if not path.exists() or not self.password:  # empty: of a start that was killed
            write_atomically(path, secrets.token_urlsafe(24))
        return path

    def _command(self, data: Path, program: str, *arguments: str) -> list[str]:
        """One program on a data folder: this one, or the draft of it."""
        account = account_of(self.data)
        if account is None:
            return [str(_programs(public=False) / program), "-D", str(data), *arguments]
        return [*account.entering(data), str(_programs(public=True) / program), "-D", HERE, *arguments]

    def _run(self, data: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self._command(data, program, *arguments)
        # Output goes to a file: the server would inherit a pipe and keep it open for as long as it runs.
        with tempfile.TemporaryFile("w+") as output:
            result = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False)
            output.seek(0)
            return subprocess.CompletedProcess(command, result.returncode, "", output.read())


@cache
def _programs(*, public: bool) -> Path:
    programs = Programs.installed()
    return (programs.public() if public else programs).folder
