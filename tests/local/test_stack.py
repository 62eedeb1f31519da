"""The whole embedded stack through its command, once: up, up again, a process killed, the supervisor killed, down."""

import configparser
import os
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil
import psycopg
import pytest

from noria.local.credentials import load_credentials
from noria.local.environment import airflow_environment
from noria.local.ports import Ports
from noria.local.sessions import MARK
from noria.local.stack import Stack
from noria.settings import ENV_FILE, Settings
from noria.testing.waiting import wait_until

pytestmark = pytest.mark.e2e
PROCESSES = {"postgres", "mlflow", "api-server", "dag-processor", "scheduler", "triggerer", "serving", "mail"}


@pytest.fixture
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("stack")


@pytest.fixture
def noria(home, ports):
    """Runs the command line with a home and ports of its own; nothing runs afterwards in any case."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NORIA_", "AIRFLOW"))}
    environment |= {"NORIA_HOME": str(home), **ports.variables()}

    def run(*arguments):
        command = [sys.executable, "-m", "noria.cli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)

    yield run
    run("down")
    assert marked(home) == []


def marked(home):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def report(home, ports):
    return Stack(home, ports).report()


def pids(home, ports):
    return {one.state.name: one.state.pid for one in report(home, ports).processes if one.state.pid}


def wait_until_up(home, ports, seconds=180):
    wait_until(lambda: report(home, ports).is_up, lambda: str(report(home, ports)), seconds=seconds, pause=0.3)


def get(url):
    with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - our own pages
        return response.status, response.read().decode()


def test_up_status_restart_and_down(noria, home, ports):
    first = noria("up")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "\x1b[" not in first.stdout, "no colours where nobody looks"
    started = pids(home, ports)
    assert set(started) == PROCESSES
    _pages_answer(home, ports)
    _nothing_listens_outside_loopback(started)
    _secrets_are_private(home)
    _airflow_follows_a_home_that_moves(home, ports)

    assert "running already" in noria("up").stdout
    assert pids(home, ports) == started
    moved = Stack(home, Ports(*(port + 1 for port in ports.by_role().values())))
    with pytest.raises(Exception, match="noria down"):
        moved.launch()

    _killed_processes_come_back(noria, home, ports, started)
    _down_works_after_the_supervisor_was_killed(noria, home, ports)


def _pages_answer(home, ports):
    assert get(f"http://127.0.0.1:{ports.airflow}/api/v2/monitor/health")[0] == 200
    assert get(f"http://127.0.0.1:{ports.mlflow}/health") == (200, "OK")
    assert get(f"http://127.0.0.1:{ports.serving}/healthz")[0] == 200
    assert get(f"http://127.0.0.1:{ports.mail}/")[0] == 200
    settings = Settings(_env_file=home / ENV_FILE)
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as connection:
        assert connection.execute("select count(*) from ops.predictions").fetchone() == (0,)


def _nothing_listens_outside_loopback(started):
    listening = set()
    for pid in started.values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a worker may end while we look
                connections = process.net_connections("tcp")
                listening |= {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def _secrets_are_private(home):
    for name in (ENV_FILE, "secrets.json", "airflow/passwords.json", "postgres/password"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def _airflow_follows_a_home_that_moves(home, ports):
    """What airflow.cfg says of the home's place, the environment says too, and wins."""
    written = configparser.ConfigParser(interpolation=None)
    written.read(home / "airflow" / "airflow.cfg")
    keys = {
        f"AIRFLOW__{section}__{key}".upper()
        for section in written.sections()
        for key, value in written.items(section)
        if str(home) in value
    }
    assert "AIRFLOW__LOGGING__BASE_LOG_FOLDER" in keys
    given = airflow_environment(home, ports, load_credentials(home), "postgresql://")
    assert keys - set(given) <= {"AIRFLOW__FAB__CONFIG_FILE"}, "another login manager than ours"


def _killed_processes_come_back(noria, home, ports, started):
    for name in ("serving", "scheduler"):
        psutil.Process(started[name]).kill()
    time.sleep(0.2)
    assert noria("status").returncode == 1
    wait_until_up(home, ports)
    now = pids(home, ports)
    assert now["serving"] != started["serving"]
    assert now["scheduler"] != started["scheduler"]
    assert now["postgres"] == started["postgres"]
    shown = noria("status")
    assert shown.returncode == 0
    assert next(line.split() for line in shown.stdout.splitlines() if line.startswith("serving"))[1:5] == [
        *("running", str(now["serving"]), str(ports.serving), "1")
    ]
    assert noria("logs", "serving", "-n", "5").stdout.count("\n") == 5


def _down_works_after_the_supervisor_was_killed(noria, home, ports):
    running = pids(home, ports)
    supervisor = psutil.Process(running["postgres"]).parent()
    supervisor.kill()
    supervisor.wait(10)
    shown = noria("status")
    assert shown.returncode == 1
    assert "supervisor has died" in shown.stdout
    family = [child for pid in running.values() for child in psutil.Process(pid).children(recursive=True)]
    assert noria("down").stdout.strip() == "The stack is down."
    assert [pid for pid in running.values() if psutil.pid_exists(pid) and not _is_zombie(pid)] == []
    assert [child.pid for child in family if child.is_running() and not _is_zombie(child.pid)] == []
    assert noria("down").stdout.strip() == "Nothing was running."
    assert noria("status").returncode == 1


def _is_zombie(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
