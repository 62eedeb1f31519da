"""`noria check` and `noria schema`: the contract of a use case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noria.cli.arguments import open_services
from noria.cli.console import out, say


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel="Use cases")(check)
    app.command(rich_help_panel="Use cases")(schema)


def check(
    use_cases: Annotated[
        list[str] | None, typer.Argument(metavar="USE_CASE", help="Folders of use_cases/; all of them unless given.")
    ] = None,
) -> None:
    """Hold every use case against its contract: fields, names, rules, gates, expectations, columns of its dbt models.

    Lists all that is wrong at once, each with file, field, what was found and what would be right. Needs no stack.
    Example: `noria check flight_delays`
    """
    from rich.table import Table

    from noria.jobs import contract

    services = open_services()
    checked = contract.check(services, use_cases or ())
    table = Table("use case", "features", "sources", "gates", "expectations")
    for one in checked:
        table.add_row(one.name, *map(str, (one.features, one.sources, one.gates, one.expectations)))
    out.print(table)
    root = services.settings.use_cases
    say(f"{len(checked)} use case{'s' if len(checked) > 1 else ''} in {_short(root)}: all well")


def _short(root: Path) -> Path:
    """The path as a reader would type it, where it lies below the current folder."""
    here = Path.cwd()
    return root.relative_to(here) if root.is_relative_to(here) else root


def schema(
    write: Annotated[bool, typer.Option("--write", help="Write use_cases/use_case.schema.json instead.")] = False,
) -> None:
    """Print the JSON Schema of use_case.yaml, for editors.

    An editor that knows YAML schemas completes and checks fields when the file begins with
    `# yaml-language-server: $schema=../use_case.schema.json`.
    """
    from noria.jobs import contract

    if write:
        say(f"wrote {contract.write_schema(open_services())}")
    else:
        typer.echo(contract.schema())
