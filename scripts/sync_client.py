"""Writes noria/client/sync.py from noria/client/asynchronous.py; `--check` only says whether it is up to date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "noria" / "client"
SOURCE, TARGET = CLIENT / "asynchronous.py", CLIENT / "sync.py"
RULES = (
    (
        r"\A\"\"\".*?\"\"\"\n",
        '"""Synchronous client. Made by `make docs` from `noria/client/asynchronous.py`; edit that file."""\n',
    ),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bAwaitable, ", ""),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAsync(NoriaClient|Client|BaseTransport)\b", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\basync (def|with)\b", r"\1"),
    (r"\basyncio\.run\(([^\n]*)\)(?=\n)", r"\1"),
    (r"\bawait ", ""),
    (r"the tasks of an event loop may share it", "threads may share it"),
)
"""Patterns and what stands in their place, one after the other."""


def synchronous(text: str) -> str:
    """The same code without `async` and `await`.

    Raises:
        ValueError: a rule finds nothing, or something asynchronous is left.
    """
    for pattern, replacement in RULES:
        text, times = re.subn(pattern, replacement, text, flags=re.DOTALL)
        if not times:
            raise ValueError(f"{SOURCE.name} has no {pattern!r}: remove that rule")
    code = text.split('"""', 2)[2]
    if left := re.search(r".*(?:async|await|Async).*", code):
        raise ValueError(f"no rule makes this line of {SOURCE.name} synchronous: {left.group().strip()}")
    return text


def main(arguments: list[str]) -> int:
    """Write the client, or say that it is out of date."""
    wanted = synchronous(SOURCE.read_text(encoding="utf-8"))
    if TARGET.read_text(encoding="utf-8") == wanted:
        return 0
    if "--check" in arguments:
        print(f"{TARGET.name} is out of date: run `make docs`")  # noqa: T201 - its purpose
        return 1
    TARGET.write_text(wanted, encoding="utf-8")
    print(f"wrote {TARGET.name}")  # noqa: T201 - its purpose
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
