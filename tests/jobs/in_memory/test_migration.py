"""Migration of the tables, with the schema in memory."""

from datetime import timedelta

import pytest

from noria.core.base.errors import SchemaError
from noria.jobs import migration

WAIT = timedelta(seconds=5)


def revisions(migrations):
    return [one.revision for one in migrations]


def test_plan_changes_nothing(services):
    assert revisions(migration.plan(services).pending) == ["0001", "0002"]
    assert migration.plan(services).state.revision is None


def test_migrate_says_what_it_applied_and_then_nothing_is_pending(services):
    applied = []
    assert migration.migrate(services, lock_timeout=WAIT, on_applied=applied.append).revision == "0002"
    assert revisions(applied) == ["0001", "0002"]
    assert migration.plan(services).pending == ()
    migration.migrate(services, lock_timeout=WAIT, on_applied=lambda _: pytest.fail("nothing was pending"))


def test_migrate_goes_on_where_an_error_stopped_it(services):
    services.schema.in_use = {"0002"}
    applied = []
    with pytest.raises(SchemaError, match="waited 5 s"):
        migration.migrate(services, lock_timeout=WAIT, on_applied=applied.append)
    assert migration.plan(services).state.revision == "0001"
    services.schema.in_use = set()
    migration.migrate(services, lock_timeout=WAIT, on_applied=applied.append)
    assert revisions(applied) == ["0001", "0002"]


def test_newer_tables_are_refused(services):
    services.schema.revision = "9999"
    for job in (migration.plan, lambda services: migration.migrate(services, lock_timeout=WAIT)):
        with pytest.raises(SchemaError, match="9999"):
            job(services)
