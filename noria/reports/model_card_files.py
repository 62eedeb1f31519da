"""Model cards on disk.

card.json   the facts, for machines, and for writing the page again
card.html   the same for people: one file, no script, no request to anywhere
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from noria.core.base.errors import BundleError
from noria.reports.model_card import ModelCard

CARD_JSON = "card.json"


CARD_PAGE = "card.html"


def write_card(folder: Path, card: ModelCard) -> Path:
    """Write both files; returns the page's path."""
    from noria.reports.model_card_page import render

    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / CARD_JSON).write_text(content + "\n", encoding="utf-8")
    page = folder / CARD_PAGE
    page.write_text(render(card), encoding="utf-8")
    return page


def read_card(folder: Path) -> ModelCard | None:
    """The card that was written into a folder; None where there is none.

    Raises:
        BundleError: the file is no card.
    """
    path = folder / CARD_JSON
    if not path.exists():
        return None
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{path}: is not a model card of format 1 ({error.error_count()} errors); train again") from error
