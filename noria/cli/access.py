"""API keys of serving from a shell."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import Reason, actor, open_services
from noria.cli.console import err, facts, out, say
from noria.core.base.api_key import KeyState, Scope
from noria.core.base.errors import AccessError
from noria.core.base.formatting import moment

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from noria.core.base.api_key import ApiKey
    from noria.jobs.access import IssuedKey

_PANEL = "Access"
_HELP = """Who may ask serving for what.

Example: `noria keys create --name shop --use-case flight_delays --scope predict`"""
_STYLES = {KeyState.ACTIVE: "green", KeyState.EXPIRED: "yellow", KeyState.REVOKED: "red"}

Id = Annotated[str, typer.Argument(metavar="ID", help="The 12 letters and digits in the middle of the key.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="The app that gets it, such as shop.")]
UseCases = Annotated[
    list[str] | None, typer.Option("--use-case", metavar="USE_CASE", help="It may be used for; several are fine.")
]
AllUseCases = Annotated[bool, typer.Option("--all-use-cases", help="For all there are, and all there will be.")]
Scopes = Annotated[list[Scope] | None, typer.Option("--scope", help="What it may do; several are fine. Default: predict.")]
Expires = Annotated[str | None, typer.Option("--expires", metavar="DURATION", help="Refused after, such as 90d.")]
PerMinute = Annotated[int | None, typer.Option("--per-minute", metavar="N", min=1, help="Requests; no limit when left out.")]
Grace = Annotated[
    str, typer.Option("--grace", metavar="DURATION", help="How long the old secret is let in; 0s: not at all.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    keys = typer.Typer(help=_HELP, no_args_is_help=True)
    for name, command in (("create", keys_create), ("list", keys_list), ("rotate", keys_rotate), ("revoke", keys_revoke)):
        keys.command(name)(command)
    app.add_typer(keys, name="keys", rich_help_panel=_PANEL)


def keys_create(
    *,
    name: Name,
    use_case: UseCases = None,
    all_use_cases: AllUseCases = False,
    scope: Scopes = None,
    expires: Expires = None,
    per_minute: PerMinute = None,
) -> None:
    """Make a key and show it, once: the key on standard output, what it may do beside it.

    Example: `noria keys create --name shop --use-case flight_delays --scope predict --scope feedback --expires 90d
    --per-minute 600`
    """
    from noria.jobs import access

    issued = access.create_key(
        open_services(),
        name=name,
        use_cases=_wanted(use_case or [], all_use_cases),
        scopes=scope or [Scope.PREDICT],
        actor=actor(),
        lifetime=_duration("--expires", expires),
        per_minute=per_minute,
    )
    _show("created", issued)


def keys_list() -> None:
    """List every key: what it may do, until when, and when it was used last. Secrets are kept nowhere."""
    from noria.jobs import access

    services = open_services()
    found = access.list_keys(services)
    if not found:
        say("no key was made yet; noria keys create --help shows how")
    for key in found:
        out.print(_key_lines(key, services.clock.now()))


def keys_rotate(key_id: Id, grace: Grace = "24h", expires: Expires = None, reason: Reason = "") -> None:
    """Give a key another secret and show it, once; the old one is let in for a while, so that apps can change over.

    Example: `noria keys rotate 4fGhT2kLmN8p --grace 24h`
    """
    from noria.jobs import access

    issued = access.rotate_key(
        open_services(),
        key_id,
        grace=_duration("--grace", grace) or timedelta(0),
        actor=actor(),
        reason=reason,
        lifetime=_duration("--expires", expires),
    )
    _show("rotated", issued)


def keys_revoke(key_id: Id, reason: Reason) -> None:
    """Refuse a key for good, every secret of it; serving does so within seconds.

    Example: `noria keys revoke 4fGhT2kLmN8p --reason "the shop was closed"`
    """
    from noria.jobs import access

    done = access.revoke_key(open_services(), key_id, reason=reason, actor=actor())
    say(f"{done.key.name} ({key_id}) {'was revoked before, and stays so' if done.already else 'is revoked'}")


def _wanted(use_cases: list[str], every: bool) -> list[str] | None:
    if every == bool(use_cases):
        raise AccessError("say what the key is for: --use-case NAME, once for each, or --all-use-cases")
    return None if every else use_cases


def _duration(option: str, value: str | None) -> timedelta | None:
    from noria.core.use_case import parse_duration

    if value is None:
        return None
    try:
        parsed = parse_duration(value)
    except (ValueError, OverflowError) as error:
        raise AccessError(f"{option} {value}: write a duration as a number and a unit: 12h, 90d or 52w") from error
    return parsed if isinstance(parsed, timedelta) else None


def _show(what: str, issued: IssuedKey) -> None:
    """The key alone on standard output, so that a script can take it; all else on standard error."""
    key = issued.key
    rows: dict[str, object] = {
        "id": key.id,
        "name": key.name,
        "may": key.may,
        "expires": _instant(key.expires_at),
        "limit": _limit(key),
    }
    err.print(facts(what, rows))
    err.print("This is the key. It is shown once and kept nowhere: put it where the app reads its secrets.\n", style="bold")
    say(issued.secret.text)


def _key_lines(key: ApiKey, now: datetime) -> RenderableType:
    """Id, name and state on the first line; the rest below it, where it has the whole width."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    state = key.state(now)
    first = Text.assemble(f"{key.id}  ", (key.name, "bold"), "  ", (state.value, _STYLES[state]))
    below = (
        f"may {key.may}; {_limit(key)}",
        f"expires: {_instant(key.expires_at)}; last used: {_instant(key.last_used_at, 'not known')}",
        f"created {_instant(key.created_at)} by {key.created_by}"
        + (f"; rotated {_instant(key.rotated_at)}" if key.rotated_at else "")
        + (f"; revoked {_instant(key.revoked_at)}" if key.revoked_at else ""),
    )
    return Group(first, *(Padding(Text(line), (0, 0, 0, 4)) for line in below))


def _limit(key: ApiKey) -> str:
    return f"{key.per_minute:,} requests per minute" if key.per_minute else "no limit"


def _instant(value: datetime | None, otherwise: str = "never") -> str:
    return otherwise if value is None else moment(value)
