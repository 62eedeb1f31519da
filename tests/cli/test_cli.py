import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from noria.core.lifecycle.audit_event import Action
from noria.data.postgres.warehouse import Warehouse
from noria.io.clock import SystemClock
from noria.release.audit import PostgresAuditTrail
from tests.release.test_audit import note

pytestmark = pytest.mark.slow

ANSI = "\x1b["


@pytest.fixture
def noria(tmp_path, monkeypatch):
    """Runs the command as a shell would, in a home of its own and without a stack."""
    for name in [name for name in os.environ if name.startswith("NORIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NORIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments, **environment):
        command = [sys.executable, "-m", "noria.cli", *arguments]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)

    return run


@pytest.fixture
def use_cases(tmp_path, project):
    """A folder with a copy of the shipped use case's contract."""
    folder = tmp_path / "use_cases" / "flight_delays"
    folder.mkdir(parents=True)
    (folder / "use_case.yaml").write_text((project / "use_cases" / "flight_delays" / "use_case.yaml").read_text())
    return folder.parent


def test_help_teaches_fits_80_columns_and_imports_nothing_heavy(noria):
    result = noria("--help")
    assert result.returncode == 0
    assert ANSI not in result.stdout
    for word in ("noria up", "noria train flight_delays --as-of", "UTC", "roll-back"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    code = "import sys, noria.cli; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = ("pandas", "numpy", "pyarrow", "sqlalchemy", "mlflow", "airflow", "psutil", "psycopg", "pydantic")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


def test_wrong_use_case_is_an_error_without_a_traceback(noria):
    result = noria("ingest", "flight_delay", "--start", "2013-01-01", "--end", "2013-02-01")
    assert result.returncode == 1
    assert "no use case 'flight_delay'" in result.stderr
    assert "flight_delays" in result.stderr
    assert "Traceback" not in result.stderr
    assert ANSI not in result.stderr


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [("2013-02-01", "2013-01-01", "is not after start"), ("January", "2013-02-01", "write it as 2013-05-01")],
)
def test_wrong_interval_is_an_error(noria, start, end, expected):
    result = noria("transform", "flight_delays", "--start", start, "--end", end)
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2013-05-03", "2013-05-09", "--start 2013-05-01T00:00 --end 2013-06-01T00:00"),
        ("2013-05-01", "2013-07-01", "is not one @monthly interval of flight_delays"),
        ("2012-12-01", "2013-01-01", "is not part of the data of flight_delays, which starts on 2013-01-01"),
        ("2014-01-01", "2014-02-01", "ends before 2014-01-01"),
    ],
)
def test_steps_take_whole_intervals_of_the_data_alone(noria, start, end, expected):
    result = noria("score", "flight_delays", "--start", start, "--end", end)
    assert result.returncode == 1
    assert expected in result.stderr


def test_the_audit_trail_is_listed_in_80_columns_of_one_use_case_or_of_all(noria, warehouse_url):
    settings = {"NORIA_WAREHOUSE_URL": warehouse_url}
    assert "nothing has been promoted or rolled back yet" in noria("audit", "list", **settings).stdout
    _write_events(warehouse_url)
    everything = noria("audit", "list", **settings).stdout
    assert "flight_delays: promoted, version 0 → 1" in everything
    assert "parcels: promoted, version 1 → 2" in everything
    assert "by: ana [the night shift]" in everything
    assert max(map(len, everything.splitlines())) <= 80
    one = noria("audit", "list", "flight_delays", **settings).stdout
    assert "version 0 → 1" in one
    assert "parcels" not in one


def _write_events(url):
    engine = Warehouse(url).engine
    audit = PostgresAuditTrail(engine, SystemClock())
    for use_case, version, previous in (("flight_delays", "1", "0"), ("parcels", "2", "1")):
        note(
            audit,
            Action.PROMOTED,
            version,
            previous,
            use_case=use_case,
            actor="ana [the night shift]",
            reason="roc_auc 0.757 (baseline 0.588), average_precision 0.601 (baseline 0.328); EUR 2,940 per 1,000 decisions",
        )
    engine.dispose()


def test_without_a_stack_steps_say_what_to_do(noria):
    result = noria("versions", "flight_delays", NORIA_MLFLOW_URL="http://127.0.0.1:9")
    assert result.returncode == 1
    assert "NORIA_MLFLOW_URL" in result.stderr
    result = noria("audit", "verify")
    assert result.returncode == 1
    assert "noria up" in result.stderr
    result = noria("audit", "verify", NORIA_WAREHOUSE_URL="postgresql://nobody:x@127.0.0.1:9/none")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_check_lists_every_problem_with_file_field_and_suggestion(noria, use_cases):
    path = use_cases / "flight_delays" / "use_case.yaml"
    content = yaml.safe_load(path.read_text())
    content["gates"][0]["atleast"] = content["gates"][0].pop("at_least", 0.6)
    content["owner"] = "nobody"
    path.write_text(yaml.safe_dump(content))
    result = noria("check", NORIA_USE_CASES=str(use_cases))
    assert result.returncode == 1
    assert "flight_delays/use_case.yaml: gates[0].atleast: is not a field; did you mean at_least?" in result.stderr
    assert "flight_delays/use_case.yaml: owner: found 'nobody'" in result.stderr


def test_check_of_one_use_case_minds_no_other(noria, use_cases):
    (use_cases / "broken").mkdir()
    (use_cases / "broken" / "use_case.yaml").write_text("name: [", encoding="utf-8")
    assert noria("check", NORIA_USE_CASES=str(use_cases)).returncode == 1
    one = noria("check", "flight_delays", NORIA_USE_CASES=str(use_cases))
    assert (one.returncode, "1 use case in" in one.stdout) == (0, True)
    other = noria("check", "flight_delays", "broken", NORIA_USE_CASES=str(use_cases))
    assert (other.returncode, "not YAML" in other.stderr) == (1, True)


def test_check_of_an_empty_folder_is_no_success(noria, tmp_path):
    (tmp_path / "none").mkdir()
    result = noria("check", NORIA_USE_CASES=str(tmp_path / "none"))
    assert result.returncode == 1
    assert "no use case" in result.stderr


def test_check_passes_what_is_shipped(noria):
    result = noria("check")
    assert result.returncode == 0, result.stderr
    assert "flight_delays" in result.stdout
    assert "all well" in result.stdout


def test_schema_accepts_what_is_shipped_and_refuses_a_misspelt_field(noria, project):
    schema = json.loads(noria("schema").stdout)
    content = json.loads(
        json.dumps(yaml.safe_load((project / "use_cases/flight_delays/use_case.yaml").read_text()), default=str)
    )
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError, match="onwer"):
        jsonschema.validate({**content, "onwer": "x"}, schema)


def test_schema_is_written_beside_the_use_cases(noria, use_cases):
    result = noria("schema", "--write", NORIA_USE_CASES=str(use_cases))
    assert result.returncode == 0
    assert json.loads((use_cases / "use_case.schema.json").read_text())["title"] == "UseCase"


def test_status_logs_and_down_without_a_stack(noria):
    assert noria("status").returncode == 1
    assert noria("down").stdout.strip() == "Nothing was running."
    result = noria("logs", "scheduler")
    assert result.returncode == 1
    assert "no process 'scheduler' has a log" in result.stderr


def test_logs_shows_the_last_lines(noria, tmp_path):
    folder = tmp_path / "home" / "logs"
    folder.mkdir(parents=True)
    Path(folder / "serving.log").write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert noria("logs", "serving", "-n", "3").stdout.split("\n") == ["line 19997", "line 19998", "line 19999", ""]
    assert noria("logs", "-n", "1").stdout == "serving | line 19999\n"
    assert noria("logs", "serving", "-n", "0").stdout == ""


def test_a_wrong_setting_names_its_variable(noria):
    result = noria("status", NORIA_AIRFLOW_PORT="eighty")
    assert result.returncode == 1
    assert "NORIA_AIRFLOW_PORT" in result.stderr
    assert "Traceback" not in result.stderr
