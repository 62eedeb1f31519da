"""What is written down of requests with keys, and that no secret ever is."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from noria.core.base.api_key import Scope, read_key
from noria.jobs import access
from serving.contract.errors import ForbiddenError, JournalError, UnauthenticatedError
from tests.serving.access.keys import bearer
from tests.serving.bundles import USE_CASE


def test_admin_requests_accepted_and_refused_are_logged(authenticator, public, create):
    shop, ops = create(), create("ops", scopes=[Scope.ADMIN])
    authenticator.keys.refresh()
    authenticator.authenticate(bearer(ops), USE_CASE, Scope.ADMIN, action="roll the challenger back")
    for header, error in ((bearer(shop), ForbiddenError), (None, UnauthenticatedError)):
        with pytest.raises(error):
            authenticator.authenticate(header, USE_CASE, Scope.ADMIN, action="roll the challenger back")
    path = public.serving_state / "admin.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["caller"], line["allowed"]) for line in lines] == [("ops", True), ("shop", False), ("", False)]
    assert {line["action"] for line in lines} == {"roll the challenger back"}


def test_admin_request_unwritable_log_is_refused(authenticator, public, create):
    ops = create(scopes=[Scope.ADMIN])
    authenticator.keys.refresh()
    (public.serving_state / "admin.jsonl").mkdir()
    with pytest.raises(JournalError, match=r"admin\.jsonl: cannot be written"):
        authenticator.authenticate(bearer(ops), USE_CASE, Scope.ADMIN)


@pytest.fixture
def shop(create: Callable[..., access.IssuedKey]) -> access.IssuedKey:
    """A key that may predict."""
    return create()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(" \tBearer", max_size=8),
    after=st.text(" \n\0x", max_size=3),
    kept=st.integers(0, 43),
    use_case=st.sampled_from([USE_CASE, "hotels", ""]),
    scope=st.sampled_from(list(Scope)),
)
def test_no_secret_is_ever_in_a_file_a_log_or_an_answer(
    authenticator, public, shop, caplog, before, after, kept, use_case, scope
):
    """However a key is sent: whole, cut short, in odd company, for the wrong thing."""
    caplog.set_level(logging.DEBUG)
    authenticator.keys.refresh()
    secret = read_key(shop.secret.text).secret
    whole = f"{before}{shop.secret.text}{after}"
    answers = []
    for header in (whole, whole[: len(before) + 19 + kept], f"Bearer {shop.secret.text}"):
        try:
            answers.append(repr(authenticator.authenticate(header, use_case, scope)))
        except (UnauthenticatedError, ForbiddenError) as error:
            answers.append(str(error))
    files = [path.read_text() for path in public.serving_state.iterdir() if path.is_file()]
    assert files, "keys.json"
    everything = "\n".join([*answers, *files, caplog.text])
    assert shop.secret.digest in everything
    assert secret not in everything
    assert kept < 8 or secret[:kept] not in everything
