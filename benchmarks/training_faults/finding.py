"""What one fault did, as a row of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One kind of fault, tried at one or several moments.

    Attributes:
        stage: the stage of the pipeline.
        killed: what was killed, and when.
        times: number of kills, each at another moment.
        trials: trials of the search that were repeated, at most, per kill; None where there is no search.
        seconds: work that was repeated, at most.
        retry: what the next call did.
        versions: registered versions in the end, for each moment; None where nothing is registered.
        same: whether the digest is that of an undisturbed run; None where it is not determined.
        broken: broken guarantees, in words; empty if all hold.
    """

    stage: str
    killed: str
    times: int
    trials: int | None
    seconds: float
    retry: str
    versions: tuple[int, ...] | None
    same: bool | None
    broken: tuple[str, ...] = ()


_HEAD = ("stage", "killed", "kills", "trials lost", "seconds lost", "what the retry did", "versions", "same digest", "kept")


def print_head() -> None:
    """Print the first line."""
    print(_line(_HEAD))


def print_row(finding: Finding) -> None:
    """Print a finding, and its broken guarantees below it."""
    print(_line(_cells(finding)), flush=True)
    for words in finding.broken:
        print(f"    broken: {words}", flush=True)


def as_markdown(findings: Sequence[Finding]) -> str:
    """The table without seconds, which differ between machines."""
    columns = [place for place, name in enumerate(_HEAD) if name != "seconds lost"]
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_cells, findings)]
    return "\n".join("| " + " | ".join(row[place] for place in columns) + " |" for row in rows)


def _cells(finding: Finding) -> tuple[str, ...]:
    return (
        finding.stage,
        finding.killed,
        str(finding.times),
        "-" if finding.trials is None else str(finding.trials),
        f"{finding.seconds:.1f}",
        finding.retry,
        "-" if finding.versions is None else _numbers(finding.versions),
        {None: "-", True: "yes", False: "NO"}[finding.same],
        "NO" if finding.broken else "yes",
    )


def _numbers(found: Iterable[int]) -> str:
    return " or ".join(str(number) for number in sorted(set(found)))


def _line(cells: Sequence[str]) -> str:
    widths = (13, 66, 6, 12, 13, 54, 9, 12, 5)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
