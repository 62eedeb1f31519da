"""The synchronous client is generated from the asynchronous one."""

import runpy

import pytest


@pytest.fixture(scope="module")
def script(request):
    return runpy.run_path(str(request.config.rootpath / "scripts" / "sync_client.py"))


@pytest.fixture(scope="module")
def source(script):
    return script["SOURCE"].read_text(encoding="utf-8")


def test_sync_client_is_up_to_date(script, source):
    assert script["TARGET"].read_text(encoding="utf-8") == script["synchronous"](source), "run `make docs`"


def test_line_that_no_rule_makes_synchronous_is_named(script, source):
    with pytest.raises(ValueError, match=r"async for part in self\._parts:"):
        script["synchronous"](source + "async for part in self._parts:\n")


def test_rule_that_finds_nothing_is_named(script, source):
    with pytest.raises(ValueError, match="aclose"):
        script["synchronous"](source.replace("aclose", "close"))
