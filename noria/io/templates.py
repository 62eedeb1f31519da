"""The one Jinja environment, for pages and mails; its templates hold the one HTML frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noria.core.lifecycle.gate_conditions import number
from noria.core.use_case import format_duration

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHARED = Path(__file__).parent / "templates"
"""`frame.html`, on which every page stands; `page.html` for reports; `mail.html` for mails, with `mail_styles.html`."""
_QUOTED = re.compile(r"`([^`]+)`")


def environment(folder: Path, filters: Mapping[str, Callable[..., Any]] | None = None) -> Environment:
    """The environment over the templates of a room and the shared ones.

    Files named `.html` are escaped, all others are not. An unknown name is an error.

    Args:
        folder: the room's own templates; they win over shared ones of the same name.
        filters: the room's own filters, by name, beside the shared ones.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    templates = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {**_FILTERS, **(filters or {})}
    return templates


def day(instant: datetime | str) -> str:
    """The day of an instant or of its ISO text, such as 2013-05-01."""
    return instant[:10] if isinstance(instant, str) else f"{instant:%Y-%m-%d}"


def moment(instant: datetime) -> str:
    """An instant to the minute, such as 2013-05-01 06:00 UTC."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def name(identifier: str) -> str:
    """An identifier with blanks for underscores."""
    return identifier.replace("_", " ")


def code(text: str, style: str = "") -> Markup:
    """HTML of a text, escaped, with `<code>` for what stands between backquotes.

    Args:
        text: a sentence with commands in backquotes.
        style: CSS of each command; mail programs read no style sheet.
    """
    from markupsafe import Markup, escape

    tag = f'<code style="{style}">' if style else "<code>"
    return Markup(_QUOTED.sub(rf"{tag}\1</code>", str(escape(text))))  # noqa: S704  # escaped on the line itself


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "day": day,
    "moment": moment,
    "number": number,
    "name": name,
    "code": code,
    "duration": format_duration,
}
