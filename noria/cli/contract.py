"""`noria check` and `noria schema`: the contract of a use case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

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

    from noria.core.catalog import load_catalog
    from noria.core.errors import Problem, UseCaseError
    from noria.data.models import DbtProject, check_models
    from noria.settings import load_settings

    settings = load_settings()
    root, models = settings.use_cases, DbtProject(settings.dbt_project)
    catalog = load_catalog(root, use_cases or ())
    if not catalog.use_cases:
        raise UseCaseError([Problem(str(root), "no use case", "add a folder with a use_case.yaml")])
    table = Table("use case", "features", "sources", "gates", "expectations")
    problems: list[Problem] = []
    for use_case in catalog:
        problems += check_models(use_case, models)
        try:
            expectations = str(_expectations(catalog.folder(use_case)))
        except UseCaseError as error:
            problems += error.problems
            continue
        counts = (len(use_case.features.names), len(use_case.sources), len(use_case.gates))
        table.add_row(use_case.name, *map(str, counts), expectations)
    if problems:
        raise UseCaseError(problems)
    out.print(table)
    say(f"{len(catalog.use_cases)} use case{'s' if len(catalog.use_cases) > 1 else ''} in {_short(root)}: all well")


def _short(root: Path) -> Path:
    """The path as a reader would type it, where it lies below the current folder."""
    here = Path.cwd()
    return root.relative_to(here) if root.is_relative_to(here) else root


def _expectations(folder: Path) -> int:
    from noria.data.quality import read_suites

    suites = read_suites(folder)
    return sum(len(suite.expectations) for suite in suites)


def schema(
    write: Annotated[bool, typer.Option("--write", help="Write use_cases/use_case.schema.json instead.")] = False,
) -> None:
    """Print the JSON Schema of use_case.yaml, for editors.

    An editor that knows YAML schemas completes and checks fields when the file begins with
    `# yaml-language-server: $schema=../use_case.schema.json`.
    """
    from noria.core.use_case import json_schema
    from noria.settings import load_settings

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    if not write:
        typer.echo(text)
        return
    path = load_settings().use_cases / "use_case.schema.json"
    path.write_text(text + "\n", encoding="utf-8")
    say(f"wrote {path}")
