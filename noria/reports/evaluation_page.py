"""The evaluation report as one self-contained page: no script, no request to anywhere, readable on a phone, printable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from noria.core.lifecycle.evaluation import EvaluationReport, GateResult
from noria.core.use_case import UseCase
from noria.io.templates import environment

_PAGES = Path(__file__).parent / "templates"
ANCHORS = ("value", "quality", "segments", "months", "calibration", "fairness", "explanations", "suspects")
"""Places in the page that the evidence of a gate can link to."""


def write(report: EvaluationReport, use_case: UseCase, path: Path, gates: Sequence[GateResult] = ()) -> None:
    """Write the page; the same report gives the same bytes.

    Args:
        report: what was found.
        use_case: whose model was judged.
        path: the file to write; its folder is made where it is not there.
        gates: results of the gates; none if they were not checked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report, use_case, gates), encoding="utf-8")


def render(report: EvaluationReport, use_case: UseCase, gates: Sequence[GateResult] = ()) -> str:
    """The page as a text."""
    from noria.reports.evaluation_view import view_of

    return environment(_PAGES).get_template("evaluation.html").render(view=view_of(report, use_case, gates))
