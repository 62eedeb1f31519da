"""The audit trail in PostgreSQL: what the table refuses, and what the chain of hashes shows."""

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from noria.core.base.errors import AuditError
from noria.core.lifecycle.audit_event import Action, AuditEntry
from noria.ports.audit_trail import AuditTrail
from noria.release.audit import PostgresAuditTrail
from noria.testing.clock import TickingClock

MAY = datetime(2024, 5, 1, tzinfo=UTC)


def note(audit: AuditTrail, action: Action, version: str, previous: str = "0", as_of: datetime | None = None, **fields):
    plain = {
        "use_case": "parcels",
        "actor": "ana",
        "reason": "its gates passed, 7 € × 3",
        "evidence": {"bundle_digest": "5" * 64},
    }
    return audit.append(AuditEntry(action=action, version=version, previous=previous, as_of=as_of, **{**plain, **fields}))


def tamper(engine: sa.Engine, statement: str) -> None:
    """What an administrator could do: nothing in the database stops them."""
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table ops.audit disable trigger audit_is_append_only")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("alter table ops.audit enable trigger audit_is_append_only")


@pytest.mark.parametrize("statement", ["update ops.audit set actor = 'eve'", "delete from ops.audit"])
def test_the_table_refuses_changes(postgres_audit, engine, statement):
    note(postgres_audit, Action.PROMOTED, "1")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update ops.audit set actor = 'eve' where sequence = 2",
        "update ops.audit set reason = '' where sequence = 2",
        "update ops.audit set at = at + interval '1 microsecond' where sequence = 2",
        "update ops.audit set as_of = null where sequence = 2",
        """update ops.audit set evidence = '{"bundle_digest": "6"}' where sequence = 2""",
        "delete from ops.audit where sequence = 2",
        "delete from ops.audit where sequence = 1",
        "update ops.audit set sequence = 9 where sequence = 2",
    ],
)
def test_tampering_is_found(postgres_audit, engine, statement):
    for version in "123":
        note(postgres_audit, Action.PROMOTED, version, as_of=MAY)
    assert postgres_audit.verify() == 3
    tamper(engine, statement)
    with pytest.raises(AuditError, match=r"ops\.audit event (1|2|9|3)"):
        postgres_audit.verify()


def test_a_rehashed_event_breaks_the_chain_after_it(postgres_audit, engine):
    first, second, _ = (note(postgres_audit, Action.PROMOTED, version) for version in "123")
    forged = second.model_copy(update={"actor": "eve"})
    tamper(engine, f"update ops.audit set actor = 'eve', hash = '{forged.expected_hash()}' where sequence = 2")
    with pytest.raises(AuditError, match="event 3 "):
        postgres_audit.verify()
    assert first.hash


def test_many_writers_make_one_chain(engine):
    def write() -> None:
        trail = PostgresAuditTrail(engine, TickingClock())
        for _ in range(10):
            note(trail, Action.PROMOTED, "1")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert PostgresAuditTrail(engine, TickingClock()).verify() == 40


def lose_lock(engine: sa.Engine) -> None:
    """End the session that holds a lock in this database."""
    here = "database = (select oid from pg_database where datname = current_database())"
    holders = f"select pid from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid() and {here}"
    with engine.connect() as connection:
        ended = connection.execute(sa.text(f"select pg_terminate_backend(pid, 5000) from ({holders}) as holder"))
        assert ended.all() == [(True,)]


def test_an_intention_after_the_lock_was_lost_is_refused(postgres_audit, engine):
    def intend() -> None:
        with postgres_audit.exclusively("parcels"):
            lose_lock(engine)
            note(postgres_audit, Action.PROMOTION_INTENDED, "1")

    with pytest.raises(AuditError, match="nothing was changed; try again"):
        intend()
    assert postgres_audit.events() == ()


def test_what_was_done_is_no_error_where_the_lock_is_lost_after_it(postgres_audit, engine):
    with postgres_audit.exclusively("parcels"):
        note(postgres_audit, Action.PROMOTION_INTENDED, "1")
        lose_lock(engine)
        note(postgres_audit, Action.PROMOTED, "1")
    assert [event.action for event in postgres_audit.events()] == [Action.PROMOTION_INTENDED, Action.PROMOTED]
