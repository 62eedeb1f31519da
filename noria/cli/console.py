"""Output of commands, and the one way to print an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from noria.core.base.errors import NoriaError, first_line

if TYPE_CHECKING:
    from noria.core.base.results import Result

out = Console()
err = Console(stderr=True)


def say(text: str, style: str = "") -> None:
    """Print a line as it is: brackets in it are no markup."""
    out.print(Text(text, style=style), soft_wrap=True)


def show_error(message: str) -> None:
    """Print what went wrong, in red where the terminal can."""
    err.print(Text("Error: ", style="bold red") + Text(message, style="red"), soft_wrap=True)


def explain(error: BaseException) -> str | None:
    """Message for a user about an error; None for a defect of ours, which keeps its traceback."""
    if isinstance(error, NoriaError):
        return str(error)
    module, name = type(error).__module__.split(".")[0], type(error).__name__
    if module in ("sqlalchemy", "psycopg", "psycopg2", "adbc_driver_manager") and name == "OperationalError":
        reason = first_line(error)
        return f"PostgreSQL does not answer: {reason}\n`noria status` says whether it is up; NORIA_WAREHOUSE_URL where it is"
    return None


def facts(title: str, rows: dict[str, object]) -> Table:
    """A table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")  # a path or a digest that is cut short cannot be copied
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(str(value)))
    return table


def show(title: str, result: Result) -> None:
    """Print what a step returned as a table of names and values."""
    rows: dict[str, object] = {}
    for name, value in result.model_dump(mode="json").items():
        rows[name] = _words(value)
    out.print(facts(title, rows))


def _words(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item:,}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value
