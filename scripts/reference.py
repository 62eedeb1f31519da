"""Writes docs/reference and the use-case schema from the code; `--check` only says whether they are up to date."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter
from typer.main import get_command

from noria.cli import app
from noria.core.use_case import UseCase, format_duration, json_schema
from noria.io.clock import SystemClock
from noria.settings import PROJECT, Settings
from serving.journal.journal import Journal
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import ServedModels
from serving.observability.live_state import LiveState
from serving.observability.metrics import Metrics

REFERENCE = PROJECT / "docs" / "reference"
SCHEMA = PROJECT / "use_cases" / "use_case.schema.json"
_NOTE = "<!-- Made by `make docs` from the code; edit the docstrings there. -->\n"


def pages() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    return {
        REFERENCE / "command-line.md": _NOTE + command_line(),
        REFERENCE / "settings.md": _NOTE + settings(),
        REFERENCE / "use-case.md": _NOTE + use_case(),
        REFERENCE / "metrics.md": _NOTE + metrics(),
        SCHEMA: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def command_line() -> str:
    """All commands with their arguments and options."""
    lines = ["# Command line", "", "`noria --help` says the same. Errors are one line on stderr, with exit code 1.", ""]
    for name, command in commands("noria", get_command(app)):
        lines += [f"## {name}", "", *paragraphs(command.help), ""]
        if rows := [parameter(item) for item in command.params if item.name != "help"]:
            lines += ["| argument or option | default | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def commands(prefix: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every visible command below a group, with its full name."""
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if getattr(child, "commands", None):
            yield from commands(f"{prefix} {name}", child)
        elif not child.hidden:
            yield f"{prefix} {name}", child


def paragraphs(text: str | None) -> list[str]:
    """A docstring as Markdown."""
    return [line.strip() for line in (text or "").splitlines()]


def parameter(item: Any) -> str:
    """One row of a command's table."""
    names = " ".join(f"`{name}`" for name in item.opts) if item.param_type_name == "option" else f"`{item.name.upper()}`"
    value = getattr(item.default, "value", item.default)
    default = "required" if item.required else "" if value in (None, False, "") else f"`{value}`"
    return f"| {names} | {default} | {cell(getattr(item, 'help', '') or '')} |"


def settings() -> str:
    """All settings, as the docstrings of their fields say."""
    lines = [
        "# Settings",
        "",
        "Environment variables, or lines of `<home>/noria.env`, which `noria up` writes (mode 0600). The environment wins.",
        "A source with `kind: sql` and `connection: NAME` reads its URL from `NORIA_SOURCE_<NAME>_URL`.",
        "",
        "| variable | default | |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `NORIA_{name.upper()}` | {shown(field.default)} | {' '.join((field.description or '').split())} |")
    return "\n".join(lines) + "\n"


def shown(default: object) -> str:
    """A default value, free of secrets and of this machine's folders."""
    if isinstance(default, SecretStr) or default in ("", Path()):
        return ""
    if isinstance(default, Path):
        return f"`{default.relative_to(PROJECT)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def use_case() -> str:
    """All fields of use_case.yaml, section by section."""
    schema = UseCase.model_json_schema()
    lines = ["# use_case.yaml", "", "`noria check` holds a file against this; `use_case.schema.json` tells editors.", ""]
    definitions = schema["$defs"]
    lines += section("use_case.yaml", schema, definitions)
    for name, definition in definitions.items():
        lines += section(name, definition, definitions)
    return "\n".join(lines)


def section(name: str, definition: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """One object, or one list of words, of the schema."""
    lines = [f"## {name}", "", first_paragraph(definition), ""]
    if "enum" in definition:
        return [*lines, "One of: " + ", ".join(f"`{word}`" for word in definition["enum"]), ""]
    lines += ["| field | type | default | |", "|---|---|---|---|"]
    required = definition.get("required", [])
    for field, about in definition.get("properties", {}).items():
        default = "required" if field in required else f"`{written(about['default'])}`" if "default" in about else ""
        lines.append(f"| `{field}` | {kind(about)} | {cell(default)} | {cell(described(about, definitions))} |")
    return [*lines, ""]


def described(about: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a field is; the schema leaves that to the field's type where both would say the same."""
    kind_of_field = definitions.get(about.get("$ref", "").rsplit("/", 1)[-1], {})
    return str(about.get("description") or first_paragraph(kind_of_field))


def first_paragraph(definition: dict[str, Any]) -> str:
    """What an object is, in one paragraph."""
    return str(definition.get("description", "")).split("\n\n")[0].replace("\n", " ")


def written(default: Any) -> str:
    """A default as one would write it: a duration as 30d, not as the schema's ISO 8601."""
    if isinstance(default, str) and re.fullmatch(r"P[0-9DTHMS]+", default):
        return format_duration(TypeAdapter(timedelta).validate_python(default))
    return json.dumps(default)


def kind(about: dict[str, Any]) -> str:
    """The type of a field, in words and links."""
    if "$ref" in about:
        name = about["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if words := about.get("enum") or [about[key] for key in ("const",) if key in about]:
        return ", ".join(f"`{word}`" for word in words)
    if options := about.get("anyOf") or about.get("oneOf"):
        return " or ".join(kind(option) for option in options)
    return collection(about) or str(about.get("format") or about.get("type") or "any")


def collection(about: dict[str, Any]) -> str:
    """The type of a list or a mapping; empty for anything else."""
    if about.get("type") == "array":
        return f"list of {kind(about['items'])}" if "items" in about else "list"
    if about.get("type") == "object" and isinstance(about.get("additionalProperties"), dict):
        return f"mapping to {kind(about['additionalProperties'])}".replace("mapping to mapping", "nested mapping")
    return ""


def cell(text: str) -> str:
    """Text that fits into a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def metrics() -> str:
    """What serving shows at /metrics, besides figures of its process."""
    metrics, clock, nowhere = Metrics(), SystemClock(), Path("nowhere")
    metrics.show(LiveState(ServedModels(), ActiveRollouts(nowhere, clock, metrics), Journal(nowhere, clock)))
    text = metrics.text().decode("utf-8")
    comments = [line.split(" ", 3) for line in text.splitlines() if line.startswith(("# HELP noria", "# TYPE noria"))]
    about = {name: words for _, keyword, name, words in comments if keyword == "HELP"}
    types = {name: words for _, keyword, name, words in comments if keyword == "TYPE"}
    lines = ["# Metrics", "", "Serving shows these at `/metrics`, for Prometheus.", ""]
    lines += ["| metric | type | |", "|---|---|---|"]
    lines += [f"| `{name}` | {types[name]} | {cell(about[name])} |" for name in sorted(about)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the pages, or say which are out of date."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(PROJECT)} is out of date: run `make docs`")  # noqa: T201 - its purpose
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(PROJECT)}")  # noqa: T201 - its purpose
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
