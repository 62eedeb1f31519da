"""Versions that change under load: promotions, roll-backs, a damaged bundle, a challenger that does harm."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.chaos_parts.bundles import Kind
from benchmarks.chaos_parts.load import Answer, Load
from benchmarks.chaos_parts.outcome import Outcome
from benchmarks.chaos_parts.stack import PARCELS, TRIED, Server, Stack

_VERSIONS = 4
"""Different ones, that take turns."""
_UNTIL_TOLD = 30.0


def swaps(stack: Stack, server: Server, times: int) -> Outcome:
    """Promotions, one after the other, each as soon as the one before answers everywhere."""
    versions = _registered(stack)
    seconds: list[float] = []
    with Load(server.port, PARCELS, stack.key, "swaps") as load:
        for turn in range(times):
            version = versions[turn % len(versions)]
            if version == stack.champion(PARCELS):
                continue
            stack.promote(PARCELS, version)
            seconds.append(_until_everywhere(load, version))
    stored, _ = stack.stored(load.answers)
    what = "the new version answers everything, once the promotion has returned"
    return Outcome(f"{len(seconds)} promotions", load.answers, stored, seconds, what)


def rollbacks(stack: Stack, server: Server, times: int) -> Outcome:
    """A version is promoted and taken back, again and again; the seconds begin with the command."""
    versions = _registered(stack)
    seconds: list[float] = []
    broken: list[str] = []
    with Load(server.port, PARCELS, stack.key, "rollbacks") as load:
        for turn in range(times):
            before = stack.champion(PARCELS)
            version = next(each for each in versions[turn % len(versions) :] + versions if each != before)
            stack.promote(PARCELS, version)
            load.wait_for_version(version)
            started = time.monotonic()
            if (back := stack.roll_back(PARCELS)) != before:
                broken.append(f"version {back} came back, not {before}")
            load.wait_for_version(back)
            seconds.append(_last(load.since(started), {version}) - started)
    stored, _ = stack.stored(load.answers)
    what = "the last answer by the version taken back, from the command on"
    return Outcome(f"{times} roll-backs", load.answers, stored, seconds, what, broken=tuple(broken))


def corrupt_bundle(stack: Stack, server: Server) -> Outcome:
    """A version whose graph was changed after it was registered gets the alias, past all checks of the jobs."""
    before = stack.champion(PARCELS)
    version = stack.register(PARCELS, 50).version
    good = stack.register(PARCELS, 51).version
    stack.damage(PARCELS, version)
    with Load(server.port, PARCELS, stack.key, "corrupt") as load:
        stack.services.registry.set_champion(PARCELS, version)
        load.wait_for(600)
        answered = {each for answer in load.answers for each in answer.versions}
        started = time.monotonic()
        stack.services.registry.set_champion(PARCELS, good)
        load.wait_for_version(good)
        seconds = [_last(load.since(started), {before}) - started]
    stored, _ = stack.stored(load.answers)
    broken = () if answered == {before} else (f"versions {', '.join(sorted(answered))} answered",)
    what = "the next good version answers everything, from its alias on"
    return Outcome("a damaged bundle gets the alias", load.answers, stored, seconds, what, broken=broken)


def bad_challenger(stack: Stack, server: Server, kind: Kind) -> Outcome:
    """A challenger that does harm answers half of the entities, until serving's own guard takes it back."""
    from noria.jobs import rollout

    use_case = stack.services.use_case(TRIED)
    number = 60 + list(Kind).index(kind)
    version = stack.register(TRIED, number, kind).version
    champion = stack.champion(TRIED)
    with Load(server.port, TRIED, stack.key, f"challenger{number}") as load:
        rollout.start(stack.services, use_case, stack.candidate(TRIED, version), actor="chaos", reason="chaos")
        told = _wait_for(lambda: stack.services.registry.guard_report(TRIED))
        load.wait_for_version(champion)
        load.wait_for(200)
    ended = rollout.advance(stack.services, use_case, actor="chaos")
    stored, _ = stack.stored(load.answers)
    first = min((answer.got for answer in load.answers if version in answer.versions), default=None)
    seconds = [] if first is None else [_last(load.answers, {version}) - first]
    broken = [] if told else [f"nobody took it back in {_UNTIL_TOLD:g} s"]
    broken += [] if ended.state == "taken_back" else [f"the rollout is {ended.state}"]
    why = f" ({told.reason})" if told else ""
    what = f"the last answer by it, from its first on{why}"
    return Outcome(f"a challenger: {kind.value}", load.answers, stored, seconds, what, broken=tuple(broken))


def _registered(stack: Stack) -> list[str]:
    """Versions to take turns; registered once, found again later."""
    return [stack.register(PARCELS, number).version for number in range(10, 10 + _VERSIONS)]


def _until_everywhere(load: Load, version: str) -> float:
    """Seconds from now until the last answer by another version."""
    started = time.monotonic()
    load.wait_for_version(version)
    others = {each for answer in load.since(started) for each in answer.versions} - {version}
    return _last(load.since(started), others) - started


def _last(answers: list[Answer], versions: set[str]) -> float:
    """When a version answered last; the beginning of it all where it did not."""
    first = answers[0].sent if answers else time.monotonic()
    return max((answer.got for answer in answers if answer.versions & versions), default=first)


def _wait_for(look: Callable[[], object], seconds: float = _UNTIL_TOLD) -> object:
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found
