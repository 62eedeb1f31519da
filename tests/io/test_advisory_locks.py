"""Advisory locks on a real PostgreSQL, over both drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from noria.data.postgres.warehouse import sqlalchemy_url
from noria.io.advisory_locks import lock_session, lock_transaction, session_lock, try_lock_session, unlock_session

Connect = Callable[[], Any]


@pytest.fixture(params=["psycopg", "sqlalchemy"])
def connect(request: pytest.FixtureRequest, database_url: str) -> Iterator[Connect]:
    engine = sa.create_engine(sqlalchemy_url(database_url), poolclass=sa.NullPool)
    with ExitStack() as stack:

        def run() -> Any:
            if request.param == "psycopg":
                return stack.enter_context(psycopg.connect(database_url, autocommit=True))
            return stack.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))

        yield run


def test_session_lock_keeps_others_out_until_it_is_released(connect: Connect) -> None:
    one, other = connect(), connect()
    with session_lock(one, "parcels"):
        assert not try_lock_session(other, "parcels")
        assert try_lock_session(other, "letters")
    assert try_lock_session(other, "parcels")


def test_shared_locks_admit_each_other_and_no_exclusive_one(connect: Connect) -> None:
    one, other, third = connect(), connect(), connect()
    lock_session(one, "parcels", shared=True)
    lock_session(other, "parcels", shared=True)
    assert not try_lock_session(third, "parcels")


def test_lock_of_a_closed_session_is_free(connect: Connect) -> None:
    one, other = connect(), connect()
    lock_session(one, "parcels")
    one.close()
    lock_session(other, "parcels")  # waits until the server has noticed
    unlock_session(other, "parcels")


def test_transaction_lock_ends_with_the_transaction(database_url: str) -> None:
    with psycopg.connect(database_url) as one, psycopg.connect(database_url, autocommit=True) as other:
        lock_transaction(one, "parcels")
        assert not try_lock_session(other, "parcels")
        one.commit()
        assert try_lock_session(other, "parcels")


def test_session_lock_of_a_lost_session_lets_the_error_of_the_block_through(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as one, psycopg.connect(database_url, autocommit=True) as other:
        with pytest.raises(ZeroDivisionError), session_lock(one, "parcels"):
            _ = other.execute("select pg_terminate_backend(%s, 5000)", [one.info.backend_pid]).rowcount / 0
        assert try_lock_session(other, "parcels")
