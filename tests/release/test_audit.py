import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from noria.core.base.errors import AuditError
from noria.core.lifecycle.audit_event import Action
from noria.release.audit import AuditTrail
from tests.conftest import TickingClock

MAY, JUNE, JULY = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))


def note(
    audit: AuditTrail, action: Action, version: str, previous: str = "0", as_of: datetime | None = None, use_case="parcels"
):
    return audit.append(
        use_case,
        action,
        version=version,
        previous=previous,
        as_of=as_of,
        actor="ana",
        reason="its gates passed, 7 € × 3",
        evidence={"bundle_digest": "5" * 64},
    )


def tamper(engine: sa.Engine, statement: str) -> None:
    """What an administrator could do: nothing in the database stops them."""
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table ops.audit disable trigger audit_is_append_only")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("alter table ops.audit enable trigger audit_is_append_only")


def test_events_come_back_as_they_were_written(audit):
    written = [note(audit, Action.PROMOTED, "1", as_of=MAY), note(audit, Action.PROMOTED, "1", use_case="other")]
    assert audit.events() == tuple(written)
    assert audit.events("parcels") == (written[0],)
    assert audit.verify() == 2
    assert audit.head() == written[1].hash


def test_an_empty_trail_is_sound(audit):
    assert audit.verify() == 0
    assert audit.version_in_force("parcels", JULY) == "0"


@pytest.mark.parametrize("statement", ["update ops.audit set actor = 'eve'", "delete from ops.audit"])
def test_the_table_refuses_changes(audit, engine, statement):
    note(audit, Action.PROMOTED, "1")
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
def test_tampering_is_found(audit, engine, statement):
    for version in "123":
        note(audit, Action.PROMOTED, version, as_of=MAY)
    assert audit.verify() == 3
    tamper(engine, statement)
    with pytest.raises(AuditError, match=r"ops\.audit event (1|2|9|3)"):
        audit.verify()


def test_a_rehashed_event_breaks_the_chain_after_it(audit, engine):
    first, second, _ = (note(audit, Action.PROMOTED, version) for version in "123")
    forged = second.model_copy(update={"actor": "eve"})
    tamper(engine, f"update ops.audit set actor = 'eve', hash = '{forged.expected_hash()}' where sequence = 2")
    with pytest.raises(AuditError, match="event 3 "):
        audit.verify()
    assert first.hash


def test_many_writers_make_one_chain(engine):
    def write() -> None:
        trail = AuditTrail(engine, TickingClock())
        for _ in range(10):
            note(trail, Action.PROMOTED, "1")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuditTrail(engine, TickingClock()).verify() == 40


def test_the_version_in_force_had_seen_nothing_of_the_time_asked_about(audit):
    note(audit, Action.PROMOTED, "1", as_of=MAY)
    note(audit, Action.PROMOTED, "2", "1", as_of=JULY)
    in_force = [audit.version_in_force("parcels", at) for at in (datetime(2024, 4, 30, tzinfo=UTC), MAY, JUNE, JULY)]
    assert in_force == ["0", "1", "1", "2"]
    assert audit.version_in_force("other", JULY) == "0"


def test_version_that_was_rolled_back_is_not_in_force(audit):
    note(audit, Action.PROMOTED, "1", as_of=MAY)
    note(audit, Action.PROMOTED, "2", "1", as_of=JUNE)
    note(audit, Action.ROLLED_BACK, "1", "2", as_of=MAY)
    assert audit.version_in_force("parcels", JULY) == "1"
    note(audit, Action.ROLLED_BACK, "0", "1")
    assert audit.version_in_force("parcels", JULY) == "0"


def test_intents_alone_change_nothing(audit):
    note(audit, Action.PROMOTION_INTENDED, "1", as_of=MAY)
    note(audit, Action.ABANDONED, "1", as_of=MAY)
    assert audit.version_in_force("parcels", JULY) == "0"
