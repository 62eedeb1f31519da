"""scripts/bootstrap.py in a project of its own, with a `uv` that notes what it is asked."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FAKE_UV = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv {version} (test)"; exit 0; fi
echo "$@" >> "{calls}"
echo " + package==1.0" >&2
echo "Resolved 1 package" >&2
mkdir -p .venv/bin && ln -sf "{python}" .venv/bin/python && touch .venv/bin/noria
exit {code}
"""


@pytest.fixture
def clone(tmp_path, project):
    root = tmp_path / "clone"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(project / "scripts" / "bootstrap.py", root / "scripts")
    (root / "uv.lock").write_text("lock")
    (root / "pyproject.toml").write_text("project")
    return root


def write_uv(folder, calls, version="0.13.0", code=0):
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "uv"
    program.write_text(FAKE_UV.format(version=version, calls=calls, python=sys.executable, code=code))
    program.chmod(0o755)
    return folder


def bootstrap(clone, path, python=sys.executable):
    environment = {"HOME": str(clone), "PATH": path, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    command = [str(python), str(clone / "scripts" / "bootstrap.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_installs_what_the_lock_says_once(clone, tmp_path):
    calls = tmp_path / "calls"
    path = f"{write_uv(tmp_path / 'bin', calls)}:/usr/bin:/bin"
    first = bootstrap(clone, path)
    assert first.returncode == 0, first.stderr
    assert "Resolved 1 package" in first.stderr
    assert "package==1.0" not in first.stderr
    assert calls.read_text().split()[:3] == ["sync", "--locked", "--compile-bytecode"]
    assert bootstrap(clone, path).stderr == ""
    assert len(calls.read_text().splitlines()) == 1


def test_installs_again_when_the_lock_moves_or_the_clone(clone, tmp_path):
    calls = tmp_path / "calls"
    path = f"{write_uv(tmp_path / 'bin', calls)}:/usr/bin:/bin"
    bootstrap(clone, path)
    (clone / "uv.lock").write_text("another lock")
    bootstrap(clone, path)
    assert len(calls.read_text().splitlines()) == 2
    former = clone / ".venv" / "bin" / "of_the_former_place"
    former.touch()
    clone.rename(tmp_path / "moved")
    moved = bootstrap(tmp_path / "moved", path)
    assert f"this clone lay in {clone} when it was installed" in moved.stderr
    assert len(calls.read_text().splitlines()) == 3
    assert [path.name for path in (tmp_path / "moved" / ".venv" / "bin").iterdir() if path.name == former.name] == []
    assert bootstrap(tmp_path / "moved", path).stderr == ""


def test_a_failed_installation_is_no_installation(clone, tmp_path):
    calls = tmp_path / "calls"
    path = f"{write_uv(tmp_path / 'bin', calls, code=2)}:/usr/bin:/bin"
    result = bootstrap(clone, path)
    assert result.returncode == 1
    assert "`uv sync` failed (exit code 2)" in result.stderr
    assert "Traceback" not in result.stderr
    assert bootstrap(clone, path).returncode == 1


def test_our_own_uv_serves_where_the_one_on_path_is_too_old(clone, tmp_path):
    calls = tmp_path / "calls"
    write_uv(clone / ".tools", calls)
    path = f"{write_uv(tmp_path / 'bin', tmp_path / 'old', version='0.4.1')}:/usr/bin:/bin"
    assert bootstrap(clone, path).returncode == 0
    assert calls.exists()
    assert not (tmp_path / "old").exists()


def test_without_uv_and_without_a_way_to_fetch_it_says_what_to_install(clone, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    result = bootstrap(clone, str(empty))  # pip may look nowhere: PIP_NO_INDEX
    assert result.returncode == 1
    assert "python3-venv" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((clone / ".tools").iterdir()) == []


def test_a_broken_python_of_a_version_manager_is_passed_over(clone, tmp_path):
    calls = tmp_path / "calls"
    folder = write_uv(tmp_path / "bin", calls)
    for version in ("3.13", "3.12", "3.11"):
        shim = folder / f"python{version}"
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    assert bootstrap(clone, f"{folder}:/usr/bin:/bin").returncode == 0
    assert calls.read_text().split()[-1] == sys.executable


def test_make_lists_its_targets(project):
    shown = subprocess.run(["make", "help"], cwd=project, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[1] for line in shown.splitlines()}
    assert targets >= {"demo", "test", "check", "fmt", "up", "down", "docs", "bench", "help"}
