"""`noria up | down | status | logs | demo`: the embedded stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from rich.table import Table

    from noria.local.stack import Stack, StackReport
    from noria.local.state import StackState

_STYLES = {
    "waiting": "dim",
    "starting": "yellow",
    "restarting": "yellow",
    "running": "green",
    "done": "green",
    "failed": "red",
}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, down, status, logs, demo):
        app.command(rich_help_panel="Embedded stack")(command)


def _stack() -> Stack:
    from noria.local.stack import Stack
    from noria.settings import load_settings

    return Stack.of(load_settings())


def up(
    port_offset: Annotated[
        int | None, typer.Option(metavar="N", help="Move every default port by N, to run beside another stack.")
    ] = None,
) -> None:
    """Start the embedded stack: PostgreSQL, Airflow, MLflow, serving and a mail catcher. Harmless when it runs.

    Everything listens on 127.0.0.1 only; state is in .noria/ (NORIA_HOME). Ports, remembered from the first start, are
    NORIA_POSTGRES_PORT, NORIA_AIRFLOW_PORT, NORIA_MLFLOW_PORT, NORIA_SERVING_PORT, NORIA_SMTP_PORT and NORIA_MAIL_PORT.
    """
    stack = _stack()
    started = stack.launch(port_offset)
    try:
        (_watch if out.is_terminal else _tell)(stack)
    except KeyboardInterrupt:
        say("The stack goes on starting: `noria status` shows how far it is, `noria down` stops it.", "yellow")
        raise
    say("The stack is up." if started else "The stack is up (it was running already).", "bold green")
    _welcome()


def _watch(stack: Stack) -> None:
    from rich.live import Live

    with Live(console=out, refresh_per_second=8, transient=True) as live:
        for state in stack.follow():
            live.update(_progress(state))


def _progress(state: StackState) -> Table:
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for process in state.processes:
        style = _STYLES.get(process.condition, "")
        busy = process.condition in ("starting", "restarting")
        mark = Spinner("dots", style=style) if busy else Text("✓" if style == "green" else "·", style=style)
        seconds = f"{process.seconds:.0f} s" if process.seconds is not None else ""
        name, why = Text(process.name, style="bold"), Text(process.why, style="dim")
        table.add_row(mark, name, why, Text(process.condition, style), seconds)
    return table


def _tell(stack: Stack) -> None:
    """One line for each change, for a log rather than a screen."""
    shown: dict[str, str] = {}
    for state in stack.follow():
        for process in state.processes:
            if shown.get(process.name, "waiting") != process.condition:
                took = f" ({process.seconds:.0f} s)" if process.seconds is not None else f": {process.why}"
                say(f"{process.name} {process.condition}{took}")
            shown[process.name] = process.condition


def _welcome() -> None:
    from noria.local.stack import addresses
    from noria.settings import load_settings

    settings = load_settings()  # again: the start has written the ports and the login
    rows: dict[str, object] = dict(addresses(settings))
    rows["Airflow login"] = f"{settings.airflow_user} / {settings.airflow_password.get_secret_value()}"
    out.print(facts("", rows))


def down() -> None:
    """Stop the embedded stack in order, and leave no process. Data stays in .noria/; harmless when nothing runs."""
    from rich.text import Text

    stack = _stack()
    with out.status(Text("stopping: first what runs tasks, last the database")):
        stopped = stack.stop()
    say("The stack is down." if stopped else "Nothing was running.")


def status() -> None:
    """Show what runs, and where. Exit code 1 where something does not."""
    report = _stack().report()
    out.print(_table(report))
    if not report.supervised and any(process.alive for process in report.processes if not process.state.once):
        say("Its supervisor has died: `noria up` cleans up and starts again, `noria down` cleans up.", "yellow")
    elif report.error:
        say(report.error, "red")
    elif not report.supervised:
        say("The stack is down: `noria up` starts it.")
    if not report.is_up:
        raise typer.Exit(1)
    _welcome()


def _table(report: StackReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("process", "state", "pid", "port", "restarts", "memory", "up for", box=None, padding=(0, 2, 0, 0))
    for process in report.processes:
        state = process.state
        if state.once:
            continue
        condition = str(state.condition) if process.alive or state.condition != "running" else "dead"
        table.add_row(
            state.name,
            Text(condition, style="green" if process.alive else "red"),
            str(state.pid or ""),
            str(state.port or ""),
            str(state.restarts),
            f"{process.memory / 1e6:.0f} MB" if process.alive else "",
            _duration(process.uptime) if process.alive else "",
        )
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def logs(
    process: Annotated[str | None, typer.Argument(help="A process of `noria status`; all when left out.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines arrive, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many of the last lines.")] = 40,
) -> None:
    """Show the last lines of the logs.

    Examples: `noria logs scheduler -f`, `noria logs serving -n 200`.
    """
    from noria.local.logs import follow_lines, last_lines

    files = _stack().logs(process)
    for name, path in files.items():
        for line in last_lines(path, lines):
            typer.echo(line if process else f"{name} | {line}")
    if follow:
        for name, line in follow_lines(files):
            typer.echo(line if process else f"{name} | {line}")


def demo() -> None:
    """Run the whole loop on real flights through the real scheduler: data, training, serving, drift, mail, retraining."""
    from noria.demo.run import run

    up(None)
    run(out)
    _welcome()
