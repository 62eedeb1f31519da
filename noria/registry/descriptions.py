"""Descriptions on MLflow's pages of a model and of a version, in Markdown."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from noria.core.base.formatting import plain_name
from noria.core.lifecycle.registry import EVIDENCE

ABOUT_MODEL = (
    "The alias **champion** is what serves; without it version 0, the baseline, does. "
    "**challenger** is tried beside it, **previous** was champion before.\n\n"
    "Promote and roll back with `noria promote` and `noria roll-back`, so that the audit trail says who and why."
)


def describe_version(client: Any, run: Any, summary: str) -> str:
    """The summary, and links to the pages that were stored as evidence."""
    found = client.list_artifacts(run.info.run_id, EVIDENCE)
    pages = sorted(item.path for item in found if not item.is_dir and item.path.endswith((".html", ".md")))
    # Relative to MLflow's own page: its address inside the network is not the one in a reader's browser.
    root = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts"
    links = (f"[{_title(path)}]({root}/{quote(path)})" for path in pages)
    return "\n\n".join(part for part in (summary, " · ".join(links)) if part)


def _title(path: str) -> str:
    return plain_name(path.rsplit("/", 1)[-1].rsplit(".", 1)[0]).replace("-", " ")
