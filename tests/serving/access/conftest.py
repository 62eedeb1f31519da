"""Keys in a real PostgreSQL, and authenticators that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.api_key import Scope
from noria.jobs import access
from noria.settings import Settings
from serving.access.authenticator import Authenticator, make_authenticator
from tests.serving.access.keys import SetClock
from tests.serving.bundles import USE_CASE

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def public(settings: Settings, table: str) -> Settings:
    """Settings of a server that others reach, with a database."""
    return settings.model_copy(update={"serving_host": EVERYWHERE, "warehouse_url": SecretStr(table)})


@pytest.fixture
def services(public: Settings, clock: SetClock) -> Iterator[Services]:
    made = bootstrap(public, clock)
    yield made
    made.warehouse.close()


@pytest.fixture
def create(services: Services) -> Callable[..., access.IssuedKey]:
    """Makes a key as the command line does."""

    def create(name: str = "shop", **changes) -> access.IssuedKey:
        fields = {"use_cases": [USE_CASE], "scopes": [Scope.PREDICT], "actor": "ana", **changes}
        return access.create_key(services, name=name, **fields)

    return create


@pytest.fixture
def restarted(public: Settings, clock: SetClock) -> Iterator[Callable[..., Authenticator]]:
    """Makes an authenticator as a start does; its ring is refreshed by hand."""
    made: list[Authenticator] = []

    def restarted(**changes) -> Authenticator:
        made.append(make_authenticator(public.model_copy(update=changes), clock))
        return made[-1]

    yield restarted
    for authenticator in made:
        authenticator.keys.stop()


@pytest.fixture
def authenticator(restarted: Callable[..., Authenticator]) -> Authenticator:
    """An authenticator of a server that others reach."""
    return restarted()
