"""An SMTP server that keeps what it receives, and a web page to read it: the mailbox of the embedded stack.

    python -m noria.local.mail_catcher --smtp-port 1025 --http-port 8025 --folder .noria/mail

It listens on loopback only and delivers nothing. `GET /api/messages` lists what it holds as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope

from noria.core.base.errors import StackError
from noria.local.mail_web import mail_app
from noria.local.mailbox import Mailbox

_LOG = logging.getLogger("noria.mail")
_LOOPBACK = "127.0.0.1"
_LARGEST = 30 * 1024 * 1024


class _Keeper:
    """Handler of aiosmtpd: a message is acknowledged once it is on disk."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        name = await asyncio.to_thread(self._mailbox.keep, content, datetime.now(UTC))
        _LOG.info("kept %s for %s", name, ", ".join(envelope.rcpt_tos))
        return "250 Message kept"


async def serve(smtp_port: int, http_port: int, folder: Path) -> None:
    """Receive and show mail until SIGTERM or SIGINT.

    Raises:
        StackError: a port is taken; names it.
    """
    mailbox = Mailbox(folder)
    loop = asyncio.get_running_loop()
    try:
        receiver = await loop.create_server(
            lambda: SMTP(_Keeper(mailbox), data_size_limit=_LARGEST, enable_SMTPUTF8=True, hostname="localhost", loop=loop),
            _LOOPBACK,
            smtp_port,
        )
    except OSError as error:
        raise StackError(f"mail catcher: SMTP port {smtp_port}: {error.strerror}; pass another --smtp-port") from error
    async with receiver:
        config = uvicorn.Config(mail_app(mailbox), host=_LOOPBACK, port=http_port, log_level="warning", access_log=False)
        _LOG.info("SMTP on %s:%d, pages on http://%s:%d, mail in %s", _LOOPBACK, smtp_port, _LOOPBACK, http_port, folder)
        await uvicorn.Server(config).serve()  # ends at SIGTERM or SIGINT; a taken port ends it with its own message


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the catcher as a process."""
    parser = argparse.ArgumentParser(prog="python -m noria.local.mail_catcher", description=__doc__.split("\n")[0])
    parser.add_argument("--smtp-port", type=int, default=1025, help="port that receives mail (default: 1025)")
    parser.add_argument("--http-port", type=int, default=8025, help="port of the web page (default: 8025)")
    parser.add_argument("--folder", type=Path, required=True, help="where messages are kept, one .eml file each")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells every command
    try:
        asyncio.run(serve(options.smtp_port, options.http_port, options.folder))
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
