"""The e-mail about a turn of a rollout: what happened, why, who answers now, and what a person may do."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from noria.core.base.formatting import day, display_name, moment
from noria.core.lifecycle.rollout import Rollout, RolloutEvent, RolloutState
from noria.core.use_case import RolloutMode, UseCase, format_duration
from noria.io.templates import environment

_TEMPLATES = Path(__file__).parent / "templates"
_GOOD, _BAD, _PLAIN = "#1a7f4b", "#b42318", "#51606f"
_WORDS = {
    RolloutEvent.STARTED: ("rollout started", _PLAIN),
    RolloutEvent.STEPPED: ("next step", _GOOD),
    RolloutEvent.PAUSED: ("paused", _PLAIN),
    RolloutEvent.RESUMED: ("resumed", _PLAIN),
    RolloutEvent.WON: ("won", _GOOD),
    RolloutEvent.COMPLETED: ("completed", _GOOD),
    RolloutEvent.ROLLED_BACK: ("rolled back", _BAD),
    RolloutEvent.ABORTED: ("aborted", _BAD),
}


@dataclass(frozen=True)
class RolloutEmail:
    """Everything the templates lay out."""

    subject: str
    badge: str
    colour: str
    heading: str
    title: str
    reason: str
    now: str
    """Who answers now."""
    next: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    footer: str


def key_of(rollout: Rollout) -> str:
    """Identifies the mail about the last turn, so that it goes out once."""
    return f"rollout/{rollout.id}/{rollout.revision}"


def recipients_of(use_case: UseCase) -> tuple[str, ...]:
    """The owner and the recipients of reports; each once."""
    return tuple(dict.fromkeys((use_case.owner, *use_case.monitoring.email)))


def rollout_email(use_case: UseCase, rollout: Rollout, *, airflow_url: str, serving_url: str) -> RolloutEmail:
    """Put the last turn into words.

    Args:
        use_case: whose rollout it is.
        rollout: its document.
        airflow_url: for the link to the training runs.
        serving_url: for the link to what serves.
    """
    badge, colour = _WORDS[rollout.event]
    if rollout.event is RolloutEvent.COMPLETED and not rollout.promoted:
        badge, colour = "no difference", _PLAIN
    name = display_name(use_case.name)
    return RolloutEmail(
        subject=f"[{badge}] {name}, version {rollout.challenger.version}: {_headline(rollout)}",
        badge=badge,
        colour=colour,
        heading=f"{name}, version {rollout.challenger.version}",
        title=use_case.title,
        reason=_sentence(rollout.reason),
        now=_now(rollout),
        next=_next(rollout),
        facts=_facts(rollout),
        links=(
            ("Training and rollout runs", f"{airflow_url.rstrip('/')}/dags/{use_case.name}__train"),
            ("What serves now", f"{serving_url.rstrip('/')}/v1/{use_case.name}"),
        ),
        footer=f"You get this because use_cases/{use_case.name}/use_case.yaml names you as owner or under monitoring.email.",
    )


def compose(use_case: UseCase, mail: RolloutEmail) -> EmailMessage:
    """The message as text and HTML; sender, date and id are the mailer's."""
    message = EmailMessage()
    message["Subject"] = mail.subject
    message["To"] = ", ".join(recipients_of(use_case))
    message.set_content(_render("email.txt", mail))
    message.add_alternative(_render("email.html", mail), subtype="html", cte="quoted-printable")
    return message


def _render(template: str, mail: RolloutEmail) -> str:
    return environment(_TEMPLATES).get_template(template).render(mail=mail)


def _headline(rollout: Rollout) -> str:
    """The one fact of the subject."""
    if rollout.promoted:
        return "it serves everybody"
    if not rollout.is_live:
        return f"version {rollout.champion.version} serves everybody"
    if rollout.shadow:
        return "it runs in shadow mode (answers not returned)"
    return f"it answers {rollout.share} %"


def _now(rollout: Rollout) -> str:
    champion, challenger = rollout.champion.version, rollout.challenger.version
    if rollout.promoted:
        return f"Version {challenger} answers every request. Version {champion} is kept: `noria roll-back` brings it back."
    if not rollout.is_live:
        return f"Version {_named(champion)} answers every request, as before."
    if rollout.shadow:
        return (
            f"Version {_named(champion)} answers every request. "
            f"Version {challenger} runs in shadow mode; its answers are not returned."
        )
    return (
        f"Version {challenger} answers {rollout.share} % of the entities, the same ones each time. "
        f"Version {_named(champion)} answers the others, and every request that version {challenger} fails to answer."
    )


def _next(rollout: Rollout) -> str:
    name = rollout.use_case
    if rollout.state is RolloutState.ROLLED_BACK:
        return (
            "Nothing has to be done tonight. Look at the reason, then train again; this version does not return by itself: "
            f"`noria rollout start {name} {rollout.challenger.version} --reason ...` would try it again."
        )
    if not rollout.is_live:
        return "Nothing to do. The next training begins as planned."
    if rollout.state is RolloutState.PAUSED:
        return f"It stays as it is until somebody resumes it: `noria rollout resume {name}`. Its guard still watches."
    if rollout.state is RolloutState.FINISHING:
        return f"Version {rollout.challenger.version} becomes champion now."
    return f"{_after_this_step(rollout)} To stop it: `noria rollout abort {name} --reason ...`."


def _after_this_step(rollout: Rollout) -> str:
    if rollout.policy.mode is RolloutMode.AB and not rollout.shadow:
        until = day(rollout.started_at + rollout.policy.stop.at_most)
        return f"It goes on until one of them is surely worth more, at the latest until {until}; then the champion stays."
    bake = format_duration(rollout.policy.shadow_for if rollout.shadow else rollout.policy.bake)
    then = "it becomes champion" if rollout.is_last_step else f"it answers {rollout.next_share} %"
    return f"If it does no harm for {bake}, {then}. If it does harm, it is rolled back within seconds, automatically."


def _facts(rollout: Rollout) -> tuple[tuple[str, str], ...]:
    steps = "shares" if rollout.policy.mode is RolloutMode.AB else "steps"
    shown = ", ".join(f"{share} %" for share in rollout.policy.shares)
    facts = [
        ("Champion", f"version {_named(rollout.champion.version)}".rstrip(",")),
        ("Challenger", f"version {rollout.challenger.version}"),
        (steps.capitalize(), f"{'shadow, ' if rollout.policy.shadow_for else ''}{shown}"),
        ("Began", moment(rollout.started_at)),
        ("Done by", rollout.actor),
    ]
    return tuple(facts + ([("Approved by", rollout.approved_by)] if rollout.approved_by else []))


def _named(version: str) -> str:
    return "0, the baseline," if version == "0" else version


def _sentence(reason: str) -> str:
    text = reason.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
