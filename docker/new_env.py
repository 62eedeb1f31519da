"""Prints a `.env` for docker compose with new secrets: `python3 docker/new_env.py > .env && chmod 600 .env`.

Needs nothing but Python. The secrets are letters, digits, - and _, so that they fit into URLs.
"""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent / ".env.example"


def new_env(template: str) -> str:
    """Fill every empty line of the template: a Fernet key where one is due, a random text elsewhere."""
    lines = []
    for line in template.splitlines():
        name, _, value = line.partition("=")
        lines.append(f"{name}={secret(name)}" if line.endswith("=") and not line.startswith("#") and not value else line)
    return "\n".join(lines) + "\n"


def secret(name: str) -> str:
    """A new secret, of the shape that its reader wants."""
    if name.endswith("FERNET_KEY"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
    return secrets.token_urlsafe(64 if name.endswith(("_SECRET", "_KEY")) else 24)


if __name__ == "__main__":
    sys.stdout.write(new_env(TEMPLATE.read_text(encoding="utf-8")))
