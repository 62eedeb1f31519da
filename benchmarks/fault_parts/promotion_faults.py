"""Kills between the steps of nomination, rejection, promotion and roll-back: intent, each alias, outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from benchmarks.fault_parts.finding import Finding
from benchmarks.fault_parts.registry_faults import kill_after
from benchmarks.fault_parts.steps import Step, finished
from benchmarks.fault_parts.world import World

_EXPECTED = {
    # job: event that must be there once, champion in the end, challenger in the end
    "nominate": ("nominated", "first", "second"),
    "reject": ("rejected", "first", "nobody"),
    "promote": ("promoted", "second", "nobody"),
    "roll_back": ("rolled_back", "first", "nobody"),
}
_UNTIL_CHAMPION = 3
"""Writes up to and with the champion alias: tag of the outgoing one, alias of the one before, alias of the champion."""
_WORDS = {
    "nominate": ("nomination", "moved the alias, wrote the event"),
    "reject": ("rejection", "took the alias away, wrote the event"),
    "promote": ("promotion", "wrote down what had happened, then did what was left"),
    "roll_back": ("roll-back", "wrote down what had happened, then did what was left"),
}


def killed_between_steps(world: World, job: str) -> Finding:
    """Killed before the first, between any two and after the last write about aliases."""
    seconds: list[float] = []
    broken: list[str] = []
    moment = 0
    while True:
        name, first, second = _prepared(world, job)
        step = kill_after(world.gate, moment, lambda: Step(world.place, name, job, second))  # noqa: B023 - called at once
        if not world.gate.fired.is_set():
            return _finding(job, "the job, between any two of its writes", seconds, broken)
        seconds.append(time.monotonic() - step.started)
        broken += [f"after {moment} writes: {words}" for words in _retried(world, name, job, first, second)]
        moment += 1


def postgres_killed(world: World, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """PostgreSQL is killed when the champion alias has moved and the outcome is not written."""
    name, first, second = _prepared(world, "promote")

    def stop() -> None:
        kill()
        start()

    world.gate.on_round(_UNTIL_CHAMPION, stop)
    step = Step(world.place, name, "promote", second)
    broken = [] if step.wait() is None else ["the step did not notice"]
    seconds = [time.monotonic() - step.started]
    broken += _retried(world, name, "promote", first, second)
    return _finding("promote", "PostgreSQL, between alias and outcome", seconds, broken)


def _finding(job: str, killed: str, seconds: list[float], broken: list[str]) -> Finding:
    stage, retry = _WORDS[job]
    return Finding(stage, killed, len(seconds), None, max(seconds), retry, None, None, tuple(broken))


def _prepared(world: World, job: str) -> tuple[str, str, str]:
    """Champion 1 and candidate 2, and whatever comes before the job."""
    name = world.a_use_case(job.replace("_", ""))
    world.gate.on_round()
    finished(world.place, name, "baseline")
    first, second = world.trained_twice(name)
    for before in {"reject": ("nominate",), "promote": ("nominate",), "roll_back": ("nominate", "promote")}.get(job, ()):
        finished(world.place, name, before, second)
    world.gate.on_round()
    return name, first, second


def _retried(world: World, name: str, job: str, first: str, second: str) -> list[str]:
    """Run the job again, and say what is not as it should be."""
    from noria.core.base.results import VersionRef

    world.gate.on_round()
    finished(world.place, name, job, second)
    if job != "roll_back":  # a second roll-back is another step back
        finished(world.place, name, job, second)
    event, champion, challenger = _EXPECTED[job]
    who = {"nobody": "0"} | {
        word: VersionRef.model_validate_json(one).version for word, one in (("first", first), ("second", second))
    }
    alias_state = world.services.registry.alias_state(name)
    events = world.services.audit.events(name)
    about = Counter(str(found.action) for found in events if found.actor == "faults")
    world.services.audit.verify()
    return [
        *([] if about[event] == 1 else [f"{about[event]} events that it was {event}"]),
        *([] if alias_state.champion == who[champion] else [f"version {alias_state.champion} is champion"]),
        *([] if alias_state.challenger == who[challenger] else [f"version {alias_state.challenger} is challenger"]),
        *([] if not about["found_moved"] else ["the trail says that somebody moved the alias past Noria"]),
    ]
