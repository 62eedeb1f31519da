"""The contract of the AuditTrail port, held against the fake and against PostgreSQL."""

import threading
from datetime import UTC, datetime

import pytest

from noria.core.base.errors import AuditError
from noria.core.lifecycle.audit_event import Action
from noria.testing.clock import TickingClock
from noria.testing.fakes.audit_trail import InMemoryAuditTrail
from noria.testing.fakes.interruption import Killed
from tests.contracts.stores import REFUSED
from tests.release.test_audit import note

MAY, JUNE, JULY = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))


def test_events_come_back_as_they_were_written(audit):
    written = [note(audit, Action.PROMOTED, "1", as_of=MAY), note(audit, Action.PROMOTED, "1", use_case="other")]
    assert audit.events() == tuple(written)
    assert audit.events("parcels") == (written[0],)
    assert audit.verify() == 2
    assert audit.head() == written[1].hash


def test_an_empty_trail_is_sound(audit):
    assert audit.verify() == 0
    assert audit.version_in_force("parcels", JULY) == "0"


@pytest.mark.parametrize("fields", [{"reason": "a\0b"}, {"evidence": {"bundle": "\0"}}])
def test_a_text_with_nul_is_refused(audit, fields):
    with pytest.raises(REFUSED):
        note(audit, Action.PROMOTED, "1", **fields)
    assert audit.events() == ()


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


def test_exclusively_keeps_a_second_holder_out_until_the_first_leaves(audit):
    inside, order = threading.Event(), []

    def second() -> None:
        inside.wait()
        with audit.exclusively("parcels"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with audit.exclusively("parcels"), audit.exclusively("another use case"):
        inside.set()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_exclusively_after_an_error_lets_the_next_one_in(audit):
    with pytest.raises(RuntimeError), audit.exclusively("parcels"):
        raise RuntimeError
    with audit.exclusively("parcels"):
        assert audit.events() == ()


def test_verify_of_the_fake_finds_an_altered_event():
    audit = InMemoryAuditTrail(TickingClock())
    for version in "123":
        note(audit, Action.PROMOTED, version)
    audit.alter(2, actor="eve")
    with pytest.raises(AuditError, match=r"event 2 .* was altered"):
        audit.verify()


def test_fake_killed_at_an_action_writes_nothing_and_goes_on():
    audit = InMemoryAuditTrail(TickingClock())
    audit.killed_at = {Action.PROMOTED}
    with pytest.raises(Killed):
        note(audit, Action.PROMOTED, "1")
    assert audit.events() == ()
    assert note(audit, Action.PROMOTED, "1").sequence == 1
