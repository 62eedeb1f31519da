"""docker-compose.yml without an engine: its schema, and what we guarantee about it."""

import base64
import importlib.util
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from noria.settings import Settings

ONE_SHOT = {"airflow-init", "migrate"}
ROLES = {
    *("postgres", "mlflow", "serving", "mailpit", "prometheus", "grafana", "airflow-init", "migrate"),
    *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
}
VARIABLE = re.compile(r"\$\{(\w+)(:\?|:-)?([^}]*)\}")
SECRET = re.compile(r"PASSWORD|SECRET|_KEY")


@pytest.fixture(scope="module")
def text(request):
    return (request.config.rootpath / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose(text):
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def services(compose):
    assert set(compose["services"]) == ROLES
    return compose["services"]


@pytest.fixture(scope="module")
def template(request):
    return (request.config.rootpath / "docker" / ".env.example").read_text(encoding="utf-8")


@pytest.mark.skipif(
    importlib.util.find_spec("check_jsonschema") is None, reason="check-jsonschema, which has the schema, is absent"
)
def test_keeps_the_compose_schema(compose):
    package = Path(importlib.util.find_spec("check_jsonschema").origin).parent
    schema = json.loads((package / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validate(compose, schema)
    broken = {**compose, "services": {"postgres": {"imagee": "postgres"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_every_service_is_watched_and_lives_without_root_or_privileges(services):
    for name, service in services.items():
        assert service["user"].split(":")[0] not in ("root", "0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        watched = "test" in service["healthcheck"]
        assert watched is (name not in ONE_SHOT), name


def test_dependencies_wait_for_health_or_for_the_end(services):
    waited = [(name, other, how) for name, s in services.items() for other, how in s.get("depends_on", {}).items()]
    assert len(waited) >= 10
    for name, other, how in waited:
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == expected, f"{name} -> {other}"


def test_tables_are_migrated_once_before_what_uses_them(services):
    assert services["migrate"]["command"] == ["python", "-m", "noria.cli", "migrate"]
    waiting = {name for name, service in services.items() if "migrate" in service.get("depends_on", {})}
    assert waiting == {"serving", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    others = [name for name, service in services.items() if name != "migrate" and "noria.cli" in str(service.get("command"))]
    assert others == []


def test_pages_are_published_on_loopback_unless_chosen(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in ports)
    assert "ports" not in services["postgres"]


def test_no_secret_has_a_default_and_each_says_what_to_do(text):
    secrets = {name: (operator, rest) for name, operator, rest in VARIABLE.findall(text) if SECRET.search(name)}
    assert len(secrets) >= 9
    optional = {"SMTP_PASSWORD"}  # a server that asks for none
    for name, (operator, rest) in secrets.items():
        if name not in optional:
            assert operator == ":?", name
            assert "new_env.py" in rest, name
        else:
            assert rest == "", name


def test_every_variable_is_documented_and_every_documented_one_is_used(text, template):
    used = {name for name, _, _ in VARIABLE.findall(text)}
    documented = set(re.findall(r"^#? ?([A-Z_]+)=", template, re.MULTILINE))
    assert used == documented


def test_every_noria_variable_is_a_setting(services):
    found = {name for s in services.values() for name in (s.get("environment") or {}) if name.startswith("NORIA_")}
    found -= {"NORIA_DB_PASSWORD"}  # PostgreSQL's, for the login of that name
    assert len(found) >= 12
    assert {name.removeprefix("NORIA_").lower() for name in found} <= set(Settings.model_fields)


def test_all_of_airflow_shares_the_same_secrets(services):
    airflow = [s["environment"] for name, s in services.items() if name.startswith("airflow-")]
    assert len(airflow) == 5
    for key in ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY"):
        assert len({environment[key] for environment in airflow}) == 1


def test_what_is_mounted_and_built_exists(services, project):
    binds = [v for s in services.values() for v in s.get("volumes", []) if isinstance(v, str) and v.startswith("./")]
    builds = [s["build"] for s in services.values() if "build" in s]
    assert binds
    assert builds
    for bind in binds:
        assert (project / bind.split(":")[0]).exists(), bind
    for build in builds:
        assert (project / build["context"] / build["dockerfile"]).exists()


def test_new_env_fills_every_secret_with_a_new_one(project, template):
    new_env = runpy.run_path(str(project / "docker" / "new_env.py"))["new_env"]
    first, second = (
        dict(line.split("=", 1) for line in new_env(template).splitlines() if line and not line.startswith("#"))
        for _ in range(2)
    )
    secrets = {name for name in first if SECRET.search(name)}
    assert len(secrets) == 10
    assert all(len(first[name]) >= 24 and first[name] != second[name] for name in secrets)
    assert len(base64.urlsafe_b64decode(first["AIRFLOW_FERNET_KEY"])) == 32
    assert all(re.fullmatch(r"[\w=-]+", first[name]) for name in secrets)
    assert all(first.values())


def test_the_serving_image_has_none_of_the_heavy_libraries(project):
    text = (project / "docker" / "serving" / "Dockerfile").read_text(encoding="utf-8")
    command = re.search(r"RUN uv sync (.+)", text)[1]
    assert "--no-default-groups" in command
    groups = re.findall(r"--group (\w+)", command)
    assert groups == ["serving"]
    uv = shutil.which("uv") or str(project / ".tools" / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not here")
    export = [
        "export",
        "--frozen",
        "--offline",
        "--no-default-groups",
        "--group",
        "serving",
        "--no-emit-project",
        "--no-hashes",
    ]
    result = subprocess.run([uv, *export], cwd=project, capture_output=True, text=True, check=True)
    names = set(re.findall(r"^([a-z0-9._-]+)==", result.stdout, re.MULTILINE))
    assert {"fastapi", "onnxruntime", "pydantic-settings"} <= names
    forbidden = {"pandas", "pyarrow", "scikit-learn", "mlflow", "mlflow-skinny", "dbt-core", "apache-airflow", "sqlalchemy"}
    assert not names & (forbidden | {"xgboost", "evidently", "great-expectations", "optuna"})
    assert len(names) < 50


def test_images_run_as_an_ordinary_user(project):
    files = sorted((project / "docker").glob("*/Dockerfile"))
    assert len(files) == 2
    for file in files:
        users = re.findall(r"^USER (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert users[-1:] == ["50000:50000"], file
