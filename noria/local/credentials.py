"""Secrets of the embedded stack, generated once and kept in one file that only its owner may read."""

from __future__ import annotations

import base64
import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from noria.core.base.errors import StackError
from noria.io.atomic import create_atomically

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
        with suppress(FileExistsError):  # another process was first: its secrets count
            create_atomically(path, json.dumps(asdict(Credentials()), indent=2) + "\n")
    try:
        return Credentials(**json.loads(path.read_text(encoding="ascii")))
    except (ValueError, TypeError) as error:
        raise StackError(
            f"{path} is damaged: restore it, or delete it to make new secrets (pseudonyms made so far will no longer match)"
        ) from error
