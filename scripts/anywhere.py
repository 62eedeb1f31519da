"""Checks that the first commands work in any folder and for any user; `.ci/run` calls it.

Run as root, it checks for root and for an ordinary user; else for the user who runs it. For each it makes a clone with
the environment of this one. It lies in a folder that only its owner can enter, and its path has blanks, accents and 150
characters. There it runs PostgreSQL's tests, `make up` and `make down`: with umask 077, without HOME, and with other
servers on the usual ports.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bootstrap

ORDINARY_USER = "nobody"
PATH = "/usr/local/bin:/usr/bin:/bin"
LENGTH = 150
USUAL_PORTS = {"postgres": 55432, "airflow": 8080, "mlflow": 5000}
TESTS = "tests/local/test_postgres.py tests/local/test_postgres_programs.py"


class AnywhereError(Exception):
    """What does not work, and what it printed."""


@dataclass(frozen=True)
class Clone:
    """A clone of one user.

    Attributes:
        user: its owner.
        path: its root.
        python: the interpreter of its environment.
        libraries: folder of the interpreter's shared library; None where the system finds it.
    """

    user: pwd.struct_passwd
    path: Path
    python: Path
    libraries: Path | None

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command in it as its owner; returns what it printed.

        Raises:
            AnywhereError: it fails, or it succeeds where it should not.
        """
        result = run_as(self.user, command, self.path, self.libraries)
        if bool(result.returncode) is not fails:
            shown = " ".join(command)
            raise AnywhereError(f"as {self.user.pw_name}: `{shown}` ended with {result.returncode}:\n{result.stdout}")
        return result.stdout

    def make(self, *arguments: str, fails: bool = False) -> str:
        """Run make."""
        return self.run("make", f"PYTHON={self.python}", *arguments, fails=fails)


def main() -> int:
    """Check for every user; the exit code says whether all works."""
    stage = Path(tempfile.mkdtemp(prefix="noria-anywhere-", dir="/var/tmp"))
    stage.chmod(0o755)
    try:
        for user in users():
            check(made_clone(stage, user))
    except AnywhereError as error:
        say(str(error))
        return 1
    finally:
        shutil.rmtree(stage)
    return 0


def users() -> list[pwd.struct_passwd]:
    """Root and an ordinary user, where we are root; else ourselves."""
    ours = pwd.getpwuid(os.geteuid())
    return [ours, pwd.getpwnam(ORDINARY_USER)] if ours.pw_uid == 0 else [ours]


def check(clone: Clone) -> None:
    """Run the first commands.

    Raises:
        AnywhereError: one does not do what it should.
    """
    say(f"as {clone.user.pw_name} in {clone.path}")
    say(clone.make("test", "JOBS=0", f"ARGS=-q {TESTS}").splitlines()[-1])
    with servers_on_usual_ports():
        refusal = clone.make("up", fails=True)
        for role, port in USUAL_PORTS.items():
            if not re.search(rf"port {port} \({role}\) is taken by .*set NORIA_{role.upper()}_PORT=\d+", refusal):
                raise AnywhereError(f"`make up` does not say that port {port} is taken:\n{refusal}")
        try:
            clone.run(*re.search(r"(\S+noria) (up) (--port-offset) (\d+)", refusal).groups())
            clone.run(".venv/bin/noria", "status")
        finally:
            down = clone.make("down")
    if "The stack is down." not in down:
        raise AnywhereError(f"`make down` says:\n{down}")
    say("up beside other servers on the usual ports, and down")


@contextmanager
def servers_on_usual_ports() -> Iterator[None]:
    """Listen on the usual ports that are free."""
    with ExitStack() as stack:
        for port in USUAL_PORTS.values():
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def made_clone(stage: Path, user: pwd.struct_passwd) -> Clone:
    """Make a private folder of the user, with the project and its environment as they are here."""
    private = stage / user.pw_name
    path = private / "Ma société à Zürich" / "it's données & modèles"
    path /= "x" * (LENGTH - len(str(path)) - 1)
    copy_project(path)
    for folder, _, files in os.walk(private):
        for name in (".", *files):
            os.chown(Path(folder) / name, user.pw_uid, user.pw_gid, follow_symlinks=False)
    private.chmod(0o700)
    python, libraries = reachable_python(stage, user)
    link_tree(bootstrap.VENV, path / ".venv")
    settle(path, python)
    return Clone(user, path, python, libraries)


def copy_project(path: Path) -> None:
    """Copy what git keeps or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=bootstrap.ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (source := bootstrap.ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path / name)


def reachable_python(stage: Path, user: pwd.struct_passwd) -> tuple[Path, Path | None]:
    """The interpreter of our environment, or a link to it that the user can reach, with the folder of its library."""
    python, prefix = Path(sys.executable).resolve(), Path(sys.base_prefix).resolve()
    with suppress(PermissionError):
        if run_as(user, (str(python), "-c", ""), Path("/")).returncode == 0:
            return python, None
    if not (stage / "python").exists():
        link_tree(prefix, stage / "python")
    return stage / "python" / python.relative_to(prefix), stage / "python" / "lib"


def link_tree(source: Path, target: Path) -> None:
    """Link all files of a folder, readable by all users; files that others cannot read are copied."""
    shutil.copytree(source, target, symlinks=True, copy_function=link_file)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)


def link_file(source: str, target: str) -> None:
    """Link a file, or copy it where others cannot read it or it lies on another disk."""
    mode = Path(source).stat().st_mode
    public = mode | 0o444 | (0o111 if mode & 0o100 else 0)
    with suppress(OSError):
        if mode == public:
            os.link(source, target)
            return
    shutil.copy2(source, target)
    Path(target).chmod(public)


def settle(path: Path, python: Path) -> None:
    """Give a linked environment its new place, as setup would."""
    venv = path / ".venv"
    replace(venv / "bin" / "noria", '#!/bin/sh\nexec "$(dirname "$0")/python" -m noria.cli "$@"\n')
    configuration = (venv / "pyvenv.cfg").read_text(encoding="utf-8")
    replace(venv / "pyvenv.cfg", re.sub(r"(?m)^home = .*", f"home = {python.parent}", configuration))
    for places in venv.glob("lib/python*/site-packages/*noria*.pth"):
        replace(places, places.read_text(encoding="utf-8").replace(str(bootstrap.ROOT), str(path)))
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(python)
    code = "import bootstrap as b; b.write_stamp()"
    subprocess.run([python, "-B", "-c", code], cwd=path / "scripts", check=True)


def replace(file: Path, text: str) -> None:
    """Write a new file in the place of a linked one, which stays as it is elsewhere."""
    mode = file.stat().st_mode
    file.unlink()
    file.write_text(text, encoding="utf-8")
    file.chmod(mode | 0o444)


def run_as(
    user: pwd.struct_passwd, command: tuple[str, ...], folder: Path, libraries: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user, with almost nothing in its environment; errors are in its output."""
    environment = {"PATH": PATH} | ({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})
    other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user.pw_uid != os.geteuid() else {}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    return subprocess.run(command, cwd=folder, env=environment, umask=0o077, check=False, **other, **output)


def say(text: str) -> None:
    """Print progress."""
    print(f"Anywhere: {text}", flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    sys.exit(main())
