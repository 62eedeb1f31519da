"""Follows docs/add-a-use-case.md word for word: writes its files, types its commands, and compares what they print."""

from __future__ import annotations

import calendar
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
import yaml

from noria.io.catalog import load_use_case
from noria.local.postgres import PostgresServer
from noria.testing.free_ports import free_port
from noria.testing.waiting import wait_until
from tests.conftest import PROJECT
from tests.docs.guide import Block, not_printed, read_guide
from tests.notify.catcher import Catcher, mail_catcher

PAGE = "docs/add-a-use-case.md"
NEXT_PAGE, HEADING = "docs/training.md", "## Follow one version"
USE_CASE = "use_cases/wet_ramp/use_case.yaml"
FEATURES = "features.ftr_wet_ramp"
AIRPORTS = 3


@dataclass
class Walk:
    """A reader's folder and services, and what happened to each command so far."""

    root: Path
    environment: dict[str, str]
    serving_url: str
    mail: Catcher
    results: list[tuple[Block, subprocess.CompletedProcess[str]]] = field(default_factory=list)

    def write(self, block: Block) -> None:
        path = self.root / block.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def type(self, block: Block) -> None:
        print(f"\n$ {block.text}", end="")  # noqa: T201 - what pytest shows when a step fails
        result = self.request(block) if block.text.startswith("curl ") else self.shell(block.text)
        print(result.stdout, result.stderr)  # noqa: T201
        self.results.append((block, result))

    def shell(self, commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e", "-c", commands], cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        code = code.replace("http://localhost:5000", self.environment["NORIA_MLFLOW_URL"])
        return subprocess.run(
            [sys.executable, "-c", code], cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )

    def request(self, block: Block) -> subprocess.CompletedProcess[str]:
        """The page's `curl`, without needing curl."""
        command, pipe, _ = block.text.partition(" | ")
        program, silent, address, flag, body = shlex.split(command)
        assert (program, silent, flag, pipe) == ("curl", "-s", "-d", " | ")
        response = httpx.post(address.replace("localhost:8000", self.serving_url), content=body)
        return subprocess.CompletedProcess([], int(response.is_error), json.dumps(response.json(), indent=4), "")

    def patch(self, block: Block) -> None:
        """Replace the line that a diff takes out by the one it puts in."""
        old, new = (line[1:] for line in block.text.splitlines())
        path = self.root / block.path
        text = path.read_text(encoding="utf-8")
        assert text.count(f"{old}\n") == 1
        path.write_text(text.replace(f"{old}\n", f"{new}\n"), encoding="utf-8")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["NORIA_WAREHOUSE_URL"]) as connection:
            return connection.execute(query.encode()).fetchall()

    def fingerprint(self) -> object:
        return self.rows(f"select count(*), md5(string_agg(f::text, '|' order by f::text)) from {FEATURES} as f")

    def serves(self) -> str:
        return str(httpx.get(f"{self.serving_url}/v1/wet_ramp").json()["serves"]["version"])

    def wait_until_serves(self, version: str, seconds: float = 60) -> None:
        def takes_up() -> bool:
            return httpx.get(f"{self.serving_url}/v1/wet_ramp").is_success and self.serves() == version

        wait_until(takes_up, f"serving answers with version {version}", seconds=seconds, pause=0.2)


@pytest.fixture(scope="module")
def guide() -> tuple[Block, ...]:
    return read_guide(PROJECT / PAGE)


@pytest.fixture(scope="module")
def walk(
    postgres: PostgresServer,
    migrated_database: str,
    mlflow_url: str,
    guide: tuple[Block, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Walk]:
    """The page, followed from top to bottom, up to where it plants a leak."""
    project, root = PROJECT, tmp_path_factory.mktemp("reader")
    for folder in ("use_cases", "dbt_project"):
        shutil.copytree(project / folder, root / folder, ignore=shutil.ignore_patterns("target", "logs", "wet_ramp"))
    postgres.create_database("reader", template=migrated_database)
    port = free_port()
    with mail_catcher(root / "mail") as mail:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")} | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(project),
            "COLUMNS": "80",
            "NORIA_HOME": str(root / ".noria"),
            "NORIA_USE_CASES": str(root / "use_cases"),
            "NORIA_DBT_PROJECT": str(root / "dbt_project"),
            "NORIA_WAREHOUSE_URL": postgres.url("reader"),
            "NORIA_MLFLOW_URL": mlflow_url,
            "NORIA_SMTP_PORT": str(mail.smtp_port),
            "NORIA_PSEUDONYM_KEY": "of no use here",
            "NORIA_SERVING_PORT": str(port),
            "NORIA_SERVING_POLL_SECONDS": "0.5",
        }
        reader = Walk(root, environment, f"http://127.0.0.1:{port}", mail)
        with serving(reader):
            follow(reader, guide)
            yield reader
    postgres.drop_database("reader")


@contextmanager
def serving(walk: Walk) -> Iterator[None]:
    """Serving as the stack runs it, started before the use case is there."""
    with (walk.root / "serving.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"], cwd=walk.root, env=walk.environment, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def follow(walk: Walk, guide: tuple[Block, ...]) -> None:
    for block in guide:
        if block.language == "diff":
            return
        if block.language == "sh":
            if "noria train" in block.text:
                walk.wait_until_serves("0")
            if block.text.startswith("curl "):
                walk.wait_until_serves("1")
            walk.type(block)
        elif block.path:
            walk.write(block)


def test_every_command_succeeds_and_prints_what_the_page_shows(walk: Walk) -> None:
    typed = [line for block, _ in walk.results for line in block.text.splitlines()]
    for command in ("check", "data", "train", "promote", "versions", "score", "monitor"):
        assert any(line.startswith(f"noria {command}") for line in typed), command
    failed = [(block.text, result.stderr) for block, result in walk.results if result.returncode]
    assert failed == []
    missing = [(block.text, line) for block, result in walk.results for line in not_printed(block.output, result.stdout)]
    assert missing == []


def test_each_interval_has_a_row_for_every_hour_of_every_airport(walk: Walk) -> None:
    by_month = "select extract(month from hour_start at time zone 'UTC')::int, count(*) from {} group by 1 order by 1"
    hours = [(month, calendar.monthrange(2013, month)[1] * 24 * AIRPORTS) for month in (2, 3, 4, 5)]
    assert walk.rows(by_month.format(FEATURES)) == hours
    assert walk.rows(by_month.format("labels.lbl_wet_ramp")) == hours
    ((labelled,),) = walk.rows("select count(*) from labels.lbl_wet_ramp where gets_wet is not null")
    assert 0.98 < labelled / sum(count for _, count in hours) < 1


def test_no_feature_was_known_later_than_three_hours_before(walk: Walk) -> None:
    query = f"select min(hour_start - newest_fact_at)::text, count(newest_fact_at) from {FEATURES}"
    ((closest, facts),) = walk.rows(query)
    assert closest == "03:00:00"
    assert facts > 8000


def test_the_model_was_promoted_and_scored_the_month_that_it_had_not_seen(walk: Walk) -> None:
    assert walk.rows("select version, reason from ops.audit where action = 'promoted'") == [("1", "first model")]
    scored = walk.rows("select version, count(*), min(event_time)::date::text from ops.batch_predictions group by 1")
    assert scored == [("1", 31 * 24 * AIRPORTS, "2013-05-01")]


def test_month_was_judged_and_the_owner_mailed(walk: Walk) -> None:
    ((version, verdict),) = walk.rows("select version, verdict from ops.verdicts")
    assert version == "1"
    assert verdict in {"stable", "drift", "quality_loss"}
    (message,) = walk.mail.messages()
    assert "ramp@example.com" in str(message)
    assert "Wet ramp" in message["subject"]


def test_a_use_case_may_say_what_the_page_says_in_passing(walk: Walk, guide: tuple[Block, ...]) -> None:
    """A YAML block without a file shows other fields of the same use case; one with output shows an error."""
    path = walk.root / USE_CASE
    whole = path.read_text(encoding="utf-8")
    variants = [block for block in guide if block.language == "yaml" and not block.path]
    assert sorted(bool(block.output) for block in variants) == [False, False, True, True]
    try:
        for block in variants:
            path.write_text(yaml.safe_dump(yaml.safe_load(whole) | yaml.safe_load(block.text)), encoding="utf-8")
            if block.output:
                result = walk.shell("noria check")
                assert result.returncode == 1
                assert not_printed(block.output, result.stderr) == []
            else:
                assert load_use_case(path).name == "wet_ramp"
    finally:
        path.write_text(whole, encoding="utf-8")


def test_editors_accept_the_use_case(walk: Walk) -> None:
    text = (walk.root / USE_CASE).read_text(encoding="utf-8")
    name = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    schema = json.loads((walk.root / USE_CASE).parent.joinpath(name).read_text(encoding="utf-8"))
    written = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(written, schema)
    with pytest.raises(jsonschema.ValidationError, match="owners"):
        jsonschema.validate(written | {"owners": "x"}, schema)


def test_a_planted_leak_is_refused_and_leaves_when_it_is_taken_out(walk: Walk, guide: tuple[Block, ...]) -> None:
    place = next(index for index, block in enumerate(guide) if block.language == "diff")
    leak, command = guide[place], guide[place + 1]
    before = walk.fingerprint()
    walk.patch(leak)
    refused = walk.shell(command.text)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert not_printed(command.output, refused.stderr) == []
    assert walk.fingerprint() == before
    assert walk.rows("select start_at::date::text from ops.quarantined") == [("2013-05-01",)]
    walk.write(next(block for block in guide if block.path == leak.path and block is not leak))
    again = walk.shell(command.text)
    assert again.returncode == 0, again.stderr
    assert walk.fingerprint() == before
    assert walk.rows("select count(*) from ops.quarantined") == [(0,)]


def test_the_page_on_training_follows_the_version_from_there(walk: Walk) -> None:
    """Its commands are typed in the state that the page before leaves behind; YAML is written into the use case."""
    blocks = read_guide(PROJECT / NEXT_PAGE, after=HEADING)
    assert [block.language for block in blocks].count("sh") > 4
    path = walk.root / USE_CASE
    whole = path.read_text(encoding="utf-8")
    try:
        for block in blocks:
            if block.language == "yaml":
                path.write_text(yaml.safe_dump(yaml.safe_load(whole) | yaml.safe_load(block.text)), encoding="utf-8")
            else:
                typed = walk.python(block.text) if block.language == "python" else walk.shell(block.text)
                says_no = re.search("^no ", block.output, re.M) is not None
                assert typed.returncode == int(says_no), (block.text, typed.stderr)
                assert not_printed(block.output, typed.stdout) == [], (block.text, typed.stdout)
    finally:
        path.write_text(whole, encoding="utf-8")
