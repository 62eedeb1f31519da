"""Installs everything Noria needs into `.venv`, with nothing but Python 3.11 to 3.13 present.

Uses the `uv` on PATH where it is recent enough; otherwise fetches one into `.tools/` with pip, which reads its own settings
for mirrors and proxies. Quick when there is nothing to do. Runs on any Python 3.8 or later, to say what is missing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
STAMP = VENV / ".noria-installed"
OLDEST_UV = (0, 8, 0)
UV_REQUIREMENT = "uv>=0.8"
PYTHONS = ((3, 11), (3, 12), (3, 13))


class SetupError(Exception):
    """What is missing, and how to get it."""


def main() -> int:
    """Install, unless this very lock is installed already."""
    try:
        install()
    except SetupError as error:
        print(f"Setup: {error}", file=sys.stderr)  # noqa: T201 - runs before Noria is there
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def install() -> None:
    """Bring `.venv` to what `uv.lock` says."""
    if is_installed():
        return
    uv, python = find_uv(), find_python()
    if has_moved():
        python = python.resolve() if VENV in python.parents else python  # a link in the folder that is removed
        VENV.unlink() if VENV.is_symlink() else shutil.rmtree(str(VENV))
    say(f"installing into .venv for {python} (the first time takes some minutes)")
    # An interpreter is never downloaded: there may be no way out, and the user chose theirs.
    environment = {**os.environ, "UV_PYTHON_PREFERENCE": "only-system", "UV_PROJECT_ENVIRONMENT": str(VENV)}
    environment.pop("VIRTUAL_ENV", None)
    command = [str(uv), "sync", "--locked", "--compile-bytecode", "--python", str(python)]
    if code := run_told(command, environment):
        raise SetupError(f"`uv sync` failed (exit code {code}); its message is above. Run it again")
    write_stamp()
    say("installed")


def run_told(command: list[str], environment: dict[str, str]) -> int:
    """Run uv and pass on what it says, but for its list of 300 packages."""
    process = subprocess.Popen(command, cwd=str(ROOT), env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
    for line in process.stderr or ():
        if not line.startswith((" + ", " - ", " ~ ", " Downloaded")):
            sys.stderr.write(f"  {line}")
    return process.wait()


def is_installed() -> bool:
    """Whether what is in `.venv` came from this lock, and its interpreter still runs."""
    if not (VENV / "bin" / "noria").exists() or stamp()[0] != fingerprint():
        return False
    return version_of(VENV / "bin" / "python") is not None


def write_stamp() -> None:
    """Say that `.venv` is installed, from which lock and for which place."""
    draft = STAMP.with_suffix(f".{os.getpid()}")  # of another setup at the same time: another
    draft.write_bytes(os.fsencode(f"{fingerprint()}\n{ROOT}\n"))
    draft.replace(STAMP)


def stamp() -> tuple[str, str]:
    """Fingerprint and place of what is installed; empty where nothing is, or where it does not say."""
    lines = os.fsdecode(STAMP.read_bytes()).splitlines() if STAMP.exists() else []
    fingerprint, place = [*lines, "", ""][:2]
    return fingerprint, place


def has_moved() -> bool:
    """Whether the environment was moved or copied here: its programs would run those of the former place."""
    former = stamp()[1]
    if former in {"", str(ROOT)}:
        return False
    say(f"this clone lay in {former} when it was installed, so .venv is made again; data in .noria stay")
    return True


def fingerprint() -> str:
    """Digest of what decides the environment, its place included: scripts in it name it."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def find_uv() -> Path:
    """A recent uv: on PATH, else our own."""
    for candidate in (shutil.which("uv"), str(TOOLS / "uv")):
        if candidate and uv_version(candidate) >= OLDEST_UV:
            return Path(candidate)
    return fetch_uv()


def uv_version(program: str) -> tuple[int, ...]:
    """Version of a uv; zero where it does not run."""
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def fetch_uv() -> Path:
    """Put a uv into `.tools/`; killed half-way or run twice at once, it leaves a whole one or none."""
    TOOLS.mkdir(exist_ok=True)
    say("fetching uv into .tools")
    draft = Path(tempfile.mkdtemp(prefix="uv-", dir=str(TOOLS)))
    try:
        errors = []
        for way in (with_venv, with_pip):
            program, error = way(draft)
            if program is not None:
                program.replace(TOOLS / "uv")
                return TOOLS / "uv"
            errors.append(error)
    finally:
        shutil.rmtree(str(draft), ignore_errors=True)
    raise SetupError(
        "no uv, and no way to fetch it. Install uv, or what Python needs to fetch it (on Debian and Ubuntu: apt install"
        " python3-venv, or python3-pip), and run this again.\n" + "\n".join(errors)
    )


def with_venv(draft: Path) -> tuple[Path | None, str]:
    """Fetch uv with the pip of a throw-away environment."""
    made = subprocess.run([sys.executable, "-m", "venv", str(draft / "venv")], capture_output=True, text=True, check=False)
    if made.returncode:
        return None, f"python -m venv: {last_line(made.stdout + made.stderr)}"
    return pip([str(draft / "venv" / "bin" / "python"), "-m", "pip", "install"], draft / "venv" / "bin" / "uv")


def with_pip(draft: Path) -> tuple[Path | None, str]:
    """Fetch uv with the pip of this interpreter, as a system without venv has it."""
    target = draft / "target"
    return pip([sys.executable, "-m", "pip", "install", "--target", str(target)], target / "bin" / "uv")


def pip(command: list[str], program: Path) -> tuple[Path | None, str]:
    """Run pip; returns the program it brought, or why it brought none."""
    arguments = [*command, "--quiet", "--disable-pip-version-check", UV_REQUIREMENT]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode or not program.exists():
        return None, f"pip install {UV_REQUIREMENT}: {last_line(result.stdout + result.stderr)}"
    return program, ""


def find_python() -> Path:
    """An interpreter of a version that the lock is made for: what `.venv` has (another would remake it), then this one."""
    names = [str(VENV / "bin" / "python"), sys.executable, *(f"python{major}.{minor}" for major, minor in reversed(PYTHONS))]
    for name in names:
        program = shutil.which(name)
        if program and version_of(Path(program)) in PYTHONS:
            return Path(program)
    raise SetupError(
        f"needs Python 3.11, 3.12 or 3.13; this is {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}), and no"
        " other is on PATH. Install one, or name it: make PYTHON=/path/to/python3.12 ..."
    )


def version_of(program: Path) -> tuple[int, int] | None:
    """Major and minor version; None where it does not run (a version manager's empty shim, a removed interpreter)."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        result = subprocess.run([str(program), "-c", code], capture_output=True, text=True, check=False, timeout=60)
        major, minor = result.stdout.split()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return int(major), int(minor)


def last_line(text: str) -> str:
    """What a failed program said last."""
    return (text.strip().splitlines() or ["no message"])[-1]


def say(text: str) -> None:
    """Tell what happens."""
    print(f"Setup: {text}", file=sys.stderr, flush=True)  # noqa: T201 - runs before Noria is there


if __name__ == "__main__":
    sys.exit(main())
