"""A page of documentation as what it asks a reader to do: files to write, commands to type, output to expect."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

_BLOCK = re.compile(r"(?:^\*\*`(?P<path>[^`\n]+)`\*\*\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
_DIGEST = re.compile(r"\b[0-9a-f]{12,}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_NUMBER = re.compile(r"[-−]?\d[\d,.:]*\b")
_RULE = re.compile(r"[━─╸╺]+")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        path: the file that the bold line above it names; empty where there is none.
        output: the `text` block after it; empty where there is none.
    """

    language: str
    text: str
    path: str = ""
    output: str = ""


def read_guide(path: Path, *, after: str = "") -> tuple[Block, ...]:
    """The blocks of a page, or of what follows a heading, in order; a `text` block is the output of the block before it."""
    page, blocks = path.read_text(encoding="utf-8"), list[Block]()
    if after:
        _, found, page = page.partition(f"\n{after}\n")
        assert found, f"{path}: no heading {after}"
    for match in _BLOCK.finditer(page):
        if match["language"] == "text":
            assert blocks, f"{path}: output before any command"
            assert not blocks[-1].output, f"{path}: two outputs in a row"
            blocks[-1] = replace(blocks[-1], output=match["text"])
        else:
            blocks.append(Block(match["language"], match["text"], match["path"] or ""))
    return tuple(blocks)


def not_printed(shown: str, printed: str) -> list[str]:
    """What a page shows and a command did not print, in that order; nothing where all of it was printed.

    Numbers, digests, line breaks and the widths of tables and bars may differ; a line of `...` stands for all that was left
    out.
    """
    rest, missing = _words(printed), []
    for passage in re.split(r"^\.\.\.$", shown, flags=re.M):
        if not (wanted := _words(passage)):
            continue
        _, found, after = rest.partition(wanted)
        if found:
            rest = after
        else:
            missing.append(passage)
    return missing


def is_part(part: object, whole: object) -> bool:
    """Whether everything that one YAML value says stands in another."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(item in whole for item in part)
    return part == whole


def _words(text: str) -> str:
    return " ".join(_NUMBER.sub("#", _DIGEST.sub("#", _RULE.sub("─", text))).split())
