"""The embedded PostgreSQL server, also where its folder is awkward."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from noria.core.base.errors import StackError
from noria.local.postgres import PostgresServer
from noria.local.postgres.account import account_of

pytestmark = pytest.mark.slow

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root alone lends PostgreSQL another account")
AS_USER = pytest.mark.skipif(os.geteuid() == 0, reason="root may run as the owner of any folder")


@pytest.fixture
def awkward(tmp_path):
    """A folder that only we may enter, with blanks, accents and a path longer than a Unix socket's may be."""
    folder = tmp_path / "Ma société à Zürich" / "it's données & modèles"
    folder /= "x" * max(1, 150 - len(str(folder)))
    folder.mkdir(parents=True)
    tmp_path.chmod(0o700)
    return folder


@pytest.fixture
def server(awkward, ports):
    server = PostgresServer(awkward / "postgres", ports.postgres)
    yield server
    server.stop()


def test_serves_over_tcp_with_a_password(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("show server_version_num").fetchone()[0] >= "180000"


def test_start_and_create_are_harmless_twice(postgres):
    postgres.start()
    postgres.create_database("postgres")
    assert postgres.is_running()


def numbers(server):
    with psycopg.connect(server.url("postgres")) as connection:
        return connection.execute("select n from numbers").fetchall()


def test_starts_and_keeps_its_data_where_only_we_may_enter(server, umask, monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    assert len(str(server.folder)) > 150
    server.start(durable=False)
    server.start(durable=False)
    with psycopg.connect(server.url("postgres")) as connection:
        connection.execute("create table numbers as select 7 as n")
        connection.execute("create extension vector")
    server.stop()
    assert not server.is_running()
    server.start(durable=False)
    assert server.is_running()
    assert numbers(server) == [(7,)]
    assert {path.name for path in server.folder.iterdir()} == {"data", "password", "postgres.log"}


def test_data_move_with_their_folder(server, awkward):
    server.start(durable=False)
    with psycopg.connect(server.url("postgres")) as connection:
        connection.execute("create table numbers as select 7 as n")
    server.stop()
    server.folder.rename(awkward / "moved")
    moved = PostgresServer(awkward / "moved", server.port)
    moved.start(durable=False)
    try:
        assert numbers(moved) == [(7,)]
    finally:
        moved.stop()


def test_a_killed_start_leaves_nothing_half_made(server):
    (server.folder / "initdb-killed" / "base").mkdir(parents=True)
    server.prepare()
    assert {path.name for path in server.folder.iterdir()} == {"data", "password"}


def test_a_start_killed_while_it_made_the_password_makes_another(server):
    server.folder.mkdir(parents=True)
    (server.folder / "password").touch(mode=0o600)
    server.prepare()
    assert len(server.password) > 20


def test_two_starts_at_once_make_one_server(server):
    twin = PostgresServer(server.folder, server.port)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each.start(durable=False), (server, twin)))
    assert server.is_running()
    assert {path.name for path in server.folder.iterdir()} == {"data", "password", "postgres.log"}


def test_a_failed_start_leaves_no_draft(server, monkeypatch):
    monkeypatch.setattr(PostgresServer, "_run", lambda *_: subprocess.CompletedProcess([], 1, "", "No space left on device"))
    with pytest.raises(StackError, match="No space left"):
        server.prepare()
    assert {path.name for path in server.folder.iterdir()} == {"password"}


def test_a_taken_port_is_the_message(server, tmp_path):
    server.start(durable=False)
    second = PostgresServer(tmp_path / "second", server.port)
    with pytest.raises(StackError, match=r"did not start on port (.|\n)*Address already in use"):
        second.start(durable=False)


@AS_ROOT
def test_as_root_the_server_has_another_account_and_no_privilege(server):
    server.start(durable=False)
    pid = (server.data / "postmaster.pid").read_text().split()[0]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    owner = server.data.stat()
    assert owner.st_uid != 0
    assert status["Uid"].split() == [str(owner.st_uid)] * 4
    assert status["Gid"].split() == [str(owner.st_gid)] * 4
    assert status["Groups"].split() == []
    assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]
    assert status["NoNewPrivs"].strip() == "1"


@AS_ROOT
def test_as_root_the_server_runs_as_the_owner_of_the_data(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 4711, 4712)
    account = account_of(data)
    assert account is not None
    assert (account.name, account.uid, account.gid) == ("4711", 4711, 4712)


@AS_ROOT
def test_data_of_root_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(StackError, match="chown -R"):
        account_of(tmp_path / "data")


@AS_USER
def test_data_of_another_user_are_refused():
    with pytest.raises(StackError, match="belongs to user root"):
        account_of(Path("/var"))
