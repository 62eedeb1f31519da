"""The model card as one self-contained HTML page."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from markupsafe import Markup, escape

from noria.core.lifecycle.gate_conditions import number
from noria.core.use_case import format_duration
from noria.reports.model_card import ModelCard

_QUOTED = re.compile(r"`([^`]+)`")
_HERE = Path(__file__).parent / "templates"
_STYLES = (_HERE / "page.css", _HERE / "card.css")
"""The card looks like the evaluation page."""


def render(card: ModelCard) -> str:
    """The page as a text; the same card gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from noria.reports.model_card_view import view_of

    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {
        "day": _day,
        "moment": _moment,
        "number": number,
        "plain": _plain,
        "duration": format_duration,
        "code": _code,
    }
    style = "\n".join(path.read_text(encoding="utf-8") for path in _STYLES)
    return templates.get_template("card.html.j2").render(card=card, view=view_of(card), style=style)


def _code(text: str) -> Markup:
    """The text, escaped, with what stands between backquotes set as code."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped on the line itself


def _day(instant: datetime | str) -> str:
    return instant[:10] if isinstance(instant, str) else f"{instant:%Y-%m-%d}"


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _plain(name: str) -> str:
    return name.replace("_", " ")
