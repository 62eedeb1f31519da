"""The tail of log files, and what is added to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_BLOCK = 65_536


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, without reading what comes before them."""
    if count == 0:
        return []
    with path.open("rb") as file:
        position = file.seek(0, 2)
        data = b""
        while position > 0 and data.count(b"\n") <= count:
            step = min(_BLOCK, position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
    return data.decode("utf-8", "replace").splitlines()[-count:]


def follow_lines(paths: Mapping[str, Path], every: float = 0.3) -> Iterator[tuple[str, str]]:
    """Yield (name, line) as lines are added, without end; a file that is replaced is read from its start."""
    files = {name: path.open("rb") for name, path in paths.items()}
    for file in files.values():
        file.seek(0, 2)
    try:
        while True:
            for name, file in files.items():
                for line in file:
                    yield name, line.decode("utf-8", "replace").rstrip("\n")
                if _replaced(file, paths[name]):
                    file.close()
                    files[name] = paths[name].open("rb")
            time.sleep(every)
    finally:
        for file in files.values():
            file.close()


def _replaced(file: BinaryIO, path: Path) -> bool:
    import os

    return path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino
