"""Delivery over real SMTP, once per report, with a record in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from sqlalchemy import text

from noria.bootstrap import Services
from noria.core.base.errors import NotifyError, SchemaError
from noria.data.postgres.warehouse import Warehouse
from noria.notify.mailer import SmtpMailer
from noria.settings import Settings
from noria.testing.free_ports import free_port
from tests.notify.catcher import Catcher

NOON = datetime(2013, 6, 2, 12, tzinfo=UTC)


class Noon:
    def now(self) -> datetime:
        return NOON


class Moody:
    """Gives scripted answers, then accepts; keeps what it accepted."""

    def __init__(self, *answers: str, refuse: str = "", slow: float = 0.0) -> None:
        self.answers = list(answers)
        self.refuse = refuse
        self.slow = slow
        self.accepted: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if self.refuse and self.refuse in address:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        await asyncio.sleep(self.slow)
        self.accepted.append(envelope)
        return "250 OK"


@contextmanager
def smtp_server(handler: Moody, **options: Any) -> Iterator[int]:
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def a_message(to: str = "ops@example.com") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "[drift] Parcels, May 2013: the temperature rose by 20 °F"
    message["To"] = to
    message.set_content("Median 39 → 68 °F.")
    return message


def a_mailer(warehouse: Warehouse, port: int, pauses: list[float] | None = None, **settings: Any) -> SmtpMailer:
    pauses = [] if pauses is None else pauses
    return SmtpMailer(Settings(smtp_port=port, **settings), warehouse.engine, Noon(), pauses.append)


def deliveries(warehouse: Warehouse) -> list[Any]:
    with warehouse.transaction() as connection:
        return list(connection.execute(text("select * from ops.deliveries order by key")))


def test_a_message_arrives_and_is_recorded(warehouse: Warehouse, catcher: Catcher) -> None:
    key = uuid.uuid4().hex
    result = a_mailer(warehouse, catcher.smtp_port).deliver(a_message(), key=key, use_case="parcels")
    assert result.delivered_now
    assert result.recipients == ("ops@example.com",)
    (arrived,) = [message for message in catcher.messages() if message["message_id"] == result.message_id]
    assert arrived["subject"] == "[drift] Parcels, May 2013: the temperature rose by 20 °F"
    assert arrived["from"] == "noria@example.com"
    assert arrived["date"] == "Sun, 02 Jun 2013 12:00:00 +0000"
    (record,) = deliveries(warehouse)
    assert (record.key, record.use_case, record.recipients) == (key, "parcels", ["ops@example.com"])
    assert record.delivered_at == NOON


def test_a_long_subject_arrives_as_it_was_written(warehouse: Warehouse, catcher: Catcher) -> None:
    message, subject = a_message(), "[drift] Flight delays, June 2013: dew_point, median 35.6 → 61 °F; and the label: −3 %"
    del message["Subject"]
    message["Subject"] = subject
    result = a_mailer(warehouse, catcher.smtp_port).deliver(message, key=uuid.uuid4().hex, use_case="parcels")
    arrived = {found["message_id"]: found["subject"] for found in catcher.messages()}
    assert arrived[result.message_id] == subject


def test_the_same_report_goes_out_once(warehouse: Warehouse, catcher: Catcher) -> None:
    key = uuid.uuid4().hex
    mailer = a_mailer(warehouse, catcher.smtp_port)
    first = mailer.deliver(a_message(), key=key, use_case="parcels")
    again = mailer.deliver(a_message(), key=key, use_case="parcels")
    assert (first.delivered_now, again.delivered_now) == (True, False)
    assert first.message_id == again.message_id
    assert [message["message_id"] for message in catcher.messages()].count(first.message_id) == 1


def test_two_at_once_send_one(warehouse: Warehouse) -> None:
    handler = Moody(slow=0.3)
    with smtp_server(handler) as port, ThreadPoolExecutor(2) as pool:
        mailers = [a_mailer(warehouse, port) for _ in range(2)]
        futures = [pool.submit(mailer.deliver, a_message(), key="k", use_case="parcels") for mailer in mailers]
        results = [future.result() for future in futures]
    assert sorted(result.delivered_now for result in results) == [False, True]
    assert len(handler.accepted) == 1


def test_a_copy_after_a_kill_between_sending_and_recording_has_the_same_message_id(warehouse: Warehouse) -> None:
    handler = Moody()
    with smtp_server(handler) as port:
        mailer = a_mailer(warehouse, port)
        first = mailer.deliver(a_message(), key="k", use_case="parcels")
        with warehouse.transaction() as connection:
            connection.execute(text("delete from ops.deliveries"))  # as if killed before the commit
        second = mailer.deliver(a_message(), key="k", use_case="parcels")
    assert second.delivered_now
    assert first.message_id == second.message_id
    assert len(handler.accepted) == 2


def test_a_busy_server_is_tried_again(warehouse: Warehouse) -> None:
    handler, pauses = Moody("451 try later", "421 busy"), list[float]()
    with smtp_server(handler) as port:
        assert a_mailer(warehouse, port, pauses).deliver(a_message(), key="k", use_case="parcels").delivered_now
    assert pauses == [0.5, 2.0]
    assert len(handler.accepted) == 1


def test_a_refusal_is_final_and_leaves_no_record(warehouse: Warehouse) -> None:
    handler, pauses = Moody("554 message refused"), list[float]()
    with (
        smtp_server(handler) as port,
        pytest.raises(NotifyError, match=rf"127.0.0.1:{port}: 554 message refused; ask who runs"),
    ):
        a_mailer(warehouse, port, pauses).deliver(a_message(), key="k", use_case="parcels")
    assert pauses == []
    assert deliveries(warehouse) == []


def test_a_server_that_stays_away_is_named(warehouse: Warehouse) -> None:
    port, pauses = free_port(), list[float]()
    with pytest.raises(NotifyError, match=rf"127.0.0.1:{port}: .*refused; check NORIA_SMTP_HOST and NORIA_SMTP_PORT"):
        a_mailer(warehouse, port, pauses).deliver(a_message(), key="k", use_case="parcels")
    assert pauses == [0.5, 2.0, 8.0]


def test_one_refused_recipient_does_not_keep_the_others_waiting(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Moody(refuse="gone")
    with smtp_server(handler) as port:
        result = a_mailer(warehouse, port).deliver(
            a_message("gone@example.com, ops@example.com"), key="k", use_case="parcels"
        )
    assert result.recipients == ("ops@example.com",)
    assert "refused the recipient gone@example.com: 550 no such user" in caplog.text


def test_all_recipients_refused(warehouse: Warehouse) -> None:
    with (
        smtp_server(Moody(refuse="ops")) as port,
        pytest.raises(NotifyError, match=r"ops@example.com refused \(550 no such user\)"),
    ):
        a_mailer(warehouse, port).deliver(a_message(), key="k", use_case="parcels")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_login(warehouse: Warehouse) -> None:
    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, credentials: LoginPassword) -> AuthResult:
        return AuthResult(success=credentials == LoginPassword(b"noria", b"right"), handled=False)

    handler = Moody()
    options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    with smtp_server(handler, **options) as port:
        good = a_mailer(warehouse, port, smtp_user="noria", smtp_password="right")
        assert good.deliver(a_message(), key="k", use_case="parcels").delivered_now
        bad = a_mailer(warehouse, port, smtp_user="noria", smtp_password="wrong")
        with pytest.raises(NotifyError, match="check NORIA_SMTP_USER and NORIA_SMTP_PASSWORD"):
            bad.deliver(a_message(), key="other", use_case="parcels")
    assert len(handler.accepted) == 1


def test_encryption_that_the_server_does_not_offer_is_an_error(warehouse: Warehouse) -> None:
    handler = Moody()
    with smtp_server(handler) as port, pytest.raises(NotifyError, match="check NORIA_SMTP_STARTTLS"):
        a_mailer(warehouse, port, smtp_starttls=True).deliver(a_message(), key="k", use_case="parcels")
    assert handler.accepted == []


def test_a_failure_is_mailed_though_the_tables_are_of_a_newer_release(warehouse: Warehouse, warehouse_url: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text("update ops.alembic_version set version_num = '9999'"))
    handler = Moody()
    with smtp_server(handler) as port:
        services = Services(Settings(smtp_port=port, warehouse_url=warehouse_url), Noon())
        with pytest.raises(SchemaError, match="9999"):
            _ = services.warehouse
        assert services.mailer.deliver(a_message(), key="failure", use_case="parcels").delivered_now
        services.database.close()
    assert len(handler.accepted) == 1
