"""The web page of the mail catcher. What a mail brings along is shown walled off: no script of its, and no foreign host."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from noria.io.templates import environment
from noria.local.mailbox import Mailbox, MailPart, StoredMessage

_PAGES = Path(__file__).parent / "mail_pages"
_BODY_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox allow-popups"
_ATTACHMENT_POLICY = "sandbox allow-scripts allow-popups"
"""An attached report may run its own charts, in an origin of its own."""
_SHOWN = frozenset({"text/html", "text/plain", "image/png", "image/jpeg", "application/pdf"})


class _Pages:
    """The handlers, over one mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._pages = environment(_PAGES)

    def list(self, _request: Request) -> Response:
        return HTMLResponse(self._pages.get_template("list.html").render(messages=[*self._mailbox]))

    def list_as_json(self, _request: Request) -> Response:
        return JSONResponse([message.summary() for message in self._mailbox])

    def message(self, request: Request) -> Response:
        return HTMLResponse(self._pages.get_template("message.html").render(message=self._find(request)))

    def body(self, request: Request) -> Response:
        html = self._find(request).html
        if html is None:
            raise HTTPException(404, "This message has no HTML.")
        return HTMLResponse(html, headers={"Content-Security-Policy": _BODY_POLICY})

    def text(self, request: Request) -> Response:
        return PlainTextResponse(self._find(request).text or "")

    def source(self, request: Request) -> Response:
        return Response(bytes(self._find(request).message), media_type="message/rfc822")

    def part(self, request: Request) -> Response:
        parts, index = self._find(request).parts, request.path_params["index"]
        if index >= len(parts):
            raise HTTPException(404, "There is no such part.")
        return _part_response(parts[index], save="save" in request.query_params)

    def _find(self, request: Request) -> StoredMessage:
        if message := self._mailbox.get(request.path_params["name"]):
            return message
        raise HTTPException(404, "There is no such message.")


def mail_app(mailbox: Mailbox) -> Starlette:
    """The web application over a mailbox."""
    pages = _Pages(mailbox)
    return Starlette(
        routes=[
            Route("/", pages.list),
            Route("/api/messages", pages.list_as_json),
            Route("/messages/{name}/", pages.message),
            Route("/messages/{name}/html", pages.body),
            Route("/messages/{name}/text", pages.text),
            Route("/messages/{name}/source.eml", pages.source),
            Route("/messages/{name}/parts/{index:int}", pages.part),
        ]
    )


def _part_response(part: MailPart, *, save: bool) -> Response:
    how = "inline" if part.content_type in _SHOWN and not save else "attachment"
    name = quote(part.file_name or f"part-{part.index}", safe="")
    return Response(
        part.content,
        media_type=part.content_type,
        headers={
            "Content-Disposition": f"{how}; filename*=UTF-8''{name}",
            "Content-Security-Policy": _ATTACHMENT_POLICY,
            "X-Content-Type-Options": "nosniff",
        },
    )
