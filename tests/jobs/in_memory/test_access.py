"""Jobs on API keys, with every part in memory."""

from datetime import timedelta

import pytest

from noria.core.base.api_key import KeyState, Scope, digest, read_key
from noria.core.base.errors import AccessError, UseCaseError
from noria.core.lifecycle.audit_event import Action
from noria.jobs import access
from noria.jobs.access import NewSecret
from noria.testing.builders import write_use_case
from noria.testing.fakes.interruption import Killed
from noria.testing.fakes.key_store import FOREVER
from noria.testing.fakes.services import in_memory_services


@pytest.fixture
def services(tmp_path):
    write_use_case(tmp_path / "use_cases")
    return in_memory_services(tmp_path)


def create(services, **changes):
    return access.create_key(
        services, **{"name": "shop", "use_cases": ["parcels"], "scopes": [Scope.PREDICT], "actor": "ana", **changes}
    )


def actions(services):
    return [event.action for event in services.audit.events(access.AUDITED_AS)]


def test_create_key_keeps_the_digest_and_writes_an_event(services):
    issued = create(services, lifetime=timedelta(days=90), per_minute=60)
    assert access.list_keys(services) == (issued.key,)
    assert services.keys.secrets_of(issued.key.id) == {issued.secret.digest: FOREVER}
    (event,) = services.audit.events(access.AUDITED_AS)
    assert (event.action, event.version, event.actor) == (Action.KEY_CREATED, issued.key.id, "ana")
    assert event.evidence["per_minute"] == "60"
    assert issued.secret.text not in event.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_cases": []}, "for no use case"),
        ({"scopes": []}, "without a scope"),
        ({"per_minute": 0}, "0 requests per minute"),
        ({"lifetime": timedelta(0)}, "expires at once"),
        ({"lifetime": timedelta.max}, "leave the expiry out"),
        ({"name": "a name with blanks"}, "name"),
    ],
)
def test_create_key_that_could_do_nothing_is_refused_and_leaves_nothing(services, changes, message):
    with pytest.raises(AccessError, match=message):
        create(services, **changes)
    assert (access.list_keys(services), actions(services)) == ((), [])


def test_create_key_for_an_unknown_use_case_is_refused(services):
    with pytest.raises(UseCaseError):
        create(services, use_cases=["letters"])


def test_create_key_twice_is_refused_with_one_event(services):
    create(services)
    with pytest.raises(AccessError, match="a key of the name shop already"):
        create(services)
    assert actions(services) == [Action.KEY_CREATED]


def test_create_key_killed_before_the_event_keeps_no_key(services):
    services.audit.killed_at = {Action.KEY_CREATED}
    with pytest.raises(Killed):
        create(services)
    assert (access.list_keys(services), actions(services)) == ((), [])


def test_create_key_killed_before_the_commit_leaves_an_event_too_many(services):
    services.keys.killed_before_commit = True
    with pytest.raises(Killed):
        create(services)
    assert (access.list_keys(services), actions(services)) == ((), [Action.KEY_CREATED])


def test_rotate_key_lets_the_old_secret_in_for_the_grace(services):
    first = create(services)
    second = access.rotate_key(services, first.key.id, grace=timedelta(hours=1), actor="ben", reason="a leak")
    until = services.clock.now() + timedelta(hours=1)
    assert services.keys.secrets_of(first.key.id) == {first.secret.digest: until, second.secret.digest: FOREVER}
    assert services.audit.events()[-1].reason == f"a leak; older secrets until {until.isoformat(timespec='seconds')}"


def test_rotate_key_with_a_negative_grace_is_refused(services):
    key = create(services).key
    with pytest.raises(AccessError, match="cannot be negative"):
        access.rotate_key(services, key.id, grace=timedelta(seconds=-1), actor="ben")


def test_rotate_key_killed_before_the_event_keeps_the_old_secret_alone(services):
    first = create(services)
    services.audit.killed_at = {Action.KEY_ROTATED}
    with pytest.raises(Killed):
        access.rotate_key(services, first.key.id, grace=timedelta(0), actor="ben")
    assert services.keys.secrets_of(first.key.id) == {first.secret.digest: FOREVER}


def test_revoke_key_twice_writes_one_event(services):
    key = create(services).key
    done = [access.revoke_key(services, key.id, reason="a leak", actor="ben").already for _ in range(2)]
    assert done == [False, True]
    assert access.list_keys(services)[0].state(services.clock.now()) is KeyState.REVOKED
    assert actions(services) == [Action.KEY_CREATED, Action.KEY_REVOKED]


def test_revoke_key_killed_before_the_event_refuses_it_and_the_next_call_adds_the_event(services):
    key = create(services).key
    services.audit.killed_at = {Action.KEY_REVOKED}
    with pytest.raises(Killed):
        access.revoke_key(services, key.id, reason="a leak", actor="ben")
    assert access.list_keys(services)[0].state(services.clock.now()) is KeyState.REVOKED
    assert access.revoke_key(services, key.id, reason="a leak", actor="ben").already
    assert actions(services) == [Action.KEY_CREATED, Action.KEY_REVOKED]


def test_revoke_key_that_is_unknown_is_refused(services):
    with pytest.raises(AccessError, match="there is no key"):
        access.revoke_key(services, "A" * 12, reason="", actor="ben")


def test_a_secret_has_the_id_of_its_key_and_256_bits_that_no_other_has():
    key_id = "AbCdEfGh1234"
    secrets = [NewSecret.draw(key_id) for _ in range(50)]
    presented = [read_key(secret.text) for secret in secrets]
    assert {key.id for key in presented} == {key_id}
    assert len({key.secret for key in presented}) == 50
    assert {len(key.secret) * 6 // 8 for key in presented} == {32}
    assert [digest(key.secret) for key in presented] == [secret.digest for secret in secrets]


def test_a_new_secret_is_not_shown_by_accident():
    secret = NewSecret.draw("AbCdEfGh1234")
    shown = f"{secret!r} {secret} {secret.digest}"
    assert read_key(secret.text).secret not in shown
    assert secret.digest in shown
