"""Secrets of the embedded stack, generated once and kept in one file that only its owner may read."""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from noria.core.base.errors import StackError

FILE = "secrets.json"


def _token() -> str:
    return secrets.token_urlsafe(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


@dataclass(frozen=True)
class Credentials:
    """All generated secrets but PostgreSQL's password, which lies beside its data."""

    airflow_password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    airflow_jwt_secret: str = field(default_factory=_token, repr=False)
    airflow_api_secret: str = field(default_factory=_token, repr=False)
    airflow_fernet_key: str = field(default_factory=_fernet_key, repr=False)
    pseudonym_key: str = field(default_factory=_token, repr=False)


def load_credentials(home: Path) -> Credentials:
    """Read the secrets, making them at the first call; two at once end with the same ones.

    Raises:
        StackError: the file is damaged; says what depends on it.
    """
    path = home / FILE
    if not path.exists():
        _create(path)
    try:
        return Credentials(**json.loads(path.read_text(encoding="ascii")))
    except (ValueError, TypeError) as error:
        raise StackError(
            f"{path} is damaged: restore it, or delete it to make new secrets (pseudonyms made so far will no longer match)"
        ) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner alone, also while it is being written."""
    draft = _draft(path, text)
    draft.replace(path)


def _create(path: Path) -> None:
    draft = _draft(path, json.dumps(asdict(Credentials()), indent=2) + "\n")
    try:
        os.link(draft, path)  # fails where another process was first: its secrets count
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
