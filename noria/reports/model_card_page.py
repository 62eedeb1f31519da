"""The model card as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from noria.io.templates import environment
from noria.reports.model_card import ModelCard

_PAGES = Path(__file__).parent / "templates"


def render(card: ModelCard) -> str:
    """The page as a text; the same card gives the same bytes."""
    from noria.reports.model_card_view import view_of

    return environment(_PAGES).get_template("card.html").render(card=card, view=view_of(card))
