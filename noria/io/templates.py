"""The one Jinja environment, for pages and mails; its templates hold the one HTML frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noria.core.base import formatting
from noria.core.use_case import format_duration
from noria.core.use_case.metric_catalog import definition

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHARED = Path(__file__).parent / "templates"
"""`frame.html`, on which every page stands; `page.html` for reports; `mail.html` for mails, with `mail_styles.html`."""
_QUOTED = re.compile(r"`([^`]+)`")


def environment(folder: Path) -> Environment:
    """The environment over the templates of a room and the shared ones.

    Files named `.html` are escaped, all others are not. An unknown name is an error.

    Args:
        folder: the room's own templates; they win over shared ones of the same name.
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
    templates.filters |= _FILTERS
    return templates


def code(text: str, style: str = "") -> Markup:
    """HTML of a text, escaped, with `<code>` for what stands between backquotes.

    Args:
        text: a sentence with commands in backquotes.
        style: CSS of each command; mail programs read no style sheet.
    """
    from markupsafe import Markup, escape

    tag = f'<code style="{style}">' if style else "<code>"
    return Markup(_QUOTED.sub(rf"{tag}\1</code>", str(escape(text))))  # noqa: S704  # escaped on the line itself


def _title(metric: str) -> str:
    return definition(metric).title


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "code": code,
    "day": formatting.day,
    "decimal": formatting.decimal,
    "duration": format_duration,
    "metric": _title,
    "moment": formatting.moment,
    "money": formatting.money,
    "name": formatting.plain_name,
    "number": formatting.number,
    "percent": formatting.percent,
    "points": formatting.points,
    "thousands": "{:,}".format,
}
"""`metric` gives the title of a metric."""
