"""What tests of keys need: a clock to set, a database that is down, and a header with a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from noria.jobs import access

DAY = timedelta(days=1)
DOWN = SecretStr("postgresql://nobody:nothing@127.0.0.1:9/none")


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


def bearer(issued: access.IssuedKey) -> str:
    return f"Bearer {issued.secret.text}"
