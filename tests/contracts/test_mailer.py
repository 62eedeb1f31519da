"""The contract of the Mailer port, held against the fake and against SMTP with a record in PostgreSQL."""

from collections.abc import Iterator

import pytest

from noria.core.base.errors import NotifyError
from noria.data.postgres.warehouse import Warehouse
from noria.notify.mailer import SmtpMailer
from noria.ports.mailer import Mailer
from noria.settings import Settings
from noria.testing.clock import ManualClock
from noria.testing.fakes.mailer import RecordingMailer
from noria.testing.free_ports import free_port
from tests.notify.test_mailer import Moody, a_message, smtp_server


class MemoryPost:
    """The fake, and what it sent."""

    def __init__(self) -> None:
        self.mailer = RecordingMailer(ManualClock(), Settings().mail_from)

    @property
    def arrived(self) -> list[str]:
        return [str(mail.message["Message-ID"]) for mail in self.mailer.sent]

    def cut(self) -> None:
        self.mailer.reachable = False

    def mend(self) -> None:
        self.mailer.reachable = True


class SmtpPost:
    """A mailer over SMTP, and what its server accepted."""

    def __init__(self, warehouse: Warehouse, port: int, handler: Moody) -> None:
        self._handler = handler
        self._mailers = {
            reachable: SmtpMailer(
                Settings(smtp_port=port if reachable else free_port()), warehouse.engine, ManualClock(), lambda _: None
            )
            for reachable in (True, False)
        }
        self.mailer: Mailer = self._mailers[True]

    @property
    def arrived(self) -> list[str]:
        contents = (envelope.content for envelope in self._handler.accepted)
        return [
            line.partition(b":")[2].strip().decode()
            for content in contents
            for line in content.splitlines()
            if line.startswith(b"Message-ID")
        ]

    def cut(self) -> None:
        self.mailer = self._mailers[False]

    def mend(self) -> None:
        self.mailer = self._mailers[True]


@pytest.fixture(params=["memory", pytest.param("smtp", marks=pytest.mark.server)])
def post(request: pytest.FixtureRequest) -> Iterator[MemoryPost | SmtpPost]:
    if request.param == "memory":
        yield MemoryPost()
        return
    warehouse, handler = Warehouse(request.getfixturevalue("warehouse_url")), Moody()
    with smtp_server(handler) as port:
        yield SmtpPost(warehouse, port, handler)
    warehouse.close()


def test_deliver_sends_and_says_to_whom(post):
    result = post.mailer.deliver(a_message("ops@example.com, ana@example.com"), key="k", use_case="parcels")
    assert (result.delivered_now, result.recipients) == (True, ("ops@example.com", "ana@example.com"))
    assert post.arrived == [result.message_id]


def test_deliver_twice_with_one_key_sends_once(post):
    first, again = (post.mailer.deliver(a_message(), key="k", use_case="parcels") for _ in range(2))
    assert again == first.model_copy(update={"delivered_now": False})
    assert post.arrived == [first.message_id]


def test_deliver_with_another_key_sends_again(post):
    ids = [post.mailer.deliver(a_message(), key=key, use_case="parcels").message_id for key in "ab"]
    assert ids[0] != ids[1]
    assert post.arrived == ids


def test_deliver_sets_sender_date_and_message_id(post):
    message = a_message()
    result = post.mailer.deliver(message, key="k", use_case="parcels")
    assert message["From"] == Settings().mail_from
    assert message["Date"] == "Sat, 01 Jun 2024 12:00:00 +0000"
    assert message["Message-ID"] == result.message_id


def test_deliver_without_a_server_fails_and_the_next_call_sends(post):
    post.cut()
    with pytest.raises(NotifyError, match="SMTP server"):
        post.mailer.deliver(a_message(), key="k", use_case="parcels")
    post.mend()
    assert post.mailer.deliver(a_message(), key="k", use_case="parcels").delivered_now
    assert len(post.arrived) == 1
