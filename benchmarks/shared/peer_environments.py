"""A Python environment for each peer that Noria is compared with, made once by uv."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.shared.folders import PROJECT


class MissingPeerError(Exception):
    """A peer cannot be installed on this machine."""


@dataclass(frozen=True)
class PeerEnvironments:
    """The environments of one benchmark.

    Attributes:
        folder: holds one folder for each environment.
        packages: requirements of each environment, by its name.
        overrides: requirements that replace those of the packages, one a line.
    """

    folder: Path
    packages: Mapping[str, tuple[str, ...]]
    overrides: str = ""

    def python_of(self, name: str) -> Path:
        """The interpreter of an environment; the first call installs it, which takes minutes.

        Raises:
            MissingPeerError: it cannot be installed; the message has uv's reason.
        """
        place = self.folder / name
        python, done = place / "bin" / "python", place / "done"
        wanted = "\n".join(self.packages[name])
        if not done.exists() or done.read_text(encoding="ascii") != wanted:
            print(f"installing {', '.join(self.packages[name])} into {place}", flush=True)
            self._install(name, place, python)
            done.write_text(wanted, encoding="ascii")
        return python

    def _install(self, name: str, place: Path, python: Path) -> None:
        with tempfile.TemporaryDirectory() as elsewhere:  # in the project, uv would apply the overrides of pyproject.toml
            run = partial(subprocess.run, check=True, cwd=elsewhere, capture_output=True, text=True)
            (Path(elsewhere) / "overrides.txt").write_text(self.overrides, encoding="ascii")
            flags = ("--compile-bytecode", "--override", "overrides.txt", "--python", python)
            try:
                run([_uv(), "venv", "--clear", "--python", sys.executable, place])
                run([_uv(), "pip", "install", *flags, *self.packages[name]])
            except subprocess.CalledProcessError as error:
                raise MissingPeerError(f"{name} cannot be installed:\n{error.stderr.strip()}") from error


def _uv() -> str:
    own = PROJECT / ".tools" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if not found:
        raise SystemExit("uv is not here: run `make setup` first")
    return found
