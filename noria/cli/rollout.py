"""Rollouts from a shell: a version takes over in steps, and is rolled back when it does harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import AllowBreaking, ApprovedBy, Reason, UseCaseName, actor, opened
from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from noria.core.lifecycle.rollout import RolloutResult

_PANEL = "Versions"
Candidate = Annotated[
    str | None, typer.Argument(metavar="VERSION", help="A version of `noria versions`. Default: the challenger that waits.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    rollout = typer.Typer(help="Let a version take over in steps, or look at how it does.", no_args_is_help=True)
    for command in (start, status, advance, pause, resume, abort):
        rollout.command()(command)
    app.add_typer(rollout, name="rollout", rich_help_panel=_PANEL)


def start(
    use_case: UseCaseName,
    version: Candidate = None,
    reason: Reason = "",
    approved_by: ApprovedBy = "",
    allow_breaking: AllowBreaking = False,
) -> None:
    """Let a version score beside the champion, as the section `rollout` of the use case says.

    With a reason, a version that was rolled back before is tried again. `noria rollout advance` takes the next steps; the
    training DAG does so by itself for the versions that it trains.
    """
    from noria.jobs import release
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    request = release.request_of(
        services, chosen, version, actor=actor(), reason=reason, approved_by=approved_by, allow_breaking=allow_breaking
    )
    result = rollout_jobs.start(services, chosen, request)
    if result is None:
        say(f"version {request.candidate.version} of {chosen.name} is champion already")
    else:
        _show(result)


def status(use_case: UseCaseName) -> None:
    """Say where the rollout stands and what its judge says now; changes nothing."""
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    with out.status("reading what both versions have scored"):
        found = rollout_jobs.rollout_status(services, chosen)
    from noria.core.lifecycle.rollout import RolloutResult

    _show(RolloutResult.of(found.rollout))
    if found.rollout.is_live:
        verdict = found.comparison.worse or found.comparison.better or found.comparison.summary
        say(f"scored in this step: {found.rows:,} rows")
        say(f"the judge: {verdict}", "red" if found.comparison.worse else "")


def advance(use_case: UseCaseName) -> None:
    """Decide the next step: wait, step, promote or roll back. Exit code 1 if the challenger is rolled back.

    May be called as often as one likes, and by several at once.
    """
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    with out.status("reading what both versions have scored"):
        result = rollout_jobs.advance(services, chosen, actor=actor())
    _show(result)
    if result.state == "taken_back":
        raise typer.Exit(1)


def pause(use_case: UseCaseName, reason: Reason = "") -> None:
    """Stay at the present share until `resume`; serving still rolls back a challenger that does harm."""
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    _show(rollout_jobs.pause(services, chosen, actor=actor(), reason=reason or "no reason given"))


def resume(use_case: UseCaseName, reason: Reason = "") -> None:
    """Go on; the present step begins again."""
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    _show(rollout_jobs.resume(services, chosen, actor=actor(), reason=reason or "no reason given"))


def abort(use_case: UseCaseName, reason: Reason) -> None:
    """Let the champion answer everything again, within seconds.

    Example: `noria rollout abort flight_delays --reason "the desk sees odd answers"`
    """
    from noria.jobs import rollout as rollout_jobs

    services, chosen = opened(use_case)
    _show(rollout_jobs.abort(services, chosen, actor=actor(), reason=reason))


def _show(result: RolloutResult) -> None:
    share = "shadow (answers not returned)" if result.shadow else f"{result.share} %"
    rows: dict[str, object] = {
        "challenger": f"version {result.challenger}",
        "champion": f"version {result.champion}",
        "share": share,
        "why": result.reason,
    }
    if result.waiting_for:
        rows["waits for"] = result.waiting_for
    out.print(facts(result.state.words, rows))
